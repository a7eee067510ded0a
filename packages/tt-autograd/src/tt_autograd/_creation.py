"""The creation functions of tt_tensor, giving tensors that can require grad.

Each takes the arguments of its namesake there, and ``requires_grad``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

import tt_tensor
from tt_tensor import DTypeLike, Generator

from ._tensor import Tensor

Number = bool | int | float
Size = int | Sequence[int]


def _make(values: tt_tensor.Tensor, requires_grad: bool) -> Tensor:
    made = Tensor._wrap(values._array)
    return made.requires_grad_() if requires_grad else made


def tensor(data: Any, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Copy numbers, nested lists, an array or a tensor into a new tensor.

    Example:
        >>> import tt_autograd as tt
        >>> tt.tensor([1.0, 2.0], requires_grad=True)
        tensor([1., 2.], requires_grad=True)
    """
    return _make(tt_tensor.tensor(data, dtype), requires_grad)


def zeros(*size: Size, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor of zeros.

    Example:
        >>> import tt_autograd as tt
        >>> tt.zeros(2, requires_grad=True)
        tensor([0., 0.], requires_grad=True)
    """
    return _make(tt_tensor.zeros(*size, dtype=dtype), requires_grad)


def ones(*size: Size, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor of ones.

    Example:
        >>> import tt_autograd as tt
        >>> tt.ones(2)
        tensor([1., 1.])
    """
    return _make(tt_tensor.ones(*size, dtype=dtype), requires_grad)


def empty(*size: Size, dtype: DTypeLike | None = None, requires_grad: bool = False) -> Tensor:
    """Make a tensor whose values are whatever the memory held.

    Example:
        >>> import tt_autograd as tt
        >>> tt.empty(2, 3).shape
        (2, 3)
    """
    return _make(tt_tensor.empty(*size, dtype=dtype), requires_grad)


def full(
    size: Size, fill_value: Number, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Make a tensor filled with one number.

    Example:
        >>> import tt_autograd as tt
        >>> tt.full((2,), 7)
        tensor([7, 7])
    """
    return _make(tt_tensor.full(size, fill_value, dtype), requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make the numbers from ``start`` up to but without ``end``.

    Example:
        >>> import tt_autograd as tt
        >>> tt.arange(3)
        tensor([0, 1, 2])
    """
    return _make(tt_tensor.arange(start, end, step, dtype), requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make ``steps`` numbers at equal distances, both ends included.

    Example:
        >>> import tt_autograd as tt
        >>> tt.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    return _make(tt_tensor.linspace(start, end, steps, dtype), requires_grad)


def eye(
    n: int, m: int | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Make a matrix with ones on the diagonal.

    Example:
        >>> import tt_autograd as tt
        >>> tt.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    return _make(tt_tensor.eye(n, m, dtype), requires_grad)


def zeros_like(
    input: tt_tensor.Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Make zeros of the shape and dtype of another tensor.

    Example:
        >>> import tt_autograd as tt
        >>> tt.zeros_like(tt.tensor([1, 2]))
        tensor([0, 0])
    """
    return _make(tt_tensor.zeros_like(input, dtype), requires_grad)


def ones_like(
    input: tt_tensor.Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Make ones of the shape and dtype of another tensor.

    Example:
        >>> import tt_autograd as tt
        >>> tt.ones_like(tt.tensor([1, 2]))
        tensor([1, 1])
    """
    return _make(tt_tensor.ones_like(input, dtype), requires_grad)


def empty_like(
    input: tt_tensor.Tensor, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Make an uninitialised tensor of the shape and dtype of another.

    Example:
        >>> import tt_autograd as tt
        >>> tt.empty_like(tt.tensor([1, 2])).shape
        (2,)
    """
    return _make(tt_tensor.empty_like(input, dtype), requires_grad)


def full_like(
    input: tt_tensor.Tensor,
    fill_value: Number,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make a tensor of the shape and dtype of another, filled with one number.

    Example:
        >>> import tt_autograd as tt
        >>> tt.full_like(tt.tensor([1, 2]), 7)
        tensor([7, 7])
    """
    return _make(tt_tensor.full_like(input, fill_value, dtype), requires_grad)


def rand(
    *size: Size,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draw numbers evenly from [0, 1).

    Example:
        >>> import tt_autograd as tt
        >>> bool((tt.rand(3) < 1).all())
        True
    """
    return _make(tt_tensor.rand(*size, generator=generator, dtype=dtype), requires_grad)


def randn(
    *size: Size,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draw numbers from the normal distribution with mean 0 and variance 1.

    Example:
        >>> import tt_autograd as tt
        >>> tt.randn(2, 3).shape
        (2, 3)
    """
    return _make(tt_tensor.randn(*size, generator=generator, dtype=dtype), requires_grad)


def randint(
    low: int,
    high: int | None = None,
    size: Size = (),
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Draw integers evenly from ``low`` up to but without ``high``.

    Example:
        >>> import tt_autograd as tt
        >>> tt.randint(0, 10, (2, 3)).shape
        (2, 3)
    """
    return _make(tt_tensor.randint(low, high, size, generator=generator, dtype=dtype), False)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Draw a random order of the integers from 0 up to but without ``n``.

    Example:
        >>> import tt_autograd as tt
        >>> sorted(tt.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    return _make(tt_tensor.randperm(n, generator=generator, dtype=dtype), False)


def from_numpy(array: NDArray[Any]) -> Tensor:
    """Make a tensor that shares memory with an array.

    Example:
        >>> import tt_autograd as tt
        >>> import numpy as np
        >>> tt.from_numpy(np.zeros(2))
        tensor([0., 0.], dtype=float64)
    """
    return _make(tt_tensor.from_numpy(array), False)


def from_dlpack(source: Any) -> Tensor:
    """Make a tensor that shares memory with any object on the CPU that speaks DLPack.

    Example:
        >>> import tt_autograd as tt
        >>> import numpy as np
        >>> tt.from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """
    return _make(tt_tensor.from_dlpack(source), False)

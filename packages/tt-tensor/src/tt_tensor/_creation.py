"""Functions that make tensors out of numbers, arrays and sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._dims import Size, sizes
from ._dtypes import DTypeLike, cast, check_array, check_dtype, make_array
from ._modes import get_default_dtype
from ._op import shape_of
from ._random import Generator, numpy_generator
from ._tensor import Tensor

Number = bool | int | float


def _shape(name: str, size: tuple[Size, ...]) -> tuple[int, ...]:
    shape = sizes(name, size)
    if any(n < 0 for n in shape):
        raise ValueError(f"{name}: expected sizes of at least 0, got {shape}")
    return shape


def _float_dtype(name: str, dtype: DTypeLike | None) -> np.dtype[Any]:
    return get_default_dtype() if dtype is None else check_dtype(name, dtype)


def tensor(data: Any, dtype: DTypeLike | None = None) -> Tensor:
    """Copy numbers, nested lists, an array or a tensor into a new tensor.

    Args:
        data: The values. Python floats become the default dtype, ints int64, bools bool;
            arrays and tensors keep their dtype.
        dtype: Another dtype to hold them in.

    Raises:
        TypeError: The data are not numbers, or the dtype is not supported.
        ValueError: Nested lists differ in length.

    Example:
        >>> import tt_tensor as tt
        >>> tt.tensor([[1, 2], [3, 4]])
        tensor([[1, 2],
                [3, 4]])
    """
    return Tensor._wrap(make_array("tensor", data, dtype))


def from_numpy(array: NDArray[Any]) -> Tensor:
    """Make a tensor that shares memory with an array.

    Raises:
        TypeError: It is no array, or its dtype is not one that tensors have.

    Example:
        >>> import tt_tensor as tt
        >>> import numpy as np
        >>> a = np.zeros(2, np.float32)
        >>> t = tt.from_numpy(a)
        >>> a[0] = 5
        >>> t
        tensor([5., 0.])
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return Tensor._wrap(check_array("from_numpy", np.asarray(array)))


def from_dlpack(source: Any) -> Tensor:
    """Make a tensor that shares memory with any object on the CPU that speaks DLPack.

    Raises:
        TypeError: The object does not, or its dtype is not one that tensors have.

    Example:
        >>> import tt_tensor as tt
        >>> import numpy as np
        >>> tt.from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """
    if not hasattr(source, "__dlpack__"):
        raise TypeError(f"from_dlpack: {type(source).__name__} has no __dlpack__ method")
    try:
        array = np.from_dlpack(source)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"from_dlpack: NumPy cannot share this memory: {error}") from None
    return Tensor._wrap(check_array("from_dlpack", array))


def zeros(*size: Size, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of zeros.

    Args:
        *size: Sizes, as ints or as one sequence.
        dtype: Another dtype than the default one.

    Raises:
        TypeError: A size is no int, or the dtype is not supported.
        ValueError: A size is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.zeros(2, 2)
        tensor([[0., 0.],
                [0., 0.]])
    """
    return Tensor._wrap(np.zeros(_shape("zeros", size), _float_dtype("zeros", dtype)))


def ones(*size: Size, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of ones.

    Args:
        *size: Sizes, as ints or as one sequence.
        dtype: Another dtype than the default one.

    Raises:
        TypeError: A size is no int, or the dtype is not supported.
        ValueError: A size is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.ones(2)
        tensor([1., 1.])
    """
    return Tensor._wrap(np.ones(_shape("ones", size), _float_dtype("ones", dtype)))


def empty(*size: Size, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor whose values are whatever the memory held.

    Args:
        *size: Sizes, as ints or as one sequence.
        dtype: Another dtype than the default one.

    Raises:
        TypeError: A size is no int, or the dtype is not supported.
        ValueError: A size is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.empty(2, 3).shape
        (2, 3)
    """
    return Tensor._wrap(np.empty(_shape("empty", size), _float_dtype("empty", dtype)))


def full(size: Size, fill_value: Number, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor filled with one number, whose kind decides the dtype unless given.

    Args:
        size: Sizes, as ints or as one sequence.
        fill_value: The number.
        dtype: Another dtype than the number's.

    Raises:
        TypeError: A size is no int, or the dtype is not supported.
        ValueError: A size is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.full((2,), 7)
        tensor([7, 7])
    """
    value = make_array("full", fill_value, dtype)
    if value.ndim:
        raise ValueError(f"full: expected one number to fill with, got shape {value.shape}")
    return Tensor._wrap(np.full(_shape("full", (size,)), value, value.dtype))


def arange(
    start: float, end: float | None = None, step: float = 1, dtype: DTypeLike | None = None
) -> Tensor:
    """Make the numbers from ``start`` (0 if only one is given) up to but without ``end``.

    Args:
        start: The first number; the end if it stands alone.
        end: The end, not included.
        step: The distance between numbers, which may be negative.
        dtype: Another dtype than int64, or the default one if a number is a float.

    Raises:
        ValueError: The step is 0, or a number is not finite.

    Example:
        >>> import tt_tensor as tt
        >>> tt.arange(3)
        tensor([0, 1, 2])
        >>> tt.arange(0, 1, 0.5)
        tensor([0.0000, 0.5000])
    """
    first, last = (0, start) if end is None else (start, end)
    try:
        if step == 0 or not all(map(math.isfinite, (first, last, step))):
            raise ValueError(
                f"arange: expected finite numbers and a step other than 0, got start {first}, "
                f"end {last}, step {step}"
            )
    except TypeError:
        raise TypeError(f"arange: expected numbers, got {first!r}, {last!r}, {step!r}") from None
    floats = any(isinstance(n, float) for n in (first, last, step))
    chosen = dtype if dtype is not None else get_default_dtype() if floats else np.int64
    return Tensor._wrap(cast("arange", np.arange(first, last, step), check_dtype("arange", chosen)))


def linspace(start: float, end: float, steps: int, dtype: DTypeLike | None = None) -> Tensor:
    """Make ``steps`` numbers at equal distances from ``start`` to ``end``, both included.

    Args:
        start: The first number.
        end: The last number.
        steps: How many.
        dtype: Another dtype than the default one.

    Raises:
        ValueError: ``steps`` is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    (count,) = _shape("linspace", (steps,))
    kind = _float_dtype("linspace", dtype)
    return Tensor._wrap(cast("linspace", np.linspace(start, end, count), kind))


def eye(n: int, m: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Make an ``n`` by ``m`` matrix with ones on the diagonal.

    Args:
        n: Rows.
        m: Columns; as many as rows unless given.
        dtype: Another dtype than the default one.

    Raises:
        ValueError: A size is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.eye(2)
        tensor([[1., 0.],
                [0., 1.]])
    """
    rows, columns = _shape("eye", (n, n if m is None else m))
    return Tensor._wrap(np.eye(rows, columns, dtype=_float_dtype("eye", dtype)))


def zeros_like(input: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Make zeros of the shape and dtype of another tensor.

    Args:
        input: The tensor whose shape and dtype count.
        dtype: Another dtype.

    Example:
        >>> import tt_tensor as tt
        >>> tt.zeros_like(tt.tensor([1, 2]))
        tensor([0, 0])
    """
    return zeros(shape_of("zeros_like", input), dtype=dtype or input.dtype)


def ones_like(input: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Make ones of the shape and dtype of another tensor.

    Args:
        input: The tensor whose shape and dtype count.
        dtype: Another dtype.

    Example:
        >>> import tt_tensor as tt
        >>> tt.ones_like(tt.tensor([1, 2]))
        tensor([1, 1])
    """
    return ones(shape_of("ones_like", input), dtype=dtype or input.dtype)


def empty_like(input: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """Make an uninitialised tensor of the shape and dtype of another.

    Args:
        input: The tensor whose shape and dtype count.
        dtype: Another dtype.

    Example:
        >>> import tt_tensor as tt
        >>> tt.empty_like(tt.tensor([1, 2])).shape
        (2,)
    """
    return empty(shape_of("empty_like", input), dtype=dtype or input.dtype)


def full_like(input: Tensor, fill_value: Number, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor of the shape and dtype of another, filled with one number.

    Args:
        input: The tensor whose shape and dtype count.
        fill_value: The number.
        dtype: Another dtype.

    Example:
        >>> import tt_tensor as tt
        >>> tt.full_like(tt.tensor([1, 2]), 7)
        tensor([7, 7])
    """
    return full(
        shape_of("full_like", input), fill_value, dtype=input.dtype if dtype is None else dtype
    )


def rand(*size: Size, generator: Generator | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Draw numbers evenly from [0, 1).

    Args:
        *size: Sizes, as ints or as one sequence.
        generator: The source; the default one unless given.
        dtype: A floating-point dtype.

    Example:
        >>> import tt_tensor as tt
        >>> bool((tt.rand(3) < 1).all())
        True
    """
    return Tensor._wrap(
        _draw("rand", "random", _shape("rand", size), _float_dtype("rand", dtype), generator)
    )


def randn(
    *size: Size, generator: Generator | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Draw numbers from the normal distribution with mean 0 and variance 1.

    Args:
        *size: Sizes, as ints or as one sequence.
        generator: The source; the default one unless given.
        dtype: A floating-point dtype.

    Raises:
        TypeError: The dtype is not a floating-point one.

    Example:
        >>> import tt_tensor as tt
        >>> tt.randn(2, 3).shape
        (2, 3)
    """
    shape, kind = _shape("randn", size), _float_dtype("randn", dtype)
    return Tensor._wrap(_draw("randn", "standard_normal", shape, kind, generator))


def _draw(
    name: str,
    method: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    generator: Generator | None,
) -> NDArray[Any]:
    if dtype.kind != "f":
        raise TypeError(f"{name}: expected a floating-point dtype, got {dtype.name}")
    # NumPy draws no float16: draw float32 and round, down so that [0, 1) stays below 1.
    exact = dtype if dtype.itemsize > 2 else np.dtype(np.float32)
    values = np.asarray(getattr(numpy_generator(generator), method)(shape, dtype=exact))
    if method == "random" and exact != dtype:
        values = np.floor(values * 2048) / 2048
    return values.astype(dtype, copy=False)


def randint(
    low: int,
    high: Size | None = None,
    size: Size | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Draw integers evenly from ``low`` (0 if only one is given) up to but without ``high``.

    Args:
        low: The least number; 0 if ``high`` is left out, as in ``randint(10, (2, 3))``.
        high: The end, not included.
        size: The shape; ``()`` unless given.
        generator: The source; the default one unless given.
        dtype: Another dtype than int64.

    Raises:
        ValueError: There is no integer in between.
        OverflowError: The dtype does not hold all of them.

    Example:
        >>> import tt_tensor as tt
        >>> tt.randint(0, 10, (2, 3)).shape
        (2, 3)
    """
    if size is None and isinstance(high, Sequence):
        high, size = None, high  # torch's randint(high, size)
    first, last = sizes("randint", (0, low) if high is None else (low, high))
    if first >= last:
        raise ValueError(f"randint: expected low < high, got {first} and {last}")
    kind = check_dtype("randint", np.int64 if dtype is None else dtype)
    cast("randint", np.array([first, last - 1]), kind)
    shape = _shape("randint", (() if size is None else size,))
    drawn = numpy_generator(generator).integers(first, last, shape)
    return Tensor._wrap(np.asarray(drawn).astype(kind))


def randperm(
    n: int, *, generator: Generator | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Draw a random order of the integers from 0 up to but without ``n``.

    Args:
        n: How many.
        generator: The source; the default one unless given.
        dtype: Another dtype than int64.

    Raises:
        OverflowError: The dtype does not hold all of them.
        ValueError: ``n`` is negative.

    Example:
        >>> import tt_tensor as tt
        >>> sorted(tt.randperm(4).tolist())
        [0, 1, 2, 3]
    """
    (count,) = _shape("randperm", (n,))
    kind = check_dtype("randperm", np.int64 if dtype is None else dtype)
    return Tensor._wrap(cast("randperm", numpy_generator(generator).permutation(count), kind))

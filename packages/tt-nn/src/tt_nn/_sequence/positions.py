"""Positions: what tells a transformer where in its sequence a vector stands."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Op, Tensor, defvjp
from tt_nn import init
from tt_nn._apply import apply
from tt_nn._arguments import check_sizes
from tt_nn._module import Module
from tt_nn._parameter import Parameter

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated


def _angles(length: int, dim: int, base: float) -> NDArray[np.float64]:
    """Return the angle of each position in each pair of dimensions: (length, dim / 2)."""
    frequencies = base ** (-np.arange(0, dim, 2) / dim)
    return np.arange(length)[:, None] * frequencies


@lru_cache(maxsize=16)
def _sinusoids(length: int, dim: int, base: float, dtype: np.dtype[Any]) -> Array:
    """Return sines of the angles in even columns, cosines in odd ones: (length, dim), read-only."""
    angles = _angles(length, dim, base)
    table = np.empty((length, dim), dtype)
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles)[:, : dim // 2]
    table.flags.writeable = False
    return table


@lru_cache(maxsize=16)
def _rotations(length: int, dim: int, base: float, dtype: np.dtype[Any]) -> tuple[Array, Array]:
    angles = _angles(length, dim, base)
    cosine, sine = np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
    cosine.flags.writeable = sine.flags.writeable = False
    return cosine, sine


def _capacity(length: int) -> int:
    """Return the length of the table to keep: a power of two, so that few are made."""
    return 1 << max(length - 1, 63).bit_length()


def _rotary(input: Array, offset: int, base: float, back: bool) -> Array:
    """Turn the pairs (i, i + dim / 2) of position t by the angles of ``offset + t``, or back.

    Raises:
        ValueError: The input is not of shape (..., length, an even size) and floating-point.
    """
    if input.ndim < 2 or input.shape[-1] % 2 or input.dtype.kind != "f":
        raise ValueError("expected a floating-point input of shape (..., length, an even size)")
    length, dim = input.shape[-2:]
    cosine, sine = _rotations(_capacity(offset + length), dim, base, input.dtype)
    cosine, sine = cosine[offset : offset + length], sine[offset : offset + length]
    half = dim // 2
    first, second = input[..., :half], input[..., half:]
    out = np.empty_like(input)
    low, high = out[..., :half], out[..., half:]
    np.multiply(first, cosine, out=low)
    np.multiply(second, cosine, out=high)
    if back:
        low += second * sine
        high -= first * sine
    else:
        low -= second * sine
        high += first * sine
    return out


ROTARY = Op("rotary_embedding", _rotary)
defvjp(
    ROTARY,
    input=lambda g, offset, base, back: ROTARY(g, offset=offset, base=base, back=not back),
)


def rotary_embedding(input: tt_tensor.Tensor, offset: int = 0, base: float = 10000.0) -> Tensor:
    r"""Rotate pairs of dimensions by angles that grow with the position.

    Dimensions i and i + dim/2 are a pair, as in LLaMA. At position t its angle is
    :math:`t \cdot base^{-2i/dim}`, so that the product of a rotated query and a rotated key
    depends on how far apart they stand, and on nothing else of their positions.

    Args:
        input: Queries or keys.
        offset: The position of the first.
        base: What the frequencies fall with.

    Shape:
        ``(..., length, dim)``, with an even ``dim``.

    Raises:
        ValueError: The shape does not fit, or ``offset`` is negative.

    Example:
        >>> import tt_autograd as tt
        >>> rotary_embedding(tt.tensor([[1.0, 0.0], [1.0, 0.0]]))
        tensor([[1.0000, 0.0000],
                [0.5403, 0.8415]])

    References:
        Su et al., "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """
    _check_offset("rotary_embedding", offset)
    return apply(ROTARY, input, offset=offset, base=float(base), back=False)


class RotaryPositions(Module):
    """Rotary positions of queries and keys; see `functional.rotary_embedding`.

    Args:
        dim: Size of a head, even.
        base: What the frequencies fall with.

    Shape:
        ``(..., length, dim)``; the output's is the input's.

    Raises:
        ValueError: ``dim`` is not a positive even int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.RotaryPositions(32)(tt.ones(2, 4, 10, 32)).shape
        (2, 4, 10, 32)
    """

    def __init__(self, dim: int, base: float = 10000.0) -> None:
        super().__init__()
        check_sizes("RotaryPositions", dim=dim)
        if dim % 2:
            raise ValueError(f"RotaryPositions: expected an even dim, got {dim}")
        self.dim = dim
        self.base = base

    def forward(self, input: tt_tensor.Tensor, offset: int = 0) -> Tensor:
        """Rotate the vectors of positions ``offset``, ``offset + 1``, and so on."""
        return rotary_embedding(input, offset, self.base)

    def extra_repr(self) -> str:
        """Return size and base."""
        return f"dim={self.dim}, base={self.base:g}"


class SinusoidalPositions(Module):
    r"""Adds sines and cosines of the position: nothing is learned, and no length is too long.

    Dimension 2i of position t receives :math:`\sin(t \cdot base^{-2i/dim})`, dimension 2i + 1 the
    cosine.

    Args:
        dim: Size of the vectors.
        base: What the frequencies fall with.

    Shape:
        ``(..., length, dim)``; the output's is the input's.

    Raises:
        ValueError: ``dim`` is not a positive int.
        TypeError: The vectors are not of a floating-point dtype.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.SinusoidalPositions(4)(tt.zeros(2, 4))
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])

    References:
        Vaswani et al., "Attention is all you need", 2017.
    """

    def __init__(self, dim: int, base: float = 10000.0) -> None:
        super().__init__()
        check_sizes("SinusoidalPositions", dim=dim)
        self.dim = dim
        self.base = base

    def forward(self, input: tt_tensor.Tensor, offset: int = 0) -> Tensor:
        """Add the vectors of positions ``offset``, ``offset + 1``, and so on."""
        length = _length("SinusoidalPositions", input, self.dim, offset)
        if input.dtype.kind != "f":
            raise TypeError(
                f"SinusoidalPositions: expected a floating-point input, got {input.dtype}"
            )
        table = _sinusoids(_capacity(offset + length), self.dim, float(self.base), input.dtype)
        return apply(tt.ops.ADD, input, table[offset : offset + length])

    def extra_repr(self) -> str:
        """Return size and base."""
        return f"dim={self.dim}, base={self.base:g}"


class LearnedPositions(Module):
    """Adds a learned vector for each position.

    They start normal with standard deviation 0.02, as GPT-2's do.

    Args:
        max_length: How many positions there are.
        dim: Size of the vectors.
        dtype: The dtype of the table, the default one unless given.

    Shape:
        ``(..., length, dim)``; the output's is the input's.

    Attributes:
        weight: ``(max_length, dim)``.

    Raises:
        ValueError: A size is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.LearnedPositions(128, 32)(tt.zeros(2, 10, 32)).shape
        (2, 10, 32)
    """

    weight: Parameter

    def __init__(self, max_length: int, dim: int, dtype: DTypeLike | None = None) -> None:
        super().__init__()
        check_sizes("LearnedPositions", max_length=max_length, dim=dim)
        self.max_length = max_length
        self.dim = dim
        self.weight = Parameter(tt.empty(max_length, dim, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight, std=0.02)

    def forward(self, input: tt_tensor.Tensor, offset: int = 0) -> Tensor:
        """Add the vectors of positions ``offset``, ``offset + 1``, and so on."""
        length = _length("LearnedPositions", input, self.dim, offset)
        if offset + length > self.max_length:
            raise ValueError(
                f"LearnedPositions: positions {offset} to {offset + length - 1} do not exist; "
                f"there are {self.max_length}"
            )
        return apply(tt.ops.ADD, input, self.weight[offset : offset + length])

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.max_length}, {self.dim}"


def _length(name: str, input: tt_tensor.Tensor, dim: int, offset: int) -> int:
    """Return how many positions an input has, once it has been checked."""
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
    if input.ndim < 2 or input.shape[-1] != dim:
        raise ValueError(
            f"{name}: expected an input of shape (..., length, {dim}), got {input.shape}"
        )
    _check_offset(name, offset)
    return input.shape[-2]


def _check_offset(name: str, offset: int) -> None:
    if offset < 0:
        raise ValueError(f"{name}: expected an offset of at least 0, got {offset}")

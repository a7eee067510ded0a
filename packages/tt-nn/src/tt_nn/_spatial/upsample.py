"""Upsampling: one linear op along a dimension, its adjoint, `interpolate` and `Upsample`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, Tensor, defvjp
from tt_nn._apply import apply
from tt_nn._compute.precision import check_float
from tt_nn._module import Module

Array = NDArray[Any]
Mode = Literal["nearest", "linear", "bilinear"]
Sizes = int | Sequence[int]
Factors = float | Sequence[float]

# What the outputs along a dimension are made of: indices of inputs, which never fall, with a
# weight for each (None for 1). One such pair for the nearest input, two for its neighbours.
Taps = tuple[tuple[Array, Array | None], ...]


def _along(weights: Array, dim: int, like: Array) -> Array:
    """Return weights as they multiply along a dimension."""
    shape = [1] * like.ndim
    shape[dim] = len(weights)
    return weights.reshape(shape).astype(like.dtype)


def _resample(input: Array, taps: Taps, dim: int, size: int) -> Array:
    check_float(input)
    out = None
    for index, weights in taps:
        part = input.take(index, axis=dim)
        if weights is not None:
            part *= _along(weights, dim, input)
        out = part if out is None else np.add(out, part, out=out)
    assert out is not None
    return out


def _resample_back(grad: Array, taps: Taps, dim: int, size: int) -> Array:
    """Return to each input, of which there are ``size``, the weighed sum of what it went into."""
    shape = list(grad.shape)
    shape[dim] = size
    out = np.zeros(shape, grad.dtype)
    for index, weights in taps:
        part = grad if weights is None else grad * _along(weights, dim, grad)
        starts = np.flatnonzero(
            np.diff(index, prepend=-1)
        )  # each run of equal indices is summed at once
        into = (slice(None),) * dim + (index[starts],)
        out[into] += np.add.reduceat(part, starts, axis=dim)
    return out


RESAMPLE = Op("interpolate", _resample)
RESAMPLE_BACK = Op("interpolate_back", _resample_back, ("grad",))
defvjp(
    RESAMPLE,
    input=lambda g, taps, dim, size: RESAMPLE_BACK(g, taps=taps, dim=dim, size=size),
)
defvjp(
    RESAMPLE_BACK,
    grad=lambda g, taps, dim, size: RESAMPLE(g, taps=taps, dim=dim, size=size),
)


def _taps(mode: Mode, n: int, m: int, factor: float | None, align_corners: bool) -> Taps:
    """Return what each of ``m`` outputs is made of, out of ``n`` inputs."""
    if m == n or (m == 2 * n and mode == "nearest"):
        factor = None  # sizes of such a ratio are taken at their word, as torch does
    if mode == "nearest":
        # In float32 as torch's, which decides what is nearest to a half.
        step = np.float32(1 / factor) if factor is not None else np.float32(n) / np.float32(m)
        index = np.floor(np.arange(m, dtype=np.float32) * step).astype(np.int64)
        return ((np.minimum(index, n - 1), None),)
    if align_corners:
        place = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        place = (np.arange(m) + 0.5) * (n / m if factor is None else 1 / factor) - 0.5
    place = place.clip(0, n - 1)
    low = np.floor(place).astype(np.int64)
    return (low, 1 - (place - low)), (np.minimum(low + 1, n - 1), place - low)


def interpolate(
    input: tt_tensor.Tensor,
    size: Sizes | None = None,
    scale_factor: Factors | None = None,
    mode: Mode = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Return images or sequences of another size.

    Args:
        input: The values.
        size: The new size, one for all dimensions or one for each.
        scale_factor: What to multiply sizes with, in place of ``size``.
        mode: ``"nearest"`` repeats pixels; ``"bilinear"``, for sequences ``"linear"``, mixes
            neighbours.
        align_corners: Whether the centres of corner pixels stay where they are, or, the default,
            the corners themselves. Not for ``"nearest"``.

    Shape:
        ``(N, C, L) -> (N, C, L')`` or ``(N, C, H, W) -> (N, C, H', W')``

    Raises:
        ValueError: The shape or a size does not fit the mode, or there are not exactly one of
            ``size`` and ``scale_factor``.
        TypeError: The input is no tensor of floating-point numbers.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor([[[[1.0, 2.0]]]])
        >>> interpolate(x, scale_factor=2)
        tensor([[[[1., 1., 2., 2.],
                  [1., 1., 2., 2.]]]])
        >>> interpolate(x, size=(1, 3), mode="bilinear", align_corners=True)
        tensor([[[[1.0000, 1.5000, 2.0000]]]])
    """
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(f"interpolate: expected a Tensor, got {type(input).__name__}")
    _check("interpolate", size, scale_factor, mode, align_corners)
    expected = {"linear": (3,), "bilinear": (4,)}.get(mode, (3, 4))
    if input.ndim not in expected or 0 in input.shape[2:]:
        wanted = " or ".join({3: "(N, C, L)", 4: "(N, C, H, W)"}[n] for n in expected)
        raise ValueError(
            f"interpolate: expected an input of shape {wanted} for mode {mode!r}, got {input.shape}"
        )
    old = input.shape[2:]
    factors: tuple[Any, ...]
    if size is not None:
        new, factors = _per_dim("size", size, len(old)), (None,) * len(old)
    else:
        factors = _per_dim("scale_factor", scale_factor, len(old))
        new = tuple(math.floor(n * factor) for n, factor in zip(old, factors, strict=True))
    if any(not isinstance(m, int | np.integer) or m < 1 for m in new):
        raise ValueError(f"interpolate: expected positive ints as sizes, got {new} from {old}")
    out: Any = input
    for dim, (n, m, factor) in enumerate(zip(old, new, factors, strict=True), 2):
        taps = _taps(mode, n, m, factor, bool(align_corners))
        out = apply(RESAMPLE, out, taps=taps, dim=dim, size=n)
    result: Tensor = out
    return result


def _per_dim(name: str, value: Any, dims: int) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, Sequence) else (value,) * dims
    if len(values) != dims:
        raise ValueError(f"interpolate: expected one {name} or {dims}, got {value!r}")
    return values


def _check(
    name: str,
    size: Sizes | None,
    scale_factor: Factors | None,
    mode: str,
    align_corners: bool | None,
) -> None:
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"{name}: expected either size or scale_factor, got {size!r} and {scale_factor!r}"
        )
    if mode not in ("nearest", "linear", "bilinear"):
        raise ValueError(f"{name}: expected mode 'nearest', 'linear' or 'bilinear', got {mode!r}")
    if align_corners is not None and mode == "nearest":
        raise ValueError(f"{name}: align_corners is for modes 'linear' and 'bilinear' only")
    given = size if scale_factor is None else scale_factor
    for each in given if isinstance(given, Sequence) else (given,):
        if not isinstance(each, int | float | np.integer) or not 0 < each < math.inf:
            what = "size" if scale_factor is None else "scale_factor"
            raise ValueError(f"{name}: expected {what} to be positive, got {given!r}")


class Upsample(Module):
    """Makes images or sequences larger; see `functional.interpolate`.

    Args:
        size: The new size, one for all dimensions or one for each.
        scale_factor: What to multiply sizes with, in place of ``size``.
        mode: ``"nearest"`` repeats pixels; ``"bilinear"``, for sequences ``"linear"``, mixes
            neighbours.
        align_corners: Whether the centres of corner pixels stay where they are, or, the default,
            the corners themselves. Not for ``"nearest"``.

    Shape:
        ``(N, C, L) -> (N, C, L')`` or ``(N, C, H, W) -> (N, C, H', W')``

    Raises:
        ValueError: There are not exactly one of ``size`` and ``scale_factor``, one of them is not
            positive, or the mode is unknown.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Upsample(scale_factor=2)(tt.ones(1, 3, 16, 16)).shape
        (1, 3, 32, 32)
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Factors | None = None,
        mode: Mode = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        _check("Upsample", size, scale_factor, mode, align_corners)
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Make the input larger."""
        return interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        """Return the size or the factor, and the mode."""
        by = f"size={self.size}" if self.size is not None else f"scale_factor={self.scale_factor}"
        return f"{by}, mode={self.mode!r}"

"""What is no matrix product, in NumPy: passes over pieces that stay in cache.

Arrays are C-contiguous. A kernel works on the part of the first dimension from ``lo`` to ``hi``, so
that threads can share the work. `loops` has the same kernels in one pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Elements: fewer would be as good for one thread, but two hand each other the interpreter's lock at
# every call. Measured best of 32,768 to a million.
_PIECE = 1 << 18


def _pieces(x: Array, lo: int, hi: int) -> Iterator[slice]:
    step = max(1, _PIECE * len(x) // max(1, x.size))
    return (slice(start, min(start + step, hi)) for start in range(lo, hi, step))


# Elementwise, on (rows, columns)


def relu(x: Array, out: Array, lo: int, hi: int) -> None:
    """``out = max(x, 0)``."""
    np.maximum(x[lo:hi], 0, out=out[lo:hi])


def relu_slope(g: Array, y: Array, out: Array, lo: int, hi: int) -> None:
    """``out = g * (y > 0)``."""
    for part in _pieces(y, lo, hi):
        np.multiply(g[part], y[part] > 0, out=out[part])


# By channels: values are (outer, channels, inner), other arrays hold one number for each channel


def _along(values: Array, x: Array) -> Array:
    """Return numbers of the channels as what broadcasts to (..., channels, inner) fast."""
    if x.shape[1] * x.shape[2] > _PIECE:
        return values[:, None]
    return np.repeat(values, x.shape[2]).reshape(x.shape[1:])


def _sum(x: Array) -> Array:
    ones = np.ones(x.shape[2], x.dtype)
    sums = np.matmul(x.reshape((-1, x.shape[2])), ones).reshape(x.shape[:2])
    return np.asarray(sums.sum(axis=0, dtype=np.float64))


def _dot(x: Array, y: Array) -> Array:
    return np.asarray(np.vecdot(x, y).sum(axis=0, dtype=np.float64))


def moments(x: Array, lo: int, hi: int) -> tuple[int, Array, Array]:
    """Return the count of each channel's values, the mean, and the squared deviations' sum."""
    mean, squares = np.zeros((2, x.shape[1]))
    done = 0
    for part in _pieces(x, lo, hi):
        values = x[part]
        count = len(values) * x.shape[2]
        centre = _sum(values) / count
        d = values - _along(centre.astype(x.dtype), x)
        # One more group of values among those before it (Chan et al., 1979)
        apart = centre - mean
        mean += apart * (count / (done + count))
        squares += _dot(d, d) + apart * apart * (count * done / (done + count))
        done += count
    return (hi - lo) * x.shape[2], mean, squares


def standardise(
    x: Array, mean: Array, scale: Array, shift: Array, out: Array, lo: int, hi: int
) -> None:
    """``out = (x - mean) scale + shift``."""
    mean, scale, shift = (_along(values, x) for values in (mean, scale, shift))
    for part in _pieces(x, lo, hi):
        result = np.subtract(x[part], mean, out=out[part])
        result *= scale
        result += shift


def products(g: Array, x: Array, mean: Array, lo: int, hi: int) -> tuple[Array, Array]:
    """Return the sums of ``g`` and of ``g (x - mean)``."""
    mean = _along(mean, x)
    sums, dots = np.zeros((2, x.shape[1]))
    for part in _pieces(x, lo, hi):
        sums += _sum(g[part])
        dots += _dot(g[part], x[part] - mean)
    return sums, dots


def standardise_slope(
    g: Array, x: Array, mean: Array, scale: Array, tilt: Array, shift: Array, out: Array,
    lo: int, hi: int,
) -> None:  # fmt: skip
    """``out = g scale + (x - mean) tilt + shift``."""
    mean, scale, tilt, shift = (_along(values, x) for values in (mean, scale, tilt, shift))
    for part in _pieces(x, lo, hi):
        result = np.subtract(x[part], mean, out=out[part])
        result *= tilt
        result += shift
        result += g[part] * scale

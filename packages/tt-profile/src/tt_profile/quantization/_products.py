"""Products with weights of few bits: floats again, but only a piece at a time; or integers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_nn import backend
from tt_nn.seam import compiled, parallel

from . import _loops

Array = NDArray[Any]
Rows = Callable[[int, int], Array]

_PIECE = 1 << 18  # weights that are floats at a time: 1 MB, which a second-level cache holds
_LARGE = 1 << 24  # multiplications from which on threads share the work
_LONGEST = 1 << 16  # products of int16 by int8 whose sum an int32 holds: 255 * 128 * 2^16 < 2^31

# Rows up to which a compiled loop takes less time than a cast and BLAS. Microseconds, medians, on
# one thread of a machine with AVX-512; NumPy 2.4 with OpenBLAS, numba 0.68:
#
#   weight, rows     floats, BLAS   int8, cast and BLAS   int8, loop   int8 by int8, loop
#   128 x 784, 1                5                    19            5                    7
#   1024 x 1024, 1             55                   174           37                   34
#   1024 x 1024, 4            265                   846          144                  106
#   1024 x 1024, 16           780                  1096          652                  431
#   1024 x 1024, 64          1687                  2058         2297                 1709
#   4096 x 4096, 1           2660                  3127          786                  478
_FEW, _FEW_INTEGERS = 8, 32


@cache
def _compiled(name: str) -> Callable[..., None] | None:
    """Return a loop of `_loops`, compiled; None without numba."""
    if backend() == "numpy":
        return None
    return compiled(getattr(_loops, name), fastmath={"reassoc", "nsz", "contract"})


def float_product(x: Array, weight: Array, zero_point: Array | None) -> Array:
    """Return ``x @ (weight - zero_point).T`` of floats with int8.

    Args:
        x: ``(rows, in)``.
        weight: ``(out, in)``.
        zero_point: One for all, or ``(out, 1)``.
    """
    loop = _compiled("float_product") if len(x) <= _FEW and x.dtype == np.float32 else None
    if loop is None:
        return in_pieces(x, _cast(weight, zero_point, x.dtype), len(weight))
    out = np.empty((len(x), len(weight)), np.float32)
    x = np.ascontiguousarray(x)
    _share(lambda lo, hi: loop(x, weight, out, lo, hi), len(weight), x, weight)
    if zero_point is not None:
        out -= x.sum(axis=1, keepdims=True) * zero_point.reshape(-1)  # (rows, 1) * (out,)
    return out


def integer_product(x: Array, weight: Array, zero_point: Array | None) -> Array:
    """Return ``x @ (weight - zero_point).T`` of integers from -255 to 255 with int8, as floats.

    In int32 by a compiled loop; else by BLAS in float32, which is as exact up to sums of 2^24.

    Args:
        x: ``(rows, in)``, integers as floats.
        weight: ``(out, in)``.
        zero_point: One for all, or ``(out, 1)``.
    """
    fits = len(x) <= _FEW_INTEGERS and x.shape[1] < _LONGEST and not np.isnan(x).any()
    loop = _compiled("integer_product") if fits else None
    if loop is None:
        return in_pieces(x, _cast(weight, zero_point, x.dtype), len(weight))
    out = np.empty((len(x), len(weight)), np.int32)
    narrow = np.ascontiguousarray(x, np.int16)
    _share(lambda lo, hi: loop(narrow, weight, out, lo, hi), len(weight), x, weight)
    if zero_point is not None:
        sums = narrow.sum(axis=1, dtype=np.int64, keepdims=True)  # (rows, 1)
        return np.asarray(out - sums * zero_point.reshape(-1), x.dtype)
    return out.astype(x.dtype)


def in_pieces(x: Array, rows: Rows, out_features: int) -> Array:
    """Return ``x @ weight.T`` where ``rows(lo, hi)`` makes those rows of the weight.

    Args:
        x: ``(rows, in)``.
        rows: Makes a part of ``(out, in)``.
        out_features: How many rows the weight has.
    """
    out = np.empty((len(x), out_features), x.dtype)
    step = _step(x.shape[1])

    def run(start: int, stop: int) -> None:
        for lo in range(start, stop, step):
            hi = min(lo + step, stop)
            np.matmul(x, rows(lo, hi).T, out=out[:, lo:hi])

    if x.size * out_features < _LARGE:
        run(0, out_features)
    else:
        parallel(run, out_features)
    return out


def slope_in_pieces(g: Array, rows: Rows, in_features: int) -> Array:
    """Return ``g @ weight`` where ``rows(lo, hi)`` makes those rows of the weight."""
    out = np.zeros((len(g), in_features), g.dtype)
    step = _step(in_features)
    for lo in range(0, g.shape[1], step):
        out += g[:, lo : lo + step] @ rows(lo, min(lo + step, g.shape[1]))
    return out


def _step(columns: int) -> int:
    return max(1, _PIECE // max(1, columns))


def _cast(weight: Array, zero_point: Array | None, dtype: np.dtype[Any]) -> Rows:
    """Return what makes floats of rows of int8."""
    if zero_point is None:
        return lambda lo, hi: weight[lo:hi].astype(dtype)
    each = np.broadcast_to(zero_point, (len(weight), 1))
    return lambda lo, hi: weight[lo:hi] - each[lo:hi].astype(dtype)


def _share(run: Callable[[int, int], None], total: int, x: Array, weight: Array) -> None:
    if len(x) * weight.size < _LARGE:
        run(0, total)
    else:
        parallel(run, total)

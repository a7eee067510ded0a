"""The kernel that layer, group and RMS normalisation share, in cache-sized pieces.

It keeps the moments, and neither centred nor normalised values: making those anew from the input,
a piece at a time, is faster than writing them to memory and reading them back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tt_nn._compute.backend import Kernel, loop
from tt_nn._compute.threads import parallel

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated
Axes = tuple[int, ...]

T = TypeVar("T")

_LARGE = 1 << 17  # elements from which on threads share the work
_PIECE = 65536  # elements; measured best of 8,192 to 262,144 for 2048 rows of 128


class Moments(NamedTuple):
    """What the derivative needs beside the input, with the reduced dimensions kept as 1.

    Attributes:
        mean: The mean; 0 for a normalisation that does not centre.
        scale: 1 / sqrt(mean square of the centred values + eps).
    """

    mean: Array
    scale: Array


def working(*values: Array | None) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return the dtype of the result, and the one to compute in, which is wider than float16."""
    dtype = np.result_type(*(value for value in values if value is not None))
    return dtype, np.result_type(dtype, np.float32)


def normalise(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    axes: Axes,
    eps: float,
    centre: bool,
    out: Array,
) -> Moments:
    """Leave ``(x - mean) / sqrt(var + eps) * weight + bias`` in ``out``.

    Args:
        x: The values; their first dimension is not among ``axes``.
        weight: What broadcasts to ``x``, or None.
        bias: The same.
        axes: The dimensions that mean and variance are taken over.
        eps: Keeps the divisor from 0.
        centre: Whether to subtract the mean; without, the divisor is the root mean square.
        out: Where the result goes, in float32 or float64.
    """
    dtype = out.dtype
    kept = tuple(1 if d in axes else n for d, n in enumerate(x.shape))
    moments = Moments(np.zeros(kept, dtype), np.empty(kept, dtype))
    compiled = _loop("normalise_rows", x, axes)
    if compiled is not None:
        row = [_row(p, x, fill) for p, fill in ((weight, 1), (bias, 0))]
        _share(lambda *rows: compiled(x, *row, dtype.type(eps), centre, *moments, out, *rows), x)
        return moments

    def run(start: int, stop: int) -> None:
        for part in _pieces(x, start, stop):
            values, result = x[part], out[part]
            if centre:
                moments.mean[part] = _mean(values, axes)
                values = np.subtract(values, moments.mean[part], out=result)
            scale = np.divide(
                1, np.sqrt(_mean_product(values, values, axes) + dtype.type(eps)),
                out=moments.scale[part],
            )  # fmt: skip
            np.multiply(values, scale, out=result)
            if weight is not None:
                result *= weight
            if bias is not None:
                result += bias

    _share(run, x)
    return moments


def slopes(
    g: Array,
    x: Array,
    weight: Array | None,
    shape: tuple[int, ...],
    moments: Moments,
    axes: Axes,
    centre: bool,
    needs: tuple[bool, ...],
    dx: Array,
) -> tuple[Array | None, Array | None]:
    """Leave the gradient of ``x`` in ``dx``, and return those of weight and bias where needed.

    With h the normalised values and v = g * weight, that of ``x`` is
    scale * (v - mean(v) - h * mean(v * h)), without the first mean if nothing was centred.

    Args:
        g: The gradient of the result.
        x: The values, and with them the arguments of `normalise`.
        weight: A factor, or None.
        shape: The shape in which weight and bias stand beside ``x``.
        moments: What `normalise` returned.
        axes: The dimensions that mean and variance were taken over.
        centre: Whether the mean was subtracted.
        needs: Which of ``x``, weight and bias need a gradient.
        dx: Where that of ``x`` goes.
    """
    compiled = _loop("normalise_rows_slope", x, axes) if g.flags.c_contiguous else None
    if compiled is not None:
        row = _row(weight, x, 1)
        parts = _share(lambda *rows: compiled(g, x, row, *moments, centre, dx, *rows), x)
        dweight, dbias = (sum(each).reshape(shape) for each in zip(*parts, strict=True))
        return dweight if needs[1] else None, dbias if needs[2] else None

    def run(start: int, stop: int) -> tuple[Array, Array]:
        dweight, dbias = np.zeros(shape, dx.dtype), np.zeros(shape, dx.dtype)
        for part in _pieces(x, start, stop):
            v, scale = g[part], moments.scale[part]
            h = np.subtract(x[part], moments.mean[part])
            h *= scale
            if needs[1]:
                dweight += _sum_to(v * h, shape)
            if needs[2]:
                dbias += _sum_to(v, shape)
            if needs[0]:
                if weight is not None:
                    v = v * weight
                h *= _mean_product(v, h, axes)
                if centre:
                    h += _mean(v, axes)
                result = np.subtract(v, h, out=dx[part])
                result *= scale
        return dweight, dbias

    dweight, dbias = (sum(each) for each in zip(*_share(run, x), strict=True))
    return dweight if needs[1] else None, dbias if needs[2] else None


def of_plain_ops(
    x: Value, weight: Value, bias: Value, axes: Axes, eps: float, centre: bool
) -> Value:
    """Return what `normalise` does, in ops that can be differentiated any number of times."""
    if centre:
        x = x - x.mean(axis=axes, keepdims=True)
    out = x / ((x * x).mean(axis=axes, keepdims=True) + eps).sqrt()
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def _pieces(x: Array, start: int, stop: int) -> Iterator[slice]:
    """Cut the first dimension so that the temporaries of a piece stay in cache."""
    step = x.shape[0]
    if x.flags.c_contiguous and x.size:
        step = max(1, _PIECE * step // x.size)
    return (slice(at, min(at + step, stop)) for at in range(start, stop, step or 1))


def _share(run: Callable[[int, int], T], x: Array) -> list[T]:
    """Run over the first dimension, in threads if there is much to do."""
    return [run(0, len(x))] if x.size < _LARGE else parallel(run, len(x))


def _loop(name: str, x: Array, axes: Axes) -> Kernel | None:
    """Return the compiled loop over the rows of a matrix, where there is one and it fits."""
    rows = x.ndim == 2 and axes == (1,) and x.flags.c_contiguous and x.dtype.itemsize >= 4
    return loop(name) if rows else None


def _row(parameter: Array | None, x: Array, fill: int) -> Array:
    """Return a parameter as a row of the dtype of the values, or one that changes nothing."""
    if parameter is None:
        return np.full(x.shape[1], fill, x.dtype)
    return np.ascontiguousarray(parameter.reshape(-1), x.dtype)


def _as_rows(x: Array, axes: Axes) -> tuple[Array, tuple[int, ...]] | None:
    """Return contiguous values as a matrix with one row for each mean, and the means' shape."""
    leading = x.ndim - len(axes)
    if not x.flags.c_contiguous or axes != tuple(range(leading, x.ndim)):
        return None
    shape = (*x.shape[:leading], *(1,) * len(axes))
    return x.reshape((math.prod(shape), math.prod(x.shape[leading:]))), shape


def _mean(x: Array, axes: Axes) -> Array:
    rows = _as_rows(x, axes)
    if rows is None:
        return np.asarray(x.mean(axis=axes, keepdims=True))
    matrix, shape = rows
    count = matrix.shape[1]
    return np.asarray(matrix @ np.full(count, 1 / count, x.dtype)).reshape(shape)


def _mean_product(a: Array, b: Array, axes: Axes) -> Array:
    rows, others = _as_rows(a, axes), _as_rows(b, axes)
    if rows is None or others is None:
        return np.asarray((a * b).mean(axis=axes, keepdims=True))
    matrix, shape = rows
    return np.asarray(np.vecdot(matrix, others[0]) / a.dtype.type(matrix.shape[1])).reshape(shape)


def _sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum over the dimensions along which ``shape`` is stretched to that of ``x``."""
    if x.ndim == 2 and x.flags.c_contiguous:
        return np.asarray(np.ones(len(x), x.dtype) @ x).reshape(shape)
    dims = tuple(d for d, n in enumerate(shape) if n == 1)
    return np.asarray(x.sum(axis=dims, keepdims=True))

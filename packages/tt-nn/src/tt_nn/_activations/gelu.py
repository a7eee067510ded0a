"""GELU: its op, with the slope made in the same pass, and its derivative."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, defvjp, ops
from tt_nn._compute.backend import backend, loop, run
from tt_nn._compute.memory import as_rows, dense, memory_order, restored
from tt_nn._compute.precision import widen
from tt_nn._compute.threads import parallel
from tt_tensor import apply

Array = NDArray[Any]
T = TypeVar("T", bound=tt_tensor.Tensor)

_CHUNK = 65536  # elements, of which five arrays are alive; measured best of 4,096 to 262,144
_NO_SLOPES = np.empty((0, 0), np.float32)
_CUBIC = 0.044715
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)


def _exact(x: Array, out: Array, slope: Array) -> None:
    r"""Write :math:`x \Phi(x)`, and its slope :math:`\Phi(x) + x \phi(x)`.

    :math:`\Phi(x) = (1 + \text{erf}(x / \sqrt 2)) / 2` is the Gaussian distribution function,
    :math:`\phi(x) = e^{-x^2 / 2} / \sqrt{2 \pi}` its density; ``ops.ERF`` takes arrays.

    Args:
        x: The values, which stay as they are.
        out: Where the result goes.
        slope: Where the slope goes.
    """
    distribution: Array = ops.ERF(x * _SQRT_HALF)
    distribution += 1
    distribution *= 0.5
    np.multiply(x, distribution, out=out)
    np.multiply(x, x, out=slope)
    slope *= -0.5
    np.exp(slope, out=slope)
    slope *= x
    slope *= _DENSITY
    slope += distribution


def _tanh(x: Array, out: Array, slope: Array) -> None:
    r"""Write :math:`x (1 + t) / 2`, and its slope :math:`(1 + t) / 2 + x (1 - t^2) u' / 2`.

    With :math:`t = \tanh(u)` and :math:`u = \sqrt{2 / \pi} \, (x + 0.044715 x^3)`.

    Args:
        x: The values, which stay as they are.
        out: Where the result goes.
        slope: Where the slope goes.
    """
    square = x * x
    np.multiply(square, _SQRT_2_OVER_PI * _CUBIC, out=slope)
    slope += _SQRT_2_OVER_PI
    slope *= x
    t = np.tanh(slope, out=slope)
    half = t + 1
    half *= 0.5
    np.multiply(x, half, out=out)
    # (1 - t^2) / 2 = 2 h (1 - h) with h = (1 + t) / 2
    square *= 3 * _CUBIC * _SQRT_2_OVER_PI
    square += _SQRT_2_OVER_PI
    square *= out
    np.subtract(1, half, out=slope)
    slope *= square
    slope += slope
    slope += half


def _gelu_recorded(input: Array, approximate: str, keep: bool = True) -> tuple[Array, Array]:
    """Return the values and, to keep for backward, their slopes."""
    kernel = {"none": _exact, "tanh": _tanh}.get(approximate)
    if kernel is None:
        raise ValueError("expected approximate to be 'none' or 'tanh'")
    order = memory_order(input)
    x = dense(widen(input), order)
    out, slope = np.empty_like(x), np.empty(x.shape if keep else 0, x.dtype)
    if kernel is _tanh and input.dtype == np.float32 and backend() == "numba":
        rows = as_rows(x)
        run("gelu_tanh", rows, as_rows(out), as_rows(slope) if keep else slope.reshape(0, 0))
        return restored(out, order), restored(slope, order) if keep else slope
    flat, values, slopes = x.reshape(-1), out.reshape(-1), slope.reshape(-1)

    def pieces(first: int, last: int) -> None:
        spare = slopes if keep else np.empty(min(x.size, _CHUNK), x.dtype)
        for start in range(first * _CHUNK, min(last * _CHUNK, x.size), _CHUNK):
            part = slice(start, min(start + _CHUNK, x.size))
            kernel(flat[part], values[part], spare[part] if keep else spare[: part.stop - start])

    parallel(pieces, -(-x.size // _CHUNK))
    out = restored(out.astype(input.dtype, copy=False), order)
    return out, restored(slope, order) if keep else slope


def _gelu(input: Array, approximate: str) -> Array:
    if input.size < _CHUNK:
        return small_gelu(input, approximate)
    return _gelu_recorded(input, approximate, keep=False)[0]


def small_gelu(input: Array, approximate: str) -> Array:
    """Return the values alone, of few: there are no slopes, and nothing to share."""
    compiled = loop("gelu_tanh") if approximate == "tanh" and input.dtype == np.float32 else None
    if compiled is None or not input.flags.c_contiguous:
        return np.asarray(ops.GELU.forward(input, approximate))
    out = np.empty_like(input)
    compiled(input.reshape((1, -1)), out.reshape((1, -1)), _NO_SLOPES, 0, 1)
    return out


def _gelu_slope(g: Array, aux: Array) -> Array:
    """Return the product of the two, in the order of memory of the slope."""
    order = memory_order(aux)
    slope, grads = dense(aux, order).reshape(-1), dense(g, order).reshape(-1)
    out = np.empty(slope.shape, np.result_type(g, aux))

    def pieces(first: int, last: int) -> None:
        part = slice(first * _CHUNK, last * _CHUNK)
        np.multiply(grads[part], slope[part], out=out[part])

    parallel(pieces, -(-slope.size // _CHUNK))
    return restored(out.reshape([aux.shape[d] for d in order]), order)


GELU = Op("gelu", _gelu, ("input",), recorded=_gelu_recorded)
defvjp(
    GELU,
    joint=lambda g, aux: (_gelu_slope(g, aux),),
    composite=lambda input, approximate: ops.GELU(input, approximate=approximate),
)


def gelu(input: T, approximate: Literal["none", "tanh"] = "none") -> T:
    r"""Return :math:`x \, \Phi(x)`, with the Gaussian distribution function.

    Args:
        input: The values.
        approximate: ``"none"`` for the exact function, ``"tanh"`` for its approximation.

    Raises:
        ValueError: ``approximate`` is neither.

    Example:
        >>> import tt_autograd as tt
        >>> gelu(tt.tensor([-1.0, 1.0]))
        tensor([-0.1587,  0.8413])

    References:
        Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    return apply(GELU, input, approximate=approximate)

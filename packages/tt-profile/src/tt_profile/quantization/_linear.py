"""Linear maps whose weight is stored in few bits, as ops: only a piece of it is ever floats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Op, defnograd, defvjp
from tt_autograd.seam import identity
from tt_nn.functional import linear

from ._affine import DEQUANTIZE
from ._int4 import unpack_int4
from ._products import Rows, float_product, in_pieces, integer_product, slope_in_pieces

Array = NDArray[Any]


def _rows(x: Array, scale: Array) -> Array:
    """Join the leading dimensions, (..., n) -> (rows, n), in the dtype of the result."""
    joined = x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))
    return joined.astype(np.result_type(x, scale), copy=False)


def _apart(out: Array, like: Array) -> Array:
    """Part them again: (rows, n) -> (..., n)."""
    return out.reshape((*like.shape[:-1], out.shape[-1]))


def _check(input: Array, weight: tuple[int, ...], bias: Array | None) -> None:
    out_features, in_features = weight
    if not input.ndim or input.shape[-1] != in_features:
        raise ValueError(f"expected an input of shape (..., {in_features})")
    if bias is not None and bias.shape != (out_features,):
        raise ValueError(f"expected a bias of shape ({out_features},)")


# Weights of int8: (out, in), with one scale and zero point for all, or (out, 1)


def _int8_linear(
    input: Array, values: Array, scale: Array, zero_point: Array | None, bias: Array | None
) -> Array:
    """Return ``input @ ((values - zero_point) * scale).T + bias``: ``(..., in) -> (..., out)``.

    The scale, one for each output, moves out of the sum: it is multiplied into what
    `float_product` returns, which never makes floats of the whole weight.

    Raises:
        ValueError: The input or the bias does not fit the weight; `_check` sees to that.
    """
    _check(input, values.shape, bias)
    out = float_product(_rows(input, scale), values, zero_point)
    out *= scale.reshape(-1)
    if bias is not None:
        out += bias
    return _apart(out, input)


def _int8_slope(g: Array, values: Array, scale: Array, zero_point: Array | None) -> Array:
    scaled = _rows(g, scale) * scale.reshape(-1)
    zero = None if zero_point is None else np.broadcast_to(zero_point, (len(values), 1))

    def rows(lo: int, hi: int) -> Array:
        part = values[lo:hi].astype(scaled.dtype)
        if zero is not None:
            part -= zero[lo:hi]
        return part

    return _apart(slope_in_pieces(scaled, rows, values.shape[1]), g)


INT8_LINEAR = Op("int8_linear", _int8_linear, ("input", "values", "scale", "zero_point", "bias"))
defvjp(
    INT8_LINEAR,
    input=_int8_slope,
    bias=identity,
    composite=lambda input, values, scale, zero_point, bias: linear(
        input, DEQUANTIZE(values, scale, zero_point), bias
    ),
)


# Weights of int4: bytes of (out, groups, size / 2), with scales and zero points of (out, groups, 1)


def dequantize_int4(values: Array, scale: Array, zero_point: Array | None, columns: int) -> Array:
    """Return the floats of rows of packed groups, whose ends may be padding: (rows, columns)."""
    out = unpack_int4(values, scale.dtype)  # (rows, groups, size)
    if zero_point is not None:
        out -= zero_point
    out *= scale
    return out.reshape((len(values), -1))[:, :columns]


def _int4_rows(values: Array, scale: Array, zero_point: Array | None, columns: int) -> Rows:
    def rows(lo: int, hi: int) -> Array:
        zero = None if zero_point is None else zero_point[lo:hi]
        return dequantize_int4(values[lo:hi], scale[lo:hi], zero, columns)

    return rows


def _int4_linear(
    input: Array,
    values: Array,
    scale: Array,
    zero_point: Array | None,
    bias: Array | None,
    columns: int,
) -> Array:
    _check(input, (len(values), columns), bias)
    rows = _int4_rows(values, scale, zero_point, columns)
    out = in_pieces(_rows(input, scale), rows, len(values))
    if bias is not None:
        out += bias
    return _apart(out, input)


def _int4_slope(
    g: Array, values: Array, scale: Array, zero_point: Array | None, columns: int
) -> Array:
    rows = _int4_rows(values, scale, zero_point, columns)
    return _apart(slope_in_pieces(_rows(g, scale), rows, columns), g)


DEQUANTIZE_INT4 = Op("dequantize_int4", dequantize_int4, ("values", "scale", "zero_point"))
defnograd(DEQUANTIZE_INT4)
INT4_LINEAR = Op("int4_linear", _int4_linear, ("input", "values", "scale", "zero_point", "bias"))
defvjp(
    INT4_LINEAR,
    input=_int4_slope,
    bias=identity,
    composite=lambda input, values, scale, zero_point, bias, columns: linear(
        input, DEQUANTIZE_INT4(values, scale, zero_point, columns=columns), bias
    ),
)


# Inputs of int8 as well


def _quantized_linear(
    input: Array,
    input_scale: Array,
    input_zero_point: Array,
    values: Array,
    scale: Array,
    zero_point: Array | None,
    bias: Array | None,
) -> Array:
    """Return ``s_x s_w (round(input / s_x) + z_x - z_x) @ (values - zero_point).T + bias``.

    The input's rounded numbers, clipped to int8 before ``z_x`` is taken off again, go into
    `integer_product`, and its sums are scaled: ``(..., in) -> (..., out)``.

    Raises:
        ValueError: The input or the bias does not fit the weight; `_check` sees to that.
    """
    _check(input, values.shape, bias)
    x = np.rint(_rows(input, scale) * np.reciprocal(input_scale))
    x += input_zero_point
    np.clip(x, -128, 127, out=x)
    x -= input_zero_point
    out = integer_product(x, values, zero_point)
    out *= input_scale * scale.reshape(-1)
    if bias is not None:
        out += bias
    return _apart(out, input)


QUANTIZED_LINEAR = Op(
    "quantized_linear",
    _quantized_linear,
    ("input", "input_scale", "input_zero_point", "values", "scale", "zero_point", "bias"),
)
defnograd(QUANTIZED_LINEAR)

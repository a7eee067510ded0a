"""Arithmetic, elementwise: sums, products, powers, limits, rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import Array, Op, Operand, Scalar, T, apply, binary, explain_broadcast

ADD = binary("add", np.add)
SUB = binary("sub", np.subtract)
MUL = binary("mul", np.multiply)
DIV = binary("div", np.true_divide)
FLOOR_DIVIDE = binary("floor_divide", np.floor_divide)
REMAINDER = binary("remainder", np.remainder)
MAXIMUM = binary("maximum", np.maximum)
MINIMUM = binary("minimum", np.minimum)
NEG = Op("neg", np.negative)
ABS = Op("abs", np.absolute)
SIGN = Op("sign", np.sign)
SQUARE = Op("square", np.square)
RECIPROCAL = Op("reciprocal", lambda input: np.true_divide(1, input))
FLOOR = Op("floor", np.floor)
CEIL = Op("ceil", np.ceil)
CLONE = Op("clone", lambda input: np.array(input, order="C"))
CAST = Op("cast", lambda input, dtype: input.astype(dtype))


def _pow(input: Array | Scalar, other: Array | Scalar) -> Array:
    # np.power costs over a hundred times a product, so small exponents are written out.
    if isinstance(input, np.ndarray) and isinstance(other, int | float) and input.dtype.kind == "f":
        if other == 2:
            return np.square(input)
        if other == 3:
            return np.asarray(input * input * input)
        if other == 0.5:
            return np.sqrt(input)
        if other == -1:
            return np.true_divide(1, input)
    return np.asarray(np.power(input, other))


def _explain_pow(input: Array | Scalar, other: Array | Scalar) -> str | None:
    text = explain_broadcast(input, other)
    if text is None and np.result_type(input, other).kind in "iu":
        text = "integers have no negative powers; make one of them floating-point with .to(...)"
    return text


def _round(input: Array, decimals: int) -> Array:
    if not isinstance(decimals, int):
        raise TypeError("expected decimals to be an int")
    return np.round(input, decimals)


def _clip(input: Array, min: Any, max: Any) -> Array:
    if min is None and max is None:
        raise ValueError("expected min or max or both")
    return np.clip(input, min, max)


def _explain_clip(input: Array, min: Any, max: Any) -> str | None:
    return explain_broadcast(*(v for v in (input, min, max) if v is not None))


POW = Op("pow", _pow, ("input", "other"), explain=_explain_pow)
ROUND = Op("round", _round)
CLIP = Op("clip", _clip, ("input", "min", "max"), explain=_explain_clip)


def add(input: T, other: Operand) -> T:
    """Add elementwise, ``input + other``, with NumPy's broadcasting and promotion.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.add(tt.tensor([1.0, 2.0]), 10)
        tensor([11., 12.])
    """
    return apply(ADD, input, other)


def sub(input: T, other: Operand) -> T:
    """Subtract elementwise, ``input - other``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.sub(tt.tensor([1.0, 2.0]), 1)
        tensor([0., 1.])
    """
    return apply(SUB, input, other)


def mul(input: T, other: Operand) -> T:
    """Multiply elementwise, ``input * other``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.mul(tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0]))
        tensor([3., 8.])
    """
    return apply(MUL, input, other)


def div(input: T, other: Operand) -> T:
    """Divide elementwise, ``input / other``; integers give floats.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.div(tt.tensor([1.0, 3.0]), 2)
        tensor([0.5000, 1.5000])
    """
    return apply(DIV, input, other)


def floor_divide(input: T, other: Operand) -> T:
    """Divide and round down, ``floor(input / other)``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.floor_divide(tt.tensor([7, -7]), 2)
        tensor([ 3, -4])
    """
    return apply(FLOOR_DIVIDE, input, other)


def remainder(input: T, other: Operand) -> T:
    """Return what floor division leaves, with the sign of ``other``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.remainder(tt.tensor([7, -7]), 2)
        tensor([1, 1])
    """
    return apply(REMAINDER, input, other)


def pow(input: T, exponent: Operand) -> T:
    """Raise elementwise to a power, ``input ** exponent``.

    Args:
        input: A tensor, or a number beside a tensor.
        exponent: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast, or an integer is raised to a negative one.

    Example:
        >>> import tt_tensor as tt
        >>> tt.pow(tt.tensor([1.0, 2.0]), 3)
        tensor([1., 8.])
    """
    return apply(POW, input, exponent)


def maximum(input: T, other: Operand) -> T:
    """Return the larger of two values, elementwise; NaN where either is NaN.

    Where both are equal, each receives half of the gradient.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.maximum(tt.tensor([1.0, 5.0]), tt.tensor([3.0, 2.0]))
        tensor([3., 5.])
    """
    return apply(MAXIMUM, input, other)


def minimum(input: T, other: Operand) -> T:
    """Return the smaller of two values, elementwise; NaN where either is NaN.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.minimum(tt.tensor([1.0, 5.0]), tt.tensor([3.0, 2.0]))
        tensor([1., 2.])
    """
    return apply(MINIMUM, input, other)


def clip(input: T, min: Operand | None = None, max: Operand | None = None) -> T:
    """Limit values to the range from ``min`` to ``max``, either of which may be left out.

    Args:
        input: The values.
        min: Lower limit: a number or a tensor that broadcasts.
        max: Upper limit, likewise.

    Raises:
        ValueError: Both limits are None, or the shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.clip(tt.tensor([-2.0, 0.5, 3.0]), 0, 1)
        tensor([0.0000, 0.5000, 1.0000])
    """
    return apply(CLIP, input, min, max)


def neg(input: T) -> T:
    """Negate elementwise.

    Example:
        >>> import tt_tensor as tt
        >>> tt.neg(tt.tensor([1.0, -2.0]))
        tensor([-1.,  2.])
    """
    return apply(NEG, input)


def abs(input: T) -> T:
    """Return the absolute value; its derivative at 0 is 0.

    Example:
        >>> import tt_tensor as tt
        >>> tt.abs(tt.tensor([1.0, -2.0]))
        tensor([1., 2.])
    """
    return apply(ABS, input)


def sign(input: T) -> T:
    """Return -1, 0 or 1, by the sign of each element.

    Example:
        >>> import tt_tensor as tt
        >>> tt.sign(tt.tensor([-3.0, 0.0, 2.0]))
        tensor([-1.,  0.,  1.])
    """
    return apply(SIGN, input)


def square(input: T) -> T:
    """Return ``input * input``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.square(tt.tensor([2.0, -3.0]))
        tensor([4., 9.])
    """
    return apply(SQUARE, input)


def reciprocal(input: T) -> T:
    """Return ``1 / input``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.reciprocal(tt.tensor([2.0, 4.0]))
        tensor([0.5000, 0.2500])
    """
    return apply(RECIPROCAL, input)


def floor(input: T) -> T:
    """Round down to whole numbers.

    Example:
        >>> import tt_tensor as tt
        >>> tt.floor(tt.tensor([1.7, -1.2]))
        tensor([ 1., -2.])
    """
    return apply(FLOOR, input)


def ceil(input: T) -> T:
    """Round up to whole numbers.

    Example:
        >>> import tt_tensor as tt
        >>> tt.ceil(tt.tensor([1.2, -1.7]))
        tensor([ 2., -1.])
    """
    return apply(CEIL, input)


def round(input: T, *, decimals: int = 0) -> T:
    """Round to ``decimals`` places, halves to the even neighbour.

    Args:
        input: The values.
        decimals: Places after the point; negative ones are before it.

    Example:
        >>> import tt_tensor as tt
        >>> tt.round(tt.tensor([0.5, 1.5, 2.25]), decimals=1)
        tensor([0.5000, 1.5000, 2.2000])
    """
    return apply(ROUND, input, decimals=decimals)


def clone(input: T) -> T:
    """Copy the values into memory of their own, in row-major order.

    Example:
        >>> import tt_tensor as tt
        >>> x = tt.tensor([1.0, 2.0])
        >>> y = tt.clone(x)
        >>> y += 1
        >>> x
        tensor([1., 2.])
    """
    return apply(CLONE, input)

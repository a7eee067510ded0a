"""Comparison, logic and bits, elementwise, and choosing by a condition."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._op import Array, Op, Operand, T, apply, binary, explain_broadcast

EQ = binary("eq", np.equal)
NE = binary("ne", np.not_equal)
LT = binary("lt", np.less)
LE = binary("le", np.less_equal)
GT = binary("gt", np.greater)
GE = binary("ge", np.greater_equal)
LOGICAL_AND = binary("logical_and", np.logical_and)
LOGICAL_OR = binary("logical_or", np.logical_or)
LOGICAL_XOR = binary("logical_xor", np.logical_xor)
LOGICAL_NOT = Op("logical_not", np.logical_not)
BITWISE_AND = binary("bitwise_and", np.bitwise_and)
BITWISE_OR = binary("bitwise_or", np.bitwise_or)
BITWISE_XOR = binary("bitwise_xor", np.bitwise_xor)
BITWISE_NOT = Op("bitwise_not", np.invert)
ISNAN = Op("isnan", np.isnan)
ISINF = Op("isinf", np.isinf)
ISFINITE = Op("isfinite", np.isfinite)


def _where(condition: Array, input: Any, other: Any) -> Array:
    if np.asarray(condition).dtype != bool:
        raise TypeError("expected a condition of dtype bool")
    return np.asarray(np.where(condition, input, other))


def _explain_where(condition: Array, input: Any, other: Any) -> str | None:
    if np.asarray(condition).dtype != bool:
        return None
    return explain_broadcast(condition, input, other)


WHERE = Op("where", _where, ("condition", "input", "other"), explain=_explain_where)


def eq(input: T, other: Operand) -> T:
    """Compare for equality, elementwise, giving bool.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.eq(tt.tensor([1, 2]), 2)
        tensor([False,  True])
    """
    return apply(EQ, input, other)


def ne(input: T, other: Operand) -> T:
    """Compare for inequality, elementwise, giving bool.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.ne(tt.tensor([1, 2]), 2)
        tensor([ True, False])
    """
    return apply(NE, input, other)


def lt(input: T, other: Operand) -> T:
    """Return ``input < other``, elementwise, as bool.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.lt(tt.tensor([1, 2]), 2)
        tensor([ True, False])
    """
    return apply(LT, input, other)


def le(input: T, other: Operand) -> T:
    """Return ``input <= other``, elementwise, as bool.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.le(tt.tensor([1, 3]), 2)
        tensor([ True, False])
    """
    return apply(LE, input, other)


def gt(input: T, other: Operand) -> T:
    """Return ``input > other``, elementwise, as bool.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.gt(tt.tensor([1, 3]), 2)
        tensor([False,  True])
    """
    return apply(GT, input, other)


def ge(input: T, other: Operand) -> T:
    """Return ``input >= other``, elementwise, as bool.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.ge(tt.tensor([1, 2]), 2)
        tensor([False,  True])
    """
    return apply(GE, input, other)


def logical_and(input: T, other: Operand) -> T:
    """Return whether both are non-zero, elementwise.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.logical_and(tt.tensor([True, True]), tt.tensor([True, False]))
        tensor([ True, False])
    """
    return apply(LOGICAL_AND, input, other)


def logical_or(input: T, other: Operand) -> T:
    """Return whether either is non-zero, elementwise.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.logical_or(tt.tensor([True, False]), tt.tensor([False, False]))
        tensor([ True, False])
    """
    return apply(LOGICAL_OR, input, other)


def logical_xor(input: T, other: Operand) -> T:
    """Return whether exactly one is non-zero, elementwise.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.logical_xor(tt.tensor([True, True]), tt.tensor([True, False]))
        tensor([False,  True])
    """
    return apply(LOGICAL_XOR, input, other)


def logical_not(input: T) -> T:
    """Return whether each element is zero.

    Example:
        >>> import tt_tensor as tt
        >>> tt.logical_not(tt.tensor([0, 2]))
        tensor([ True, False])
    """
    return apply(LOGICAL_NOT, input)


def bitwise_and(input: T, other: Operand) -> T:
    """Return the bitwise and of integers or bools, ``input & other``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        TypeError: A dtype is a floating-point one.
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.bitwise_and(tt.tensor([6, 5]), 4)
        tensor([4, 4])
    """
    return apply(BITWISE_AND, input, other)


def bitwise_or(input: T, other: Operand) -> T:
    """Return the bitwise or of integers or bools, ``input | other``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        TypeError: A dtype is a floating-point one.
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.bitwise_or(tt.tensor([6, 1]), 4)
        tensor([6, 5])
    """
    return apply(BITWISE_OR, input, other)


def bitwise_xor(input: T, other: Operand) -> T:
    """Return the bitwise exclusive or of integers or bools, ``input ^ other``.

    Args:
        input: A tensor, or a number beside a tensor.
        other: A tensor, an array or a number; the shapes broadcast.

    Raises:
        TypeError: A dtype is a floating-point one.
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.bitwise_xor(tt.tensor([6, 1]), 4)
        tensor([2, 5])
    """
    return apply(BITWISE_XOR, input, other)


def bitwise_not(input: T) -> T:
    """Return the bitwise complement of integers, the negation of bools, ``~input``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.bitwise_not(tt.tensor([True, False]))
        tensor([False,  True])
    """
    return apply(BITWISE_NOT, input)


def isnan(input: T) -> T:
    """Return which elements are NaN.

    Example:
        >>> import tt_tensor as tt
        >>> tt.isnan(tt.tensor([1.0, float("nan")]))
        tensor([False,  True])
    """
    return apply(ISNAN, input)


def isinf(input: T) -> T:
    """Return which elements are infinite.

    Example:
        >>> import tt_tensor as tt
        >>> tt.isinf(tt.tensor([1.0, float("inf")]))
        tensor([False,  True])
    """
    return apply(ISINF, input)


def isfinite(input: T) -> T:
    """Return which elements are neither infinite nor NaN.

    Example:
        >>> import tt_tensor as tt
        >>> tt.isfinite(tt.tensor([1.0, float("inf")]))
        tensor([ True, False])
    """
    return apply(ISFINITE, input)


def where(condition: T, input: Operand, other: Operand) -> T:
    """Take ``input`` where ``condition`` holds and ``other`` elsewhere.

    Args:
        condition: Truth values.
        input: What is taken where they are true: a tensor, an array or a number.
        other: What is taken elsewhere, likewise; the shapes broadcast.

    Raises:
        TypeError: The condition is not of dtype bool.
        ValueError: The shapes do not broadcast.

    Example:
        >>> import tt_tensor as tt
        >>> tt.where(tt.tensor([True, False]), tt.tensor([1.0, 2.0]), 0.0)
        tensor([1., 0.])
    """
    return apply(WHERE, condition, input, other)

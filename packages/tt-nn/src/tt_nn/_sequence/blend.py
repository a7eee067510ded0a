"""A sum of two tensors with learned factors: one op, and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, Tensor, defvjp
from tt_nn._apply import apply

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated


def _blend(input: Array, other: Array, factors: Array) -> Array:
    if input.shape != other.shape or factors.shape != (2,):
        raise ValueError("expected two inputs of one shape and factors of shape (2,)")
    out: Array = input * factors[0]
    out += other * factors[1]
    return out


def _slopes(
    g: Array, input: Array, other: Array, factors: Array, needs: tuple[bool, ...]
) -> tuple[Array | None, ...]:
    return (
        g * factors[0] if needs[0] else None,
        g * factors[1] if needs[1] else None,
        np.array([np.vdot(g, input), np.vdot(g, other)], g.dtype) if needs[2] else None,
    )


BLEND = Op("blend", _blend, ("input", "other", "factors"))
defvjp(
    BLEND,
    joint=_slopes,
    composite=lambda input, other, factors: input * factors[0] + other * factors[1],
)


def blend(input: tt_tensor.Tensor, other: tt_tensor.Tensor, factors: tt_tensor.Tensor) -> Tensor:
    """Return ``factors[0] * input + factors[1] * other``.

    Args:
        input: The first values.
        other: The second ones.
        factors: Two numbers.

    Shape:
        ``(...), (...), (2,) -> (...)``

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_autograd as tt
        >>> blend(tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0]), tt.tensor([1.0, 10.0]))
        tensor([31., 42.])
    """
    return apply(BLEND, input, other, factors)

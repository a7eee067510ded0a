"""The square of ReLU: one op, and its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, Tensor, defvjp, ops
from tt_nn._apply import apply

Array = NDArray[Any]


def _relu_squared(input: Array) -> Array:
    positive = np.maximum(input, 0)
    return np.asarray(np.multiply(positive, positive, out=positive))


def _slope(g: Array, input: Array) -> Array:
    slope = np.maximum(input, 0)
    slope *= g
    slope += slope
    return slope


RELU_SQUARED = Op("relu_squared", _relu_squared)
defvjp(
    RELU_SQUARED,
    joint=lambda g, input: (_slope(g, input),),
    composite=lambda input: ops.SQUARE(ops.RELU(input)),
)


def relu_squared(input: tt_tensor.Tensor) -> Tensor:
    r"""Return :math:`\max(x, 0)^2`.

    Example:
        >>> import tt_autograd as tt
        >>> relu_squared(tt.tensor([-1.0, 3.0]))
        tensor([0., 9.])

    References:
        So et al., "Primer: searching for efficient transformers for language modeling", 2021.
    """
    return apply(RELU_SQUARED, input)

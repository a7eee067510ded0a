"""The rectifier as an op of its own: in one pass over memory, with all threads."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, defvjp
from tt_nn._compute.backend import run
from tt_nn._compute.memory import as_rows, dense, memory_order, restored
from tt_tensor import apply

T = TypeVar("T", bound=tt_tensor.Tensor)
Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated

_SMALL = 1 << 15  # elements up to which NumPy's two calls are the fastest


def _relu(input: Array) -> Array:
    """Return the positive part in the dtype of the input; bools count as int64. Of NaN, NaN."""
    if input.size <= _SMALL or input.dtype.char not in "fd":
        return np.asarray(np.maximum(input, 0))
    order = memory_order(input)
    x = dense(input, order)
    out = np.empty_like(x)
    run("relu", as_rows(x), as_rows(out))
    return restored(out, order)


def _relu_slope(g: Value, out: Value) -> Value:
    if not isinstance(out, np.ndarray) or out.size <= _SMALL or out.dtype.char not in "fd":
        return g * (out > 0)
    order = memory_order(out)
    y = dense(out, order)
    result = np.empty_like(y)
    run("relu_slope", as_rows(dense(g, order)), as_rows(y), as_rows(result))
    return restored(result, order)


RELU = Op("relu", _relu)
defvjp(RELU, input=_relu_slope)


def relu(input: T) -> T:
    """Return the positive part, ``max(x, 0)``; the derivative at 0 is 0.

    Example:
        >>> import tt_autograd as tt
        >>> relu(tt.tensor([-1.0, 2.0]))
        tensor([0., 2.])

    References:
        Fukushima, "Visual feature extraction by a multilayered network of analog threshold
        elements", 1969; Nair and Hinton, 2010.
    """
    return apply(RELU, input)

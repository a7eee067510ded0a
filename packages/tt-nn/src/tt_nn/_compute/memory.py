"""The order of an array's dimensions in memory, which need not be that of its shape.

Images are ``(N, C, H, W)`` to whoever uses them; inside, what makes them may have put the
dimensions down in another order. What works on them elementwise keeps it and copies nothing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Order = tuple[int, ...]

_COLUMNS = 4096  # elements of a row, at least, where that is open


def memory_order(x: Array) -> Order:
    """Return the dimensions from the one of the longest stride to the one of the shortest."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    strides = x.strides
    return tuple(sorted(range(x.ndim), key=lambda d: -strides[d]))


def dense(x: Array, order: Order) -> Array:
    """Return the values with their dimensions in an order, C-contiguous; a view if they are."""
    return np.ascontiguousarray(x.transpose(order))


def restored(x: Array, order: Order) -> Array:
    """Return a view that has the dimensions of what `dense` was given."""
    back = [0] * len(order)
    for place, d in enumerate(order):
        back[d] = place
    return x.transpose(back)


def as_rows(x: Array) -> Array:
    """Return C-contiguous values as a matrix of a few thousand columns, for elementwise work."""
    columns, d = 1, x.ndim
    while d and columns < _COLUMNS:
        d -= 1
        columns *= x.shape[d]
    return x.reshape((math.prod(x.shape[:d]), columns))

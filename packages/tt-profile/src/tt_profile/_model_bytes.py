"""Memory of a model, counted from the arrays that it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_nn import Module


def model_bytes(model: Module) -> int:
    """Return the bytes of all arrays that a model holds, whether in its state dict or not.

    An array that several tensors share counts once, and as a whole even if the model holds no
    more than a view of it: that is what stays in memory. Gradients do not count.

    Args:
        model: The model.

    Example:
        >>> import tt_nn as nn
        >>> model_bytes(nn.Linear(784, 10))  # 4 * (784 * 10 + 10)
        31400
    """
    blocks: dict[int, NDArray[Any]] = {}
    for module in model.modules():
        for array in _arrays(vars(module), set()):
            while isinstance(array.base, np.ndarray):
                array = array.base
            blocks[id(array)] = array
    return sum(block.nbytes for block in blocks.values())


def _arrays(value: object, seen: set[int]) -> Iterator[NDArray[Any]]:
    """Go over the arrays in a value, also inside containers."""
    if isinstance(value, tt_tensor.Tensor):
        yield value._array
    elif isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
        seen.add(id(value))
        for part in value.values() if isinstance(value, dict) else value:
            yield from _arrays(part, seen)

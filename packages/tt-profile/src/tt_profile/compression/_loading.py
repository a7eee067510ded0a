"""Loading what was pruned: layers take on the sizes of the weights they are given."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import Conv2d, Linear, Module, Parameter

from ._low_rank import pair_of_rank, replace
from ._resizing import set_parameter, update_sizes

M = TypeVar("M", bound=Module)


def load_compressed(model: M, state_dict: Mapping[str, tt_tensor.Tensor]) -> M:
    """Return a model with the sizes and values of one that pruning or `low_rank` made.

    A file holds a model's values, but not what it is made of. So make the model that was pruned,
    and give it the file of what became of it.

    Args:
        model: The model as it was before it was pruned; it stays as it is.
        state_dict: The values of the smaller one, by name, such as `tt_nn.load` reads.

    Returns:
        The smaller model.

    Raises:
        ValueError: The state dict is not of such a model: names differ, or dimensions do.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> from tt_profile.compression import prune_channels
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> smaller = prune_channels(model, tt.rand(16, 4), amount=0.5)
        >>> load_compressed(model, smaller.state_dict())[0]
        Linear(in_features=4, out_features=4, bias=True)
    """
    smaller = copy.deepcopy(model)
    for name, layer in list(smaller.named_modules()):
        first = state_dict.get(f"{name}.0.weight" if name else "0.weight")
        if isinstance(layer, Linear | Conv2d) and first is not None and first.ndim:
            both = pair_of_rank(layer, len(first), bias=isinstance(layer.bias, Parameter))
            smaller = replace(smaller, name, both)
    for name, module in smaller.named_modules():
        start = f"{name}." if name else ""
        for key, tensor in list(vars(module).items()):
            value = state_dict.get(start + key)
            if isinstance(tensor, Tensor) and value is not None and value.ndim == tensor.ndim:
                if value.shape != tensor.shape:
                    _resize(module, key, tensor, value.shape)
    smaller.apply(update_sizes)
    smaller.load_state_dict(state_dict)
    return smaller


def _resize(module: Module, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    zeros = np.zeros(shape, tensor.dtype)
    if isinstance(tensor, Parameter):
        set_parameter(module, name, zeros)
    else:
        setattr(module, name, tt.from_numpy(zeros))

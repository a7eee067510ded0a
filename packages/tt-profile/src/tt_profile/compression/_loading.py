"""Loading what was pruned: layers take on the sizes of the weights that they are given.

Those of weights as int8 are told by the integers. Int4 in groups tells how many rows there are, but
not how many columns, since groups end in padding.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import Conv2d, Linear, Module, Parameter
from tt_profile.quantization import load_quantized
from tt_profile.quantization._layers import PREFIX

from ._low_rank import pair_of_rank, replace
from ._resizing import set_parameter, update_sizes

M = TypeVar("M", bound=Module)


def load_compressed(model: M, state_dict: Mapping[str, tt_tensor.Tensor]) -> M:
    """Return a model with the sizes and values of one that pruning or `low_rank` made.

    A file holds a model's values, but not what it is made of. So make the model that was pruned,
    and give it the file of what became of it. Where the smaller model was quantized as well, its
    weights are of few bits again, as `load_quantized` makes them.

    Args:
        model: The model as it was before it was pruned, not quantized; it stays as it is.
        state_dict: The values of the smaller one, by name, such as `tt_nn.load` reads.

    Returns:
        The smaller model.

    Raises:
        ValueError: The state dict is not of such a model: names differ, or dimensions do; or its
            weights are int4 and were pruned, whose sizes no file tells.

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
        first = _stored(state_dict, f"{name}.0" if name else "0", "weight")
        if isinstance(layer, Linear | Conv2d) and first is not None and first.ndim:
            both = pair_of_rank(layer, len(first), bias=isinstance(layer.bias, Parameter))
            smaller = replace(smaller, name, both)
    packed = resized = False
    for name, module in smaller.named_modules():
        for key, tensor in list(vars(module).items()):
            value = _stored(state_dict, name, key) if isinstance(tensor, Tensor) else None
            if value is None:
                continue
            if value.dtype == np.uint8 != tensor.dtype:
                packed = True
                resized |= value.shape[:1] != tensor.shape[:1]
            elif value.ndim == tensor.ndim and value.shape != tensor.shape:
                _resize(module, key, tensor, value.shape)
                resized = True
    if packed and resized:
        raise ValueError(
            "load_compressed: int4 does not tell how many inputs a pruned layer has; save the "
            'pruned model before it is quantized, and call quantize(..., "int4") on what is loaded'
        )
    smaller.apply(update_sizes)
    if any(PREFIX in name for name in state_dict):
        return load_quantized(smaller, state_dict)
    smaller.load_state_dict(state_dict)
    return smaller


def _stored(
    state_dict: Mapping[str, tt_tensor.Tensor], module: str, name: str
) -> tt_tensor.Tensor | None:
    """Return what stands in a state for a tensor of a module: its values, or their integers."""
    start = f"{module}." if module else ""
    return state_dict.get(start + name, state_dict.get(f"{start}{PREFIX}{name}.values"))


def _resize(module: Module, name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    zeros = np.zeros(shape, tensor.dtype)
    if isinstance(tensor, Parameter):
        set_parameter(module, name, zeros)
    else:
        setattr(module, name, tt.from_numpy(zeros))

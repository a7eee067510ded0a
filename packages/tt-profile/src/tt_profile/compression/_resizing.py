"""Layers with fewer inputs or outputs: parameters are cut, and the sizes that say how many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
from tt_autograd import Tensor
from tt_nn import BatchNorm1d, BatchNorm2d, Conv2d, Linear, Module, MultiheadAttention, Parameter
from tt_nn.models.gpt import CausalSelfAttention
from tt_nn.models.modern_gpt import RotaryAttention

Array = NDArray[Any]
Index = NDArray[np.intp]


def set_parameter(module: Module, name: str, values: Array) -> None:
    """Put a parameter of these values in the place of another, in its dtype and memory order."""
    old: Parameter = getattr(module, name)
    order = "F" if old.detach().numpy().flags.fnc else "C"
    array = np.array(values, old.dtype, order=order)  # type: ignore[call-overload]  # of a str
    setattr(module, name, Parameter(tt.from_numpy(array), requires_grad=old.requires_grad))


def keep(module: Module, name: str, index: Index, dim: int = 0) -> None:
    """Keep the entries of a parameter or buffer along one dimension, unless there is none."""
    tensor: Tensor | None = getattr(module, name)
    if tensor is None:
        return
    values = np.take(tensor.detach().numpy(), index, dim)
    if isinstance(tensor, Parameter):
        set_parameter(module, name, values)
    else:
        setattr(module, name, tt.from_numpy(values))


def keep_outputs(layer: Linear | Conv2d, index: Index) -> None:
    """Keep some of a layer's outputs."""
    keep(layer, "weight", index)
    keep(layer, "bias", index)
    update_sizes(layer)


def keep_inputs(layer: Linear | Conv2d, index: Index) -> None:
    """Keep some of a layer's inputs."""
    keep(layer, "weight", index, 1)
    update_sizes(layer)


def keep_features(module: Module, index: Index) -> None:
    """Keep some of the features that a normalisation or a depthwise convolution treats alone."""
    for name in ("weight", "bias", "running_mean", "running_var"):
        if name in vars(module):
            keep(module, name, index)
    update_sizes(module)


def update_sizes(module: Module) -> None:
    """Set the numbers that say how large a layer is to what its parameters are now."""
    if isinstance(module, Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, Conv2d):
        outputs, inputs = module.weight.shape[:2]
        if module.groups == module.in_channels == module.out_channels:  # depthwise
            module.groups = outputs
        module.out_channels, module.in_channels = outputs, inputs * module.groups
    elif isinstance(module, BatchNorm1d | BatchNorm2d):
        for tensor in (module.weight, module.running_mean):
            if tensor is not None:
                module.num_features = len(tensor)
    elif isinstance(module, CausalSelfAttention | RotaryAttention | MultiheadAttention):
        _update_heads(module)


def _update_heads(module: CausalSelfAttention | RotaryAttention | MultiheadAttention) -> None:
    joined = next(module.out_proj.parameters()).shape[1]  # what all heads hand to the last map
    if isinstance(module, MultiheadAttention):
        module.num_heads = joined // module.head_dim
        if "in_proj_weight" in vars(module):
            module.num_kv_heads = (len(module.in_proj_weight) - joined) // (2 * module.head_dim)
        else:
            module.num_kv_heads = len(module.k_proj_weight) // module.head_dim
    elif isinstance(module, RotaryAttention):
        module.n_head = joined // module.norm.normalized_shape[0]
    else:
        module.n_head = joined // module.head_dim


def expand(index: Index, each: int) -> Index:
    """Return the places of the numbers of channels that have ``each`` numbers.

    Example:
        >>> expand(np.array([0, 2]), 3)
        array([0, 1, 2, 6, 7, 8])
    """
    return (index[:, None] * each + np.arange(each)).reshape(-1)  # (channels, each) -> (numbers,)

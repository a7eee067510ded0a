"""Folding batch normalisation into the linear map before it, for evaluation."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
from tt_autograd import OpEvent
from tt_nn._containers import Sequential
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._parameter import Parameter
from tt_nn._shapes import Identity
from tt_nn._spatial.convolution_layers import Conv1d, Conv2d, ConvTranspose2d

from .batch_norm import BatchNorm1d, BatchNorm2d

Array = NDArray[Any]
Normalisation = BatchNorm1d | BatchNorm2d
C = TypeVar("C", bound=Conv1d | Conv2d | ConvTranspose2d)
M = TypeVar("M", bound=Module)

# What can take in which normalisation.
_FITTING: tuple[tuple[type[Module], type[Module]], ...] = (
    (Conv1d, BatchNorm1d),
    (Conv2d, BatchNorm2d),
    (ConvTranspose2d, BatchNorm2d),
    (Linear, BatchNorm1d),
)


def fuse_conv_bn_eval(conv: C, bn: Normalisation) -> C:
    r"""Return one convolution that does what a convolution and a normalisation after it do.

    In evaluation a normalisation multiplies each channel with
    :math:`s = w / \sqrt{\sigma^2 + \epsilon}` and adds :math:`b - s \mu`, which the convolution's
    own weight and bias can do.

    Args:
        conv: The convolution; it stays as it is.
        bn: The normalisation of its output.

    Raises:
        ValueError: One of them is in training mode, the channels differ, the normalisation keeps
            no running statistics, or the convolution keeps no weight, as when it is quantized.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> conv, bn = nn.Conv2d(3, 8, 3, bias=False).eval(), nn.BatchNorm2d(8).eval()
        >>> nn.fuse_conv_bn_eval(conv, bn).bias.shape
        (8,)
    """
    return _fuse("fuse_conv_bn_eval", conv, bn)


def fuse_linear_bn_eval(linear: Linear, bn: BatchNorm1d) -> Linear:
    """Return one linear map that does what a linear map and a normalisation after it do.

    Args:
        linear: The linear map, of inputs ``(N, in_features)``; it stays as it is.
        bn: The normalisation of its output.

    Raises:
        ValueError: One of them is in training mode, the sizes differ, the normalisation keeps no
            running statistics, or the linear map keeps no weight, as when it is quantized.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> linear, bn = nn.Linear(3, 8).eval(), nn.BatchNorm1d(8).eval()
        >>> nn.fuse_linear_bn_eval(linear, bn)
        Linear(in_features=3, out_features=8, bias=True)
    """
    return _fuse("fuse_linear_bn_eval", linear, bn)


def fuse_bn_eval(model: M, *inputs: object) -> M:
    """Return a copy of a model in which convolutions have taken in the normalisations after them.

    An `Identity` stands where a normalisation stood, so that names and places stay. What is used
    more than once, or reads more than one layer, stays as it is.

    Args:
        model: A model in evaluation mode; it stays as it is.
        *inputs: What the model is called with, once, to see which normalisation reads the output
            of which convolution or linear map and nothing else does. Without them, neighbours in
            each `Sequential` are taken.

    Raises:
        ValueError: The model, or what is to be fused in it, is in training mode; or a layer keeps
            no weight, as in a quantized model: fold first, then quantize.

    Example:
        >>> import tt_nn as nn
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).eval()
        >>> [type(module).__name__ for module in nn.fuse_bn_eval(model)]
        ['Conv2d', 'Identity', 'ReLU']
    """
    _check_mode("fuse_bn_eval", model)
    fused = copy.deepcopy(model)
    pairs = _watched_pairs(fused, inputs) if inputs else _neighbours(fused)
    uses = Counter(id(module) for _, module in fused.named_modules(remove_duplicate=False))
    names = {id(module): name for name, module in fused.named_modules()}
    for layer, bn in pairs:
        if uses[id(layer)] == uses[id(bn)] == 1:
            name = names[id(layer)]
            _put(fused, name, _fuse("fuse_bn_eval", layer, bn, f"layer {name!r}"))
            _put(fused, names[id(bn)], Identity().eval())
    return fused


def _fuse(name: str, layer: M, bn: Normalisation, place: str = "the layer") -> M:
    _check_mode(name, layer, bn)
    if "weight" not in vars(layer):  # a property makes one of what is kept in its place
        raise ValueError(
            f"{name}: expected {place} to keep its weight; {type(layer).__name__} makes it of "
            "other values; fold before quantizing"
        )
    fused: Any = copy.deepcopy(layer)
    new, shift = _folded(name, layer, bn)
    for parameter, value in (("weight", new), ("bias", shift)):
        tensor = tt.from_numpy(value.astype(fused.weight.dtype))
        setattr(fused, parameter, Parameter(tensor, requires_grad=fused.weight.requires_grad))
    folded: M = fused
    return folded


def _folded(name: str, layer: Any, bn: Normalisation) -> tuple[Array, Array]:
    """Return the weight and the bias that do what layer and normalisation do, in float64.

    Args:
        name: What errors start with.
        layer: A convolution, transposed or not, or a linear map, with or without a bias.
        bn: The normalisation after it, with or without a weight and a bias.

    Raises:
        ValueError: The channels differ, or the normalisation keeps no running statistics.
    """
    transposed = isinstance(layer, ConvTranspose2d)
    groups = layer.groups if transposed else 1
    weight = layer.weight.detach().numpy()
    channels = weight.shape[1] * groups if transposed else weight.shape[0]
    if bn.num_features != channels:
        raise ValueError(
            f"{name}: expected a normalisation of the {channels} channels that "
            f"{type(layer).__name__} puts out, got {bn.num_features}"
        )
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"{name}: expected running statistics; {bn!r} keeps none")
    mean, var = _wide(bn.running_mean), _wide(bn.running_var)
    scale = (1.0 if bn.weight is None else _wide(bn.weight)) / np.sqrt(var + bn.eps)
    own = 0.0 if layer.bias is None else _wide(layer.bias)
    shift = (own - mean) * scale + (0.0 if bn.bias is None else _wide(bn.bias))
    if transposed:  # (in, out / groups, kh, kw), the inputs of one group after those of another
        grouped = weight.reshape((groups, -1, *weight.shape[1:]))
        new = grouped * scale.reshape((groups, 1, -1, 1, 1))
    else:
        new = weight * scale.reshape((-1, *(1,) * (weight.ndim - 1)))
    return new.reshape(weight.shape), shift


def _wide(tensor: tt.Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def _check_mode(name: str, *modules: Module) -> None:
    for module in modules:
        if module.training:
            raise ValueError(
                f"{name}: expected evaluation mode, for in training the statistics change; "
                f"call eval() on the {type(module).__name__} first"
            )


def _fits(layer: object, bn: object) -> bool:
    return any(isinstance(layer, a) and isinstance(bn, b) for a, b in _FITTING)


def _neighbours(model: Module) -> list[tuple[Module, Normalisation]]:
    """Return what follows one another in the model's Sequentials."""
    found: list[Any] = []
    for module in model.modules():
        if isinstance(module, Sequential):
            listed = list(module)
            found += [pair for pair in pairwise(listed) if _fits(*pair)]
    return found


def _watched_pairs(model: Module, inputs: Sequence[object]) -> list[tuple[Module, Normalisation]]:
    """Return layers with the normalisation that alone reads their output, as a call shows it."""
    made: dict[int, tuple[Module, Array]] = {}  # by identity; the array is kept alive
    readers: Counter[int] = Counter()
    calls: Counter[int] = Counter()
    found: list[Any] = []

    def after(module: Module, args: tuple[Any, ...], output: tt.Tensor) -> None:
        calls[id(module)] += 1
        made[id(output._array)] = module, output._array

    def before(module: Module, args: tuple[Any, ...]) -> None:
        calls[id(module)] += 1
        if args:
            layer, _ = made.get(id(args[0]._array), (None, None))
            if _fits(layer, module):
                found.append((layer, module, id(args[0]._array)))

    def see(event: OpEvent) -> None:
        readers.update({id(value) for value in event.inputs} & made.keys())

    layers, norms = (tuple(pair[i] for pair in _FITTING) for i in (0, 1))
    handles = [
        *(m.register_forward_hook(after) for m in model.modules() if isinstance(m, layers)),
        *(m.register_forward_pre_hook(before) for m in model.modules() if isinstance(m, norms)),
    ]
    try:
        with tt.no_grad(), tt.observe(see):
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [
        (layer, bn)
        for layer, bn, array in found
        if readers[array] == calls[id(layer)] == calls[id(bn)] == 1
    ]


def _put(model: Module, name: str, module: Module) -> None:
    """Set a module in the place of the one below the model that has this dotted name."""
    path, _, last = name.rpartition(".")
    setattr(model.get_submodule(path), last, module)

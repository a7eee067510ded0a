"""The language that models are written in: a JSON tree of layers, which makes no code run.

A layer is an object whose key ``layer`` names one of the table below; its other keys are that
layer's arguments, each checked for kind and range. A `Sequential` has ``layers``, a list.

    {"layer": "Sequential", "layers": [
        {"layer": "Flatten"},
        {"layer": "Linear", "in_features": 64, "out_features": 10}]}

How many weights a tree has is told from its arguments, before any is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import tt_nn as nn
from tt_nn import models

from ._checks import Kind, Rejected, fields, flag, integer, items, number, one_of, one_or, row, show

MAX_WEIGHTS = 1 << 26
MAX_LAYERS = 500
MAX_DEPTH = 20

_size = integer(1, 1 << 16)
_small = integer(1, 64)
_sizes = one_or(integer(1, 64), 2)
_padding = one_or(integer(0, 64), 2)
_share = number(0, 0.99)
_epsilon = number(1e-12, 1)

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the language.

    Attributes:
        make: Makes it of its arguments.
        required: The arguments that must be given, with their kinds.
        optional: The arguments that may be given.
        weights: About how many weights it has, never much too few.
    """

    make: Callable[..., nn.Module]
    required: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)
    weights: Callable[[Arguments], int] = lambda arguments: 0


def _gpt(**arguments: Any) -> nn.Module:
    return models.GPT(models.GPTConfig(**arguments))


def _modern_gpt(**arguments: Any) -> nn.Module:
    return models.ModernGPT(models.ModernGPTConfig(**arguments))


def _gpt_weights(a: Arguments) -> int:
    blocks = 12 * a.get("n_layer", 4) * a.get("n_embd", 128) ** 2
    return int(
        blocks + (2 * int(a["vocab_size"]) + a.get("block_size", 128)) * a.get("n_embd", 128)
    )


def _cifar_weights(a: Arguments) -> int:
    small, middle, large = a["widths"]
    pairs = 24 * small + small**2 + small * middle + middle**2 + middle * large + large**2
    return int(9 * pairs)


def _filters(a: Arguments) -> int:
    kernel = a["kernel_size"]
    area = math.prod(kernel) if isinstance(kernel, tuple) else kernel**2
    return int(a["in_channels"] // a.get("groups", 1) * a["out_channels"] * area)


_POOL = {"stride": _sizes, "padding": _padding}
_NORM = {"eps": _epsilon, "affine": flag}
_GPT = {
    **{"block_size": integer(1, 4096), "n_layer": _small, "n_head": _small},
    "n_embd": integer(1, 4096),
}

LAYERS: Mapping[str, Layer] = {
    "Linear": Layer(
        nn.Linear,
        {"in_features": _size, "out_features": _size},
        {"bias": flag},
        lambda a: a["in_features"] * a["out_features"],
    ),
    "Conv2d": Layer(
        nn.Conv2d,
        {"in_channels": _size, "out_channels": _size, "kernel_size": _sizes},
        {
            **{"stride": _sizes, "padding": _padding, "dilation": _sizes},
            **{"groups": _size, "bias": flag},
        },
        _filters,
    ),
    "BatchNorm1d": Layer(nn.BatchNorm1d, {"num_features": _size}, _NORM),
    "BatchNorm2d": Layer(nn.BatchNorm2d, {"num_features": _size}, _NORM),
    "GroupNorm": Layer(nn.GroupNorm, {"num_groups": _size, "num_channels": _size}, _NORM),
    "LayerNorm": Layer(nn.LayerNorm, {"normalized_shape": _size}, {"eps": _epsilon, "bias": flag}),
    "RMSNorm": Layer(nn.RMSNorm, {"normalized_shape": _size}, {"eps": _epsilon}),
    "MaxPool2d": Layer(nn.MaxPool2d, {"kernel_size": _sizes}, _POOL),
    "AvgPool2d": Layer(nn.AvgPool2d, {"kernel_size": _sizes}, _POOL),
    "AdaptiveAvgPool2d": Layer(nn.AdaptiveAvgPool2d, {"output_size": _sizes}),
    "AdaptiveMaxPool2d": Layer(nn.AdaptiveMaxPool2d, {"output_size": _sizes}),
    "Flatten": Layer(nn.Flatten),
    "Identity": Layer(nn.Identity),
    "Dropout": Layer(nn.Dropout, {}, {"p": _share}),
    "ReLU": Layer(nn.ReLU),
    "GELU": Layer(nn.GELU, {}, {"approximate": one_of(("none", "tanh"))}),
    "SiLU": Layer(nn.SiLU),
    "Tanh": Layer(nn.Tanh),
    "Sigmoid": Layer(nn.Sigmoid),
    "LeakyReLU": Layer(nn.LeakyReLU, {}, {"negative_slope": number(0, 1)}),
    "ELU": Layer(nn.ELU, {}, {"alpha": number(0, 10)}),
    "CifarNet": Layer(models.CifarNet, {"widths": row(integer(1, 4096), 3)}, {}, _cifar_weights),
    "GPT": Layer(
        _gpt,
        {"vocab_size": _size},
        {
            **_GPT,
            **{"bias": flag, "tie_weights": flag},
            "positions": one_of(("learned", "sinusoidal")),
        },
        _gpt_weights,
    ),
    "ModernGPT": Layer(
        _modern_gpt,
        {"vocab_size": _size},
        {**_GPT, "smear": flag, "value_residual": flag, "x0_residual": flag},
        _gpt_weights,
    ),
}


def check_model(tree: object, where: str = "model") -> None:
    """Check a model's description without making it.

    Args:
        tree: The description.
        where: What it is, for errors.

    Raises:
        Rejected: Something in it is not of the language, or it is too large.

    Example:
        >>> check_model({"layer": "Linear", "in_features": 64, "out_features": 10})
        >>> check_model({"layer": "System", "command": "true"})
        Traceback (most recent call last):
        tt_tito.benchmark._checks.Rejected: model: there is no layer 'System'; there are Sequen...
    """
    _Count().visit(tree, where, 1)


def build(tree: object, where: str = "model") -> nn.Module:
    """Make the model that a description speaks of, once it is checked.

    Args:
        tree: The description.
        where: What it is, for errors.

    Raises:
        Rejected: As `check_model`, or its arguments do not go together.

    Example:
        >>> build({"layer": "Sequential", "layers": [{"layer": "ReLU"}]})
        Sequential(
          (0): ReLU()
        )
    """
    check_model(tree, where)
    return _build(tree, where)


@dataclass(slots=True)
class _Count:
    """How much of a tree was seen, and is allowed."""

    layers: int = 0
    weights: int = 0

    def visit(self, tree: object, where: str, depth: int) -> None:
        self.layers += 1
        if depth > MAX_DEPTH or self.layers > MAX_LAYERS:
            raise Rejected(
                f"{where}: at most {MAX_LAYERS} layers, nested at most {MAX_DEPTH} deep, are "
                "allowed."
            )
        name, rest = _named(tree, where)
        if name == "Sequential":
            for place, part in _parts(rest, where):
                self.visit(part, place, depth + 1)
            return
        layer = LAYERS[name]
        self.weights += layer.weights(fields(rest, where, layer.required, layer.optional))
        if self.weights > MAX_WEIGHTS:
            raise Rejected(f"{where}: a model may have {MAX_WEIGHTS:,} weights, and has more.")


def _named(tree: object, where: str) -> tuple[str, dict[str, object]]:
    if not isinstance(tree, dict):
        raise Rejected(f"{where}: expected an object with the key 'layer', got {show(tree)}.")
    name = tree.get("layer")
    if not isinstance(name, str) or (name not in LAYERS and name != "Sequential"):
        known = ", ".join(("Sequential", *LAYERS))
        raise Rejected(f"{where}: there is no layer {show(name)}; there are {known}.")
    return name, {key: value for key, value in tree.items() if key != "layer"}


def _parts(rest: object, where: str) -> list[tuple[str, object]]:
    parts = fields(rest, where, {"layers": lambda value, at: items(value, at, MAX_LAYERS)}, {})
    return [(f"{where}: layers[{i}]", part) for i, part in enumerate(parts["layers"])]


def _build(tree: object, where: str) -> nn.Module:
    name, rest = _named(tree, where)
    if name == "Sequential":
        return nn.Sequential(*(_build(part, place) for place, part in _parts(rest, where)))
    layer = LAYERS[name]
    arguments = fields(rest, where, layer.required, layer.optional)
    try:
        return layer.make(**arguments)
    except (ValueError, TypeError) as error:
        raise Rejected(f"{where}: {error}.") from None


def describe(model: nn.Module) -> dict[str, object]:
    """Write a model in the language, so that `build` makes another of its kind.

    Args:
        model: The model.

    Raises:
        Rejected: The language has not all that the model is made of.

    Example:
        >>> describe(nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)))["layers"][1]
        {'layer': 'Linear', 'in_features': 64, 'out_features': 10, 'bias': False}
    """
    tree = _described(model, "model")
    again = build(tree)
    ours, theirs = ([type(part) for part in each.modules()] for each in (again, model))
    if ours != theirs or repr(again) != repr(model):
        raise Rejected("model: it has layers or settings that the language does not have.")
    return tree


def _described(model: nn.Module, where: str) -> dict[str, object]:
    name = type(model).__name__
    if isinstance(model, nn.Sequential):
        parts = [_described(part, f"{where}: layers[{i}]") for i, part in enumerate(model)]
        return {"layer": "Sequential", "layers": parts}
    if name not in LAYERS:
        raise Rejected(f"{where}: there is no layer {name!r}; there are {', '.join(LAYERS)}.")
    layer = LAYERS[name]
    tree: dict[str, object] = {"layer": name}
    sizes = getattr(model, "config", model)
    for key in (*layer.required, *layer.optional):
        value = getattr(sizes, key)
        if key == "bias" and not isinstance(value, bool):  # the parameter itself, or None
            value = value is not None
        if key == "normalized_shape" and len(value) == 1:
            (value,) = value
        if value is not None:  # which stands for a default
            tree[key] = list(value) if isinstance(value, tuple) else value
    return tree


def difference(tree: object, reference: object, where: str = "model") -> str | None:
    """Say where a description first differs from another; None if it does not.

    Example:
        >>> difference({"layer": "Linear", "out_features": 5}, {"layer": "Linear"})
        'model: out_features is 5, the reference has none'
    """
    if isinstance(tree, dict) and isinstance(reference, dict):
        for key in (*reference, *tree):
            if key not in reference:
                return f"{where}: {key} is {show(tree[key])}, the reference has none"
            if key not in tree:
                return f"{where}: {key} is missing, the reference has {show(reference[key])}"
            if found := difference(tree[key], reference[key], f"{where}: {key}"):
                return found
        return None
    if isinstance(tree, list) and isinstance(reference, list) and len(tree) == len(reference):
        pairs = enumerate(zip(tree, reference, strict=True))
        each = (difference(*pair, f"{where}[{i}]") for i, pair in pairs)
        return next(filter(None, each), None)
    if type(tree) is type(reference) and tree == reference:
        return None
    if isinstance(tree, list) and isinstance(reference, list):
        return f"{where}: has {len(tree)} entries, the reference has {len(reference)}"
    return f"{where} is {show(tree)}, the reference has {show(reference)}"

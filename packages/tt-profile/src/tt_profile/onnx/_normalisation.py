"""Converters of normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._elementwise import Converter
from ._graph import FLOAT, Graph, Value
from ._reductions import reduced
from ._sizes import Batch, Size, Sizes


def _batch_norm(g: Graph, input: Value, *rest: Value | None, eps: float, **own: Any) -> str:
    """Two ops have this name: one normalises by given statistics, one by the batch's own."""
    if "batch" not in own:
        mean, var, weight, bias = rest
        assert mean is not None
        assert var is not None
        scale = _or_constant(g, weight, 1, mean.shape)
        shift = _or_constant(g, bias, 0, mean.shape)
        return g.node("BatchNormalization", input, scale, shift, mean, var, epsilon=eps)
    weight, bias = rest
    dims = (0, *range(2, len(input.shape)))
    centred = g.node("Sub", input, reduced(g, "ReduceMean", input, dims, True))
    var_of = reduced(g, "ReduceMean", g.node("Mul", centred, centred), dims, True)
    out = _scaled(g, centred, var_of, eps)
    return _affine(g, out, weight, bias, len(input.shape))


def _or_constant(g: Graph, value: Value | None, number: float, shape: Sizes) -> Value:
    """Return a parameter, or what stands for it where there is none."""
    if value is not None:
        return value
    return g.constant(np.full([n for n in shape if not isinstance(n, Batch)], number, np.float32))


def _scaled(g: Graph, x: Value | str, square: str, eps: float) -> str:
    """Return x / sqrt(square + eps)."""
    root = g.node("Sqrt", g.node("Add", square, g.scalar(eps, FLOAT)))
    return g.node("Div", x, root)


def _affine(g: Graph, name: str, weight: Value | None, bias: Value | None, ndim: int) -> str:
    """Multiply with a weight of each channel and add a bias, where there are such."""
    for kind, parameter in (("Mul", weight), ("Add", bias)):
        if parameter is not None:
            beside: list[Size] = [parameter.shape[0], *(1,) * (ndim - 2)]  # (C, 1, ...)
            name = g.node(kind, name, g.reshaped(parameter, beside))
    return name


def _layer_norm(
    g: Graph, input: Value, weight: Value | None, bias: Value | None,
    size: tuple[int, ...], eps: float,
) -> str:  # fmt: skip
    shift = () if bias is None else (bias,)
    return g.node(
        "LayerNormalization", input, _or_constant(g, weight, 1, size), *shift,
        axis=-len(size), epsilon=eps,
    )  # fmt: skip


def _rms_norm(
    g: Graph, input: Value, weight: Value | None, size: tuple[int, ...], eps: float
) -> str:
    dims = range(len(input.shape) - len(size), len(input.shape))
    squares = g.node("Pow", input, g.scalar(2, FLOAT))
    out = _scaled(g, input, reduced(g, "ReduceMean", squares, list(dims), True), eps)
    return out if weight is None else g.node("Mul", out, weight)


def _group_norm(
    g: Graph, input: Value, weight: Value | None, bias: Value | None, num_groups: int, eps: float
) -> str:
    joined = g.node("Reshape", input, g.ints(0, num_groups, -1))  # (N, groups, elements)
    ones, zeros = (_or_constant(g, None, number, (num_groups,)) for number in (1, 0))
    out = g.node("InstanceNormalization", joined, ones, zeros, epsilon=eps)
    return _affine(g, g.reshaped(out, g.shape), weight, bias, len(input.shape))


NORMALISATION: dict[str, Converter] = {
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
}

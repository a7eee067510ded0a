"""Converters of the ops of layers: linear maps, convolutions, pooling, embedding, resampling."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._elementwise import Converter
from ._graph import FLOAT, INT, Graph, Value
from ._sizes import Batch

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]  # before and after: of the rows, of the columns


def _linear(g: Graph, input: Value, weight: Value, bias: Value | None) -> str:
    if len(input.shape) == 2:
        biases = () if bias is None else (bias,)
        return g.node("Gemm", input, weight, *biases, transB=1)
    out = g.node("MatMul", input, g.permuted(weight, 1, 0))
    return out if bias is None else g.node("Add", out, bias)


def _bilinear(g: Graph, input1: Value, input2: Value, weight: Value, bias: Value | None) -> str:
    rows = string.ascii_lowercase[: len(input1.shape) - 1]
    equation = f"{rows}x,zxy,{rows}y->{rows}z"
    out = g.node("Einsum", input1, weight, input2, equation=equation)
    return out if bias is None else g.node("Add", out, bias)


# Convolutions


def _pads(padding: Padding) -> list[int]:
    (top, bottom), (left, right) = padding
    return [top, left, bottom, right]  # ONNX's order


def _conv2d(
    g: Graph, input: Value, weight: Value, bias: Value | None,
    stride: Pair, padding: Padding, dilation: Pair, groups: int,
) -> str:  # fmt: skip
    biases = () if bias is None else (bias,)
    return g.node(
        "Conv", input, weight, *biases,
        strides=stride, pads=_pads(padding), dilations=dilation, group=groups,
    )  # fmt: skip


def _conv_transpose2d(
    g: Graph, input: Value, weight: Value, bias: Value | None,
    size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int,
) -> str:  # fmt: skip
    pads, beyond = [], []
    numbers = zip(_fixed(g, input, 2), _fixed(g, weight, 2), size, strict=True)
    for (n, k, wanted), s, d, (low, _) in zip(numbers, stride, dilation, padding, strict=True):
        painted = (n - 1) * s + d * (k - 1) + 1
        pads.append((low, max(painted - low - wanted, 0)))
        beyond.append(max(low + wanted - painted, 0))  # where no pixel paints
    biases = () if bias is None or any(beyond) else (bias,)
    out = g.node(
        "ConvTranspose", input, weight, *biases,
        strides=stride, pads=_pads((pads[0], pads[1])), dilations=dilation, group=groups,
    )  # fmt: skip
    if not any(beyond):
        return out
    out = g.node("Pad", out, g.ints(*(0,) * 6, *beyond))
    if bias is None:
        return out
    return g.node("Add", out, g.reshaped(bias, (*bias.shape, 1, 1)))


def _fixed(g: Graph, input: Value, start: int) -> tuple[int, ...]:
    """Return the sizes of the dimensions from ``start`` on, which must not follow the batch."""
    found = tuple(n for n in input.shape[start:] if not isinstance(n, Batch))
    if len(found) < len(input.shape) - start:
        raise g.refuse(f"expected images whose size does not follow the batch; got {input.shape}")
    return found


# Pooling


def _frame(
    size: Sequence[int], out: Sequence[int], kernel: Pair, stride: Pair, padding: Pair,
    dilation: Pair = (1, 1),
) -> list[int]:  # fmt: skip
    """Return the padding that makes just as many windows, also where the last reaches beyond."""
    reach = zip(size, out, kernel, stride, padding, dilation, strict=True)
    after = [max((m - 1) * s + d * (k - 1) + 1 - n - p, 0) for n, m, k, s, p, d in reach]
    return [*padding, *after]


def _max_pool2d(
    g: Graph, input: Value,
    kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool,
) -> str:  # fmt: skip
    if input.dtype != FLOAT:
        raise g.refuse(f"expected floats, got {input.dtype.name}; make the input a float first")
    size, out = _fixed(g, input, 2), _fixed(g, g.result(""), 2)
    return g.node(
        "MaxPool", input, kernel_shape=kernel_size, strides=stride, dilations=dilation,
        pads=_frame(size, out, kernel_size, stride, padding, dilation),
    )  # fmt: skip


def _avg_pool2d(
    g: Graph, input: Value,
    kernel_size: Pair, stride: Pair, padding: Pair, ceil_mode: bool,
    count_include_pad: bool, divisor_override: int | None,
) -> str:  # fmt: skip
    size, out = _fixed(g, input, 2), _fixed(g, g.result(""), 2)
    pads = _frame(size, out, kernel_size, stride, padding)
    name = g.node(
        "AveragePool", input, kernel_shape=kernel_size, strides=stride, pads=pads,
        count_include_pad=1,
    )  # fmt: skip
    whole = kernel_size[0] * kernel_size[1]
    if divisor_override is not None:
        return g.node("Mul", name, g.scalar(whole / divisor_override, FLOAT))
    margins = padding if count_include_pad else (0, 0)
    rows, columns = (
        _counts(*numbers)
        for numbers in zip(size, out, kernel_size, stride, padding, margins, strict=True)
    )
    counts = rows[:, None] * columns
    if (counts == whole).all():
        return name
    return g.node("Mul", name, g.constant((whole / counts).astype(np.float32)))


def _counts(n: int, m: int, k: int, s: int, p: int, margin: int) -> NDArray[np.int64]:
    """Return how many places of each window lie on the image or its margin."""
    places = np.arange(m)[:, None] * s - p + np.arange(k)
    return np.asarray(((places >= -margin) & (places < n + margin)).sum(axis=1), np.int64)


# Tables


def _embedding(g: Graph, input: Value, weight: Value, padding_idx: int | None) -> str:
    return g.node("Gather", weight, g.cast(input, INT), axis=0)


def _interpolate(g: Graph, input: Value, taps: Any, dim: int, size: int) -> str:
    """Each output is a sum of weighed inputs, which are read by their places."""
    total = ""
    for index, weights in taps:
        part = g.node("Gather", input, index, axis=dim)
        if weights is not None:
            beside = [1] * len(input.shape)
            beside[dim] = -1
            factors = g.constant(weights.array.reshape(beside).astype(np.float32))
            part = g.node("Mul", part, factors)
        total = g.node("Add", total, part) if total else part
    return total


def _rotary(g: Graph, input: Value, offset: int, base: float, back: bool) -> str:
    """Dimensions i and i + dim/2 turn by the angle t base^(-2i/dim) at position t."""
    length, dim = _fixed(g, input, len(input.shape) - 2)
    angles = np.arange(offset, offset + length)[:, None] * base ** (-np.arange(0, dim, 2) / dim)
    cosine, sine = (
        g.constant(f(-angles if back else angles).astype(np.float32)) for f in (np.cos, np.sin)
    )
    last = len(input.shape) - 1
    low, high = g.split("Split", 2, input, axis=last, num_outputs=2)
    turned = (
        g.node("Sub", g.node("Mul", low, cosine), g.node("Mul", high, sine)),
        g.node("Add", g.node("Mul", high, cosine), g.node("Mul", low, sine)),
    )
    return g.node("Concat", *turned, axis=last)


LAYERS: dict[str, Converter] = {
    "linear": _linear,
    "bilinear": _bilinear,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "embedding": _embedding,
    "interpolate": _interpolate,
    "rotary_embedding": _rotary,
}

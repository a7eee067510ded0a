"""Convolutions and poolings, declared once: kernels, steps, margins and sizes of all kinds.

Each configuration names a layer with the arguments that tt-nn's and PyTorch's take alike. The
references say by index which input each output reads, and take the array module first (``numpy``,
or ``autograd.numpy`` for gradients).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn

Array = NDArray[Any]
Reach = tuple[Array, Array]  # (output, tap) -> index of the input, and whether there is such a one


class Spatial(NamedTuple):
    """One configuration.

    Attributes:
        layer: The class, which tt_nn and torch.nn have under the same name.
        arguments: What it is made with.
        shape: The shape of its input.
    """

    layer: str
    arguments: dict[str, Any]
    shape: tuple[int, ...]

    @property
    def call(self) -> str:
        """The layer with its arguments, as Python."""
        return f"{self.layer}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"

    def __str__(self) -> str:
        return f"{self.call} of {self.shape}"

    def make(self) -> nn.Module:
        """Make the layer."""
        made: nn.Module = getattr(nn, self.layer)(**self.arguments)
        return made

    def input(self, seed: int = 0) -> Array:
        """Return float64 numbers of which no two are close, for the maximum has bends."""
        rng = np.random.default_rng(seed)
        count = math.prod(self.shape)
        return rng.permutation(np.linspace(-2, 2, max(count, 2))[:count]).reshape(self.shape)

    def reference(self, parameters: dict[str, Array], input: Array, xp: Any = np) -> Array:
        """Return the output for an input and parameters by name."""
        out: Array = REFERENCES[self.layer](xp, self.arguments, parameters, input)
        return out


# References


def per_dim(value: Any, dims: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * dims


def margins(arguments: dict[str, Any], kernel: tuple[int, ...], dims: int) -> list[tuple[int, int]]:
    """Return what is added before and after each dimension."""
    padding = arguments.get("padding", 0)
    if padding == "same":
        reach = [d * (k - 1) for d, k in zip(dilations(arguments, dims), kernel, strict=True)]
        return [(n // 2, n - n // 2) for n in reach]
    if padding == "valid":
        return [(0, 0)] * dims
    return [(p, p) for p in per_dim(padding, dims)]


def dilations(arguments: dict[str, Any], dims: int) -> tuple[int, ...]:
    return per_dim(arguments.get("dilation", 1), dims)


def reaches(
    sizes: tuple[int, ...], kernel: tuple[int, ...], stride: Any, arguments: dict[str, Any]
) -> list[Reach]:
    """Return for each dimension what every output reads at every tap of the kernel."""
    dims = len(sizes)
    found = []
    for n, k, s, d, (low, high) in zip(
        sizes,
        kernel,
        per_dim(stride, dims),
        dilations(arguments, dims),
        margins(arguments, kernel, dims),
        strict=True,
    ):
        room = n + low + high - d * (k - 1) - 1
        outputs = room // s + 1
        if arguments.get("ceil_mode") and room % s and outputs * s < n + low:
            outputs += 1  # one more window that starts within the input or the margin before it
        index = np.arange(outputs)[:, None] * s - low + np.arange(k) * d
        found.append((index, (index >= 0) & (index < n)))
    return found


def windows(xp: Any, x: Any, reach: list[Reach], fill: float) -> Any:
    """Return what each output reads: (N, C, outputs..., taps...)."""
    dims = len(reach)
    places, inside = [], np.ones((), bool)
    for dim, (index, valid) in enumerate(reach):
        shape = [1] * (2 * dims)
        shape[dim], shape[dims + dim] = index.shape
        places.append(np.clip(index, 0, x.shape[2 + dim] - 1).reshape(shape))
        inside = inside & valid.reshape(shape)
    return xp.where(inside, x[(slice(None), slice(None), *places)], fill)


def weigh(xp: Any, read: Any, weight: Any, bias: Any, groups: int, transposed: bool) -> Any:
    """Sum windows of (N, C, outputs..., taps...) weighed by a kernel, group by group."""
    dims = weight.ndim - 2
    outputs, taps = "yx"[:dims], "ab"[:dims]
    grouped = xp.reshape(read, (read.shape[0], groups, read.shape[1] // groups, *read.shape[2:]))
    first = weight.shape[0] // groups
    kernel = xp.reshape(weight, (groups, first, *weight.shape[1:]))
    channels = "gco" if transposed else "goc"
    out = xp.einsum(f"ngc{outputs}{taps},{channels}{taps}->ngo{outputs}", grouped, kernel)
    out = xp.reshape(out, (out.shape[0], out.shape[1] * out.shape[2], *out.shape[3:]))
    return out if bias is None else out + xp.reshape(bias, (-1, *(1,) * dims))


def convolution(xp: Any, arguments: dict[str, Any], p: dict[str, Any], x: Any) -> Any:
    kernel = p["weight"].shape[2:]
    reach = reaches(x.shape[2:], kernel, arguments.get("stride", 1), arguments)
    read = windows(xp, x, reach, 0.0)
    return weigh(xp, read, p["weight"], p.get("bias"), arguments.get("groups", 1), False)


def transposed_convolution(xp: Any, arguments: dict[str, Any], p: dict[str, Any], x: Any) -> Any:
    """Output o reads input i at tap k where i * stride - padding + k * dilation = o."""
    kernel, sizes = p["weight"].shape[2:], x.shape[2:]
    reach = []
    for n, k, s, pad, more, d in zip(
        sizes,
        kernel,
        per_dim(arguments.get("stride", 1), len(sizes)),
        per_dim(arguments.get("padding", 0), len(sizes)),
        per_dim(arguments.get("output_padding", 0), len(sizes)),
        dilations(arguments, len(sizes)),
        strict=True,
    ):
        outputs = (n - 1) * s - 2 * pad + d * (k - 1) + more + 1
        index, rest = np.divmod(np.arange(outputs)[:, None] + pad - np.arange(k) * d, s)
        reach.append((index, (rest == 0) & (index >= 0) & (index < n)))
    read = windows(xp, x, reach, 0.0)
    return weigh(xp, read, p["weight"], p.get("bias"), arguments.get("groups", 1), True)


def pooled(x: Any, arguments: dict[str, Any]) -> tuple[list[Reach], tuple[int, ...]]:
    dims = x.ndim - 2
    kernel = per_dim(arguments["kernel_size"], dims)
    return reaches(x.shape[2:], kernel, arguments.get("stride") or kernel, arguments), kernel


def largest(xp: Any, arguments: dict[str, Any], _: dict[str, Any], x: Any) -> Any:
    reach, _kernel = pooled(x, arguments)
    return xp.max(windows(xp, x, reach, -math.inf), axis=tuple(range(x.ndim, 2 * x.ndim - 2)))


def average(xp: Any, arguments: dict[str, Any], _: dict[str, Any], x: Any) -> Any:
    reach, kernel = pooled(x, arguments)
    total = xp.sum(windows(xp, x, reach, 0.0), axis=tuple(range(x.ndim, 2 * x.ndim - 2)))
    counts = np.ones(())
    for n, (_low, high), (index, valid) in zip(
        x.shape[2:], margins(arguments, kernel, x.ndim - 2), reach, strict=True
    ):
        with_margin = arguments.get("count_include_pad", True)
        counted = index < n + high if with_margin else valid
        counts = counts[..., None] * counted.sum(axis=1)
    return total / (arguments.get("divisor_override") or counts)


def adaptive_average(xp: Any, arguments: dict[str, Any], _: dict[str, Any], x: Any) -> Any:
    """Average between floor(i n / m) and ceil((i + 1) n / m), as a product with matrices."""
    matrices = []
    for n, asked in zip(x.shape[2:], per_dim(arguments["output_size"], 2), strict=True):
        m = n if asked is None else asked
        i, j = np.arange(m)[:, None], np.arange(n)
        reads = (j >= i * n // m) & (j < -(-(i + 1) * n // m))
        matrices.append(reads / reads.sum(axis=1, keepdims=True))
    return xp.einsum("ncij,ai,bj->ncab", x, *matrices)


def adaptive_largest(xp: Any, arguments: dict[str, Any], _: dict[str, Any], x: Any) -> Any:
    reach = []
    for n, asked in zip(x.shape[2:], per_dim(arguments["output_size"], 2), strict=True):
        m = n if asked is None else asked
        i = np.arange(m)[:, None]
        index = i * n // m + np.arange(n)
        reach.append((index, index < -(-(i + 1) * n // m)))
    return xp.max(windows(xp, x, reach, -math.inf), axis=(4, 5))


REFERENCES: dict[str, Callable[..., Any]] = {
    "Conv1d": convolution,
    "Conv2d": convolution,
    "ConvTranspose2d": transposed_convolution,
    "MaxPool1d": largest,
    "MaxPool2d": largest,
    "AvgPool1d": average,
    "AvgPool2d": average,
    "AdaptiveMaxPool2d": adaptive_largest,
    "AdaptiveAvgPool2d": adaptive_average,
}


# The table


def conv1d(i: int, o: int, k: int, shape: tuple[int, ...], **more: Any) -> Spatial:
    return Spatial("Conv1d", {"in_channels": i, "out_channels": o, "kernel_size": k, **more}, shape)


def conv2d(i: int, o: int, k: Any, shape: tuple[int, ...], **more: Any) -> Spatial:
    return Spatial("Conv2d", {"in_channels": i, "out_channels": o, "kernel_size": k, **more}, shape)


def transposed(i: int, o: int, k: Any, shape: tuple[int, ...], **more: Any) -> Spatial:
    arguments = {"in_channels": i, "out_channels": o, "kernel_size": k, **more}
    return Spatial("ConvTranspose2d", arguments, shape)


def max_pool(k: Any, shape: tuple[int, ...], **more: Any) -> Spatial:
    return Spatial("MaxPool2d", {"kernel_size": k, **more}, shape)


def avg_pool(k: Any, shape: tuple[int, ...], **more: Any) -> Spatial:
    return Spatial("AvgPool2d", {"kernel_size": k, **more}, shape)


def adaptive(size: Any, shape: tuple[int, ...]) -> Spatial:
    return Spatial("AdaptiveAvgPool2d", {"output_size": size}, shape)


SPATIAL = [
    # Kernels of every size, on odd and even images
    *(conv2d(2, 3, k, (2, 2, 8, 9)) for k in range(1, 8)),
    *(conv2d(2, 3, k, (2, 2, 7, 7), padding=k // 2) for k in range(2, 8)),
    conv2d(1, 1, 3, (1, 1, 3, 3)),
    conv2d(1, 1, 7, (1, 1, 1, 1), padding=3),
    conv2d(3, 4, (1, 5), (2, 3, 5, 7)),
    conv2d(3, 4, (5, 1), (2, 3, 7, 5), padding=(2, 0)),
    conv2d(3, 2, (3, 2), (1, 3, 6, 5), padding=(0, 3)),
    # Steps, also such that the last columns are never read
    conv2d(3, 4, 3, (2, 3, 8, 8), stride=2),
    conv2d(3, 4, 3, (2, 3, 9, 7), stride=2, padding=1),
    conv2d(3, 4, 3, (1, 3, 10, 11), stride=3, padding=1),
    conv2d(3, 4, 2, (2, 3, 9, 9), stride=2),
    conv2d(3, 4, 1, (2, 3, 7, 8), stride=2),
    conv2d(3, 4, 1, (2, 3, 5, 5), stride=3, padding=1),
    conv2d(2, 3, 5, (2, 2, 12, 11), stride=4, padding=2),
    conv2d(2, 3, 7, (1, 2, 15, 14), stride=2, padding=3),
    conv2d(2, 3, (2, 3), (2, 2, 7, 9), stride=(1, 2), padding=(1, 0)),
    conv2d(2, 3, 2, (2, 2, 8, 8), stride=5),
    # Margins by name, and wider than the kernel
    *(conv2d(2, 3, k, (2, 2, 6, 5), padding="same") for k in (1, 2, 3, 4, 5)),
    conv2d(2, 3, (2, 5), (2, 2, 6, 5), padding="same", dilation=(3, 1)),
    conv2d(2, 3, 3, (2, 2, 6, 5), padding="valid"),
    conv2d(2, 3, 2, (1, 2, 4, 4), padding=4),
    # Dilation
    conv2d(2, 3, 3, (2, 2, 9, 8), dilation=2),
    conv2d(2, 3, 3, (2, 2, 9, 8), dilation=2, padding=2, stride=2),
    conv2d(2, 3, 3, (1, 2, 9, 10), dilation=(1, 4), padding=(1, 4)),
    conv2d(2, 3, 2, (2, 2, 8, 8), dilation=5, stride=3, padding=1),
    # Groups and depthwise
    conv2d(4, 6, 3, (2, 4, 6, 5), groups=2, padding=1),
    conv2d(6, 3, 3, (1, 6, 7, 5), groups=3, stride=2),
    conv2d(6, 6, 3, (2, 6, 6, 6), groups=6, padding=1),
    conv2d(5, 5, 5, (2, 5, 9, 8), groups=5, padding=2, stride=2),
    conv2d(3, 6, 3, (2, 3, 6, 6), groups=3, padding="same", dilation=2),
    conv2d(4, 4, 1, (2, 4, 5, 5), groups=2),
    # Without bias; one image; none; many channels, which kernels may treat otherwise
    conv2d(3, 4, 3, (2, 3, 6, 6), bias=False, padding=1),
    conv2d(1, 8, 3, (1, 1, 9, 9), bias=False),
    conv2d(8, 1, 3, (1, 8, 5, 5), padding=1),
    conv2d(3, 4, 3, (0, 3, 6, 6), padding=1),
    conv2d(17, 19, 3, (3, 17, 5, 5), padding=1),
    conv2d(33, 16, 3, (2, 33, 6, 7), padding=1, bias=False),
    conv2d(16, 9, 1, (5, 16, 3, 3)),
    # Sequences
    conv1d(3, 4, 3, (2, 3, 9)),
    conv1d(3, 4, 4, (2, 3, 9), padding=2, stride=2),
    conv1d(4, 6, 3, (2, 4, 11), groups=2, dilation=3, padding="same"),
    conv1d(4, 4, 5, (1, 4, 6), groups=4, padding=4, bias=False),
    conv1d(2, 3, 1, (3, 2, 5)),
    # Transposed
    transposed(3, 4, 3, (2, 3, 5, 4)),
    transposed(3, 4, 2, (2, 3, 4, 4), stride=2),
    transposed(3, 4, 3, (2, 3, 4, 5), stride=2, padding=1, output_padding=1),
    transposed(2, 3, 4, (1, 2, 4, 3), stride=2, padding=1, bias=False),
    transposed(4, 6, 3, (2, 4, 4, 4), groups=2, stride=3, padding=(0, 1)),
    transposed(2, 3, (2, 3), (2, 2, 5, 4), dilation=2, stride=(1, 3), output_padding=(1, 2)),
    transposed(4, 4, 3, (1, 4, 3, 3), groups=4, padding=1),
    transposed(2, 3, 1, (2, 2, 3, 4), stride=2),
    transposed(2, 3, 3, (0, 2, 4, 4)),
    # Pooling
    max_pool(2, (2, 3, 8, 8)),
    max_pool(2, (2, 3, 7, 9)),
    max_pool(3, (1, 2, 9, 10)),
    max_pool(3, (2, 3, 8, 7), stride=2, padding=1),
    max_pool(3, (2, 2, 6, 6), stride=1),
    max_pool((2, 3), (2, 2, 7, 8), stride=(1, 2), padding=(0, 1)),
    max_pool(2, (2, 2, 9, 9), stride=3),
    max_pool(2, (2, 2, 7, 8), dilation=2),
    max_pool(2, (2, 2, 7, 9), ceil_mode=True),
    max_pool(3, (2, 2, 8, 7), stride=2, padding=1, ceil_mode=True),
    max_pool(1, (2, 2, 4, 4)),
    max_pool(7, (1, 2, 7, 7)),
    max_pool(2, (0, 3, 4, 4)),
    avg_pool(2, (2, 3, 8, 8)),
    avg_pool(2, (2, 3, 7, 9)),
    avg_pool(3, (2, 3, 8, 7), stride=2, padding=1),
    avg_pool(3, (2, 3, 8, 7), stride=2, padding=1, count_include_pad=False),
    avg_pool(3, (2, 2, 6, 5), stride=1),
    avg_pool((3, 2), (1, 2, 7, 6), stride=(2, 1), padding=(1, 0)),
    avg_pool(2, (2, 2, 7, 9), ceil_mode=True),
    avg_pool(3, (2, 2, 8, 7), stride=2, padding=1, ceil_mode=True),
    avg_pool(3, (2, 2, 8, 7), stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    avg_pool(2, (2, 2, 6, 6), divisor_override=3),
    avg_pool(2, (0, 3, 4, 4)),
    adaptive(1, (2, 3, 7, 5)),
    adaptive((1, 1), (1, 4, 1, 1)),
    adaptive(2, (2, 3, 8, 6)),
    adaptive((3, 5), (2, 2, 7, 8)),
    adaptive((None, 2), (2, 2, 3, 7)),
    adaptive(5, (2, 2, 3, 4)),
    Spatial("AdaptiveMaxPool2d", {"output_size": 1}, (2, 3, 7, 5)),
    Spatial("AdaptiveMaxPool2d", {"output_size": (3, 5)}, (2, 2, 7, 8)),
    Spatial("AdaptiveMaxPool2d", {"output_size": (None, 2)}, (2, 2, 3, 7)),
    Spatial("MaxPool1d", {"kernel_size": 2}, (2, 3, 9)),
    Spatial("MaxPool1d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 8)),
    Spatial("AvgPool1d", {"kernel_size": 2}, (2, 3, 9)),
    Spatial("AvgPool1d", {"kernel_size": 3, "stride": 2, "padding": 1}, (2, 3, 8)),
]

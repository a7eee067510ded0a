"""Every layer of tt-nn, declared once: the tests of several packages run over this table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn
from spatial_table import SPATIAL, Spatial
from transformer_table import TRANSFORMER

Array = NDArray[Any]
Parameters = dict[str, Array]


class Layer(NamedTuple):
    """One way to use a layer.

    Attributes:
        name: What tests call it.
        make: Makes the layer.
        shapes: The shapes of its inputs.
        reference: The same in NumPy: takes the layer's parameters by name, then the inputs.
        torch: Python that makes PyTorch's counterpart, where ``torch`` is imported. The state
            dicts have the same names.
        kind: ``"activation"``, ``"layer"``, ``"spatial"`` or ``"transformer"``: the curriculum
            module that brings it.
    """

    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    reference: Callable[..., Array]
    torch: str
    kind: str = "layer"

    def inputs(self, seed: int = 0) -> list[Array]:
        """Return float64 inputs that stay clear of the kinks at 0."""
        rng = np.random.default_rng(seed)
        arrays = [rng.normal(0, 2, shape) for shape in self.shapes]
        return [np.where(np.abs(x) < 0.05, 0.1, x) for x in arrays]


def erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[float])(x))


def softmax(x: Array, dim: int) -> Array:
    out: Array = np.exp(x) / np.exp(x).sum(axis=dim, keepdims=True)
    return out


def activation(
    name: str,
    make: Callable[[], nn.Module],
    reference: Callable[[Array], Array],
    torch: str,
    shape: tuple[int, ...] = (4, 5),
) -> Layer:
    return Layer(name, make, (shape,), lambda _, x: reference(x), torch, "activation")


def linear(p: Parameters, x: Array) -> Array:
    out: Array = np.einsum("...i,oi->...o", x, p["weight"])
    return out + p["bias"] if "bias" in p else out


def bilinear(p: Parameters, x1: Array, x2: Array) -> Array:
    out: Array = np.einsum("...i,oij,...j->...o", x1, p["weight"], x2)
    return out + p["bias"] if "bias" in p else out


def two_layers(p: Parameters, x: Array) -> Array:
    hidden = np.tanh(x @ p["0.weight"].T + p["0.bias"])
    out: Array = hidden @ p["2.weight"].T + p["2.bias"]
    return out


def cubic(x: Array) -> Array:
    return np.asarray(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def spatial(
    name: str,
    make: Callable[[], nn.Module],
    shape: tuple[int, ...],
    reference: Callable[[Parameters, Array], Array],
    torch: str,
) -> Layer:
    return Layer(name, make, (shape,), reference, torch, "spatial")


def of_table(entry: Spatial) -> Layer:
    return spatial(str(entry), entry.make, entry.shape, entry.reference, f"torch.nn.{entry.call}")


def standardised(x: Array, axes: tuple[int, ...], eps: float = 1e-5) -> Array:
    """Subtract the mean over some dimensions and divide by the standard deviation."""
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return np.asarray((x - mean) / np.sqrt(var + eps))


def affine(p: Parameters, x: Array, dim: int) -> Array:
    """Multiply with the weight and add the bias, if there are such, along a dimension."""
    shape = [1] * x.ndim
    shape[dim] = -1
    if "weight" in p:
        x = x * p["weight"].reshape(shape)
    return x + p["bias"].reshape(shape) if "bias" in p else x


def layer_norm(p: Parameters, x: Array) -> Array:
    return affine(p, standardised(x, (-1,)), -1)


def layer_norm_of_two(p: Parameters, x: Array) -> Array:
    return standardised(x, (-2, -1)) * p["weight"] + p["bias"]


def rms_norm(p: Parameters, x: Array, eps: float) -> Array:
    return affine(p, x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps), -1)


def group_norm(groups: int, p: Parameters, x: Array) -> Array:
    split = x.reshape((x.shape[0], groups, -1))
    return affine(p, standardised(split, (2,)).reshape(x.shape), 1)


def batch_norm(p: Parameters, x: Array) -> Array:
    return affine(p, standardised(x, (0, *range(2, x.ndim))), 1)


def by_initial_statistics(p: Parameters, x: Array) -> Array:
    return affine(p, x / np.sqrt(1 + 1e-5), 1)


def lerp(n: int, m: int, align_corners: bool) -> Array:
    """Return the matrix that takes n values to m by linear interpolation."""
    places = np.linspace(0, n - 1, m) if align_corners else (np.arange(m) + 0.5) * n / m - 0.5
    return np.array([np.interp(places, np.arange(n), unit) for unit in np.eye(n)]).T


def bilinear_upsample(size: tuple[int, int], align_corners: bool, x: Array) -> Array:
    rows, columns = (lerp(n, m, align_corners) for n, m in zip(x.shape[2:], size, strict=True))
    return np.asarray(np.einsum("ncij,ai,bj->ncab", x, rows, columns))


# Of the table of convolutions and poolings, some of each kind; all of it has tests of its own.
CHOSEN: list[tuple[str, dict[str, Any]]] = [
    ("Conv1d", {}),
    ("Conv1d", {"groups": 2}),
    ("Conv2d", {"kernel_size": 3}),
    ("Conv2d", {"padding": "same", "kernel_size": 4}),
    ("Conv2d", {"stride": 2, "dilation": 2}),
    ("Conv2d", {"groups": 5, "stride": 2}),
    ("Conv2d", {"bias": False}),
    ("ConvTranspose2d", {}),
    ("ConvTranspose2d", {"groups": 2}),
    ("ConvTranspose2d", {"stride": 2, "output_padding": 1}),
    ("MaxPool2d", {}),
    ("MaxPool2d", {"padding": 1}),
    ("AvgPool2d", {}),
    ("AvgPool2d", {"padding": 1, "count_include_pad": False}),
    ("AdaptiveAvgPool2d", {}),
    ("AdaptiveAvgPool2d", {"output_size": (3, 5)}),
    ("AdaptiveMaxPool2d", {"output_size": (3, 5)}),
    ("MaxPool1d", {"padding": 1}),
    ("AvgPool1d", {"padding": 1}),
]
SOME_SPATIAL = [
    next(s for s in SPATIAL if s.layer == layer and wanted.items() <= s.arguments.items())
    for layer, wanted in CHOSEN
]

NORMS = [
    spatial(
        "BatchNorm1d", lambda: nn.BatchNorm1d(3), (5, 3), batch_norm, "torch.nn.BatchNorm1d(3)"
    ),
    spatial(
        "BatchNorm1d of sequences",
        lambda: nn.BatchNorm1d(3),
        (2, 3, 4),
        batch_norm,
        "torch.nn.BatchNorm1d(3)",
    ),
    spatial(
        "BatchNorm2d",
        lambda: nn.BatchNorm2d(3),
        (2, 3, 4, 2),
        batch_norm,
        "torch.nn.BatchNorm2d(3)",
    ),
    spatial(
        "BatchNorm2d without parameters",
        lambda: nn.BatchNorm2d(3, affine=False, track_running_stats=False),
        (2, 3, 2, 2),
        batch_norm,
        "torch.nn.BatchNorm2d(3, affine=False, track_running_stats=False)",
    ),
    spatial(
        "BatchNorm2d in evaluation",
        lambda: nn.BatchNorm2d(3).eval(),
        (2, 3, 2, 2),
        by_initial_statistics,
        "torch.nn.BatchNorm2d(3).eval()",
    ),
    spatial("LayerNorm", lambda: nn.LayerNorm(4), (3, 4), layer_norm, "torch.nn.LayerNorm(4)"),
    spatial(
        "LayerNorm of a vector",
        lambda: nn.LayerNorm(4),
        (4,),
        layer_norm,
        "torch.nn.LayerNorm(4)",
    ),
    spatial(
        "LayerNorm of two dimensions",
        lambda: nn.LayerNorm((3, 4)),
        (2, 3, 4),
        layer_norm_of_two,
        "torch.nn.LayerNorm((3, 4))",
    ),
    spatial(
        "LayerNorm without bias",
        lambda: nn.LayerNorm(4, bias=False),
        (2, 3, 4),
        layer_norm,
        "torch.nn.LayerNorm(4, bias=False)",
    ),
    spatial(
        "LayerNorm without parameters",
        lambda: nn.LayerNorm([4], elementwise_affine=False),
        (2, 3, 4),
        layer_norm,
        "torch.nn.LayerNorm([4], elementwise_affine=False)",
    ),
    spatial(
        "LayerNorm of nothing", lambda: nn.LayerNorm(4), (0, 4), layer_norm, "torch.nn.LayerNorm(4)"
    ),
    spatial(
        "RMSNorm",
        lambda: nn.RMSNorm(4, eps=0.01),
        (2, 3, 4),
        lambda p, x: rms_norm(p, x, 0.01),
        "torch.nn.RMSNorm(4, eps=0.01)",
    ),
    spatial(
        "RMSNorm without weight",
        lambda: nn.RMSNorm(4, eps=0.01, elementwise_affine=False),
        (3, 4),
        lambda p, x: rms_norm(p, x, 0.01),
        "torch.nn.RMSNorm(4, eps=0.01, elementwise_affine=False)",
    ),
    spatial(
        "GroupNorm",
        lambda: nn.GroupNorm(2, 4),
        (2, 4, 3, 2),
        lambda p, x: group_norm(2, p, x),
        "torch.nn.GroupNorm(2, 4)",
    ),
    spatial(
        "GroupNorm of vectors",
        lambda: nn.GroupNorm(2, 6),
        (3, 6),
        lambda p, x: group_norm(2, p, x),
        "torch.nn.GroupNorm(2, 6)",
    ),
    spatial(
        "GroupNorm without parameters",
        lambda: nn.GroupNorm(1, 3, affine=False),
        (2, 3, 4),
        lambda p, x: group_norm(1, p, x),
        "torch.nn.GroupNorm(1, 3, affine=False)",
    ),
    spatial(
        "InstanceNorm2d",
        lambda: nn.InstanceNorm2d(3),
        (2, 3, 4, 2),
        lambda p, x: group_norm(3, p, x),
        "torch.nn.InstanceNorm2d(3)",
    ),
    spatial(
        "InstanceNorm2d with all",
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        (2, 3, 4, 2),
        lambda p, x: group_norm(3, p, x),
        "torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True)",
    ),
    spatial(
        "InstanceNorm2d in evaluation",
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True).eval(),
        (2, 3, 2, 2),
        by_initial_statistics,
        "torch.nn.InstanceNorm2d(3, affine=True, track_running_stats=True).eval()",
    ),
]

RESIZING = [
    spatial(
        "ZeroPad2d",
        lambda: nn.ZeroPad2d((1, 2, 0, 1)),
        (2, 1, 2, 3),
        lambda _, x: np.pad(x, ((0, 0), (0, 0), (0, 1), (1, 2))),
        "torch.nn.ZeroPad2d((1, 2, 0, 1))",
    ),
    spatial(
        "Upsample",
        lambda: nn.Upsample(scale_factor=2),
        (2, 2, 2, 3),
        lambda _, x: x.repeat(2, 2).repeat(2, 3),
        "torch.nn.Upsample(scale_factor=2)",
    ),
    spatial(
        "Upsample to a size",
        lambda: nn.Upsample(size=(7, 2)),
        (1, 2, 3, 5),
        lambda _, x: x[:, :, np.arange(7) * 3 // 7][..., np.arange(2) * 5 // 2],
        "torch.nn.Upsample(size=(7, 2))",
    ),
    spatial(
        "Upsample by 3/2",
        lambda: nn.Upsample(scale_factor=1.5),
        (1, 2, 5, 4),
        lambda _, x: x[:, :, np.arange(7) * 2 // 3][..., np.arange(6) * 2 // 3],
        "torch.nn.Upsample(scale_factor=1.5)",
    ),
    spatial(
        "Upsample of sequences",
        lambda: nn.Upsample(scale_factor=2, mode="linear"),
        (2, 2, 3),
        lambda _, x: np.einsum("ncj,bj->ncb", x, lerp(3, 6, False)),
        "torch.nn.Upsample(scale_factor=2, mode='linear')",
    ),
    spatial(
        "Upsample(bilinear)",
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        (2, 2, 3, 2),
        lambda _, x: bilinear_upsample((6, 4), False, x),
        "torch.nn.Upsample(scale_factor=2, mode='bilinear')",
    ),
    spatial(
        "Upsample(bilinear) of another shape",
        lambda: nn.Upsample(size=(5, 3), mode="bilinear"),
        (1, 2, 3, 7),
        lambda _, x: bilinear_upsample((5, 3), False, x),
        "torch.nn.Upsample(size=(5, 3), mode='bilinear')",
    ),
    spatial(
        "Upsample(bilinear) with corners aligned",
        lambda: nn.Upsample(size=(5, 4), mode="bilinear", align_corners=True),
        (1, 2, 3, 3),
        lambda _, x: bilinear_upsample((5, 4), True, x),
        "torch.nn.Upsample(size=(5, 4), mode='bilinear', align_corners=True)",
    ),
    spatial(
        "Dropout1d in evaluation",
        lambda: nn.Dropout1d(0.5).eval(),
        (2, 3, 4),
        lambda _, x: x,
        "torch.nn.Dropout1d(0.5).eval()",
    ),
    spatial(
        "Dropout2d in evaluation",
        lambda: nn.Dropout2d(0.5).eval(),
        (2, 3, 2, 2),
        lambda _, x: x,
        "torch.nn.Dropout2d(0.5).eval()",
    ),
]

LAYERS = [
    activation("ReLU", nn.ReLU, lambda x: np.maximum(x, 0), "torch.nn.ReLU()"),
    activation("ReLU of a scalar", nn.ReLU, lambda x: np.maximum(x, 0), "torch.nn.ReLU()", ()),
    activation(
        "LeakyReLU", nn.LeakyReLU, lambda x: np.where(x > 0, x, 0.01 * x), "torch.nn.LeakyReLU()"
    ),
    activation(
        "LeakyReLU(0.3)",
        lambda: nn.LeakyReLU(0.3),
        lambda x: np.where(x > 0, x, 0.3 * x),
        "torch.nn.LeakyReLU(0.3)",
    ),
    activation("Sigmoid", nn.Sigmoid, lambda x: 1 / (1 + np.exp(-x)), "torch.nn.Sigmoid()"),
    activation("Tanh", nn.Tanh, np.tanh, "torch.nn.Tanh()"),
    activation("GELU", nn.GELU, lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))), "torch.nn.GELU()"),
    activation(
        "GELU(tanh)",
        lambda: nn.GELU("tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(cubic(x))),
        "torch.nn.GELU(approximate='tanh')",
    ),
    activation("SiLU", nn.SiLU, lambda x: x / (1 + np.exp(-x)), "torch.nn.SiLU()"),
    activation("Softplus", nn.Softplus, lambda x: np.log1p(np.exp(x)), "torch.nn.Softplus()"),
    activation(
        "Softplus(2)",
        lambda: nn.Softplus(2.0, threshold=3.0),
        lambda x: np.where(2 * x > 3, x, np.log1p(np.exp(2 * x)) / 2),
        "torch.nn.Softplus(2.0, threshold=3.0)",
    ),
    activation("ELU", nn.ELU, lambda x: np.where(x > 0, x, np.expm1(x)), "torch.nn.ELU()"),
    activation(
        "ELU(0.5)",
        lambda: nn.ELU(0.5),
        lambda x: np.where(x > 0, x, 0.5 * np.expm1(x)),
        "torch.nn.ELU(0.5)",
    ),
    activation("Softmax(1)", lambda: nn.Softmax(1), lambda x: softmax(x, 1), "torch.nn.Softmax(1)"),
    activation(
        "Softmax(-3)",
        lambda: nn.Softmax(-3),
        lambda x: softmax(x, 0),
        "torch.nn.Softmax(-3)",
        (3, 2, 4),
    ),
    activation(
        "LogSoftmax(-1)",
        lambda: nn.LogSoftmax(-1),
        lambda x: np.log(softmax(x, -1)),
        "torch.nn.LogSoftmax(-1)",
        (2, 3, 4),
    ),
    Layer("Linear", lambda: nn.Linear(3, 2), ((4, 3),), linear, "torch.nn.Linear(3, 2)"),
    Layer("Linear of a vector", lambda: nn.Linear(3, 2), ((3,),), linear, "torch.nn.Linear(3, 2)"),
    Layer(
        "Linear of a sequence",
        lambda: nn.Linear(3, 2),
        ((2, 4, 3),),
        linear,
        "torch.nn.Linear(3, 2)",
    ),
    Layer("Linear of nothing", lambda: nn.Linear(3, 2), ((0, 3),), linear, "torch.nn.Linear(3, 2)"),
    Layer(
        "Linear without bias",
        lambda: nn.Linear(3, 1, bias=False),
        ((2, 5, 2, 3),),
        linear,
        "torch.nn.Linear(3, 1, bias=False)",
    ),
    Layer(
        "Bilinear",
        lambda: nn.Bilinear(3, 4, 2),
        ((5, 3), (5, 4)),
        bilinear,
        "torch.nn.Bilinear(3, 4, 2)",
    ),
    Layer(
        "Bilinear without bias",
        lambda: nn.Bilinear(3, 4, 2, bias=False),
        ((2, 5, 3), (2, 5, 4)),
        bilinear,
        "torch.nn.Bilinear(3, 4, 2, bias=False)",
    ),
    Layer("Identity", nn.Identity, ((2, 3),), lambda _, x: x, "torch.nn.Identity()"),
    Layer(
        "Flatten",
        nn.Flatten,
        ((2, 3, 4),),
        lambda _, x: x.reshape(2, 12),
        "torch.nn.Flatten()",
    ),
    Layer(
        "Flatten(0, 1)",
        lambda: nn.Flatten(0, 1),
        ((2, 3, 4),),
        lambda _, x: x.reshape(6, 4),
        "torch.nn.Flatten(0, 1)",
    ),
    Layer(
        "Unflatten",
        lambda: nn.Unflatten(1, (3, -1)),
        ((2, 12),),
        lambda _, x: x.reshape(2, 3, 4),
        "torch.nn.Unflatten(1, (3, -1))",
    ),
    Layer(
        "Dropout(0)", lambda: nn.Dropout(0.0), ((2, 3),), lambda _, x: x, "torch.nn.Dropout(0.0)"
    ),
    Layer(
        "Dropout in evaluation",
        lambda: nn.Dropout(0.5).eval(),
        ((2, 3),),
        lambda _, x: x,
        "torch.nn.Dropout(0.5).eval()",
    ),
    Layer(
        "Sequential",
        lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
        ((5, 3),),
        two_layers,
        "torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))",
    ),
    *map(of_table, SOME_SPATIAL),
    *NORMS,
    *RESIZING,
    *[Layer(*row, kind="transformer") for row in TRANSFORMER],
]

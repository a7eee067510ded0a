"""Every layer of tt-nn, declared once: the tests of several packages run over this table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn

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
        kind: ``"activation"`` or ``"layer"``.
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
]

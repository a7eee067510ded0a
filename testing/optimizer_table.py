"""Every optimizer in its variants, declared once, for the property tests and the comparison.

A case's reference is the paper's rule for one parameter, in plain NumPy and double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

Array = NDArray[Any]
State = dict[str, Any]
Reference = Callable[[Array, Array, State, int, dict[str, Any]], Array]

# Shapes of parameters as models have them: without dimensions, empty, small, and larger than
# what is updated at a time.
SHAPES = ((3, 4), (5,), (), (0, 3), (2, 3, 2), (300, 250), (1, 7), (17000,))
MATRICES = ((3, 4), (5,), (), (0, 3), (2, 3, 2), (40, 25), (1, 7), (17000,))


@dataclass(frozen=True)
class OptimizerCase:
    """One optimizer with some arguments.

    Attributes:
        kind: The class.
        reference: Takes a parameter, its gradient, a dictionary for state, the number of the
            update from 1 and the hyperparameters; returns the new parameter.
        arguments: Beside the parameters.
        state: The names of the arrays that it keeps for each parameter.
        torch: Whether ``torch.optim`` has a class of this name with these arguments.
        shapes: Of parameters to try it on.
    """

    kind: type[optim.Optimizer]
    reference: Reference
    arguments: dict[str, Any] = field(default_factory=dict)
    state: tuple[str, ...] = ()
    torch: bool = True
    shapes: tuple[tuple[int, ...], ...] = SHAPES

    def __str__(self) -> str:
        shown = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        return f"{self.kind.__name__}({shown})"

    def make(self, params: Any, **others: Any) -> optim.Optimizer:
        """Return the optimizer of some parameters."""
        kind: Any = self.kind
        made: optim.Optimizer = kind(params, **{**self.arguments, **others})
        return made


@dataclass(frozen=True)
class Refused:
    """Arguments that an optimizer refuses: the kind of error and what its message says."""

    kind: type[optim.Optimizer]
    arguments: dict[str, Any]
    error: type[Exception]
    says: str

    def __str__(self) -> str:
        return f"{self.kind.__name__}({self.arguments})"


# References


def _signed(p: Array, g: Array, h: dict[str, Any], *, decay: bool = True) -> Array:
    g = -g if h["maximize"] else g
    return g + h["weight_decay"] * p if decay else g


def sgd(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    g = _signed(p, g, h)
    if h["momentum"]:
        if t == 1:
            state["b"] = g
        else:
            state["b"] = h["momentum"] * state["b"] + (1 - h["dampening"]) * g
        g = g + h["momentum"] * state["b"] if h["nesterov"] else state["b"]
    return np.asarray(p - h["lr"] * g)


def adam(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    return _adam(p, _signed(p, g, h), state, t, h)


def adamw(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    g = _signed(p, g, h, decay=False)
    return _adam(p * (1 - h["lr"] * h["weight_decay"]), g, state, t, h)


def _adam(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    beta1, beta2 = h["betas"]
    state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g**2
    v = state["v"]
    if h.get("amsgrad"):
        v = state["max"] = np.maximum(state.get("max", 0), v)
    mean, square = state["m"] / (1 - beta1**t), v / (1 - beta2**t)
    return np.asarray(p - h["lr"] * mean / (np.sqrt(square) + h["eps"]))


def rmsprop(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    g, alpha = _signed(p, g, h), h["alpha"]
    state["v"] = alpha * state.get("v", 0) + (1 - alpha) * g**2
    variance = state["v"]
    if h["centered"]:
        state["mean"] = alpha * state.get("mean", 0) + (1 - alpha) * g
        variance = variance - state["mean"] ** 2
    state["b"] = h["momentum"] * state.get("b", 0) + g / (np.sqrt(variance) + h["eps"])
    return np.asarray(p - h["lr"] * state["b"])


def adagrad(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    g = _signed(p, g, h)
    state["sum"] = state.get("sum", h["initial_accumulator_value"]) + g**2
    rate = h["lr"] / (1 + (t - 1) * h["lr_decay"])
    return np.asarray(p - rate * g / (np.sqrt(state["sum"]) + h["eps"]))


def lion(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    g, (beta1, beta2) = _signed(p, g, h, decay=False), h["betas"]
    m = state.get("m", np.zeros_like(p))
    state["m"] = beta2 * m + (1 - beta2) * g
    p = p * (1 - h["lr"] * h["weight_decay"])
    return np.asarray(p - h["lr"] * np.sign(beta1 * m + (1 - beta1) * g))


def muon(p: Array, g: Array, state: State, t: int, h: dict[str, Any]) -> Array:
    if not h["use_muon"]:
        return adamw(p, g, state, t, {**h, "maximize": False})
    mu = h["momentum"]
    state["m"] = mu * state.get("m", 0) + (1 - mu) * g
    u = (1 - mu) * g + mu * state["m"] if h["nesterov"] else state["m"]
    rows, columns = p.shape[0], p[0].size
    # By the singular values: each step of Newton and Schulz is a polynomial of every one.
    left, s, right = np.linalg.svd(u.reshape(rows, columns), full_matrices=False)
    s = s / max(np.linalg.norm(s), h["eps"])
    a, b, c = h["ns_coefficients"]
    for _ in range(h["ns_steps"]):
        s = a * s + b * s**3 + c * s**5
    ratio = max(1, rows / columns) ** 0.5
    if h["adjust_lr_fn"] == "match_rms_adamw":
        ratio = 0.2 * max(rows, columns) ** 0.5
    step = ((left * s) @ right).reshape(p.shape)
    return np.asarray(p * (1 - h["lr"] * h["weight_decay"]) - h["lr"] * ratio * step)


MOMENTUM, MEANS = ("momentum_buffer",), ("exp_avg", "exp_avg_sq")

CASES = [
    OptimizerCase(optim.SGD, sgd, {"lr": 0.1}),
    OptimizerCase(optim.SGD, sgd, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    OptimizerCase(optim.SGD, sgd, {"lr": 0.1, "momentum": 0.9}, MOMENTUM),
    OptimizerCase(
        optim.SGD,
        sgd,
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        MOMENTUM,
    ),
    OptimizerCase(
        optim.SGD,
        sgd,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
        MOMENTUM,
    ),
    OptimizerCase(optim.Adam, adam, {}, MEANS),
    OptimizerCase(optim.Adam, adam, {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.1}, MEANS),
    OptimizerCase(
        optim.Adam,
        adam,
        {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.7), "maximize": True},
        (*MEANS, "max_exp_avg_sq"),
    ),
    OptimizerCase(optim.AdamW, adamw, {}, MEANS),
    OptimizerCase(
        optim.AdamW,
        adamw,
        {"lr": 0.01, "amsgrad": True, "weight_decay": 0.3, "maximize": True},
        (*MEANS, "max_exp_avg_sq"),
    ),
    OptimizerCase(optim.RMSprop, rmsprop, {}, ("square_avg",)),
    OptimizerCase(
        optim.RMSprop,
        rmsprop,
        {"momentum": 0.9, "weight_decay": 0.1},
        ("square_avg", *MOMENTUM),
    ),
    OptimizerCase(
        optim.RMSprop,
        rmsprop,
        {"centered": True, "alpha": 0.9, "maximize": True},
        ("square_avg", "grad_avg"),
    ),
    OptimizerCase(
        optim.RMSprop,
        rmsprop,
        {"centered": True, "momentum": 0.5, "alpha": 0.9},
        ("square_avg", "grad_avg", *MOMENTUM),
    ),
    OptimizerCase(optim.Adagrad, adagrad, {}, ("sum",)),
    OptimizerCase(
        optim.Adagrad,
        adagrad,
        {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "maximize": True},
        ("sum",),
    ),
    OptimizerCase(optim.Lion, lion, {"lr": 0.01}, ("exp_avg",), torch=False),
    OptimizerCase(
        optim.Lion,
        lion,
        {"lr": 0.01, "betas": (0.8, 0.9), "weight_decay": 0.5, "maximize": True},
        ("exp_avg",),
        torch=False,
    ),
    OptimizerCase(optim.Muon, muon, {"lr": 0.02}, torch=False, shapes=MATRICES),
    OptimizerCase(
        optim.Muon,
        muon,
        {
            "lr": 0.02,
            "weight_decay": 0.0,
            "nesterov": False,
            "ns_steps": 3,
            "adjust_lr_fn": "match_rms_adamw",
            "adamw_lr": 0.01,
            "adamw_weight_decay": 0.1,
        },
        torch=False,
        shapes=MATRICES,
    ),
]

REFUSED = [
    *(
        Refused(kind, {"lr": lr}, error, f"{kind.__name__}: lr: expected a number of at least 0")
        for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Lion)
        for lr, error in (
            (-1.0, ValueError),
            (float("nan"), ValueError),
            (float("inf"), ValueError),
            ("0.1", TypeError),
            (None, TypeError),
            (True, TypeError),
        )
    ),
    *(
        Refused(kind, {"weight_decay": -0.1}, ValueError, "weight_decay: expected a number")
        for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Lion)
    ),
    *(
        Refused(kind, {"betas": betas}, error, "betas")
        for kind in (optim.Adam, optim.AdamW, optim.Lion)
        for betas, error in (
            ((0.9, 1.0), ValueError),
            ((-0.1, 0.9), ValueError),
            ((0.9,), TypeError),
            (0.9, TypeError),
        )
    ),
    *(
        Refused(kind, {"maximize": "yes"}, TypeError, "maximize: expected True or False")
        for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.Lion)
    ),
    Refused(optim.SGD, {"nesterov": True}, ValueError, "nesterov: expected a momentum above 0"),
    Refused(
        optim.SGD,
        {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
        ValueError,
        "no dampening, got momentum=0.9 and dampening=0.1",
    ),
    Refused(optim.Adam, {"eps": -1e-8}, ValueError, "Adam: eps"),
    Refused(optim.Adam, {"amsgrad": 1}, TypeError, "amsgrad: expected True or False"),
    Refused(optim.RMSprop, {"alpha": -0.5}, ValueError, "RMSprop: alpha"),
    Refused(optim.Adagrad, {"lr_decay": -0.5}, ValueError, "Adagrad: lr_decay"),
    Refused(optim.Muon, {"momentum": 1.0}, ValueError, "Muon: momentum"),
    Refused(optim.Muon, {"ns_steps": 0}, ValueError, "Muon: ns_steps: expected at least 1"),
    Refused(optim.Muon, {"ns_coefficients": (1, 2)}, TypeError, "ns_coefficients"),
    Refused(optim.Muon, {"adjust_lr_fn": "no"}, ValueError, "adjust_lr_fn: expected one of"),
]

# One variant of each class, the last, which has the most state.
CLASSES = tuple({case.kind: case for case in CASES}.values())


# Parameters to try them on.


def make_params(seed: int = 0, dtype: Any = np.float64, shapes: Any = SHAPES) -> list[nn.Parameter]:
    rng = np.random.default_rng(seed)
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def give_gradients(params: list[nn.Parameter], rng: np.random.Generator) -> None:
    for param in params:
        values = rng.standard_normal(param.shape).astype(param.dtype)
        param.grad = tt.from_numpy(np.asarray(values))


def values(params: list[nn.Parameter]) -> list[Array]:
    return [param.detach().numpy().copy() for param in params]


def assert_same(first: list[Array], second: list[Array]) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)

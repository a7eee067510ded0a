"""Every loss of tt-nn with its arguments, declared once: several packages test over this table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn
import tt_tensor

Array = NDArray[Any]
Samples = Callable[[np.random.Generator], tuple[Array, Array]]


class Loss(NamedTuple):
    """One way to use a loss.

    Attributes:
        name: The class, which torch.nn has under the same name.
        arguments: What it is made with; arrays stand for tensors.
        samples: Draws float64 inputs, and targets that are float64 or int64.
        reference: The same in NumPy: takes input, target and the arguments.
        target_gradient: Whether it is differentiable in the target too.
    """

    name: str
    arguments: dict[str, Any]
    samples: Samples
    reference: Callable[..., Array]
    target_gradient: bool

    def make(self) -> nn.Module:
        """Make the loss."""
        made: nn.Module = getattr(nn, self.name)(
            **{key: as_tensor(value) for key, value in self.arguments.items()}
        )
        return made

    def __str__(self) -> str:
        parts = [
            f"{key}={'tensor' if isinstance(value, np.ndarray) else value}"
            for key, value in self.arguments.items()
        ]
        inputs = [f"{x.dtype.kind}{x.shape}" for x in self.samples(np.random.default_rng(0))]
        return f"{self.name}({', '.join(parts)}) of {' '.join(inputs)}"


def as_tensor(value: Any) -> Any:
    return tt_tensor.tensor(value) if isinstance(value, np.ndarray) else value


# Samples


def numbers(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    """Pairs whose differences stay clear of 0 and of the bends at 0.5, 1 and 2."""
    difference = rng.choice([0.1, 0.3, 0.8, 1.5, 2.5], shape) * rng.choice([-1, 1], shape)
    target = rng.normal(size=shape)
    return target + difference, target


def probabilities(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    return rng.uniform(0.05, 0.95, shape), rng.uniform(0.05, 0.95, shape)


def logits(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    return rng.normal(0, 3, shape), rng.uniform(0.05, 0.95, shape)


def yes_or_no(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    return rng.normal(0, 3, shape), rng.integers(0, 2, shape).astype(float)


def log_probabilities(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    return np.log(rng.uniform(0.05, 0.95, shape)), rng.uniform(0.05, 0.95, shape)


def both_log(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    x, target = log_probabilities(shape, rng)
    return x, np.log(target)


def classes(
    shape: tuple[int, ...], ignored: int | None, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Scores, and class indices of which about a third are ``ignored``."""
    dim = min(len(shape) - 1, 1)
    target_shape = shape[:dim] + shape[dim + 1 :]
    target = np.asarray(rng.integers(0, shape[dim], target_shape))
    if ignored is not None:
        target = np.where(rng.uniform(size=target_shape) < 0.35, ignored, target)
    return rng.normal(0, 3, shape), target


def distributions(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Array, Array]:
    dim = min(len(shape) - 1, 1)
    weights = rng.uniform(0.1, 1, shape)
    return rng.normal(0, 3, shape), weights / weights.sum(axis=dim, keepdims=True)


# References, written for the eye


def reduced(losses: Array, reduction: str, count: float | None = None) -> Array:
    if reduction == "none":
        return losses
    total = losses.sum()
    return np.asarray(total if reduction == "sum" else total / (count or losses.size))


def mse(x: Array, y: Array, reduction: str = "mean") -> Array:
    return reduced((x - y) ** 2, reduction)


def l1(x: Array, y: Array, reduction: str = "mean") -> Array:
    return reduced(abs(x - y), reduction)


def huber(x: Array, y: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    d = abs(x - y)
    return reduced(np.where(d <= delta, d**2 / 2, delta * (d - delta / 2)), reduction)


def smooth_l1(x: Array, y: Array, reduction: str = "mean", beta: float = 1.0) -> Array:
    return l1(x, y, reduction) if not beta else huber(x, y, reduction, beta) / beta


def bce(x: Array, y: Array, weight: Array | float = 1.0, reduction: str = "mean") -> Array:
    return reduced(-weight * (y * np.log(x) + (1 - y) * np.log(1 - x)), reduction)


def bce_with_logits(
    x: Array,
    y: Array,
    weight: Array | float = 1.0,
    reduction: str = "mean",
    pos_weight: Array | float = 1.0,
) -> Array:
    p = 1 / (1 + np.exp(-x))
    return reduced(-weight * (pos_weight * y * np.log(p) + (1 - y) * np.log(1 - p)), reduction)


def kl_div(x: Array, y: Array, reduction: str = "mean", log_target: bool = False) -> Array:
    losses = np.exp(y) * (y - x) if log_target else y * (np.log(y) - x)
    if reduction == "batchmean":
        return reduced(losses, "mean", len(x))
    return reduced(losses, reduction)


def nll(
    x: Array,
    y: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Sample by sample: the slow and obvious way."""
    rows = np.moveaxis(x, min(x.ndim - 1, 1), -1)  # (..., C)
    count = rows.shape[-1]
    factors = np.ones(count) if weight is None else weight
    soft = y.dtype.kind == "f"
    targets = np.moveaxis(y, min(x.ndim - 1, 1), -1) if soft else y
    losses, total = np.zeros(rows.shape[:-1]), 0.0
    for place in np.ndindex(rows.shape[:-1]):
        if soft:
            q = targets[place]
        elif targets[place] == ignore_index:
            continue
        else:
            q = np.eye(count)[targets[place]]
        total += 1.0 if soft else float(factors[targets[place]])
        q = (1 - label_smoothing) * q + label_smoothing / count
        losses[place] = -(factors * q * rows[place]).sum()
    return reduced(losses, reduction, total)


def cross_entropy(x: Array, y: Array, **arguments: Any) -> Array:
    dim = min(x.ndim - 1, 1)
    return nll(x - np.log(np.exp(x).sum(axis=dim, keepdims=True)), y, **arguments)


# The table

REDUCTIONS = ("mean", "sum", "none")
SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (4, 3), (2, 3, 2, 2))


def elementwise(
    name: str,
    reference: Callable[..., Array],
    draw: Callable[[tuple[int, ...], np.random.Generator], tuple[Array, Array]],
    variants: list[dict[str, Any]],
) -> Iterator[Loss]:
    """All reductions and shapes, and every variant of the arguments on one shape, (4, 3)."""
    for shape in SHAPES:
        for reduction in REDUCTIONS:
            yield Loss(name, {"reduction": reduction}, partial(draw, shape), reference, True)
    for variant in variants:
        yield Loss(name, variant, partial(draw, (4, 3)), reference, True)


CLASS_WEIGHT = np.array([0.5, 2.0, 1.0])


def of_classes(
    name: str,
    reference: Callable[..., Array],
    shapes: tuple[tuple[int, ...], ...],
    cases: list[tuple[dict[str, Any], int | None]],
) -> Iterator[Loss]:
    """Class indices as targets; a case is the arguments and the index that is drawn to ignore."""
    for reduction in REDUCTIONS:
        for shape in shapes:
            for arguments, ignored in cases:
                draw: Samples = partial(classes, shape, ignored)
                yield Loss(name, {**arguments, "reduction": reduction}, draw, reference, False)


def of_distributions(
    shapes: tuple[tuple[int, ...], ...], cases: list[dict[str, Any]]
) -> Iterator[Loss]:
    """Probabilities as targets."""
    for reduction in REDUCTIONS:
        for shape in shapes:
            for arguments in cases:
                yield Loss(
                    "CrossEntropyLoss",
                    {**arguments, "reduction": reduction},
                    partial(distributions, shape),
                    cross_entropy,
                    True,
                )


WEIGHT = np.array([[0.5], [2.0], [1.0], [0.1]])
POS_WEIGHT = np.array([0.3, 1.0, 4.0])
MANY_SHAPES: tuple[tuple[int, ...], ...] = ((3,), (6, 3), (6, 40), (2, 3, 4), (2, 3, 2, 2))
CLASS_CASES: list[tuple[dict[str, Any], int | None]] = [
    ({"weight": CLASS_WEIGHT}, None),
    ({}, -100),
    ({"ignore_index": 1}, None),
    ({"weight": CLASS_WEIGHT, "ignore_index": -1}, -1),
]

LOSSES = [
    *elementwise("MSELoss", mse, numbers, []),
    *elementwise("L1Loss", l1, numbers, []),
    *elementwise(
        "SmoothL1Loss",
        smooth_l1,
        numbers,
        [{"beta": 0.5}, {"beta": 2.0, "reduction": "sum"}, {"beta": 0.0}],
    ),
    *elementwise("HuberLoss", huber, numbers, [{"delta": 0.5}, {"delta": 2.0, "reduction": "sum"}]),
    *elementwise("BCELoss", bce, probabilities, [{"weight": WEIGHT, "reduction": "none"}]),
    *elementwise(
        "BCEWithLogitsLoss",
        bce_with_logits,
        logits,
        [
            {"weight": WEIGHT},
            {"pos_weight": POS_WEIGHT},
            {"pos_weight": POS_WEIGHT, "weight": WEIGHT, "reduction": "none"},
        ],
    ),
    Loss("BCEWithLogitsLoss", {}, partial(yes_or_no, (8, 1)), bce_with_logits, False),
    *elementwise("KLDivLoss", kl_div, log_probabilities, [{"reduction": "batchmean"}]),
    *(
        Loss(
            "KLDivLoss",
            {"log_target": True, "reduction": reduction},
            partial(both_log, (4, 3)),
            kl_div,
            True,
        )
        for reduction in (*REDUCTIONS, "batchmean")
    ),
    *of_classes("NLLLoss", nll, MANY_SHAPES, [({}, None)]),
    *of_classes("NLLLoss", nll, ((6, 3), (2, 3, 4)), CLASS_CASES),
    *of_classes("CrossEntropyLoss", cross_entropy, MANY_SHAPES, [({}, None)]),
    *of_classes("CrossEntropyLoss", cross_entropy, ((6, 3), (2, 3, 4)), CLASS_CASES),
    *of_classes(
        "CrossEntropyLoss",
        cross_entropy,
        ((6, 3), (2, 3, 4)),
        [
            ({"label_smoothing": 0.2}, None),
            ({"label_smoothing": 0.2}, -100),
            ({"label_smoothing": 1.0, "weight": CLASS_WEIGHT}, None),
            ({"label_smoothing": 0.4, "weight": CLASS_WEIGHT}, -100),
        ],
    ),
    *of_classes("CrossEntropyLoss", cross_entropy, ((4, 40),), [({"label_smoothing": 0.1}, -100)]),
    *of_distributions(((3,), (6, 3), (2, 3, 4), (4, 40)), [{}]),
    *of_distributions(
        ((6, 3), (2, 3, 4)),
        [
            {"weight": CLASS_WEIGHT},
            {"label_smoothing": 0.2},
            {"label_smoothing": 0.2, "weight": CLASS_WEIGHT},
        ],
    ),
]

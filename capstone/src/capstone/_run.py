"""The whole of it: data, learning, costs, a smaller model, a report."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import tt_nn as nn
from tt_profile import count_parameters

from ._costs import measure
from ._digits import read_digits
from ._models import make_model
from ._report import Report
from ._shrinking import shrink
from ._training import accuracy, train

MEASURED = 64  # images in the batch that costs are measured with


@dataclass(frozen=True, slots=True)
class Result:
    """What a run made.

    Attributes:
        model: The model as it was trained.
        small: The small one.
        report: What was found of both.
    """

    model: nn.Module
    small: nn.Module
    report: Report


def run(name: str, *, epochs: int = 20, seed: int = 0, most_lost: float = 0.01) -> Result:
    """Train a model, choose a smaller one, and measure both.

    What is held out is looked at here alone, once for each of the two, when all is decided.

    Args:
        name: One of `MODELS`.
        epochs: How long it learns.
        seed: The seed of its weights and of the order of the images.
        most_lost: How much accuracy the small one may lose on the validation images.

    Raises:
        ValueError: There is no model of that name.
    """
    model = make_model(name, seed)
    digits = read_digits()
    history = train(model, digits.seen, digits.validation, epochs=epochs, seed=seed)
    model = copy.deepcopy(
        model
    )  # without the optimizer's buffer, which its parameters are parts of
    best, _ = shrink(model, digits.validation, most_lost=most_lost)
    batch = digits.seen.inputs[:MEASURED]
    report = Report(
        model=name,
        seed=seed,
        parameters=count_parameters(model),
        history=tuple(history),
        accuracy=accuracy(model, digits.held_out),
        costs=measure(model, batch),
        way=best.way,
        small_accuracy=accuracy(best.model, digits.held_out),
        small_costs=measure(best.model, batch),
    )
    return Result(model, best.model, report)

"""The mean loss and metrics of a model over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from math import nan
from typing import Any

from tt_autograd import Tensor, no_grad
from tt_nn import Module

from ._batches import count_rows
from ._callbacks import Record
from ._part_loss import Criterion, Total, divisor, summed

Batch = Any
Metric = Callable[[Any, Any], Any]


def evaluate(
    model: Module,
    loss_of: Callable[[Batch], tuple[Tensor, Any, Any]],
    metrics: Mapping[str, Metric],
    loader: Iterable[Batch],
    criterion: Criterion,
    total: Total | None = None,
) -> Record:
    """Return the mean loss and metrics, by name, with the model in evaluation mode.

    Args:
        model: The model; its modules are in the modes that they were in when this returns.
        loss_of: Gives the mean loss of a batch, the model's output, and the target.
        metrics: Functions of output and target.
        loader: Gives the batches.
        criterion: What makes the loss.
        total: Adds up numbers of every process, where each evaluates a part of every batch.

    Raises:
        ValueError: There was no batch.
    """
    modes = [(module, module.training) for module in model.modules()]
    sums = dict.fromkeys(metrics, 0.0)
    losses: list[tuple[float, float, float]] = []  # of a batch: added up, their divisor, samples
    model.eval()
    try:
        with no_grad():
            for batch in loader:
                if total is not None and not count_rows(batch):
                    losses.append((0.0, 0.0, 0.0))  # all of it is others' part
                    continue
                loss, output, target = loss_of(batch)
                samples = count_samples(batch, target)
                own = None if total is None else divisor(criterion, target)
                if own is None:
                    losses.append((float(loss) * samples, samples, samples))
                else:
                    whole = loss * own if own else summed(criterion, output, target)
                    losses.append((float(whole), own, samples))
                for name, metric in metrics.items():
                    sums[name] += float(metric(output, target)) * samples
    finally:
        for module, training in modes:
            module.training = training
    if total is not None:
        flat = iter(total(*sums.values(), *chain.from_iterable(losses)))
        sums = {name: next(flat) for name in sums}
        losses = list(zip(flat, flat, flat, strict=True))
    count = sum(samples for _, _, samples in losses)
    if not count:
        raise ValueError("evaluate: the loader gave no batch")
    means = [(added / own if own else nan) * samples for added, own, samples in losses]
    return {name: value / count for name, value in {"loss": sum(means), **sums}.items()}


def count_samples(batch: Batch, target: Any) -> int:
    """Return how many samples a batch has: the rows of its target, or else its own, or else 1."""
    for rows in (target, batch):
        with suppress(TypeError):  # there are none in it
            return count_rows(rows)
    return 1

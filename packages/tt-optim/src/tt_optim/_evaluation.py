"""The mean loss and metrics of a model over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from tt_autograd import Tensor, no_grad
from tt_nn import Module

from ._batches import count_rows
from ._callbacks import Record

Batch = Any
Metric = Callable[[Any, Any], Any]
Total = Callable[..., list[float]]  # of numbers, over all processes


def evaluate(
    model: Module,
    loss_of: Callable[[Batch], tuple[Tensor, Any, Any]],
    metrics: Mapping[str, Metric],
    loader: Iterable[Batch],
    total: Total | None = None,
) -> Record:
    """Return the mean loss and metrics, by name, with the model in evaluation mode.

    Args:
        model: The model; its modules are in the modes that they were in when this returns.
        loss_of: Gives the mean loss of a batch, the model's output, and the target.
        metrics: Functions of output and target.
        loader: Gives the batches.
        total: Adds up numbers of every process, where each evaluates a part.

    Raises:
        ValueError: There was no batch.
    """
    modes = [(module, module.training) for module in model.modules()]
    sums = dict.fromkeys(("loss", *metrics), 0.0)
    count = 0
    model.eval()
    try:
        with no_grad():
            for batch in loader:
                if total is not None and not count_rows(batch):
                    continue  # all of it is others' part
                loss, output, target = loss_of(batch)
                samples = count_samples(batch, target)
                count += samples
                sums["loss"] += float(loss) * samples
                for name, metric in metrics.items():
                    sums[name] += float(metric(output, target)) * samples
    finally:
        for module, training in modes:
            module.training = training
    if total is not None:
        *summed, whole = total(*sums.values(), count)
        sums, count = dict(zip(sums, summed, strict=True)), round(whole)
    if not count:
        raise ValueError("evaluate: the loader gave no batch")
    return {name: value / count for name, value in sums.items()}


def count_samples(batch: Batch, target: Any) -> int:
    """Return how many samples a batch has: the rows of its target, or else its own, or else 1."""
    for rows in (target, batch):
        with suppress(TypeError):  # there are none in it
            return count_rows(rows)
    return 1

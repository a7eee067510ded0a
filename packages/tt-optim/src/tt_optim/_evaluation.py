"""The mean loss and metrics of a model over batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tt_autograd import Tensor, no_grad
from tt_nn import Module

from ._callbacks import Record

Batch = Any
Metric = Callable[[Any, Any], Any]


def evaluate(
    model: Module,
    loss_of: Callable[[Batch], tuple[Tensor, Any, Any]],
    metrics: Mapping[str, Metric],
    loader: Iterable[Batch],
) -> Record:
    """Return the mean loss and metrics, by name, with the model in evaluation mode.

    Args:
        model: The model; its modules are in the modes that they were in when this returns.
        loss_of: Gives the mean loss of a batch, the model's output, and the target.
        metrics: Functions of output and target.
        loader: Gives the batches.

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
                loss, output, target = loss_of(batch)
                samples = count_samples(target)
                count += samples
                sums["loss"] += float(loss) * samples
                for name, metric in metrics.items():
                    sums[name] += float(metric(output, target)) * samples
    finally:
        for module, training in modes:
            module.training = training
    if not count:
        raise ValueError("evaluate: the loader gave no batch")
    return {name: value / count for name, value in sums.items()}


def count_samples(target: Any) -> int:
    """Return how many samples a batch has: the length of its targets, 1 where there is none."""
    shape = getattr(target, "shape", None)
    if shape is not None:
        return int(shape[0]) if shape else 1
    return len(target) if isinstance(target, tuple | list) and target else 1

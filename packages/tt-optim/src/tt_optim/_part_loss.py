"""The mean loss over a batch from the losses of its parts, which several processes compute."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import tt_tensor
from tt_autograd import Tensor
from tt_nn import CrossEntropyLoss, NLLLoss

if TYPE_CHECKING:
    from .distributed import Part

Criterion = Callable[[Any, Any], Tensor]
Total = Callable[..., list[float]]  # of numbers, over all processes


def divisor(criterion: Criterion, target: Any) -> float | None:
    """Return what a mean loss divides by, if that is not the number of samples.

    For a loss of classes it is the sum of their weights over the targets that are not ignored, of
    which parts of a batch have more or fewer than they have rows.
    """
    if not isinstance(criterion, CrossEntropyLoss | NLLLoss) or criterion.reduction != "mean":
        return None
    if not isinstance(target, tt_tensor.Tensor) or target.dtype.kind not in "iu":
        return None
    classes = target.numpy()
    counted = classes[classes != criterion.ignore_index]
    if criterion.weight is None:
        return float(counted.size)
    return float(criterion.weight.numpy()[counted].sum(dtype=np.float64))


def summed(criterion: Criterion, output: Any, target: Any) -> Tensor:
    """Return the sum of a loss that has a `divisor`: a number also where nothing counts."""
    adding: Any = copy.copy(criterion)
    adding.reduction = "sum"
    added: Tensor = adding(output, target)
    return added


def term(
    part: Part, loss: Tensor, output: Any, target: Any, criterion: Criterion, total: Total
) -> Tensor:
    """Return what a part adds to the mean loss over the batch.

    Args:
        part: The part.
        loss: The mean loss over it.
        output: What the model gave for it.
        target: What it is compared with.
        criterion: What made the loss.
        total: Adds up numbers of every process.
    """
    own = divisor(criterion, target)
    if own is None:
        return loss * part.weight
    counts = float(part.rows.size > 0)  # none of a row that stands in, whose slope is to be 0
    (whole,) = total(own * counts)
    if not whole:
        return loss * counts  # the slope of such a mean is that of the sum
    if own:
        return loss * (own * counts / whole)
    return summed(criterion, output, target) * (counts / whole)

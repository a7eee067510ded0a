"""What all losses share: the check of their arguments, and the way from many numbers to one."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tt_nn._compute.precision import check_float, widen
from tt_nn._module import Module

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated
Reduction = Literal["mean", "sum", "none"]


class Loss(Module):
    """What all loss modules have: a reduction."""

    def __init__(self, reduction: str, choices: tuple[str, ...] = ("mean", "sum", "none")) -> None:
        super().__init__()
        if reduction not in choices:
            raise ValueError(
                f"{type(self).__name__}: expected reduction to be one of {choices}, "
                f"got {reduction!r}"
            )
        self.reduction = reduction

    def extra_repr(self) -> str:
        """Return the reduction, unless it is the mean."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


def pair(input: Array, target: Any) -> tuple[Array, Array]:
    """Return input and target of an elementwise loss in a precision fit to compute in.

    Raises:
        TypeError: The input is not floating-point.
        ValueError: The shapes differ.
    """
    check_float(input)
    if np.shape(target) != input.shape:
        raise ValueError(f"expected a target of the input's shape {input.shape}")
    x = widen(input)
    t = np.asarray(target)
    return x, widen(t) if t.dtype.kind == "f" else t.astype(x.dtype)


def check_within(name: str, values: Array, low: float, high: float) -> None:
    """Refuse values outside a range, NaN among them."""
    if values.size and not (values.min() >= low and values.max() <= high):
        wrong = values[~((values >= low) & (values <= high))][0]
        limits = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
        raise ValueError(f"expected {name} {limits}, found {wrong:g}")


def result_dtype(input: Array, target: Array) -> np.dtype[Any]:
    """Return the dtype of a loss: the input's, or that of a wider floating-point target."""
    if np.asarray(target).dtype.kind == "f":
        return np.result_type(input, target)
    return input.dtype


def weighted(losses: Array, weight: Array | None) -> Array:
    """Multiply with weights, which may broadcast but not stretch the losses."""
    if weight is None:
        return losses
    try:
        fits = np.broadcast_shapes(losses.shape, np.shape(weight)) == losses.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"expected weights that broadcast to {losses.shape}")
    return np.asarray(losses * weight, losses.dtype)


def reduce(
    losses: Array, reduction: str, dtype: np.dtype[Any], count: float | None = None
) -> Array:
    """Return the mean, the sum or the losses themselves.

    Args:
        losses: One for each element.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        dtype: The result's dtype.
        count: What the mean divides by, the number of losses unless given. The mean of nothing
            is NaN, as torch's is.
    """
    if reduction == "none":
        total = losses
    elif reduction == "sum":
        total = losses.sum()
    elif reduction == "mean":
        n = losses.size if count is None else count
        total = np.add.reduce(losses, None) / n if n else np.asarray(math.nan)
    else:
        raise ValueError("expected reduction to be 'mean', 'sum' or 'none'")
    if total.dtype == dtype:
        return np.asarray(total)
    with np.errstate(over="ignore"):  # to infinity, as float16's own arithmetic would
        return np.asarray(total, dtype)


def share(g: Value, reduction: str, input: Value) -> Value:
    """Return each element's share of the gradient of a reduced loss."""
    return g / math.prod(input.shape) if reduction == "mean" else g

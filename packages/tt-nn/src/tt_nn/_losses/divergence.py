"""The Kullback-Leibler divergence: its op, its derivative, and its module."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

import tt_tensor
from tt_autograd import Op, Tensor, defvjp, ops
from tt_nn._apply import apply

from .reduction import Array, Loss, Value, check_within, pair, reduce, result_dtype, share

Reduction = Literal["mean", "sum", "none", "batchmean"]


def _kl_div(input: Array, target: Array, reduction: str, log_target: bool) -> Array:
    x, t = pair(input, target)
    if log_target:
        losses = np.exp(t) * (t - x)
    else:
        check_within("probabilities as target,", t, 0, math.inf)
        # t log t is 0 where t is 0
        losses = t * (np.log(np.where(t > 0, t, 1)) - x)
    if reduction == "batchmean":
        if not x.ndim:
            raise ValueError("expected at least one dimension for reduction='batchmean'")
        return reduce(losses, "mean", result_dtype(input, target), count=len(x))
    return reduce(losses, reduction, result_dtype(input, target))


def _kl_share(g: Value, reduction: str, input: Value) -> Value:
    return g / input.shape[0] if reduction == "batchmean" else share(g, reduction, input)


def _kl_target_slope(input: Value, target: Value, log_target: bool) -> Value:
    if log_target:
        return ops.EXP(target) * (target + 1 - input)
    some = target > 0
    return ops.WHERE(some, ops.LOG(ops.WHERE(some, target, 1.0)) + 1 - input, 0.0)


KL_DIV = Op("kl_div", _kl_div, ("input", "target"))
defvjp(
    KL_DIV,
    input=lambda g, input, target, reduction, log_target: (
        -_kl_share(g, reduction, input) * (ops.EXP(target) if log_target else target)
    ),
    target=lambda g, input, target, reduction, log_target: (
        _kl_share(g, reduction, input) * _kl_target_slope(input, target, log_target)
    ),
)


def kl_div(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    *,
    reduction: Reduction = "mean",
    log_target: bool = False,
) -> Tensor:
    r"""Return :math:`y (\log y - x)`, which sums to the divergence of ``input`` from ``target``.

    Args:
        input: Logarithms of probabilities.
        target: Probabilities, or their logarithms with ``log_target``, of the same shape.
        reduction: ``"batchmean"`` divides the sum by the size of the first dimension, which is
            the divergence as it is defined; ``"mean"`` divides by the number of elements.
        log_target: Whether the target is given in logarithms.

    Raises:
        ValueError: The shapes differ, or a probability is negative.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> p = tt.tensor([[0.5, 0.5]])
        >>> kl_div(tt.log(p), tt.tensor([[1.0, 0.0]]), reduction="batchmean")
        tensor(0.6931)

    References:
        Kullback and Leibler, "On information and sufficiency", 1951.
    """
    return apply(KL_DIV, input, target, reduction=reduction, log_target=log_target)


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence; see `functional.kl_div`.

    Args:
        reduction: ``"mean"``, ``"batchmean"``, ``"sum"`` or ``"none"``.
        log_target: Whether the target is given in logarithms.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> p = tt.tensor([[0.5, 0.5]])
        >>> nn.KLDivLoss(reduction="batchmean")(tt.log(p), p)
        tensor(0.)
    """

    def __init__(self, *, reduction: Reduction = "mean", log_target: bool = False) -> None:
        super().__init__(reduction, ("mean", "batchmean", "sum", "none"))
        self.log_target = log_target

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(KL_DIV, input, target, reduction=self.reduction, log_target=self.log_target)

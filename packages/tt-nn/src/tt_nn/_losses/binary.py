"""Losses for yes and no: each one op of input and target, its derivative, and its module."""

from __future__ import annotations

import math

import numpy as np

import tt_tensor
from tt_autograd import Op, Tensor, defvjp, ops
from tt_nn._apply import apply

from .reduction import (
    Array,
    Loss,
    Reduction,
    Value,
    check_within,
    pair,
    reduce,
    result_dtype,
    share,
    weighted,
)

_LEAST_LOG = -100.0  # as in torch: the loss stays finite where a probability is 0


def _least(x: Value, wanted: float) -> float:
    """Return a small number that is not 0 in the dtype of ``x``."""
    return max(wanted, float(np.finfo(x.dtype).smallest_subnormal))


def _log(x: Value) -> Value:
    """Return log x, but at least -100."""
    return ops.MAXIMUM(ops.LOG(ops.MAXIMUM(x, _least(x, 0.0))), _LEAST_LOG)


def _bce(input: Array, target: Array, weight: Array | None, reduction: str) -> Array:
    """Return ``-(t log x + (1 - t) log(1 - x))``, weighted and reduced.

    A logarithm below -100 counts as -100, so that a certain and wrong answer costs 100 and not
    infinity.

    Raises:
        ValueError: The shapes differ, or a probability or target is not between 0 and 1.
        TypeError: The input is not floating-point.
    """
    x, t = pair(input, target)
    check_within("probabilities as input,", x, 0, 1)
    check_within("targets", t, 0, 1)
    with np.errstate(divide="ignore"):
        yes = np.maximum(np.log(x), _LEAST_LOG)
        no = np.maximum(np.log1p(-x), _LEAST_LOG)
    losses = np.asarray((t - 1) * no - t * yes)
    return reduce(weighted(losses, weight), reduction, result_dtype(input, target))


def _bce_share(g: Value, weight: Value, reduction: str, input: Value) -> Value:
    part = share(g, reduction, input)
    return part if weight is None else part * weight


BINARY_CROSS_ENTROPY = Op("binary_cross_entropy", _bce, ("input", "target", "weight"))
defvjp(
    BINARY_CROSS_ENTROPY,
    input=lambda g, input, target, weight, reduction: (
        _bce_share(g, weight, reduction, input)
        * ((input - target) / ops.MAXIMUM(input * (1 - input), _least(input, 1e-12)))
    ),
    target=lambda g, input, weight, reduction: (
        _bce_share(g, weight, reduction, input) * (_log(1 - input) - _log(input))
    ),
)


def binary_cross_entropy(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    weight: tt_tensor.Tensor | None = None,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return :math:`-w (y \log x + (1 - y) \log(1 - x))` of probabilities.

    Logarithms are limited to -100. Where there are logits, `binary_cross_entropy_with_logits` is
    more precise.

    Args:
        input: Probabilities.
        target: What they should be, from 0 to 1, of the same shape.
        weight: A factor for each loss; broadcasts.
        reduction: ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises:
        ValueError: The shapes differ, or a value is not between 0 and 1.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> binary_cross_entropy(tt.tensor([0.5, 0.9]), tt.tensor([0.0, 1.0]), reduction="none")
        tensor([0.6931, 0.1054])
    """
    return apply(BINARY_CROSS_ENTROPY, input, target, weight, reduction=reduction)


class BCELoss(Loss):
    """The cross-entropy of probabilities of yes; see `functional.binary_cross_entropy`.

    Args:
        weight: A factor for each loss; broadcasts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.BCELoss()(tt.tensor([0.5]), tt.tensor([1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None

    def __init__(
        self, weight: tt_tensor.Tensor | None = None, *, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(BINARY_CROSS_ENTROPY, input, target, self.weight, reduction=self.reduction)


def _bce_with_logits(
    input: Array, target: Array, weight: Array | None, pos_weight: Array | None, reduction: str
) -> Array:
    """Return ``-(pos_weight t log p + (1 - t) log(1 - p))`` with p = sigmoid(x), and so on.

    The sigmoid itself is never made: of large logits it would be 1, and log(1 - p) infinite.
    ``pos_weight`` and ``weight`` go through `weighted`.

    Raises:
        ValueError: The shapes differ, or a target is not between 0 and 1.
        TypeError: The input is not floating-point.
    """
    x, t = pair(input, target)
    check_within("targets", t, 0, 1)
    # log(1 + e^x) = max(x, 0) + log(1 + e^-|x|), so that nothing overflows and nothing cancels
    rest = np.asarray(np.log1p(np.exp(-np.abs(x))))
    yes = np.asarray(rest - np.minimum(x, 0))  # -log p
    if pos_weight is not None:
        yes = weighted(yes, pos_weight)
    no = rest + np.maximum(x, 0)  # -log(1 - p)
    losses = np.asarray(t * yes + (1 - t) * no)
    return reduce(weighted(losses, weight), reduction, result_dtype(input, target))


def _bce_logits_slope(input: Value, target: Value, pos_weight: Value) -> Value:
    p = ops.SIGMOID(input)
    if pos_weight is None:
        return p - target
    wanted = target * pos_weight
    return p * (1 - target + wanted) - wanted


def _bce_logits_target_slope(input: Value, pos_weight: Value) -> Value:
    if pos_weight is None:
        return -input
    no = ops.SOFTPLUS(input, beta=1.0, threshold=math.inf)
    return (no - input) * pos_weight - no


BINARY_CROSS_ENTROPY_WITH_LOGITS = Op(
    "binary_cross_entropy_with_logits",
    _bce_with_logits,
    ("input", "target", "weight", "pos_weight"),
)
defvjp(
    BINARY_CROSS_ENTROPY_WITH_LOGITS,
    input=lambda g, input, target, weight, pos_weight, reduction: (
        _bce_share(g, weight, reduction, input) * _bce_logits_slope(input, target, pos_weight)
    ),
    target=lambda g, input, weight, pos_weight, reduction: (
        _bce_share(g, weight, reduction, input) * _bce_logits_target_slope(input, pos_weight)
    ),
)


def binary_cross_entropy_with_logits(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    weight: tt_tensor.Tensor | None = None,
    *,
    reduction: Reduction = "mean",
    pos_weight: tt_tensor.Tensor | None = None,
) -> Tensor:
    r"""Return :math:`-w (v y \log \sigma(x) + (1 - y) \log(1 - \sigma(x)))` of logits.

    Args:
        input: Logits, which the sigmoid turns into probabilities.
        target: What the probabilities should be, from 0 to 1, of the same shape.
        weight: A factor for each loss, :math:`w`; broadcasts.
        reduction: ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
        pos_weight: A factor for the part of the targets that is yes, :math:`v`; broadcasts.

    Raises:
        ValueError: The shapes differ, or a target is not between 0 and 1.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> logits = tt.tensor([0.0, 1000.0])
        >>> binary_cross_entropy_with_logits(logits, tt.tensor([0.0, 1.0]), reduction="none")
        tensor([0.6931, 0.0000])
    """
    return apply(
        BINARY_CROSS_ENTROPY_WITH_LOGITS, input, target, weight, pos_weight, reduction=reduction
    )


class BCEWithLogitsLoss(Loss):
    """The cross-entropy of logits of yes; see `functional.binary_cross_entropy_with_logits`.

    Args:
        weight: A factor for each loss; broadcasts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: A factor for the part of the targets that is yes; broadcasts.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.BCEWithLogitsLoss()(tt.tensor([0.0]), tt.tensor([1.0]))
        tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: tt_tensor.Tensor | None = None,
        *,
        reduction: Reduction = "mean",
        pos_weight: tt_tensor.Tensor | None = None,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(
            BINARY_CROSS_ENTROPY_WITH_LOGITS,
            input, target, self.weight, self.pos_weight, reduction=self.reduction,
        )  # fmt: skip

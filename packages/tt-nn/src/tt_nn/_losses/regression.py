"""Losses for numbers: each one op of input and target, its derivative, and its module."""

from __future__ import annotations

import numpy as np

import tt_tensor
from tt_autograd import Op, Tensor, defvjp, ops
from tt_nn._apply import apply

from .reduction import Array, Loss, Reduction, Value, pair, reduce, result_dtype, share


def _mse(input: Array, target: Array, reduction: str) -> Array:
    """Return the squared differences, reduced: in the dtype of `result_dtype`.

    Raises:
        ValueError: The shapes differ, which `pair` finds.
        TypeError: The input is not floating-point, which `pair` finds.
    """
    x, t = pair(input, target)
    losses = np.asarray(x - t)
    losses *= losses
    return reduce(losses, reduction, result_dtype(input, target))


def _mse_slope(g: Value, input: Value, target: Value, reduction: str) -> Value:
    return (2 * share(g, reduction, input)) * (input - target)


MSE_LOSS = Op("mse_loss", _mse, ("input", "target"))
defvjp(
    MSE_LOSS,
    input=lambda g, input, target, reduction: _mse_slope(g, input, target, reduction),
    target=lambda g, input, target, reduction: _mse_slope(-g, input, target, reduction),
)


def mse_loss(
    input: tt_tensor.Tensor, target: tt_tensor.Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    r"""Return the squared error, :math:`(x - y)^2`.

    Args:
        input: The predictions.
        target: What they should be.
        reduction: ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Shape:
        Any, the same for both. They do not broadcast: ``(N, 1)`` against ``(N,)`` is a mistake
        more often than not.

    Raises:
        ValueError: The shapes differ.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> mse_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
        tensor(2.)
    """
    return apply(MSE_LOSS, input, target, reduction=reduction)


class MSELoss(Loss):
    """The mean squared error; see `functional.mse_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.MSELoss()(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
        tensor(2.)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(MSE_LOSS, input, target, reduction=self.reduction)


def _l1(input: Array, target: Array, reduction: str) -> Array:
    x, t = pair(input, target)
    return reduce(np.abs(x - t), reduction, result_dtype(input, target))


def _l1_slope(g: Value, input: Value, target: Value, reduction: str) -> Value:
    return share(g, reduction, input) * ops.SIGN(input - target)


L1_LOSS = Op("l1_loss", _l1, ("input", "target"))
defvjp(
    L1_LOSS,
    input=lambda g, input, target, reduction: _l1_slope(g, input, target, reduction),
    target=lambda g, input, target, reduction: _l1_slope(-g, input, target, reduction),
)


def l1_loss(
    input: tt_tensor.Tensor, target: tt_tensor.Tensor, *, reduction: Reduction = "mean"
) -> Tensor:
    """Return the absolute error, ``|x - y|``; the derivative where they are equal is 0.

    Args:
        input: The predictions.
        target: What they should be, of the same shape.
        reduction: ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.

    Raises:
        ValueError: The shapes differ.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> l1_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
        tensor(1.)
    """
    return apply(L1_LOSS, input, target, reduction=reduction)


class L1Loss(Loss):
    """The mean absolute error; see `functional.l1_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.L1Loss()(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 4.0]))
        tensor(1.)
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(L1_LOSS, input, target, reduction=self.reduction)


def _huber(input: Array, target: Array, reduction: str, delta: float) -> Array:
    if not delta > 0:
        raise ValueError("expected delta above 0")
    x, t = pair(input, target)
    size = np.abs(x - t)
    bent = np.minimum(size, delta)
    return reduce(bent * (size - 0.5 * bent), reduction, result_dtype(input, target))


def _huber_slope(g: Value, input: Value, target: Value, reduction: str, delta: float) -> Value:
    return share(g, reduction, input) * ops.CLIP(input - target, -delta, delta)


HUBER_LOSS = Op("huber_loss", _huber, ("input", "target"))
defvjp(
    HUBER_LOSS,
    input=lambda g, input, target, reduction, delta: _huber_slope(
        g, input, target, reduction, delta
    ),
    target=lambda g, input, target, reduction, delta: _huber_slope(
        -g, input, target, reduction, delta
    ),
)


def huber_loss(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    *,
    reduction: Reduction = "mean",
    delta: float = 1.0,
) -> Tensor:
    r"""Return :math:`d^2 / 2` where :math:`|d| \le \delta`, and :math:`\delta (|d| - \delta / 2)`.

    With :math:`d = x - y`: a squared error that grows no faster than an absolute one.

    Args:
        input: The predictions.
        target: What they should be, of the same shape.
        reduction: ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
        delta: Where the square ends.

    Raises:
        ValueError: The shapes differ, or ``delta`` is not above 0.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> huber_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 5.0]), reduction="sum")
        tensor(2.5000)

    References:
        Huber, "Robust estimation of a location parameter", 1964.
    """
    return apply(HUBER_LOSS, input, target, reduction=reduction, delta=delta)


class HuberLoss(Loss):
    """A squared error that becomes an absolute one; see `functional.huber_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        delta: Where the square ends.

    Raises:
        ValueError: ``delta`` is not above 0.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.HuberLoss()(tt.tensor([1.0]), tt.tensor([4.0]))
        tensor(2.5000)
    """

    def __init__(self, *, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise ValueError(f"HuberLoss: expected delta above 0, got {delta!r}")
        self.delta = delta

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(HUBER_LOSS, input, target, reduction=self.reduction, delta=self.delta)


def _smooth_l1(input: Array, target: Array, reduction: str, beta: float) -> Array:
    if not beta >= 0:
        raise ValueError("expected beta of at least 0")
    if beta == 0:
        return _l1(input, target, reduction)
    x, t = pair(input, target)
    size = np.abs(x - t)
    bent = np.minimum(size, beta)
    losses = bent * (size - 0.5 * bent) / beta
    return reduce(losses, reduction, result_dtype(input, target))


def _smooth_l1_slope(g: Value, input: Value, target: Value, reduction: str, beta: float) -> Value:
    d = input - target
    slope = ops.CLIP(d / beta, -1.0, 1.0) if beta else ops.SIGN(d)
    return share(g, reduction, input) * slope


SMOOTH_L1_LOSS = Op("smooth_l1_loss", _smooth_l1, ("input", "target"))
defvjp(
    SMOOTH_L1_LOSS,
    input=lambda g, input, target, reduction, beta: _smooth_l1_slope(
        g, input, target, reduction, beta
    ),
    target=lambda g, input, target, reduction, beta: _smooth_l1_slope(
        -g, input, target, reduction, beta
    ),
)


def smooth_l1_loss(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    *,
    reduction: Reduction = "mean",
    beta: float = 1.0,
) -> Tensor:
    r"""Return :math:`d^2 / 2\beta` where :math:`|d| < \beta`, and :math:`|d| - \beta / 2`.

    With :math:`d = x - y`: `huber_loss` divided by ``beta``, so that the slope is 1 far away.

    Args:
        input: The predictions.
        target: What they should be, of the same shape.
        reduction: ``"mean"`` or ``"sum"`` over all elements, or ``"none"``.
        beta: Where the square ends; with 0 this is `l1_loss`.

    Raises:
        ValueError: The shapes differ, or ``beta`` is negative.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> smooth_l1_loss(tt.tensor([1.0, 2.0]), tt.tensor([1.0, 5.0]), reduction="sum")
        tensor(2.5000)

    References:
        Girshick, "Fast R-CNN", 2015.
    """
    return apply(SMOOTH_L1_LOSS, input, target, reduction=reduction, beta=beta)


class SmoothL1Loss(Loss):
    """An absolute error that is smooth at 0; see `functional.smooth_l1_loss`.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        beta: Where the square ends.

    Raises:
        ValueError: ``beta`` is negative.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.SmoothL1Loss()(tt.tensor([1.0]), tt.tensor([4.0]))
        tensor(2.5000)
    """

    def __init__(self, *, reduction: Reduction = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        if not beta >= 0:
            raise ValueError(f"SmoothL1Loss: expected beta of at least 0, got {beta!r}")
        self.beta = beta

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(SMOOTH_L1_LOSS, input, target, reduction=self.reduction, beta=self.beta)

"""Batch normalisation: its ops, their derivatives, and its layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import DTypeLike, Op, Tensor, defvjp
from tt_nn._apply import apply
from tt_nn._compute.backend import run
from tt_nn._compute.memory import Order, dense, memory_order, restored
from tt_nn._compute.precision import check_float, widen
from tt_nn._compute.processes import own_part, sum_over_batch

from .running_norm import RunningNorm, move

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated

_SHORT = 16  # columns of a row, below which values are put into another order first


class _Batch:
    """The statistics of a training batch, which the kernel leaves for the running ones.

    Args:
        across: What adds up the sums of every process that shares the batch, if there are others.

    Attributes:
        mean: Of each channel.
        var: Of each channel, divided by the number of values.
        count: Values of each channel.
    """

    __slots__ = ("across", "count", "mean", "var")

    mean: Array
    var: Array
    count: int

    def __init__(self, across: Callable[[Array], Array] | None) -> None:
        self.across = across

    def __repr__(self) -> str:
        return "batch"

    def take(self, count: int, mean: Array, var: Array) -> None:
        """Take the statistics of the part that is here, and make those of the whole of it."""
        if self.across is not None:
            own = own_part(count)
            kind, mean, var = mean.dtype, mean.astype(np.float64), var.astype(np.float64)
            if not own:
                mean, var = np.zeros_like(mean), np.zeros_like(var)
            counts, sums = self.across(own * np.stack([np.ones_like(mean), mean]))
            count, centre = round(float(counts[0])), sums / counts
            # About the common mean: the sum of squares less its own would leave few digits.
            squares = self.across(own * (var + np.square(mean - centre)))
            mean, var = centre.astype(kind), (squares / counts).astype(kind)
        if count < 2:
            raise ValueError("expected more than one value per channel in training")
        self.mean, self.var, self.count = mean, var, count


class _Kept(NamedTuple):
    """What the derivative needs beside the input and the weight.

    Attributes:
        order: Of the dimensions in memory, for `dense`.
        scale: 1 / sqrt(var + eps), of each channel.
        batch: Its statistics, and how processes share it.
    """

    order: Order
    scale: Array
    batch: _Batch


def _order_for_runs(x: Array) -> Order:
    """Return an order of the dimensions in which the values of a channel stand in long runs."""
    order = memory_order(x)
    after = order[order.index(1) + 1 :]
    if math.prod(x.shape[d] for d in after) >= _SHORT:
        return order
    return (1, *(d for d in order if d != 1))


def _by_channel(x: Array, order: Order) -> Array:
    """Return dense values as (outer, channels, inner)."""
    at = order.index(1)
    return x.reshape((math.prod(x.shape[:at]), x.shape[at], math.prod(x.shape[at + 1 :])))


def _batch_norm(
    input: Array, weight: Array | None, bias: Array | None, eps: float, batch: _Batch
) -> tuple[Array, _Kept]:
    _check(input, weight, bias)
    channels = input.shape[1]
    count = input.size // channels if channels else 0
    order = _order_for_runs(input)
    x = dense(widen(input), order)
    values = _by_channel(x, order)
    batch.take(count, *_moments(run("moments", values)))
    scale = 1 / np.sqrt(batch.var + eps)
    factor = scale if weight is None else scale * weight
    shift = np.zeros(channels) if bias is None else bias
    out = np.empty(x.shape, x.dtype)
    numbers = (each.astype(x.dtype) for each in (batch.mean, factor, shift))
    run("standardise", values, *numbers, _by_channel(out, order))
    return restored(out, order).astype(input.dtype, copy=False), _Kept(order, scale, batch)


def _moments(parts: list[tuple[int, Array, Array]]) -> tuple[Array, Array]:
    """Return mean and variance of all values, given those of parts of them.

    Args:
        parts: Of each part the number of values, their means, and the sums of the squares of what
            they differ from these means; one number for each channel.
    """
    total = sum(count for count, _, _ in parts)
    mean = np.sum([part * (count / total) for count, part, _ in parts], axis=0)
    squares = [each + count * np.square(part - mean) for count, part, each in parts]
    return mean, np.sum(squares, axis=0) / total


def _check(input: Array, *parameters: Array | None) -> None:
    check_float(input)
    if input.ndim < 2:
        raise ValueError("expected an input of shape (N, C, ...)")
    for parameter in parameters:
        if parameter is not None and parameter.shape != input.shape[1:2]:
            raise ValueError(f"expected one number for each of the {input.shape[1]} channels")


def _slopes(
    g: Array, input: Array, weight: Array | None, aux: _Kept, needs: tuple[bool, ...]
) -> tuple[Any, Any, Any]:
    """Return the gradients of input, weight and bias.

    With h the normalised values, that of the input is
    weight * scale * (g - mean(g) - h * mean(g * h)).
    """
    order, scale, batch = aux
    mean = batch.mean
    dense_input = dense(widen(input), order)
    x, dy = _by_channel(dense_input, order), _by_channel(dense(widen(g), order), order)
    parts = run("products", dy, x, mean.astype(x.dtype))
    dbias, dots = np.sum(parts, axis=0)
    dweight = dots * scale
    if not needs[0]:
        return None, dweight, dbias
    factor = scale if weight is None else scale * weight
    over, by = dbias, dweight  # of the whole batch
    if batch.across is not None:
        over, by = batch.across(np.stack([dbias, dweight], dtype=np.float64))
    numbers = (mean, factor, factor * scale * by / -batch.count, factor * over / -batch.count)
    out = np.empty(dense_input.shape, x.dtype)
    run(
        "standardise_slope",
        dy, x, *(each.astype(x.dtype) for each in numbers), _by_channel(out, order),
    )  # fmt: skip
    return restored(out, order), dweight, dbias


def _per_channel(values: Value, ndim: int) -> Value:
    return values.reshape((-1,) + (1,) * (ndim - 2))  # (C, 1, ...)


def _batch_norm_of_plain_ops(
    input: Value, weight: Value, bias: Value, eps: float, batch: _Batch
) -> Value:
    if batch.across is not None:
        raise RuntimeError("expected no second derivative where processes share the batch")
    dims = (0, *range(2, input.ndim))
    centred = input - input.mean(dim=dims, keepdim=True)
    out = centred * ((centred * centred).mean(dim=dims, keepdim=True) + eps) ** -0.5
    if weight is not None:
        out = out * _per_channel(weight, input.ndim)
    return out if bias is None else out + _per_channel(bias, input.ndim)


BATCH_NORM = Op(
    "batch_norm",
    lambda *inputs, **params: _batch_norm(*inputs, **params)[0],
    ("input", "weight", "bias"),
    recorded=_batch_norm,
)
defvjp(
    BATCH_NORM,
    joint=lambda g, input, weight, aux, needs: _slopes(g, input, weight, aux, needs),
    composite=_batch_norm_of_plain_ops,
)


def _batch_norm_by(
    input: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None, eps: float
) -> Array:
    """Return ``(x - mean) / sqrt(var + eps) * weight + bias`` of each channel: (N, C, ...).

    Half precision is computed in single; the result has the input's dtype.

    Raises:
        ValueError: There is not one number for each channel, which `_check` finds.
        TypeError: The input is not floating-point, which `_check` finds.
    """
    _check(input, mean, var, weight, bias)
    scale = 1 / np.sqrt(var + var.dtype.type(eps))
    if weight is not None:
        scale = scale * weight
    shift = np.zeros_like(mean) if bias is None else bias
    order = _order_for_runs(input)
    x = dense(widen(input), order)
    out = np.empty(x.shape, x.dtype)
    numbers = (each.astype(x.dtype) for each in (mean, scale, shift))
    run("standardise", _by_channel(x, order), *numbers, _by_channel(out, order))
    return restored(out, order).astype(input.dtype, copy=False)


def _scale(var: Value, eps: float, ndim: int, weight: Value | None = None) -> Value:
    scale = (var + eps) ** -0.5
    return _per_channel(scale if weight is None else scale * weight, ndim)


BATCH_NORM_BY = Op("batch_norm", _batch_norm_by, ("input", "mean", "var", "weight", "bias"))
defvjp(
    BATCH_NORM_BY,
    input=lambda g, var, weight, eps: g * _scale(var, eps, g.ndim, weight),
    weight=lambda g, input, mean, var, eps: (
        g * (input - _per_channel(mean, g.ndim)) * _scale(var, eps, g.ndim)
    ).sum(axis=(0, *range(2, g.ndim))),
    bias=lambda g: g.sum(axis=(0, *range(2, g.ndim))),
)


def batch_norm(
    input: tt_tensor.Tensor,
    running_mean: tt_tensor.Tensor | None,
    running_var: tt_tensor.Tensor | None,
    weight: tt_tensor.Tensor | None = None,
    bias: tt_tensor.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    r"""Return :math:`w_c (x - \mu_c) / \sqrt{\sigma^2_c + \epsilon} + b_c` of each channel.

    In training :math:`\mu` and :math:`\sigma^2` are those of the batch, and the running ones move
    towards them, in place; otherwise they are the running ones.

    Args:
        input: The values.
        running_mean: One number for each channel, or None.
        running_var: The same; an unbiased estimate, divided by ``n - 1``.
        weight: A factor for each channel.
        bias: A number for each channel.
        training: Whether to normalise by the batch's own statistics.
        momentum: The part of the batch in the running statistics.
        eps: Keeps the divisor from 0.

    Shape:
        ``(N, C, ...) -> (N, C, ...)``

    Raises:
        ValueError: The shapes do not fit, a training batch has one value for each channel, or
            there are no running statistics to evaluate with.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> batch_norm(tt.tensor([[1.0], [3.0]]), None, None, training=True)
        tensor([[-1.0000],
                [ 1.0000]])

    References:
        Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing
        internal covariate shift", 2015.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError(
                "batch_norm: expected running_mean and running_var outside training, got None"
            )
        return apply(BATCH_NORM_BY, input, running_mean, running_var, weight, bias, eps=eps)
    batch = _Batch(sum_over_batch.get())
    out = apply(BATCH_NORM, input, weight, bias, eps=eps, batch=batch)
    move(running_mean, batch.mean, momentum)
    move(running_var, batch.var * (batch.count / (batch.count - 1)), momentum)
    return out


class _BatchNorm(RunningNorm):
    """What `BatchNorm1d` and `BatchNorm2d` share: all but the shapes they take."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def _normalise(self, input: tt_tensor.Tensor, own: bool, momentum: float) -> Tensor:
        stats = (self.running_mean, self.running_var)
        return batch_norm(input, *stats, self.weight, self.bias, own, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Normalises each feature over the batch; see `functional.batch_norm`.

    Args:
        num_features: Number of features or channels, ``C``.
        eps: Keeps the divisor from 0.
        momentum: The part of a batch in the running statistics; None for the mean of all batches.
        affine: Whether there are a weight and a bias for each feature.
        track_running_stats: Whether to keep running statistics for evaluation. Without them,
            batches are normalised by their own in evaluation too.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, C)`` or ``(N, C, L)``; the output's is the input's.

    Attributes:
        weight: ``(C,)``, initially 1; None with ``affine=False``.
        bias: ``(C,)``, initially 0; None with ``affine=False``.
        running_mean: ``(C,)``, initially 0.
        running_var: ``(C,)``, initially 1.
        num_batches_tracked: The number of training batches so far.

    Raises:
        ValueError: ``num_features`` is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.BatchNorm1d(1)(tt.tensor([[1.0], [3.0]])).detach()
        tensor([[-1.0000],
                [ 1.0000]])
    """

    _dims = (2, 3)
    _expected = "(N, {0}) or (N, {0}, L)"


class BatchNorm2d(_BatchNorm):
    """Normalises each channel over batch and image; see `functional.batch_norm`.

    Args:
        num_features: Number of channels, ``C``.
        eps: Keeps the divisor from 0.
        momentum: The part of a batch in the running statistics; None for the mean of all batches.
        affine: Whether there are a weight and a bias for each channel.
        track_running_stats: Whether to keep running statistics for evaluation. Without them,
            batches are normalised by their own in evaluation too.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, C, H, W)``; the output's is the input's.

    Attributes:
        weight: ``(C,)``, initially 1; None with ``affine=False``.
        bias: ``(C,)``, initially 0; None with ``affine=False``.
        running_mean: ``(C,)``, initially 0.
        running_var: ``(C,)``, initially 1.
        num_batches_tracked: The number of training batches so far.

    Raises:
        ValueError: ``num_features`` is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.BatchNorm2d(8)(tt.ones(2, 8, 4, 4)).shape
        (2, 8, 4, 4)
    """

    _dims = (4,)
    _expected = "(N, {0}, H, W)"

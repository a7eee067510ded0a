"""Normalisation of each channel of each image by itself: its function and its layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Tensor
from tt_nn._compute.processes import own_part, sum_over_batch

from .batch_norm import batch_norm
from .group_norm import group_norm
from .running_norm import RunningNorm, move

Array = NDArray[Any]


def instance_norm(
    input: tt_tensor.Tensor,
    running_mean: tt_tensor.Tensor | None = None,
    running_var: tt_tensor.Tensor | None = None,
    weight: tt_tensor.Tensor | None = None,
    bias: tt_tensor.Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    r"""Return :math:`w_c (x - \mu) / \sqrt{\sigma^2 + \epsilon} + b_c` of each image's channels.

    Args:
        input: The values.
        running_mean: A number for each channel, which moves towards the mean over the batch, in
            place; or None.
        running_var: The same, with variances divided by the number of pixels less 1.
        weight: A factor for each channel.
        bias: A number for each channel.
        use_input_stats: Whether to normalise by each image's own mean and variance; the running
            ones stand in for them otherwise, and stay as they are.
        momentum: The part of a batch in the running statistics.
        eps: Keeps the divisor from 0.

    Shape:
        ``(N, C, ...)``; the output's is the input's.

    Raises:
        ValueError: The shapes do not fit, an image has one pixel, or there are no running
            statistics to use.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> instance_norm(tt.tensor([[[1.0, 3.0], [10.0, 30.0]]]))
        tensor([[[-1.0000,  1.0000],
                 [-1.0000,  1.0000]]])

    References:
        Ulyanov, Vedaldi and Lempitsky, "Instance normalization: the missing ingredient for fast
        stylization", 2016.
    """
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(f"instance_norm: expected a Tensor, got {type(input).__name__}")
    if input.ndim < 3:
        raise ValueError(
            f"instance_norm: expected an input of shape (N, C, L) or more, got {input.shape}"
        )
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    pixels = math.prod(input.shape[2:])
    if pixels < 2:
        raise ValueError(
            f"instance_norm: expected more than one value for each channel of an image, got an "
            f"input of shape {input.shape}"
        )
    out = group_norm(input, input.shape[1], weight, bias, eps)
    if len(input) and not (running_mean is None and running_var is None):
        dims = tuple(range(2, input.ndim))
        with tt.no_grad():
            means = [input.mean(dim=dims).mean(dim=0), input.var(dim=dims).mean(dim=0)]
        mean, var = _over_batch([each._array for each in means], len(input))
        move(running_mean, mean, momentum)
        move(running_var, var, momentum)
    return out


def _over_batch(means: list[Array], count: int) -> list[Array]:
    """Return means over the images here as those over the images of every process."""
    across = sum_over_batch.get()
    if across is None:
        return means
    own = own_part(count)
    given = [np.full(means[0].shape, own), *(own * mean for mean in means)]
    counts, *sums = across(np.array(given, np.float64))
    return [(each / counts).astype(mean.dtype) for each, mean in zip(sums, means, strict=True)]


class InstanceNorm2d(RunningNorm):
    """Normalises each channel of each image; see `functional.instance_norm`.

    Args:
        num_features: Number of channels, ``C``.
        eps: Keeps the divisor from 0.
        momentum: The part of a batch in the running statistics; None for the mean of all batches.
        affine: Whether there are a weight and a bias for each channel.
        track_running_stats: Whether to keep running statistics, and to normalise by them in
            evaluation. Without them, images are normalised by their own in evaluation too.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, C, H, W)``; the output's is the input's.

    Attributes:
        weight: ``(C,)``, initially 1; None with ``affine=False``.
        bias: ``(C,)``, initially 0; None with ``affine=False``.
        running_mean: ``(C,)``, initially 0; None without ``track_running_stats``.
        running_var: ``(C,)``, initially 1; None without ``track_running_stats``.
        num_batches_tracked: The number of training batches so far.

    Raises:
        ValueError: ``num_features`` is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.InstanceNorm2d(1)(tt.tensor([[[[1.0, 3.0]]], [[[10.0, 30.0]]]])).squeeze()
        tensor([[-1.0000,  1.0000],
                [-1.0000,  1.0000]])
    """

    _dims = (4,)
    _expected = "(N, {0}, H, W)"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, dtype)

    def _normalise(self, input: tt_tensor.Tensor, own: bool, momentum: float) -> Tensor:
        stats = (self.running_mean, self.running_var)
        return instance_norm(input, *stats, self.weight, self.bias, own, momentum, self.eps)

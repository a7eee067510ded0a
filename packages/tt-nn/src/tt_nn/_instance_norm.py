"""Normalisation of each channel of each image by itself: its function and its layer."""

from __future__ import annotations

import math

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Tensor

from ._arguments import check_sizes
from ._batch_norm import batch_norm
from ._group_norm import group_norm
from ._module import Module
from ._parameter import Parameter


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
    if len(input):
        dims = tuple(range(2, input.ndim))
        with tt.no_grad():
            if running_mean is not None:
                _move(running_mean, input.mean(dim=dims).mean(dim=0), momentum)
            if running_var is not None:
                _move(running_var, input.var(dim=dims).mean(dim=0), momentum)
    return out


def _move(running: tt_tensor.Tensor, value: tt_tensor.Tensor, momentum: float) -> None:
    running *= 1 - momentum
    running += momentum * value


class InstanceNorm2d(Module):
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

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        check_sizes("InstanceNorm2d", num_features=num_features)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        ones, zeros = (make(num_features, dtype=dtype) for make in (tt.ones, tt.zeros))
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros.clone() if tracked else None)
        self.register_buffer("running_var", ones.clone() if tracked else None)
        self.register_buffer("num_batches_tracked", tt.tensor(0) if tracked else None)

    def reset_running_stats(self) -> None:
        """Forget the running statistics."""
        with tt.no_grad():
            for buffer, value in (
                (self.running_mean, 0),
                (self.running_var, 1),
                (self.num_batches_tracked, 0),
            ):
                if buffer is not None:
                    buffer.fill_(value)

    def reset_parameters(self) -> None:
        """Forget the running statistics, and set weights to 1 and biases to 0."""
        self.reset_running_stats()
        with tt.no_grad():
            if self.weight is not None:
                self.weight.fill_(1)
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Normalise each channel of each image."""
        shape = getattr(input, "shape", None)  # instance_norm refuses what is no tensor
        if shape is not None and (len(shape) != 4 or shape[1] != self.num_features):
            raise ValueError(
                f"InstanceNorm2d: expected an input of shape (N, {self.num_features}, H, W), "
                f"got {shape}"
            )
        momentum = 0.0 if self.momentum is None else self.momentum
        counted = self.num_batches_tracked if self.training else None
        if counted is not None and self.momentum is None:
            momentum = 1 / (counted.item() + 1)  # the mean of all batches
        own = self.training or self.running_mean is None
        out = instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            own,
            momentum,
            self.eps,
        )
        if counted is not None:
            counted += 1
        return out

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )

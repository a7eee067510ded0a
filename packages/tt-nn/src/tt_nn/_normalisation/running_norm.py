"""What the normalisations that keep running statistics share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Tensor
from tt_nn._arguments import check_sizes
from tt_nn._module import Module
from tt_nn._parameter import Parameter


def move(
    running: tt_tensor.Tensor | None, value: tt_tensor.Tensor | NDArray[Any], momentum: float
) -> None:
    """Move a running statistic by the part ``momentum`` of the way to a batch's, in place.

    There may be none. No gradient goes through it.
    """
    if running is not None:
        with tt.no_grad():
            running *= 1 - momentum
            running += momentum * value


class RunningNorm(Module):
    """A normalisation of channels that keeps running statistics: all but how it normalises."""

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _dims: tuple[int, ...]  # that an input may have
    _expected: str  # its shape, for errors

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: DTypeLike | None,
    ) -> None:
        super().__init__()
        check_sizes(type(self).__name__, num_features=num_features)
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
        """Normalise by the input's own statistics in training, else by the running ones."""
        shape = getattr(input, "shape", None)  # the function refuses what is no tensor
        if shape is not None and (len(shape) not in self._dims or shape[1] != self.num_features):
            raise ValueError(
                f"{type(self).__name__}: expected an input of shape "
                f"{self._expected.format(self.num_features)}, got {shape}"
            )
        counted = self.num_batches_tracked if self.training else None
        momentum = self.momentum
        if momentum is None:  # the mean of all batches
            momentum = 0.0 if counted is None else 1 / (counted.item() + 1)
        out = self._normalise(input, self.training or self.running_mean is None, momentum)
        if counted is not None:
            counted += 1
        return out

    @abstractmethod
    def _normalise(self, input: tt_tensor.Tensor, own: bool, momentum: float) -> Tensor:
        """Normalise by the input's own statistics or by the running ones."""

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )

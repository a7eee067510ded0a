"""Observers: what range the values of an activation have, seen over calibration or training."""

from __future__ import annotations

import math

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import Module

from ._qparams import Array, QParams, choose_qparams

_SMALL = 1e-30  # the least limit of a histogram, which may be of zeros


class Observer(Module):
    """Base of what watches values go by; a subclass says in `observe` what it remembers.

    Calling an observer shows it values, which it returns as they are.
    """

    def forward(self, input: tt_tensor.Tensor) -> tt_tensor.Tensor:
        """Remember what values there are, and return them.

        Raises:
            ValueError: There is NaN or infinity among them.
        """
        values = input._array
        if not np.isfinite(values).all():
            raise ValueError(
                f"{type(self).__name__}: expected finite values, but there is NaN or infinity "
                "among them"
            )
        if values.size:
            self.observe(values)
        return input

    def observe(self, values: Array) -> None:
        """Remember what is needed of an array of finite values."""
        raise NotImplementedError(f"{type(self).__name__} defines no observe")

    def range(self) -> tuple[float, float]:
        """Return the range that integers shall cover; infinite before any value was seen."""
        raise NotImplementedError(f"{type(self).__name__} defines no range")

    def calculate_qparams(
        self, quant_min: int = -128, quant_max: int = 127, *, symmetric: bool = False
    ) -> QParams:
        """Return scale and zero point for the range that was seen.

        Args:
            quant_min: The smallest integer.
            quant_max: The largest.
            symmetric: See `choose_qparams`.

        Raises:
            ValueError: No values have been seen.
        """
        low, high = self.range()
        if not math.isfinite(low):
            raise ValueError(f"{type(self).__name__}: no values have been seen; show it some first")
        return choose_qparams(
            tt.tensor(low), tt.tensor(high), quant_min, quant_max, symmetric=symmetric
        )


class MinMaxObserver(Observer):
    """Remembers the smallest and the largest value.

    Attributes:
        min_val: The smallest value seen.
        max_val: The largest.

    Example:
        >>> import tt_autograd as tt
        >>> observer = MinMaxObserver()
        >>> _ = observer(tt.tensor([-1.0, 0.5])), observer(tt.tensor([50.0]))
        >>> observer.calculate_qparams()
        QParams(scale=tensor(0.2000), zero_point=tensor(-123, dtype=int8))
    """

    min_val: Tensor
    max_val: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("min_val", tt.tensor(math.inf))
        self.register_buffer("max_val", tt.tensor(-math.inf))

    def observe(self, values: Array) -> None:
        """Widen the range."""
        self.min_val.fill_(min(self.min_val.item(), float(values.min())))
        self.max_val.fill_(max(self.max_val.item(), float(values.max())))

    def range(self) -> tuple[float, float]:
        """Return the smallest and the largest value."""
        return self.min_val.item(), self.max_val.item()


class MovingAverageMinMaxObserver(MinMaxObserver):
    r"""Follows the range of what it is shown: :math:`m \leftarrow m + c (m_{batch} - m)`.

    Args:
        averaging_constant: The weight :math:`c` of a new batch; the first one counts whole.

    Raises:
        ValueError: The constant is not between 0 and 1.

    Example:
        >>> import tt_autograd as tt
        >>> observer = MovingAverageMinMaxObserver(0.5)
        >>> _ = observer(tt.tensor([-1.0, 1.0])), observer(tt.tensor([0.0, 2.0]))
        >>> observer.range()
        (-0.5, 1.5)
    """

    def __init__(self, averaging_constant: float = 0.01) -> None:
        super().__init__()
        if not 0 < averaging_constant <= 1:
            raise ValueError(
                "MovingAverageMinMaxObserver: expected an averaging_constant above 0 and up to 1, "
                f"got {averaging_constant!r}"
            )
        self.averaging_constant = averaging_constant

    def observe(self, values: Array) -> None:
        """Move the range towards that of the values."""
        low, high = self.range()
        if not math.isfinite(low):
            super().observe(values)
            return
        self.min_val.fill_(low + self.averaging_constant * (float(values.min()) - low))
        self.max_val.fill_(high + self.averaging_constant * (float(values.max()) - high))


class PercentileObserver(Observer):
    """Counts values in a histogram, and leaves the rarest at both ends out of the range.

    A few outliers would else make the steps coarse for all other values.

    Args:
        percentile: The range goes from the ``100 - percentile``-th percentile to this one.
        bins: Bins of the histogram, a multiple of 4. They cover plus and minus a limit, which
            doubles whenever a value is beyond it.

    Attributes:
        counts: How many values there were in each bin.
        limit: The limit.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> observer = PercentileObserver(99.0, bins=64)
        >>> _ = observer(tt.cat([tt.linspace(0.0, 1.0, 999), tt.tensor([8.0])]))
        >>> observer.range()
        (0.0, 1.0)
    """

    counts: Tensor
    limit: Tensor

    def __init__(self, percentile: float = 99.99, bins: int = 2048) -> None:
        super().__init__()
        if not 50 < percentile <= 100:
            raise ValueError(
                "PercentileObserver: expected a percentile above 50 and up to 100, got "
                f"{percentile!r}"
            )
        if bins < 4 or bins % 4:
            raise ValueError(f"PercentileObserver: expected a multiple of 4 bins, got {bins!r}")
        self.percentile = percentile
        self.register_buffer("counts", tt.zeros(bins, dtype="int64"))
        self.register_buffer("limit", tt.tensor(0.0, dtype="float64"))

    def observe(self, values: Array) -> None:
        """Count the values."""
        largest = float(np.abs(values).max())
        limit = self.limit.item() or max(largest, _SMALL)
        counts, bins = self.counts._array, self.counts.numel()
        while limit < largest:
            limit *= 2
            pairs = counts.reshape(-1, 2).sum(axis=1)  # (bins / 2,)
            counts[:] = 0
            counts[bins // 4 : -bins // 4] = pairs
        self.limit.fill_(limit)
        inside = np.clip(values, -limit, limit, dtype=np.float64)
        counts += np.histogram(inside, bins, (-limit, limit))[0]

    def range(self) -> tuple[float, float]:
        """Return the edges of the bins where both percentiles are."""
        counts, limit = self.counts._array, self.limit.item()
        total = counts.sum()
        if not total:
            return -math.inf, math.inf
        edges = np.linspace(-limit, limit, len(counts) + 1)
        upto = np.cumsum(counts)
        rest = total * (1 - self.percentile / 100)
        first = int(np.searchsorted(upto, rest, side="right"))
        last = int(np.searchsorted(upto, total - rest, side="left"))
        return float(edges[first]), float(edges[min(last, len(counts) - 1) + 1])

"""How time and memory grow with a size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ._format import format_bytes, format_seconds
from ._measure import time_it
from ._memory import peak_memory
from ._report import Report, Table

Size = TypeVar("Size", int, float)


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """What was measured at one size.

    Attributes:
        size: The size.
        seconds: Median time of a call.
        spread: Distance between the quartiles of that time.
        peak_memory_bytes: Peak memory of a call.
    """

    size: int
    seconds: float
    spread: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Scaling(Report):
    """Measurements over several sizes, and the power laws fitted to them. Printed, it is a table.

    Attributes:
        rows: One row for each size.
        time_exponent: ``p`` of the fit ``seconds ~ size**p``.
        memory_exponent: ``p`` of the fit ``peak_memory_bytes ~ size**p``.
    """

    rows: tuple[ScalingRow, ...]
    time_exponent: float
    memory_exponent: float

    def _tables(self) -> list[Table]:
        rows = [
            (
                f"{row.size:,}",
                format_seconds(row.seconds),
                format_seconds(row.spread),
                format_bytes(row.peak_memory_bytes),
            )
            for row in self.rows
        ]
        note = (
            f"Time grows as size**{self.time_exponent:.2f}, "
            f"memory as size**{self.memory_exponent:.2f}."
        )
        columns = ("size", "time", "between quartiles", "peak memory")
        return [Table("Over several sizes", columns, rows, notes=(note,))]


def scaling(
    make: Callable[[int], Callable[[], object]], sizes: Iterable[int], *, repeats: int = 5
) -> Scaling:
    """Measure time and memory of a call over several sizes.

    Args:
        make: Builds the call for a size; what it builds beforehand is not measured.
        sizes: At least two different sizes, each positive.
        repeats: Samples of time for each size.

    Returns:
        A row for each size, and the exponents fitted over all of them.

    Raises:
        ValueError: If the sizes are fewer than two, not positive, or all equal.

    Example:
        >>> import numpy as np
        >>> grown = scaling(lambda n: lambda: np.zeros((n, n)), [200, 400, 800], repeats=2)
        >>> round(grown.memory_exponent, 1)
        2.0
    """
    sizes = list(sizes)
    rows = []
    for size in _checked(sizes):
        call = make(size)
        timing = time_it(call, warmup=1, repeats=repeats)
        rows.append(ScalingRow(size, timing.median, timing.spread, peak_memory(call)))
    return Scaling(
        rows=tuple(rows),
        time_exponent=fit_exponent(sizes, [row.seconds for row in rows]),
        memory_exponent=fit_exponent(sizes, [row.peak_memory_bytes for row in rows]),
    )


def fit_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Fit ``values ~ sizes**p`` by least squares on logarithms, and return ``p``.

    Args:
        sizes: At least two different positive sizes.
        values: One value for each size.

    Returns:
        The exponent ``p``; NaN if a value is not positive, since no power law passes through it.

    Raises:
        ValueError: If the lengths differ, or the sizes are fewer than two, not positive, or all
            equal.

    Example:
        >>> round(fit_exponent([1, 2, 4], [3, 12, 48]), 6)
        2.0
    """
    if len(sizes) != len(values):
        raise ValueError(f"fit_exponent: {len(sizes)} sizes but {len(values)} values")
    x = np.log(np.asarray(_checked(sizes), dtype=np.float64))
    if any(not value > 0 for value in values):
        return math.nan
    y = np.log(np.asarray(values, dtype=np.float64))
    x -= x.mean()
    return float(x @ y / (x @ x))


def _checked(sizes: Sequence[Size]) -> Sequence[Size]:
    if any(size <= 0 for size in sizes):
        raise ValueError(f"scaling: sizes must be positive, got {list(sizes)}")
    if len(set(sizes)) < 2:
        raise ValueError(f"scaling: at least two different sizes are needed, got {list(sizes)}")
    return sizes

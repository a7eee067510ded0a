"""Time and memory of a call, measured."""

from __future__ import annotations

import gc
import math
import statistics
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds per call: one sample for each repeat.

    Attributes:
        samples: Seconds per call, in the order they were measured.
    """

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of the samples, in seconds."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """The distance between the quartiles of the samples, in seconds."""
        if len(self.samples) < 2:
            return 0.0
        lower, _, upper = statistics.quantiles(self.samples, n=4, method="inclusive")
        return upper - lower


def time_it(
    function: Callable[[], object],
    *,
    warmup: int = 2,
    repeats: int = 7,
    sample_seconds: float = 0.002,
) -> Timing:
    """Time a call: warm up, repeat, keep every sample.

    A call shorter than ``sample_seconds`` is made in a loop, as often as fills that time, so that
    the clock's resolution does not show in the result.

    Args:
        function: What to time, without arguments.
        warmup: Calls before the first sample (caches, lazy set-up).
        repeats: Number of samples.
        sample_seconds: The least time that one sample takes.

    Returns:
        The samples, with their median and spread.

    Raises:
        ValueError: If ``warmup`` is negative or ``repeats`` is not positive.

    Example:
        >>> timing = time_it(lambda: sum(range(100)), repeats=5)
        >>> len(timing.samples), timing.median > 0
        (5, True)
    """
    if warmup < 0:
        raise ValueError(f"time_it: warmup must be zero or more, got {warmup}")
    if repeats < 1:
        raise ValueError(f"time_it: repeats must be at least 1, got {repeats}")
    for _ in range(warmup):
        function()
    once = _seconds(function, calls=1)
    calls = max(1, math.ceil(sample_seconds / max(once, 1e-9)))
    return Timing(tuple(_seconds(function, calls) / calls for _ in range(repeats)))


def _seconds(function: Callable[[], object], calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        function()
    return perf_counter() - start


def peak_memory(function: Callable[[], object]) -> int:
    """Bytes that a call holds at its peak, above what was held before it.

    Measured by `tracemalloc`, to which NumPy reports the memory of its arrays.

    Args:
        function: What to measure, without arguments. It is called once.

    Returns:
        The peak in bytes.

    Example:
        >>> import numpy as np
        >>> 8_000_000 <= peak_memory(lambda: np.zeros(1_000_000)) < 8_100_000
        True
    """
    gc.collect()
    already_tracing = tracemalloc.is_tracing()
    if not already_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        function()
        _, peak = tracemalloc.get_traced_memory()
        return max(0, peak - before)
    finally:
        if not already_tracing:
            tracemalloc.stop()

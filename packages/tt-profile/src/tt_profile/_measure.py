"""Time of a call, measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter

from ._format import format_seconds
from ._report import Report, Table


@dataclass(frozen=True, slots=True)
class Timing(Report):
    """Seconds per call: one sample for each repeat. Printed, it is a table.

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
        lower, upper = _quartiles(self.samples)
        return upper - lower

    def _tables(self) -> list[Table]:
        columns = ("samples", "median", "between quartiles", "least", "most")
        times = (self.median, self.spread, min(self.samples), max(self.samples))
        row = (str(len(self.samples)), *map(format_seconds, times))
        return [Table("Seconds a call", columns, [row])]


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
    _check("time_it", warmup, repeats)
    calls = _warmed_up(function, warmup, sample_seconds)
    return Timing(tuple(_seconds(function, calls) / calls for _ in range(repeats)))


@dataclass(frozen=True, slots=True)
class Comparison(Report):
    """Two callables timed in turn: what one takes beside the other. Printed, it is a table.

    Attributes:
        function: Time of the one.
        baseline: Time of the other, sample by sample in the same rounds.
    """

    function: Timing
    baseline: Timing

    @property
    def ratios(self) -> tuple[float, ...]:
        """In each round, the time of the one divided by that of the other."""
        pairs = zip(self.function.samples, self.baseline.samples, strict=True)
        return tuple(ours / theirs for ours, theirs in pairs)

    @property
    def ratio(self) -> float:
        """The median of the ratios: below 1, ``function`` is faster."""
        return statistics.median(self.ratios)

    @property
    def speedup(self) -> float:
        """How many times faster ``function`` is: ``1 / ratio``."""
        return 1 / self.ratio

    @property
    def interval(self) -> tuple[float, float]:
        """The quartiles of the ratios: one that holds 1 says that neither is faster."""
        return _quartiles(self.ratios)

    def _tables(self) -> list[Table]:
        rows = [
            (name, format_seconds(timing.median), format_seconds(timing.spread))
            for name, timing in (("function", self.function), ("baseline", self.baseline))
        ]
        low, high = self.interval
        note = (
            f"The function takes {self.ratio:.3g} times as long as the baseline, from {low:.3g} to "
            f"{high:.3g} in the middle half of {len(self.ratios)} rounds."
        )
        columns = ("timed", "median", "between quartiles")
        return [Table("Timed in turns", columns, rows, notes=(note,))]


def compare(
    function: Callable[[], object],
    baseline: Callable[[], object],
    *,
    warmup: int = 2,
    repeats: int = 11,
    sample_seconds: float = 0.002,
    around: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Comparison:
    """Time two callables in turn, in one run, and compare them round by round.

    A machine's speed drifts, so what is measured a minute apart does not compare. Here every round
    takes a sample of both, one after the other, and every second round the other way about.

    Args:
        function: What is compared, without arguments.
        baseline: What it is compared with.
        warmup: Calls of each before the first round.
        repeats: Number of rounds.
        sample_seconds: The least time that one sample takes.
        around: Makes what a sample of ``function`` is taken within, such as a setting that only it
            is to have; entering it is not timed.

    Returns:
        The samples of both, with the median ratio and its spread.

    Raises:
        ValueError: If ``warmup`` is negative or ``repeats`` is not positive.

    Example:
        >>> result = compare(lambda: sum(range(1000)), lambda: sum(range(4000)))
        >>> result.ratio < 1, result.speedup > 1
        (True, True)
    """
    _check("compare", warmup, repeats)
    sides = (function, around), (baseline, nullcontext)
    calls = []
    for each, within in sides:
        with within():
            calls.append(_warmed_up(each, warmup, sample_seconds))
    samples: tuple[list[float], list[float]] = [], []
    for number in range(repeats):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            each, within = sides[side]
            with within():
                samples[side].append(_seconds(each, calls[side]) / calls[side])
    return Comparison(*(Timing(tuple(side)) for side in samples))


def _check(name: str, warmup: int, repeats: int) -> None:
    if warmup < 0:
        raise ValueError(f"{name}: warmup must be zero or more, got {warmup}")
    if repeats < 1:
        raise ValueError(f"{name}: repeats must be at least 1, got {repeats}")


def _warmed_up(function: Callable[[], object], warmup: int, sample_seconds: float) -> int:
    """Call a function until it is warm, and return how many calls fill a sample."""
    for _ in range(warmup):
        function()
    once = _seconds(function, calls=1)
    return max(1, math.ceil(sample_seconds / max(once, 1e-9)))


def _seconds(function: Callable[[], object], calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        function()
    return perf_counter() - start


def _quartiles(samples: Sequence[float]) -> tuple[float, float]:
    if len(samples) < 2:
        return samples[0], samples[0]
    lower, _, upper = statistics.quantiles(samples, n=4, method="inclusive")
    return lower, upper

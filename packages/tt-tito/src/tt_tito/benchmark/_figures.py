"""What is measured in each event: figures of reference and submission, and their ratio.

A ratio is above 1 where the submission is better. The two take turns, so that both meet the same
machine; a time is measured in pairs, and the ratio is the median of the pairs' ratios, given with
the smallest and the greatest of them. Ratios, not times, are what machines have in common.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from ._checks import Rejected, fields, number
from ._runner import Clocked, Runner
from ._tasks import Quality

Event = Literal["latency", "throughput", "memory", "size", "accuracy", "all-round"]
EVENTS: tuple[Event, ...] = ("latency", "throughput", "memory", "size", "accuracy", "all-round")

PAIRS = 15
UNITS = {
    "latency": "s",
    "throughput": "/s",
    "memory": "B",
    "size": "B",
    "accuracy": "",
    "loss": "nats",
}

# What the others may cost of what the model is for: points of accuracy, or a share of the loss.
MOST_LOST = 0.01
# How near two runs agree, as a share. Times are those of busy machines. Memory has Python's own
# objects in it. BLAS rounds sums in its own way on each machine, which may tip an answer: one of
# the 360 digits that are held out is 0.004 of an accuracy of 0.7. Bytes of a file are counted.
TOLERANCES: Mapping[str, float] = {
    "latency": 0.05,
    "throughput": 0.05,
    "memory": 0.02,
    "size": 0.0,
    "accuracy": 0.004,
    "loss": 0.0001,
}
ROUNDING = 1e-9  # of ratios that are computed in another order


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity of reference and submission, measured in one run.

    Attributes:
        reference: That of the reference, the median.
        submission: That of the submission, the median.
        ratio: How many times better the submission is.
        low: The smallest ratio that was measured.
        high: The greatest.
    """

    reference: float
    submission: float
    ratio: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """The figure as `submission.json` has it."""
        return asdict(self)

    def reproduces(self, claimed: Figure, tolerance: float) -> bool:
        """Whether a claimed ratio is among those measured here, or as near as runs agree.

        Args:
            claimed: The figure that is claimed.
            tolerance: How near they agree, as a share: that of `TOLERANCES`.

        Example:
            >>> measured = Figure(2.0, 1.0, 2.0, 1.7, 2.2)
            >>> measured.reproduces(Figure(4.0, 2.2, 1.8, 1.8, 1.8), 0.05)
            True
            >>> measured.reproduces(Figure(4.0, 1.0, 4.0, 4.0, 4.0), 0.05)
            False
        """
        low = min(self.low, self.ratio * (1 - tolerance))
        high = max(self.high, self.ratio * (1 + tolerance))
        return low <= claimed.ratio <= high


Figures = Mapping[str, Figure]


def parse_figure(value: object, where: str) -> Figure:
    """Check a figure that someone else wrote: finite numbers, none negative."""
    names = ("reference", "submission", "ratio", "low", "high")
    return Figure(**fields(value, where, dict.fromkeys(names, number(0)), {}))


def contradiction(name: str, claimed: Figure) -> str | None:
    """Say where a claimed figure contradicts itself; None if it does not.

    The median of pairs' ratios may differ from the ratio of the medians, but both are between the
    smallest and the greatest ratio. What is measured once has one ratio.

    Args:
        name: The figure's name.
        claimed: The figure.

    Example:
        >>> contradiction("size", Figure(600.0, 300.0, 3.0, 3.0, 3.0))
        'size: a ratio of 3 is claimed, but 600 and 300 make 2.'
        >>> contradiction("latency", Figure(0.6, 0.3, 1.9, 1.7, 2.1)) is None
        True
    """
    ours, theirs, ratio = claimed.reference, claimed.submission, claimed.ratio
    claim = f"{name}: a ratio of {ratio:.4g} is claimed, "
    if name == "accuracy" and max(ours, theirs) > 1:
        return f"accuracy: {max(ours, theirs):.4g} is claimed, but it is at most 1."
    if not claimed.low <= ratio <= claimed.high:
        return f"{claim}but from {claimed.low:.4g} to {claimed.high:.4g}."
    if name not in get_args(Clocked) and claimed.low != claimed.high:
        return f"{claim}from {claimed.low:.4g} to {claimed.high:.4g}, but it is measured once."
    over, under = (theirs, ours) if name in ("throughput", "accuracy") else (ours, theirs)
    made = over / under if under else math.inf
    if not claimed.low * (1 - ROUNDING) <= made <= claimed.high * (1 + ROUNDING):
        return f"{claim}but {ours:.6g} and {theirs:.6g} make {made:.4g}."
    return None


def names_of(event: Event, quality: Quality) -> tuple[str, ...]:
    """The figures of an event: its own, and what the model is for.

    Example:
        >>> names_of("latency", "loss"), names_of("accuracy", "accuracy")
        (('latency', 'loss'), ('accuracy',))
    """
    if event == "all-round":
        return ("latency", "throughput", "memory", "size", quality)
    return (quality,) if event == "accuracy" else (event, quality)


def measure(
    event: Event, quality: Quality, reference: Runner, submission: Runner, pairs: int = PAIRS
) -> dict[str, Figure]:
    """Measure the figures of an event, of two models in turn.

    Args:
        event: The event.
        quality: What the task judges a model by.
        reference: Measures the reference.
        submission: Measures the other.
        pairs: How often each is timed.

    Raises:
        Rejected: A figure is not a finite number, or not positive where it must be.
    """
    figures: dict[str, Figure] = {}
    for name in names_of(event, quality):
        match name:
            case "latency":
                figures[name] = _timed("latency", reference, submission, pairs)
            case "throughput":
                figures[name] = _timed("throughput", reference, submission, pairs)
            case "memory":
                figures[name] = _figure(name, reference.memory(), submission.memory())
            case "size":
                figures[name] = _figure(name, reference.size(), submission.size())
            case _:
                figures[name] = _figure(name, reference.quality(), submission.quality())
    return figures


def _timed(name: Clocked, reference: Runner, submission: Runner, pairs: int) -> Figure:
    """Time both in turn, in pairs: reference first, then submission first, and so on.

    The ratio is the median of the pairs' ratios (`_ratio`), the times are the medians of each; of
    throughput, ``1 / time``.
    """
    samples = []
    for i in range(pairs):
        if i % 2:  # who goes first changes, for the first may find the machine colder
            second = submission.seconds(name)
            samples.append((reference.seconds(name), second))
        else:
            samples.append((reference.seconds(name), submission.seconds(name)))
    ratios = [_ratio(name, *pair) for pair in samples]
    ours, theirs = (statistics.median(pair[i] for pair in samples) for i in (0, 1))
    if name == "throughput":
        ours, theirs = 1 / ours, 1 / theirs
    return Figure(ours, theirs, statistics.median(ratios), min(ratios), max(ratios))


def _figure(name: str, reference: float, submission: float) -> Figure:
    if name == "accuracy":
        ratio = _ratio(name, submission, reference)
    else:
        ratio = _ratio(name, reference, submission)
    return Figure(reference, submission, ratio, ratio, ratio)


def _ratio(name: str, over: float, under: float) -> float:
    if not (math.isfinite(over) and math.isfinite(under)) or over < 0 or under <= 0:
        raise Rejected(f"{name}: what was measured is no finite positive number.")
    return over / under


def score(event: Event, figures: Figures) -> Figure:
    """The figure that an event ranks by; for all-round, the geometric mean of all ratios.

    Example:
        >>> one, four = (Figure(r, 1.0, r, r, r) for r in (1.0, 4.0))
        >>> score("all-round", {"latency": one, "size": four}).ratio
        2.0
    """
    if event == "accuracy":
        return next(iter(figures.values()))
    if event != "all-round":
        return figures[event]
    low, ratio, high = (
        math.prod(getattr(figure, name) for figure in figures.values()) ** (1 / len(figures))
        for name in ("low", "ratio", "high")
    )
    return Figure(1.0, ratio, ratio, low, high)


def lost_too_much(event: Event, quality: Quality, figures: Figures) -> str | None:
    """Say whether a model gained at the cost of what it is for; None if it did not.

    Example:
        >>> lost_too_much("size", "accuracy", {"accuracy": Figure(0.98, 0.9, 0.9, 0.9, 0.9)})
        'accuracy: 0.9000, the reference has 0.9800; at most 1 point may be lost.'
    """
    if event == "accuracy":
        return None
    figure = figures[quality]
    both = f"{quality}: {figure.submission:.4f}, the reference has {figure.reference:.4f};"
    if quality == "accuracy" and figure.submission < figure.reference - MOST_LOST:
        return f"{both} at most {100 * MOST_LOST:g} point may be lost."
    if quality == "loss" and figure.submission > figure.reference * (1 + MOST_LOST):
        return f"{both} it may be at most {100 * MOST_LOST:g}% greater."
    return None

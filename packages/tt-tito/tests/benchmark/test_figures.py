"""Figures: two models in turn, the ratio of each pair, and what ranks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_tito.benchmark import EVENTS, Figure, Rejected, measure, score
from tt_tito.benchmark._figures import TOLERANCES, contradiction, names_of

pytestmark = pytest.mark.module_19

QUALITIES: tuple[Literal["accuracy", "loss"], ...] = ("accuracy", "loss")


@dataclass
class Scripted:
    """A runner that answers what it was told to, and notes when it was asked."""

    times: Sequence[float]
    log: list[str]
    name: str = ""
    bytes: int = 100
    answer: float = 0.9
    _times: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        self._times = cycle(self.times)

    def seconds(self, kind: Literal["latency", "throughput"]) -> float:
        self.log.append(self.name)
        return next(self._times)

    def memory(self) -> int:
        return self.bytes

    def size(self) -> int:
        return self.bytes

    def quality(self) -> float:
        return self.answer


def runners(*, times: Sequence[float] = (1.0,), answer: float = 0.9) -> tuple[Scripted, Scripted]:
    log: list[str] = []
    return Scripted((2.0, 3.0, 4.0), log, "r"), Scripted(times, log, "s", 50, answer)


def test_times_are_taken_in_turn_and_the_ratio_is_that_of_pairs() -> None:
    reference, submission = runners(times=(1.0, 1.0, 0.5))
    figures = measure("latency", "accuracy", reference, submission, pairs=3)
    assert "".join(reference.log) == "rssrrs"
    assert figures["latency"] == Figure(3.0, 1.0, 3.0, 2.0, 8.0)
    assert figures["accuracy"].ratio == 1.0


def test_throughput_is_inputs_in_a_second() -> None:
    figures = measure("throughput", "accuracy", *runners(times=(0.5,)), pairs=3)
    assert (figures["throughput"].reference, figures["throughput"].submission) == (1 / 3, 2.0)
    assert figures["throughput"].ratio == 6.0


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("event", EVENTS)
def test_a_better_model_scores_above_one(
    event: Literal["latency", "throughput", "memory", "size", "accuracy", "all-round"],
    quality: Literal["accuracy", "loss"],
) -> None:
    better = 0.95 if quality == "accuracy" else 0.85
    figures = measure(event, quality, *runners(answer=better), pairs=3)
    assert tuple(figures) == names_of(event, quality)
    assert score(event, figures).ratio > 1


@pytest.mark.parametrize("answer", [float("nan"), float("inf"), -1.0])
def test_what_is_no_number_is_no_figure(answer: float) -> None:
    with pytest.raises(Rejected, match="no finite positive number"):
        measure("accuracy", "accuracy", *runners(answer=answer))


@pytest.mark.parametrize(
    ("claimed", "reproduced"), [(2.0, True), (1.6, True), (2.9, True), (3.5, False), (1.0, False)]
)
def test_a_claim_is_reproduced_within_what_was_measured(claimed: float, reproduced: bool) -> None:
    measured = Figure(2.0, 1.0, 2.0, 1.5, 3.0)
    claim = Figure(claimed, 1.0, claimed, claimed, claimed)
    assert measured.reproduces(claim, 0.05) is reproduced


def test_each_figure_has_its_tolerance() -> None:
    names = {name for event in EVENTS for quality in QUALITIES for name in names_of(event, quality)}
    assert TOLERANCES.keys() == names


@pytest.mark.parametrize("name", ["size", "accuracy", "loss"])
def test_what_does_not_vary_is_not_a_little_better(name: str) -> None:
    measured = Figure(2.0, 1.0, 2.0, 2.0, 2.0)
    better = Figure(2.0, 1 / 1.01, 2.02, 2.02, 2.02)
    assert measured.reproduces(measured, TOLERANCES[name])
    assert not measured.reproduces(better, TOLERANCES[name])


CLAIMS: dict[str, tuple[str, Figure, str | None]] = {
    "a size": ("size", Figure(600.0, 300.0, 2.0, 2.0, 2.0), None),
    "an accuracy": ("accuracy", Figure(0.5, 0.9, 1.8, 1.8, 1.8), None),
    "no accuracy at all": ("accuracy", Figure(0.5, 0.0, 0.0, 0.0, 0.0), None),
    "a loss": ("loss", Figure(1.8, 1.5, 1.2, 1.2, 1.2), None),
    "times whose medians are of other pairs": ("latency", Figure(3.0, 1.0, 2.5, 2.0, 8.0), None),
    "inputs a second": ("throughput", Figure(1.0, 3.0, 2.5, 2.0, 8.0), None),
    "bytes that make another ratio": ("size", Figure(600.0, 100.0, 2.0, 2.0, 2.0), "make 6"),
    "times beyond the range": ("latency", Figure(3.0, 0.1, 2.5, 2.0, 8.0), "make 30"),
    "no time": ("latency", Figure(3.0, 0.0, 2.5, 2.0, 8.0), "make inf"),
    "a ratio beyond its range": ("latency", Figure(3.0, 1.0, 9.0, 2.0, 8.0), "but from 2 to 8"),
    "a range of bytes": ("size", Figure(600.0, 300.0, 2.0, 1.0, 3.0), "measured once"),
    "more than all": ("accuracy", Figure(0.99, 1.04, 1.0505, 1.0505, 1.0505), "at most 1"),
}


@pytest.mark.parametrize("case", CLAIMS)
def test_a_claim_that_contradicts_itself_is_told(case: str) -> None:
    name, claimed, expected = CLAIMS[case]
    found = contradiction(name, claimed)
    assert (found is None) == (expected is None)
    assert found is None or expected is None or (found.startswith(name) and expected in found)


@pytest.mark.parametrize("quality", QUALITIES)
@given(times=st.lists(st.floats(1e-6, 1e3), min_size=6, max_size=6), answer=st.floats(0.01, 1))
def test_what_was_measured_does_not_contradict_itself(
    quality: Literal["accuracy", "loss"], times: list[float], answer: float
) -> None:
    reference, submission = runners(times=times[:3], answer=answer)
    reference.times = times[3:]
    figures = measure("all-round", quality, reference, submission, pairs=3)
    assert not list(filter(None, map(contradiction, figures, figures.values())))

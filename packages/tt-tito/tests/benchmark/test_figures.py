"""Figures: two models in turn, the ratio of each pair, and what ranks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Literal

import pytest

from tt_tito.benchmark import EVENTS, Figure, Rejected, measure, score
from tt_tito.benchmark._figures import names_of

pytestmark = pytest.mark.module_19


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


@pytest.mark.parametrize("quality", ["accuracy", "loss"])
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
    assert measured.reproduces(claim) is reproduced

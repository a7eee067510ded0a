"""Time, memory and growth, against what is known of the thing measured."""

import math
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import numpy as np
import pytest

from tt_profile import (
    Comparison,
    Memory,
    Timing,
    compare,
    fit_exponent,
    memory,
    peak_memory,
    resident_memory,
    scaling,
    time_it,
)

pytestmark = pytest.mark.module_14


def test_time_of_a_known_wait() -> None:
    timing = time_it(lambda: time.sleep(0.01), warmup=1, repeats=5)
    assert len(timing.samples) == 5
    assert 0.01 <= timing.median < 0.1


def test_a_short_call_is_looped() -> None:
    calls = []
    timing = time_it(lambda: calls.append(1), warmup=0, repeats=3, sample_seconds=0.001)
    assert len(calls) > 100
    assert timing.median < 1e-4


def test_warm_up_is_not_measured() -> None:
    waits = [0.2, 0.0, 0.0, 0.0, 0.0]
    timing = time_it(lambda: time.sleep(waits.pop(0)), warmup=1, repeats=3, sample_seconds=0)
    assert max(timing.samples) < 0.2


@pytest.mark.parametrize(
    ("samples", "median", "spread"),
    [((3.0,), 3.0, 0.0), ((1.0, 2.0, 3.0, 4.0, 5.0), 3.0, 2.0), ((2.0, 2.0), 2.0, 0.0)],
)
def test_median_and_spread(samples: tuple[float, ...], median: float, spread: float) -> None:
    timing = Timing(samples)
    assert (timing.median, timing.spread) == (median, spread)


@pytest.mark.parametrize("arguments", [{"repeats": 0}, {"warmup": -1}])
def test_time_it_refuses_nonsense(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="time_it"):
        time_it(lambda: None, **arguments)


def test_two_callables_are_timed_in_turn() -> None:
    order: list[str] = []
    result = compare(
        lambda: order.append("a"),
        lambda: order.append("b"),
        warmup=1,
        repeats=3,
        sample_seconds=0,
    )
    # warm-up and the call that says how many fill a sample; then a round, and the next reversed
    assert order == ["a", "a", "b", "b", *"ab", *"ba", *"ab"]
    assert len(result.function.samples) == len(result.baseline.samples) == 3


def test_samples_of_one_are_taken_within_its_setting() -> None:
    inside = [False]
    seen: dict[str, set[bool]] = {"one": set(), "other": set()}

    @contextmanager
    def setting() -> Iterator[None]:
        inside[0] = True
        yield
        inside[0] = False

    compare(
        lambda: seen["one"].add(inside[0]), lambda: seen["other"].add(inside[0]), around=setting
    )
    assert seen == {"one": {True}, "other": {False}}


def test_a_comparison_is_of_rounds() -> None:
    result = Comparison(Timing((1.0, 4.0, 1.5, 8.0)), Timing((2.0, 4.0, 2.0, 4.0)))
    assert result.ratios == (0.5, 1.0, 0.75, 2.0)
    assert result.ratio == 0.875
    assert result.speedup == 1 / 0.875
    assert result.interval == (0.6875, 1.25)


@pytest.mark.parametrize(("warmup", "repeats"), [(0, 0), (-1, 1)])
def test_compare_refuses_nonsense(warmup: int, repeats: int) -> None:
    with pytest.raises(ValueError, match="compare"):
        compare(lambda: None, lambda: None, warmup=warmup, repeats=repeats)


def test_memory_at_the_peak_and_after() -> None:
    kept = []

    def call() -> None:
        np.ones(1_000_000)
        kept.append(np.ones(500_000))

    used = memory(call)
    assert 8_000_000 <= used.peak < 8_100_000
    assert 4_000_000 <= used.held < 4_100_000


@pytest.mark.skipif(resident_memory() is None, reason="the system does not tell")
def test_the_resident_size_is_that_of_the_process() -> None:
    held = np.ones(4_000_000)
    used = memory(lambda: np.ones(8_000_000))
    assert used.resident_before is not None
    assert used.resident_before > held.nbytes
    if used.resident_peak is not None:  # told where the system lets it be reset
        assert used.resident_peak > used.resident_before + 40_000_000


def test_peak_memory_is_the_peak_not_the_end() -> None:
    def call() -> None:
        for _ in range(3):
            np.ones(1_000_000)  # freed at once: never more than one alive

    assert 8_000_000 <= peak_memory(call) < 8_100_000


def test_peak_memory_does_not_count_what_was_there_before() -> None:
    before = np.ones(1_000_000)
    assert peak_memory(lambda: before.sum()) < 100_000


def test_peak_memory_inside_a_trace_leaves_it_running() -> None:
    tracemalloc.start()
    try:
        held = np.ones(1_000_000)
        assert 4_000_000 <= peak_memory(lambda: np.ones(500_000)) < 4_100_000
        assert tracemalloc.is_tracing()
        assert held.sum() == 1_000_000
    finally:
        tracemalloc.stop()


def around(inner: Callable[[], object]) -> Memory:
    """Measure a call that holds 64 MB for a while, then runs ``inner``, then holds 8 MB."""

    def call() -> None:
        np.ones(8_000_000)
        inner()
        np.ones(1_000_000)

    return memory(call)


INNER: dict[str, Callable[[], object]] = {
    "memory": lambda: memory(lambda: None),
    "twice": lambda: (peak_memory(lambda: None), peak_memory(lambda: None)),
    "in one another": lambda: memory(lambda: memory(lambda: None)),
    "scaling": lambda: scaling(lambda n: lambda: None, [1, 2], repeats=1),
    "in a thread": lambda: in_a_thread(lambda: memory(lambda: None)),
    "one that fails": lambda: suppressed(lambda: 1 // 0),
}


def in_a_thread(call: Callable[[], object]) -> None:
    thread = Thread(target=call)
    thread.start()
    thread.join()


def suppressed(call: Callable[[], object]) -> None:
    with suppress(ZeroDivisionError):
        memory(call)


@pytest.mark.parametrize("name", INNER)
def test_a_measurement_within_leaves_the_peak(name: str) -> None:
    used = around(INNER[name])
    assert 64_000_000 <= used.peak < 64_200_000
    if used.resident_peak is not None:
        assert used.resident_before is not None
        assert used.resident_peak > used.resident_before + 40_000_000


def test_what_a_measurement_within_holds_counts_for_both() -> None:
    inner: list[Memory] = []
    used = around(lambda: inner.append(memory(lambda: np.ones(9_000_000))))
    assert 72_000_000 <= inner[0].peak <= used.peak < 72_200_000


def test_tracing_ends_even_if_the_call_fails() -> None:
    with pytest.raises(ZeroDivisionError):
        peak_memory(lambda: 1 // 0)
    assert not tracemalloc.is_tracing()


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_the_exponent_of_a_power_law_is_found(power: float) -> None:
    sizes = [3, 10, 40, 200]
    assert fit_exponent(sizes, [7 * size**power for size in sizes]) == pytest.approx(power)


def test_no_power_law_passes_through_zero() -> None:
    assert math.isnan(fit_exponent([1, 2], [0.0, 1.0]))
    assert math.isnan(fit_exponent([1, 2], [math.nan, 1.0]))


@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [([], "at least two"), ([3], "at least two"), ([3, 3], "at least two"), ([0, 1], "positive")],
)
def test_sizes_must_say_something(sizes: list[int], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        fit_exponent(sizes, [1.0] * len(sizes))
    with pytest.raises(ValueError, match=complaint):
        scaling(lambda size: lambda: None, sizes)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="2 sizes but 1 values"):
        fit_exponent([1, 2], [1.0])


def test_scaling_measures_each_size() -> None:
    grown = scaling(lambda n: lambda: np.ones((n, n)), [100, 200, 400], repeats=2)
    assert [row.size for row in grown.rows] == [100, 200, 400]
    assert grown.memory_exponent == pytest.approx(2.0, abs=0.1)
    for row in grown.rows:
        assert row.peak_memory_bytes == pytest.approx(8 * row.size**2, rel=0.1, abs=4000)


def test_sizes_can_be_an_iterator() -> None:
    grown = scaling(lambda n: lambda: None, (n for n in (1, 2)), repeats=1)
    assert [row.size for row in grown.rows] == [1, 2]


def test_what_make_builds_is_not_measured() -> None:
    def make(size: int) -> object:
        held = np.ones(1_000_000)
        return lambda: held[:size].sum()

    grown = scaling(make, [1, 2], repeats=1)  # type: ignore[arg-type]  # object is a callable
    assert max(row.peak_memory_bytes for row in grown.rows) < 100_000


def test_growth_of_time_is_found() -> None:
    grown = scaling(lambda n: lambda: time.sleep(n / 200), [4, 8, 16, 32], repeats=3)
    assert grown.time_exponent == pytest.approx(1.0, abs=0.2)

"""What range observers see."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import tt_autograd as tt
from tt_profile.quantization import (
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    Observer,
    PercentileObserver,
)

pytestmark = pytest.mark.module_15

Array = NDArray[Any]
OBSERVERS: list[Callable[[], Observer]] = [
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    PercentileObserver,
]
batches = st.lists(
    hnp.arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e6, 1e6, width=32)),
    min_size=1,
    max_size=5,
)


@given(batches)
def test_the_range_is_that_of_all_values(parts: list[Array]) -> None:
    observer = MinMaxObserver()
    for part in parts:
        assert observer(tt.tensor(part)).tolist() == part.tolist()
    whole = np.concatenate(parts)
    assert observer.range() == (whole.min(), whole.max())


@given(batches)
def test_a_moving_average_is_that_of_the_ranges(parts: list[Array]) -> None:
    observer = MovingAverageMinMaxObserver(0.25)
    low, high = float(parts[0].min()), float(parts[0].max())
    for i, part in enumerate(parts):
        observer(tt.tensor(part))
        if i:
            low += 0.25 * (float(part.min()) - low)
            high += 0.25 * (float(part.max()) - high)
    np.testing.assert_allclose(observer.range(), (low, high), rtol=1e-5, atol=1e-6)


@given(batches, st.sampled_from([90.0, 99.0, 100.0]))
def test_percentiles_are_found_to_a_bin(parts: list[Array], percentile: float) -> None:
    observer = PercentileObserver(percentile, bins=512)
    for part in parts:
        observer(tt.tensor(part))
    whole = np.sort(np.concatenate(parts).astype(np.float64))
    width = 2 * observer.limit.item() / 512 + 1e-30
    rest = len(whole) * (1 - percentile / 100) + 1e-9
    low, high = observer.range()
    # Not more values lie outside than may, and each end is at a value, but for a bin.
    assert (whole < low - width).sum() <= rest
    assert (whole > high + width).sum() <= rest
    assert np.abs(whole - low).min() <= 1.01 * width
    assert np.abs(whole - high).min() <= 1.01 * width
    assert observer.counts.sum().item() == len(whole)


def test_outliers_do_not_widen_the_range() -> None:
    tt.manual_seed(0)
    values = tt.cat([tt.randn(100_000), tt.tensor([1000.0, -1000.0])])
    whole, most = MinMaxObserver(), PercentileObserver()
    whole(values), most(values)
    assert whole.range() == (-1000.0, 1000.0)
    assert max(map(abs, most.range())) < 10


@pytest.mark.parametrize("make", OBSERVERS)
def test_zeros_are_a_range(make: Callable[[], Observer]) -> None:
    observer = make()
    observer(tt.zeros(3))
    assert observer.calculate_qparams().scale.item() > 0


@pytest.mark.parametrize("make", OBSERVERS)
def test_no_values_are_no_range(make: Callable[[], Observer]) -> None:
    observer = make()
    observer(tt.zeros(0))
    with pytest.raises(ValueError, match="no values have been seen"):
        observer.calculate_qparams()


@pytest.mark.parametrize("make", OBSERVERS)
def test_what_was_seen_is_part_of_the_state(make: Callable[[], Observer]) -> None:
    seen, fresh = make(), make()
    seen(tt.tensor([-3.0, 5.0]))
    fresh.load_state_dict(seen.state_dict())
    assert fresh.range() == seen.range()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MovingAverageMinMaxObserver(0), "averaging_constant"),
        (lambda: MovingAverageMinMaxObserver(1.5), "averaging_constant"),
        (lambda: PercentileObserver(50), "percentile"),
        (lambda: PercentileObserver(bins=6), "multiple of 4"),
    ],
)
def test_errors_say_what_was_expected(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

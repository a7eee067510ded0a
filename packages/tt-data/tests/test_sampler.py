from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import BatchSampler, RandomSampler, SequentialSampler, WeightedRandomSampler

pytestmark = pytest.mark.module_10


@given(total=st.integers(0, 30))
def test_the_sequential_sampler_goes_through_in_order(total: int) -> None:
    sampler = SequentialSampler(range(total))
    assert list(sampler) == list(range(total))
    assert len(sampler) == total


@given(total=st.integers(1, 30), count=st.integers(1, 70) | st.none(), seed=st.integers(0, 9))
def test_the_random_sampler_without_replacement(total: int, count: int | None, seed: int) -> None:
    sampler = RandomSampler(range(total), num_samples=count, generator=tt.Generator(seed))
    order = list(sampler)
    assert len(order) == len(sampler) == (total if count is None else count)
    for start in range(0, len(order), total):  # one whole order after the other
        piece = order[start : start + total]
        assert len(set(piece)) == len(piece)
        assert set(piece) <= set(range(total))
    again = RandomSampler(range(total), num_samples=count, generator=tt.Generator(seed))
    assert list(again) == order


@given(total=st.integers(1, 30), count=st.integers(1, 70), seed=st.integers(0, 9))
def test_the_random_sampler_with_replacement(total: int, count: int, seed: int) -> None:
    sampler = RandomSampler(range(total), True, count, tt.Generator(seed))
    order = list(sampler)
    assert len(order) == len(sampler) == count
    assert set(order) <= set(range(total))


def test_each_iteration_draws_a_new_order() -> None:
    sampler = RandomSampler(range(100), generator=tt.Generator(0))
    assert list(sampler) != list(sampler)


def test_every_order_is_as_likely_as_any_other() -> None:
    sampler = RandomSampler("abc", generator=tt.Generator(0))
    orders = [tuple(sampler) for _ in range(6000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert max(abs(count - 1000) for count in counts) < 150  # five standard deviations


def test_without_a_generator_the_default_one_is_drawn_from() -> None:
    tt.manual_seed(5)
    first = list(RandomSampler(range(50)))
    tt.manual_seed(5)
    assert list(RandomSampler(range(50))) == first


def test_weights_are_probabilities() -> None:
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    drawn = list(WeightedRandomSampler(weights, 20_000, generator=tt.Generator(0)))
    shares = np.bincount(drawn, minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, weights / weights.sum(), atol=0.015)
    assert shares[1] == 0


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12).filter(any), st.data())
def test_weights_without_replacement(weights: list[int], data: st.DataObject) -> None:
    drawable = {i for i, weight in enumerate(weights) if weight}
    count = data.draw(st.integers(1, len(drawable)))
    sampler = WeightedRandomSampler(tt.tensor(weights), count, replacement=False)
    order = list(sampler)
    assert len(order) == len(set(order)) == len(sampler) == count
    assert set(order) <= drawable


def test_weights_may_be_as_large_as_floats_are() -> None:
    assert list(WeightedRandomSampler([1e308, 1e308, 0.0], 5))


@given(total=st.integers(0, 30), size=st.integers(1, 8), drop=st.booleans(), plain=st.booleans())
def test_batches_are_the_order_cut_into_pieces(
    total: int, size: int, drop: bool, plain: bool
) -> None:
    order = range(total) if plain else SequentialSampler(range(total))
    sampler = BatchSampler(order, size, drop)
    batches = list(sampler)
    assert len(batches) == len(sampler)
    kept = total - total % size if drop else total
    assert [i for batch in batches for i in batch] == list(range(kept))
    assert all(len(batch) == size for batch in batches[:-1])
    assert not (drop and batches and len(batches[-1]) < size)


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


def test_batches_of_an_endless_order() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    batches = iter(BatchSampler(endless(), 3))
    assert [next(batches), next(batches)] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler("abc", num_samples=0), ValueError, "num_samples of at least 1"),
        (lambda: RandomSampler("", num_samples=2), ValueError, "empty data set"),
        (lambda: WeightedRandomSampler([1.0, -1.0], 1), ValueError, "at least 0"),
        (lambda: WeightedRandomSampler([float("nan")], 1), ValueError, "finite"),
        (lambda: WeightedRandomSampler([0.0, 0.0], 1), ValueError, "a weight above 0"),
        (lambda: WeightedRandomSampler([1.0], 0), ValueError, "num_samples of at least 1"),
        (
            lambda: WeightedRandomSampler([1.0, 0.0], 2, replacement=False),
            ValueError,
            "cannot draw 2 of 1 items",
        ),
        (lambda: BatchSampler([1], 0), ValueError, "batch_size of at least 1, got 0"),
        (lambda: BatchSampler([1], anything(1.0)), TypeError, "int as the batch_size, got float"),
        (lambda: len(BatchSampler(iter([1]), 1)), TypeError, "has no length"),
        (lambda: list(BatchSampler(anything([0.5]), 1)), TypeError, "whole numbers, got float64"),
    ],
)
def test_bad_arguments(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()

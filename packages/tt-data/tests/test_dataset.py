from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)

pytestmark = pytest.mark.module_10


def pairs(count: int, start: int = 0) -> TensorDataset:
    """Item i is (start + i, [2 (start + i), ...])."""
    numbers = np.arange(start, start + count)
    return TensorDataset(numbers, np.repeat(2.0 * numbers[:, None], 3, axis=1))


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


class Squares(Dataset[int]):
    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int, /) -> int:
        return index * index


class Doubled(TensorDataset):
    """A data set of arrays whose items are no longer those of the arrays."""

    def __getitem__(self, index: int, /) -> tuple[tt.Tensor, ...]:
        return tuple([2 * entry for entry in super().__getitem__(index)])


def equal(first: object, second: object) -> bool:
    if isinstance(first, tt.Tensor) and isinstance(second, tt.Tensor):
        same = first.dtype == second.dtype and first.shape == second.shape
        return same and first.tolist() == second.tolist()
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(equal, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(equal(first[k], second[k]) for k in first)
    return first == second


DATASETS: dict[str, Callable[[], Dataset[Any]]] = {
    "tensors": lambda: pairs(9),
    "items": Squares,
    "tensors with other items": lambda: Doubled(tt.arange(6), tt.ones(6, 2)),
    "subset": lambda: Subset(pairs(9), [3, -1, 3, 0]),
    "subset of items": lambda: Subset(Squares(), [4, 4, 1]),
    "concatenation": lambda: ConcatDataset([pairs(3), pairs(1, 10), pairs(4, 20)]),
    "concatenation with an empty part": lambda: ConcatDataset([pairs(3), pairs(0), pairs(2)]),
    "concatenation of items": lambda: ConcatDataset([Squares(), [7, 8]]),
    "concatenation of structures": lambda: ConcatDataset(
        [[("a", {"x": 1.0}), ("b", {"x": 2.0})], [("c", {"x": 3.0})]]
    ),
    "all at once": lambda: Subset(ConcatDataset([Subset(pairs(5), [4, 2]), pairs(3, 5)]), [4, 0]),
}


@pytest.mark.parametrize("name", DATASETS)
@given(data=st.data())
def test_gathering_is_collating_the_items(name: str, data: st.DataObject) -> None:
    dataset = DATASETS[name]()
    numbers = st.integers(0, len(dataset) - 1)
    indices = data.draw(st.lists(numbers, min_size=1, max_size=8))
    gathered = dataset.gather(np.array(indices))
    assert equal(gathered, default_collate([dataset[i] for i in indices]))


@pytest.mark.parametrize("name", DATASETS)
def test_a_data_set_has_as_many_items_as_it_says(name: str) -> None:
    dataset = DATASETS[name]()
    for index in range(-len(dataset) if name != "items" else 0, len(dataset)):
        assert dataset[index] is not None
    if "items" not in name:
        with pytest.raises(IndexError):
            dataset[len(dataset)]


BY_NUMBER: dict[str, Callable[[], Dataset[Any]]] = {
    "subset": lambda: Subset(pairs(5), [3]),
    "concatenation": lambda: ConcatDataset([pairs(1), pairs(4)]),
}


@pytest.mark.parametrize("name", BY_NUMBER)
@pytest.mark.parametrize("zero", [0, np.int64(0), np.array(0), tt.tensor(0)], ids=repr)
def test_an_item_has_a_number_of_any_type(name: str, zero: Any) -> None:
    dataset = BY_NUMBER[name]()
    assert equal(dataset[zero], dataset[-len(dataset)])


@pytest.mark.parametrize("name", BY_NUMBER)
@pytest.mark.parametrize(
    "index",
    [slice(0, 1), slice(0, 3), [0], [0, 1], np.array([0, 1]), (0, 0), True, np.False_, None, 1.0],
    ids=repr,
)
def test_what_is_not_the_number_of_one_item(name: str, index: Any) -> None:
    message = f"expected the number of one item, got {type(index).__name__}; gather takes"
    with pytest.raises(TypeError, match=message):
        BY_NUMBER[name]()[index]


@pytest.mark.parametrize("index", [slice(1, 4), [2, 0], np.array([2, -1]), slice(None, None, 2)])
def test_items_of_tensors_are_taken_as_those_of_arrays(index: Any) -> None:
    first, second = pairs(6)[index]
    assert first.tolist() == np.arange(6)[index].tolist()
    assert second.tolist() == pairs(6).tensors[1].numpy()[index].tolist()


def test_tensors_are_not_copied() -> None:
    array = np.zeros((4, 2), np.float32)
    data = TensorDataset(array)
    array[1] = 7
    assert data[1][0].tolist() == [7, 7]
    assert np.shares_memory(data.tensors[0].numpy(), array)


def test_a_gathered_batch_is_a_copy() -> None:
    data = pairs(4)
    batch = data.gather(np.array([0, 1, 2, 3]))
    batch[0].numpy()[:] = -1
    assert data.tensors[0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: TensorDataset(), ValueError, "at least one tensor"),
        (lambda: TensorDataset(tt.ones(2), tt.ones(3)), ValueError, "one length, got 2, 3"),
        (lambda: TensorDataset(tt.tensor(1.0)), ValueError, "without dimensions"),
        (lambda: TensorDataset(anything([1, 2])), TypeError, "tensors or arrays, got list"),
        (lambda: Subset("abc", [0, 3]), IndexError, "3 is out of range .* 3 items"),
        (lambda: Subset("abc", [-4]), IndexError, "-4 is out of range"),
        (lambda: Subset("abc", anything([0.5])), TypeError, "whole numbers, got float64"),
        (lambda: ConcatDataset([]), ValueError, "at least one data set"),
        (lambda: random_split("abc", [1, 1]), ValueError, "add up to 2, the data set has 3"),
        (lambda: random_split("abc", [0.5, 0.4]), ValueError, "the sum 0.9"),
        (lambda: random_split("abc", [4, -1]), ValueError, "at least 0"),
    ],
)
def test_bad_arguments(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@given(
    total=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 10), min_size=1, max_size=4).filter(sum),
    seed=st.integers(0, 5),
)
def test_a_random_split_by_fractions_is_a_partition(total: int, cuts: list[int], seed: int) -> None:
    fractions = [cut / sum(cuts) for cut in cuts]
    parts = random_split(range(total), fractions, tt.Generator(seed))
    assert sorted(item for part in parts for item in part) == list(range(total))
    for fraction, part in zip(fractions, parts, strict=True):
        assert abs(len(part) - fraction * total) < len(parts)
    again = random_split(range(total), fractions, tt.Generator(seed))
    assert [list(part) for part in again] == [list(part) for part in parts]


def test_a_random_split_by_sizes_and_by_the_default_generator() -> None:
    tt.manual_seed(3)
    first = random_split(range(10), [3, 7])
    tt.manual_seed(3)
    assert [list(part) for part in first] == [list(p) for p in random_split(range(10), [3, 7])]
    assert [len(part) for part in first] == [3, 7]
    # 0.7 + 0.2 + 0.1 is not quite 1 in floating point
    assert [len(p) for p in random_split(range(10), [0.7, 0.2, 0.1])] == [7, 2, 1]


class Point(NamedTuple):
    x: float
    name: str


@pytest.mark.parametrize(
    ("items", "batch"),
    [
        ([1, 2], tt.tensor([1, 2])),
        ([1.5, 2], tt.tensor([1.5, 2.0])),
        ([True, False], tt.tensor([True, False])),
        ([np.float64(1), np.float64(2)], tt.tensor([1.0, 2.0], dtype=tt.float64)),
        ([np.uint8(1)], tt.tensor([1], dtype=tt.uint8)),
        ([np.zeros(2), np.ones(2)], tt.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=tt.float64)),
        ([tt.tensor(1), tt.tensor(2)], tt.tensor([1, 2])),
        (["a", "b"], ["a", "b"]),
        ([(1, "a"), (2, "b")], (tt.tensor([1, 2]), ["a", "b"])),
        ([[1, 2], [3, 4]], [tt.tensor([1, 3]), tt.tensor([2, 4])]),
        ([Point(1.0, "a"), Point(2.0, "b")], Point(tt.tensor([1.0, 2.0]), ["a", "b"])),  # type: ignore[arg-type]  # a batch has the shape of an item, not its types
    ],
)
def test_collating(items: list[Any], batch: object) -> None:
    collated = default_collate(items)
    assert type(collated) is type(batch)
    assert equal(collated, batch)


def test_collating_dictionaries() -> None:
    collated: dict[str, Any] = default_collate([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}])
    assert equal(collated["x"], tt.tensor([1, 2]))
    assert collated["y"] == ["a", "b"]


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([], ValueError, "at least one item"),
        ([tt.ones(2), tt.ones(3)], ValueError, r"one shape, got \(2,\) and \(3,\)"),
        ([tt.ones(2), 1], ValueError, "one item is an array|an item is an array"),
        ([(1, 2), (1,)], ValueError, "one structure"),
        ([{"a": 1}, {"b": 1}], ValueError, "the same keys"),
        ([object()], TypeError, "a batch of object.*collate_fn"),
        ([None], TypeError, "NoneType"),
    ],
)
def test_what_cannot_be_collated(items: list[Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(items)


def test_a_data_set_must_define_its_items() -> None:
    class Half(Dataset[int]):
        def __len__(self) -> int:
            return 1

    with pytest.raises(TypeError, match="__getitem__"):
        Half()  # type: ignore[abstract]  # which is what this shows


def test_a_stream_has_no_length_unless_it_says_so() -> None:
    class Count(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            return iter(range(5))

    class Known(Count):
        def __len__(self) -> int:
            return 5

    with pytest.raises(TypeError, match="Count has no length"):
        len(DataLoader(Count(), batch_size=2))
    assert len(DataLoader(Known(), batch_size=2)) == 3
    assert len(DataLoader(Known(), batch_size=2, drop_last=True)) == 2

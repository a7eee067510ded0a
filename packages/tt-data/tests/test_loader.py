import gc
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, assert_type

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import (
    XOR,
    BatchSampler,
    Compose,
    ConcatDataset,
    DataLoader,
    Dataset,
    Digits,
    IterableDataset,
    OneHot,
    RandomCrop,
    RandomHorizontalFlip,
    RandomSampler,
    Sampler,
    Subset,
    TensorDataset,
    ToFloat,
    WeightedRandomSampler,
    random_split,
)

pytestmark = pytest.mark.module_10

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 2, 6, 6), dtype=np.uint8)
LABELS = np.arange(23) % 4
ARRAYS = TensorDataset(IMAGES, LABELS)
Untyped = Dataset[Any]
AUGMENT = Compose([RandomHorizontalFlip(), RandomCrop(6, padding=1), ToFloat()])


class Items(Dataset[tuple[tt.Tensor, int]]):
    """Items one by one, each with noise from the default generator."""

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int, /) -> tuple[tt.Tensor, int]:
        time.sleep(0.0002 * (index % 3))  # so that workers overtake each other
        return tt.rand(2) + index, index


class Stream(IterableDataset[tt.Tensor]):
    """A stream that draws from the default generator, also before its first item."""

    def __iter__(self) -> Iterator[tt.Tensor]:
        offset = tt.rand(1)
        return (offset + i + tt.rand(1) for i in range(23))


class RandomBatches:
    """A batch sampler of the user's own that draws from the default generator."""

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(5):
            yield tt.randint(0, 23, (3,)).tolist()


Make = Callable[..., DataLoader[Any]]


def own_sampler(sampler: Callable[[tt.Generator], Iterable[int]]) -> Make:
    def make(generator: tt.Generator | None, **options: Any) -> DataLoader[Any]:
        return DataLoader(
            ARRAYS, 4, sampler=sampler(tt.Generator(77)), generator=generator, **options
        )

    return make


def loader_of(dataset: Any, *given: Any, **fixed: Any) -> Make:
    def make(generator: tt.Generator | None, **options: Any) -> DataLoader[Any]:
        make_loader: Any = DataLoader
        loader: DataLoader[Any] = make_loader(
            dataset, *given, generator=generator, **fixed, **options
        )
        return loader

    return make


# Loaders of every kind, made from a generator and further options.
LOADERS: dict[str, Make] = {
    "arrays in order": loader_of(ARRAYS, 4),
    "arrays shuffled": loader_of(ARRAYS, 4, True),
    "arrays without the last": loader_of(ARRAYS, 4, True, drop_last=True),
    "arrays augmented": loader_of(ARRAYS, 4, True, transform=AUGMENT, target_transform=OneHot(4)),
    "a function as transform": loader_of(
        ARRAYS, 4, True, transform=lambda x: x.to(tt.float32) + tt.rand(*x.shape)
    ),
    "subset of a concatenation": loader_of(
        Subset(ConcatDataset([ARRAYS, ARRAYS]), range(1, 40, 3)), 4, True, transform=AUGMENT
    ),
    "items": loader_of(Items(), 4, True),
    "items with a function": loader_of(Items(), 4, True, collate_fn=lambda items: items),
    "a list": loader_of([1.0, 2.0, 3.0, 4.0, 5.0], 2, True),
    "a sampler with a generator": own_sampler(lambda g: RandomSampler(ARRAYS, generator=g)),
    "weights": own_sampler(lambda g: WeightedRandomSampler([1.0, 2.0] * 10, 9, generator=g)),
    "a sampler without a generator": own_sampler(lambda g: RandomSampler(ARRAYS, True, 30)),
    "a list as sampler": own_sampler(lambda g: [3, 1, 4, 1, 5]),
    "batches of a sampler": loader_of(ARRAYS, batch_sampler=BatchSampler(RandomSampler("ab"), 1)),
    "arrays of numbers": loader_of(ARRAYS, batch_sampler=np.arange(12).reshape(4, 3)),
    "an array as sampler": own_sampler(lambda g: np.array([3, -1, 4, 1, 5])),
    "batches of the user's": loader_of(ARRAYS, batch_sampler=RandomBatches()),
    "a stream": loader_of(Stream(), 4),
    "a stream without the last": loader_of(Stream(), 4, drop_last=True),
}


def plain(batch: Any) -> Any:
    """Return a batch as Python values with the bits of its numbers, to compare."""
    if isinstance(batch, tt.Tensor):
        return batch.dtype.name, batch.shape, batch.numpy().tobytes()
    if isinstance(batch, tuple | list):
        return [plain(part) for part in batch]
    return batch


def epochs(loader: DataLoader[Any], count: int = 2) -> list[Any]:
    return [[plain(batch) for batch in loader] for _ in range(count)]


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = threading.active_count()
    yield
    if threading.active_count() != before:
        gc.collect()
    assert threading.active_count() == before


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("options", [{}, {"num_workers": 1}, {"num_workers": 3, "prefetch": 1}])
def test_the_same_seed_gives_the_same_batches(name: str, options: dict[str, int]) -> None:
    expected = epochs(LOADERS[name](tt.Generator(1)))
    assert epochs(LOADERS[name](tt.Generator(1), **options)) == expected
    tt.manual_seed(5)
    by_default = epochs(LOADERS[name](None))
    tt.manual_seed(5)
    assert epochs(LOADERS[name](None, **options)) == by_default


@pytest.mark.parametrize("name", LOADERS)
def test_the_number_of_batches(name: str) -> None:
    loader = LOADERS[name](tt.Generator(1))
    try:
        expected = len(loader)
    except TypeError:
        return  # a stream, or a batch sampler without a length
    assert len(list(loader)) == expected


@pytest.mark.parametrize("name", [name for name in LOADERS if "shuffled" in name or "aug" in name])
def test_epochs_differ(name: str) -> None:
    first, second = epochs(LOADERS[name](tt.Generator(1)))
    assert first != second


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", LOADERS)
def test_an_interrupted_epoch_goes_on_bit_for_bit(name: str, workers: int) -> None:
    def make(seed: int) -> DataLoader[Any]:
        return LOADERS[name](tt.Generator(seed), num_workers=workers)

    expected = epochs(make(1), 3)
    for stop in range(len(expected[1]) + 1):
        loader = make(1)
        done = [epochs(loader, 1)[0], []]
        if stop:
            batches = iter(loader)
            done[1] = [plain(next(batches)) for _ in range(stop)]
        state = json.loads(json.dumps(loader.state_dict()))  # as a checkpoint keeps it
        other = make(99)
        other.load_state_dict(state)
        assert other.state_dict() == state
        rest = epochs(other, 2)
        done[1] += rest[0]
        assert [*done, rest[1]] == expected


def test_the_default_generator_is_for_the_caller_to_restore() -> None:
    tt.manual_seed(8)
    loader = DataLoader(ARRAYS, 4, shuffle=True, transform=AUGMENT)
    batches = iter(loader)
    next(batches)
    state, default = loader.state_dict(), tt.default_generator().get_state()
    expected = [plain(batch) for batch in batches], epochs(loader)
    other = DataLoader(ARRAYS, 4, shuffle=True, transform=AUGMENT)
    other.load_state_dict(state)
    tt.default_generator().set_state(default)
    assert ([plain(batch) for batch in other], epochs(other)) == expected


def test_an_iteration_that_was_given_up_is_not_taken_up_by_the_next() -> None:
    loader = DataLoader(range(6), 2)
    next(iter(loader))
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5]]


STATE = DataLoader(ARRAYS, 4, generator=tt.Generator(2)).state_dict()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "expected what state_dict of a DataLoader returned"),
        (STATE | {"epoch": {"number": 1}}, "expected what state_dict"),
        (STATE | {"epoch": {"seed": 1, "sampler": None, "batches": "2"}}, "expected what state_di"),
        (STATE | {"epoch": {"seed": 1, "sampler": {}, "batches": 2}}, "state has a sampler's gen"),
        (STATE | {"generator": None}, "the loader has a generator"),
        (STATE | {"sampler": tt.Generator(0).get_state()}, "the state has a sampler's generator"),
        (STATE | {"generator": {"a": 1}}, "PCG64"),
        (STATE | {"length": 12}, "12 batches in an epoch, this one has 6"),
    ],
)
def test_a_state_that_does_not_fit(state: dict[str, Any], message: str) -> None:
    loader = DataLoader(ARRAYS, 4, generator=tt.Generator(1))
    before = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict(state)
    assert loader.state_dict() == before


@given(
    total=st.integers(0, 20),
    size=st.integers(1, 7),
    drop=st.booleans(),
    shuffle=st.booleans(),
)
def test_every_item_comes_once_an_epoch(total: int, size: int, drop: bool, shuffle: bool) -> None:
    data = TensorDataset(np.arange(total), np.arange(total) * 10)
    loader = DataLoader(data, size, shuffle, drop_last=drop)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert all(len(x) == size for x, _ in batches[:-1])
    seen = [i for x, _ in batches for i in x.tolist()]
    kept = total - total % size if drop else total
    assert len(seen) == len(set(seen)) == kept
    assert all(y.tolist() == [10 * i for i in x.tolist()] for x, y in batches)
    if not shuffle:
        assert seen == list(range(kept))


def test_batches_are_tensors_of_tt_tensor_and_copies() -> None:
    images, labels = next(iter(DataLoader(ARRAYS, 23)))
    assert type(images) is type(labels) is tt.Tensor
    assert (images.dtype, labels.dtype) == (tt.uint8, tt.int64)
    before = IMAGES.copy()
    images.numpy()[:] = 0
    np.testing.assert_array_equal(before, IMAGES)


def test_arrays_are_gathered_without_asking_for_items() -> None:
    class Counting(TensorDataset):
        asked = 0

        def __getitem__(self, index: int, /) -> tuple[tt.Tensor, ...]:
            Counting.asked += 1
            return super().__getitem__(index)

        gather = TensorDataset.gather

    data = Counting(IMAGES, LABELS)
    train, _ = random_split(data, [0.5, 0.5], tt.Generator(0))
    for dataset in (data, train, ConcatDataset([train, data])):
        list(DataLoader(dataset, 4, shuffle=True))
    assert Counting.asked == 0


def test_transforms_see_whole_batches() -> None:
    shapes = []

    def note(batch: tt.Tensor) -> tt.Tensor:
        shapes.append(batch.shape)
        return batch

    list(DataLoader(ARRAYS, 10, transform=note, target_transform=note))
    assert shapes == [(10, 2, 6, 6), (10,), (10, 2, 6, 6), (10,), (3, 2, 6, 6), (3,)]


def test_a_transform_of_batches_that_are_one_tensor() -> None:
    loader = DataLoader([1.0, 2.0], 2, transform=lambda x: x * 10)
    assert [batch.tolist() for batch in loader] == [[10.0, 20.0]]


@pytest.mark.parametrize("options", [{"transform": ToFloat()}, {"target_transform": OneHot(2)}])
def test_a_transform_of_batches_without_inputs_and_targets(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="got a dict; transform it in collate_fn"):
        list(DataLoader([{"a": 1}], **options))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_arrives_with_its_traceback_where_its_batch_is_due(workers: int) -> None:
    class Broken(Items):
        def __getitem__(self, index: int, /) -> tuple[tt.Tensor, int]:
            if index == 13:
                raise KeyError("the thirteenth item")
            return super().__getitem__(index)

    batches = iter(DataLoader(Broken(), 4, num_workers=workers))
    assert [next(batches)[1].tolist() for _ in range(3)][2] == [8, 9, 10, 11]
    with pytest.raises(KeyError, match="the thirteenth item") as caught:
        next(batches)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert frames[-1].line == 'raise KeyError("the thirteenth item")'
    assert list(batches) == []  # and it has ended


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_a_sampler_or_a_stream_arrives(workers: int) -> None:
    class Sour(IterableDataset[int]):
        def __iter__(self) -> Iterator[int]:
            yield 1
            raise OSError("the stream broke")

    with pytest.raises(OSError, match="the stream broke"):
        list(DataLoader(Sour(), 2, num_workers=workers))
    with pytest.raises(IndexError, match="23"):
        list(DataLoader(ARRAYS, 2, sampler=[0, 23], num_workers=workers))


def fail(batches: Iterable[object]) -> None:
    for _ in batches:
        _ = 1 / 0


@pytest.mark.parametrize("stop", ["forget", "break", "close", "error", "start only"])
def test_an_abandoned_iterator_leaves_no_thread(stop: str) -> None:
    before = threading.active_count()
    loader = DataLoader(Items(), 2, num_workers=3)
    if stop == "forget":
        batches = iter(loader)
        next(batches)
        assert threading.active_count() > before
        del batches
    elif stop == "break":
        for _ in loader:
            break
    elif stop == "close":
        closed: Any = iter(loader)
        next(closed)
        closed.close()
    elif stop == "error":
        with pytest.raises(ZeroDivisionError):
            fail(loader)
    else:
        iter(loader)
    gc.collect()  # an error keeps its frames until here
    assert threading.active_count() == before


def test_workers_make_no_more_batches_ahead_than_asked() -> None:
    made = []

    def note(items: list[int]) -> list[int]:
        made.append(items)
        return items

    batches = iter(DataLoader(range(20), 1, collate_fn=note, num_workers=2, prefetch=3))
    for asked in (1, 2, 3):
        next(batches)
        give_up = time.monotonic() + 5
        while len(made) < asked + 3 and time.monotonic() < give_up:
            time.sleep(0.001)
        time.sleep(0.02)  # time enough for one too many
        assert len(made) == asked + 3


def test_workers_work_at_the_same_time() -> None:
    together = threading.Barrier(3)

    class Meeting(Dataset[int]):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int, /) -> int:
            together.wait(timeout=5)  # passes when three threads are here
            return index

    loader = DataLoader(Meeting(), 1, num_workers=3)
    assert [batch.item() for batch in loader] == list(range(6))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_default_dtype_of_the_caller_holds(workers: int) -> None:
    with_default = tt.get_default_dtype()
    tt.set_default_dtype(tt.float64)
    try:
        (batch,) = DataLoader([0.5, 1.5], 2, num_workers=workers)
        images, _ = next(iter(DataLoader(ARRAYS, 2, transform=ToFloat(), num_workers=workers)))
    finally:
        tt.set_default_dtype(with_default)
    assert batch.dtype == images.dtype == tt.float64


def test_items_leave_the_callers_random_numbers_alone() -> None:
    tt.manual_seed(1)
    list(DataLoader(Items(), 4, generator=tt.Generator(0), transform=lambda x: x + tt.rand(2)))
    here = tt.rand(3).tolist()
    tt.manual_seed(1)
    assert tt.rand(3).tolist() == here


@pytest.mark.parametrize("options", [{}, {"transform": ToFloat()}, {"num_workers": 2}])
def test_evaluation_draws_no_random_numbers(options: dict[str, Any]) -> None:
    generator = tt.Generator(3)
    before = generator.get_state(), tt.default_generator().get_state()
    part = Subset(ConcatDataset([ARRAYS, ARRAYS]), [0, 5, 30, 7])
    list(DataLoader(part, 3, generator=generator, **options))
    list(DataLoader(part, 3, **options))
    assert (generator.get_state(), tt.default_generator().get_state()) == before


@pytest.mark.parametrize(
    "options",
    [{"shuffle": True}, {"transform": RandomHorizontalFlip()}, {"sampler": [1, 0]}],
    ids=lambda options: next(iter(options)),
)
def test_what_may_be_random_draws_one_seed(options: dict[str, Any]) -> None:
    generator, twin = tt.Generator(3), tt.Generator(3)
    list(DataLoader(ARRAYS, 3, generator=generator, **options))
    twin.numpy.integers(1 << 63)
    assert generator.get_state() == twin.get_state()


def test_the_types_of_batches_follow_from_the_data_set() -> None:
    pairs = DataLoader[tuple[tt.Tensor, ...]]
    assert_type(DataLoader(Digits(), 4), pairs)
    assert_type(DataLoader(random_split(Digits(), [0.5, 0.5])[0], 4, shuffle=True), pairs)
    assert_type(DataLoader(ConcatDataset([ARRAYS, ARRAYS])), pairs)
    assert_type(DataLoader(XOR(4)), pairs)
    assert_type(DataLoader(range(3)), DataLoader[tt.Tensor])
    assert_type(DataLoader([1, 2], collate_fn=str), DataLoader[str])
    items: list[tuple[tt.Tensor, int]] = [(tt.ones(2), 1)]
    assert_type(DataLoader(items), DataLoader[tuple[tt.Tensor, tt.Tensor]])
    untyped: Untyped = Digits()
    assert_type(DataLoader(untyped, 4), DataLoader[Any])
    for images, labels in DataLoader(Digits(), 600, transform=ToFloat(16)):
        assert_type(images, tt.Tensor)
        assert len(images) == len(labels)


def test_a_sampler_of_ones_own() -> None:
    class Backwards(Sampler):
        def __len__(self) -> int:
            return 4

        def order(self) -> np.ndarray[Any, np.dtype[np.int64]]:
            return np.arange(4)[::-1]

    loader = DataLoader("abcd", 3, sampler=Backwards())
    assert [list(batch) for batch in loader] == [["d", "c", "b"], ["a"]]
    assert len(loader) == 2


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


def endless() -> Iterator[int]:
    number = 0
    while True:
        yield number % 23
        number += 1


@pytest.mark.parametrize("workers", [0, 2])
def test_an_endless_sampler(workers: int) -> None:
    batches = iter(DataLoader(ARRAYS, 4, sampler=endless(), num_workers=workers))
    assert next(batches)[1].tolist() == [0, 1, 2, 3]
    assert next(batches)[1].tolist() == [0, 1, 2, 3]
    del batches


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: DataLoader("abc", 0), ValueError, "batch_size of at least 1, got 0"),
        (lambda: DataLoader("abc", anything("2")), TypeError, "int as the batch_size, got str"),
        (lambda: DataLoader("abc", True), TypeError, "int as the batch_size, got bool"),
        (lambda: DataLoader("abc", num_workers=-1), ValueError, "num_workers of at least 0"),
        (lambda: DataLoader("abc", prefetch=2), ValueError, "prefetch needs num_workers"),
        (lambda: DataLoader("abc", num_workers=1, prefetch=0), ValueError, "prefetch of at least"),
        (lambda: DataLoader("abc", shuffle=True, sampler=[1]), ValueError, "leave out shuffle"),
        (lambda: DataLoader("abc", 2, batch_sampler=[[1]]), ValueError, "give it alone"),
        (lambda: DataLoader("abc", sampler=[], batch_sampler=[[1]]), ValueError, "give it alone"),
        (lambda: DataLoader(Stream(), shuffle=True), ValueError, "a stream comes in its own order"),
        (lambda: DataLoader(anything(iter([1]))), TypeError, "__getitem__, or an IterableDataset"),
    ],
)
def test_bad_arguments(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()

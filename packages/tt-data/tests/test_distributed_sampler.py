"""The parts of batches that processes get are together the batches of one process."""

import json
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_tensor as tt
from loader_table import (
    ARRAYS,
    AUGMENT,
    IMAGES,
    LABELS,
    LOADERS,
    TRANSFORMS,
    Images,
    Loader,
    Make,
    Stream,
    loader_of,
)
from tt_data import (
    BatchSampler,
    Compose,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    Normalize,
    OneHot,
    RandomCrop,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    ToFloat,
    Transform,
    transforms,
)
from tt_tensor.seam import Rows, rows

# Of no module of the course: a learner may draw for the rows that are there, and no others.


@given(
    sizes=st.lists(st.integers(0, 9), max_size=5),
    num_replicas=st.integers(1, 6),
    as_arrays=st.booleans(),
)
def test_the_parts_are_the_batches_cut(
    sizes: list[int], num_replicas: int, as_arrays: bool
) -> None:
    numbers = iter(range(100))
    expected = [[next(numbers) for _ in range(size)] for size in sizes]
    batches: Any = [np.array(batch, int) for batch in expected] if as_arrays else expected
    samplers = [DistributedSampler(batches, num_replicas, r) for r in range(num_replicas)]
    parts = list(zip(*samplers, strict=True))
    assert [[i for part in batch for i in part] for batch in parts] == expected
    for batch, whole in zip(parts, expected, strict=True):
        counts = [len(part) for part in batch]
        assert counts == sorted(counts, reverse=True)  # so the first rank has the most
        assert counts[0] - counts[-1] <= 1
        assert counts == [sampler.rows(len(whole)).size for sampler in samplers]
    assert {len(sampler) for sampler in samplers} == {len(batches)}


def test_the_sampler_is_told_by_its_rows() -> None:
    sampler = DistributedSampler(BatchSampler(range(10), 10), num_replicas=4, rank=1)
    assert sampler.rows(10) == Rows(3, 6, total=10)
    assert list(sampler) == [[3, 4, 5]]


def test_the_generator_and_the_length_are_the_other_samplers() -> None:
    generator = tt.Generator(3)
    whole = BatchSampler(RandomSampler(range(9), generator=generator), 2)
    assert DistributedSampler(whole, 2, 0).generator is generator
    assert len(DistributedSampler(whole, 2, 0)) == 5
    assert DistributedSampler([[1]], 2, 0).generator is None


def test_the_table_has_every_transform() -> None:
    found = {value for value in vars(transforms).values() if isinstance(value, type)}
    classes = {value for value in found if issubclass(value, Transform) and value is not Transform}
    tried = {type(transform) for transform in TRANSFORMS.values()}
    assert classes == tried | {Normalize, OneHot}  # within another, and of labels, below


def joined(parts: Sequence[Any]) -> Any:
    """Return parts as one batch, as Python values with the bits of its numbers."""
    first = parts[0]
    if isinstance(first, tt.Tensor):
        assert all(part.dtype == first.dtype for part in parts)
        whole = np.concatenate([part.numpy() for part in parts])
        return whole.dtype.name, whole.shape, whole.tobytes()
    if isinstance(first, dict):
        return {key: joined([part[key] for part in parts]) for key in first}
    if isinstance(first, tuple):
        return tuple(map(joined, zip(*parts, strict=True)))
    assert isinstance(first, list)
    return [text for part in parts for text in part]


def epochs(loaders: Sequence[Loader], count: int = 2) -> list[list[Any]]:
    """Return epochs of batches, put together from the parts that loaders give."""
    return [[joined(parts) for parts in zip(*loaders, strict=True)] for _ in range(count)]


def parts_of(make: Make, num_replicas: int, **options: Any) -> list[Loader]:
    """Return the loader of each rank, as processes of one seed would make them."""
    return [make(1, **options).split(num_replicas, rank) for rank in range(num_replicas)]


@pytest.mark.parametrize("num_replicas", [1, 2, 3, 7])
@pytest.mark.parametrize("name", LOADERS)
def test_the_parts_are_together_the_batches_of_one_process(name: str, num_replicas: int) -> None:
    expected = epochs([LOADERS[name](1)])
    assert epochs(parts_of(LOADERS[name], num_replicas)) == expected
    assert rows.get() is None


@pytest.mark.parametrize("name", LOADERS)
def test_workers_change_nothing(name: str) -> None:
    expected = epochs([LOADERS[name](1)])
    before = threading.active_count()
    assert epochs(parts_of(LOADERS[name], 3, num_workers=2, prefetch=1)) == expected
    assert threading.active_count() == before


@settings(max_examples=40, deadline=None)
@given(
    total=st.integers(1, 20),
    size=st.integers(1, 8),
    num_replicas=st.integers(1, 6),
    drop_last=st.booleans(),
    names=st.lists(st.sampled_from(sorted(set(TRANSFORMS) - {"normalize"})), max_size=3),
    workers=st.sampled_from([0, 0, 2]),
)
def test_any_batch_and_any_number_of_processes(
    total: int, size: int, num_replicas: int, drop_last: bool, names: list[str], workers: int
) -> None:
    # Each crop makes images smaller; padded, they are large enough for the next.
    data = TensorDataset(IMAGES[:total].repeat(4, 2).repeat(4, 3), LABELS[:total])
    transform = Compose(
        [RandomCrop(20), *[TRANSFORMS[name] for name in names if "crop" not in name]]
    )
    make = loader_of(data, size, True, drop_last=drop_last, transform=transform)
    expected = epochs([make(1)])
    assert epochs(parts_of(make, num_replicas, num_workers=workers)) == expected


@pytest.mark.parametrize("name", LOADERS)
def test_an_interrupted_epoch_goes_on_with_another_number_of_processes(name: str) -> None:
    make = LOADERS[name]
    expected = epochs([make(1)], 3)
    stopped = parts_of(make, 3)
    epochs(stopped, 1)
    stop = len(expected[1]) // 2
    batches = [iter(loader) for loader in stopped]
    for _ in range(stop):
        for one in batches:
            next(one)
    states = [json.loads(json.dumps(loader.state_dict())) for loader in stopped]
    assert states[1:] == states[:-1]
    for num_replicas in (1, 2):
        later = [make(99).split(num_replicas, rank) for rank in range(num_replicas)]
        for loader in later:
            loader.load_state_dict(states[0])
        assert epochs(later, 2) == [expected[1][stop:], expected[2]]
    whole = make(99)
    whole.load_state_dict(states[0])
    assert epochs([whole], 2) == [expected[1][stop:], expected[2]]


def test_a_loader_and_its_parts_share_the_position() -> None:
    loader = DataLoader(range(8), 2)
    part = loader.split(2, 1)
    assert next(iter(part)).tolist() == [1]
    assert loader.state_dict() == part.state_dict()
    loader.load_state_dict(part.state_dict())
    assert [batch.tolist() for batch in part] == [[3], [5], [7]]
    assert [batch.tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_sampler_of_parts_does_what_split_does() -> None:
    sampler = BatchSampler(RandomSampler(ARRAYS), 5)
    parts = [
        DataLoader(
            ARRAYS,
            batch_sampler=DistributedSampler(sampler, 2, rank),
            transform=AUGMENT,
            generator=tt.Generator(1),
        )
        for rank in range(2)
    ]
    whole = DataLoader(ARRAYS, 5, True, transform=AUGMENT, generator=tt.Generator(1))
    assert epochs(parts) == epochs([whole])
    with pytest.raises(ValueError, match=r"already; split the one of whole batches .*Trainer"):
        parts[0].split(2, 0)


@pytest.mark.parametrize("dataset", [ARRAYS, Images(), Stream()], ids=["arrays", "items", "stream"])
def test_a_loader_is_split_once(dataset: Any) -> None:
    part = DataLoader(dataset, 4).split(2, 0)
    with pytest.raises(ValueError, match="gives a part of its batches already"):
        part.split(2, 0)


def test_only_the_ranks_own_items_are_read() -> None:
    asked = []

    class Noted(Images):
        def __getitem__(self, index: int, /) -> tuple[tt.Tensor, int]:
            asked.append(index)
            return super().__getitem__(index)

    list(DataLoader(Noted(), 10).split(2, 1))
    assert asked == [*range(5, 10), *range(15, 20), 22]


def test_a_transform_is_given_the_rows_of_its_rank_and_told_which() -> None:
    seen = []

    def note(batch: tt.Tensor) -> tt.Tensor:
        seen.append((len(batch), rows.get()))
        return batch

    list(DataLoader(ARRAYS, 10, transform=note).split(4, 3))
    assert seen == [(2, Rows(8, 10, 10)), (2, Rows(8, 10, 10)), (0, Rows(3, 3, 3))]
    assert rows.get() is None


def test_the_rows_of_the_caller_hold_again_after_a_batch() -> None:
    token = rows.set(Rows(1, 2, 3))
    try:
        list(DataLoader(ARRAYS, 10).split(2, 0))
        assert rows.get() == Rows(1, 2, 3)
    finally:
        rows.reset(token)


def test_a_function_that_draws_gets_the_same_numbers_on_every_rank() -> None:
    loader = DataLoader([0.0] * 4, 4, transform=lambda x: tt.rand(*x.shape))
    drawn = []
    for rank in range(2):
        tt.manual_seed(1)
        drawn.append(next(iter(loader.split(2, rank))).tolist())
    assert drawn[0] == drawn[1]


class Pair(NamedTuple):
    image: tt.Tensor
    name: str


class Structured(Dataset[Any]):
    """Items of every structure that there is."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int, /) -> Any:
        return Pair(tt.ones(2, 3), "a"), {"b": [1.5, np.ones(4)]}, (True, b"c")


def test_an_empty_part_has_the_structure_of_a_batch() -> None:
    (batch,) = DataLoader(Structured(), 2).split(3, 2)
    pair, entries, (flags, texts) = batch
    assert type(pair) is Pair
    assert (pair.image.shape, pair.image.dtype) == ((0, 2, 3), tt.float32)
    assert list(pair.name) == []
    assert [(part.shape, part.dtype) for part in entries["b"]] == [
        ((0,), tt.float32),
        ((0, 4), tt.float64),
    ]
    assert (flags.shape, flags.dtype, texts) == ((0,), tt.bool, [])


def test_an_empty_part_of_arrays_is_transformed() -> None:
    transform = Compose([RandomCrop(4), ToFloat(), Normalize(0.5, 0.5)])
    loader = DataLoader(ConcatDataset([ARRAYS, ARRAYS]), 2, transform=transform)
    images, labels = next(iter(loader.split(3, 2)))
    assert (images.shape, images.dtype) == ((0, 2, 4, 4), tt.float32)
    assert (labels.shape, labels.dtype) == ((0,), tt.int64)


def test_an_empty_part_of_what_a_function_makes() -> None:
    loader = DataLoader([1, 2], 2, collate_fn=lambda items: (tt.tensor(items), len(items), None))
    ((numbers, length, nothing),) = loader.split(3, 2)
    assert (numbers.shape, length, nothing) == ((0,), 1, None)
    with pytest.raises(TypeError, match="rows out of a set that collate_fn made; let it return"):
        list(DataLoader([1, 2], 2, collate_fn=set).split(3, 2))


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


@pytest.mark.parametrize(
    ("num_replicas", "rank", "error", "message"),
    [
        (0, 0, ValueError, "num_replicas of at least 1, got 0"),
        (2, 2, ValueError, "rank from 0 to 1, got 2"),
        (2, -1, ValueError, "rank from 0 to 1, got -1"),
        (anything(2.0), 0, TypeError, "int as num_replicas, got float"),
        (2, anything("0"), TypeError, "int as rank, got str"),
        (2, True, TypeError, "int as rank, got bool"),
    ],
)
def test_bad_ranks(num_replicas: int, rank: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"DistributedSampler: expected .*{message}"):
        DistributedSampler([[1]], num_replicas, rank)
    with pytest.raises(error, match=f"split: expected .*{message}"):
        DataLoader(ARRAYS, 4).split(num_replicas, rank)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (ARRAYS, "TensorDataset"),
        (Images(), "Images"),
        (Stream(), "Stream"),
        (RandomSampler(ARRAYS), "RandomSampler"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_torch_is_given_is_refused(given: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"whole batches, got {kind}; give .*as its batch_sampler"):
        DistributedSampler(given, num_replicas=2, rank=0)


def test_a_sampler_of_parts_is_no_sampler_of_items() -> None:
    sampler: Any = DistributedSampler(BatchSampler(RandomSampler(ARRAYS), 5), 2, 0)
    with pytest.raises(TypeError, match="gives batches; give it as batch_sampler"):
        DataLoader(ARRAYS, 4, sampler=sampler)


def test_what_has_no_length_and_what_is_a_part_already() -> None:
    with pytest.raises(TypeError, match="list_iterator has no length"):
        len(DistributedSampler(iter([[1]]), 2, 0))
    part = DistributedSampler(BatchSampler(SequentialSampler("ab"), 1), 2, 0)
    with pytest.raises(TypeError, match="expected a sampler of whole batches"):
        DistributedSampler(part, 2, 0)

"""A loader's fingerprint tells in what two loaders differ."""

import random
from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_tensor as tt
from loader_table import (
    ARRAYS,
    AUGMENT,
    IMAGES,
    LABELS,
    LOADERS,
    Images,
    Loader,
    Stream,
    stacked,
)
from tt_data import (
    Compose,
    ConcatDataset,
    DataError,
    DataLoader,
    Dataset,
    IterableDataset,
    OneHot,
    Subset,
    TensorDataset,
    ToFloat,
    TokenBlocks,
    WeightedRandomSampler,
    write_tokens,
)

# Of no module of the course.


def fingerprint(loader: Loader) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in loader.fingerprint().splitlines())


def twin(**options: Any) -> Loader:
    data = TensorDataset(IMAGES.copy(), LABELS.copy())
    make: Any = DataLoader
    given = {"transform": AUGMENT, "generator": tt.Generator(1), "shuffle": True} | options
    loader: Loader = make(given.pop("data", data), given.pop("batch_size", 4), **given)
    return loader


def changed(index: int) -> TensorDataset:
    images = IMAGES.copy()
    images[index, 0, 0, 0] += 1
    return TensorDataset(images, LABELS)


def read_on(loader: Loader) -> Loader:
    next(iter(loader))
    return loader


class Made(Dataset[int]):
    """Items that code makes, of which one may be another."""

    def __init__(self, other: int = -1) -> None:
        self.other = other

    def __len__(self) -> int:
        return 23

    def __getitem__(self, index: int, /) -> int:
        return index + (index == self.other)


class Counted(Made):
    """Items that are counted."""

    count = 0

    def __getitem__(self, index: int, /) -> int:
        self.count += 1
        return self.count


class Drawn(Made):
    """Items that are drawn, each other than the one before."""

    def __init__(self, draw: Callable[[], float] | None = None) -> None:
        super().__init__()
        self.random = np.random.default_rng()
        self.older = np.random.RandomState()  # as users still have them
        self.draw = draw

    def __getitem__(self, index: int, /) -> int:
        own = self.random.random() + self.older.random()
        return int(1e15 * (own if self.draw is None else self.draw()))


class Broken(Made):
    """Items that cannot be read."""

    def __getitem__(self, index: int, /) -> int:
        raise OSError("no such file")


class Once(IterableDataset[int]):
    """A stream that can be read but once."""

    def __init__(self) -> None:
        self.numbers = deque(range(9))

    def __iter__(self) -> Iterator[int]:
        while self.numbers:
            yield self.numbers.popleft()


ORDER = {"shuffle": False}


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: twin(), set()),
        (lambda: twin(num_workers=2), set()),
        (lambda: twin().split(2, 0), set()),
        (lambda: twin().split(2, 1), set()),
        (lambda: twin(data=changed(0)), {"dataset.tensors[0].checksum"}),
        (lambda: twin(data=changed(22)), {"dataset.tensors[0].checksum"}),
        (
            lambda: twin(data=TensorDataset(IMAGES[:9], LABELS[:9])),
            {"dataset.length", "batches", "dataset.tensors[0]", "dataset.tensors[1]"}
            | {"dataset.tensors[0].checksum", "dataset.tensors[1].checksum"},
        ),
        (
            lambda: twin(data=TensorDataset(IMAGES, LABELS.astype(np.int16))),
            {"dataset.tensors[1]", "dataset.tensors[1].checksum"},
        ),
        (lambda: twin(batch_size=5), {"batch_size", "batches"}),
        (lambda: twin(drop_last=True), {"drop_last", "batches"}),
        (lambda: twin(shuffle=False), {"sampler"}),
        (lambda: twin(transform=None), {"transform"}),
        (lambda: twin(transform=Compose([ToFloat()])), {"transform"}),
        (lambda: twin(target_transform=OneHot(4)), {"target_transform"}),
        (lambda: twin(collate_fn=stacked), {"collate_fn"}),
        (lambda: twin(generator=tt.Generator(2)), {"generator"}),
        (lambda: twin(generator=None), {"generator"}),
        (lambda: read_on(twin()), {"generator", "position"}),
    ],
)
def test_a_fingerprint_tells_what_differs(make: Callable[[], Loader], names: set[str]) -> None:
    expected, got = fingerprint(twin()), fingerprint(make())
    assert expected.keys() == got.keys()
    assert {name for name in got if got[name] != expected[name]} == names


def weighted(weights: list[float], seed: int) -> Loader:
    sampler = WeightedRandomSampler(weights, 9, generator=tt.Generator(seed))
    return twin(shuffle=False, sampler=sampler)


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        (
            lambda: twin(sampler=[1, 2], **ORDER),
            lambda: twin(sampler=[2, 1], **ORDER),
            {"sampler.checksum"},
        ),
        (lambda: weighted([1.0, 2.0], 0), lambda: weighted([1.0, 2.5], 0), {"sampler.checksum"}),
        (lambda: weighted([1.0, 2.0], 0), lambda: weighted([1.0, 2.0], 1), {"sampler.generator"}),
        (
            lambda: twin(data=ConcatDataset([Subset(ARRAYS, [0, 1]), ARRAYS])),
            lambda: twin(data=ConcatDataset([Subset(ARRAYS, [0, 2]), ARRAYS])),
            {"dataset.datasets[0].indices.checksum"},
        ),
        (
            lambda: twin(data=TokenBlocks(range(30), 4)),
            lambda: twin(data=TokenBlocks(range(1, 31), 4)),
            {"dataset.tokens.checksum"},
        ),
        (
            lambda: twin(data=TokenBlocks(range(31), 4, stride=3)),
            lambda: twin(data=TokenBlocks(range(31), 4, stride=3), batch_size=9),
            {"batch_size", "batches"},
        ),
        (lambda: twin(data=IMAGES), lambda: twin(data=IMAGES[::-1]), {"dataset.values.checksum"}),
        (
            lambda: twin(data=Images()),
            lambda: twin(data=[1] * 23),
            {"dataset", "dataset.items.checksum"},
        ),
        *(
            (lambda: twin(data=Made()), lambda i=i: twin(data=Made(i)), {"dataset.items.checksum"})
            for i in (0, 11, 22)
        ),
        (
            lambda: twin(data=Subset(Made(), [1, 2])),
            lambda: twin(data=Subset(Made(0), [1, 2])),
            {"dataset.dataset.items.checksum"},
        ),
        *(
            (
                lambda: twin(data=[(np.ones(2), "a")] * 3),
                lambda item=item: twin(data=[item] * 3),
                {"dataset.items.checksum"},
            )
            for item in [
                (np.ones(2, np.float32), "a"),
                (np.ones((1, 2)), "a"),
                (tt.ones(2), "b"),
                [np.ones(2), "a", "a"],
                {"x": np.ones(2), "name": "a"},
                (np.array([1.0, None]), "a"),
                (None, object()),
            ]
        ),
        (
            lambda: DataLoader(Stream(), 4, generator=tt.Generator(1)),
            lambda: DataLoader(Stream(), 4, generator=tt.Generator(2)),
            {"generator"},
        ),
    ],
)
def test_a_fingerprint_knows_every_kind_of_data(
    first: Callable[[], Loader], second: Callable[[], Loader], names: set[str]
) -> None:
    one, other = fingerprint(first()), fingerprint(second())
    assert {name for name in one | other if one.get(name) != other.get(name)} == names


@pytest.mark.parametrize(
    ("make", "told"),
    [(Drawn, "drawn anew"), (Broken, "OSError"), (Once, "not read"), (list, "00000000")],
)
def test_items_that_cannot_be_compared_are_not(make: Callable[[], Any], told: str) -> None:
    lines = [fingerprint(DataLoader(make(), 4)) for _ in range(2)]
    assert lines[0] == lines[1]
    if make is not list:
        assert lines[0]["dataset.items.checksum"] == told


@pytest.mark.parametrize("name", LOADERS)
def test_a_fingerprint_changes_nothing(name: str) -> None:
    expected = [repr(list(LOADERS[name](1)))]
    loader = LOADERS[name](1)
    before = tt.default_generator().get_state()
    assert loader.fingerprint() == loader.fingerprint() == LOADERS[name](1).fingerprint()
    assert tt.default_generator().get_state() == before
    assert [repr(list(loader))] == expected


@pytest.mark.parametrize("draw", [None, np.random.random, random.random])
def test_what_a_data_set_draws_from_is_put_back(draw: Callable[[], float] | None) -> None:
    drawn = Drawn(draw)
    sources = drawn.random, drawn.older
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    twin = deepcopy(drawn)
    expected = list(twin[0] for _ in range(3))
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    DataLoader(drawn, 4).fingerprint()
    assert (drawn.random, drawn.older) == sources
    assert [drawn[0] for _ in range(3)] == expected


def test_what_a_data_set_counts_is_put_back() -> None:
    counted = Counted()
    counted.count = 5
    DataLoader(counted, 4).fingerprint()
    assert counted.count == 5


def test_of_a_stream_nothing_is_lost() -> None:
    loader = DataLoader(Once(), 4)
    loader.fingerprint()
    assert [batch.tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]


def test_the_default_generator_counts_only_where_it_is_used() -> None:
    shuffled, ordered = DataLoader(ARRAYS, 4, True), DataLoader(ARRAYS, 4)
    tt.manual_seed(1)
    first = fingerprint(shuffled)["generator"], fingerprint(ordered)["generator"]
    tt.manual_seed(2)
    second = fingerprint(shuffled)["generator"], fingerprint(ordered)["generator"]
    assert first[0] != second[0]
    assert first[1] == second[1] == "not used"


def test_of_large_arrays_a_share_is_summed() -> None:
    large = np.zeros((1200, 100_000), np.uint8)  # 120 MB
    before = fingerprint(DataLoader(TensorDataset(large, np.zeros(1200)), 4))
    large[[0, -1]] = 1
    after = fingerprint(DataLoader(TensorDataset(large, np.zeros(1200)), 4))
    assert {name for name in after if after[name] != before[name]} == {
        "dataset.tensors[0].checksum"
    }
    few = TensorDataset(large.reshape(3, -1))  # fewer rows than runs of them
    assert fingerprint(DataLoader(few, 4))["dataset.tensors[0]"] == "uint8 (3, 40000000)"


def test_a_file_of_tokens_that_was_cut_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "tokens.npy"
    write_tokens(path, [range(200)], 256)
    loader = DataLoader(TokenBlocks(path, 4), 4)
    assert fingerprint(loader)["dataset.tokens"] == "uint8 (200,)"
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(DataError, match="has changed since it was opened"):
        loader.fingerprint()

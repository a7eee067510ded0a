"""What tells whether loaders in several processes load the same data in the same way."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from contextvars import Context
from copy import deepcopy
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tt_tensor import (
    Generator,
    Tensor,
    default_generator,
    get_default_dtype,
    manual_seed,
    set_default_dtype,
)

from ._dataset import ConcatDataset, IterableDataset, Subset, TensorDataset
from ._sampler import BatchSampler, DistributedSampler, WeightedRandomSampler
from ._token_blocks import TokenBlocks
from .transforms import Compose

if TYPE_CHECKING:
    from ._loader import DataLoader

Array = NDArray[Any]
Fact = tuple[str, object]
_SOURCES = (Generator, np.random.Generator, np.random.RandomState, random.Random)
LIMIT = 64_000_000  # bytes of arrays that are summed
RUNS = 256  # of rows next to each other, where an array is summed in part


def facts(loader: DataLoader[Any], is_random: bool) -> Iterator[Fact]:
    """Yield what is to be the same, by name.

    Args:
        loader: The loader.
        is_random: Whether it draws from its generator.
    """
    yield from _data_facts(loader)
    yield "batch_size", loader.batch_size
    try:
        yield "batches", len(loader)
    except TypeError:
        yield "batches", "unknown"
    yield "drop_last", loader.drop_last
    yield from _order_facts(loader.batch_sampler)
    yield "collate_fn", _name(loader.collate_fn)
    yield "transform", _name(loader.transform)
    yield "target_transform", _name(loader.target_transform)
    state = loader.state_dict()
    if not is_random:
        yield "generator", "not used"
    elif loader.generator is None:
        yield "generator", f"the default one, {_state(default_generator().get_state())}"
    else:
        yield "generator", _state(state["generator"])
    yield "sampler.generator", _state(state["sampler"])
    epoch = state["epoch"]
    yield (
        "position",
        ("start of an epoch" if epoch is None else f"batch {epoch['batches']}, {_state(epoch)}"),
    )


def _data_facts(loader: DataLoader[Any]) -> Iterator[Fact]:
    found = list(_walk("dataset", loader.dataset))
    size = sum(value.nbytes for _, value in found if isinstance(value, np.ndarray))
    for name, value in found:
        if isinstance(value, np.ndarray):
            yield name, f"{value.dtype} {value.shape}"
            yield f"{name}.checksum", _checksum(value, LIMIT / max(size, 1))
        else:
            yield name, value


def _walk(name: str, dataset: object) -> Iterator[Fact]:
    """Yield the type and the length of a data set, and what is known of what it holds: arrays."""
    yield name, type(dataset).__name__
    yield f"{name}.length", len(dataset) if isinstance(dataset, Sized) else "unknown"
    match dataset:
        case TensorDataset():
            for i, tensor in enumerate(dataset.tensors):
                yield f"{name}.tensors[{i}]", tensor.numpy()
        case Subset():
            yield f"{name}.indices", dataset.indices
            yield from _walk(f"{name}.dataset", dataset.dataset)
        case ConcatDataset():
            for i, part in enumerate(dataset.datasets):
                yield from _walk(f"{name}.datasets[{i}]", part)
        case TokenBlocks():
            dataset.check_file()
            yield f"{name}.block_size", dataset.block_size
            yield f"{name}.stride", dataset.stride
            yield f"{name}.tokens", dataset.tokens
        case Tensor() | np.ndarray():
            yield f"{name}.values", np.asarray(dataset)
        case _:
            yield f"{name}.items.checksum", _items_checksum(dataset)


def _items_checksum(dataset: Any) -> str:
    """Return the checksum of the first, the middle and the last item that code makes.

    All are read twice: those that differ then draw from a source that is not the default
    generator, and would differ by process, too. Of a stream nothing is read, for what was read of
    it may be gone.
    """
    if isinstance(dataset, IterableDataset):
        return "not read"
    own: dict[str, Any] = getattr(dataset, "__dict__", {})
    default = get_default_dtype()

    def read() -> int:
        set_default_dtype(default)
        manual_seed(0)
        with _put_back(own, int, float):
            last = len(dataset) - 1
            return _sum([dataset[i] for i in sorted({0, last // 2, last})] if last >= 0 else [])

    try:
        with _put_back(own, *_SOURCES), _global_sources_put_back():
            first, second = Context().run(read), Context().run(read)
    except Exception as error:  # which is raised where a batch needs that item, if one does
        return type(error).__name__
    return f"{first:08x}" if first == second else "drawn anew"


@contextmanager
def _global_sources_put_back() -> Iterator[None]:
    """Have NumPy's and Python's own random numbers go on as if none had been drawn."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002  # whoever draws from it
    try:
        yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])


@contextmanager
def _put_back(attributes: dict[str, Any], *kinds: type) -> Iterator[None]:
    """Have copies of an object's attributes of some types in their place for a while."""
    held = {
        name: value
        for name, value in attributes.items()
        if isinstance(value, kinds) and not isinstance(value, bool)  # such as that it was opened
    }
    attributes.update(deepcopy(held))
    try:
        yield
    finally:
        attributes.update(held)


def _sum(value: object, total: int = 0) -> int:
    """Return the checksum of an item: of its arrays, numbers and texts; of others their types."""
    match value:
        case Tensor() | np.ndarray() | np.generic():
            array = np.asarray(value)
            total = crc32(f"{array.dtype} {array.shape}".encode(), total)
            return _sum(array.tolist(), total) if array.dtype.hasobject else _add(array, total)
        case Mapping():
            return _sum(list(value.items()), total)
        case list() | tuple():
            total = crc32(str(len(value)).encode(), total)
            for each in value:
                total = _sum(each, total)
            return total
        case None | bool() | int() | float() | complex() | str() | bytes():
            return crc32(repr(value).encode(errors="replace"), total)
        case _:
            return crc32(type(value).__qualname__.encode(), total)


def _order_facts(batches: Iterable[Sequence[int]] | None) -> Iterator[Fact]:
    """Yield what is known of the order of the items."""
    whole = batches.batch_sampler if isinstance(batches, DistributedSampler) else batches
    yield "batch_sampler", _name(whole)
    if not isinstance(whole, BatchSampler):
        return
    sampler = whole.sampler
    yield "sampler", _name(sampler)
    numbers = sampler.weights if isinstance(sampler, WeightedRandomSampler) else sampler
    if isinstance(numbers, list | tuple | range | np.ndarray | Tensor):
        yield "sampler.checksum", _checksum(np.asarray(numbers), 1.0)


def _name(given: object) -> str:
    """Return the name of a function, or of the type of an object and of what it is made of."""
    if given is None:
        return "None"
    if isinstance(given, Compose):
        return f"Compose({', '.join(map(_name, given.transforms))})"
    return getattr(given, "__qualname__", type(given).__qualname__)


def _state(state: dict[str, Any] | None) -> str:
    return "None" if state is None else f"state {crc32(json.dumps(state).encode()):08x}"


def _checksum(array: Array, share: float) -> str:
    """Return the checksum of an array's bytes, or of those of a share of its rows."""
    runs = [array]
    if share < 1:
        taken = max(1, int(len(array) * share))  # rows
        count = -(-taken // RUNS)
        starts = np.linspace(0, len(array) - count, taken // count).astype(int).tolist()
        runs = [array[start : start + count] for start in starts]
    total = 0
    for run in runs:
        total = _add(run, total)
    return f"{total:08x}"


def _add(array: Array, total: int) -> int:
    """Add the bytes of an array to a checksum."""
    return crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, total)

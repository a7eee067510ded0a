"""The data loader: batches of a data set as tensors, epoch after epoch."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextvars import Context
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count, islice
from typing import Any, Generic, Never, TypedDict, TypeVar, Unpack, cast, overload

import numpy as np

from tt_tensor import (
    Generator,
    Tensor,
    default_generator,
    get_default_dtype,
    manual_seed,
    set_default_dtype,
)

from ._collate import default_collate
from ._dataset import IterableDataset, SupportsItems, gather, holds_arrays
from ._sampler import (
    BatchSampler,
    Indices,
    RandomSampler,
    SequentialSampler,
    as_indices,
    check_batch_size,
    count_batches,
)
from ._threads import in_order
from .transforms import TransformLike, call, is_random

T = TypeVar("T")
Item = TypeVar("Item")
State = dict[str, Any]


@dataclass
class _Epoch:
    """One pass over the data: what its randomness follows from, and how far it is.

    Attributes:
        seed: The seed of everything that draws from no generator of its own.
        sampler: The state of the sampler's own generator, if it has one, before the order is drawn.
        batches: How many batches have been handed out.
    """

    seed: int
    sampler: State | None
    batches: int = 0

    def batch_seed(self, number: int) -> int:
        """Return the seed of one batch."""
        return self.seed << 32 | number


class _Options(TypedDict, total=False):
    """The arguments that the type of the batches does not depend on."""

    drop_last: bool
    transform: TransformLike | None
    target_transform: TransformLike | None
    generator: Generator | None
    num_workers: int
    prefetch: int | None


class DataLoader(Generic[T]):
    """The batches of a data set, as tensors, in a new order each epoch if wanted.

    Where the data set is tensors or arrays (`TensorDataset`, the image data sets, a `Subset` or
    `ConcatDataset` of them), a batch is gathered from each array by one call. Of any other data
    set the items are taken one by one and collated.

    Everything random follows from one number that each epoch draws from the generator; arrays in
    their order, with no transform that draws, need none. With the same seed the batches are the
    same whatever ``num_workers`` is, also where an item draws from the default generator of
    tt-tensor. An epoch that was interrupted goes on bit for bit from `state_dict`.

    Args:
        dataset: A data set or anything else with a length and items by number, or an
            `IterableDataset`.
        batch_size: Items in a batch.
        shuffle: Whether each epoch goes over the items in a new random order.
        sampler: The order of the items instead: a `Sampler` or another iterable of numbers.
        batch_sampler: The batches instead: an iterable of lists of numbers. ``batch_size``,
            ``shuffle``, ``sampler`` and ``drop_last`` are then not given.
        drop_last: Whether to leave out a last batch that is smaller.
        collate_fn: Makes a batch of a list of items, instead of `default_collate`.
        transform: Done to the first tensor of each batch: the images.
        target_transform: Done to the second tensor of each batch: the labels.
        generator: The source of randomness; the default generator of tt-tensor unless given.
        num_workers: Threads that make batches ahead of time; with 0, each is made when it is
            asked for. Threads pay where making a batch takes about as long as using it and is done
            by NumPy, which lets others run: for arrays in memory without augmentation they cost
            more than they save. A stream is read by one thread, however many there are.
        prefetch: How many batches to make beyond the one asked for; two for each worker unless
            given.

    Raises:
        TypeError: The data set is none, or a number is of another type.
        ValueError: Arguments exclude each other or are out of range.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> data = tt_data.TensorDataset(tt.arange(10).reshape(5, 2), tt.arange(5))
        >>> for inputs, targets in tt_data.DataLoader(data, batch_size=2):
        ...     print(inputs.shape, targets)
        (2, 2) tensor([0, 1])
        (2, 2) tensor([2, 3])
        (1, 2) tensor([4])
    """

    # Only items of the type Any are of every type. Where nothing is known of the items, nothing
    # is known of the batches.
    @overload
    def __init__(
        self: DataLoader[Any],
        dataset: SupportsItems[Never] | IterableDataset[Never],
        batch_size: int = ...,
        shuffle: bool = ...,
        sampler: Iterable[int] | None = ...,
        batch_sampler: Iterable[Sequence[int]] | None = ...,
        *,
        collate_fn: None = ...,
        **options: Unpack[_Options],
    ) -> None: ...

    @overload
    def __init__(
        self: DataLoader[Tensor],
        dataset: SupportsItems[float] | IterableDataset[float],
        batch_size: int = ...,
        shuffle: bool = ...,
        sampler: Iterable[int] | None = ...,
        batch_sampler: Iterable[Sequence[int]] | None = ...,
        *,
        collate_fn: None = ...,
        **options: Unpack[_Options],
    ) -> None: ...

    @overload
    def __init__(
        self: DataLoader[tuple[Tensor, Tensor]],
        dataset: SupportsItems[tuple[Tensor, float]] | IterableDataset[tuple[Tensor, float]],
        batch_size: int = ...,
        shuffle: bool = ...,
        sampler: Iterable[int] | None = ...,
        batch_sampler: Iterable[Sequence[int]] | None = ...,
        *,
        collate_fn: None = ...,
        **options: Unpack[_Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        dataset: SupportsItems[T] | IterableDataset[T],
        batch_size: int = ...,
        shuffle: bool = ...,
        sampler: Iterable[int] | None = ...,
        batch_sampler: Iterable[Sequence[int]] | None = ...,
        *,
        collate_fn: None = ...,
        **options: Unpack[_Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        dataset: SupportsItems[Item] | IterableDataset[Item],
        batch_size: int = ...,
        shuffle: bool = ...,
        sampler: Iterable[int] | None = ...,
        batch_sampler: Iterable[Sequence[int]] | None = ...,
        *,
        collate_fn: Callable[[list[Item]], T],
        **options: Unpack[_Options],
    ) -> None: ...

    def __init__(
        self,
        dataset: SupportsItems[Any] | IterableDataset[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        *,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], T] | None = None,
        transform: TransformLike | None = None,
        target_transform: TransformLike | None = None,
        generator: Generator | None = None,
        num_workers: int = 0,
        prefetch: int | None = None,
    ) -> None:
        check_batch_size("DataLoader", batch_size)
        if num_workers < 0 or (prefetch is not None and prefetch < 1):
            raise ValueError(
                "DataLoader: expected num_workers of at least 0 and prefetch of at least 1, got "
                f"{num_workers} and {prefetch}"
            )
        if prefetch is not None and not num_workers:
            raise ValueError("DataLoader: prefetch needs num_workers of at least 1")
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ValueError(
                "DataLoader: batch_sampler says all that batch_size, shuffle, sampler and "
                "drop_last say; give it alone"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler is the order of the items; leave out shuffle")
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.transform = transform
        self.target_transform = target_transform
        self.generator = generator
        self.num_workers = num_workers
        self.prefetch = 2 * num_workers if prefetch is None else prefetch
        self.batch_sampler: Iterable[Sequence[int]] | BatchSampler | None = batch_sampler
        if isinstance(dataset, IterableDataset):
            if shuffle or sampler is not None or batch_sampler is not None:
                raise ValueError(
                    "DataLoader: a stream comes in its own order; shuffle, sampler and "
                    "batch_sampler need a data set whose items have numbers"
                )
        elif not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
            raise TypeError(
                "DataLoader: expected a data set with __len__ and __getitem__, or an "
                f"IterableDataset, got {type(dataset).__name__}"
            )
        elif batch_sampler is None:
            if sampler is None:
                sampler = RandomSampler(dataset) if shuffle else SequentialSampler(dataset)
            self.batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        # Whether code of the user's runs for each batch, or a transform that draws.
        self._draws = (
            not holds_arrays(dataset)
            or collate_fn is not None
            or is_random(transform)
            or is_random(target_transform)
        )
        ordered = isinstance(self.batch_sampler, BatchSampler) and self.batch_sampler.in_sequence
        self._is_random = self._draws or not ordered
        self._epoch: _Epoch | None = None
        self._resumes = False

    def __len__(self) -> int:
        """Return the number of batches of an epoch.

        Raises:
            TypeError: The sampler or the stream has no length.
        """
        counted: object = self.dataset if self.batch_sampler is None else self.batch_sampler
        if not isinstance(counted, Sized):
            raise TypeError(f"len: {type(counted).__name__} has no length")
        if self.batch_sampler is None:
            return count_batches(len(counted), self.batch_size, self.drop_last)
        return len(counted)

    def __iter__(self) -> Iterator[T]:
        """Start an epoch, or go on with the one that `load_state_dict` gave."""
        own = self._own_generator()
        if self._epoch is None or not self._resumes:
            seed = 0  # where nothing is random, nothing is drawn: evaluation changes no training
            if self._is_random:
                seed = int((self.generator or default_generator()).numpy.integers(1 << 63))
            self._epoch = _Epoch(seed, None if own is None else own.get_state())
        elif own is not None and self._epoch.sampler is not None:
            own.set_state(self._epoch.sampler)
        self._resumes = False
        return self._batches(self._epoch)

    def state_dict(self) -> State:
        """Return how far the epoch is and the states of the generators, as JSON can hold them.

        Batches that workers made ahead and that no one has asked for count as not yet made. The
        state of the default generator, where the loader draws from that, is for the caller to keep.
        """
        own = self._own_generator()
        return {
            "epoch": None if self._epoch is None else asdict(self._epoch),
            "length": self._length(),
            "generator": None if self.generator is None else self.generator.get_state(),
            "sampler": None if own is None else own.get_state(),
        }

    def load_state_dict(self, state: State) -> None:
        """Let the next iteration go on where another loader of the same arguments was.

        In the middle of an epoch it gives the batches that were still to come, after the last one
        none, and between two epochs it starts a new one. A stream is read again from its start.

        Args:
            state: What `state_dict` returned.

        Raises:
            ValueError: It is no such state, or of a loader of other arguments.

        Example:
            >>> import tt_data, tt_tensor as tt
            >>> first = tt_data.DataLoader(range(6), batch_size=2)
            >>> next(iter(first))
            tensor([0, 1])
            >>> second = tt_data.DataLoader(range(6), batch_size=2)
            >>> second.load_state_dict(first.state_dict())
            >>> list(second)
            [tensor([2, 3]), tensor([4, 5])]
        """
        own = self._own_generator()
        try:
            epoch = None if state["epoch"] is None else _Epoch(**state["epoch"])
            length = state["length"]
            saved = [("generator", self.generator, state["generator"])]
            saved.append(("sampler's generator", own, state["sampler"]))
            if epoch is not None:
                saved.append(("sampler's generator", own, epoch.sampler))
                epoch.batch_seed(operator.index(epoch.batches))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"load_state_dict: expected what state_dict of a DataLoader returned: {error!r}"
            ) from None
        if length != self._length():
            raise ValueError(
                f"load_state_dict: the state is of a loader with {length} batches in an epoch, "
                f"this one has {self._length()}"
            )
        for name, generator, numbers in saved:
            if (generator is None) != (numbers is None):
                has, lacks = ("state", "loader") if generator is None else ("loader", "state")
                raise ValueError(f"load_state_dict: the {has} has a {name}, the {lacks} none")
            if numbers is not None:
                Generator(0).set_state(numbers)  # refuse a wrong one before anything has changed
        for _, generator, numbers in saved[:2]:
            if generator is not None:
                generator.set_state(numbers)
        self._epoch, self._resumes = epoch, True

    def _length(self) -> int | None:
        """Return the number of batches of an epoch, or None where it is not known."""
        try:
            return len(self)
        except TypeError:
            return None

    def _own_generator(self) -> Generator | None:
        """The generator of the sampler's own, if it has one."""
        generator = getattr(self.batch_sampler, "generator", None)
        return generator if isinstance(generator, Generator) else None

    def _batches(self, epoch: _Epoch) -> Iterator[T]:
        jobs = self._jobs(epoch)
        prepare = partial(set_default_dtype, get_default_dtype())
        if self.num_workers:
            workers = self.num_workers if self.batch_sampler is not None else 1
            made = in_order(jobs, workers, self.prefetch, prepare)
        elif self._draws:  # items draw from a default generator of their own, as in a thread
            context = Context()
            context.run(prepare)
            made = (context.run(job) for job in jobs)
        else:
            made = (job() for job in jobs)
        for batch in made:
            if not batch:
                break
            epoch.batches += 1
            yield batch[0]
        if self._epoch is epoch:
            self._epoch = None

    def _jobs(self, epoch: _Epoch) -> Iterator[Callable[[], list[T]]]:
        """Yield what makes each batch still to come; after a stream's end, it makes none."""
        done = epoch.batches
        if isinstance(self.dataset, IterableDataset):
            items = self._stream(epoch, done)
            for number in count(done):
                yield partial(self._make, epoch.batch_seed(number), items)
        else:
            for number, indices in islice(enumerate(self._indices(epoch)), done, None):
                yield partial(self._make, epoch.batch_seed(number), indices)

    def _indices(self, epoch: _Epoch) -> Iterator[Indices]:
        """Yield the batches' numbers, drawn where the epoch's seed is the default generator's."""
        context = Context()
        context.run(manual_seed, epoch.seed)
        batches = context.run(self._start_sampler)
        while (batch := context.run(next, batches, None)) is not None:
            yield as_indices(batch)

    def _start_sampler(self) -> Iterator[Sequence[int] | Indices]:
        if isinstance(self.batch_sampler, BatchSampler):
            return self.batch_sampler.batches()
        return iter(cast(Iterable[Sequence[int]], self.batch_sampler))

    def _stream(self, epoch: _Epoch, done: int) -> Iterator[Any]:
        """Yield a stream's items from a batch on; it begins when the first is asked for."""
        manual_seed(epoch.batch_seed(0))
        items = iter(self.dataset)
        for number in range(done):
            deque(islice(items, self.batch_size), maxlen=0)
            manual_seed(epoch.batch_seed(number + 1))
        yield from items

    def _make(self, seed: int, source: Indices | Iterator[Any]) -> list[T]:
        """Make the batch of some numbers, or the next one of a stream: none at its end."""
        generator = manual_seed(seed) if self._draws else None
        if isinstance(source, np.ndarray):
            batch = self._gather(source)
        else:
            items = list(islice(source, self.batch_size))
            if len(items) < (self.batch_size if self.drop_last else 1):
                return []
            batch = (self.collate_fn or default_collate)(items)
        if self.transform is not None or self.target_transform is not None:
            batch = self._transformed(batch, generator)
        return [batch]

    def _gather(self, indices: Indices) -> T:
        dataset = cast(SupportsItems[Any], self.dataset)
        if self.collate_fn is None:
            batch: T = gather(dataset, indices)
            return batch
        return self.collate_fn([dataset[i] for i in indices.tolist()])

    def _transformed(self, batch: Any, generator: Generator | None) -> Any:
        transforms = (self.transform, self.target_transform)
        if isinstance(batch, Tensor) and self.target_transform is None:
            return call(self.transform, batch, generator)
        if not isinstance(batch, tuple | list):
            raise TypeError(
                "DataLoader: transform and target_transform are for batches of (inputs, targets), "
                f"got a {type(batch).__name__}; transform it in collate_fn"
            )
        made = [call(*pair, generator) for pair in zip(transforms, batch, strict=False)]
        return type(batch)([*made, *batch[2:]])

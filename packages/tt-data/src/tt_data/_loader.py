"""The data loader: batches of a data set as tensors, epoch after epoch."""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextvars import Context
from copy import copy
from dataclasses import asdict, replace
from functools import partial
from itertools import count, islice
from typing import Any, Generic, Never, Self, TypedDict, TypeVar, Unpack, cast, overload

import numpy as np

from tt_tensor import (
    Generator,
    Tensor,
    default_generator,
    get_default_dtype,
    manual_seed,
    set_default_dtype,
)
from tt_tensor.seam import rows, share

from ._dataset import IterableDataset, SupportsItems
from ._epoch import Epoch, Position, State
from ._fingerprint import facts
from ._reader import Reader
from ._sampler import (
    BatchSampler,
    DistributedSampler,
    Indices,
    RandomSampler,
    SequentialSampler,
    as_indices,
    check_batch_size,
    check_rank,
    count_batches,
)
from ._threads import in_order
from .transforms import TransformLike, call, is_random

T = TypeVar("T")
Item = TypeVar("Item")


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
            ``shuffle``, ``sampler`` and ``drop_last`` are then not given. Of a
            `DistributedSampler` only the rank's rows of each batch are made, as `split` says.
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
        if isinstance(sampler, DistributedSampler):
            raise TypeError(
                "DataLoader: a DistributedSampler gives batches; give it as batch_sampler, "
                "without batch_size, shuffle and drop_last"
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
        draws_later = collate_fn is not None or is_random(transform) or is_random(target_transform)
        self._reader = Reader(dataset, collate_fn, draws_later)
        self._draws = self._reader.runs_code or draws_later
        whole = self._whole_batches()
        ordered = isinstance(whole, BatchSampler) and whole.in_sequence
        self._is_random = self._draws or not ordered
        self._position = Position()
        if isinstance(batch_sampler, DistributedSampler):
            self._reader = replace(self._reader, part=batch_sampler.rows)

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
        own, epoch = self._own_generator(), self._position.epoch
        if epoch is None or not self._position.resumes:
            seed = 0  # where nothing is random, nothing is drawn: evaluation changes no training
            if self._is_random:
                seed = int((self.generator or default_generator()).numpy.integers(1 << 63))
            epoch = Epoch(seed, None if own is None else own.get_state())
        elif own is not None and epoch.sampler is not None:
            own.set_state(epoch.sampler)
        self._position.epoch, self._position.resumes = epoch, False
        return self._batches(epoch)

    def split(self, num_replicas: int, rank: int) -> Self:
        """Return a loader of the part of each batch that is one of several processes'.

        The parts are rows next to each other, as `DistributedSampler` cuts a batch. With the same
        seed on all ranks they are together, bit for bit, the batches of this loader, augmentation
        included: transforms draw for all rows and keep what belongs to their own. Of fewer rows
        than ranks some parts are empty: batches of the usual structure with no rows.

        What is read: of a data set the rank's own items, or all of a batch where they draw random
        numbers of their own; of a stream every item. ``collate_fn`` and transforms that are
        functions are given the rank's rows. If they draw, then on all ranks from one seed: by
        ``tt_tensor.seam.for_rows`` they get numbers for their own rows.

        The two loaders share the data, the generator and the position: batches are counted whole,
        so a state of either fits the other, and a split into any other number.

        Args:
            num_replicas: How many processes share the batches.
            rank: Which of them this is, from 0.

        Raises:
            TypeError: A number is no whole number.
            ValueError: There is no such rank, or this loader is split already.

        Example:
            >>> import tt_data
            >>> loader = tt_data.DataLoader(range(8), batch_size=5)
            >>> for rank in range(2):
            ...     print(list(loader.split(num_replicas=2, rank=rank)))
            [tensor([0, 1, 2]), tensor([5, 6])]
            [tensor([3, 4]), tensor([7])]
        """
        if self._reader.part is not None:
            raise ValueError(
                "split: this loader gives a part of its batches already; split the one of whole "
                "batches (tt_optim.Trainer splits what it is given itself: give it that one, "
                "without a DistributedSampler)"
            )
        check_rank("split", num_replicas, rank)
        made = copy(self)
        part = partial(share, num_replicas=num_replicas, rank=rank)
        made._reader = replace(self._reader, part=part)
        if self.batch_sampler is not None:
            made.batch_sampler = DistributedSampler(self.batch_sampler, num_replicas, rank)
        return made

    def fingerprint(self) -> str:
        """Return lines of text that are the same for loaders of the same data in the same way.

        Each line is ``name: value``: types and lengths, the dtypes, shapes and checksums of arrays,
        the sampler, the transforms by name, the states of the generators. Processes that are to
        share batches compare them. Of arrays of more than 64 MB in all, rows at even distances are
        summed. Of items that are code's to make, the first, the middle and the last are read,
        twice; of a stream, and of an order that is code's to make, none. What they draw, and
        what a data set counts and draws from in attributes of its own, is then as it was.

        Example:
            >>> import numpy as np, tt_data
            >>> data = tt_data.TensorDataset(np.zeros((10, 3), np.float32))
            >>> print(tt_data.DataLoader(data, batch_size=4).fingerprint())
            dataset: TensorDataset
            dataset.length: 10
            dataset.tensors[0]: float32 (10, 3)
            dataset.tensors[0].checksum: 395d7a27
            batch_size: 4
            batches: 3
            drop_last: False
            batch_sampler: BatchSampler
            sampler: SequentialSampler
            collate_fn: None
            transform: None
            target_transform: None
            generator: not used
            sampler.generator: None
            position: start of an epoch
        """
        return "\n".join(f"{name}: {value}" for name, value in facts(self, self._is_random))

    def state_dict(self) -> State:
        """Return how far the epoch is and the states of the generators, as JSON can hold them.

        Batches that workers made ahead and that no one has asked for count as not yet made. The
        state of the default generator, where the loader draws from that, is for the caller to keep.
        """
        own = self._own_generator()
        return {
            "epoch": None if self._position.epoch is None else asdict(self._position.epoch),
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
            epoch = None if state["epoch"] is None else Epoch(**state["epoch"])
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
        self._position.epoch, self._position.resumes = epoch, True

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

    def _batches(self, epoch: Epoch) -> Iterator[T]:
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
        if self._position.epoch is epoch:
            self._position.epoch = None

    def _jobs(self, epoch: Epoch) -> Iterator[Callable[[], list[T]]]:
        """Yield what makes each batch still to come; after a stream's end, it makes none."""
        done = epoch.batches
        make = self._make if self._reader.part is None else self._make_part
        if isinstance(self.dataset, IterableDataset):
            items = self._stream(epoch, done)
            for number in count(done):
                yield partial(make, epoch.batch_seed(number), items)
        else:
            for number, indices in islice(enumerate(self._indices(epoch)), done, None):
                yield partial(make, epoch.batch_seed(number), indices)

    def _indices(self, epoch: Epoch) -> Iterator[Indices]:
        """Yield the batches' numbers, drawn where the epoch's seed is the default generator's."""
        context = Context()
        context.run(manual_seed, epoch.seed)
        batches = context.run(self._start_sampler)
        while (batch := context.run(next, batches, None)) is not None:
            yield as_indices(batch)

    def _start_sampler(self) -> Iterator[Sequence[int] | Indices]:
        batches = self._whole_batches()
        if isinstance(batches, BatchSampler):
            return batches.batches()
        return iter(cast(Iterable[Sequence[int]], batches))

    def _whole_batches(self) -> Iterable[Sequence[int]] | None:
        """The batch sampler, or the one that a `DistributedSampler` takes parts of."""
        given = self.batch_sampler
        return given.batch_sampler if isinstance(given, DistributedSampler) else given

    def _stream(self, epoch: Epoch, done: int) -> Iterator[Any]:
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
            batch = self._reader.gather(source)
        else:
            items = list(islice(source, self.batch_size))
            if len(items) < (self.batch_size if self.drop_last else 1):
                return []
            batch = self._reader.collate(items)
        if self.transform is not None or self.target_transform is not None:
            batch = self._transformed(batch, generator)
        return [batch]

    def _make_part(self, seed: int, source: Indices | Iterator[Any]) -> list[T]:
        """Make the part of a batch that is this rank's: the reader says which."""
        before = rows.set(None)
        try:
            return self._make(seed, source)
        finally:
            rows.reset(before)

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

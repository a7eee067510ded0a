"""Samplers: in which order a data set's items come, and how they fall into batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tt_tensor import Generator, Tensor, default_generator
from tt_tensor.seam import Rows, share

Indices = NDArray[np.int64]


class Sampler(ABC):
    """An order of items, drawn anew by each iteration.

    A subclass defines `order` and ``__len__``. Where a loader asks for a sampler, any other
    iterable of numbers does as well.

    Attributes:
        generator: The source of random numbers; None for the default generator, in whose place a
            loader puts one of its own.

    Example:
        >>> import numpy as np, tt_data
        >>> class Backwards(tt_data.Sampler):
        ...     def __init__(self, data):
        ...         self.data = data
        ...
        ...     def __len__(self):
        ...         return len(self.data)
        ...
        ...     def order(self):
        ...         return np.arange(len(self))[::-1]
        >>> list(Backwards("abc"))
        [2, 1, 0]
    """

    generator: Generator | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return how many numbers one iteration gives."""

    @abstractmethod
    def order(self) -> Indices:
        """Return the numbers of one iteration, int64."""

    def __iter__(self) -> Iterator[int]:
        return iter(self.order().tolist())

    def _random(self) -> np.random.Generator:
        return (self.generator or default_generator()).numpy


class SequentialSampler(Sampler):
    """The items in their order.

    Args:
        data_source: The data set.

    Example:
        >>> import tt_data
        >>> list(tt_data.SequentialSampler("abc"))
        [0, 1, 2]
    """

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __len__(self) -> int:
        return len(self.data_source)

    def order(self) -> Indices:
        """Return the numbers from 0 on."""
        return np.arange(len(self))


class RandomSampler(Sampler):
    """The items in a random order.

    Args:
        data_source: The data set.
        replacement: Whether an item may come again before all others came.
        num_samples: How many to draw; as many as there are items unless given. Without
            replacement, more than that are drawn as one random order after the other.
        generator: The source of the order; the loader's, else the default one, unless given.

    Raises:
        ValueError: ``num_samples`` is not positive, or there is nothing to draw from.

    Example:
        >>> import tt_data
        >>> sorted(tt_data.RandomSampler("abc"))
        [0, 1, 2]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if num_samples is not None and num_samples < 1:
            raise ValueError(
                f"RandomSampler: expected num_samples of at least 1, got {num_samples}"
            )
        if num_samples is not None and not len(data_source):
            raise ValueError(f"RandomSampler: cannot draw {num_samples} items of an empty data set")
        self.data_source = data_source
        self.replacement = replacement
        self.num_samples = num_samples
        self.generator = generator

    def __len__(self) -> int:
        return len(self.data_source) if self.num_samples is None else self.num_samples

    def order(self) -> Indices:
        """Draw an order."""
        random, total, count = self._random(), len(self.data_source), len(self)
        if not total:
            return np.arange(0)
        if self.replacement:
            return random.integers(total, size=count)
        orders = [random.permutation(total) for _ in range(-(-count // total))]
        return np.concatenate(orders)[:count]


class WeightedRandomSampler(Sampler):
    """Items drawn with probabilities in proportion to weights.

    Args:
        weights: A weight of at least 0 for each item.
        num_samples: How many to draw.
        replacement: Whether an item may come again.
        generator: The source; the loader's, else the default one, unless given.

    Raises:
        ValueError: A weight is negative or not finite, all are 0, or without replacement there are
            fewer items with a weight than are to be drawn.

    Example:
        >>> import tt_data
        >>> list(tt_data.WeightedRandomSampler([0.0, 2.0, 0.0], 3))
        [1, 1, 1]
    """

    def __init__(
        self,
        weights: Sequence[float] | NDArray[np.floating] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        self.weights = np.array(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not (np.isfinite(self.weights) & (self.weights >= 0)).all():
            raise ValueError(
                "WeightedRandomSampler: expected one finite weight of at least 0 for each item"
            )
        drawable = np.count_nonzero(self.weights)
        if not drawable or num_samples < 1:
            raise ValueError(
                "WeightedRandomSampler: expected a weight above 0 and num_samples of at least 1, "
                f"got {drawable} such weights and {num_samples}"
            )
        if not replacement and num_samples > drawable:
            raise ValueError(
                f"WeightedRandomSampler: cannot draw {num_samples} of {drawable} items with a "
                "weight above 0 without replacement"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __len__(self) -> int:
        return self.num_samples

    def order(self) -> Indices:
        """Draw items."""
        scaled = self.weights / self.weights.max()  # so that the sum is finite
        return self._random().choice(
            len(scaled), self.num_samples, self.replacement, scaled / scaled.sum()
        )


class BatchSampler:
    """The numbers of another sampler in batches.

    Args:
        sampler: A sampler, or any iterable of numbers.
        batch_size: Numbers in a batch.
        drop_last: Whether to leave out a last batch that is smaller.

    Raises:
        ValueError: ``batch_size`` is less than 1.

    Example:
        >>> import tt_data
        >>> list(tt_data.BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        check_batch_size("BatchSampler", batch_size)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    @property
    def generator(self) -> Generator | None:
        """The generator of the sampler's own, if it has one."""
        return self.sampler.generator if isinstance(self.sampler, Sampler) else None

    @property
    def in_sequence(self) -> bool:
        """Whether the items come in their order, with nothing drawn and no code of the user's."""
        return type(self) is BatchSampler and type(self.sampler) is SequentialSampler

    def __len__(self) -> int:
        if not isinstance(self.sampler, Sized):
            raise TypeError(f"len: {type(self.sampler).__name__} has no length")
        return count_batches(len(self.sampler), self.batch_size, self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self.batches())

    def batches(self) -> Iterator[Indices]:
        """Yield the batches of one iteration as arrays."""
        for batch in self._all():
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def _all(self) -> Iterator[Indices]:
        if isinstance(self.sampler, Sampler):
            order = self.sampler.order()
            for start in range(0, len(order), self.batch_size):
                yield order[start : start + self.batch_size]
        else:
            numbers = iter(self.sampler)
            while batch := list(islice(numbers, self.batch_size)):
                yield as_indices(batch)


class DistributedSampler:
    """Of each batch of another batch sampler, the part of one of several processes.

    The batches of the other one are those of all processes together. Each process gets neighbours
    of a batch, in the order of the ranks: as many as any other, or one more. Nothing comes twice
    and nothing is left out, so of a batch smaller than ``num_replicas`` some parts are empty.

    That is where it differs from torch's class of this name, which deals the items of a data set
    out to batches of each process's own, and repeats or drops some so that all have as many. Here
    the batches of one process are cut, and come in its order: with any number of processes
    training sees the same ones. All ranks need the same seed. It is a `DataLoader`'s
    ``batch_sampler``; ``tt_optim.Trainer`` takes its part of whole batches itself and needs none.

    Args:
        batch_sampler: A `BatchSampler`, or any iterable of lists of numbers.
        num_replicas: How many processes share the batches.
        rank: Which of them this is, from 0.

    Raises:
        TypeError: A number is no whole number, or what was given is a data set, a sampler of items
            or one that gives parts itself.
        ValueError: ``num_replicas`` is less than 1, or there is no such rank.

    Example:
        >>> import tt_data
        >>> batches = tt_data.BatchSampler(range(8), batch_size=5)
        >>> for rank in range(2):
        ...     print(list(tt_data.DistributedSampler(batches, num_replicas=2, rank=rank)))
        [[0, 1, 2], [5, 6]]
        [[3, 4], [7]]
    """

    def __init__(
        self, batch_sampler: Iterable[Sequence[int]], num_replicas: int, rank: int
    ) -> None:
        from ._dataset import Dataset, IterableDataset  # here, for they need this module

        check_rank("DistributedSampler", num_replicas, rank)
        if isinstance(batch_sampler, Dataset | IterableDataset | Sampler):
            raise TypeError(
                "DistributedSampler: expected a sampler of whole batches, got "
                f"{type(batch_sampler).__name__}; give DistributedSampler(BatchSampler("
                "RandomSampler(data), batch_size), num_replicas, rank) to DataLoader as its "
                "batch_sampler (tt_optim.Trainer takes its part of whole batches, and needs none)"
            )
        if isinstance(batch_sampler, DistributedSampler):
            raise TypeError(
                "DistributedSampler: expected a sampler of whole batches, got another "
                "DistributedSampler; give the one inside, its batch_sampler"
            )
        self.batch_sampler = batch_sampler
        self.num_replicas = num_replicas
        self.rank = rank

    @property
    def generator(self) -> Generator | None:
        """The generator of the other sampler's own, if it has one."""
        generator = getattr(self.batch_sampler, "generator", None)
        return generator if isinstance(generator, Generator) else None

    def rows(self, total: int) -> Rows:
        """Return which rows of a batch are this rank's.

        Args:
            total: How many rows the whole batch has.
        """
        return share(total, self.num_replicas, self.rank)

    def __len__(self) -> int:
        if not isinstance(self.batch_sampler, Sized):
            raise TypeError(f"len: {type(self.batch_sampler).__name__} has no length")
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batch_sampler:
            rows = self.rows(len(batch))
            yield as_indices(batch)[rows.start : rows.stop].tolist()


def as_indices(numbers: ArrayLike) -> Indices:
    """Return numbers of items as an int64 array of one dimension.

    Raises:
        TypeError: They are not whole numbers.
    """
    array = np.asarray(numbers)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"index: expected whole numbers, got {array.dtype.name}")
    return array.astype(np.int64, copy=False).reshape(-1)


def check_batch_size(name: str, batch_size: int) -> None:
    """Refuse a batch size that is no whole number of at least 1.

    Raises:
        TypeError: It is no whole number.
        ValueError: It is less than 1.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int | np.integer):
        raise TypeError(
            f"{name}: expected an int as the batch_size, got {type(batch_size).__name__}"
        )
    if batch_size < 1:
        raise ValueError(f"{name}: expected a batch_size of at least 1, got {batch_size}")


def check_rank(name: str, num_replicas: int, rank: int) -> None:
    """Refuse a rank that none of so many processes has.

    Raises:
        TypeError: One of them is no whole number.
        ValueError: There is no process, or none of that rank.
    """
    for what, number in (("num_replicas", num_replicas), ("rank", rank)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise TypeError(f"{name}: expected an int as {what}, got {type(number).__name__}")
    if num_replicas < 1:
        raise ValueError(f"{name}: expected num_replicas of at least 1, got {num_replicas}")
    if not 0 <= rank < num_replicas:
        raise ValueError(f"{name}: expected a rank from 0 to {num_replicas - 1}, got {rank}")


def count_batches(items: int, batch_size: int, drop_last: bool) -> int:
    """Return how many batches there are of so many items."""
    return items // batch_size if drop_last else -(-items // batch_size)

"""Data sets: what has items by number, what streams items, and ways to put them together."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tt_tensor import Generator, Tensor, default_generator, from_numpy

from ._collate import default_collate, join
from ._sampler import Indices, as_indices

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class SupportsItems(Protocol[T_co]):
    """Anything with a length and items by number, such as a list or a `Dataset`."""

    def __len__(self) -> int:
        """Return the number of items."""

    def __getitem__(self, index: int, /) -> T_co:
        """Return one item."""


class Dataset(ABC, Generic[T_co]):
    """A data set whose items have numbers.

    A subclass defines ``__len__`` and ``__getitem__``. One that can make a whole batch faster than
    item by item also defines `gather`.

    Example:
        >>> import tt_data
        >>> class Squares(tt_data.Dataset[int]):
        ...     def __len__(self):
        ...         return 4
        ...
        ...     def __getitem__(self, index):
        ...         return index * index
        >>> next(iter(tt_data.DataLoader(Squares(), batch_size=3)))
        tensor([0, 1, 4])
    """

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of items."""

    @abstractmethod
    def __getitem__(self, index: int, /) -> T_co:
        """Return one item."""

    def __iter__(self) -> Iterator[T_co]:
        return (self[index] for index in range(len(self)))

    def gather(self, indices: Indices) -> T_co:
        """Return the items of some numbers as one batch, as `default_collate` makes it.

        Args:
            indices: Numbers of items, int64.
        """
        return default_collate([self[i] for i in indices.tolist()])

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__getitem__" in vars(cls) and "gather" not in vars(cls):
            # An inherited gather knows nothing of the new items.
            cls.gather = Dataset.gather  # type: ignore[method-assign]  # on purpose


class IterableDataset(ABC, Generic[T_co]):
    """A data set that is a stream of items, known only by iterating.

    A subclass defines ``__iter__``, which starts the stream anew, and ``__len__`` if it knows how
    many items there are.

    Example:
        >>> import tt_data
        >>> class Count(tt_data.IterableDataset[int]):
        ...     def __iter__(self):
        ...         return iter(range(5))
        >>> list(tt_data.DataLoader(Count(), batch_size=3))
        [tensor([0, 1, 2]), tensor([3, 4])]
    """

    @abstractmethod
    def __iter__(self) -> Iterator[T_co]:
        """Return a new stream of the items."""


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Tensors whose first dimensions run over the same items; nothing is copied.

    Args:
        *tensors: Tensors or arrays of the same length.

    Raises:
        TypeError: One of them is neither.
        ValueError: There is none, or their lengths differ.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> data = tt_data.TensorDataset(tt.arange(6).reshape(3, 2), tt.tensor([0, 1, 0]))
        >>> len(data), data[1]
        (3, (tensor([2, 3]), tensor(1)))
    """

    def __init__(self, *tensors: Tensor | NDArray[Any]) -> None:
        if not tensors:
            raise ValueError("TensorDataset: expected at least one tensor")
        made = []
        for given in tensors:
            if not isinstance(given, Tensor | np.ndarray):
                raise TypeError(
                    f"TensorDataset: expected tensors or arrays, got {type(given).__name__}"
                )
            if not given.ndim:
                raise ValueError("TensorDataset: a tensor without dimensions has no items")
            made.append(given if isinstance(given, Tensor) else from_numpy(given))
        if len({len(tensor) for tensor in made}) > 1:
            lengths = ", ".join(str(len(tensor)) for tensor in made)
            raise ValueError(f"TensorDataset: expected tensors of one length, got {lengths}")
        self.tensors: tuple[Tensor, ...] = tuple(made)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int, /) -> tuple[Tensor, ...]:
        return tuple([tensor[index] for tensor in self.tensors])

    def gather(self, indices: Indices) -> tuple[Tensor, ...]:
        """Return the items of some numbers as one batch, copied by one call for each tensor."""
        return tuple([from_numpy(tensor.numpy().take(indices, 0)) for tensor in self.tensors])


class Subset(Dataset[T_co]):
    """Some items of another data set.

    Args:
        dataset: The other.
        indices: The numbers of the items in it; negative ones count from its end.

    Raises:
        IndexError: It has no item of such a number.

    Example:
        >>> import tt_data
        >>> list(tt_data.Subset("abcdef", [5, 0, 2]))
        ['f', 'a', 'c']
    """

    def __init__(self, dataset: SupportsItems[T_co], indices: Sequence[int] | Indices) -> None:
        self.dataset = dataset
        self.indices = _checked(indices, len(dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> T_co:
        return self.dataset[int(self.indices[as_number(index)])]

    def gather(self, indices: Indices) -> T_co:
        """Return the items of some numbers as one batch, gathered by the other data set."""
        batch: T_co = gather(self.dataset, self.indices[indices])
        return batch


class ConcatDataset(Dataset[T_co]):
    """Data sets one after the other.

    Args:
        datasets: At least one.

    Raises:
        ValueError: There is none.

    Example:
        >>> import tt_data
        >>> list(tt_data.ConcatDataset(["abc", "de"]))
        ['a', 'b', 'c', 'd', 'e']
    """

    def __init__(self, datasets: Sequence[SupportsItems[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one data set")
        self._ends = np.cumsum([len(dataset) for dataset in self.datasets])
        self._starts = np.concatenate([[0], self._ends[:-1]])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int, /) -> T_co:
        (i,) = _checked([as_number(index)], len(self)).tolist()
        part = int(np.searchsorted(self._ends, i, side="right"))
        return self.datasets[part][i - int(self._starts[part])]

    def gather(self, indices: Indices) -> T_co:
        """Return the items of some numbers as one batch, one gathering for each part in it."""
        indices = _checked(indices, len(self))
        parts = np.searchsorted(self._ends, indices, side="right")
        by_part = np.argsort(parts, kind="stable")
        pieces: list[T_co] = [
            gather(self.datasets[part], indices[parts == part] - self._starts[part])
            for part in np.unique(parts).tolist()
        ]
        return join(pieces, np.argsort(by_part))


def gather(dataset: SupportsItems[T], indices: Indices) -> T:
    """Return the items of some numbers as one batch."""
    if isinstance(dataset, Dataset):
        batch: T = dataset.gather(indices)
        return batch
    return default_collate([dataset[i] for i in indices.tolist()])


def holds_arrays(dataset: object) -> bool:
    """Whether a batch is gathered from arrays alone, without code of the user's."""
    if isinstance(dataset, Subset):
        return type(dataset).gather is Subset.gather and holds_arrays(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        plain = type(dataset).gather is ConcatDataset.gather
        return plain and all(map(holds_arrays, dataset.datasets))
    return isinstance(dataset, TensorDataset) and type(dataset).gather is TensorDataset.gather


def random_split(
    dataset: SupportsItems[T],
    lengths: Sequence[int] | Sequence[float],
    generator: Generator | None = None,
) -> list[Subset[T]]:
    """Split a data set at random into parts that do not overlap.

    Args:
        dataset: The data set.
        lengths: The size of each part: whole numbers with the data set's length as their sum, or
            fractions with the sum 1, rounded down, what is left over going to the first parts.
        generator: The source of the random order; the default one unless given.

    Returns:
        The parts, in the order of their sizes.

    Raises:
        ValueError: The sizes do not add up.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> train, held_out = tt_data.random_split(range(10), [0.8, 0.2], tt.Generator(0))
        >>> len(train), len(held_out), sorted([*train, *held_out]) == list(range(10))
        (8, 2, True)
    """
    total = len(dataset)
    if any(length < 0 for length in lengths):
        raise ValueError(f"random_split: expected sizes of at least 0, got {list(lengths)}")
    if all(isinstance(length, int) for length in lengths):
        sizes = [int(length) for length in lengths]
        if sum(sizes) != total:
            raise ValueError(
                f"random_split: the sizes {sizes} add up to {sum(sizes)}, the data set has {total}"
            )
    else:
        if not math.isclose(sum(lengths), 1.0, abs_tol=1e-9):
            raise ValueError(
                f"random_split: expected fractions with the sum 1, got {list(lengths)} with the "
                f"sum {sum(lengths)}"
            )
        # Of 0.1 * 3 * 10 one wants 3: floor would be a matter of rounding errors.
        sizes = [math.floor(length * total + 1e-9) for length in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    order = (generator or default_generator()).numpy.permutation(total)
    ends = np.cumsum(sizes).tolist()
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def as_number(index: object) -> int:
    """Return the number of one item as an int.

    Raises:
        TypeError: It is something else, such as a slice, several numbers or a bool.
    """
    try:
        if not isinstance(index, bool):
            return operator.index(index)  # type: ignore[arg-type]  # that is what is found out
    except TypeError:
        pass
    raise TypeError(
        f"index: expected the number of one item, got {type(index).__name__}; gather takes the "
        "numbers of several, Subset makes a data set of them"
    )


def _checked(indices: ArrayLike, length: int) -> Indices:
    """Return numbers of items as an array of non-negative ones.

    Raises:
        TypeError: They are not whole numbers.
        IndexError: One is out of range.
    """
    array = as_indices(indices)
    wrong = array[(array < -length) | (array >= length)]
    if wrong.size:
        raise IndexError(f"index: {wrong[0]} is out of range for a data set of {length} items")
    return np.where(array < 0, array + length, array)

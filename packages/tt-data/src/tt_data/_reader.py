"""How a loader makes a batch of a data set's items, or of the part of it that is one rank's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar, cast

import numpy as np

from tt_tensor import default_generator
from tt_tensor.seam import Rows, rows

from ._collate import cut, default_collate
from ._dataset import IterableDataset, SupportsItems, gather, holds_arrays
from ._sampler import Indices

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Reader(Generic[T]):
    """Makes batches of items.

    Where processes share the batches, it makes the part of one of them, and says by
    ``tt_tensor.seam.rows`` which rows those are, for what is done to the batch next. Of a part
    without rows it makes a batch of the usual structure, and empties it.

    Attributes:
        dataset: The data set.
        collate_fn: Makes a batch of a list of items, instead of `default_collate`.
        draws_later: Whether something may draw random numbers after the items were read.
        part: Returns which rows of so many are made; None for all.
        runs_code: Whether code of the user's makes the items, which may draw random numbers.
    """

    dataset: SupportsItems[Any] | IterableDataset[Any]
    collate_fn: Callable[[list[Any]], T] | None
    draws_later: bool
    part: Callable[[int], Rows] | None = None
    runs_code: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs_code", not holds_arrays(self.dataset))

    def gather(self, indices: Indices) -> T:
        """Make a batch of the items of some numbers, those of the whole batch."""
        part = None if self.part is None else self.part(len(indices))
        dataset = cast(SupportsItems[Any], self.dataset)
        if self.collate_fn is None:
            batch: T = self._read(partial(gather, dataset), cut, indices, part)
            return _narrowed(batch, part)
        items = self._read(
            lambda numbers: [dataset[i] for i in numbers.tolist()],
            lambda items, kept: items[kept],
            indices,
            part,
        )
        return self._collated(items, part)

    def collate(self, items: list[Any]) -> T:
        """Make a batch of items, those of the whole batch."""
        if self.part is None:
            return self._collated(items, None)
        part = self.part(len(items))
        return self._collated(items[part.start : part.stop] or items[:1], part)

    def _read(
        self,
        read: Callable[[Indices], R],
        keep: Callable[[R, slice], R],
        indices: Indices,
        part: Rows | None,
    ) -> R:
        """Read the items of a part; of one without rows, the first item of the batch.

        If items draw from the default generator, what they draw depends on the items before them.
        Then all items of the batch are read. Whatever they drew, what is drawn later is the same.

        Args:
            read: Reads the items of some numbers.
            keep: Takes some out of what it read.
            indices: The numbers of the whole batch.
            part: Which of them to read; None for all.
        """
        own = indices
        if part is not None:
            own = indices[part.start : part.stop] if part.size else indices[:1]
        if not self.runs_code or (part is None and not self.draws_later):
            return read(own)
        source = default_generator().numpy.bit_generator
        assert isinstance(source, np.random.PCG64)
        before = source.state
        made = read(own)
        if part is not None and 0 < part.size < part.total and source.state != before:
            source.state = before
            made = keep(read(indices), slice(part.start, part.stop))
        source.state = before
        source.advance(1 << 64)  # further than any items draw
        return made

    def _collated(self, items: list[Any], part: Rows | None) -> T:
        """Make a batch of the items of a part; of one without rows, of an item that stands in."""
        if part is not None:
            rows.set(part)
        return _narrowed((self.collate_fn or default_collate)(items), part)


def _narrowed(batch: T, part: Rows | None) -> T:
    """Return the batch of a part, without the item that stands in where it has no rows."""
    if part is None:
        return batch
    rows.set(part)
    return batch if part.size else cut(batch, slice(0))

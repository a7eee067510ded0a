"""A part of a batch: which rows it is, and random numbers as the whole batch would get them."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Rows(NamedTuple):
    """Some rows of a batch that several processes share.

    Attributes:
        start: The first of them, counted in the whole batch.
        stop: The one after the last.
        total: How many rows the whole batch has.
    """

    start: int
    stop: int
    total: int

    @property
    def size(self) -> int:
        """How many rows these are."""
        return self.stop - self.start


# The part of a batch that is computed here; None where it is all of it.
rows: ContextVar[Rows | None] = ContextVar("rows", default=None)


def share(total: int, num_replicas: int, rank: int) -> Rows:
    """Return the rows of one of several processes: neighbours, as many as of any other or one more.

    Args:
        total: How many rows the whole batch has.
        num_replicas: How many processes share them.
        rank: Which of them this is, from 0.
    """
    each, left = divmod(total, num_replicas)
    start = rank * each + min(rank, left)
    return Rows(start, start + each + (rank < left), total)


def for_rows(count: int, draw: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
    """Draw random numbers for rows of a batch; for a part of it, those that the whole would get.

    Args:
        count: How many rows to draw for: as many as the part has, or a multiple of that where each
            has become several. For a part of none: none, or those of a row that stands in.
        draw: Draws for so many rows, and returns an array with one entry for each.

    Returns:
        What was drawn for the rows asked for.

    Example:
        >>> random = np.random.default_rng(0)
        >>> whole = for_rows(5, random.random)
        >>> random, token = np.random.default_rng(0), rows.set(Rows(1, 3, total=5))
        >>> bool((for_rows(2, random.random) == whole[1:3]).all())
        True
        >>> rows.reset(token)
    """
    part = rows.get()
    if part is None:
        return draw(count)
    if part.size and count % part.size:
        return draw(count)  # not for rows of the batch
    each = count // part.size if part.size else max(count, 1)
    first = each * part.start if part.size else 0
    return draw(each * part.total)[first : first + count]


def random_for_rows(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw float32 numbers from 0 to 1 as `for_rows` does, skipping those of other rows.

    Args:
        random: The source: a PCG64, which can skip.
        shape: Of the result; its first dimension runs over rows.

    Example:
        >>> whole = random_for_rows(np.random.default_rng(0), (5, 2))
        >>> token = rows.set(Rows(1, 3, total=5))
        >>> part = random_for_rows(np.random.default_rng(0), (2, 2))
        >>> rows.reset(token)
        >>> bool((part == whole[1:3]).all())
        True
    """
    part, source = rows.get(), random.bit_generator
    if part is None:
        return random.random(shape, np.float32)
    assert isinstance(source, np.random.PCG64)
    fits = part.size > 0 and shape[0] % part.size == 0
    each = shape[0] // part.size * math.prod(shape[1:]) if fits else 0  # for a row of the batch
    before, own, after = (each * n for n in (part.start, part.size, part.total - part.stop))
    # A step of the generator makes two numbers: halves cannot be skipped.
    if not fits or before % 2 or own % 2 or after % 2 or source.state["has_uint32"]:
        return for_rows(shape[0], lambda count: random.random((count, *shape[1:]), np.float32))
    source.advance(before // 2)
    drawn = random.random(shape, np.float32)
    source.advance(after // 2)
    return drawn

"""Batches of any structure: tensors, and tuples, lists and dictionaries of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

import numpy as np

import tt_tensor
from tt_tensor.seam import Rows


def count_rows(batch: object) -> int:
    """Return how many rows a batch has: the first dimension of its first tensor.

    Raises:
        TypeError: There is no tensor in it.
    """
    for part in _leaves(batch):
        if isinstance(part, tt_tensor.Tensor | np.ndarray) and part.ndim:
            return int(part.shape[0])
    raise TypeError(
        "expected a batch of tensors whose first dimension runs over its rows, or tuples, lists "
        f"and dictionaries of them; got {type(batch).__name__}"
    )


def _leaves(batch: object) -> Iterator[object]:
    """Yield what a batch is made of."""
    if isinstance(batch, Mapping | tuple | list):
        for part in batch.values() if isinstance(batch, Mapping) else batch:
            yield from _leaves(part)
    else:
        yield batch


def take_rows(batch: Any, own: Rows) -> Any:
    """Return some rows of a batch, in its structure: of tensors, arrays and lists of strings."""
    if _is_texts(batch) and len(batch) == own.total:
        return batch[own.start : own.stop]
    if isinstance(batch, Mapping | list | tuple):
        return _rebuilt(batch, lambda part: take_rows(part, own))
    if isinstance(batch, tt_tensor.Tensor | np.ndarray) and batch.shape[:1] == (own.total,):
        return batch[own.start : own.stop]
    return batch


def _rebuilt(batch: Any, change: Callable[[Any], Any]) -> Any:
    """Return a batch of the same structure, each of whose parts was changed."""
    if isinstance(batch, Mapping):
        return {name: change(part) for name, part in batch.items()}
    parts = [change(part) for part in batch]
    return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)


def _is_texts(batch: object) -> TypeGuard[list[str | bytes]]:
    return isinstance(batch, list) and all(isinstance(each, str | bytes) for each in batch)


def stand_in(batch: Any) -> Any:
    """Return a batch of one row of zeros, in the structure of one that has none."""
    if isinstance(batch, list) and not batch:
        return [""]  # of strings
    if isinstance(batch, Mapping | list | tuple):
        return _rebuilt(batch, stand_in)
    if isinstance(batch, tt_tensor.Tensor):
        return type(batch)._wrap(np.zeros((1, *batch.shape[1:]), batch.dtype))
    if isinstance(batch, np.ndarray):
        return np.zeros((1, *batch.shape[1:]), batch.dtype)
    return batch

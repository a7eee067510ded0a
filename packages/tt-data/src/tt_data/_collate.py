"""How items become a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tt_tensor import Tensor, from_numpy, tensor

T = TypeVar("T")


def default_collate(items: Sequence[T]) -> T:
    """Make one batch of items that are alike.

    Tensors and arrays are stacked along a new first dimension, numbers become one tensor, tuples,
    lists and dictionaries are collated entry by entry, and strings stay a list of strings.

    Args:
        items: At least one item.

    Returns:
        A batch of the same structure as one item.

    Raises:
        TypeError: An item holds something else.
        ValueError: Items differ in shape or in structure.

    Example:
        >>> from tt_data import default_collate
        >>> default_collate([(1.5, "a"), (2.5, "b")])
        (tensor([1.5000, 2.5000]), ['a', 'b'])
    """
    if not items:
        raise ValueError("default_collate: expected at least one item, got none")
    return cast(T, _collate(items))


def _collate(items: Sequence[Any]) -> object:
    first = items[0]
    if isinstance(first, Tensor | np.ndarray):
        arrays = [_array(item) for item in items]
        shapes = sorted({array.shape for array in arrays})
        if len(shapes) > 1:
            raise ValueError(
                f"default_collate: expected items of one shape, got {shapes[0]} and {shapes[1]}; "
                "pass a collate_fn that pads or crops them"
            )
        return from_numpy(np.stack(arrays))
    if isinstance(first, Number | np.generic):
        return tensor(list(items))
    if isinstance(first, str | bytes):
        return list(items)
    return _entrywise(_collate, items)


def _array(item: object) -> NDArray[Any]:
    if isinstance(item, Tensor):
        return item.numpy()
    if isinstance(item, np.ndarray):
        return item
    raise ValueError(f"default_collate: an item is an array, another a {type(item).__name__}")


def join(pieces: Sequence[T], order: NDArray[np.int64]) -> T:
    """Put batches together into one, whose item ``i`` is item ``order[i]`` of them all."""
    if len(pieces) == 1:
        return pieces[0]

    def joined(parts: Sequence[Any]) -> object:
        if isinstance(parts[0], Tensor):
            return from_numpy(np.concatenate([_array(part) for part in parts])[order])
        if isinstance(parts[0], list) and all(isinstance(x, str | bytes) for x in parts[0]):
            texts = [text for part in parts for text in part]
            return [texts[i] for i in order]
        return _entrywise(joined, parts)

    return cast(T, joined(pieces))


def cut(batch: T, rows: slice) -> T:
    """Return some rows of a batch: of its tensors, arrays and lists of strings, entry by entry.

    Raises:
        TypeError: It holds something else, as only a collate function of the user's makes.
    """

    def pieces(parts: Sequence[Any]) -> object:
        (part,) = parts
        if isinstance(part, Tensor | np.ndarray):
            return part[rows] if part.ndim else part
        if isinstance(part, list) and all(isinstance(x, str | bytes) for x in part):
            return part[rows]
        if part is None or isinstance(part, Number | str):
            return part  # of the batch as a whole
        if not isinstance(part, Mapping | tuple | list):
            raise TypeError(
                f"DataLoader: cannot take rows out of a {type(part).__name__} that collate_fn "
                "made; let it return tensors, or tuples, lists and dictionaries of them"
            )
        return _entrywise(pieces, parts)

    return cast(T, pieces([batch]))


def _entrywise(function: Callable[[Sequence[Any]], object], items: Sequence[Any]) -> object:
    """Apply a function to the first entries of all items, to the second ones, and so on."""
    first = items[0]
    kind = type(first)
    if any(type(item) is not kind or len(item) != len(first) for item in items[1:]):
        raise ValueError(
            f"default_collate: expected items of one structure, got a {kind.__name__} and others"
        )
    if isinstance(first, Mapping):
        if any(item.keys() != first.keys() for item in items):
            raise ValueError("default_collate: expected dictionaries with the same keys")
        return {key: function([item[key] for item in items]) for key in first}
    if isinstance(first, tuple | list):
        entries = [function(entries) for entries in zip(*items, strict=True)]
        return kind(*entries) if hasattr(first, "_fields") else kind(entries)  # a named tuple
    raise TypeError(
        f"default_collate: cannot make a batch of {kind.__name__}; expected tensors, arrays, "
        "numbers, strings, or tuples, lists and dictionaries of them, or pass a collate_fn"
    )

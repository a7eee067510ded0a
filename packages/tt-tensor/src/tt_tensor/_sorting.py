"""Sorting: order, sorted values, the largest few."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from ._dims import OneAxis, as_int, choose_dim, wrap_one_dim
from ._indexing import gather
from ._op import Array, Op, T, apply, shape_of


def _argsort(input: Array, dim: int, descending: bool, stable: bool) -> Array:
    kind: Any = "stable" if stable else None
    if not input.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(input, axis=dim, kind=kind)
    # Reversed twice, so that equal elements keep their order when stable.
    back = np.argsort(np.flip(input, dim), axis=dim, kind=kind)
    return np.asarray(input.shape[dim] - 1 - np.flip(back, dim))


def _argtopk(input: Array, k: int, dim: int, largest: bool) -> Array:
    size = input.shape[dim] if input.ndim else 1
    if not input.ndim:
        return np.zeros((), np.int64)
    if k == 0 or k == size:
        return _first(_argsort(input, dim, largest, False), k, dim)
    # Only the k chosen ones are put in order.
    place = size - k if largest else k - 1
    chosen = np.argpartition(input, place, axis=dim)
    chosen = _first(np.flip(chosen, dim), k, dim) if largest else _first(chosen, k, dim)
    order = _argsort(np.take_along_axis(input, chosen, dim), dim, largest, False)
    return np.take_along_axis(chosen, order, dim)


def _first(array: Array, k: int, dim: int) -> Array:
    return np.asarray(array[(slice(None),) * dim + (slice(k),)])


ARGSORT = Op("argsort", _argsort)
ARGTOPK = Op("argtopk", _argtopk)


def argsort(
    input: T,
    dim: int | None = None,
    descending: bool = False,
    stable: bool = False,
    **alias: Unpack[OneAxis],
) -> T:
    """Return the indices that sort along ``dim``, the last unless given.

    Args:
        input: The values.
        dim: The dimension to sort along. NumPy's ``axis`` is accepted.
        descending: Largest first. NaN counts as largest.
        stable: Keep the order of equal elements.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: The dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.argsort(tt.tensor([3, 1, 2]))
        tensor([1, 2, 0])
    """
    chosen = choose_dim("argsort", dim, alias)
    at = wrap_one_dim("argsort", -1 if chosen is None else chosen, shape_of("argsort", input))
    return apply(ARGSORT, input, dim=at, descending=descending, stable=stable)


def sort(
    input: T,
    dim: int | None = None,
    descending: bool = False,
    stable: bool = False,
    **alias: Unpack[OneAxis],
) -> tuple[T, T]:
    """Return the values sorted along ``dim``, the last unless given, and their indices.

    Args:
        input: The values.
        dim: The dimension to sort along. NumPy's ``axis`` is accepted.
        descending: Largest first. NaN counts as largest.
        stable: Keep the order of equal elements.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: The dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> values, indices = tt.sort(tt.tensor([3.0, 1.0, 2.0]), descending=True)
        >>> values, indices
        (tensor([3., 2., 1.]), tensor([0, 2, 1]))
    """
    chosen = choose_dim("sort", dim, alias)
    at = wrap_one_dim("sort", -1 if chosen is None else chosen, shape_of("sort", input))
    indices = apply(ARGSORT, input, dim=at, descending=descending, stable=stable)
    return gather(input, at, indices), indices


def topk(
    input: T, k: int, dim: int | None = None, largest: bool = True, **alias: Unpack[OneAxis]
) -> tuple[T, T]:
    """Return the ``k`` largest (or smallest) values along ``dim``, in order, and their indices.

    Which of equal values are chosen is not specified. NaN counts as largest.

    Args:
        input: The values.
        k: How many.
        dim: The dimension to look along, the last unless given. NumPy's ``axis`` is accepted.
        largest: False for the smallest.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: The dimension is out of range.
        ValueError: ``k`` is negative or larger than the dimension.

    Example:
        >>> import tt_tensor as tt
        >>> tt.topk(tt.tensor([3.0, 1.0, 2.0]), 2)
        (tensor([3., 2.]), tensor([0, 2]))
    """
    chosen = choose_dim("topk", dim, alias)
    shape = shape_of("topk", input)
    at = wrap_one_dim("topk", -1 if chosen is None else chosen, shape)
    k, size = as_int("topk", "k", k), shape[at] if shape else 1
    if not 0 <= k <= size:
        raise ValueError(
            f"topk: expected k from 0 to {size}, the size of dimension {at} of shape {shape}, "
            f"got {k}"
        )
    indices = apply(ARGTOPK, input, k=k, dim=at, largest=largest)
    return gather(input, at, indices), indices

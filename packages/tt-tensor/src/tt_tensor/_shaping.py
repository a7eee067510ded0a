"""Shape: the same elements seen in another shape or order of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from ._dims import Axis, Dims, OneAxis, Size, choose_dim, wrap_dim_of_rows, wrap_dims, wrap_one_dim
from ._dims import sizes as read_sizes
from ._op import Array, Op, T, apply, shape_of


def _explain_reshape(input: Array, shape: tuple[int, ...], **_: Any) -> str:
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) > 1:
        return f"shape {shape} leaves more than one size to be worked out (-1)"
    if -1 in shape:
        return f"{input.size} elements do not divide into shape {shape} ({known} known)"
    return f"shape {shape} holds {known} elements, the tensor has {input.size}"


def _view(input: Array, shape: tuple[int, ...]) -> Array:
    out = input.reshape(shape)
    if input.size and not np.may_share_memory(input, out):
        raise ValueError("the memory layout allows no view of that shape; use reshape")
    return out


def _explain_view(input: Array, shape: tuple[int, ...]) -> str | None:
    try:
        input.reshape(shape)
    except ValueError:
        return _explain_reshape(input, shape)
    return None


def _expand(input: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(input, shape)


def _explain_expand(input: Array, shape: tuple[int, ...]) -> str:
    return (
        f"shape {input.shape} does not stretch to {shape}: counted from the end, each size "
        "must be equal or 1"
    )


RESHAPE = Op("reshape", lambda input, shape: input.reshape(shape), explain=_explain_reshape)
VIEW = Op("view", _view, explain=_explain_view)
PERMUTE = Op("permute", lambda input, dims: input.transpose(dims))
EXPAND = Op("expand", _expand, explain=_explain_expand)


def reshape(input: T, *shape: Size) -> T:
    """Arrange the elements, in row-major order, in another shape.

    Args:
        input: The values.
        *shape: Sizes, as ints or as one sequence; one of them may be -1: the rest.

    Returns:
        A view where the memory layout allows one, else a copy.

    Raises:
        ValueError: The shape does not hold as many elements.

    Example:
        >>> import tt_tensor as tt
        >>> tt.reshape(tt.arange(6), 2, -1)
        tensor([[0, 1, 2],
                [3, 4, 5]])
    """
    return apply(RESHAPE, input, shape=_wanted("reshape", shape))


def _wanted(name: str, shape: tuple[Size, ...]) -> tuple[int, ...]:
    wanted = read_sizes(name, shape)
    if min(wanted, default=0) < -1:  # which NumPy lets pass
        raise ValueError(
            f"{name}: shape {wanted} has a negative size; only -1 stands for 'work it out'"
        )
    return wanted


def view(input: T, *shape: Size) -> T:
    """Return the same memory in another shape, as `reshape` but never a copy.

    Args:
        input: The values.
        *shape: Sizes, as ints or as one sequence; one of them may be -1: the rest.

    Raises:
        ValueError: The shape does not fit, or the memory layout allows no view of it.

    Example:
        >>> import tt_tensor as tt
        >>> tt.view(tt.arange(4), 2, 2)
        tensor([[0, 1],
                [2, 3]])
    """
    return apply(VIEW, input, shape=_wanted("view", shape))


def flatten(input: T, start_dim: int = 0, end_dim: int = -1) -> T:
    """Join the dimensions from ``start_dim`` to ``end_dim`` into one.

    Args:
        input: The values.
        start_dim: The first dimension to join.
        end_dim: The last dimension to join.

    Raises:
        IndexError: A dimension is out of range.
        ValueError: ``start_dim`` comes after ``end_dim``; the error names both as they were given,
            as in ``"flatten: start_dim 2 comes after end_dim 1"``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.flatten(tt.zeros(2, 3, 4), 1).shape
        (2, 12)
    """
    shape = shape_of("flatten", input)
    first, last = wrap_one_dim("flatten", start_dim, shape), wrap_one_dim("flatten", end_dim, shape)
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    joined = math.prod(shape[first : last + 1])
    return apply(RESHAPE, input, shape=(*shape[:first], joined, *shape[last + 1 :]))


def unflatten(input: T, dim: int, sizes: Sequence[int]) -> T:
    """Split dimension ``dim`` into several of the given ``sizes``, one of which may be -1.

    Args:
        input: The values.
        dim: The dimension to split.
        sizes: What it is split into.

    Raises:
        IndexError: The dimension is out of range.
        ValueError: The sizes do not multiply to that of the dimension.

    Example:
        >>> import tt_tensor as tt
        >>> tt.unflatten(tt.zeros(2, 12), 1, (3, -1)).shape
        (2, 3, 4)
    """
    shape = shape_of("unflatten", input)
    at = wrap_dim_of_rows("unflatten", dim, shape)
    parts, whole = read_sizes("unflatten", (sizes,)), shape[at]
    known = math.prod(n for n in parts if n != -1)
    filled = tuple(whole // known if n == -1 and known else n for n in parts)
    if math.prod(filled) != whole or min(filled, default=0) < 0:
        raise ValueError(
            f"unflatten: sizes {parts} do not multiply to {whole}, "
            f"the size of dimension {dim} of shape {shape}"
        )
    return apply(RESHAPE, input, shape=(*shape[:at], *filled, *shape[at + 1 :]))


def permute(input: T, *dims: Size) -> T:
    """Reorder the dimensions.

    Args:
        input: The values.
        *dims: Every dimension once, in the new order, as ints or as one sequence.

    Raises:
        ValueError: ``dims`` is no permutation of the dimensions.

    Example:
        >>> import tt_tensor as tt
        >>> tt.permute(tt.zeros(2, 3, 4), 2, 0, 1).shape
        (4, 2, 3)
    """
    shape, order = shape_of("permute", input), read_sizes("permute", dims)
    wrapped = tuple(wrap_one_dim("permute", d, shape) for d in order)
    if sorted(wrapped) != list(range(len(shape))):
        raise ValueError(
            f"permute: expected each of the {len(shape)} dimensions of shape {shape} once, "
            f"got {order}"
        )
    return apply(PERMUTE, input, dims=wrapped)


def transpose(input: T, dim0: int, dim1: int) -> T:
    """Swap two dimensions (torch's meaning; `permute` reorders all).

    Args:
        input: The values.
        dim0: One dimension.
        dim1: The other.

    Raises:
        IndexError: A dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.transpose(tt.zeros(2, 3), 0, 1).shape
        (3, 2)
    """
    shape = shape_of("transpose", input)
    a, b = wrap_one_dim("transpose", dim0, shape), wrap_one_dim("transpose", dim1, shape)
    order = list(range(len(shape)))
    if order:
        order[a], order[b] = order[b], order[a]
    return apply(PERMUTE, input, dims=tuple(order))


def swapaxes(input: T, axis0: int, axis1: int) -> T:
    """Swap two dimensions; NumPy's name for `transpose`.

    Args:
        input: The values.
        axis0: One dimension.
        axis1: The other.

    Raises:
        IndexError: A dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.swapaxes(tt.zeros(2, 3), 0, 1).shape
        (3, 2)
    """
    return transpose(input, axis0, axis1)


def squeeze(input: T, dim: Dims = None, **alias: Unpack[Axis]) -> T:
    """Drop dimensions of size 1: all of them, or those of ``dim`` that have size 1.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: A dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.squeeze(tt.zeros(1, 3, 1)).shape
        (3,)
    """
    shape = shape_of("squeeze", input)
    dims = wrap_dims("squeeze", choose_dim("squeeze", dim, alias), shape)
    kept = tuple(n for d, n in enumerate(shape) if n != 1 or (dims is not None and d not in dims))
    return apply(RESHAPE, input, shape=kept)


def unsqueeze(input: T, dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    """Insert a dimension of size 1 at ``dim``.

    Args:
        input: The values.
        dim: The place of the new dimension. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: The place is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.unsqueeze(tt.zeros(3), 0).shape
        (1, 3)
    """
    shape = shape_of("unsqueeze", input)
    at = wrap_one_dim("unsqueeze", choose_dim("unsqueeze", dim, alias), (*shape, 1))
    return apply(RESHAPE, input, shape=(*shape[:at], 1, *shape[at:]))


def expand(input: T, *shape: Size) -> T:
    """Stretch dimensions of size 1, without copying; -1 keeps a size.

    Args:
        input: The values.
        *shape: Sizes, as ints or as one sequence; more than there are add leading dimensions.

    Raises:
        ValueError: A dimension that is not 1 would have to stretch.

    Example:
        >>> import tt_tensor as tt
        >>> tt.expand(tt.tensor([[1], [2]]), 2, 3)
        tensor([[1, 1, 1],
                [2, 2, 2]])
    """
    wanted, own = read_sizes("expand", shape), shape_of("expand", input)
    new = len(wanted) - len(own)
    filled = tuple(own[i - new] if n == -1 and i >= new >= 0 else n for i, n in enumerate(wanted))
    return apply(EXPAND, input, shape=filled)


def broadcast_to(input: T, shape: Sequence[int]) -> T:
    """Stretch to ``shape`` by NumPy's broadcasting, without copying.

    Args:
        input: The values.
        shape: The sizes.

    Raises:
        ValueError: The tensor's shape does not broadcast to it.

    Example:
        >>> import tt_tensor as tt
        >>> tt.broadcast_to(tt.tensor([1, 2]), (2, 2))
        tensor([[1, 2],
                [1, 2]])
    """
    shape_of("broadcast_to", input)
    return apply(EXPAND, input, shape=read_sizes("broadcast_to", (shape,)))

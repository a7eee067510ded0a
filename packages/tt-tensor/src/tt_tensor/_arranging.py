"""Arrangement: joining, cutting, padding, turning round and repeating."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import numpy as np

from ._dims import (
    Axis,
    Dims,
    OneAxis,
    Size,
    as_int,
    choose_dim,
    sizes,
    wrap_dim_of_rows,
    wrap_dims,
    wrap_one_dim,
)
from ._op import Array, Op, T, apply, shape_of


def _explain_join(*tensors: Array, dim: int) -> str | None:
    shapes = [np.shape(t) for t in tensors]
    if len({len(shape) for shape in shapes}) > 1:
        return "expected tensors with the same number of dimensions"
    if not shapes[0]:
        return "expected tensors with at least one dimension; stack joins those without"
    for shape in shapes[1:]:
        for d, (a, b) in enumerate(zip(shapes[0], shape, strict=True)):
            if a != b and d != dim:
                return f"expected equal sizes in every dimension but {dim}; in {d}: {a} and {b}"
    return None


def _explain_stack(*tensors: Array, dim: int) -> str:
    return "expected tensors of equal shape"


def _pad(input: Array, widths: tuple[tuple[int, int], ...], mode: str, value: Any) -> Array:
    if mode == "constant":
        if value and np.result_type(value, input) != input.dtype:  # 0 fits everywhere
            raise TypeError(f"expected a value that {input.dtype.name} can hold")
        return np.pad(input, widths, constant_values=value) if widths else input.copy()
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError("expected mode 'constant', 'reflect', 'replicate' or 'circular'")
    for d, (size, (low, high)) in enumerate(zip(input.shape, widths, strict=True)):
        most = size - 1 if mode == "reflect" else size
        if max(low, high) > (most if mode != "replicate" or not size else max(low, high)):
            raise ValueError(f"dimension {d} of size {size} allows a padding of at most {most}")
    named: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(input, widths, mode=named[mode])


CONCAT = Op(
    "concat",
    lambda *tensors, dim: np.concatenate(tensors, dim),
    ("*tensors",),
    explain=_explain_join,
)
STACK = Op(
    "stack", lambda *tensors, dim: np.stack(tensors, dim), ("*tensors",), explain=_explain_stack
)
PAD = Op("pad", _pad)
FLIP = Op("flip", lambda input, dims: np.flip(input, dims))
ROLL = Op("roll", lambda input, shifts, dims: np.roll(input, shifts, dims))
TILE = Op("tile", lambda input, repeats: np.tile(input, repeats))


def _joined(name: str, tensors: object) -> None:
    if not isinstance(tensors, list | tuple):
        raise TypeError(
            f"{name}: expected a list or tuple of tensors, got {type(tensors).__name__}"
        )
    if not tensors:
        raise ValueError(f"{name}: expected at least one tensor")


def concat(tensors: Sequence[T], dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    """Join tensors along the existing dimension ``dim``, the first unless given.

    Args:
        tensors: A list or tuple of tensors.
        dim: The dimension they are joined along. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        ValueError: The list is empty, or sizes differ in another dimension.

    Example:
        >>> import tt_tensor as tt
        >>> tt.concat([tt.tensor([1, 2]), tt.tensor([3])])
        tensor([1, 2, 3])
    """
    _joined("concat", tensors)
    chosen = choose_dim("concat", dim, alias)
    at = wrap_one_dim("concat", 0 if chosen is None else chosen, shape_of("concat", tensors[0]))
    return apply(CONCAT, tensors[0], *tensors[1:], dim=at)


def stack(tensors: Sequence[T], dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    """Join tensors of one shape along a new dimension ``dim``, the first unless given.

    Args:
        tensors: A list or tuple of tensors.
        dim: The place of the new dimension. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        ValueError: The list is empty, or the shapes differ.

    Example:
        >>> import tt_tensor as tt
        >>> tt.stack([tt.tensor([1, 2]), tt.tensor([3, 4])], dim=1)
        tensor([[1, 3],
                [2, 4]])
    """
    _joined("stack", tensors)
    chosen = choose_dim("stack", dim, alias)
    shape = (*shape_of("stack", tensors[0]), 1)
    at = wrap_one_dim("stack", 0 if chosen is None else chosen, shape)
    return apply(STACK, tensors[0], *tensors[1:], dim=at)


def split(
    input: T,
    split_size_or_sections: int | Sequence[int],
    dim: int | None = None,
    **alias: Unpack[OneAxis],
) -> tuple[T, ...]:
    """Cut into pieces along ``dim``; the pieces are views.

    Args:
        input: The values.
        split_size_or_sections: The size of each piece, the last of which may be smaller, or a
            list of sizes that add up to that of the dimension.
        dim: The dimension to cut, the first unless given. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        ValueError: The sizes do not add up.

    Example:
        >>> import tt_tensor as tt
        >>> [piece.tolist() for piece in tt.split(tt.arange(5), 2)]
        [[0, 1], [2, 3], [4]]
    """
    shape = shape_of("split", input)
    at = _dim_to_cut("split", dim, alias, shape)
    whole = shape[at]
    if not isinstance(split_size_or_sections, Sequence):
        step = as_int("split", "the split size", split_size_or_sections)
        if step <= 0:
            raise ValueError(f"split: expected a split size above 0, got {step}")
        lengths = [min(step, whole - i) for i in range(0, whole, step)] or [0]
    else:
        lengths = list(sizes("split", (split_size_or_sections,)))
        if sum(lengths) != whole or any(n < 0 for n in lengths):
            raise ValueError(
                f"split: sections {lengths} do not add up to {whole}, "
                f"the size of dimension {at} of shape {shape}"
            )
    before = (slice(None),) * at
    pieces, start = [], 0
    for length in lengths:
        pieces.append(input[(*before, slice(start, start + length))])
        start += length
    return tuple(pieces)


def _dim_to_cut(name: str, dim: int | None, alias: OneAxis, shape: tuple[int, ...]) -> int:
    chosen = choose_dim(name, dim, alias)
    return wrap_dim_of_rows(name, 0 if chosen is None else chosen, shape)


def chunk(input: T, chunks: int, dim: int | None = None, **alias: Unpack[OneAxis]) -> tuple[T, ...]:
    """Cut into at most ``chunks`` pieces of equal size, the last of which may be smaller.

    Args:
        input: The values.
        chunks: The number of pieces; fewer where the size is less.
        dim: The dimension to cut, the first unless given. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        ValueError: ``chunks`` is not above 0.

    Example:
        >>> import tt_tensor as tt
        >>> [piece.tolist() for piece in tt.chunk(tt.arange(5), 2)]
        [[0, 1, 2], [3, 4]]
    """
    count = as_int("chunk", "chunks", chunks)
    if count <= 0:
        raise ValueError(f"chunk: expected chunks above 0, got {count}")
    shape = shape_of("chunk", input)
    at = _dim_to_cut("chunk", dim, alias, shape)
    return split(input, max(1, -(-shape[at] // count)), at)


def unbind(input: T, dim: int | None = None, **alias: Unpack[OneAxis]) -> tuple[T, ...]:
    """Return the slices along ``dim``, without that dimension; the first unless given.

    Args:
        input: The values.
        dim: The dimension to take apart. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: The dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> [row.tolist() for row in tt.unbind(tt.tensor([[1, 2], [3, 4]]))]
        [[1, 2], [3, 4]]
    """
    shape = shape_of("unbind", input)
    at = _dim_to_cut("unbind", dim, alias, shape)
    before = (slice(None),) * at
    return tuple(input[(*before, i)] for i in range(shape[at]))


def pad(
    input: T,
    pad: Sequence[int],
    mode: Literal["constant", "reflect", "replicate", "circular"] = "constant",
    value: float = 0,
) -> T:
    """Add elements before and after, in torch's order: the last dimension first.

    Args:
        input: The values.
        pad: ``(left, right)`` of the last dimension, then of the one before it, and so on.
            Negative widths cut.
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        value: What ``"constant"`` fills in.

    Raises:
        ValueError: The widths do not come in pairs, are too many, or cut more than there is.

    Example:
        >>> import tt_tensor as tt
        >>> tt.pad(tt.tensor([1, 2]), (1, 2))
        tensor([0, 1, 2, 0, 0])
    """
    shape = shape_of("pad", input)
    given = sizes("pad", (pad,))
    if len(given) % 2 or len(given) > 2 * len(shape):
        raise ValueError(
            f"pad: expected up to {len(shape)} pairs of widths for shape {shape}, got {given}"
        )
    pairs = [(given[i], given[i + 1]) for i in range(0, len(given), 2)][::-1]
    widths = [(0, 0)] * (len(shape) - len(pairs)) + pairs
    if any(n + low + high < 0 for n, (low, high) in zip(shape, widths, strict=True)):
        raise ValueError(f"pad: widths {given} cut more than shape {shape} has")
    if any(n < 0 for n in given):
        cut = tuple(
            slice(max(-low, 0), n + min(high, 0))
            for n, (low, high) in zip(shape, widths, strict=True)
        )
        input = input[cut]
        widths = [(max(low, 0), max(high, 0)) for low, high in widths]
    return apply(PAD, input, widths=tuple(widths), mode=mode, value=value)


def flip(input: T, dims: Dims = None, **alias: Unpack[Axis]) -> T:
    """Reverse the order along ``dims``, all dimensions unless given.

    Args:
        input: The values.
        dims: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: A dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.flip(tt.tensor([1, 2, 3]), 0)
        tensor([3, 2, 1])
    """
    at = wrap_dims("flip", choose_dim("flip", dims, alias), shape_of("flip", input))
    return apply(FLIP, input, dims=at)


def roll(input: T, shifts: Size, dims: Dims = None, **alias: Unpack[Axis]) -> T:
    """Shift elements along ``dims``; what leaves at one end comes in at the other.

    Args:
        input: The values.
        shifts: Places to move, an int for each dimension.
        dims: Dimensions; None rolls the flattened tensor.
        **alias: NumPy's name ``axis``.

    Raises:
        ValueError: There are not as many shifts as dimensions.

    Example:
        >>> import tt_tensor as tt
        >>> tt.roll(tt.tensor([1, 2, 3]), 1)
        tensor([3, 1, 2])
    """
    places = sizes("roll", (shifts,))
    at = wrap_dims("roll", choose_dim("roll", dims, alias), shape_of("roll", input))
    if len(places) != (1 if at is None else len(at)):
        raise ValueError(f"roll: expected as many shifts as dims, got {places} and {at}")
    if at is None:
        return apply(ROLL, input, shifts=places[0], dims=None)
    return apply(ROLL, input, shifts=places, dims=at)


def tile(input: T, *dims: Size) -> T:
    """Repeat the whole tensor along each dimension; missing leading repeats count as 1.

    Args:
        input: The values.
        *dims: How many times along each dimension, as ints or as one sequence.

    Raises:
        ValueError: A number is negative.

    Example:
        >>> import tt_tensor as tt
        >>> tt.tile(tt.tensor([1, 2]), 2)
        tensor([1, 2, 1, 2])
    """
    repeats = sizes("tile", dims)
    if any(n < 0 for n in repeats):
        raise ValueError(f"tile: expected repeats of at least 0, got {repeats}")
    return apply(TILE, input, repeats=repeats)


def repeat(input: T, *repeats: Size) -> T:
    """Repeat the whole tensor (torch's meaning), with a number for every dimension.

    Args:
        input: The values.
        *repeats: How many times along each dimension, as ints or as one sequence; more numbers than
            dimensions add leading ones.

    Raises:
        ValueError: Fewer numbers than dimensions were given, or a negative one.

    Example:
        >>> import tt_tensor as tt
        >>> tt.repeat(tt.tensor([1, 2]), 2, 1)
        tensor([[1, 2],
                [1, 2]])
    """
    counts, shape = sizes("repeat", repeats), shape_of("repeat", input)
    if len(counts) < len(shape) or any(n < 0 for n in counts):
        raise ValueError(
            f"repeat: expected at least {len(shape)} repeats of at least 0 for shape {shape}, "
            f"got {counts}"
        )
    return apply(TILE, input, repeats=counts)

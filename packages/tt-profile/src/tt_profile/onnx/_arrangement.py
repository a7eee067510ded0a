"""Converters of ops that move values: shapes, joins, indexing, sorting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._elementwise import Converter
from ._graph import BOOL, FLOAT, INT, Graph, Operand, Value
from ._sizes import Batch, Size

_END = 2**62  # beyond any dimension: a slice that goes to its end
_START = -(2**62)  # before any: one that goes back to its beginning


def _reshape(g: Graph, input: Value, shape: Sequence[Size]) -> Value | str:
    return input if input.shape == g.shape else g.reshaped(input, g.shape)


def _permute(g: Graph, input: Value, dims: Sequence[int]) -> Value | str:
    if not dims:
        return input
    return g.permuted(input, *[d % len(g.shape) for d in dims])


def _expand(g: Graph, input: Value, shape: Sequence[Size]) -> str:
    return g.node("Expand", input, g.vector(g.shape))


def _concat(g: Graph, *tensors: Value, dim: int) -> Value | str:
    parts = [g.cast(each, g.dtype) for each in tensors]
    return g.node("Concat", *parts, axis=dim) if len(parts) > 1 else parts[0]


def _stack(g: Graph, *tensors: Value, dim: int) -> str:
    parts = [g.node("Unsqueeze", g.cast(each, g.dtype), g.ints(dim)) for each in tensors]
    return g.node("Concat", *parts, axis=dim)


def _pad(
    g: Graph, input: Value, widths: Sequence[tuple[int, int]], mode: str, value: Operand
) -> Value | str:
    if not any(map(any, widths)):
        return input
    lows, highs = zip(*widths, strict=True)
    pads = g.ints(*lows, *highs)
    if mode == "constant":
        return g.node("Pad", input, pads, g.operand(value, input.dtype))
    named = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return g.node("Pad", input, pads, mode=named[mode])


def _flip(g: Graph, input: Value, dims: Sequence[int] | None) -> Value | str:
    name: Value | str = input
    for d in range(len(g.shape)) if dims is None else dims:
        name = g.sliced(name, d, _END, _START, -1)
    return name


def _roll(g: Graph, input: Value, shifts: Any, dims: Sequence[int] | None) -> Value | str:
    if dims is None:
        whole: Size = _product(g, input.shape)
        flat = _rolled(g, g.reshaped(input, (whole,)), whole, shifts, 0)
        return g.reshaped(flat, g.shape)
    name: Value | str = input
    for shift, d in zip(shifts, dims, strict=True):
        name = _rolled(g, name, g.shape[d], shift, d)
    return name


def _rolled(g: Graph, name: Value | str, size: Size, shift: int, dim: int) -> str:
    """Return values whose place is that of the value ``shift`` before, around the end."""
    if isinstance(size, Batch):
        number = g.size(size)
        places = g.node("Range", g.scalar(0, INT), number, g.scalar(1, INT))
        moved = g.node("Sub", places, g.scalar(shift, INT))
        return g.node("Gather", name, g.node("Mod", moved, number), axis=dim)
    return g.node("Gather", name, g.ints(*((np.arange(size) - shift) % max(size, 1))), axis=dim)


def _product(g: Graph, sizes: Sequence[Size]) -> Size:
    """Return how many elements there are."""
    fixed, factors = 1, []
    for n in sizes:
        if isinstance(n, Batch):
            factors.append(n.factor)
        else:
            fixed *= n
    if len(factors) > 1:
        raise g.refuse("several dimensions follow the batch, so that their product is no multiple")
    return Batch(factors[0] * fixed) if factors else fixed


def _tile(g: Graph, input: Value, repeats: Sequence[Size]) -> str:
    count = max(len(repeats), len(input.shape))
    own = (1,) * (count - len(input.shape)) + input.shape
    each = (1,) * (count - len(repeats)) + tuple(repeats)
    whole = input if len(own) == len(input.shape) else g.reshaped(input, own)
    return g.node("Tile", whole, g.vector(each))


# Indexing


def _getitem(g: Graph, input: Value, index: Any) -> Value | str:
    parts = list(index) if isinstance(index, tuple) else [index]
    chosen = [part for part in parts if isinstance(part, Value)]
    if any(isinstance(part, bool) for part in parts) or any(x.dtype == BOOL for x in chosen):
        raise g.refuse(
            "how many elements a mask of bools selects is known only when the values are; use "
            "where, or multiply by the mask"
        )
    if len(chosen) > 1:
        raise g.refuse("expected at most one tensor in an index; index one dimension at a time")
    if chosen and any(isinstance(part, int | Batch) for part in parts):
        raise g.refuse("expected no ints beside a tensor in an index; take them one after another")
    return _indexed(g, input, _without_dots(parts, len(input.shape)))


def _without_dots(parts: list[Any], ndim: int) -> list[Any]:
    """Return a part for each dimension, and None for each new one."""
    used = sum(part is not None and part is not Ellipsis for part in parts)
    at = next((i for i, part in enumerate(parts) if part is Ellipsis), len(parts))
    return [*parts[:at], *[slice(None)] * (ndim - used), *parts[at + 1 :]]


def _indexed(g: Graph, input: Value, parts: list[Any]) -> Value | str:
    name: Value | str = input
    sizes = iter(input.shape)
    taken: list[int] = []  # dimensions to take away
    new: list[int] = []  # those of the output that are new
    dim = 0
    for part in parts:
        if part is None:
            new.append(dim - len(taken) + len(new))
            continue
        size = next(sizes)
        if isinstance(part, slice):
            name = _cut(g, name, part, size, dim)
        elif isinstance(part, Value):
            name = g.node("Gather", name, g.cast(part, INT), axis=dim)
            dim += len(part.shape) - 1
        else:
            if isinstance(part, Batch):
                raise g.refuse("the index depends on the batch size; count it from the end")
            name = g.sliced(name, dim, part, part + 1 if part != -1 else _END)
            taken.append(dim)
        dim += 1
    if taken:
        name = g.node("Squeeze", name, g.ints(*taken))
    return g.node("Unsqueeze", name, g.ints(*new)) if new else name


def _cut(g: Graph, name: Value | str, part: slice, size: Size, dim: int) -> Value | str:
    """Return a slice of a dimension."""
    step = 1 if part.step is None else part.step
    first, last = (0, _END) if step > 0 else (_END, _START)
    start = first if part.start is None else part.start
    stop = last if part.stop is None or (part.stop == size and step > 0) else part.stop
    if (start, stop, step) == (0, _END, 1):
        return name
    if isinstance(start, Batch) or isinstance(stop, Batch):
        ends = g.vector([start]), g.vector([stop])
        return g.node("Slice", name, *ends, g.ints(dim), g.ints(step))
    return g.sliced(name, dim, start, stop, step)


def _gather(g: Graph, input: Value, index: Value, dim: int) -> Value | str:
    if not input.shape:
        return input
    return g.node("GatherElements", input, g.cast(index, INT), axis=dim)


def _scatter_add(g: Graph, input: Value, index: Value, src: Value, dim: int) -> str:
    onto, values = g.cast(input, g.dtype), g.cast(src, g.dtype)
    if not input.shape:
        return g.node("Add", onto, values)
    return g.node("ScatterElements", onto, g.cast(index, INT), values, axis=dim, reduction="add")


def _take(g: Graph, input: Value, index: Value) -> str:
    flat = g.reshaped(input, (_product(g, input.shape),))
    return g.node("Gather", flat, g.cast(index, INT), axis=0)


def _index_select(g: Graph, input: Value, index: Value, dim: int) -> str:
    return g.node("Gather", input, g.cast(index, INT), axis=dim)


def _one_hot(g: Graph, input: Value, num_classes: int) -> str:
    if num_classes == -1:
        raise g.refuse("how many classes there are depends on the values; pass num_classes")
    return g.node("OneHot", g.cast(input, INT), g.ints(num_classes), g.ints(0, 1), axis=-1)


def _triangle(upper: int) -> Converter:
    def convert(g: Graph, input: Value, diagonal: int) -> Value:
        dtype = input.dtype if input.dtype in (FLOAT, INT, BOOL) else INT
        name = g.node("Trilu", g.cast(input, dtype), g.scalar(diagonal, INT), upper=upper)
        return g.cast(Value(name, g.shape, dtype), g.dtype)

    return convert


# Sorting


def _top(g: Graph, input: Value, k: Size, dim: int, largest: bool) -> Value | str:
    if not input.shape:
        return g.scalar(0, INT)
    values = input if input.dtype in (FLOAT, INT) else g.cast(input, INT)
    _, places = g.split("TopK", 2, values, g.vector([k]), axis=dim, largest=int(largest))
    return places


def _argsort(g: Graph, input: Value, dim: int, descending: bool, stable: bool) -> Value | str:
    return _top(g, input, g.shape[dim] if g.shape else 1, dim, descending)


def _argtopk(g: Graph, input: Value, k: int, dim: int, largest: bool) -> Value | str:
    return _top(g, input, k, dim, largest)


ARRANGEMENT: dict[str, Converter] = {
    "reshape": _reshape,
    "view": _reshape,
    "permute": _permute,
    "expand": _expand,
    "concat": _concat,
    "stack": _stack,
    "pad": _pad,
    "flip": _flip,
    "roll": _roll,
    "tile": _tile,
    "getitem": _getitem,
    "gather": _gather,
    "scatter_add": _scatter_add,
    "take": _take,
    "index_select": _index_select,
    "one_hot": _one_hot,
    "tril": _triangle(0),
    "triu": _triangle(1),
    "argsort": _argsort,
    "argtopk": _argtopk,
}

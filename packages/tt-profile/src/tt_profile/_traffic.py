"""Bytes that an op must move, counted from the arrays it was given and gave.

Each array is read once and each result written once: what caches save where a kernel goes over an
array again, and what a blocked product reads again, is not seen. A view moves nothing, and of a
table only the rows that are picked count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import RULES, Op
from tt_autograd.seam import identity
from tt_tensor import OpEvent

from ._flops import FREE, Call

Array = NDArray[Any]

# Their results are views, and so are their gradients.
VIEWS = frozenset({"reshape", "view", "permute", "flip", "batch_first", "expand"})
PARTS = frozenset({"concat", "stack", "pad"})  # whose gradients are views
PICKS = frozenset({"getitem", "gather", "take", "index_select", "embedding"})


def forward_bytes_of(event: OpEvent) -> int:
    """Bytes that a forward op reads and writes."""
    out = event.output
    if out is None:
        return 0
    name, inputs = event.op.name, event.inputs
    if name == "setitem":
        index = event.params["index"]
        whole = 0 if out is inputs[0] else inputs[0].nbytes + out.nbytes  # copied beforehand
        return whole + _all_bytes((*inputs[1:], index)) + _picked(out, index)
    if name in FREE and any(np.may_share_memory(out, x) for x in inputs if _is_array(x)):
        return 0
    if name in PICKS:
        table = inputs[1] if name == "embedding" else inputs[0]
        indices = (value for value in (*inputs, *event.params.values()) if value is not table)
        return 2 * out.nbytes + _all_bytes(indices)
    if "cache" in event.params:  # reads the keys and values of all positions so far
        cache = event.params["cache"]
        read = sum(int(part[:, :, : cache.length].nbytes) for part in cache.room)
        return _all_bytes(inputs) + read + out.nbytes
    return _all_bytes((*inputs, *event.params.values())) + out.nbytes


def backward_bytes_of(call: Call, event: OpEvent) -> int:
    """Bytes that the derivative of one call reads and writes.

    Args:
        call: The forward call.
        event: The backward event that is of this call.
    """
    g: Array = event.inputs[0]
    name = call.name
    if name in VIEWS or name in PARTS:
        return sum(
            g.nbytes + _size(shape, g)
            for shape, needed in zip(call.shapes, event.needs, strict=True)
            if name == "expand" and needed and shape != call.out
        )
    if name in ("sum", "mean"):  # the gradient is the same number all over: a view
        return 2 * g.nbytes * (name == "mean")
    written = 0
    for i, needed in enumerate(event.needs):
        passed_on = _passed_on(event.op, i)
        if needed and not (passed_on and call.shapes[i] == g.shape):
            written += _size(call.shapes[i], g)
    return g.nbytes + _all_bytes(event.inputs[1:]) + written if written else 0


def arrays_in(values: Iterable[object]) -> Iterator[Array]:
    """Go over the arrays among some values, and in tuples among them."""
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, tuple):
            yield from arrays_in(value)


def memory_of(array: Array) -> Array:
    """Return the array that owns the memory of ``array``."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)


def _all_bytes(values: Iterable[object]) -> int:
    """Bytes of the arrays among some values, each array once."""
    return sum(map(_stored, {id(array): array for array in arrays_in(values)}.values()))


def _picked(array: Array, index: Any) -> int:
    """Bytes of the elements that an index names, without a copy of them."""
    places = np.broadcast_to(np.False_, array.shape)[index]
    return int(places.size * array.itemsize)


def _stored(array: Array) -> int:
    """Bytes that an array has in memory: those along which it is only stretched count once."""
    if all(array.strides):
        return int(array.nbytes)
    lengths = zip(array.shape, array.strides, strict=True)
    return int(array.itemsize * math.prod(length for length, stride in lengths if stride))


def _size(shape: tuple[int, ...], like: Array) -> int:
    return math.prod(shape) * like.itemsize


def _passed_on(op: Op, index: int) -> bool:
    """Whether an input's gradient is that of the output, which need not be touched."""
    rule = RULES.get(op)
    if rule is None or rule.joint is not None or rule.each is not None:
        return False
    return rule.vjps.get(op.inputs[index]) is identity

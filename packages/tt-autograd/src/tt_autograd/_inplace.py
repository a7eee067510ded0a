"""What changes in place are refused, and which values they leave without a fitting history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tt_tensor import Op, ops

from ._modes import replaying
from ._tape import Change, Leaf, Node, Written, changes, layout, memory_of

if TYPE_CHECKING:
    from ._tensor import Tensor


def with_own_index(params: dict[str, Any]) -> dict[str, Any]:
    """Copy the arrays of an index, which their owner may change before backward."""
    index = params["index"]
    if isinstance(index, tuple):
        return {"index": tuple([p.copy() if isinstance(p, np.ndarray) else p for p in index])}
    return {"index": index.copy()} if isinstance(index, np.ndarray) else params


def written(op: Op, target: Tensor, params: dict[str, Any], *, recorded: bool) -> Written | None:
    """Return the part of a tensor that indexed writing overwrites; None for other ops."""
    if op is not ops.SETITEM:
        return None
    try:
        part = target._array[params["index"]]
    except IndexError:
        return None  # worded by the op
    return (layout(part), recorded) if isinstance(part, np.ndarray) else None


def change_behind(value: Tensor, apart_from: Written | None = None) -> Change | None:
    """Return a change in place of a tensor's memory that its history does not know of."""
    node = value._node
    if isinstance(node, Node):
        return changes.find(value._array, node.number, apart_from=apart_from)
    if not changes.tracked:
        return None
    # A constant, or a leaf: what untracked code does to it is no part of any history.
    since = node.number if node is not None else value._born
    return changes.find(value._array, since, tracked_only=True, apart_from=apart_from)


def stale(change: Change, value: Tensor) -> str:
    """Word what is wrong with a tensor whose memory was changed."""
    return (
        f"{change} changed the memory of a tensor of shape {value.shape} in place through "
        "another view of it, so that its recorded history no longer fits; take the view again "
        "after the change, or change a clone()"
    )


def refuse_stale(op: Op, inputs: tuple[Any, ...], apart_from: Written | None = None) -> None:
    """Refuse an input whose memory was changed through another tensor since its history ends."""
    replay = replaying.get()
    for i, value in enumerate(inputs):
        node = getattr(value, "_node", False)
        if node is False:
            continue  # no differentiable tensor
        if replay is None and (
            node.number > changes.latest if isinstance(node, Node) else not changes.tracked
        ):
            continue  # as nearly always: nothing has changed that would count
        array = value._array
        if id(array if array.base is None else memory_of(array)) not in changes.by_owner:
            continue
        change = change_behind(value, apart_from if i == 0 else None)
        if change is not None:
            raise RuntimeError(f"{op.name}: {stale(change, value)}")
        if replay is not None:
            change = changes.find(array, *replay)
            if change is not None:
                raise RuntimeError(
                    f"{op.name}: backward of checkpoint runs its function again and needs a "
                    f"value of shape {value.shape} that {change} changed in place since the "
                    "first run; change a clone() instead, or run backward first"
                )


def refuse_inplace(op: Op, target: Tensor) -> None:
    """Refuse to change a leaf in place, itself or through a view of it."""
    node = target._node
    if isinstance(node, Leaf):
        raise RuntimeError(
            f"{op.name}_: a leaf that requires grad cannot be changed in place while ops are "
            "recorded; do it under no_grad(), or make a new tensor"
        )
    while isinstance(node, Node) and node.op in _VIEWS:
        node = node.parents[0] if node.parents else None
    if isinstance(node, Leaf) and node.memory() is memory_of(target._array):
        raise RuntimeError(
            f"{op.name}_: this tensor is a view of a leaf that requires grad, which cannot "
            "be changed in place while ops are recorded; do it under no_grad(), or clone() "
            "the leaf first"
        )


# Ops whose result may share its input's memory
_VIEWS = {ops.RESHAPE, ops.VIEW, ops.PERMUTE, ops.EXPAND, ops.GETITEM, ops.FLIP, ops.EINSUM}

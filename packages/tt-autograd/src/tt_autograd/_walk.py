"""Backward: from results to causes, by falling number, each node once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from heapq import heappop, heappush
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tt_tensor import OpEvent, ops
from tt_tensor.seam import observers

from ._modes import always_grad, anomaly, no_grad, prompt, visited
from ._rules import identity
from ._tape import Hook, Leaf, Node, SegmentOutput, Value, changes, describe

if TYPE_CHECKING:
    from ._tensor import Tensor

Target = Node | Leaf


def unbroadcast(g: Value, shape: tuple[int, ...], name: str) -> Value:
    """Sum a gradient over the dimensions along which its value was stretched.

    Args:
        g: The gradient: an array, or a tensor when it is itself to be differentiated.
        shape: The shape of the value, which the result has.
        name: The name of the op that the gradient is from.

    Raises:
        RuntimeError: No stretching of ``shape`` gives that of ``g``, as in ``"the derivative of mul
            gave a gradient of shape (5, 5) for an input of shape (3,)"``.
    """
    full = g.shape
    extra = len(full) - len(shape)
    if extra == 1 and len(full) == 2 and full[1:] == shape and type(g) is np.ndarray:
        # A bias, most often. As a product with ones it takes half the time of a sum.
        return _ones(full[0], g.dtype) @ g if g.dtype.char in "fd" else np.add.reduce(g, 0)
    if extra > 0:
        g = g.sum(axis=tuple(range(extra)))
    stretched = tuple(d for d, n in enumerate(shape) if n != full[extra + d]) if extra >= 0 else ()
    if extra < 0 or any(shape[d] != 1 for d in stretched):
        raise RuntimeError(
            f"the derivative of {name} gave a gradient of shape {full} for an input of "
            f"shape {shape}"
        )
    if stretched:
        g = g.sum(axis=stretched, keepdims=True)
    return np.asarray(g) if isinstance(g, np.generic) else g  # a sum over all is no array


@lru_cache(maxsize=16)
def _ones(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.ones(count, dtype)


def walk(
    roots: Sequence[tuple[Target, Value]],
    *,
    retain: bool,
    record: bool,
    wanted: Sequence[Target] | None = None,
    accumulate: bool = False,
) -> dict[Target, Value]:
    """Carry gradients from ``roots`` back through the graph.

    Args:
        roots: Nodes and the gradients they start with: arrays, or tensors with ``record``.
        retain: Keep what the nodes saved, for another walk.
        record: Run the derivatives on tensors, so that they are recorded in their turn.
        wanted: Nodes whose gradients to return; None adds those of leaves to ``leaf.grad``.
        accumulate: Add those of the wanted leaves, too.

    Returns:
        The gradients of ``wanted``.
    """
    # Slopes may be infinite where values are not, as sqrt's at 0; detect_anomaly finds NaN.
    quiet = np.errstate(divide="ignore", invalid="ignore", over="ignore")
    with quiet, always_grad() if record else no_grad():
        return _Walk(retain, record, wanted, accumulate or wanted is None).run(roots)


def last_uses(roots: Sequence[tuple[Target, Value]]) -> dict[int, list[Leaf]] | None:
    """Return the leaves that a hook waits for, by the number of the node that backward ends with.

    A leaf's gradient is whole once that node has been visited, the earliest that used it. None
    where this cannot be told, as a checkpoint's segment does not show what it used.
    """
    earliest: dict[Leaf, int] = {}
    seen = {target for target, _ in roots}
    waiting = list(seen)
    while waiting:
        node = waiting.pop()
        if isinstance(node, Leaf):
            continue
        if node.plan is None:
            return None
        for parent in node.parents:
            if type(parent) is Leaf:
                if parent.watched is not None and parent.watched.after:
                    earliest[parent] = min(node.number, earliest.get(parent, node.number))
            elif parent is not None and parent not in seen:
                seen.add(parent)
                waiting.append(parent)
    found: dict[int, list[Leaf]] = {}
    for leaf, number in earliest.items():
        found.setdefault(number, []).append(leaf)
    return found


class _Walk:
    __slots__ = (
        "accumulate", "found", "grads", "heap", "lowest", "owned", "record", "retain", "wanted",
    )  # fmt: skip

    def __init__(
        self, retain: bool, record: bool, wanted: Sequence[Target] | None, accumulate: bool
    ) -> None:
        self.retain = retain
        self.record = record
        self.accumulate = accumulate
        self.wanted = None if wanted is None else set(wanted)
        self.lowest = min((node.number for node in wanted), default=0) if wanted else 0
        self.grads: dict[Target, Value] = {}
        self.owned: set[Target] = set()  # whose gradient is an array that nothing else refers to
        self.heap: list[tuple[int, Node]] = []  # nodes to visit, latest first
        self.found: dict[Target, Value] = {}

    def run(self, roots: Sequence[tuple[Target, Value]]) -> dict[Target, Value]:
        for node, g in roots:
            self.add(node, g)
        heap, grads, owned = self.heap, self.grads, self.owned
        record, retain, lowest = self.record, self.retain, self.lowest
        selective = self.wanted is not None
        watching, told, strict = observers.get(), visited.get(), anomaly.get()
        tensor = _tensor_class()
        whole = None if record or selective or not prompt.get() else last_uses(roots)
        kind: type[Any] = tensor if record else np.ndarray
        following: Node | None = None  # the latest node, kept out of the heap: chains need none
        while True:
            if following is None:
                if not heap:
                    break
                node = heappop(heap)[1]
            else:
                node, following = following, None
            g = grads.pop(node, None)
            if g is None:
                continue  # went along with another output of its segment
            if selective or node.watched is not None:
                g = self.visit(node, g)
            plan = node.plan
            if plan is None:
                self.expand(node, g)
                continue
            start = perf_counter() if watching else 0.0
            parents, saved = node.parents, node.saved
            if saved:
                if changes.latest > node.number:
                    node.check_unchanged()
                if record:
                    saved = lift(node)
            pieces: Any = None
            if record and plan.rule.composite is not None:
                pieces = _through_composite(node, g, saved)
            elif plan.joint is not None:
                vjp, sources = plan.joint
                pieces = _apart(node, vjp(g, *node.arguments(0, sources, saved)))
            for i, vjp, sources in plan.steps:
                parent = parents[i]
                if vjp is identity:
                    piece, shape, dtype = g, node.shape, node.dtype
                else:
                    if pieces is not None:
                        piece = pieces[i]
                    elif sources:
                        piece = vjp(g, *node.arguments(i, sources, saved))
                    else:
                        piece = vjp(g)
                    if type(piece) is not kind:
                        piece = np.asarray(piece)
                        piece = tensor._wrap(piece) if record else piece
                    shape, dtype = piece.shape, piece.dtype
                    if strict:
                        _refuse_nan(node, i, piece)
                if shape != parent.shape:
                    piece = unbroadcast(piece, parent.shape, node.op.name)
                if dtype is not parent.dtype and dtype != parent.dtype:
                    piece = ops.CAST(piece, dtype=parent.dtype)
                # As add() does; written out, for it runs on every edge of every graph.
                before = grads.get(parent)
                if before is None:
                    number = parent.number
                    if number < lowest:
                        continue
                    grads[parent] = piece
                    if type(parent) is not Leaf:
                        if heap and -heap[0][0] > number:
                            heappush(heap, (-number, parent))
                        elif following is None:
                            following = parent
                        elif number > following.number:
                            heappush(heap, (-following.number, following))
                            following = parent
                        else:
                            heappush(heap, (-number, parent))
                    if piece is not g and not record and piece.base is None:
                        owned.add(parent)
                elif parent in owned:
                    np.add(before, piece, before)
                else:
                    total = before + piece
                    if not record:
                        total = total if type(total) is kind else np.asarray(total)
                        owned.add(parent)
                    grads[parent] = total
            if told is not None:
                told(node.number)
            if watching:
                seconds = perf_counter() - start
                shapes = tuple([() if p is None else p.shape for p in parents])
                event = OpEvent(
                    node.op, (g, *node.saved), None, node.params, "backward", seconds, shapes,
                    plan.needs, node.number,
                )  # fmt: skip
                for callback in watching:
                    callback(event)
            if whole:
                for leaf in whole.pop(node.number, ()):
                    if leaf in grads:
                        self.finish(leaf, grads.pop(leaf))
            if not retain:
                node.plan, node.saved, node.parents = None, (), ()
        saved = ()  # lets go of what the last node kept
        for target, g in grads.items():
            assert isinstance(target, Leaf)
            if record or selective or target.watched is not None or target.grad is not None:
                self.finish(target, g)
            else:
                target.grad = tensor._wrap(g if target in owned else g.copy("K"))
        return self.found

    def add(self, target: Target, g: Value) -> None:
        """Add a gradient, which others may refer to, to what a node has received so far."""
        before = self.grads.get(target)
        if before is not None:
            self.grads[target] = before + g if self.record else np.asarray(before + g)
            if not self.record:
                self.owned.add(target)
        elif target.number >= self.lowest:
            if isinstance(target, Node):
                heappush(self.heap, (-target.number, target))
            self.grads[target] = g

    def visit(self, node: Target, g: Value) -> Value:
        """Run a node's hooks on its gradient, and keep the gradient where that was asked for."""
        watched = node.watched
        if watched is not None:
            for hook in list(watched.hooks.values()):
                g = self.call(hook, node, g)
        if self.wanted is not None and node in self.wanted:
            self.found[node] = g
        if watched is not None and watched.retains:
            watched.grad = g if self.record else _tensor_class()._wrap(g.copy())
        return g

    def call(self, hook: Hook, node: Target, g: Value) -> Value:
        """Return the gradient that a hook makes of a copy of its own."""
        tensor = _tensor_class()
        given = g.clone() if self.record else tensor._wrap(g.copy())
        changed = hook(given)
        if changed is None:
            changed = given
        if not isinstance(changed, tensor):
            raise TypeError(f"hook: expected a tensor or None, got {type(changed).__name__}")
        if changed.shape != node.shape:
            raise ValueError(
                f"hook: expected a gradient of shape {node.shape}, got {changed.shape}"
            )
        changed = changed.to(node.dtype)
        self.owned.discard(node)
        return changed if self.record else changed._array

    def finish(self, leaf: Leaf, g: Value) -> None:
        """Hand a leaf its gradient, now that every part of it has come."""
        g = self.visit(leaf, g)
        if not self.accumulate or (self.wanted is not None and leaf not in self.wanted):
            return
        tensor = _tensor_class()
        if leaf.grad is None:
            leaf.grad = g if self.record else tensor._wrap(g if leaf in self.owned else g.copy("K"))
        elif self.record or leaf.grad.requires_grad:
            leaf.grad = leaf.grad + (g if self.record else tensor._wrap(g))
        else:
            leaf.grad += g
        if leaf.watched is not None:
            for callback in list(leaf.watched.after.values()):
                callback()

    def expand(self, node: Node, g: Value) -> None:
        """Let a segment go backward by itself, with the gradients of all its outputs."""
        segment = node.segment if isinstance(node, SegmentOutput) else None
        if segment is None or not isinstance(node, SegmentOutput):
            raise RuntimeError(
                f"backward has already passed {node.op.name} and released what it saved; "
                "call backward(retain_graph=True) the first time"
            )
        given = {node.index: g}
        outputs = [output for alive in segment.outputs if (output := alive()) is not None]
        for other in outputs:
            if other is not node and other in self.grads:
                given[other.index] = self.visit(other, self.grads.pop(other))
        start = perf_counter()
        for target, piece in segment.expand(given, self.record):
            if anomaly.get():
                _refuse_nan(node, None, piece)
            self.add(target, piece)
        for callback in observers.get() or ():  # after those of the ops that it ran
            seconds, inputs = perf_counter() - start, tuple(given.values())
            callback(
                OpEvent(node.op, inputs, None, {}, "backward", seconds, (), number=node.number)
            )
        told = visited.get()
        if told is not None:
            told(node.number)
        if not self.retain:
            for output in outputs:
                output.release()


def lift(node: Node) -> tuple[Any, ...]:
    """Return a node's saved values as the tensors they were, with their history."""
    plan = node.plan
    assert plan is not None
    tensor = _tensor_class()
    count = len(node.parents)
    lifted = list(node.saved)
    for k, place in enumerate(plan.places):
        value = lifted[k]
        if place <= count and isinstance(value, np.ndarray):
            lifted[k] = tensor._wrap(value)
            lifted[k]._node = node.parents[place] if place < count else node
    return tuple(lifted)


def _through_composite(node: Node, g: Tensor, saved: tuple[Any, ...]) -> Any:
    """Differentiate an op's composite of plain ops in place of its own derivative."""
    plan = node.plan
    assert plan is not None
    assert plan.rule.composite is not None
    # Proxies stand for the inputs, so that the gradients stop there.
    proxies = [
        value.clone() if i < len(plan.needs) and plan.needs[i] else value
        for i, value in enumerate(saved[: len(plan.needs)])
    ]
    out = plan.rule.composite(*proxies, **node.params)
    wanted = [(i, proxies[i]._node) for i, needed in enumerate(plan.needs) if needed]
    roots = [] if out._node is None else [(out._node, g)]
    found = _Walk(True, True, [target for _, target in wanted], False).run(roots)
    zeros = {i: np.zeros(target.shape, target.dtype) for i, target in wanted if target not in found}
    return {i: found[target] if target in found else zeros[i] for i, target in wanted}


def _apart(node: Node, pieces: Any) -> list[Any]:
    """Return the pieces of a joint product, of which no two are the same array."""
    if not isinstance(pieces, tuple) or len(pieces) != len(node.parents):
        got = len(pieces) if isinstance(pieces, tuple) else type(pieces).__name__
        raise RuntimeError(
            f"{node.op.name}: expected its joint derivative to return a tuple of "
            f"{len(node.parents)} gradients, got {got}"
        )
    seen: set[int] = set()
    apart = []
    for piece in pieces:
        again = isinstance(piece, np.ndarray) and id(piece) in seen
        seen.add(id(piece))
        apart.append(piece.copy() if again else piece)
    return apart


def _refuse_nan(node: Node, index: int | None, piece: Value) -> None:
    array: Any = getattr(piece, "_array", piece)
    if np.isnan(array).any():
        names = node.op.inputs
        if index is None:
            where = "an input"
        elif names[0].startswith("*"):
            where = f"its input '{names[0][1:]}[{index}]'"
        else:
            where = f"its input {names[index]!r}"
        raise RuntimeError(
            f"backward of {node.op.name}{describe(node.place)} gave NaN as the gradient of "
            f"{where}, of shape {piece.shape}"
        )


@cache
def _tensor_class() -> type[Tensor]:
    from ._tensor import Tensor

    return Tensor

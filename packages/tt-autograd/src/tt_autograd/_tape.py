"""The tape: nodes that remember which op made a value, from what, and when."""

from __future__ import annotations

import linecache
import math
import sys
from collections.abc import Callable, Sequence
from itertools import count
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from tt_tensor import Op

from ._modes import anomaly
from ._rules import NEEDS, SHAPE, Plan

if TYPE_CHECKING:
    from ._tensor import Tensor

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself recorded
Place = tuple[CodeType, int]  # a code object and an instruction in it: a line, when asked for
Hook = Callable[["Tensor"], "Tensor | None"]

# Every node and every change in place takes the next number: a node's is above those of all
# nodes it was made from, so that going down by number is going from results to causes.
next_number = count(1).__next__


class Watched:
    """What was asked of a node beyond its part in backward.

    Attributes:
        hooks: Functions of the gradient, in the order in which they were registered.
        after: Functions to call once a leaf has its gradient.
        retains: Whether to keep the gradient of a result of an op.
        grad: That gradient.
    """

    __slots__ = ("after", "grad", "hooks", "retains")

    def __init__(self) -> None:
        self.hooks: dict[int, Hook] = {}
        self.after: dict[int, Callable[[], None]] = {}
        self.retains = False
        self.grad: Tensor | None = None


class Leaf:
    """What collects the gradient of a tensor that no op made."""

    __slots__ = ("__weakref__", "dtype", "grad", "memory", "number", "shape", "watched")

    def __init__(self, array: Array) -> None:
        self.shape = array.shape
        self.dtype = array.dtype
        self.memory = ref(memory_of(array))  # to tell a view of the leaf from a copy
        self.number = next_number()
        self.grad: Tensor | None = None
        self.watched: Watched | None = None

    def __repr__(self) -> str:
        return f"<leaf {self.dtype.name} {self.shape}>"


class Node:
    """One recorded call of an op, with what its derivative needs.

    Attributes:
        op: The op.
        plan: What to run backward; None once the node has been released.
        parents: For each input its node or leaf, or None where no gradient is needed.
        saved: The values that ``plan`` picked.
        params: The op's parameters.
        shape: The output's shape.
        dtype: The output's dtype.
        number: When the node was made, in the order of all nodes.
        place: Where the op was called, known if it saved a value or under `detect_anomaly`.
        watched: Hooks and the like; None for almost every node.
    """

    __slots__ = (
        "__weakref__", "dtype", "number", "op", "params", "parents", "place", "plan", "saved",
        "shape", "watched",
    )  # fmt: skip

    def __init__(
        self,
        op: Op,
        plan: Plan,
        parents: Sequence[Any],
        saved: tuple[Any, ...],
        params: dict[str, Any],
        out: Array,
        place: Place | None,
    ) -> None:
        self.op = op
        self.plan: Plan | None = plan
        self.parents: Sequence[Any] = parents
        self.saved = saved
        self.params = params
        self.shape = out.shape
        self.dtype = out.dtype
        self.number = next_number()
        self.place = place
        self.watched: Watched | None = None

    def __repr__(self) -> str:
        return f"<{self.op.name}>"

    def release(self) -> None:
        """Let go of saved values and parents, once backward has passed."""
        self.plan = None
        self.saved = ()
        self.parents = ()

    def arguments(self, index: int, sources: tuple[Any, ...], saved: tuple[Any, ...]) -> list[Any]:
        """Return the arguments of a vector-Jacobian product beside the gradient."""
        values: list[Any] = []
        for source in sources:
            kind = type(source)
            if kind is int:
                values.append(saved[source])
            elif kind is str:
                values.append(self.params[source])
            elif source is SHAPE:
                parent = self.parents[index]
                assert parent is not None
                values.append(parent.shape)
            elif source is NEEDS:
                assert self.plan is not None
                values.append(self.plan.needs)
            elif kind is slice:
                values.append(saved[source])
            else:
                values.append(source[0])
        return values

    def check_unchanged(self) -> None:
        """Refuse to go on if a saved value was changed in place since it was saved."""
        for value in self.saved:
            if isinstance(value, np.ndarray):
                change = changes.find(value, self.number)
                if change is not None:
                    raise RuntimeError(
                        f"backward of {self.op.name}{describe(self.place)} needs a value of "
                        f"dtype {value.dtype.name} and shape {value.shape} that {change} changed "
                        "in place since; change a clone() instead, or run backward first"
                    )


class Segment:
    """A stretch of computation that knows how to go backward by itself.

    `checkpoint` recomputes it, a user's `Function` has its own backward. Its outputs are the
    segment's: each has a `SegmentOutput` as its node.
    """

    __slots__ = ("__weakref__", "expand", "name", "outputs")

    def __init__(self, name: str, expand: Callable[[dict[int, Value], bool], Any]) -> None:
        self.name = name
        self.expand = expand
        # Weak, so that a graph that is dropped without backward is freed at once.
        self.outputs: list[ReferenceType[SegmentOutput]] = []


class SegmentOutput(Node):
    """The node of one output of a segment."""

    __slots__ = ("index", "segment")

    def __init__(self, segment: Segment, index: int, out: Array) -> None:
        self.segment: Segment | None = segment
        self.index = index
        self.op = Op(segment.name, _unreachable)
        self.plan = None
        self.parents = ()
        self.saved = ()
        self.params = {}
        self.shape = out.shape
        self.dtype = out.dtype
        self.number = next_number()
        self.place = calling_place() if anomaly.get() else None
        self.watched = None
        segment.outputs.append(ref(self))

    def release(self) -> None:
        self.segment = None


def _unreachable(*_: Any, **__: Any) -> Any:
    raise AssertionError("a segment runs its own forward")


# Where code stands

_INSIDE = ("tt_tensor", "tt_autograd", "tt_nn", "tt_optim", "tt_data", "tt_profile")
_ours: dict[str, bool] = {}


def calling_place() -> Place | None:
    """Return the innermost place outside these packages, at the cost of a few look-ups."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        inside = _ours.get(code.co_filename)
        if inside is None:
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            inside = _ours[code.co_filename] = package in _INSIDE
        if not inside:
            return code, frame.f_lasti
        frame = frame.f_back
    return None


def describe(place: Place | None) -> str:
    """Return `` (file:line: source)`` of a place, or nothing if it is not known."""
    if place is None:
        return ""
    code, instruction = place
    line = next(
        (n for start, end, n in code.co_lines() if start <= instruction < end and n is not None),
        code.co_firstlineno,
    )
    source = linecache.getline(code.co_filename, line).strip()
    return f" ({code.co_filename}:{line}{': ' if source else ''}{source})"


# Changes in place


class Change:
    """One change of memory in place: when, by what and where."""

    __slots__ = ("name", "number", "place")

    def __init__(self, name: str, place: Place | None) -> None:
        self.name = name
        self.place = place
        self.number = next_number()

    def __str__(self) -> str:
        return f"{self.name}_{describe(self.place)}"


class Changes:
    """The last change of every piece of memory that was changed in place.

    Kept by the array that owns the memory, and forgotten with it. Things are looked up only for
    what is older than the latest change.

    Attributes:
        by_owner: The changes of each owner of memory, by its id.
        latest: The number of the latest change, 0 before any.
        tracked: Whether any change was recorded.
    """

    __slots__ = ("by_owner", "latest", "tracked")

    def __init__(self) -> None:
        # For each owner: by layout, and whether the change was recorded
        self.by_owner: dict[int, tuple[ReferenceType[Array], dict[tuple[Layout, bool], Change]]]
        self.by_owner = {}
        self.latest = 0
        self.tracked = False

    def note(self, array: Array, name: str, *, tracked: bool, at: Layout | None = None) -> None:
        """Remember that an array's memory was changed just now.

        Args:
            array: The array.
            name: What changed it.
            tracked: Whether the change is part of a recorded history.
            at: The array's `layout`, where it is known.
        """
        owner = memory_of(array)
        key = id(owner)
        entry = self.by_owner.get(key)
        if entry is None:
            forget = self.by_owner.pop
            entry = (ref(owner, lambda _: forget(key, None)), {})
            self.by_owner[key] = entry
        elif array.nbytes == owner.nbytes and len(entry[1]) > 1:
            # All of it changes: what parts of it went through before need not be kept.
            for former in [k for k in entry[1] if tracked or not k[1]]:
                del entry[1][former]
        change = Change(name, calling_place())
        entry[1][at or layout(array), tracked] = change
        self.latest = max(self.latest, change.number)
        self.tracked = self.tracked or tracked

    def find(
        self,
        array: Array,
        since: int,
        before: float = math.inf,
        *,
        tracked_only: bool = False,
        apart_from: Written | None = None,
    ) -> Change | None:
        """Return a change of an array's memory after ``since``, if there was one.

        Args:
            array: The array.
            since: The number after which changes count.
            before: The number from which on they do not.
            tracked_only: Whether only changes count that were recorded.
            apart_from: A part of the array that is being overwritten, whose own changes do not
                count, and whether recorded ones do not either.
        """
        entry = self.by_owner.get(id(memory_of(array)))
        if entry is None:
            return None
        # Times first: in training, parameters change in every step, but after they were used.
        recent = [pair for pair in list(entry[1].items()) if since < pair[1].number < before]
        if not recent:
            return None
        low, high = bounds(array)
        excluded, ended = apart_from if apart_from is not None else (None, False)
        for (place, tracked), change in recent:
            (start, end), _, _ = place
            if (
                start < high
                and low < end
                and (tracked or not tracked_only)
                and (place != excluded or (tracked and not ended))
            ):
                return change
        return None


Layout = tuple[tuple[int, int], tuple[int, ...], tuple[int, ...]]
Written = tuple[Layout, bool]  # a part, and whether its history ends there


def bounds(array: Array) -> tuple[int, int]:
    """Return the addresses of an array's first byte and of the one after its last."""
    if array.flags.c_contiguous:
        start: int = array.__array_interface__["data"][0]
        return start, start + array.nbytes
    low, high = byte_bounds(array)
    return low, high


def layout(array: Array) -> Layout:
    """Return which bytes an array's elements are: its bounds, shape and strides."""
    return bounds(array), array.shape, array.strides


def memory_of(array: Array) -> Array:
    """Return the array that owns the memory of ``array``."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


changes = Changes()

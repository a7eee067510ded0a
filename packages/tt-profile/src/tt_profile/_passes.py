"""One pass of a model, forward and backward, watched: who has the clock, and what each op costs.

Time is kept in passes of their own, so that counting does not slow what is timed. Which layer a
derivative belongs to follows from the numbers of the nodes: those made between two calls of hooks
are of the layer that was running.
"""

from __future__ import annotations

import statistics
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from enum import Enum
from time import perf_counter
from typing import Any, Literal, NamedTuple, Protocol
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import default_generator
from tt_autograd.seam import next_number, visited
from tt_nn import Module
from tt_tensor import OpEvent, Tensor

from ._backward_flops import backward_flops_of, backward_macs_of
from ._flops import Call, call_of, flops_of, macs_of
from ._traffic import arrays_in, backward_bytes_of, forward_bytes_of, memory_of

Direction = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What was counted and measured of a part of a pass.

    Attributes:
        flops: Floating-point operations.
        macs: Multiply-accumulates of the matrix products among them.
        bytes: Bytes that the ops read and wrote, each array once.
        seconds: Time.
    """

    flops: int = 0
    macs: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.macs + other.macs,
            self.bytes + other.bytes,
            self.seconds + other.seconds,
        )

    def taking(self, seconds: float) -> Cost:
        """Return the same, with another time."""
        return replace(self, seconds=seconds)

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: FLOPs for each byte moved; 0 if nothing was."""
        return self.flops / self.bytes if self.bytes else 0.0

    @property
    def flops_per_second(self) -> float:
        """How fast it ran; 0 if it took no time."""
        return self.flops / self.seconds if self.seconds else 0.0


class Span(NamedTuple):
    """Something that took its time in a pass.

    Attributes:
        name: A module's name and class, or an op's name.
        kind: ``"module"``, or the op's direction.
        start: Seconds since the pass began; the time that counting took is left out.
        seconds: How long it took.
        layer: Which layer it belongs to, by its place in the order of first calls.
        flops: Its FLOPs, if it is an op.
        bytes: The bytes it moved, if it is an op.
    """

    name: str
    kind: Literal["module", "forward", "backward"]
    start: float
    seconds: float
    layer: int
    flops: int = 0
    bytes: int = 0


class Watch(Protocol):
    """What is told of a pass."""

    def enter(self, module: Module, args: object) -> None:
        """A module begins."""

    def leave(self, module: Module, args: object, output: object) -> None:
        """A module ends."""

    def turn(self) -> None:
        """The forward pass has ended, and backward begins."""

    def end(self) -> None:
        """Backward has ended."""


class _Mark(Enum):
    LEAVE = "leave"
    NODE = "node"
    TURN = "turn"
    END = "end"


class Timed:
    """Who had the clock, pass by pass.

    A pass is only written down, which costs little; `seconds` makes sense of it afterwards.
    """

    def __init__(self) -> None:
        # For each pass: what happened, the number of nodes by then (or of the node), and when
        self._logs: list[list[tuple[Module | _Mark, int, float]]] = []

    def begin(self) -> None:
        """A pass begins."""
        self._log: list[tuple[Module | _Mark, int, float]] = []
        self._logs.append(self._log)

    def enter(self, module: Module, args: object) -> None:
        self._log.append((module, next_number(), perf_counter()))

    def leave(self, module: Module, args: object, output: object) -> None:
        self._log.append((_Mark.LEAVE, next_number(), perf_counter()))

    def visit(self, number: int) -> None:
        """The derivative of the node of that number has run."""
        self._log.append((_Mark.NODE, number, perf_counter()))

    def turn(self) -> None:
        self._log.append((_Mark.TURN, 0, perf_counter()))

    def end(self) -> None:
        self._log.append((_Mark.END, 0, perf_counter()))

    def seconds(self) -> dict[int, tuple[float, float]]:
        """Return for each module, by its id, the median times it had itself in each direction."""
        passes = [_seconds_of(log) for log in self._logs]
        medians: dict[int, tuple[float, float]] = {}
        for key in passes[0][0]:
            forward, backward = (statistics.median(of[way][key] for of in passes) for way in (0, 1))
            medians[key] = forward, backward
        return medians


def _seconds_of(
    log: list[tuple[Module | _Mark, int, float]],
) -> tuple[dict[int, float], dict[int, float]]:
    """Return the time that each module had, by its id, forward and backward."""
    forward: dict[int, float] = {id(what): 0.0 for what, _, _ in log if isinstance(what, Module)}
    backward = dict(forward)
    root = next(iter(forward))
    going = forward
    running: list[int] = []  # innermost last
    numbers: list[int] = []  # from which on nodes are of ...
    owners: list[int] = []  # ... these modules
    pending, last = 0.0, log[0][2]
    for what, number, now in log:
        lapse, last = now - last, now
        if what is _Mark.NODE:
            backward[owners[bisect(numbers, number) - 1]] += lapse + pending
            pending = 0.0
        elif what is _Mark.TURN:
            going = backward
        elif what is _Mark.END:  # what came after the last node: handing gradients over
            backward[root] += lapse + pending
        else:
            if running:
                going[running[-1]] += lapse
            elif going is backward:
                pending += lapse  # for a node that comes after, whose backward runs modules
            if isinstance(what, Module):
                running.append(id(what))
            else:
                running.pop()
            numbers.append(number)
            owners.append(running[-1] if running else root)
    return forward, backward


@dataclass(slots=True)
class LayerCount:
    """What was counted of one module itself."""

    module: Module
    calls: int = 0
    output_shape: tuple[int, ...] = ()
    activation_bytes: int = 0
    forward: Cost = field(default_factory=Cost)
    backward: Cost = field(default_factory=Cost)


@dataclass(slots=True)
class OpCount:
    """What was counted of one kind of op; time is that of the kernels alone."""

    calls: int = 0
    forward: Cost = field(default_factory=Cost)
    backward: Cost = field(default_factory=Cost)


class _Seen(NamedTuple):
    """A forward op that may come up again in backward."""

    number: int
    call: Call
    place: int


class Counted:
    """What each op of a pass costs, and of which module it is."""

    def __init__(self, constants: Sequence[object]) -> None:
        """Start, given the tensors whose memory is nobody's activation."""
        self.layers: list[LayerCount] = []
        self.ops: dict[str, OpCount] = {}
        self.spans: list[Span] = []
        self._places: dict[int, int] = {}
        self._running: list[tuple[int, float]] = []  # places and when they began
        self._numbers: list[int] = []
        self._owners: list[int] = []
        self._seen: list[_Seen] = []
        self._turned: int | None = None  # the number at which backward began
        self._turned_at = 0.0
        self._pending = Cost()  # of ops in backward whose node is not known yet
        tensors = (x.detach() if isinstance(x, tt.Tensor) else x for x in constants)
        arrays = (x.numpy() for x in tensors if isinstance(x, Tensor))
        self._counted = {id(memory_of(array)) for array in arrays}
        # Which place made the memory with this id, as long as it lives
        self._made: dict[int, tuple[ReferenceType[NDArray[Any]], int]] = {}
        self._paused = 0.0  # time that counting took
        self._began = perf_counter()

    @contextmanager
    def _pause(self) -> Iterator[float]:
        """Stop the clock, and tell the time at which it was stopped."""
        start = perf_counter()
        yield start - self._paused - self._began
        self._paused += perf_counter() - start

    def enter(self, module: Module, args: object) -> None:
        with self._pause() as now:
            place = self._places.setdefault(id(module), len(self._places))
            if place == len(self.layers):
                self.layers.append(LayerCount(module))
            self._running.append((place, now))
            self._mark(place)

    def leave(self, module: Module, args: object, output: object) -> None:
        with self._pause() as now:
            place, start = self._running.pop()
            layer = self.layers[place]
            layer.calls += self._turned is None
            layer.output_shape = tuple(output.shape) if isinstance(output, Tensor) else ()
            self.spans.append(Span(type(module).__name__, "module", start, now - start, place))
            self._mark(self._running[-1][0] if self._running else 0)

    def _mark(self, place: int) -> None:
        self._numbers.append(next_number())
        self._owners.append(place)

    def turn(self) -> None:
        self._turned = next_number()
        with self._pause() as now:
            self._turned_at = now

    def end(self) -> None:
        with self._pause() as now:
            start = self._turned_at
            self.spans.append(Span("backward", "module", start, now - start, 0))

    def see(self, event: OpEvent) -> None:
        with self._pause() as now:
            if event.phase == "forward":
                self._see_forward(event, now)
            else:
                self._see_backward(event, now)

    def _see_forward(self, event: OpEvent, now: float) -> None:
        number, call = next_number(), call_of(event)
        cost = Cost(flops_of(call), macs_of(call), forward_bytes_of(event), event.seconds)
        going: Direction = "forward" if self._turned is None else "backward"
        place = self._running[-1][0] if self._running else None
        if place is not None:
            self._add(self.layers[place], going, cost)
        else:
            self._pending += cost  # in the backward of a user's Function, whose node comes after
        self._seen.append(_Seen(number, call, place or 0))
        self._tell(event, now, going, cost, place or 0)
        if event.output is not None:
            owner = memory_of(event.output)
            if not any(np.may_share_memory(owner, array) for array in arrays_in(event.inputs)):
                self._made[id(owner)] = ref(owner), place or 0

    def _see_backward(self, event: OpEvent, now: float) -> None:
        at = bisect(self._seen, event.number, key=lambda seen: seen.number) - 1
        seen = self._seen[at] if at >= 0 else None
        cost = Cost()
        if seen is not None and seen.call.name == event.op.name and event.needs:
            place, call = seen.place, seen.call
            cost = Cost(
                backward_flops_of(call, event),
                backward_macs_of(call, event),
                backward_bytes_of(call, event),
                event.seconds,
            )
            self._tell(event, now, "backward", cost, place)
        else:  # the end of a segment, whose ops have been told one by one
            place = self._owners[bisect(self._numbers, event.number) - 1]
        self._add(self.layers[place], "backward", cost + self._pending)
        self._pending = Cost()
        if self._turned is None or event.number < self._turned:
            self._keep(event, place)

    def _keep(self, event: OpEvent, place: int) -> None:
        """Count the memory that was held for a derivative, each piece once."""
        for array in arrays_in(event.inputs[1:]):
            owner = memory_of(array)
            if id(owner) not in self._counted:
                self._counted.add(id(owner))
                made = self._made.get(id(owner))
                maker = place if made is None or made[0]() is not owner else made[1]
                self.layers[maker].activation_bytes += owner.nbytes

    def _add(self, count: LayerCount | OpCount, direction: Direction, cost: Cost) -> None:
        if direction == "forward":
            count.forward += cost
        else:
            count.backward += cost

    def _tell(self, event: OpEvent, now: float, going: Direction, cost: Cost, place: int) -> None:
        op = self.ops.setdefault(event.op.name, OpCount())
        op.calls += event.phase == "forward"
        self._add(op, going, cost)
        start = now - event.seconds
        self.spans.append(
            Span(event.op.name, event.phase, start, event.seconds, place, cost.flops, cost.bytes)
        )


def run(model: Module, inputs: tuple[object, ...], watch: Watch | None, *, backward: bool) -> None:
    """Run one pass of a model, backward from a gradient of ones.

    Args:
        model: The model, with the `hooks` of the watch.
        inputs: What it is called with.
        watch: What is told of it: a `Counted` of every op, a `Timed` of the nodes that backward
            visits.
        backward: Whether to go backward.

    Raises:
        ValueError: No output requires grad, and backward is asked for.
    """
    counting = tt_tensor.observe(watch.see) if isinstance(watch, Counted) else nullcontext()
    with counting:
        with nullcontext() if backward else tt.no_grad():
            output = model(*inputs)
        if not backward:
            return
        tensors = [x for x in _tensors_in(output) if x.requires_grad]
        if not tensors:
            raise ValueError(
                f"profile: no output of {type(model).__name__} requires grad; pass backward=False "
                "for the forward pass alone"
            )
        seeds = [tt.ones_like(x) for x in tensors]
        if watch is not None:
            watch.turn()
        token = visited.set(watch.visit if isinstance(watch, Timed) else None)
        try:
            if len(tensors) == 1:
                tensors[0].backward(seeds[0])
            else:
                every = (*model.parameters(), *_tensors_in(inputs))
                leaves = [x for x in every if x.requires_grad]
                tt.grad(tensors, leaves, seeds, allow_unused=True)
        finally:
            visited.reset(token)
        if watch is not None:
            watch.end()


def _tensors_in(value: object) -> Iterator[tt.Tensor]:
    """Go over the tensors in a value, and in tuples, lists and dicts of such."""
    if isinstance(value, tt.Tensor):
        yield value
    elif isinstance(value, tuple | list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors_in(part)


@contextmanager
def hooks(model: Module, watch: Watch) -> Iterator[None]:
    """Have every module of the model tell ``watch`` when it starts and ends."""
    handles = []
    try:
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(watch.enter))
            handles.append(module.register_forward_hook(watch.leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def unchanged(model: Module, inputs: tuple[object, ...]) -> Iterator[Callable[[], None]]:
    """Leave gradients, buffers and the default generator as they were.

    Yields:
        What puts gradients away, so that the next pass starts without any.
    """
    tensors = [x for x in (*model.parameters(), *_tensors_in(inputs)) if x.requires_grad]
    leaves = [x for x in tensors if x.is_leaf]
    grads = [leaf.grad for leaf in leaves]
    buffers = [
        (module, name, buffer, buffer.numpy().copy())
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    generator = default_generator()
    state = generator.get_state()

    def clear() -> None:
        for leaf in leaves:
            leaf.grad = None

    try:
        clear()
        yield clear
    finally:
        for leaf, grad in zip(leaves, grads, strict=True):
            leaf.grad = grad
        for module, name, buffer, values in buffers:
            buffer.numpy()[...] = values
            setattr(module, name, buffer)
        generator.set_state(state)

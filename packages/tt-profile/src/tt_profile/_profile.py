"""What a model costs, layer by layer: counted in one pass, timed in others, all in this run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tt_nn import Module

from ._measure import Comparison, compare
from ._memory import Memory, memory
from ._passes import Cost, Counted, Span, Timed, hooks, run, unchanged
from ._report import Report, Table, profile_tables

if TYPE_CHECKING:
    from ._roofline import Machine, Roofline


@dataclass(frozen=True, slots=True)
class LayerCost:
    """What one module of a model costs itself, its submodules' share left out.

    Attributes:
        name: The module's name in the model; empty for the model itself.
        kind: The module's class.
        calls: How often it ran in a pass.
        output_shape: Shape of its output; empty when that is not a single tensor.
        parameters: Number of elements of its own parameters; one that is shared counts where it
            comes first.
        activation_bytes: Bytes of what its ops made that were held until backward.
        forward: Cost of its forward pass.
        backward: Cost of its backward pass.
    """

    name: str
    kind: str
    calls: int
    output_shape: tuple[int, ...]
    parameters: int
    activation_bytes: int
    forward: Cost
    backward: Cost

    @property
    def total(self) -> Cost:
        """Forward and backward together."""
        return self.forward + self.backward


@dataclass(frozen=True, slots=True)
class OpCost:
    """What all calls of one op cost in a pass.

    Attributes:
        name: The op's name.
        calls: How often it ran.
        forward: Cost of its forward calls; time is that of the kernels, in the counted pass.
        backward: Cost of its derivatives, likewise.
    """

    name: str
    calls: int
    forward: Cost
    backward: Cost


@dataclass(frozen=True, slots=True)
class Profile(Report):
    """What a model costs, as `profile` found it. Printed, it is a table.

    Attributes:
        layers: One entry for each module that ran, in the order of the first call. They add up to
            the whole model: each has what its submodules do not.
        ops: One entry for each op, the costliest first.
        parameters: Number of elements of the model's parameters.
        memory: Memory of a pass that nothing watched.
        timing: Time of the passes that kept the time of each layer, beside passes that nothing
            watched, in turn.
        spans: What ran when, in the counted pass.
    """

    layers: tuple[LayerCost, ...]
    ops: tuple[OpCost, ...]
    parameters: int
    memory: Memory
    timing: Comparison
    spans: tuple[Span, ...]

    @property
    def forward(self) -> Cost:
        """Cost of the forward pass."""
        return _sum(layer.forward for layer in self.layers)

    @property
    def backward(self) -> Cost:
        """Cost of the backward pass."""
        return _sum(layer.backward for layer in self.layers)

    @property
    def total(self) -> Cost:
        """Forward and backward together."""
        return self.forward + self.backward

    @property
    def activation_bytes(self) -> int:
        """Bytes that the forward pass makes and holds until backward."""
        return sum(layer.activation_bytes for layer in self.layers)

    @property
    def overhead(self) -> float:
        """What keeping each layer's time adds to a pass, as a share of the pass."""
        return self.timing.ratio - 1

    def roofline(self, machine: Machine | None = None) -> Roofline:
        """Set each layer against what this machine can do.

        Args:
            machine: What `measure_machine` returned; measured now unless given.
        """
        from ._roofline import Roofline, measure_machine

        return Roofline.of_layers(self.layers, machine or measure_machine())

    def save_trace(self, path: str | os.PathLike[str]) -> None:
        """Write what ran when as JSON for ``chrome://tracing`` or https://ui.perfetto.dev.

        Args:
            path: The file, which is replaced as a whole.
        """
        from ._trace import save_trace

        save_trace(self, path)

    def save_picture(self, path: str | os.PathLike[str]) -> None:
        """Draw each layer's time, forward and backward, FLOPs and memory beside each other.

        Args:
            path: The file; its ending says the format, such as ``.png`` or ``.svg``.

        Raises:
            ModuleNotFoundError: matplotlib is not there: ``pip install "tt-profile[plot]"``.
        """
        from ._pictures import save_layers

        save_layers(self, path)

    def _tables(self) -> list[Table]:
        return profile_tables(self)


def profile(model: Module, *inputs: object, backward: bool = True, repeats: int = 7) -> Profile:
    """Find what each layer of a model costs: parameters, FLOPs, bytes, time and memory.

    The model runs in the mode it is in (`train` or `eval`); backward starts from a gradient of
    ones. FLOPs, bytes and the memory held for backward are counted in one pass, from the ops that
    really ran, so that a layer of your own counts as ours do. Time is measured in other passes, in
    turn with passes that nothing watches: what watching adds is in the result. Gradients, running
    statistics and the default generator are left as they were.

    Args:
        model: The model.
        inputs: What it is called with.
        backward: Whether to go backward, as training does; without, the pass runs under `no_grad`.
        repeats: Number of timed samples.

    Returns:
        The costs by layer and by op, with totals, memory and the time of the whole.

    Raises:
        TypeError: The model is no `Module`.
        ValueError: ``repeats`` is not positive, or no output requires grad and backward is asked
            for.

    Example:
        >>> import tt_autograd as tt, tt_nn as nn
        >>> model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        >>> report = profile(model, tt.rand(64, 784))
        >>> for layer in report.layers:
        ...     print(layer.name, layer.kind, layer.forward.flops, layer.backward.flops)
         Sequential 0 0
        0 Linear 12853248 12853248
        1 ReLU 8192 16384
        2 Linear 164480 328320
        >>> report.activation_bytes  # the output of ReLU, which is all that backward needs
        32768
        >>> report.total.seconds > 0, report.total.intensity > 1
        (True, True)
    """
    if not isinstance(model, Module):
        raise TypeError(f"profile: expected a Module, got {type(model).__name__}")
    if repeats < 1:
        raise ValueError(f"profile: repeats must be at least 1, got {repeats}")
    constants = (*inputs, *model.parameters(), *model.buffers())
    counted, timed = Counted(constants), Timed()
    with unchanged(model, inputs) as clear:

        def plain() -> None:
            run(model, inputs, None, backward=backward)
            clear()

        def watched() -> None:
            timed.begin()
            run(model, inputs, timed, backward=backward)
            clear()

        with hooks(model, counted):
            run(model, inputs, counted, backward=backward)
        clear()
        timing = compare(
            watched, plain, warmup=0, repeats=repeats, around=partial(hooks, model, timed)
        )
        used = memory(plain)
    return Profile(
        layers=_layers(model, counted, timed),
        ops=_ops(counted),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        memory=used,
        timing=timing,
        spans=tuple(counted.spans),
    )


def forward_pass(model: Module, inputs: tuple[object, ...], repeats: int) -> tuple[LayerCost, ...]:
    """Return the layers of a forward pass alone, timed as often as asked."""
    counted, timed = Counted((*inputs, *model.parameters(), *model.buffers())), Timed()
    with unchanged(model, inputs):
        with hooks(model, counted):
            run(model, inputs, counted, backward=False)
        with hooks(model, timed):
            for _ in range(repeats):
                timed.begin()
                run(model, inputs, timed, backward=False)
    return _layers(model, counted, timed)


def _layers(model: Module, counted: Counted, timed: Timed) -> tuple[LayerCost, ...]:
    names = {id(module): name for name, module in model.named_modules()}
    seconds = timed.seconds()
    shared: set[int] = set()
    layers = []
    for layer in counted.layers:
        own = {id(p): p.numel() for p in layer.module.parameters(recurse=False)}
        forward, backward = seconds[id(layer.module)]
        layers.append(
            LayerCost(
                name=names[id(layer.module)],
                kind=type(layer.module).__name__,
                calls=layer.calls,
                output_shape=layer.output_shape,
                parameters=sum(count for p, count in own.items() if p not in shared),
                activation_bytes=layer.activation_bytes,
                forward=layer.forward.taking(forward),
                backward=layer.backward.taking(backward),
            )
        )
        shared |= own.keys()
    return tuple(layers)


def _ops(counted: Counted) -> tuple[OpCost, ...]:
    ops = [OpCost(name, op.calls, op.forward, op.backward) for name, op in counted.ops.items()]
    return tuple(sorted(ops, key=lambda op: -(op.forward + op.backward).seconds))


def _sum(costs: Iterable[Cost]) -> Cost:
    return sum(costs, Cost())

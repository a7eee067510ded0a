"""Where a model's parameters, FLOPs and time are, layer by layer."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter

import tt_tensor
from tt_autograd import no_grad
from tt_nn import Module
from tt_tensor import OpEvent, Tensor

from ._flops import flops_of


def count_parameters(model: Module, *, trainable_only: bool = False) -> int:
    """Count the numbers that a model learns.

    A parameter that two layers share counts once.

    Args:
        model: The model.
        trainable_only: Whether to leave out parameters that do not require a gradient.

    Returns:
        The number of elements of all parameters.

    Example:
        >>> import tt_nn as nn
        >>> count_parameters(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
        33
    """
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable_only
    )


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """What one module of a model costs in a forward pass, its submodules' share left out.

    Attributes:
        name: The module's name in the model; empty for the model itself.
        kind: The module's class.
        output_shape: Shape of its output; empty when that is not a single tensor.
        parameters: Number of elements of the module's own parameters.
        flops: FLOPs of the ops that ran in it.
        seconds: Median time spent in it.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    flops: int
    seconds: float


def profile_layers(model: Module, *inputs: object, repeats: int = 7) -> list[LayerProfile]:
    """Split a forward pass by layer: parameters, FLOPs and time of each.

    The model runs in the mode it is in (`train` or `eval`), without gradients. FLOPs are counted
    in one pass and time is measured in others, so that counting does not slow what is timed.

    Args:
        model: The model.
        inputs: What it is called with.
        repeats: Number of timed passes, after one that warms up.

    Returns:
        One entry for each module that ran, in the order of the first call. The entries add up to
        the whole model: each has what its submodules do not.

    Raises:
        ValueError: If ``repeats`` is not positive.

    Example:
        >>> import tt_autograd as tt, tt_nn as nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        >>> [(layer.name, layer.flops) for layer in profile_layers(model, tt.ones(10, 4))]
        [('', 0), ('0', 270), ('1', 30)]
    """
    if repeats < 1:
        raise ValueError(f"profile_layers: repeats must be at least 1, got {repeats}")
    with no_grad():
        counted = _run(model, inputs, count=True)
        timed = [_run(model, inputs, count=False) for _ in range(repeats)]
    names = {id(module): name for name, module in model.named_modules()}
    return [
        LayerProfile(
            name=names[key],
            kind=type(cost.module).__name__,
            output_shape=cost.output_shape,
            parameters=sum(p.numel() for p in cost.module.parameters(recurse=False)),
            flops=cost.flops,
            seconds=statistics.median(run[key].seconds for run in timed),
        )
        for key, cost in counted.items()
    ]


@dataclass(slots=True)
class _Cost:
    """What one module has cost so far in a pass."""

    module: Module
    output_shape: tuple[int, ...] = ()
    flops: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Pass:
    """One forward pass: the modules that are running, innermost last, and what each has cost."""

    costs: dict[int, _Cost] = field(default_factory=dict)
    running: list[_Cost] = field(default_factory=list)
    resumed: float = 0.0  # when the innermost module last got the clock

    def enter(self, module: Module, args: object) -> None:
        now = perf_counter()
        if self.running:
            self.running[-1].seconds += now - self.resumed
        self.running.append(self.costs.setdefault(id(module), _Cost(module)))
        self.resumed = perf_counter()

    def leave(self, module: Module, args: object, output: object) -> None:
        cost = self.running.pop()
        cost.seconds += perf_counter() - self.resumed
        if isinstance(output, Tensor):
            cost.output_shape = tuple(output.shape)
        self.resumed = perf_counter()

    def count(self, event: OpEvent) -> None:
        if self.running and event.phase == "forward":
            self.running[-1].flops += flops_of(event)


def _run(model: Module, inputs: tuple[object, ...], *, count: bool) -> dict[int, _Cost]:
    """Run one pass, counting FLOPs or else only keeping time."""
    current = _Pass()
    watch = tt_tensor.observe(current.count) if count else nullcontext()
    with _hooks(model, current), watch:
        model(*inputs)
    return current.costs


@contextmanager
def _hooks(model: Module, current: _Pass) -> Iterator[None]:
    """Have every module of the model tell ``current`` when it starts and ends."""
    handles = []
    try:
        for module in model.modules():
            handles.append(module.register_forward_pre_hook(current.enter))
            handles.append(module.register_forward_hook(current.leave))
        yield
    finally:
        for handle in handles:
            handle.remove()

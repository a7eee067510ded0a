"""A forward pass in evaluation, as the list of the ops that ran in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_nn import Module
from tt_tensor import OpEvent

from ._errors import ExportError

Array = NDArray[Any]


class Step(NamedTuple):
    """One op that ran.

    Attributes:
        op: Its name.
        inputs: Arrays and Python values that its kernel was given.
        params: Its keyword parameters.
        output: The array that it returned.
        layer: The dotted name of the module that it ran in; empty for the model itself.
        kind: The class of that module.
    """

    op: str
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    output: Array
    layer: str
    kind: str

    @property
    def place(self) -> str:
        """Where it ran, in words."""
        where = f"layer {self.layer!r}" if self.layer else "the model itself"
        return f"op {self.op!r} in {where} ({self.kind})"


class Trace(NamedTuple):
    """One forward pass.

    Attributes:
        inputs: The arrays that the model was given, each once.
        steps: What ran, in order; all arrays are alive, so that each has an ``id`` of its own.
        outputs: The arrays that the model returned, by name.
    """

    inputs: list[Array]
    steps: list[Step]
    outputs: dict[str, Array]


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put a model in evaluation mode, without gradients; afterwards each module is as it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with tt.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def tensors_of(arguments: Sequence[object]) -> list[tt_tensor.Tensor]:
    """Return the tensors among a model's arguments, each once."""
    found = {id(each): each for each in arguments if isinstance(each, tt_tensor.Tensor)}
    return list(found.values())


def array_of(tensor: tt_tensor.Tensor) -> Array:
    """Return the array that a tensor holds: the same object that ops are given."""
    return tensor.detach().numpy() if isinstance(tensor, tt.Tensor) else tensor.numpy()


def trace(model: Module, arguments: Sequence[object]) -> Trace:
    """Run a model in evaluation and note every op.

    Raises:
        ExportError: A value was changed in place, which no graph can say, or what the model returns
            is not made of tensors.
    """
    names = {id(module): name for name, module in model.named_modules()}
    running: list[Module] = [model]
    steps: list[Step] = []
    seen: dict[int, tuple[Step, Array, int]] = {}  # each array, and a hash of what it held first

    def note(event: OpEvent) -> None:
        if event.phase != "forward" or event.output is None:
            return
        module = running[-1]
        step = Step(
            event.op.name, event.inputs, dict(event.params), event.output,
            names[id(module)], type(module).__name__,
        )  # fmt: skip
        if step.op == "setitem" and any(event.output is each for each in event.inputs):
            raise _changed(step)
        steps.append(step)
        for each in (*event.inputs, event.output):
            if isinstance(each, np.ndarray) and id(each) not in seen:
                seen[id(each)] = step, each, hash(each.tobytes())

    with evaluating(model), _followed(model, running), tt_tensor.observe(note):
        result = model(*arguments)
    for step, array, content in seen.values():
        if hash(array.tobytes()) != content:
            raise _changed(step)
    outputs = dict(named_arrays(result))
    if not outputs:
        raise ExportError(f"export: {type(model).__name__} returns no tensor")
    return Trace([array_of(each) for each in tensors_of(arguments)], steps, outputs)


def _changed(step: Step) -> ExportError:
    return ExportError(
        f"export: {step.place} works on a value that is changed in place, which a graph cannot "
        "say; make a new tensor instead, with cat, where, pad or x = x + y"
    )


@contextmanager
def _followed(model: Module, running: list[Module]) -> Iterator[None]:
    """Keep the modules that are running, the innermost last."""
    handles = []
    try:
        for module in model.modules():
            before = module.register_forward_pre_hook(lambda inner, _: running.append(inner))
            handles += [before, module.register_forward_hook(lambda *_: _leave(running))]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _leave(running: list[Module]) -> None:
    running.pop()


def named_arrays(result: object, name: str = "output") -> Iterator[tuple[str, Array]]:
    """Go over the arrays in what a model returned: tensors, also in tuples, lists and mappings."""
    if isinstance(result, tt_tensor.Tensor):
        yield name, array_of(result)
    elif isinstance(result, Mapping):
        for key, each in result.items():
            yield from named_arrays(each, str(key))
    elif isinstance(result, Sequence) and not isinstance(result, str):
        for i, each in enumerate(result):
            yield from named_arrays(each, f"{name}_{i}")
    elif result is not None:
        raise ExportError(
            "export: expected the model to return tensors, or tuples, lists or dicts of them, "
            f"got {type(result).__name__} as {name}"
        )

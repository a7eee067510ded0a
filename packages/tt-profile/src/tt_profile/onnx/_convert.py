"""From two traces of one model to a graph whose sizes follow the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_nn import Module

from ._errors import ExportError
from ._graph import Graph, Value, stored
from ._sizes import Batch, size_of, sizes_of
from ._table import CONVERTERS, REASONS
from ._trace import Step, Trace, array_of

Array = NDArray[Any]

ADVICE = "A graph always does the same: choose with where, or export each case by itself"


class Conversion:
    """Makes a graph of two traces, step by step.

    An array of the one trace and its counterpart in the other stand for one value. Arrays that no
    op made, and that are no weights, are constants; what is computed of constants alone is one too.

    Args:
        model: The model, whose parameters and buffers give weights their names.
        first: Its trace with a batch of `FIRST`.
        second: Its trace with a batch of `SECOND`; the first again, where no size follows it.
        names: The names of the inputs.

    Raises:
        ExportError: The model cannot be said as a graph.
    """

    def __init__(self, model: Module, first: Trace, second: Trace, names: Sequence[str]) -> None:
        self.graph = Graph()
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self._first: dict[int, Value] = {}  # what arrays stand for, by their id
        self._second: dict[int, Value] = {}
        self._pairs = (first, second)
        self._add_weights(model)
        self._add_inputs(names)
        for step, twin in self._steps():
            self._add(step, twin)
        self._add_outputs()

    def _know(self, first: Array, second: Array, value: Value) -> None:
        self._first[id(first)] = self._second[id(second)] = value

    def _add_inputs(self, names: Sequence[str]) -> None:
        first, second = self._pairs
        for name, a, b in zip(names, first.inputs, second.inputs, strict=True):
            shape = sizes_of(a.shape, b.shape, f"input {name!r}")
            value = Value(self.graph.unique(name), shape, stored(a.dtype))
            for dim, size in enumerate(shape):
                if size == Batch(1):
                    self.graph.follow(value.name, dim)
            self.inputs.append(value)
            self._know(a, b, value)

    def _add_weights(self, model: Module) -> None:
        """Let the arrays of parameters and buffers stand for weights of their first name."""
        for name, tensor in [*model.state_dict().items(), *model.named_buffers()]:
            array = array_of(tensor)
            if id(array) not in self._first:
                self._know(array, array, self.graph.weight(name, array))

    def _steps(self) -> list[tuple[Step, Step]]:
        first, second = (trace.steps for trace in self._pairs)
        for a, b in zip(first, second, strict=False):
            if (a.op, a.layer) != (b.op, b.layer):
                raise ExportError(
                    f"export: {a.place} runs where for other inputs {b.place} does: what the model "
                    f"computes depends on its input. {ADVICE}"
                )
        if len(first) != len(second):
            raise ExportError(
                f"export: the model runs {len(first)} ops, and {len(second)} for other inputs: "
                f"what it computes depends on its input. {ADVICE}"
            )
        return list(zip(first, second, strict=True))

    def _add(self, step: Step, twin: Step) -> None:
        """Convert one op, unless it works on constants alone."""
        if not self._known((step.inputs, step.params)):
            return
        g = self.graph
        g.layer, g.op = step.layer, step.op
        if step.op not in CONVERTERS:
            why = REASONS.get(
                step.op,
                "ONNX has no counterpart that export knows; write the layer with other ops, which "
                "tt_profile.onnx.EXPORTED lists",
            )
            raise ExportError(f"export: {step.place} cannot be exported: {why}")
        inputs = self._merged(step.inputs, twin.inputs, step.place)
        params = self._merged(step.params, twin.params, step.place)
        g.shape = sizes_of(step.output.shape, twin.output.shape, step.place)
        g.dtype = stored(step.output.dtype)
        made = CONVERTERS[step.op](g, *inputs, **params)
        value = made if isinstance(made, Value) else g.result(made)
        self._know(step.output, twin.output, value)

    def _known(self, value: Any) -> bool:
        """Return whether an input or a weight is anywhere in a value."""
        if isinstance(value, np.ndarray):
            return id(value) in self._first
        if isinstance(value, dict):
            return any(map(self._known, value.values()))
        return isinstance(value, tuple | list) and any(map(self._known, value))

    def _merged(self, a: Any, b: Any, place: str) -> Any:
        """Return what two arguments of an op are for any batch."""
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
            return self._value(a, b, place)
        if type(a) is not type(b):
            raise _differs(place, a, b)
        if isinstance(a, dict):
            return {key: self._merged(each, b[key], place) for key, each in a.items()}
        if isinstance(a, tuple | list):
            if len(a) != len(b):
                raise _differs(place, a, b)
            return tuple(self._merged(x, y, place) for x, y in zip(a, b, strict=True))
        if isinstance(a, slice):
            parts = (a.start, a.stop, a.step), (b.start, b.stop, b.step)
            return slice(*self._merged(*parts, place))
        if isinstance(a, int | np.integer) and not isinstance(a, bool):
            return size_of(int(a), int(b), place)
        if isinstance(a, bool | float | str | np.generic | np.dtype) and a != b and a == a:
            raise _differs(place, a, b)
        return a

    def _value(self, a: Array, b: Array, place: str) -> Value:
        """Return the value that two arrays stand for."""
        known = self._first.get(id(a)), self._second.get(id(b))
        if known[0] is not known[1]:
            raise ExportError(
                f"export: {place} is given a value that depends on the input in ways that no op "
                "tells: a result for one batch, another or a constant for other inputs. Compute "
                "with tensors all the way, not with their NumPy arrays"
            )
        if known[0] is not None:
            return known[0]
        shape = sizes_of(a.shape, b.shape, place)
        following = tuple(d for d, n in enumerate(shape) if isinstance(n, Batch))
        rows = tuple(slice(0, 1) if d in following else slice(None) for d in range(a.ndim))
        same = np.array_equal(a[rows], b[rows], equal_nan=a.dtype.kind == "f")
        for array in (a, b):
            whole = np.broadcast_to(a[rows], array.shape)
            same = same and np.array_equal(array, whole, equal_nan=a.dtype.kind == "f")
        if not same:
            raise ExportError(
                f"export: {place} is given an array of {a.dtype.name} that is no weight and "
                f"differs between two inputs (shapes {a.shape} and {b.shape}): it depends on the "
                "batch size, on chance, or on the input by other means than ops. Compute it with "
                "tensors, from the input, or make it a buffer; where it depends on the batch "
                "size alone, pass dynamic_batch=False"
            )
        constant = self.graph.constant(a[rows])
        if not following:
            return constant
        name = self.graph.node("Expand", constant, self.graph.vector(shape))
        return Value(name, shape, constant.dtype)

    def _add_outputs(self) -> None:
        first, second = (trace.outputs for trace in self._pairs)
        if list(first) != list(second):
            raise ExportError(
                f"export: the model returns {', '.join(first)}, and for other inputs "
                f"{', '.join(second)}"
            )
        g = self.graph
        g.layer = g.op = ""
        for name, a in first.items():
            if id(a) not in self._first:
                raise ExportError(
                    f"export: {name!r} of what the model returns is computed by no op of the "
                    "input; compute with tensors all the way, not with their NumPy arrays"
                )
            value = self._value(a, second[name], f"{name!r} of what the model returns")
            self.outputs.append(g.named(value, name))


def _differs(place: str, a: object, b: object) -> ExportError:
    return ExportError(
        f"export: {place} is given {a!r}, and {b!r} for other inputs: only sizes may follow the "
        "batch, and values the input. Compute such numbers with tensors"
    )

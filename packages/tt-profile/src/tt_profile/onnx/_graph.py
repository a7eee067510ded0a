"""The graph while it is made: its values, nodes, constants and weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import ExportError, extra
from ._sizes import Batch, Size, Sizes

Array = NDArray[Any]
Dtype = np.dtype[Any]
Scalar = bool | int | float

FLOAT, INT, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_)
_SMALL = np.dtype(np.int32)  # what smaller integers are computed in


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A value of the graph.

    Attributes:
        name: Its name there.
        shape: Its sizes, each a number or a multiple of the batch.
        dtype: Its dtype in the file.
        array: What it is, where that is known when the graph is made.
    """

    name: str
    shape: Sizes
    dtype: Dtype
    array: Array | None = None


Operand = Value | Batch | Scalar


def stored(dtype: Dtype) -> Dtype:
    """Return the dtype that numbers of another have in the file: every float is float32."""
    return FLOAT if dtype.kind == "f" else dtype


class Graph:
    """A graph that grows by nodes; what converters work with.

    Attributes:
        layer: The module whose op is being converted: a dotted name.
        op: The op that is being converted.
        shape: The shape of that op's output.
        dtype: The dtype of that op's output, as it will be in the file.
    """

    def __init__(self) -> None:
        self.layer = ""
        self.op = ""
        self.shape: Sizes = ()
        self.dtype = FLOAT
        self.nodes: list[Any] = []
        self._onnx = extra("onnx")
        self._arrays: dict[str, Array] = {}
        self._names: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._batch_of: tuple[str, int] | None = None
        self._batch = ""

    # Names, weights and constants

    def unique(self, name: str) -> str:
        """Return a name that is not taken yet, and take it."""
        found, i = name, 1
        while found in self._names:
            found, i = f"{name}_{i}", i + 1
        self._names.add(found)
        return found

    def weight(self, name: str, array: Array) -> Value:
        """Return a weight; it is stored once something uses it."""
        found = self.unique(name)
        self._arrays[found] = array
        return Value(found, array.shape, stored(array.dtype))

    def constant(self, array: Array) -> Value:
        """Return a constant; equal ones are stored once."""
        array = np.array(array, stored(array.dtype), order="C")
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.weight("constant", array).name
        return Value(self._constants[key], array.shape, array.dtype, array)

    def ints(self, *numbers: int) -> Value:
        """Return a constant vector of integers."""
        return self.constant(np.array(numbers, INT))

    def scalar(self, number: Scalar, dtype: Dtype) -> Value:
        """Return a constant without dimensions."""
        return self.constant(np.array(number).astype(dtype))

    # Nodes

    def node(self, kind: str, *inputs: Value | str, **attributes: Any) -> str:
        """Add a node of one output, and return that output's name."""
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(self, kind: str, count: int, *inputs: Value | str, **attributes: Any) -> list[str]:
        """Add a node of several outputs, and return their names."""
        place = "/".join(part for part in (self.layer, self.op, kind) if part)
        names = [self.unique(place) for _ in range(count)]
        given = [each.name if isinstance(each, Value) else each for each in inputs]
        self.nodes.append(
            self._onnx.helper.make_node(kind, given, names, name=names[0], **attributes)
        )
        return names

    def named(self, value: Value, name: str) -> Value:
        """Return a value under a name of its own, as an output of the graph has it."""
        found = self.unique(name)
        self.nodes.append(self._onnx.helper.make_node("Identity", [value.name], [found]))
        return Value(found, value.shape, value.dtype)

    def result(self, name: str) -> Value:
        """Return an output of a node as the value of the op that is being converted."""
        return Value(name, self.shape, self.dtype)

    # Operands

    def operand(self, value: Operand, dtype: Dtype) -> Value:
        """Return a value or a number as a value of a dtype."""
        if isinstance(value, Batch):
            value = Value(self.size(value), (), INT)
        if isinstance(value, Value):
            return self.cast(value, dtype)
        return self.scalar(value, dtype)

    def cast(self, value: Value, dtype: Dtype) -> Value:
        """Return a value in a dtype of the file."""
        if value.dtype == dtype:
            return value
        if value.array is not None:
            return self.constant(value.array.astype(dtype))
        to = self._onnx.helper.np_dtype_to_tensor_dtype(dtype)
        return Value(self.node("Cast", value, to=to), value.shape, dtype)

    def common(self, *operands: Operand) -> Dtype:
        """Return the dtype in which NumPy would bring operands together, as far as files go."""
        kinds: list[Any] = [each.dtype if isinstance(each, Value) else each for each in operands]
        return stored(np.result_type(*[0 if isinstance(each, Batch) else each for each in kinds]))

    def working(self, dtype: Dtype) -> Dtype:
        """Return the dtype to compute in: runtimes know no arithmetic of small integers."""
        small = dtype.kind in "iu" and dtype.itemsize < _SMALL.itemsize
        return _SMALL if small else dtype

    # Sizes

    def follow(self, name: str, dim: int) -> None:
        """Take the batch size from a dimension of an input."""
        if self._batch_of is None:
            self._batch_of = name, dim

    def size(self, size: Size) -> str:
        """Return a size as a value without dimensions."""
        return self.node("Squeeze", self.vector([size]), self.ints(0))

    def vector(self, sizes: Iterable[Size]) -> Value:
        """Return sizes as a vector, such as a shape."""
        sizes = tuple(sizes)
        if not any(isinstance(n, Batch) for n in sizes):
            return self.ints(*[int(n) for n in sizes if not isinstance(n, Batch)])
        parts = [
            self._multiple(n.factor) if isinstance(n, Batch) else self.ints(n).name for n in sizes
        ]
        name = parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)
        return Value(name, (len(parts),), INT)

    def _multiple(self, factor: int) -> str:
        """Return a multiple of the batch size as a vector of one number."""
        if not self._batch:
            if self._batch_of is None:
                raise ExportError(f"export: op {self.op!r} needs a batch size, and there is none")
            name, dim = self._batch_of
            self._batch = self.node("Shape", name, start=dim, end=dim + 1)
        return self._batch if factor == 1 else self.node("Mul", self._batch, self.ints(factor))

    def count(self, sizes: Sequence[Size]) -> Value:
        """Return the product of sizes, as a float without dimensions."""
        fixed, found = 1, None
        for n in sizes:
            if isinstance(n, Batch):
                part = self.cast(Value(self.size(n), (), INT), FLOAT)
                found = part if found is None else self.number("Mul", found, part)
            else:
                fixed *= n
        whole = self.scalar(fixed, FLOAT)
        return whole if found is None else self.number("Mul", found, whole)

    def number(self, kind: str, *inputs: Value) -> Value:
        """Add a node whose output is a float without dimensions."""
        return Value(self.node(kind, *inputs), (), FLOAT)

    # Shapes

    def reshaped(self, value: Value | str, sizes: Sequence[Size]) -> str:
        """Return a value in another shape."""
        following = [n for n in sizes if isinstance(n, Batch)]
        if 0 in sizes:  # which would mean: as before
            return self.node("Reshape", value, self.vector(sizes), allowzero=1)
        if len(following) == 1:
            wanted = self.ints(*[-1 if isinstance(n, Batch) else n for n in sizes])
        else:
            wanted = self.vector(sizes)
        return self.node("Reshape", value, wanted)

    def permuted(self, value: Value | str, *dims: int) -> str:
        """Return a value with its dimensions in another order."""
        return self.node("Transpose", value, perm=list(dims))

    def sliced(self, value: Value | str, dim: int, start: int, stop: int, step: int = 1) -> str:
        """Return part of a dimension."""
        numbers = (self.ints(n) for n in (start, stop, dim, step))
        return self.node("Slice", value, *numbers)

    def refuse(self, why: str) -> ExportError:
        """Return the error of an op that cannot be said as it was called."""
        where = f"layer {self.layer!r}" if self.layer else "the model itself"
        return ExportError(f"export: op {self.op!r} in {where}: {why}")

    # The file

    def model(
        self, inputs: Sequence[Value], outputs: Sequence[Value], opset: int, name: str
    ) -> Any:
        """Return the graph as a model of ONNX, checked."""
        onnx, helper = self._onnx, self._onnx.helper

        def described(value: Value) -> Any:
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            shape = [str(n) if isinstance(n, Batch) else n for n in value.shape]
            return helper.make_tensor_value_info(value.name, kind, shape)

        used = {each for node in self.nodes for each in node.input}
        weights = [
            onnx.numpy_helper.from_array(np.array(array, stored(array.dtype), order="C"), key)
            for key, array in self._arrays.items()
            if key in used
        ]
        graph = helper.make_graph(
            self.nodes, name, list(map(described, inputs)), list(map(described, outputs)), weights
        )
        opsets = [helper.make_opsetid("", opset)]
        made = helper.make_model(
            graph, opset_imports=opsets, producer_name="tt-profile",
            ir_version=helper.find_min_ir_version_for(opsets),
        )  # fmt: skip
        onnx.checker.check_model(made, full_check=True)
        return made

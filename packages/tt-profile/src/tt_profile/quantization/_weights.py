"""Weights stored in eight or four bits, and what they are as floats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import Module
from tt_nn import functional as F

from ._affine import DEQUANTIZE, QUANTIZE
from ._int4 import pack_int4
from ._linear import DEQUANTIZE_INT4, INT4_LINEAR, INT8_LINEAR
from ._qparams import qparams

Array = NDArray[Any]
DType = Literal["int8", "int4"]


@dataclass(frozen=True)
class Scheme:
    """How weights become integers; see `quantize` for the arguments.

    Attributes:
        dtype: ``"int8"`` or ``"int4"``.
        per_channel: Whether each channel of an int8 weight has a scale of its own.
        symmetric: Whether the integer 0 stands for 0.
        group_size: How many weights of int4 share a scale, at most.
    """

    dtype: DType
    per_channel: bool
    symmetric: bool
    group_size: int

    def __str__(self) -> str:
        share = "in groups" if self.dtype == "int4" else "per tensor"
        if self.dtype == "int8" and self.per_channel:
            share = "per channel"
        return f"{self.dtype}, {share}, {'symmetric' if self.symmetric else 'affine'}"

    @property
    def quant_range(self) -> tuple[int, int]:
        """The smallest and the largest integer; as many on both sides of a symmetric 0."""
        largest = 127 if self.dtype == "int8" else 7
        return (-largest if self.symmetric else -largest - 1), largest

    def parts(self, weight: Tensor) -> Tensor:
        """Return a weight in the shape in which its parts get their scales.

        Int8: its own. Int4: ``(rows, groups, size)``, where groups have one even size and zeros
        fill the last one up.
        """
        if self.dtype == "int8":
            return weight
        rows, columns = weight.shape[0], math.prod(weight.shape[1:])
        groups = -(-columns // self.group_size)
        size = 2 * -(-columns // (2 * groups))
        padded = F.pad(weight.reshape(rows, columns), (0, groups * size - columns))
        return padded.reshape(rows, groups, size)

    def whole(self, parts: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the weight of a shape that `parts` was given."""
        if self.dtype == "int8":
            return parts
        return parts.flatten(1)[:, : math.prod(shape[1:])].reshape(shape)

    def qparams(self, parts: Array, axis: int) -> tuple[Array, Array | None]:
        """Return scales and zero points that broadcast to what `parts` returned."""
        dims: tuple[int, ...] | None = (2,)
        if self.dtype == "int8":
            dims = tuple(d for d in range(parts.ndim) if d != axis) if self.per_channel else None
        keep = dims is not None
        low, high = (f(parts, axis=dims, keepdims=keep) for f in (np.min, np.max))
        scale, zero_point = qparams(
            np.asarray(low), np.asarray(high), *self.quant_range, self.symmetric
        )
        return scale, None if self.symmetric else zero_point


class QuantizedWeight(Module):
    """A weight that is made of what stands in its place; calling it returns the floats."""

    def forward(self) -> Tensor:
        """Return the weight."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")

    def linear(self, input: tt_tensor.Tensor, bias: Tensor | None) -> Tensor:
        """Return ``input @ weight.T + bias``."""
        return F.linear(input, self(), bias)

    def embedding(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the weight's rows that the integers of ``input`` name."""
        return F.embedding(input, self())


class Int8Weight(QuantizedWeight):
    """A weight as int8, with a scale for all of it or for each channel.

    Args:
        values: The integers, in the shape of the weight.
        scale: What broadcasts to them.
        zero_point: The same, as int8; None where 0 stands for 0.

    Attributes:
        values: The same, as buffers; so are ``scale`` and ``zero_point``.

    Example:
        >>> import tt_autograd as tt
        >>> weight = Int8Weight(tt.tensor([[1, -2]], dtype="int8"), tt.tensor(0.5), None)
        >>> weight()
        tensor([[ 0.5000, -1.0000]])
    """

    values: Tensor
    scale: Tensor
    zero_point: Tensor | None

    def __init__(
        self,
        values: tt_tensor.Tensor,
        scale: tt_tensor.Tensor,
        zero_point: tt_tensor.Tensor | None,
    ) -> None:
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)

    @classmethod
    def of(cls, weight: Tensor, scheme: Scheme, axis: int) -> Int8Weight:
        """Quantize a weight."""
        scale, zero_point = scheme.qparams(weight._array, axis)
        low, high = scheme.quant_range
        values = QUANTIZE(weight._array, scale, zero_point, quant_min=low, quant_max=high)
        # As weights of Linear, by columns, lie in memory, rows of integers would be far apart.
        values = np.ascontiguousarray(values)
        return cls(tt.from_numpy(values), tt.from_numpy(scale), optional_tensor(zero_point))

    def forward(self) -> Tensor:
        """Return the floats: ``(values - zero_point) * scale``."""
        return Tensor._apply(DEQUANTIZE, (self.values, self.scale, self.zero_point), {})

    def linear(self, input: tt_tensor.Tensor, bias: Tensor | None) -> Tensor:
        """Return ``input @ weight.T + bias``, with floats of a piece of the weight at a time."""
        operands = (input, self.values, self.scale, self.zero_point, bias)
        return Tensor._apply(INT8_LINEAR, operands, {})

    def embedding(self, input: tt_tensor.Tensor) -> Tensor:
        """Return rows, of which alone floats are made."""
        scale, zero_point = self.scale, self.zero_point
        if scale.ndim:  # (rows, 1) -> (..., 1)
            scale = F.embedding(input, scale)
            zero_point = None if zero_point is None else F.embedding(input, zero_point)
        operands = (F.embedding(input, self.values), scale, zero_point)
        return Tensor._apply(DEQUANTIZE, operands, {})

    def extra_repr(self) -> str:
        """Return the shape, and how it is quantized."""
        per = "channel" if self.scale.ndim else "tensor"
        return f"{self.values.shape}, per {per}, {_symmetry(self.zero_point)}"


class Int4Weight(QuantizedWeight):
    """A weight as integers of four bits, two to a byte, in groups that each have a scale.

    Args:
        values: ``(rows, groups, size / 2)`` bytes, as `pack_int4` makes them.
        scale: ``(rows, groups, 1)``.
        zero_point: The same, as int8; None where 0 stands for 0.
        shape: The weight's; its first dimension is the rows.

    Attributes:
        values: The same, as buffers; so are ``scale`` and ``zero_point``.
        shape: The weight's shape.

    Example:
        >>> import tt_autograd as tt
        >>> packed = tt.tensor([[[33, 15]]], dtype="uint8")
        >>> Int4Weight(packed, tt.tensor([[[0.5]]]), None, (1, 3))()
        tensor([[ 0.5000,  1.0000, -0.5000]])
    """

    values: Tensor
    scale: Tensor
    zero_point: Tensor | None

    def __init__(
        self,
        values: tt_tensor.Tensor,
        scale: tt_tensor.Tensor,
        zero_point: tt_tensor.Tensor | None,
        shape: Sequence[int],
    ) -> None:
        super().__init__()
        self.register_buffer("values", values)
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        self.shape = tuple(shape)

    @classmethod
    def of(cls, weight: Tensor, scheme: Scheme, axis: int) -> Int4Weight:
        """Quantize a weight."""
        with tt.no_grad():
            parts = scheme.parts(weight)._array
        scale, zero_point = scheme.qparams(parts, axis)
        low, high = scheme.quant_range
        values = QUANTIZE(parts, scale, zero_point, quant_min=low, quant_max=high)
        packed = tt.from_numpy(pack_int4(values))
        return cls(packed, tt.from_numpy(scale), optional_tensor(zero_point), weight.shape)

    def forward(self) -> Tensor:
        """Return the floats."""
        params = {"columns": math.prod(self.shape[1:])}
        operands = (self.values, self.scale, self.zero_point)
        return Tensor._apply(DEQUANTIZE_INT4, operands, params).reshape(self.shape)

    def linear(self, input: tt_tensor.Tensor, bias: Tensor | None) -> Tensor:
        """Return ``input @ weight.T + bias``, with floats of a piece of the weight at a time."""
        operands = (input, self.values, self.scale, self.zero_point, bias)
        return Tensor._apply(INT4_LINEAR, operands, {"columns": self.shape[1]})

    def embedding(self, input: tt_tensor.Tensor) -> Tensor:
        """Return rows, of which alone floats are made."""
        flat = input.reshape(-1)

        def rows(each: Tensor) -> Tensor:
            picked = F.embedding(flat, each.flatten(1))  # (indices, groups * n)
            return picked.reshape(-1, *each.shape[1:])

        zero_point = None if self.zero_point is None else rows(self.zero_point)
        operands = (rows(self.values), rows(self.scale), zero_point)
        out = Tensor._apply(DEQUANTIZE_INT4, operands, {"columns": self.shape[1]})
        return out.reshape(*input.shape, self.shape[1])

    def extra_repr(self) -> str:
        """Return the shape, and how it is quantized."""
        size = 2 * self.values.shape[-1]
        return f"{self.shape}, groups of {size}, {_symmetry(self.zero_point)}"


def quantized(weight: Tensor, scheme: Scheme, axis: int) -> Int8Weight | Int4Weight:
    """Return a weight in few bits.

    Args:
        weight: The weight, finite.
        scheme: How.
        axis: The dimension of its channels.
    """
    kind = Int8Weight if scheme.dtype == "int8" else Int4Weight
    return kind.of(weight, scheme, axis)


def weight_like(
    weight: Tensor, axis: int, start: str, state: Mapping[str, tt_tensor.Tensor]
) -> Int8Weight | Int4Weight:
    """Return a weight of the kind that a state holds, of zeros, to load the state into.

    Args:
        weight: What it is in the model.
        axis: The dimension of its channels.
        start: What the names of its entries in the state start with.
        state: The state.

    Raises:
        ValueError: The state holds no weight that fits.
    """
    entries = {name: state.get(start + name) for name in ("values", "scale", "zero_point")}
    shapes = {name: each.shape for name, each in entries.items() if each is not None}
    values = entries["values"]
    dtype = None if values is None else values.dtype
    scales = shapes.get("scale")

    def zero_point() -> Tensor | None:
        return tt.zeros(*shapes["zero_point"], dtype="int8") if "zero_point" in shapes else None

    if scales is not None and shapes.get("zero_point", scales) == scales:
        made = tt.zeros(*shapes["values"], dtype=dtype), tt.zeros(*scales, dtype=weight.dtype)
        channels = tuple(n if d == axis else 1 for d, n in enumerate(weight.shape))
        if dtype == np.int8 and shapes["values"] == weight.shape and scales in ((), channels):
            return Int8Weight(*made, zero_point())
        if dtype == np.uint8 and _holds(shapes["values"], scales, weight.shape):
            return Int4Weight(*made, zero_point(), weight.shape)
    found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    raise ValueError(
        f"load_quantized: {start!r} holds no weight of shape {weight.shape}: {found}; "
        f"values are {dtype}; of a model that was pruned too, load_compressed finds the sizes"
    )


def _holds(values: tuple[int, ...], scale: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Return whether packed groups hold a weight, with less than two values in each to spare."""
    if len(values) != 3 or scale != (*values[:2], 1) or values[0] != shape[0]:
        return False
    _, groups, half = values
    return 0 <= 2 * groups * half - math.prod(shape[1:]) < 2 * groups


def _symmetry(zero_point: Tensor | None) -> str:
    return "symmetric" if zero_point is None else "affine"


def optional_tensor(array: Array | None) -> Tensor | None:
    return None if array is None else tt.from_numpy(array)

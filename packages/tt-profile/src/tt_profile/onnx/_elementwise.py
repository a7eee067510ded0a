"""Converters of ops that work element by element: arithmetic, comparisons, activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._graph import BOOL, FLOAT, Dtype, Graph, Operand, Value

# A converter takes the graph and then what the op's kernel takes, with values in the place of
# arrays, and returns the output: a value, or the name of one of the op's shape and dtype.
Converter = Callable[..., Value | str]

_OF_BOOLS = {"Add": "Or", "Mul": "And", "Max": "Or", "Min": "And"}  # what NumPy takes these for


def unary(*kinds: str) -> Converter:
    """Return the converter of a function that is a chain of ONNX's."""

    def convert(g: Graph, input: Value) -> str:
        name = g.operand(input, g.dtype)
        for kind in kinds:
            name = Value(g.node(kind, name), g.shape, g.dtype)
        return name.name

    return convert


def binary(kind: str) -> Converter:
    """Return the converter of a function of two that broadcast."""

    def convert(g: Graph, input: Operand, other: Operand) -> Value:
        return _of_two(g, kind, input, other)

    return convert


def _of_two(g: Graph, kind: str, input: Operand, other: Operand) -> Value:
    if g.dtype == BOOL:
        kind = _OF_BOOLS[kind]
    dtype = g.working(g.dtype)
    name = g.node(kind, g.operand(input, dtype), g.operand(other, dtype))
    return g.cast(Value(name, g.shape, dtype), g.dtype)


def compared(kind: str, *after: str) -> Converter:
    """Return the converter of a comparison, whose inputs are brought to one dtype."""

    def convert(g: Graph, input: Operand, other: Operand) -> str:
        dtype = g.working(g.common(input, other))
        if dtype == BOOL and kind != "Equal":
            dtype = np.dtype(np.int32)
        name = g.node(kind, g.operand(input, dtype), g.operand(other, dtype))
        for each in after:
            name = g.node(each, name)
        return name

    return convert


def logical(kind: str) -> Converter:
    """Return the converter of a function of truth values."""

    def convert(g: Graph, *inputs: Operand) -> str:
        return g.node(kind, *[g.operand(each, BOOL) for each in inputs])

    return convert


def bitwise(kind: str) -> Converter:
    """Return the converter of a function of bits, for bools that of truth values."""

    def convert(g: Graph, *inputs: Operand) -> str:
        operands = [g.operand(each, g.dtype) for each in inputs]
        return g.node(kind if g.dtype == BOOL else f"Bitwise{kind}", *operands)

    return convert


def asked(*kinds: str) -> Converter:
    """Return the converter of a question about floats that is true if one of ONNX's is."""

    def convert(g: Graph, input: Value) -> str:
        x = g.operand(input, FLOAT)
        names = [g.node(kind, x) for kind in kinds]
        return names[0] if len(names) == 1 else g.node("Or", *names)

    return convert


def _square(g: Graph, input: Value) -> Value:
    return _of_two(g, "Mul", input, input)


def _power(g: Graph, input: Operand, other: Operand) -> str:
    return g.node("Pow", g.operand(input, g.dtype), g.operand(other, g.dtype))


def _remainder(g: Graph, input: Operand, other: Operand) -> Value:
    dtype = g.working(g.dtype)
    x, y = g.operand(input, dtype), g.operand(other, dtype)
    return g.cast(Value(_modulo(g, x, y, dtype), g.shape, dtype), g.dtype)


def _modulo(g: Graph, x: Value, y: Value, dtype: Dtype) -> str:
    """Return the remainder that has the sign of the divisor."""
    if dtype != FLOAT:
        return g.node("Mod", x, y)
    rest = g.node("Mod", x, y, fmod=1)  # it has the sign of the dividend
    other_side = g.node("Less", g.node("Mul", rest, y), g.scalar(0, FLOAT))
    return g.node("Where", other_side, g.node("Add", rest, y), rest)


def _floor_divide(g: Graph, input: Operand, other: Operand) -> Value:
    dtype = g.working(g.dtype)
    x, y = g.operand(input, dtype), g.operand(other, dtype)
    quotient = g.node("Div", g.node("Sub", x, _modulo(g, x, y, dtype)), y)
    if dtype == FLOAT:
        quotient = g.node("Round", quotient)
    return g.cast(Value(quotient, g.shape, dtype), g.dtype)


def _whole(kind: str) -> Converter:
    """Return the converter of a rounding, which leaves integers as they are."""

    def convert(g: Graph, input: Value) -> Value | str:
        if input.dtype != FLOAT:
            return g.cast(input, g.dtype)
        return g.node(kind, input)

    return convert


def _round(g: Graph, input: Value, decimals: int) -> Value | str:
    if input.dtype != FLOAT and decimals >= 0:
        return input
    if input.dtype != FLOAT:
        raise g.refuse("integers are rounded to tens, which ONNX cannot; make them floats first")
    if not decimals:
        return g.node("Round", input)
    scale = g.scalar(10.0**decimals, FLOAT)
    return g.node("Div", g.node("Round", g.node("Mul", input, scale)), scale)


def _clip(g: Graph, input: Operand, min: Operand | None, max: Operand | None) -> Value:
    dtype = g.working(g.dtype)
    out = g.operand(input, dtype)
    for kind, limit in (("Max", min), ("Min", max)):
        if limit is not None:
            out = Value(g.node(kind, out, g.operand(limit, dtype)), g.shape, dtype)
    return g.cast(out, g.dtype)


def _same(g: Graph, input: Value, **_: Any) -> Value:
    """Return the value itself, for ops that matter to memory only."""
    return input


def _cast(g: Graph, input: Value, dtype: Dtype) -> Value:
    return g.cast(input, g.dtype)


def _where(g: Graph, condition: Operand, input: Operand, other: Operand) -> str:
    chosen = g.operand(condition, BOOL)
    return g.node("Where", chosen, g.operand(input, g.dtype), g.operand(other, g.dtype))


def _expm1(g: Graph, input: Value) -> str:
    return g.node("Sub", g.node("Exp", g.operand(input, FLOAT)), g.scalar(1, FLOAT))


def _log1p(g: Graph, input: Value) -> str:
    return g.node("Log", g.node("Add", g.operand(input, FLOAT), g.scalar(1, FLOAT)))


# Activations


def _leaky_relu(g: Graph, input: Value, negative_slope: float) -> str:
    return g.node("LeakyRelu", g.operand(input, FLOAT), alpha=float(negative_slope))


def _elu(g: Graph, input: Value, alpha: float) -> str:
    return g.node("Elu", g.operand(input, FLOAT), alpha=float(alpha))


def _silu(g: Graph, input: Value) -> str:
    x = g.operand(input, FLOAT)
    return g.node("Mul", x, g.node("Sigmoid", x))


def _gelu(g: Graph, input: Value, approximate: str) -> str:
    return g.node("Gelu", g.operand(input, FLOAT), approximate=approximate)


def _softplus(g: Graph, input: Value, beta: float, threshold: float) -> str:
    x, factor = g.operand(input, FLOAT), g.scalar(beta, FLOAT)
    scaled = g.node("Mul", x, factor)
    curve = g.node("Div", g.node("Softplus", scaled), factor)
    return g.node("Where", g.node("Greater", scaled, g.scalar(threshold, FLOAT)), x, curve)


def _softmax(kind: str) -> Converter:
    def convert(g: Graph, input: Value, dim: int) -> str:
        x = g.operand(input, FLOAT)
        if g.shape:
            return g.node(kind, x, axis=dim)
        return g.reshaped(g.node(kind, g.reshaped(x, (1,)), axis=0), ())

    return convert


def _relu_squared(g: Graph, input: Value) -> str:
    positive = g.node("Relu", input)
    return g.node("Mul", positive, positive)


def _relu(g: Graph, input: Value) -> Value | str:
    if g.dtype != FLOAT:
        return _clip(g, input, 0, None)
    return g.node("Relu", input)


def _blend(g: Graph, input: Value, other: Value, factors: Value) -> str:
    products = [
        g.node("Mul", x, g.node("Gather", factors, g.scalar(i, np.dtype(np.int64)), axis=0))
        for i, x in enumerate((input, other))
    ]
    return g.node("Add", *products)


ELEMENTWISE: dict[str, Converter] = {
    "add": binary("Add"),
    "sub": binary("Sub"),
    "mul": binary("Mul"),
    "div": binary("Div"),
    "pow": _power,
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "maximum": binary("Max"),
    "minimum": binary("Min"),
    "neg": unary("Neg"),
    "abs": unary("Abs"),
    "sign": unary("Sign"),
    "square": _square,
    "reciprocal": unary("Reciprocal"),
    "floor": _whole("Floor"),
    "ceil": _whole("Ceil"),
    "round": _round,
    "clip": _clip,
    "clone": _same,
    "batch_first": _same,
    "cast": _cast,
    "where": _where,
    "exp": unary("Exp"),
    "expm1": _expm1,
    "log": unary("Log"),
    "log1p": _log1p,
    "sqrt": unary("Sqrt"),
    "rsqrt": unary("Sqrt", "Reciprocal"),
    "sin": unary("Sin"),
    "cos": unary("Cos"),
    "tanh": unary("Tanh"),
    "erf": unary("Erf"),
    "eq": compared("Equal"),
    "ne": compared("Equal", "Not"),
    "lt": compared("Less"),
    "le": compared("LessOrEqual"),
    "gt": compared("Greater"),
    "ge": compared("GreaterOrEqual"),
    "logical_and": logical("And"),
    "logical_or": logical("Or"),
    "logical_xor": logical("Xor"),
    "logical_not": logical("Not"),
    "bitwise_and": bitwise("And"),
    "bitwise_or": bitwise("Or"),
    "bitwise_xor": bitwise("Xor"),
    "bitwise_not": bitwise("Not"),
    "isnan": asked("IsNaN"),
    "isinf": asked("IsInf"),
    "isfinite": lambda g, input: g.node("Not", asked("IsNaN", "IsInf")(g, input)),
    "relu": _relu,
    "relu_squared": _relu_squared,
    "leaky_relu": _leaky_relu,
    "sigmoid": unary("Sigmoid"),
    "silu": _silu,
    "gelu": _gelu,
    "softplus": _softplus,
    "elu": _elu,
    "softmax": _softmax("Softmax"),
    "log_softmax": _softmax("LogSoftmax"),
    "blend": _blend,
}

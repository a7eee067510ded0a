"""Converters of reductions, products and sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ._elementwise import Converter
from ._graph import BOOL, FLOAT, INT, Graph, Value

Dims = Sequence[int] | None


def reduced(g: Graph, kind: str, input: Value | str, dims: Dims, keepdim: bool) -> str:
    """Add a reduction over some dimensions, or over all."""
    axes = () if dims is None else (g.ints(*dims),)
    return g.node(kind, input, *axes, keepdims=int(keepdim))


def _fold(kind: str) -> Converter:
    def convert(g: Graph, input: Value, dim: Dims, keepdim: bool) -> Value:
        dtype = g.working(g.dtype)
        name = reduced(g, kind, g.cast(input, dtype), dim, keepdim)
        return g.cast(Value(name, g.shape, dtype), g.dtype)

    return convert


def _extreme(kind: str) -> Converter:
    """Return the converter of a maximum or minimum, which for bools is any or all."""

    def convert(g: Graph, input: Value, dim: Dims, keepdim: bool) -> Value:
        numbers = g.cast(input, BOOL) if g.dtype == BOOL else input
        dtype = g.working(np.dtype(np.int8) if g.dtype == BOOL else g.dtype)
        name = reduced(g, kind, g.cast(numbers, dtype), dim, keepdim)
        return g.cast(Value(name, g.shape, dtype), g.dtype)

    return convert


def _variance(g: Graph, input: Value, dim: Dims, correction: float, keepdim: bool) -> str:
    x = g.cast(input, FLOAT)
    squares = g.node("Sub", x, reduced(g, "ReduceMean", x, dim, True))
    total = reduced(g, "ReduceSum", g.node("Mul", squares, squares), dim, keepdim)
    sizes = input.shape if dim is None else [input.shape[d] for d in dim]
    freedom = g.node("Sub", g.count(sizes), g.scalar(correction, FLOAT))
    return g.node("Div", total, freedom)


def _deviation(g: Graph, input: Value, dim: Dims, correction: float, keepdim: bool) -> str:
    return g.node("Sqrt", _variance(g, input, dim, correction, keepdim))


def _place(kind: str) -> Converter:
    def convert(g: Graph, input: Value, dim: int | None, keepdim: bool) -> Value | str:
        if not input.shape:
            return g.scalar(0, INT)
        x = input if input.dtype == FLOAT else g.cast(input, np.dtype(np.int32))
        if dim is None:
            flat = g.node("Reshape", x, g.ints(-1))
            return g.reshaped(g.node(kind, flat, axis=0, keepdims=0), g.shape)
        return g.node(kind, x, axis=dim, keepdims=int(keepdim))

    return convert


def _logsumexp(g: Graph, input: Value, dim: Dims, keepdim: bool) -> str:
    return reduced(g, "ReduceLogSumExp", g.cast(input, FLOAT), dim, keepdim)


def _norm(g: Graph, input: Value, p: float, dim: Dims, keepdim: bool) -> str:
    x = g.cast(input, FLOAT)
    if p in (1, 2):
        return reduced(g, f"ReduceL{p:.0f}", x, dim, keepdim)
    size = g.node("Abs", x)
    if p == math.inf:
        return reduced(g, "ReduceMax", size, dim, keepdim)
    powers = g.node("Pow", size, g.scalar(p, FLOAT))
    total = reduced(g, "ReduceSum", powers, dim, keepdim)
    return g.node("Pow", total, g.scalar(1 / p, FLOAT))


def _cumsum(g: Graph, input: Value, dim: int) -> Value:
    if not input.shape:
        return g.cast(input, g.dtype)
    dtype = g.working(g.dtype)
    name = g.node("CumSum", g.cast(input, dtype), g.scalar(dim, INT))
    return g.cast(Value(name, g.shape, dtype), g.dtype)


def _matmul(g: Graph, input: Value, other: Value) -> Value:
    dtype = g.working(g.dtype if g.dtype != BOOL else np.dtype(np.int8))
    name = g.node("MatMul", g.cast(input, dtype), g.cast(other, dtype))
    return g.cast(Value(name, g.shape, dtype), g.dtype)


def _einsum(g: Graph, *operands: Value, equation: str) -> Value:
    dtype = g.working(g.dtype)
    name = g.node("Einsum", *[g.cast(each, dtype) for each in operands], equation=equation)
    return g.cast(Value(name, g.shape, dtype), g.dtype)


REDUCTIONS: dict[str, Converter] = {
    "sum": _fold("ReduceSum"),
    "mean": _fold("ReduceMean"),
    "prod": _fold("ReduceProd"),
    "max": _extreme("ReduceMax"),
    "min": _extreme("ReduceMin"),
    "any": _extreme("ReduceMax"),
    "all": _extreme("ReduceMin"),
    "var": _variance,
    "std": _deviation,
    "argmax": _place("ArgMax"),
    "argmin": _place("ArgMin"),
    "logsumexp": _logsumexp,
    "norm": _norm,
    "cumsum": _cumsum,
    "matmul": _matmul,
    "einsum": _einsum,
}

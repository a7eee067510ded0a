"""The table of derivatives: for every op its vector-Jacobian products, or that it has none.

A product's arguments say what is kept from the forward pass; see `defvjp`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tt_tensor import ops

from ._rules import defnograd, defvjp, identity

Value = Any  # an array, or a tensor when the derivative is itself to be differentiated

_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
_SQRT_HALF = math.sqrt(0.5)
_DENSITY = 1 / math.sqrt(2 * math.pi)
_SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
_GELU_CUBIC = 0.044715


def restore(g: Value, dim: tuple[int, ...] | None, keepdim: bool, shape: tuple[int, ...]) -> Value:
    """Put reduced dimensions back with size 1, so that ``g`` broadcasts against the input."""
    if keepdim:
        return g
    kept = [1 if dim is None or d in dim else n for d, n in enumerate(shape)]
    return g.reshape(tuple(kept))


def spread(g: Value, dim: tuple[int, ...] | None, keepdim: bool, shape: tuple[int, ...]) -> Value:
    """Give every element of the input the gradient of the sum that it went into."""
    return ops.EXPAND(restore(g, dim, keepdim, shape), shape=shape)


def folded(shape: tuple[int, ...], dim: tuple[int, ...] | None) -> int:
    """Return how many elements a reduction over ``dim`` folds into one."""
    return math.prod(shape if dim is None else [shape[d] for d in dim])


def _among_equals(g: Value, input: Value, out: Value, dim: Any, keepdim: bool) -> Value:
    """Share a gradient among all elements that equal the chosen one."""
    out = restore(out, dim, keepdim, input.shape)
    chosen = input == out
    if np.isnan(_plain(out)).any():
        chosen = ops.LOGICAL_OR(chosen, ops.ISNAN(input))  # the largest of what holds NaN is NaN
    mask = ops.CAST(chosen, dtype=g.dtype)
    return restore(g, dim, keepdim, input.shape) * (mask / mask.sum(axis=dim, keepdims=True))


# Arithmetic

defvjp(ops.ADD, input=identity, other=identity)
defvjp(ops.SUB, input=identity, other=lambda g: -g)
defvjp(ops.MUL, input=lambda g, other: g * other, other=lambda g, input: g * input)
defvjp(ops.DIV, input=lambda g, other: g / other, other=lambda g, other, out: -g * out / other)
defvjp(
    ops.REMAINDER,
    input=identity,
    other=lambda g, input, other: -g * ops.FLOOR_DIVIDE(input, other),
)
defvjp(
    ops.POW,
    input=lambda g, input, other: g * _pow_slope(input, other),
    other=lambda g, input, out: g * out * _safe_log(input),
)
defvjp(
    ops.MAXIMUM,
    input=lambda g, input, other: _larger(g, input, other),
    other=lambda g, input, other: _larger(g, other, input),
)
defvjp(
    ops.MINIMUM,
    input=lambda g, input, other: _larger(g, other, input),
    other=lambda g, input, other: _larger(g, input, other),
)
defvjp(ops.NEG, input=lambda g: -g)
defvjp(ops.ABS, input=lambda g, input: g * ops.SIGN(input))
defvjp(ops.SQUARE, input=lambda g, input: g * (2 * input))
defvjp(ops.RECIPROCAL, input=lambda g, out: -g * (out * out))
defvjp(ops.SQRT, input=lambda g, out: g / (2 * out))
defvjp(ops.RSQRT, input=lambda g, out: g * (-0.5 * (out * out * out)))
defvjp(ops.EXP, input=lambda g, out: g * out)
defvjp(ops.EXPM1, input=lambda g, out: g * (out + 1))
defvjp(ops.LOG, input=lambda g, input: g / input)
defvjp(ops.LOG1P, input=lambda g, input: g / (input + 1))
defvjp(ops.SIN, input=lambda g, input: g * ops.COS(input))
defvjp(ops.COS, input=lambda g, input: -g * ops.SIN(input))
defvjp(ops.TANH, input=lambda g, out: g * (1 - out * out))
defvjp(ops.ERF, input=lambda g, input: g * (_TWO_OVER_SQRT_PI * ops.EXP(-(input * input))))
defvjp(ops.CLONE, input=identity)
defvjp(ops.CAST, input=identity)
defvjp(ops.CLIP, input=lambda g, input, min, max: g * _inside(input, min, max))
defvjp(
    ops.WHERE,
    input=lambda g, condition: ops.WHERE(condition, g, 0),
    other=lambda g, condition: ops.WHERE(condition, 0, g),
)


def _pow_slope(input: Value, other: Value) -> Value:
    """Return n * x ** (n - 1), which is 0 for n = 0 also where x is 0."""
    if isinstance(other, int | float):
        if other == 0:
            return ops.CAST(input == input, dtype=input.dtype) * 0  # also where input is infinite
        return other * ops.POW(input, other - 1)
    zero = other == 0
    return other * ops.POW(ops.WHERE(zero, 1, input), ops.WHERE(zero, 1.0, other) - 1)


def _safe_log(input: Value) -> Value:
    """Return log x, and 0 where x is 0: the limit of 0 ** n * log 0 for n > 0."""
    if isinstance(input, int | float):
        return math.log(input) if input > 0 else 0.0 if input == 0 else math.nan
    zero = input == 0
    return ops.WHERE(zero, 0, ops.LOG(ops.WHERE(zero, 1.0, input)))


def _larger(g: Value, a: Value, b: Value) -> Value:
    """Return g where a > b, g / 2 where they are equal, 0 elsewhere."""
    return g * ops.GT(a, b) + (0.5 * g) * ops.EQ(a, b)


def _inside(input: Value, min: Value, max: Value) -> Value:
    """Return where values lie within their limits."""
    low = True if min is None else ops.GE(input, min)
    high = True if max is None else ops.LE(input, max)
    return ops.LOGICAL_AND(low, high)


# Activations

defvjp(ops.RELU, input=lambda g, out: g * (out > 0))
defvjp(
    ops.LEAKY_RELU,
    input=lambda g, input, negative_slope: ops.WHERE(input > 0, g, g * negative_slope),
)
defvjp(ops.SIGMOID, input=lambda g, out: g * (out * (1 - out)))
defvjp(ops.SILU, input=lambda g, input: g * _silu_slope(input))
defvjp(ops.GELU, input=lambda g, input, approximate: g * _gelu_slope(input, approximate))
defvjp(
    ops.SOFTPLUS,
    input=lambda g, input, beta, threshold: (
        g * ops.WHERE(input * beta > threshold, 1.0, ops.SIGMOID(input * beta))
    ),
)
defvjp(
    ops.ELU,
    input=lambda g, input, out, alpha: ops.WHERE(input > 0, g, g * (out + alpha)),
)
defvjp(ops.SOFTMAX, input=lambda g, out, dim: _softmax_back(g, out, dim))
defvjp(
    ops.LOG_SOFTMAX,
    input=lambda g, out, dim: g - ops.EXP(out) * g.sum(axis=dim, keepdims=True),
)


def _softmax_back(g: Value, out: Value, dim: int) -> Value:
    """Multiply by the Jacobian of softmax, ``diag(out) - out outᵀ``, without making it."""
    return out * (g - (g * out).sum(axis=dim, keepdims=True))


def _silu_slope(x: Value) -> Value:
    s = ops.SIGMOID(x)
    return s * (1 + x * (1 - s))


def _gelu_slope(x: Value, approximate: str) -> Value:
    if approximate == "none":
        distribution = 0.5 * (1 + ops.ERF(x * _SQRT_HALF))
        return distribution + x * (_DENSITY * ops.EXP(-0.5 * (x * x)))
    square = x * x
    t = ops.TANH(_SQRT_2_OVER_PI * (x * (1 + _GELU_CUBIC * square)))
    inner = _SQRT_2_OVER_PI * (1 + 3 * _GELU_CUBIC * square)
    return 0.5 * (1 + t) + 0.5 * x * ((1 - t * t) * inner)


# Reductions

defvjp(ops.SUM, input=lambda g, dim, keepdim, shape: spread(g, dim, keepdim, shape))
defvjp(
    ops.MEAN,
    input=lambda g, dim, keepdim, shape: spread(
        g / max(folded(shape, dim), 1), dim, keepdim, shape
    ),
)
defvjp(
    ops.PROD,
    input=lambda g, input, out, dim, keepdim: (
        restore(g, dim, keepdim, input.shape)
        * _others(input, restore(out, dim, keepdim, input.shape), dim)
    ),
)
defvjp(
    ops.VAR,
    input=lambda g, input, dim, correction, keepdim: (
        restore(g, dim, keepdim, input.shape) * _var_slope(input, dim, correction)
    ),
)
defvjp(
    ops.STD,
    input=lambda g, input, out, dim, correction, keepdim: (
        restore(g * _half_reciprocal(out), dim, keepdim, input.shape)
        * _var_slope(input, dim, correction)
    ),
)
defvjp(
    ops.MAX,
    input=lambda g, input, out, dim, keepdim: _among_equals(g, input, out, dim, keepdim),
)
defvjp(
    ops.MIN,
    input=lambda g, input, out, dim, keepdim: _among_equals(g, input, out, dim, keepdim),
)
defvjp(
    ops.LOGSUMEXP,
    input=lambda g, input, out, dim, keepdim: (
        restore(g, dim, keepdim, input.shape)
        * ops.EXP(input - restore(out, dim, keepdim, input.shape))
    ),
)
defvjp(
    ops.NORM,
    input=lambda g, input, out, p, dim, keepdim: _norm_slope(g, input, out, p, dim, keepdim),
)
defvjp(
    ops.CUMSUM,
    input=lambda g, dim: (
        ops.FLIP(ops.CUMSUM(ops.FLIP(g, dims=(dim,)), dim=dim), dims=(dim,)) if g.ndim else g
    ),
)


def _var_slope(input: Value, dim: Any, correction: float) -> Value:
    n = folded(input.shape, dim)
    mean = input.sum(axis=dim, keepdims=True) / max(n, 1)
    return (input - mean) * (2 / (n - correction) if n > correction else math.inf)


def _half_reciprocal(out: Value) -> Value:
    """Return 1 / (2 out), and 0 where out is 0."""
    zero = out == 0
    return ops.WHERE(zero, 0.0, 0.5 / ops.WHERE(zero, 1.0, out))


def _others(input: Value, out: Value, dim: Any) -> Value:
    """Return for each element the product of all others that it was multiplied with."""
    if not (_plain(input) == 0).any():
        return out / input
    # With a zero among them, each product is made anew: (rest, n, n), ones on the diagonal.
    dims = tuple(range(input.ndim)) if dim is None else dim
    kept = tuple(d for d in range(input.ndim) if d not in dims)
    n = folded(input.shape, dims)
    rows = ops.PERMUTE(input, dims=kept + dims).reshape((-1, 1, n))
    square = ops.EXPAND(rows, shape=(rows.shape[0], n, n))
    product = ops.PROD(
        ops.WHERE(np.eye(n, dtype=bool), 1.0, square), dim=(2,), keepdim=False
    ).reshape(tuple(input.shape[d] for d in kept + dims))
    return ops.PERMUTE(product, dims=_inverse(kept + dims))


def _norm_slope(g: Value, input: Value, out: Value, p: float, dim: Any, keepdim: bool) -> Value:
    if p == math.inf:
        return _among_equals(g, abs(input), out, dim, keepdim) * ops.SIGN(input)
    g, out = restore(g, dim, keepdim, input.shape), restore(out, dim, keepdim, input.shape)
    if p == 1:
        return g * ops.SIGN(input)
    zero = out == 0
    safe = ops.WHERE(zero, 1.0, out)
    if p == 2:
        return g * ops.WHERE(zero, 0.0, input / safe)
    size = abs(input)
    nothing = size == 0
    ratio = ops.WHERE(nothing, 1.0, size) / safe
    return g * ops.SIGN(input) * ops.WHERE(nothing, 0.0, ops.POW(ratio, p - 1))


# Shape

defvjp(ops.RESHAPE, input=lambda g, shape: g.reshape(shape))
defvjp(ops.VIEW, input=lambda g, shape: g.reshape(shape))
defvjp(ops.PERMUTE, input=lambda g, dims: ops.PERMUTE(g, dims=_inverse(dims)))
defvjp(ops.EXPAND, input=identity)
defvjp(ops.CONCAT, each=lambda g, i, dim, shapes: _concat_part(g, i, dim, shapes))
defvjp(ops.STACK, each=lambda g, i, dim: ops.GETITEM(g, index=(slice(None),) * dim + (i,)))
defvjp(ops.PAD, input=lambda g, shape, widths, mode: _pad_back(g, shape, widths, mode))
defvjp(ops.FLIP, input=lambda g, dims: ops.FLIP(g, dims=dims))
defvjp(ops.ROLL, input=lambda g, shifts, dims: ops.ROLL(g, shifts=_opposite(shifts), dims=dims))
defvjp(ops.TILE, input=lambda g, shape, repeats: _tile_back(g, shape, repeats))


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    back = [0] * len(dims)
    for new, old in enumerate(dims):
        back[old] = new
    return tuple(back)


def _opposite(shifts: Any) -> Any:
    return -shifts if isinstance(shifts, int) else tuple(-n for n in shifts)


def _concat_part(g: Value, i: int, dim: int, shapes: tuple[tuple[int, ...], ...]) -> Value:
    start = sum(shape[dim] for shape in shapes[:i])
    index = (slice(None),) * dim + (slice(start, start + shapes[i][dim]),)
    return ops.GETITEM(g, index=index)


def _pad_back(g: Value, shape: tuple[int, ...], widths: Any, mode: str) -> Value:
    if mode == "constant":
        inner = tuple(slice(low, low + n) for n, (low, _) in zip(shape, widths, strict=True))
        return ops.GETITEM(g, index=inner)
    # The padding repeats elements: where each came from is found by padding their numbers.
    count = math.prod(shape)
    numbers = np.arange(count).reshape(shape)
    source = ops.PAD.forward(numbers, widths=widths, mode=mode, value=0).reshape(-1)
    return ops.UNINDEX(g.reshape((-1,)), index=source, shape=(count,)).reshape(shape)


def _tile_back(g: Value, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Value:
    ndim = max(len(shape), len(repeats))
    sizes = (1,) * (ndim - len(shape)) + shape
    counts = (1,) * (ndim - len(repeats)) + repeats
    pairs = tuple(n for pair in zip(counts, sizes, strict=True) for n in pair)
    # (repeats, size) for each dimension, summed over the repeats
    return g.reshape(pairs).sum(axis=tuple(range(0, 2 * ndim, 2))).reshape(shape)


# Indexing

defvjp(ops.GETITEM, input=lambda g, shape, index: ops.UNINDEX(g, index=index, shape=shape))
defvjp(ops.UNINDEX, input=lambda g, index: ops.GETITEM(g, index=index))
defvjp(
    ops.SETITEM,
    input=lambda g, index: ops.SETITEM(g, 0, index=index),
    value=lambda g, index, shape: _written(g, index, shape),
)
defvjp(
    ops.GATHER,
    input=lambda g, index, dim, shape: ops.SCATTER_ADD(np.zeros(shape, g.dtype), index, g, dim=dim),
)
defvjp(
    ops.SCATTER_ADD,
    input=identity,
    src=lambda g, index, dim: ops.GATHER(g, index, dim=dim),
)
defvjp(
    ops.TAKE,
    input=lambda g, index, shape: ops.UNINDEX(
        g, index=_plain(index), shape=(math.prod(shape),)
    ).reshape(shape),
)
defvjp(
    ops.INDEX_SELECT,
    input=lambda g, index, dim, shape: ops.UNINDEX(
        g, index=(slice(None),) * dim + (_plain(index),), shape=shape
    ),
)
defvjp(ops.TRIL, input=lambda g, diagonal: ops.TRIL(g, diagonal=diagonal))
defvjp(ops.TRIU, input=lambda g, diagonal: ops.TRIU(g, diagonal=diagonal))


def _written(g: Value, index: Any, shape: tuple[int, ...]) -> Value:
    """Return the gradient of a value that was written at ``index``."""
    part = ops.GETITEM(g, index=index)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(each, np.ndarray) and each.dtype.kind != "b" for each in parts):
        # Of what is written to one place twice, the last stays.
        numbers = np.arange(math.prod(part.shape)).reshape(part.shape)
        last = np.empty(g.shape, np.int64)
        last[index] = numbers
        part = ops.WHERE(last[index] == numbers, part, 0)
    extra = len(shape) - part.ndim
    return part.reshape((1,) * extra + part.shape) if extra > 0 else part


def _plain(value: Value) -> Value:
    return getattr(value, "_array", value)


# Products


def _matmul_input(g: Value, input: Value, other: Value) -> Value:
    """Return the gradient of the left factor, ``g @ otherᵀ``; a vector is one row or column."""
    if other.ndim == 1:
        # (..., n, 1) * (k,) -> (..., n, k); for two vectors () * (k,) -> (k,)
        return g.reshape((*g.shape, 1)) * other if input.ndim > 1 else g * other
    if input.ndim == 1:
        row = g.reshape((*g.shape[:-1], 1, g.shape[-1]))  # (..., 1, m)
        rows = ops.MATMUL(row, other.swapaxes(-1, -2))  # (..., 1, k)
        return rows.reshape((*rows.shape[:-2], rows.shape[-1]))
    return ops.MATMUL(g, other.swapaxes(-1, -2))


def _matmul_other(g: Value, input: Value, other: Value) -> Value:
    """Return the gradient of the right factor, ``inputᵀ @ g``; a vector is one row or column."""
    if input.ndim == 1 and other.ndim == 1:
        return g * input
    if input.ndim == 1:
        row = g.reshape((*g.shape[:-1], 1, g.shape[-1]))  # (..., 1, m)
        return input.reshape((-1, 1)) * row  # (k, 1) * (..., 1, m) -> (..., k, m)
    if other.ndim == 1:
        column = ops.MATMUL(input.swapaxes(-1, -2), g.reshape((*g.shape, 1)))  # (..., k, 1)
        return column.reshape(column.shape[:-1])
    if other.ndim == 2 and input.ndim > 2:
        # One product over all rows instead of one for each batch entry and a sum.
        k, m = other.shape
        return ops.MATMUL(input.reshape((-1, k)).swapaxes(0, 1), g.reshape((-1, m)))
    return ops.MATMUL(input.swapaxes(-1, -2), g)


def _einsum_part(g: Value, i: int, equation: str, operands: tuple[Value, ...]) -> Value:
    """Exchange the output and operand ``i`` in the equation."""
    left, _, output = equation.partition("->")
    terms = left.split(",")
    own, shape = terms[i], operands[i].shape
    others = [term for j, term in enumerate(terms) if j != i]
    values = [operand for j, operand in enumerate(operands) if j != i]
    known = set(output).union(*others)
    letters = "".join(dict.fromkeys(own))  # a repeated letter reads a diagonal
    reached = "".join(c for c in letters if c in known)
    part = ops.EINSUM(g, *values, equation=f"{','.join([output, *others])}->{reached}")
    size = dict(zip(own, shape, strict=True))
    # Letters that nothing else names were summed alone: their gradient is spread.
    part = part.reshape(tuple(size[c] if c in known else 1 for c in letters))
    part = ops.EXPAND(part, shape=tuple(size[c] for c in letters))
    if len(letters) == len(own):
        return part
    grids = np.ogrid[tuple(slice(size[c]) for c in letters)]
    return ops.UNINDEX(part, index=tuple(grids[letters.index(c)] for c in own), shape=shape)


defvjp(
    ops.MATMUL,
    input=lambda g, input, other: _matmul_input(g, input, other),
    other=lambda g, input, other: _matmul_other(g, input, other),
)
defvjp(ops.EINSUM, each=lambda g, i, equation, operands: _einsum_part(g, i, equation, operands))

# Without a derivative: results that are indices or truth values, or flat almost everywhere.

defnograd(
    ops.EQ, ops.NE, ops.LT, ops.LE, ops.GT, ops.GE,
    ops.LOGICAL_AND, ops.LOGICAL_OR, ops.LOGICAL_XOR, ops.LOGICAL_NOT,
    ops.BITWISE_AND, ops.BITWISE_OR, ops.BITWISE_XOR, ops.BITWISE_NOT,
    ops.ISNAN, ops.ISINF, ops.ISFINITE, ops.ANY, ops.EVERY,
    ops.ARGMAX, ops.ARGMIN, ops.ARGSORT, ops.ARGTOPK, ops.ONE_HOT,
    ops.FLOOR_DIVIDE, ops.SIGN, ops.FLOOR, ops.CEIL, ops.ROUND,
)  # fmt: skip

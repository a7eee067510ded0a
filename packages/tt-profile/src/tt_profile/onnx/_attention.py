"""Converters of attention, in the ops that it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._elementwise import Converter
from ._graph import BOOL, FLOAT, Graph, Value
from ._sizes import Size


def _attention(
    g: Graph, query: Value, key: Value, value: Value, attn_mask: Value | None,
    is_causal: bool, scale: float, dropout_p: float, seed: int,
) -> str:  # fmt: skip
    """Softmax of the scores, (..., T, D) times (..., D, S), times the values, (..., S, Dv)."""
    if dropout_p:
        raise g.refuse("weights are dropped although the model is in evaluation; pass dropout_p=0")
    dims = list(range(len(key.shape)))
    swapped = g.permuted(key, *dims[:-2], dims[-1], dims[-2])
    scores = g.node("MatMul", g.node("Mul", query, g.scalar(scale, FLOAT)), swapped)
    return g.node("MatMul", _weights(g, scores, _seen(g, query, key, attn_mask, is_causal)), value)


def _seen(
    g: Graph, query: Value, key: Value, attn_mask: Value | None, is_causal: bool
) -> Value | None:
    """Return the mask, of bools or to be added to scores; with ``is_causal``, of what both see."""
    if not is_causal:
        return attn_mask
    length, keys = query.shape[-2], key.shape[-2]
    if not isinstance(length, int) or not isinstance(keys, int):
        raise g.refuse("expected a length that does not follow the batch; see batch_dim")
    seen = np.tri(length, keys, dtype=bool)
    if attn_mask is None:
        return g.constant(seen)
    mask, hides = attn_mask.array, attn_mask.dtype == BOOL
    if mask is not None:
        return g.constant(mask & seen if hides else np.where(seen, mask, -math.inf))
    both = (
        g.node("And", attn_mask, g.constant(seen))
        if hides
        else g.node("Where", g.constant(seen), attn_mask, g.scalar(-math.inf, FLOAT))
    )
    return Value(both, (*attn_mask.shape[:-2], length, keys), attn_mask.dtype)


def _weights(g: Graph, scores: str, mask: Value | None) -> str:
    """Return the shares of the keys; zeros for a query that sees none."""
    if mask is None:
        return g.node("Softmax", scores, axis=-1)
    if mask.array is not None:
        bias = np.where(mask.array, 0.0, -math.inf) if mask.dtype == BOOL else mask.array
        scores = g.node("Add", scores, g.constant(bias.astype(np.float32)))
        if not (bias == -math.inf).all(axis=-1).any():
            return g.node("Softmax", scores, axis=-1)
    elif mask.dtype == BOOL:
        scores = g.node("Where", mask, scores, g.scalar(-math.inf, FLOAT))
    else:
        scores = g.node("Add", scores, mask)
    top = g.node("ReduceMax", scores, g.ints(-1), keepdims=1)
    blind = g.node("Equal", top, g.scalar(-math.inf, FLOAT))
    zero = g.scalar(0, FLOAT)
    shares = g.node("Softmax", g.node("Where", blind, zero, scores), axis=-1)
    return g.node("Where", blind, zero, shares)


def _self_attention(
    g: Graph, qkv: Value, attn_mask: Value | None,
    num_heads: int, num_kv_heads: int, **params: Any,
) -> str:  # fmt: skip
    """Query, key and value of all heads stand side by side: (N, T, (heads + 2 kv_heads) D)."""
    samples, length, width = qkv.shape
    heads = num_heads + 2 * num_kv_heads
    if not isinstance(width, int):
        raise g.refuse("expected features whose number does not follow the batch")
    dim = width // heads
    split = g.reshaped(qkv, (samples, length, heads, dim))
    by_head = g.permuted(split, 0, 2, 1, 3)  # (N, heads + 2 kv_heads, T, D)
    sizes = (num_heads, num_kv_heads, num_kv_heads)
    names = g.split("Split", 3, by_head, g.ints(*sizes), axis=1)
    shapes: list[Sequence[Size]] = [(samples, n, length, dim) for n in sizes]
    group = num_heads // num_kv_heads
    if group > 1:
        shapes = [(samples, num_kv_heads, n, length, dim) for n in (group, 1, 1)]
        names = [g.reshaped(each, shape) for each, shape in zip(names, shapes, strict=True)]
        attn_mask = _by_group(g, attn_mask, num_kv_heads)
    parts = [Value(each, tuple(s), FLOAT) for each, s in zip(names, shapes, strict=True)]
    out = _attention(g, parts[0], parts[1], parts[2], attn_mask, **params)
    if group > 1:
        out = g.reshaped(out, (samples, num_heads, length, dim))
    return g.reshaped(g.permuted(out, 0, 2, 1, 3), g.shape)  # (N, T, heads D)


def _by_group(g: Graph, mask: Value | None, num_kv_heads: int) -> Value | None:
    """Give the heads of a mask two dimensions: (..., kv_heads, group, T, S)."""
    if mask is None or len(mask.shape) < 3:
        return mask
    *lead, heads, length, keys = mask.shape
    if not isinstance(heads, int):
        raise g.refuse("expected a mask whose heads do not follow the batch")
    outer = 1 if heads == 1 else num_kv_heads
    shape = (*lead, outer, heads // outer, length, keys)
    if mask.array is not None:
        return g.constant(mask.array.reshape([n for n in shape if isinstance(n, int)]))
    return Value(g.reshaped(mask, shape), shape, mask.dtype)


ATTENTION: dict[str, Converter] = {
    "scaled_dot_product_attention": _attention,
    "self_attention": _self_attention,
}

"""Self-attention of heads that lie side by side, as one product makes them: one op."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, Tensor, defvjp
from tt_nn._apply import apply

from .attention import ATTENTION, dropout_seed
from .attention_kernels import Attention, Kept

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated


def split_heads(qkv: Value, num_heads: int, num_kv_heads: int) -> tuple[Value, Value, Value]:
    """Return views of query, key and value, by head.

    Shape:
        ``(N, T, (heads + 2 kv_heads) D) -> (N, kv_heads, group, T, D)``, where ``group`` is 1 for
        key and value.
    """
    samples, length, width = qkv.shape
    dim = width // (num_heads + 2 * num_kv_heads)
    parts = []
    start = 0
    for heads in (num_heads, num_kv_heads, num_kv_heads):
        stop = start + heads * dim
        part = qkv[:, :, start:stop].reshape(
            (samples, length, num_kv_heads, heads // num_kv_heads, dim)
        )
        parts.append(part.swapaxes(1, 2).swapaxes(2, 3))  # (N, kv_heads, group, T, D)
        start = stop
    return parts[0], parts[1], parts[2]


def _prepare(
    qkv: Array, attn_mask: Array | None, num_heads: int, num_kv_heads: int, **params: Any
) -> Attention:
    if qkv.ndim != 3 or qkv.shape[2] % (num_heads + 2 * num_kv_heads):
        raise ValueError(
            f"expected qkv of shape (N, T, {num_heads + 2 * num_kv_heads} times the head's size)"
        )
    if qkv.dtype.kind != "f":
        raise TypeError("expected a floating-point dtype")
    return Attention(
        *split_heads(qkv, num_heads, num_kv_heads),
        _mask_by_group(attn_mask, num_kv_heads),
        **params,
    )


def _mask_by_group(attn_mask: Value, num_kv_heads: int) -> Value:
    """Give the heads of a mask two dimensions: (..., kv_heads, group, T, S)."""
    if attn_mask is None or attn_mask.ndim < 3:
        return attn_mask
    *lead, heads, length, keys = attn_mask.shape
    outer = 1 if heads == 1 else num_kv_heads
    return attn_mask.reshape((*lead, outer, heads // outer, length, keys))


def _joined(out: Value) -> Value:
    """Join the heads of each position: (N, kv_heads, group, T, D) -> (N, T, heads D)."""
    samples, kv_heads, group, length, dim = out.shape
    by_position = out.swapaxes(2, 3).swapaxes(1, 2)  # (N, T, kv_heads, group, D)
    return by_position.reshape((samples, length, kv_heads * group * dim))


def _attend(qkv: Array, attn_mask: Array | None, **params: Any) -> tuple[Array, Kept | None]:
    out, kept = _prepare(qkv, attn_mask, **params).forward(qkv.dtype, True)
    return _joined(out), kept


def _attend_back(
    g: Array, qkv: Array, attn_mask: Array | None, out: Array, aux: Kept, needs: tuple[bool, ...],
    num_heads: int, num_kv_heads: int,
    is_causal: bool, scale: float, dropout_p: float, seed: tuple[int, int],
) -> tuple[Array | None, Array | None]:  # fmt: skip
    attention = _prepare(
        qkv, attn_mask, num_heads, num_kv_heads,
        is_causal=is_causal, scale=scale, dropout_p=dropout_p, seed=seed,
    )  # fmt: skip
    lead, dtype = attention.query.shape[:-2], attention.query.dtype
    length, dim = attention.query.shape[-2:]

    def by_head(x: Array) -> Array:
        parts = x.reshape((len(x), length, num_kv_heads, num_heads // num_kv_heads, dim))
        return np.moveaxis(parts, 1, -2)  # (N, kv_heads, group, T, D)

    found = np.empty(qkv.shape, dtype)
    for_query, for_key, for_value = split_heads(found, num_heads, num_kv_heads)
    grouped = num_heads > num_kv_heads
    every = tuple(np.empty((*lead, length, dim), dtype) for _ in range(2)) if grouped else ()
    targets = (for_query, *every) if grouped else (for_query, for_key, for_value)
    for_bias = np.zeros((*lead, length, length), dtype) if needs[1] else None
    attention.backward(by_head(g), by_head(out), aux, targets, for_bias)
    if grouped:
        every[0].sum(axis=2, keepdims=True, out=for_key)
        every[1].sum(axis=2, keepdims=True, out=for_value)
    if for_bias is not None:
        for_bias = for_bias.reshape((len(qkv), num_heads, length, length))
    return found, for_bias


def _attention_of_plain_ops(
    qkv: Value, attn_mask: Value, num_heads: int, num_kv_heads: int, **params: Any
) -> Value:
    parts = split_heads(qkv, num_heads, num_kv_heads)
    return _joined(ATTENTION(*parts, _mask_by_group(attn_mask, num_kv_heads), **params))


SELF_ATTENTION = Op(
    "self_attention",
    lambda qkv, attn_mask, **params: _joined(
        _prepare(qkv, attn_mask, **params).forward(qkv.dtype, False)[0]
    ),
    ("qkv", "attn_mask"),
    recorded=_attend,
)
defvjp(SELF_ATTENTION, joint=_attend_back, composite=_attention_of_plain_ops)


def self_attention(
    qkv: tt_tensor.Tensor,
    num_heads: int,
    num_kv_heads: int,
    attn_mask: tt_tensor.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """Attend among the positions of a sequence.

    The same as `scaled_dot_product_attention` of the three parts of ``qkv``, but for the copies
    that taking it apart, and putting its gradient together, would cost.

    Args:
        qkv: Queries, keys and values of each position, each by head, side by side.
        num_heads: Heads of the query.
        num_kv_heads: Heads of key and value.
        attn_mask: As in `scaled_dot_product_attention`.
        dropout_p: The share of weights that are set to zero.
        is_causal: Whether a position sees itself and those before it only; together with a mask,
            what both let it see.

    Shape:
        ``(N, T, (num_heads + 2 num_kv_heads) D) -> (N, T, num_heads D)``
    """
    dim = qkv.shape[-1] // (num_heads + 2 * num_kv_heads)
    return apply(
        SELF_ATTENTION, qkv, attn_mask,
        num_heads=num_heads, num_kv_heads=num_kv_heads,
        is_causal=is_causal, scale=1 / math.sqrt(dim), dropout_p=dropout_p,
        seed=dropout_seed(SELF_ATTENTION.name, dropout_p, len(qkv)),
    )  # fmt: skip

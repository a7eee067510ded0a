"""Scaled dot-product attention: its op, its derivative, and the functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import Op, Tensor, default_generator, defvjp, ops
from tt_nn._apply import apply
from tt_tensor.seam import rows

from .attention_kernels import Attention, Kept, empty_by_position

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated


def _attend(
    query: Array, key: Array, value: Array, attn_mask: Array | None, **params: Any
) -> tuple[Array, Kept | None]:
    return _run(query, key, value, attn_mask, True, **params)


def _run(
    query: Array, key: Array, value: Array, attn_mask: Array | None, keep: bool, **params: Any
) -> tuple[Array, Kept | None]:
    if wrong := _explain(query, key, value, attn_mask):
        raise ValueError(wrong)
    for x in (query, key, value):
        if x.dtype != query.dtype or x.dtype.kind != "f":
            raise TypeError("expected query, key and value of one floating-point dtype")
    return Attention(query, key, value, attn_mask, **params).forward(query.dtype, keep)


def _explain(query: Array, key: Array, value: Array, attn_mask: Array | None) -> str | None:
    if min(query.ndim, key.ndim, value.ndim) < 2:
        return "expected query, key and value of shapes (..., T, D), (..., S, D) and (..., S, Dv)"
    if query.shape[-1] != key.shape[-1]:
        return "expected query and key of the same size"
    if key.shape[-2] != value.shape[-2]:
        return "expected as many values as keys"
    try:
        lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    except ValueError:
        return "expected leading dimensions that broadcast"
    if attn_mask is None:
        return None
    scores = (*lead, query.shape[-2], key.shape[-2])
    try:
        fits = np.broadcast_shapes(attn_mask.shape, scores) == scores
    except ValueError:
        fits = False
    return None if fits else f"expected a mask that broadcasts to {scores}"


def _attend_back(
    g: Array, query: Array, key: Array, value: Array, attn_mask: Array | None, out: Array,
    aux: Kept, needs: tuple[bool, ...],
    is_causal: bool, scale: float, dropout_p: float, seed: tuple[int, int],
) -> tuple[Array | None, ...]:  # fmt: skip
    attention = Attention(query, key, value, attn_mask, is_causal, scale, dropout_p, seed)
    lead, dtype = attention.query.shape[:-2], attention.query.dtype
    gradients = tuple(empty_by_position((*lead, *x.shape[-2:]), dtype) for x in (query, key, value))
    weights = (*lead, query.shape[-2], key.shape[-2])
    for_bias = np.zeros(weights, dtype) if needs[3] else None
    attention.backward(g, out, aux, gradients, for_bias)
    found = (*gradients, for_bias)
    return found if attention.lead else tuple(x if x is None else x[0] for x in found)


def _attention_of_plain_ops(
    query: Value, key: Value, value: Value, attn_mask: Value, **params: Any
) -> Value:
    weights = _weights(query, key, attn_mask, params["is_causal"], params["scale"])
    if params["dropout_p"]:
        arrays: Any = [getattr(x, "_array", x) for x in (query, key, value, attn_mask)]
        attention = Attention(*arrays, **params)
        chosen = np.zeros(np.broadcast_shapes(weights.shape, (1, 1, 1)), query.dtype)
        for group in attention.blocks():
            for block in group:
                place = chosen[block.samples, ..., block.rows, : block.keys]
                place[...] = attention.chosen(block)
        weights = weights * chosen.reshape(weights.shape)
    return ops.MATMUL(weights, value)


def _weights(query: Value, key: Value, attn_mask: Value, is_causal: bool, scale: float) -> Value:
    """Return the weights of each query, in plain ops: (..., T, S).

    Mask and ``is_causal`` may come together.
    """
    scores = ops.MATMUL(query * scale, key.swapaxes(-1, -2))  # (..., T, S)
    if is_causal:
        scores = ops.WHERE(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    if attn_mask is None:
        return ops.SOFTMAX(scores, dim=-1)
    if attn_mask.dtype == bool:
        scores = ops.WHERE(attn_mask, scores, -np.inf)
    else:
        scores = scores + ops.CAST(attn_mask, dtype=scores.dtype)
    plain = getattr(scores, "_array", scores)
    blind = (plain == -np.inf).all(axis=-1, keepdims=True)  # rows that see no key
    if not blind.any():
        return ops.SOFTMAX(scores, dim=-1)
    return ops.SOFTMAX(ops.WHERE(blind, 0.0, scores), dim=-1) * ~blind


ATTENTION = Op(
    "scaled_dot_product_attention",
    lambda query, key, value, attn_mask, **params: _run(
        query, key, value, attn_mask, False, **params
    )[0],
    ("query", "key", "value", "attn_mask"),
    recorded=_attend,
)
defvjp(ATTENTION, joint=_attend_back, composite=_attention_of_plain_ops)


def scaled_dot_product_attention(
    query: tt_tensor.Tensor,
    key: tt_tensor.Tensor,
    value: tt_tensor.Tensor,
    attn_mask: tt_tensor.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    r"""Return :math:`\text{softmax}(scale \cdot Q K^T + mask) \, V`.

    Memory grows with T + S, not with their product, once sequences are long.

    Args:
        query: What each position asks.
        key: What each position offers.
        value: What it gives.
        attn_mask: Bools, True where a query sees a key; or numbers that are added to the scores.
            A query that sees no key gets zeros.
        dropout_p: The share of weights that are set to zero, the others being scaled up to make
            up for it; also in evaluation, so pass 0 there.
        is_causal: Whether query t sees keys 0 to t only; takes the place of a mask.
        scale: The factor of the scores, :math:`1 / \sqrt D` unless given.
        enable_gqa: Whether key and value have fewer heads, each shared by several of the query.

    Shape:
        ``(..., T, D), (..., S, D), (..., S, Dv) -> (..., T, Dv)``; the mask broadcasts to
        ``(..., T, S)``. Leading dimensions broadcast.

    Raises:
        ValueError: The shapes do not fit, both a mask and ``is_causal`` are given, or
            ``dropout_p`` is no probability.
        TypeError: The tensors are not of one floating-point dtype, or the mask is of integers.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> scaled_dot_product_attention(x, x, x, is_causal=True)
        tensor([[1.0000, 0.0000],
                [0.3302, 0.6698]])

    References:
        Vaswani et al., "Attention is all you need", 2017. Rabe and Staats, "Self-attention does
        not need O(n^2) memory", 2021. Dao et al., "FlashAttention", 2022. Grouped heads: Ainslie
        et al., "GQA", 2023.
    """
    _check_one_of(ATTENTION.name, attn_mask, is_causal)
    return attend(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


def attend(
    query: tt_tensor.Tensor,
    key: tt_tensor.Tensor,
    value: tt_tensor.Tensor,
    attn_mask: tt_tensor.Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Do what `scaled_dot_product_attention` does, where mask and ``is_causal`` may come together.

    Then a query sees what both let it see: padding needs no mask of (N, 1, T, S).
    """
    name = ATTENTION.name
    for x in (query, key, value):
        if not isinstance(x, tt_tensor.Tensor):
            raise TypeError(f"{name}: expected tensors, got {type(x).__name__}")
    if enable_gqa and query.ndim > 2:
        joined = query.shape
        query, key, value, attn_mask = _by_group(query, key, value, attn_mask)
        out = attend(query, key, value, attn_mask, dropout_p, is_causal, scale)
        return out.reshape(*joined[:-1], value.shape[-1])  # (..., heads, T, Dv)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1]) if query.ndim and query.shape[-1] else 1.0
    return apply(
        ATTENTION, query, key, value, attn_mask,
        is_causal=is_causal, scale=scale, dropout_p=dropout_p,
        seed=dropout_seed(name, dropout_p, len(query) if query.ndim > 2 else 1),
    )  # fmt: skip


def _by_group(
    query: tt_tensor.Tensor,
    key: tt_tensor.Tensor,
    value: tt_tensor.Tensor,
    attn_mask: tt_tensor.Tensor | None,
) -> tuple[Any, Any, Any, Any]:
    """Give heads two dimensions: the head of the key, and those of the query that share it."""
    heads, kv_heads = query.shape[-3], key.shape[-3] if key.ndim > 2 else 0
    if not kv_heads or heads % kv_heads or value.shape[-3:-2] != key.shape[-3:-2]:
        raise ValueError(
            f"{ATTENTION.name}: expected the query's heads to be a multiple of those of key and "
            f"value; got shapes {query.shape}, {key.shape} and {value.shape}"
        )
    group = heads // kv_heads
    if attn_mask is not None and attn_mask.ndim > 2:
        attn_mask = (
            attn_mask.unsqueeze(-3)  # (..., 1, 1, T, S)
            if attn_mask.shape[-3] == 1
            else attn_mask.unflatten(-3, (kv_heads, group))  # (..., kv_heads, group, T, S)
        )
    return query.unflatten(-3, (kv_heads, group)), key.unsqueeze(-3), value.unsqueeze(-3), attn_mask


def dropout_seed(name: str, dropout_p: float, samples: int) -> tuple[int, int]:
    """Return a seed for the dropout of one call, and the number of its first sample.

    The seed is the default generator's; the number is not 0 in a part of a batch.
    """
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{name}: expected dropout_p from 0 to 1, got {dropout_p!r}")
    if not dropout_p:
        return 0, 0
    part = rows.get()
    each = samples // part.size if part is not None and part.size else 0
    first = 0 if part is None or each * part.size != samples else each * part.start
    return int(default_generator().numpy.integers(1 << 62)), first


def attention_weights(
    query: tt_tensor.Tensor,
    key: tt_tensor.Tensor,
    attn_mask: tt_tensor.Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    r"""Return :math:`\text{softmax}(scale \cdot Q K^T + mask)`: how much a query takes of a key.

    The rows of a query that sees some key sum to one; of one that sees none, they are zeros.

    Args:
        query: What each position asks.
        key: What each position offers.
        attn_mask: Bools, True where a query sees a key; or numbers that are added to the scores.
        is_causal: Whether query t sees keys 0 to t only; takes the place of a mask.
        scale: The factor of the scores, :math:`1 / \sqrt D` unless given.

    Shape:
        ``(..., T, D), (..., S, D) -> (..., T, S)``

    Raises:
        ValueError: The shapes do not fit, or both a mask and ``is_causal`` are given.
        TypeError: The mask is of integers.

    Example:
        >>> import tt_autograd as tt
        >>> attention_weights(tt.ones(2, 4), tt.ones(2, 4), is_causal=True)
        tensor([[1.0000, 0.0000],
                [0.5000, 0.5000]])
    """
    name = "attention_weights"
    _check_one_of(name, attn_mask, is_causal)
    if attn_mask is not None:
        check_mask(name, "attn_mask", attn_mask)
    return weigh(query, key, attn_mask, is_causal, scale)


def weigh(
    query: tt_tensor.Tensor,
    key: tt_tensor.Tensor,
    attn_mask: tt_tensor.Tensor | None,
    is_causal: bool,
    scale: float | None = None,
) -> Tensor:
    """Do what `attention_weights` does, where mask and ``is_causal`` may come together."""
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    q, k = (x if isinstance(x, Tensor) else Tensor._wrap(x._array) for x in (query, key))
    weights: Tensor = _weights(q, k, attn_mask, is_causal, scale)
    return weights


def check_mask(name: str, argument: str, mask: tt_tensor.Tensor) -> None:
    """Refuse a mask of integers: whether its 1 means seen, hidden or one more is anyone's guess."""
    if mask.dtype.kind not in "bf":
        raise TypeError(
            f"{name}: expected {argument} of bools or floating-point numbers, got {mask.dtype}"
        )


def _check_one_of(name: str, attn_mask: object, is_causal: bool) -> None:
    if attn_mask is not None and is_causal:
        raise ValueError(f"{name}: expected attn_mask or is_causal=True, not both")


def causal_mask(length: int, keys: int | None = None) -> Tensor:
    """Return the mask of a query that sees itself and what came before: True where it sees.

    Args:
        length: How many queries.
        keys: How many keys, as many as queries unless given. The last query stands at the last
            key, so that queries may go on where a cache of keys ends.

    Example:
        >>> causal_mask(2, 3)
        tensor([[ True,  True, False],
                [ True,  True,  True]])
    """
    keys = length if keys is None else keys
    return tt.from_numpy(np.tri(length, keys, keys - length, dtype=bool))

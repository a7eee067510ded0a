"""Multi-head attention as a layer, with PyTorch's parameters."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Tensor
from tt_nn import init
from tt_nn._arguments import check_sizes
from tt_nn._linear import Linear, linear
from tt_nn._module import Module
from tt_nn._parameter import Parameter

from .attention import attend, check_mask, weigh
from .self_attention import self_attention


class MultiheadAttention(Module):
    r"""Attention of several heads, each on a part of its own of the vectors.

    :math:`\text{head}_i = \text{softmax}(Q_i K_i^T / \sqrt D) V_i` with Q, K and V linear maps of
    query, key and value; the heads side by side go through one more linear map.

    Args:
        embed_dim: Size of the vectors, a multiple of ``num_heads``.
        num_heads: How many heads.
        dropout: The share of weights that are set to zero in training.
        bias: Whether the linear maps have biases.
        kdim: Size of the keys, ``embed_dim`` unless given.
        vdim: Size of the values, ``embed_dim`` unless given.
        batch_first: Whether inputs and output are ``(N, length, size)`` and not
            ``(length, N, size)``.
        num_kv_heads: How many heads key and value have, each shared by several of the query; as
            many as the query unless given.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        query ``(L, N, embed_dim)``, key ``(S, N, kdim)``, value ``(S, N, vdim)`` ``->`` output
        ``(L, N, embed_dim)``, weights ``(N, L, S)``. Without N for a single sample; with
        ``batch_first`` N comes first.

    Attributes:
        in_proj_weight: The maps of query, key and value, one below the other; or, where the sizes
            differ, ``q_proj_weight``, ``k_proj_weight`` and ``v_proj_weight``.
        in_proj_bias: Their biases; None with ``bias=False``.
        out_proj: The last linear map.

    Raises:
        ValueError: A size is not a positive int, or not a multiple of what it has to be.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> attention = nn.MultiheadAttention(16, 4, batch_first=True)
        >>> x = tt.ones(2, 5, 16)
        >>> output, weights = attention(x, x, x)
        >>> output.shape, weights.shape
        ((2, 5, 16), (2, 5, 5))

    References:
        Vaswani et al., "Attention is all you need", 2017. Grouped heads: Ainslie et al., "GQA",
        2023.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        num_kv_heads: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        kdim = embed_dim if kdim is None else kdim
        vdim = embed_dim if vdim is None else vdim
        check_sizes(
            "MultiheadAttention",
            embed_dim=embed_dim, num_heads=num_heads, num_kv_heads=num_kv_heads,
            kdim=kdim, vdim=vdim,
        )  # fmt: skip
        for name, size, of in (
            ("embed_dim", embed_dim, num_heads), ("num_heads", num_heads, num_kv_heads),
        ):  # fmt: skip
            if size % of:
                raise ValueError(
                    f"MultiheadAttention: expected {name} to be a multiple of {of}, got {size}"
                )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: expected dropout from 0 to 1, got {dropout!r}")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.head_dim = embed_dim // num_heads
        self.kdim = kdim
        self.vdim = vdim
        self.dropout = dropout
        self.batch_first = batch_first
        kv_dim = num_kv_heads * self.head_dim
        self._joined = kdim == vdim == embed_dim
        if self._joined:
            self.in_proj_weight = Parameter(
                tt.empty(embed_dim + 2 * kv_dim, embed_dim, dtype=dtype)
            )
        else:
            self.q_proj_weight = Parameter(tt.empty(embed_dim, embed_dim, dtype=dtype))
            self.k_proj_weight = Parameter(tt.empty(kv_dim, kdim, dtype=dtype))
            self.v_proj_weight = Parameter(tt.empty(kv_dim, vdim, dtype=dtype))
        self.register_parameter(
            "in_proj_bias",
            Parameter(tt.empty(embed_dim + 2 * kv_dim, dtype=dtype)) if bias else None,
        )
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, dtype=dtype)
        self.reset_parameters()

    in_proj_bias: Parameter | None

    def reset_parameters(self) -> None:
        """Draw the weights anew, as torch does: those of the inputs Xavier, biases at zero."""
        if self._joined:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(weight)
        self.out_proj.reset_parameters()
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: tt_tensor.Tensor,
        key: tt_tensor.Tensor,
        value: tt_tensor.Tensor,
        key_padding_mask: tt_tensor.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: tt_tensor.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Gather values for each query.

        Args:
            query: What each position asks.
            key: What each position offers.
            value: What it gives.
            key_padding_mask: ``(N, S)``: bools, True where a key is *not* seen; or numbers that
                are added to scores.
            need_weights: Whether to return the weights, which costs time and memory.
            attn_mask: ``(L, S)`` or ``(N * num_heads, L, S)``: as ``key_padding_mask``.
            average_attn_weights: Whether the weights are the mean over heads, or come by head:
                ``(N, num_heads, L, S)``.
            is_causal: Whether query t sees keys 0 to t only; with an ``attn_mask`` it says no more
                than that this is what the mask does.

        Returns:
            The output, and the weights or None. A query that sees no key gets zeros.

        Raises:
            ValueError: The shapes do not fit.
            TypeError: An input is no tensor, or a mask is of integers.
        """
        single = query.ndim == 2
        same = query is key and key is value and self._joined
        inputs = [query] if same else [query, key, value]
        self._check(inputs)
        samples_at = 0 if self.batch_first else 1
        if single:
            inputs = [x.unsqueeze(samples_at) for x in inputs]
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        if not self.batch_first:
            inputs = [x.swapaxes(0, 1) for x in inputs]  # (N, length, size)
        samples, length, keys = inputs[0].shape[0], inputs[0].shape[1], inputs[-1].shape[1]
        mask = self._seen((samples, length, keys), key_padding_mask, attn_mask)
        causal = is_causal and attn_mask is None
        dropout = self.dropout if self.training else 0.0

        weights = None
        if same and not need_weights:
            qkv = linear(inputs[0], self.in_proj_weight, self.in_proj_bias)
            joined = self_attention(
                qkv, self.num_heads, self.num_kv_heads, mask, dropout, is_causal=causal
            )  # (N, L, heads * head_dim)
        else:
            q, k, v = (self._by_head(x) for x in self._projections(inputs))
            if need_weights:
                weights = self._weights(q, k, mask, causal)
            out = attend(q, k, v, mask, dropout, causal, enable_gqa=True)  # (N, heads, L, head_dim)
            joined = out.swapaxes(1, 2).flatten(2)  # (N, L, heads * head_dim)
        output = self.out_proj(joined)
        if not self.batch_first:
            output = output.swapaxes(0, 1)
        if weights is not None and average_attn_weights:
            weights = weights.mean(dim=1)
        if single:
            output = output.squeeze(samples_at)
            weights = None if weights is None else weights.squeeze(0)
        return output, weights

    def _check(self, inputs: list[tt_tensor.Tensor]) -> None:
        names, sizes = ("query", "key", "value"), (self.embed_dim, self.kdim, self.vdim)
        for name, size, x in zip(names, sizes, inputs, strict=False):  # one stands for all
            if not isinstance(x, tt_tensor.Tensor):
                raise TypeError(
                    f"MultiheadAttention: expected {name} to be a Tensor, got {type(x).__name__}"
                )
            if x.ndim not in (2, 3) or x.ndim != inputs[0].ndim or x.shape[-1] != size:
                order = "N, length" if self.batch_first else "length, N"
                raise ValueError(
                    f"MultiheadAttention: expected {name} of shape ({order}, {size}) or "
                    f"(length, {size}), all of one kind; got {x.shape}"
                )
        samples = [x.shape[0 if self.batch_first else 1] for x in inputs if x.ndim == 3]
        if len(set(samples)) > 1:
            raise ValueError(
                "MultiheadAttention: expected query, key and value of equally many samples, "
                f"got {', '.join(map(str, samples))}"
            )

    def _projections(self, inputs: list[tt_tensor.Tensor]) -> list[Tensor]:
        """Return queries, keys and values: (N, length, heads * head_dim).

        Args:
            inputs: What they are made of, (N, length, size) each; one stands for all three.
        """
        kv_dim = self.num_kv_heads * self.head_dim
        sizes = [self.num_heads * self.head_dim, kv_dim, kv_dim]
        biases = [None] * 3 if self.in_proj_bias is None else list(self.in_proj_bias.split(sizes))
        if self._joined:
            weights = list(self.in_proj_weight.split(sizes))
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        triple = inputs * 3 if len(inputs) == 1 else inputs
        return [linear(*each) for each in zip(triple, weights, biases, strict=True)]

    def _by_head(self, x: Tensor) -> Tensor:
        """Return (N, length, heads * head_dim) as (N, heads, length, head_dim)."""
        return x.unflatten(-1, (x.shape[-1] // self.head_dim, self.head_dim)).swapaxes(1, 2)

    def _weights(
        self, query: Tensor, key: Tensor, mask: tt_tensor.Tensor | None, is_causal: bool
    ) -> Tensor:
        if self.num_heads != self.num_kv_heads:
            key = key.unsqueeze(2).expand(
                -1, -1, self.num_heads // self.num_kv_heads, -1, -1
            ).flatten(1, 2)  # (N, heads, S, head_dim)  # fmt: skip
        return weigh(query, key, mask, is_causal)

    def _seen(
        self,
        shape: tuple[int, int, int],
        key_padding_mask: tt_tensor.Tensor | None,
        attn_mask: tt_tensor.Tensor | None,
    ) -> tt_tensor.Tensor | None:
        """Return both masks as one for `attend`, where True means seen."""
        samples, length, keys = shape
        for name, given in (("attn_mask", attn_mask), ("key_padding_mask", key_padding_mask)):
            if given is not None:
                check_mask("MultiheadAttention", name, given)
        mask = None
        if attn_mask is not None:
            mask = ~attn_mask if attn_mask.dtype == bool else attn_mask
            if mask.shape == (samples * self.num_heads, length, keys) and mask.ndim == 3:
                mask = mask.unflatten(0, (samples, self.num_heads))  # (N, heads, L, S)
            elif mask.shape != (length, keys):
                raise ValueError(
                    f"MultiheadAttention: expected attn_mask of shape {(length, keys)} or "
                    f"{(samples * self.num_heads, length, keys)}, got {mask.shape}"
                )
        if key_padding_mask is not None:
            if key_padding_mask.shape != (samples, keys):
                raise ValueError(
                    f"MultiheadAttention: expected key_padding_mask of shape {(samples, keys)}, "
                    f"got {key_padding_mask.shape}"
                )
            padding = ~key_padding_mask if key_padding_mask.dtype == bool else key_padding_mask
            padding = padding.reshape(samples, 1, 1, keys)
            mask = padding if mask is None else _both(mask, padding)
        return mask

    def extra_repr(self) -> str:
        """Return the sizes."""
        shared = (
            "" if self.num_kv_heads == self.num_heads else f", num_kv_heads={self.num_kv_heads}"
        )
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}{shared}"


def _both(first: tt_tensor.Tensor, second: tt_tensor.Tensor) -> tt_tensor.Tensor:
    """Return the mask of what both of two masks let through."""
    if first.dtype == bool and second.dtype == bool:
        return first & second
    dtype = second.dtype if first.dtype == bool else first.dtype
    return _as_bias(first, dtype) + _as_bias(second, dtype)


def _as_bias(mask: tt_tensor.Tensor, dtype: np.dtype[Any]) -> tt_tensor.Tensor:
    return tt.where(mask, 0.0, -math.inf).to(dtype) if mask.dtype == bool else mask

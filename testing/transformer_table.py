"""The layers of a transformer, and the same in NumPy as the paper writes them, head by head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn

Array = NDArray[Any]
Parameters = dict[str, Array]


def within(p: Parameters, name: str) -> Parameters:
    """Return the parameters of a child."""
    return {key[len(name) + 1 :]: x for key, x in p.items() if key.startswith(f"{name}.")}


def linear(p: Parameters, x: Array) -> Array:
    return np.asarray(x @ p["weight"].T + p["bias"])


def layer_norm(p: Parameters, x: Array) -> Array:
    deviation = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt((deviation**2).mean(axis=-1, keepdims=True) + 1e-5)
    return np.asarray(deviation / scale * p["weight"] + p["bias"])


def attention(p: Parameters, x: Array, memory: Array, heads: int) -> Array:
    """Attend from every position of x to every one of memory, both (length, N, size)."""
    size = x.shape[-1]
    weights, biases = np.split(p["in_proj_weight"], 3), np.split(p["in_proj_bias"], 3)
    q, k, v = (y @ w.T + b for y, w, b in zip((x, memory, memory), weights, biases, strict=True))
    gathered = np.zeros_like(q)
    for part in np.split(np.arange(size), heads):
        scores = np.einsum("tnd,snd->nts", q[..., part], k[..., part]) / np.sqrt(len(part))
        shares = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
        gathered[..., part] = np.einsum("nts,snd->tnd", shares, v[..., part])
    return linear(within(p, "out_proj"), gathered)


def feed_forward(p: Parameters, x: Array) -> Array:
    hidden = np.maximum(linear(within(p, "linear1"), x), 0)
    return linear(within(p, "linear2"), hidden)


def encoder_layer(p: Parameters, x: Array, heads: int) -> Array:
    x = layer_norm(within(p, "norm1"), x + attention(within(p, "self_attn"), x, x, heads))
    return layer_norm(within(p, "norm2"), x + feed_forward(p, x))


def encoder_layer_norm_first(p: Parameters, x: Array, heads: int) -> Array:
    y = layer_norm(within(p, "norm1"), x)
    x = x + attention(within(p, "self_attn"), y, y, heads)
    return x + feed_forward(p, layer_norm(within(p, "norm2"), x))


def decoder_layer(p: Parameters, x: Array, memory: Array, heads: int) -> Array:
    x = layer_norm(within(p, "norm1"), x + attention(within(p, "self_attn"), x, x, heads))
    found = attention(within(p, "multihead_attn"), x, memory, heads)
    x = layer_norm(within(p, "norm2"), x + found)
    return layer_norm(within(p, "norm3"), x + feed_forward(p, x))


def encoder(p: Parameters, x: Array, heads: int) -> Array:
    for i in range(len({name.split(".")[1] for name in p if name.startswith("layers.")})):
        x = encoder_layer(within(p, f"layers.{i}"), x, heads)
    return layer_norm(within(p, "norm"), x) if "norm.weight" in p else x


def decoder(p: Parameters, x: Array, memory: Array, heads: int) -> Array:
    for i in range(len({name.split(".")[1] for name in p if name.startswith("layers.")})):
        x = decoder_layer(within(p, f"layers.{i}"), x, memory, heads)
    return layer_norm(within(p, "norm"), x) if "norm.weight" in p else x


def transformer(p: Parameters, src: Array, tgt: Array, heads: int) -> Array:
    return decoder(within(p, "decoder"), tgt, encoder(within(p, "encoder"), src, heads), heads)


class Row(NamedTuple):
    """A row of the table of layers; see `layer_table.Layer`."""

    name: str
    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    reference: Callable[..., Array]
    torch: str


TRANSFORMER = [
    Row(
        "TransformerEncoderLayer",
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0),
        ((3, 2, 4),),
        lambda p, x: encoder_layer(p, x, 2),
        "torch.nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0)",
    ),
    Row(
        "TransformerEncoderLayer, norm first",
        lambda: nn.TransformerEncoderLayer(4, 1, 6, dropout=0.0, norm_first=True),
        ((3, 2, 4),),
        lambda p, x: encoder_layer_norm_first(p, x, 1),
        "torch.nn.TransformerEncoderLayer(4, 1, 6, dropout=0.0, norm_first=True)",
    ),
    Row(
        "TransformerDecoderLayer",
        lambda: nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0),
        ((3, 2, 4), (2, 2, 4)),
        lambda p, x, memory: decoder_layer(p, x, memory, 2),
        "torch.nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0)",
    ),
    Row(
        "TransformerEncoder",
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0), 2),
        ((3, 2, 4),),
        lambda p, x: encoder(p, x, 2),
        "torch.nn.TransformerEncoder("
        "torch.nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0), 2, enable_nested_tensor=False)",
    ),
    Row(
        "TransformerDecoder",
        lambda: nn.TransformerDecoder(
            nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0), 1, nn.LayerNorm(4)
        ),
        ((3, 2, 4), (2, 2, 4)),
        lambda p, x, memory: decoder(p, x, memory, 2),
        "torch.nn.TransformerDecoder("
        "torch.nn.TransformerDecoderLayer(4, 2, 6, dropout=0.0), 1, torch.nn.LayerNorm(4))",
    ),
    Row(
        "Transformer",
        lambda: nn.Transformer(4, 2, 1, 1, 6, dropout=0.0, batch_first=True),
        ((2, 2, 4), (2, 3, 4)),
        lambda p, src, tgt: transformer(p, src.swapaxes(0, 1), tgt.swapaxes(0, 1), 2).swapaxes(
            0, 1
        ),
        "torch.nn.Transformer(4, 2, 1, 1, 6, dropout=0.0, batch_first=True)",
    ),
]

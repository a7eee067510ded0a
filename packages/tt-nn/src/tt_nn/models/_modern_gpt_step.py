"""One position through a block of `ModernGPT` as one op: see `_gpt_step`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Op, defnograd
from tt_nn._normalisation.layer_norm import normalised_row
from tt_nn._sequence.kv_cache import LayerCache, attend_one
from tt_nn._sequence.positions import ROTARY

Array = NDArray[Any]


def _block_step(
    input: Array,
    embedded: Array,
    first_value: Array | None,
    x0_blend: Array | None,
    query_weight: Array, key_weight: Array, value_weight: Array, value_blend: Array | None,
    out_weight: Array,
    up_weight: Array, down_weight: Array,
    cache: LayerCache,
    num_heads: int,
    base: float,
    eps: tuple[float, float],
) -> Array:  # fmt: skip
    row = input.reshape(-1)  # (1, 1, C) -> (C,)
    if x0_blend is not None:
        row = row * x0_blend[0] + embedded.reshape(-1) * x0_blend[1]
    normal = normalised_row(row, None, None, eps[0], centre=False)
    qkv = np.empty((3, len(query_weight)), row.dtype)
    for weight, part in zip((query_weight, key_weight, value_weight), qkv, strict=True):
        np.dot(weight, normal, out=part)
    heads = qkv[:2].reshape((2 * num_heads, 1, -1))  # queries and keys: (2 heads, 1, D)
    dim = heads.shape[-1]
    squares = np.matmul(heads, heads.swapaxes(-1, -2))  # (2 heads, 1, 1)
    heads *= 1 / np.sqrt(squares / dim + row.dtype.type(eps[1]))
    heads[...] = ROTARY.forward(heads, cache.length, base, back=False)
    if value_blend is not None and first_value is not None:
        qkv[2] *= value_blend[0]
        qkv[2] += first_value.reshape(-1) * value_blend[1]
    found = attend_one(qkv.reshape((1, 1, -1)), cache, num_heads, num_heads, 1 / math.sqrt(dim))
    row = row + out_weight.dot(found.reshape(-1))
    hidden = up_weight.dot(normalised_row(row, None, None, eps[0], centre=False))
    np.maximum(hidden, 0, out=hidden)
    hidden *= hidden
    row += down_weight.dot(hidden)
    return np.asarray(row.reshape(input.shape))


MODERN_BLOCK_STEP = Op(
    "modern_gpt_block_step",
    _block_step,
    (
        "input", "embedded", "first_value", "x0_blend", "query_weight", "key_weight",
        "value_weight", "value_blend", "out_weight", "up_weight", "down_weight",
    ),
)  # fmt: skip
defnograd(MODERN_BLOCK_STEP)

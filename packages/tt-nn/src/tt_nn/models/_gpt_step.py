"""One position through a block of `GPT` as one op: how a model with a cache generates a token.

The products of a single row take a few microseconds each, and a tensor and a module around each of
them as much again; here they are run one after the other on arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Op, defnograd
from tt_nn._activations.gelu import small_gelu
from tt_nn._normalisation.layer_norm import normalised_row
from tt_nn._sequence.kv_cache import LayerCache, attend_one

Array = NDArray[Any]


def _linear(row: Array, weight: Array, bias: Array | None) -> Array:
    out: Array = row.dot(weight.T)
    if bias is not None:
        out += bias
    return out


def _block_step(
    input: Array,
    norm1_weight: Array, norm1_bias: Array | None,
    in_weight: Array, in_bias: Array | None,
    out_weight: Array, out_bias: Array | None,
    norm2_weight: Array, norm2_bias: Array | None,
    up_weight: Array, up_bias: Array | None,
    down_weight: Array, down_bias: Array | None,
    cache: LayerCache,
    num_heads: int,
    scale: float,
    eps: tuple[float, float],
) -> Array:  # fmt: skip
    row = input.reshape(-1)  # (1, 1, C) -> (C,)
    qkv = _linear(normalised_row(row, norm1_weight, norm1_bias, eps[0]), in_weight, in_bias)
    found = attend_one(qkv.reshape((1, 1, -1)), cache, num_heads, num_heads, scale)
    row = row + _linear(found.reshape(-1), out_weight, out_bias)
    hidden = _linear(normalised_row(row, norm2_weight, norm2_bias, eps[1]), up_weight, up_bias)
    row = row + _linear(small_gelu(hidden, "tanh"), down_weight, down_bias)
    return np.asarray(row.reshape(input.shape))


BLOCK_STEP = Op(
    "gpt_block_step",
    _block_step,
    (
        "input", "norm1_weight", "norm1_bias", "in_weight", "in_bias", "out_weight", "out_bias",
        "norm2_weight", "norm2_bias", "up_weight", "up_bias", "down_weight", "down_bias",
    ),
)  # fmt: skip
defnograd(BLOCK_STEP)

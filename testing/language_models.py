"""Small language models whose weights are large, so that what they read makes a difference."""

from __future__ import annotations

from typing import Any

import numpy as np

import tt_autograd as tt
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig

Model = GPT | ModernGPT
SIZES: dict[str, Any] = {"block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 8}


def spread(model: Model) -> Model:
    rng = np.random.default_rng(0)
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += tt.tensor(rng.standard_normal(parameter.shape) * 0.4, dtype="float32")
    return model


def classic() -> Model:
    return spread(GPT(GPTConfig(9, **SIZES)))


def modern() -> Model:
    return spread(ModernGPT(ModernGPTConfig(9, **SIZES)))


def tokens(*shape: int) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(1).integers(0, 9, shape))

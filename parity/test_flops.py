"""Multiply-accumulates that `profile` counts, beside half of what PyTorch's counter calls FLOPs.

PyTorch counts matrix products alone, two for each multiply-accumulate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import tt_autograd as tt
import tt_nn as nn
from spatial_table import SPATIAL, Spatial
from tt_nn.models import GPT, GPTConfig
from tt_profile import Profile, profile

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")


def theirs(call: Callable[[], Any]) -> tuple[int, int]:
    """Return what PyTorch counts forward, and backward from a gradient of ones."""
    counts = []
    with sdpa_kernel(SDPBackend.MATH):  # its fused attention on CPUs is not counted
        with FlopCounterMode(display=False) as counter:
            out = call()
        counts.append(counter.get_total_flops())
        with FlopCounterMode(display=False) as counter:
            out.backward(torch.ones_like(out))
        counts.append(counter.get_total_flops())
    return counts[0], counts[1]


def agree(report: Profile, forward: int, backward: int) -> None:
    assert 2 * report.forward.macs == pytest.approx(forward, rel=0.01)
    assert 2 * report.backward.macs == pytest.approx(backward, rel=0.01)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("shape", [(64, 30), (4, 6, 30)], ids=str)
def test_linear(bias: bool, first: bool, shape: tuple[int, ...]) -> None:
    report = profile(
        nn.Linear(30, 20, bias=bias), tt.ones(*shape, requires_grad=not first), repeats=1
    )
    layer = torch.nn.Linear(30, 20, bias=bias)
    x = torch.ones(*shape, requires_grad=not first)
    agree(report, *theirs(lambda: layer(x)))


# Of a grouped convolution PyTorch counts one of the two gradients as if each filter saw all
# channels, so that is left to the closed forms in the package's own tests.
CONVOLUTIONS = [spatial for spatial in SPATIAL if spatial.layer == "Conv2d"]


@pytest.mark.parametrize("spatial", CONVOLUTIONS, ids=str)
def test_conv2d(spatial: Spatial) -> None:
    report = profile(spatial.make(), tt.ones(*spatial.shape, requires_grad=True), repeats=1)
    layer = eval(f"torch.nn.{spatial.call}", {"torch": torch})
    x = torch.ones(*spatial.shape, requires_grad=True)
    forward, backward = theirs(lambda: layer(x))
    assert 2 * report.forward.macs == pytest.approx(forward, rel=0.01)
    if spatial.arguments.get("groups", 1) == 1:
        assert 2 * report.backward.macs == pytest.approx(backward, rel=0.01)


class Attention(nn.Module):
    def forward(self, query: tt.Tensor, key: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
        return nn.functional.scaled_dot_product_attention(query, key, value)


def test_attention() -> None:
    shapes = (2, 4, 12, 16), (2, 4, 20, 16), (2, 4, 20, 8)
    report = profile(Attention(), *(tt.ones(*s, requires_grad=True) for s in shapes), repeats=1)
    xs = [torch.ones(*shape, requires_grad=True) for shape in shapes]
    agree(report, *theirs(lambda: torch.nn.functional.scaled_dot_product_attention(*xs)))


class TorchBlock(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not there when types are checked
    """A block of GPT, as PyTorch's users write it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.in_proj = torch.nn.Linear(width, 3 * width)
        self.out_proj = torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        n, length, width = x.shape
        parts = self.in_proj(self.norm1(x)).reshape(n, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # (3, N, heads, T, D)
        y = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out_proj(y.transpose(1, 2).reshape(n, length, width))
        return x + self.down(torch.nn.functional.gelu(self.up(self.norm2(x))))


class TorchGPT(torch.nn.Module):  # type: ignore[misc]  # PyTorch is not there when types are checked
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.token_embedding = torch.nn.Embedding(config.vocab_size, config.n_embd)
        self.positions = torch.nn.Parameter(torch.zeros(config.block_size, config.n_embd))
        blocks = [TorchBlock(config.n_embd, config.n_head) for _ in range(config.n_layer)]
        self.blocks = torch.nn.Sequential(*blocks)
        self.norm = torch.nn.LayerNorm(config.n_embd)
        self.head = torch.nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.head.weight = self.token_embedding.weight

    def forward(self, tokens: Any) -> Any:
        x = self.token_embedding(tokens) + self.positions[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


def test_gpt() -> None:
    config = GPTConfig(vocab_size=65, block_size=32, n_layer=2, n_head=4, n_embd=64)
    n, length = 4, config.block_size
    report = profile(GPT(config), tt.zeros(n, length, dtype="int64"), repeats=1)
    model = TorchGPT(config)
    tokens = torch.zeros(n, length, dtype=torch.int64)
    forward, backward = theirs(lambda: model(tokens))
    assert sum(p.numel() for p in model.parameters()) == report.parameters
    # PyTorch counts the pairs of a query and a later key, whose weight is zero; we do not.
    later = config.n_layer * n * length * (length - 1) // 2
    unseen = 2 * 2 * later * config.n_embd
    agree(report, forward - unseen, backward - 2 * unseen)

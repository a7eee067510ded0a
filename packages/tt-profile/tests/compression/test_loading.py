"""What was pruned, saved and read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import MLP, CifarNet, LeNet5, ResNet
from tt_profile.compression import load_compressed, low_rank, prune_channels, prune_heads
from tt_profile.quantization import load_quantized, quantize

pytestmark = pytest.mark.module_16


def depthwise() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8, affine=False),
        nn.ReLU(), nn.Conv2d(8, 4, 1),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (lambda: MLP(20, 16, 12, 4), (8, 20)),
    "LeNet5": (LeNet5, (8, 1, 32, 32)),
    "CifarNet": (lambda: CifarNet((8, 12, 16)), (8, 3, 24, 24)),
    "ResNet": (lambda: ResNet(8, widths=(4, 6, 8)), (8, 3, 8, 8)),
    "depthwise": (depthwise, (8, 3, 8, 8)),
    "one layer": (lambda: nn.Linear(20, 16), (8, 20)),
}


def pruned(model: nn.Module, x: tt.Tensor) -> nn.Module:
    return model if isinstance(model, nn.Linear) else prune_channels(model, x)


PASSES: dict[str, Callable[[nn.Module, tt.Tensor], nn.Module]] = {
    "none": lambda model, x: model,
    "channels": pruned,
    "rank": lambda model, x: low_rank(model, rank=2),
    "channels, then rank": lambda model, x: low_rank(pruned(model, x), rank=2),
    "rank, then channels": lambda model, x: pruned(low_rank(model, rank=2), x),
    "int8": lambda model, x: quantize(model),
    "int4": lambda model, x: quantize(model, "int4"),
    "channels, then int8": lambda model, x: quantize(pruned(model, x)),
    "channels, then int8 inputs": lambda model, x: quantize(
        pruned(model, x), activations=True, calibration=[x]
    ),
    "channels, rank, then int8": lambda model, x: quantize(
        low_rank(pruned(model, x), rank=2), symmetric=False, per_channel=False
    ),
    "rank, then int4": lambda model, x: quantize(low_rank(model, rank=2), "int4"),
}


@pytest.mark.parametrize("way", PASSES)
@pytest.mark.parametrize("name", MODELS)
def test_it_comes_back(name: str, way: str, tmp_path: Path) -> None:
    make, shape = MODELS[name]
    x = tt.randn(*shape)
    smaller = PASSES[way](make().eval(), x)
    nn.save(smaller.state_dict(), tmp_path / "smaller.safetensors")
    model = make().eval()
    back = load_compressed(model, nn.load(tmp_path / "smaller.safetensors"))
    with tt.no_grad():
        np.testing.assert_array_equal(back(x).numpy(), smaller(x).numpy())
        assert model(x).shape == back(x).shape
    assert repr(back) == repr(smaller)
    assert type(back) is type(smaller)


@pytest.mark.parametrize("kv_heads", [None, 2])
def test_fewer_heads_in_few_bits_come_back(kv_heads: int | None) -> None:
    def make() -> nn.Module:
        return nn.MultiheadAttention(16, 4, num_kv_heads=kv_heads, batch_first=True).eval()

    x = tt.randn(3, 5, 16)
    smaller = quantize(prune_heads(make(), x, x, x, amount=0.5))
    back = load_compressed(make(), smaller.state_dict())
    assert repr(back) == repr(smaller)
    with tt.no_grad():
        np.testing.assert_array_equal(back(x, x, x)[0].numpy(), smaller(x, x, x)[0].numpy())


@pytest.mark.parametrize("bias", [True, False])
def test_int4_of_a_pruned_model_is_refused(bias: bool) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 8, bias), nn.ReLU(), nn.Linear(8, 2, bias))

    state = quantize(prune_channels(make(), tt.rand(16, 4)), "int4").state_dict()
    with pytest.raises(ValueError, match="load_compressed: int4 does not tell how many inputs"):
        load_compressed(make(), state)


def test_load_quantized_says_who_reads_what_was_pruned() -> None:
    model = MLP(4, 8, 2)
    state = quantize(prune_channels(model, tt.rand(16, 4))).state_dict()
    with pytest.raises(ValueError, match="pruned too, load_compressed finds the sizes"):
        load_quantized(model, state)


def test_what_is_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"missing: '0\.weight', '0\.bias'"):
        load_compressed(MLP(4, 3, 2), {})
    with pytest.raises(ValueError, match=r"shapes differ: '0\.bias'"):
        load_compressed(MLP(4, 3), {"0.weight": tt.ones(2, 4), "0.bias": tt.ones(2, 1)})

"""What was pruned, saved and read again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import MLP, CifarNet, LeNet5, ResNet
from tt_profile.compression import load_compressed, low_rank, prune_channels

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


def test_what_is_of_another_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"missing: '0\.weight', '0\.bias'"):
        load_compressed(MLP(4, 3, 2), {})
    with pytest.raises(ValueError, match=r"shapes differ: '0\.bias'"):
        load_compressed(MLP(4, 3), {"0.weight": tt.ones(2, 4), "0.bias": tt.ones(2, 1)})

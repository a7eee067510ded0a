"""Two small products for a large one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, CifarNet, GPTConfig, LeNet5
from tt_profile import count_parameters
from tt_profile.compression import factorize, low_rank
from tt_profile.quantization import quantize

pytestmark = pytest.mark.module_16

Layer = nn.Linear | nn.Conv2d

LAYERS: dict[str, tuple[Callable[[], Layer], tuple[int, ...]]] = {
    "wide": (lambda: nn.Linear(5, 8), (3, 5)),
    "narrow, without bias": (lambda: nn.Linear(8, 5, bias=False), (3, 4, 8)),
    "double precision": (lambda: nn.Linear(4, 4, dtype="float64"), (3, 4)),
    "convolution": (lambda: nn.Conv2d(3, 6, 3), (2, 3, 7, 8)),
    "convolution with options": (
        lambda: nn.Conv2d(3, 40, (3, 2), 2, (1, 0), 2, bias=False),
        (2, 3, 9, 8),
    ),
    "convolution that keeps sizes": (lambda: nn.Conv2d(2, 4, 3, padding="same"), (2, 2, 5, 5)),
}


def made(name: str) -> tuple[Layer, tt.Tensor]:
    tt.manual_seed(0)
    make, shape = LAYERS[name]
    layer = make()
    return layer, tt.randn(*shape, dtype=layer.weight.dtype)


def matrix(layer: Layer) -> np.ndarray:
    weight = layer.weight.detach().numpy()
    return weight.reshape((len(weight), -1))


def product(both: nn.Sequential) -> np.ndarray:
    first, second = both
    assert isinstance(first, nn.Linear | nn.Conv2d)
    assert isinstance(second, nn.Linear | nn.Conv2d)
    return np.asarray(matrix(second) @ matrix(first))


@pytest.mark.parametrize("name", LAYERS)
def test_full_rank_is_the_layer(name: str) -> None:
    layer, x = made(name)
    full = min(matrix(layer).shape)
    for both in (factorize(layer, rank=full), factorize(layer, energy=1.0)):
        with tt.no_grad():
            found, expected = both(x), layer(x)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)
        assert len(product(both)) == len(matrix(layer))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_the_error_is_what_is_cut_off(name: str, rank: int) -> None:
    layer, _ = made(name)
    values = np.linalg.svd(matrix(layer), compute_uv=False)
    error = np.linalg.norm(product(factorize(layer, rank=rank)) - matrix(layer))
    assert error == pytest.approx(float(np.sqrt((values[rank:] ** 2).sum())), rel=1e-3)


@pytest.mark.parametrize("energy", [0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", LAYERS)
def test_energy_is_the_least_rank_that_keeps_it(name: str, energy: float) -> None:
    layer, _ = made(name)
    squares = np.linalg.svd(matrix(layer), compute_uv=False) ** 2
    rank = len(next(factorize(layer, energy=energy).parameters()))
    assert squares[:rank].sum() >= energy * squares.sum() * (1 - 1e-6)
    assert squares[: rank - 1].sum() < energy * squares.sum()


def test_the_layer_stays_and_the_pair_learns() -> None:
    layer, x = made("wide")
    before = layer.weight.detach().numpy().copy()
    both = factorize(layer, rank=2).train()
    both(x).sum().backward()
    assert all(parameter.grad is not None for parameter in both.parameters())
    np.testing.assert_array_equal(layer.weight.detach().numpy(), before)
    frozen = factorize(nn.Linear(3, 4).eval().requires_grad_(False), rank=1)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert not any(module.training for module in frozen.modules())


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tt.Tensor], list[str]]] = {
    "MLP": (
        lambda: nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 2)),
        lambda: tt.randn(4, 20),
        ["0"],
    ),
    "LeNet5": (
        LeNet5,
        lambda: tt.randn(2, 1, 32, 32),
        ["features.0", "features.3", "features.6", "classifier.0", "classifier.2"],
    ),
    "CifarNet": (
        lambda: CifarNet((8, 12, 16)),
        lambda: tt.randn(2, 3, 24, 24),
        ["layers.1", "layers.5", "layers.8", "layers.12", "layers.16", "layers.19", "head", "stem"],
    ),
    "GPT, whose head is its embedding": (
        lambda: GPT(GPTConfig(50, 8, n_layer=1, n_head=2, n_embd=16)),
        lambda: tt.randint(0, 50, (2, 8)),
        [
            f"blocks.0.{name}"
            for name in ("attention.in_proj", "attention.out_proj", "mlp.up", "mlp.down")
        ],
    ),
    "attention": (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        lambda: tt.randn(2, 3, 16),
        ["self_attn.out_proj", "linear1", "linear2"],
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers_that_get_smaller_are_replaced(name: str) -> None:
    make, inputs, expected = MODELS[name]
    model, x = make().eval(), inputs()
    smaller = low_rank(model, rank=3)
    replaced = [
        n for n, m in model.named_modules() if type(smaller.get_submodule(n)) is not type(m)
    ]
    assert set(replaced) == set(expected)
    assert count_parameters(smaller) < count_parameters(model)
    with tt.no_grad():
        assert smaller(x).shape == model(x).shape
        np.testing.assert_allclose(
            low_rank(model, energy=1.0)(x).numpy(), model(x).numpy(), rtol=1e-4, atol=1e-5
        )


def test_named_layers() -> None:
    model = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 20))
    smaller = low_rank(model, rank=3, names=["2"])
    assert [type(module).__name__ for module in smaller] == ["Linear", "ReLU", "Sequential"]


def test_a_single_layer() -> None:
    assert [p.shape for p in low_rank(nn.Linear(20, 30), rank=2).parameters()] == [
        (2, 20), (30, 2), (30,),
    ]  # fmt: skip


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "neither": (lambda: factorize(nn.Linear(2, 2)), "one of rank and energy, got rank=None"),
    "both": (lambda: low_rank(nn.Linear(2, 2), rank=1, energy=0.5), "one of rank and energy"),
    "rank": (lambda: factorize(nn.Linear(2, 2), rank=0), "a rank of at least 1, got 0"),
    "energy": (lambda: factorize(nn.Linear(2, 2), energy=1.5), "energy above 0 and up to 1"),
    "groups": (
        lambda: factorize(nn.Conv2d(4, 4, 3, groups=2), rank=1),
        "a convolution without groups, got Conv2d",
    ),
    "name": (
        lambda: low_rank(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), rank=1, names=["1"]),
        "'1' is no layer that can be replaced; these are: 0",
    ),
    "nothing": (
        lambda: low_rank(nn.Sequential(nn.ReLU()), rank=1),
        "low_rank: Sequential has no layer that can be replaced",
    ),
    "quantized": (
        lambda: low_rank(quantize(nn.Sequential(nn.Linear(8, 8))), rank=1),
        "unless quantized: factorise first",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()

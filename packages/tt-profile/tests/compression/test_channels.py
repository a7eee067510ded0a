"""Channels and units that are really gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, MLP, CifarNet, GPTConfig, LeNet5, ModernGPT, ModernGPTConfig, ResNet
from tt_profile import count_flops, count_parameters
from tt_profile.compression import prune_channels, removable_channels

pytestmark = pytest.mark.module_16


def digits() -> nn.Sequential:
    """The convolutional network of milestone 04 that reads digits, smaller."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


def textbook() -> nn.Sequential:
    """The one for photographs, smaller."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4), nn.BatchNorm2d(8),
        nn.Conv2d(8, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(12),
        nn.Flatten(), nn.Linear(192, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 10),
    )  # fmt: skip


class Mobile(nn.Module):
    """A depthwise convolution, a mean over places by hand, and a normalisation after Flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 4, 1)
        self.flat = nn.BatchNorm1d(4 * 9)
        self.hidden = nn.Linear(4 * 9, 5)
        self.out = nn.Linear(5, 2)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = 1.0 - 0.5 * self.norm(self.depthwise(tt.relu(self.first(x))))
        x = nn.functional.max_pool2d(self.second(x), 2)  # (N, 4, 3, 3)
        return self.out(tt.tanh(self.hidden(self.flat(x.reshape(len(x), -1)))))


class Branches(nn.Module):
    """One layer that two read, and others whose channels something else depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(6, 8)
        self.left = nn.Linear(8, 4)
        self.right = nn.Linear(8, 4)
        self.soft = nn.Linear(4, 4)
        self.twice = nn.Linear(4, 4)
        self.out = nn.Linear(4, 2)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        trunk = tt.relu(self.trunk(x))
        x = self.left(trunk) + self.right(trunk)  # a sum: neither can lose any
        x = self.soft(x).softmax(1)  # in which every unit counts
        return self.out(self.twice(tt.relu(self.twice(x))))  # whose outputs are its inputs


class Case(NamedTuple):
    """A model, and which of its layers could lose how many channels, with what reads them."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], tt.Tensor]
    removable: dict[str, tuple[int, tuple[str, ...]]]


def tokens() -> tt.Tensor:
    return tt.randint(0, 11, (4, 8))


CASES: dict[str, Case] = {
    "MLP": Case(
        lambda: MLP(6, 9, 5, 3), lambda: tt.randn(30, 6), {"0": (9, ("2",)), "2": (5, ("4",))}
    ),
    "LeNet5": Case(
        LeNet5,
        lambda: tt.randn(12, 1, 32, 32),
        {
            "features.0": (6, ("features.3",)),
            "features.3": (16, ("features.6",)),
            "features.6": (120, ("classifier.0",)),
            "classifier.0": (84, ("classifier.2",)),
        },
    ),
    "CifarNet": Case(
        lambda: CifarNet((8, 12, 16)),
        lambda: tt.randn(10, 3, 24, 24),
        {
            "stem": (24, ("layers.1",)),
            "layers.1": (8, ("layers.5",)),
            "layers.5": (8, ("layers.8",)),
            "layers.8": (12, ("layers.12",)),
            "layers.12": (12, ("layers.16",)),
            "layers.16": (16, ("layers.19",)),
            "layers.19": (16, ("head",)),
        },
    ),
    "digits": Case(digits, lambda: tt.randn(20, 1, 8, 8), {"0": (8, ("3",)), "3": (16, ("7",))}),
    "textbook": Case(
        textbook,
        lambda: tt.randn(20, 3, 32, 32),
        {"0": (8, ("4",)), "4": (12, ("9",)), "9": (20, ("12",))},
    ),
    "ResNet": Case(
        lambda: ResNet(8, widths=(4, 6, 8)),
        lambda: tt.randn(10, 3, 8, 8),
        {
            f"blocks.{i}.body.0": (count, (f"blocks.{i}.body.3",))
            for i, count in enumerate((4, 6, 8))
        },
    ),
    "GPT": Case(
        lambda: GPT(GPTConfig(11, 8, n_layer=2, n_head=2, n_embd=8)),
        tokens,
        {f"blocks.{i}.mlp.up": (32, (f"blocks.{i}.mlp.down",)) for i in range(2)},
    ),
    "ModernGPT": Case(
        lambda: ModernGPT(ModernGPTConfig(11, 8, n_layer=1, n_head=2, n_embd=8)),
        tokens,
        {"blocks.0.mlp.up": (32, ("blocks.0.mlp.down",))},
    ),
    "encoder": Case(
        lambda: nn.TransformerEncoderLayer(8, 2, 20, batch_first=True),
        lambda: tt.randn(4, 5, 8),
        {"linear1": (20, ("linear2",))},
    ),
    "depthwise": Case(
        Mobile,
        lambda: tt.randn(10, 3, 8, 8),
        {"first": (6, ("second",)), "second": (4, ("hidden",)), "hidden": (5, ("out",))},
    ),
    "branches": Case(Branches, lambda: tt.randn(30, 6), {"trunk": (8, ("left", "right"))}),
}


def prepared(name: str) -> tuple[nn.Module, tt.Tensor]:
    """Return a model whose weights and statistics are not those it starts with, and inputs."""
    tt.manual_seed(0)
    model, x = CASES[name].make(), CASES[name].inputs()
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * tt.randn(*parameter.shape)
        model.train()(x)
    return model.eval(), x


def outputs(model: nn.Module, x: tt.Tensor) -> np.ndarray:
    with tt.no_grad():
        return np.asarray(model(x).numpy())


def weight_of(model: nn.Module, layer: str) -> np.ndarray:
    return np.asarray(dict(model.named_parameters())[f"{layer}.weight"].detach().numpy())


def error(model: nn.Module, other: nn.Module, x: tt.Tensor) -> float:
    expected = outputs(model, x)
    return float(np.linalg.norm(outputs(other, x) - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("name", CASES)
def test_what_can_lose_channels(name: str) -> None:
    model, x = prepared(name)
    modes = [module.training for module in model.train().modules()]
    expected = {layer: count for layer, (count, _) in CASES[name].removable.items()}
    assert removable_channels(model, x) == expected
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("compensate", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_channels_whose_weights_are_zero_are_not_missed(name: str, compensate: bool) -> None:
    model, x = prepared(name)
    for count, readers in CASES[name].removable.values():
        for reader in readers:
            weight = weight_of(model, reader)
            weight.reshape((len(weight), count, -1))[:, ::2] = 0
    smaller = prune_channels(model, x, amount=0.5, compensate=compensate)
    np.testing.assert_allclose(outputs(smaller, x), outputs(model, x), rtol=1e-4, atol=1e-5)
    other = CASES[name].inputs()
    np.testing.assert_allclose(outputs(smaller, other), outputs(model, other), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_every_layer_loses_its_share_and_nothing_is_left_of_it(name: str) -> None:
    model, x = prepared(name)
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    smaller = prune_channels(model, x, amount=0.5)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)
    left = {n: count - round(0.5 * count) for n, (count, _) in CASES[name].removable.items()}
    assert removable_channels(smaller, x) == left
    assert count_parameters(smaller) < count_parameters(model)
    assert count_flops(smaller, x).total < count_flops(model, x).total
    assert type(smaller) is type(model)
    for key, parameter in smaller.named_parameters():
        assert parameter.requires_grad == dict(model.named_parameters())[key].requires_grad
        assert parameter.dtype == np.float32


@pytest.mark.parametrize("name", CASES)
def test_removing_nothing_changes_nothing(name: str) -> None:
    model, x = prepared(name)
    np.testing.assert_array_equal(outputs(prune_channels(model, x, amount=0), x), outputs(model, x))


@pytest.mark.parametrize("name", CASES)
def test_what_stays_takes_over(name: str) -> None:
    model, x = prepared(name)
    plain = prune_channels(model, x, amount=0.3, compensate=False)
    helped = prune_channels(model, x, amount=0.3)
    assert error(model, helped, x) < error(model, plain, x)


@pytest.mark.parametrize("name", CASES)
def test_a_pruned_model_learns(name: str) -> None:
    model, x = prepared(name)
    smaller = prune_channels(model, x).train()
    smaller(x).square().mean().backward()
    for parameter in smaller.parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None
            assert parameter.grad.shape == parameter.shape


def test_twins_can_stand_in_for_each_other() -> None:
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    first = model.get_submodule("0")
    assert isinstance(first, nn.Linear)
    with tt.no_grad():
        first.weight[3:] = 2 * first.weight[:3]
        first.bias[3:] = 2 * first.bias[:3]
    x = tt.randn(50, 5)
    assert error(model, prune_channels(model, x), x) < 1e-2
    assert error(model, prune_channels(model, x, compensate=False), x) > 0.1


def test_by_magnitude_takes_the_weakest_filters() -> None:
    model, x = prepared("digits")
    first = weight_of(model, "0")
    smaller = prune_channels(model, x, amount=0.5, by="magnitude", compensate=False)
    strong = np.sort(np.argsort(abs(first).sum(axis=(1, 2, 3)))[4:])
    np.testing.assert_array_equal(weight_of(smaller, "0"), first[strong])


def test_shares_by_layer() -> None:
    model, x = prepared("digits")
    smaller = prune_channels(model, x, amount={"3": 0.75})
    assert removable_channels(smaller, x) == {"0": 8, "3": 4}


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions(dtype: str) -> None:
    model, x = prepared("MLP")
    model, x = model.to(dtype), x.to(dtype) * 100  # whose squares half precision cannot hold
    smaller = prune_channels(model, x)
    assert {parameter.dtype for parameter in smaller.parameters()} == {np.dtype(dtype)}
    assert np.isfinite(outputs(smaller, x)).all()


def test_one_channel_always_stays() -> None:
    model, x = prepared("digits")
    assert removable_channels(prune_channels(model, x, amount=0.99), x) == {"0": 1, "3": 1}


def test_the_order_in_memory_stays() -> None:
    model, x = prepared("MLP")
    for parameter in prune_channels(model, x).parameters():
        assert parameter.ndim == 1 or parameter.detach().numpy().flags.f_contiguous


ERRORS: dict[str, tuple[Callable[[nn.Module, tt.Tensor], object], str]] = {
    "amount": (lambda m, x: prune_channels(m, x, amount=1.0), "from 0 to less than 1, got 1.0"),
    "layer": (
        lambda m, x: prune_channels(m, x, amount={"7": 0.5}),
        "'7' is no layer that can lose channels; these are: 0, 3",
    ),
    "by": (
        lambda m, x: prune_channels(m, x, by="chance"),  # type: ignore[arg-type]  # on purpose
        "by 'contribution' or 'magnitude', got 'chance'",
    ),
    "nothing to remove": (
        lambda m, x: prune_channels(nn.Sequential(nn.Linear(8, 2)), x),
        "no layer of this Sequential",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call(*prepared("digits"))

"""A forward pass split by layer."""

import time

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile import count_flops, count_parameters, profile_layers

pytestmark = pytest.mark.module_14


class Sleep(nn.Module):
    """A layer that takes its time, and has another inside."""

    def __init__(self, seconds: float, inner: nn.Module) -> None:
        super().__init__()
        self.seconds = seconds
        self.inner = inner

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        time.sleep(self.seconds)
        return self.inner(x)  # type: ignore[no-any-return]  # what a module returns is its own


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2), nn.Sigmoid()))


def test_layers_stand_in_the_order_they_ran() -> None:
    layers = profile_layers(network(), tt.ones(5, 4), repeats=2)
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("", "Sequential"),
        ("0", "Linear"),
        ("1", "ReLU"),
        ("2", "Sequential"),
        ("2.0", "Linear"),
        ("2.1", "Sigmoid"),
    ]
    assert layers[1].output_shape == (5, 8)
    assert layers[-1].output_shape == (5, 2)


def test_layers_add_up_to_the_model() -> None:
    model, x = network(), tt.ones(5, 4)
    layers = profile_layers(model, x, repeats=2)
    assert sum(layer.flops for layer in layers) == count_flops(model, x).total
    assert sum(layer.parameters for layer in layers) == count_parameters(model)
    assert [layer.flops for layer in layers] == [0, 5 * 8 * 9, 5 * 8, 0, 5 * 2 * 17, 3 * 5 * 2]


def test_time_is_that_of_the_layer_itself() -> None:
    model = Sleep(0.01, Sleep(0.1, nn.Identity()))
    outer, inner, identity = profile_layers(model, tt.ones(1), repeats=3)
    assert 0.01 <= outer.seconds < 0.05  # 0.11 if the inner layer's time were counted too
    assert 0.1 <= inner.seconds
    assert identity.seconds < 0.01


def test_a_layer_that_runs_twice_counts_twice() -> None:
    shared = nn.Linear(4, 4)
    layers = profile_layers(nn.Sequential(shared, nn.ReLU(), shared), tt.ones(3, 4), repeats=1)
    (linear,) = [layer for layer in layers if layer.kind == "Linear"]
    assert linear.flops == 2 * 3 * 4 * 9
    assert linear.parameters == 20


def test_nothing_is_left_on_the_model() -> None:
    model, x = network(), tt.ones(5, 4)

    def watched() -> list[float]:
        return [layer.seconds for layer in profile_layers(model, x, repeats=1)]

    watched()
    runs: list[int] = []
    for module in model.modules():
        module.register_forward_hook(lambda *_: runs.append(1))
    model(x)
    assert len(runs) == 6
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_model_that_fails_is_left_without_hooks() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(4, 8))
    with pytest.raises(ValueError, match="linear"):
        profile_layers(model, tt.ones(5, 4))
    assert len(profile_layers(model[0], tt.ones(5, 4), repeats=1)) == 1


def test_repeats_must_be_positive() -> None:
    with pytest.raises(ValueError, match="repeats must be at least 1"):
        profile_layers(network(), tt.ones(5, 4), repeats=0)

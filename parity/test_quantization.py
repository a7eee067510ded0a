"""Scales, zero points, rounding and its gradients beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.ao.quantization import observer as theirs

import tt_autograd as tt
import tt_nn as nn
from tt_profile.quantization import (
    MinMaxObserver,
    MovingAverageMinMaxObserver,
    choose_qparams,
    dequantize_affine,
    fake_quantize,
    quantize,
    quantize_affine,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning"),
]

# Smallest and largest integer, and whether 0 stands for 0.
RANGES = [(-128, 127, True), (-128, 127, False), (-127, 127, True), (-8, 7, False)]
SAMPLES: dict[str, Callable[[np.random.Generator], Any]] = {
    "both signs": lambda rng: rng.normal(0, 3, (6, 5)),
    "positive": lambda rng: rng.uniform(1, 2, (6, 5)),
    "negative": lambda rng: rng.uniform(-9, -8, (6, 5)),
    "zeros": lambda rng: np.zeros((6, 5)),
    "outlier": lambda rng: np.append(rng.normal(0, 1, 29), 1e4).reshape(6, 5),
}


def sample(name: str, seed: int = 0) -> Any:
    return SAMPLES[name](np.random.default_rng(seed)).astype(np.float32)


def scheme(symmetric: bool, axis: bool = False) -> Any:
    kind = "symmetric" if symmetric else "affine"
    return getattr(torch, f"per_{'channel' if axis else 'tensor'}_{kind}")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(("low", "high", "symmetric"), RANGES)
def test_scale_and_zero_point(name: str, low: int, high: int, symmetric: bool) -> None:
    watch = theirs.MinMaxObserver(
        dtype=torch.qint8, qscheme=scheme(symmetric), quant_min=low, quant_max=high
    )
    ours = MinMaxObserver()
    for seed in range(3):
        watch(torch.from_numpy(sample(name, seed)))
        ours(tt.tensor(sample(name, seed)))
    scale, zero_point = watch.calculate_qparams()
    found = ours.calculate_qparams(low, high, symmetric=symmetric)
    np.testing.assert_allclose(found.scale.item(), scale.item(), rtol=1e-6)
    assert found.zero_point.item() == zero_point.item()


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(("low", "high", "symmetric"), RANGES)
def test_scales_of_channels(name: str, low: int, high: int, symmetric: bool) -> None:
    x = sample(name)
    watch = theirs.PerChannelMinMaxObserver(
        ch_axis=0,
        dtype=torch.qint8,
        qscheme=scheme(symmetric, axis=True),
        quant_min=low,
        quant_max=high,
    )
    watch(torch.from_numpy(x))
    scale, zero_point = watch.calculate_qparams()
    found = choose_qparams(
        tt.tensor(x.min(axis=1)), tt.tensor(x.max(axis=1)), low, high, symmetric=symmetric
    )
    np.testing.assert_allclose(found.scale.numpy(), scale.numpy(), rtol=1e-6)
    assert found.zero_point.tolist() == zero_point.tolist()


def test_moving_average() -> None:
    watch = theirs.MovingAverageMinMaxObserver(averaging_constant=0.1, dtype=torch.qint8)
    ours = MovingAverageMinMaxObserver(0.1)
    for seed in range(5):
        watch(torch.from_numpy(sample("both signs", seed)))
        ours(tt.tensor(sample("both signs", seed)))
    np.testing.assert_allclose(
        ours.range(), (watch.min_val.item(), watch.max_val.item()), rtol=1e-6
    )


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("scale", [0.01, 0.1, 1 / 3, 2.0])
@pytest.mark.parametrize(("low", "high", "zero"), [(-128, 127, 0), (-128, 127, 5), (-8, 7, -3)])
def test_per_tensor(name: str, scale: float, low: int, high: int, zero: int) -> None:
    x, g = sample(name), sample("both signs", 9)
    ours, them = tt.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    out = fake_quantize(ours, tt.tensor(scale), tt.tensor(zero, dtype="int8"), low, high)
    ref = torch.fake_quantize_per_tensor_affine(them, scale, zero, low, high)
    np.testing.assert_allclose(out.detach().numpy(), ref.detach().numpy(), rtol=1e-6)
    out.backward(tt.tensor(g))
    ref.backward(torch.from_numpy(g))
    assert ours.grad is not None
    assert them.grad is not None
    np.testing.assert_array_equal(ours.grad.numpy(), them.grad.numpy())


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("axis", [0, 1])
def test_per_channel(name: str, axis: int) -> None:
    x, g = sample(name), sample("both signs", 9)
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.01, 0.1, x.shape[axis]).astype(np.float32)
    zero = rng.integers(-9, 9, x.shape[axis])
    shape = [1, 1]
    shape[axis] = -1
    ours, them = tt.tensor(x, requires_grad=True), torch.from_numpy(x.copy()).requires_grad_()
    out = fake_quantize(
        ours, tt.tensor(scale.reshape(shape)), tt.tensor(zero.reshape(shape), dtype="int8")
    )
    ref = torch.fake_quantize_per_channel_affine(
        them, torch.from_numpy(scale), torch.from_numpy(zero).to(torch.int32), axis, -128, 127
    )
    np.testing.assert_allclose(out.detach().numpy(), ref.detach().numpy(), rtol=1e-6)
    out.backward(tt.tensor(g))
    ref.backward(torch.from_numpy(g))
    assert ours.grad is not None
    assert them.grad is not None
    np.testing.assert_array_equal(ours.grad.numpy(), them.grad.numpy())


@pytest.mark.parametrize("name", SAMPLES)
def test_integers_and_back(name: str) -> None:
    x = sample(name)
    ref = torch.quantize_per_tensor(torch.from_numpy(x), 0.05, 3, torch.qint8)
    scale, zero = tt.tensor(0.05), tt.tensor(3, dtype="int8")
    out = quantize_affine(tt.tensor(x), scale, zero)
    np.testing.assert_array_equal(out.numpy(), ref.int_repr().numpy())
    np.testing.assert_allclose(
        dequantize_affine(out, scale, zero).numpy(), ref.dequantize().numpy(), rtol=1e-6
    )


def test_weights_of_a_layer() -> None:
    layer = nn.Linear(20, 6)
    small = quantize(layer).quantized_weight  # type: ignore[attr-defined]  # of quantized layers
    ref = torch.quantize_per_channel(
        torch.from_numpy(layer.weight.detach().numpy().copy()),
        torch.from_numpy(small.scale.numpy().reshape(-1).copy()),
        torch.zeros(6, dtype=torch.int64),
        0,
        torch.qint8,
    )
    np.testing.assert_array_equal(small.values.numpy(), ref.int_repr().numpy())
    np.testing.assert_allclose(small().numpy(), ref.dequantize().numpy(), rtol=1e-6)

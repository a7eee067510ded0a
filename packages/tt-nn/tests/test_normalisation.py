"""LayerNorm, RMSNorm, GroupNorm and InstanceNorm2d, beyond what the table of layers asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F

pytestmark = pytest.mark.module_09

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "LayerNorm": lambda: nn.LayerNorm(6),
    "LayerNorm of three dimensions": lambda: nn.LayerNorm((4, 5, 6)),
    "RMSNorm": lambda: nn.RMSNorm(6),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "InstanceNorm2d": lambda: nn.InstanceNorm2d(4, affine=True),
}
ORDERS: dict[str, Callable[[Any], Any]] = {
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "batch last": lambda x: np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2),
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "every other": lambda x: np.repeat(x, 2, 3)[..., ::2],
    "stretched": lambda x: np.broadcast_to(x[:1], x.shape),
}


def run(module: nn.Module, x: Any, g: Any) -> list[Any]:
    """Return output, gradient of the input, and gradients of the parameters."""
    leaf = tt.from_numpy(x).requires_grad_()
    out = module(leaf)
    module.zero_grad()
    out.backward(tt.from_numpy(g))
    assert leaf.grad is not None
    owned = [p.grad.numpy() for p in module.parameters() if p.grad is not None]
    return [out.detach().numpy(), leaf.grad.numpy(), *owned]


def by_stride(x: Any) -> list[int]:
    return sorted(range(x.ndim), key=lambda d: -x.strides[d])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", LAYERS)
def test_the_order_of_memory_is_kept_and_does_not_matter(name: str, order: str) -> None:
    rng = np.random.default_rng(0)
    module = LAYERS[name]().double()
    with tt.no_grad():
        for parameter in module.parameters():
            parameter += tt.from_numpy(rng.standard_normal(parameter.shape))
    other = ORDERS[order](rng.standard_normal((3, 4, 5, 6)))
    plain, g = np.ascontiguousarray(other), rng.standard_normal(other.shape)
    expected = run(module, plain, g)
    got = run(module, other, ORDERS[order](g) if order != "stretched" else g)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
    if order.endswith("last"):
        assert by_stride(got[0]) == by_stride(other)
        assert by_stride(got[1]) == by_stride(other)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.LayerNorm(300), (1000, 300)),
        (nn.RMSNorm(300), (10, 100, 300)),
        (nn.LayerNorm(70000), (3, 70000)),
        (nn.GroupNorm(4, 16), (11, 16, 23, 29)),
    ],
    ids=str,
)
def test_work_in_pieces_is_the_work(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Large inputs are gone through in pieces: what comes out is what small ones give."""
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, *shape)).astype(np.float32)
    whole = run(module, x, g)
    parts = [run(module, x[i : i + 1], g[i : i + 1]) for i in range(len(x))]
    for a, b in zip(whole[:2], zip(*(part[:2] for part in parts), strict=True), strict=True):
        np.testing.assert_allclose(a, np.concatenate(b), rtol=1e-4, atol=1e-5)
    for a, *bs in zip(whole[2:], *(part[2:] for part in parts), strict=True):
        np.testing.assert_allclose(a, sum(bs), rtol=1e-3, atol=1e-3)


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    layer, x = nn.LayerNorm(3), tt.randn(2, 3)
    assert layer.weight is not None
    assert layer.bias is not None
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
    np.testing.assert_array_equal(layer.bias.grad.numpy(), [2, 2, 2])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("offset", [1e4, -1e4])
def test_values_far_from_zero(name: str, offset: float) -> None:
    """The variance is that of centred values: no digits are lost to a large mean."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5, 6)).astype(np.float32) + np.float32(offset)
    module = LAYERS[name]()
    out = module(tt.from_numpy(x)).detach().numpy()
    expected = module.double()(tt.from_numpy(x.astype(float))).detach().numpy()
    np.testing.assert_allclose(out, expected, atol=5e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rms_norm_takes_its_eps_from_the_dtype(dtype: str) -> None:
    out = F.rms_norm(tt.full((4,), 1e-4, dtype=dtype), 4)
    expected = 1e-4 / np.sqrt(1e-8 + np.finfo(dtype).eps)
    np.testing.assert_allclose(out.numpy(), np.full(4, expected), rtol=1e-5)


def test_parameters_of_another_dtype_widen_the_result() -> None:
    layer = nn.LayerNorm(3, dtype="float64")
    assert layer(tt.ones(2, 3)).dtype == tt.float64
    assert nn.LayerNorm(3)(tt.ones(2, 3, dtype="float16")).dtype == tt.float32


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_without_eps_equal_values_are_divided_by_zero(rows: int) -> None:
    assert np.isnan(F.layer_norm(tt.ones(rows, 4), 4, eps=0.0).numpy()).all()
    assert np.isnan(F.rms_norm(tt.zeros(rows, 4), 4, eps=0.0).numpy()).all()


# Running statistics


@pytest.mark.parametrize("momentum", [0.1, 0.4, None])
def test_instance_norm_keeps_statistics_of_the_images(momentum: float | None) -> None:
    rng = np.random.default_rng(0)
    layer = nn.InstanceNorm2d(3, momentum=momentum, track_running_stats=True).double()
    mean, var = np.zeros(3), np.ones(3)
    for step in range(3):
        x = rng.normal(step, 2, (4, 3, 5, 5))
        layer(tt.from_numpy(x))
        part = 1 / (step + 1) if momentum is None else momentum
        mean += part * (x.mean(axis=(0, 2, 3)) - mean)
        var += part * (x.var(axis=(2, 3), ddof=1).mean(axis=0) - var)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), var, rtol=1e-12)
    assert layer.num_batches_tracked.item() == 3
    x = rng.normal(size=(2, 3, 4, 4))
    expected = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(layer.eval()(tt.from_numpy(x)).numpy(), expected, rtol=1e-10)
    assert layer.num_batches_tracked.item() == 3
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0, 0, 0]
    assert layer.running_var.tolist() == [1, 1, 1]


def test_what_is_refused_is_not_counted() -> None:
    layer = nn.InstanceNorm2d(3, track_running_stats=True)
    with pytest.raises(ValueError, match="more than one value"):
        layer(tt.ones(2, 3, 1, 1))
    assert layer.num_batches_tracked is not None
    assert layer.num_batches_tracked.item() == 0


def test_instance_norm_without_statistics_is_the_same_in_evaluation() -> None:
    layer, x = nn.InstanceNorm2d(3), tt.randn(2, 3, 4, 4)
    np.testing.assert_array_equal(layer(x).numpy(), layer.eval()(x).numpy())


# What does not fit


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.LayerNorm(3)(tt.ones(2, 4)),
            r"layer_norm: expected an input of shape \(\.\.\., 3\); got input float32 \(2, 4\)",
        ),
        (
            lambda: nn.LayerNorm((2, 3))(tt.ones(3)),
            r"layer_norm: expected an input of shape \(\.\.\., 2, 3\); got input float32 \(3,\)",
        ),
        (
            lambda: F.layer_norm(tt.ones(2, 3), 3, tt.ones(2)),
            r"layer_norm: expected a weight of shape \(3,\)",
        ),
        (
            lambda: F.layer_norm(tt.ones(2, 3), 3, tt.ones(3), tt.ones(2)),
            r"layer_norm: expected a bias of shape \(3,\)",
        ),
        (lambda: nn.LayerNorm(()), r"LayerNorm: expected normalized_shape .* got \(\)"),
        (lambda: nn.LayerNorm((3, 0)), r"LayerNorm: expected normalized_shape .* got \(3, 0\)"),
        (
            lambda: nn.RMSNorm(3)(tt.ones(2, 4)),
            r"rms_norm: expected an input of shape \(\.\.\., 3\)",
        ),
        (lambda: nn.RMSNorm(-1), "RMSNorm: expected normalized_shape .* got -1"),
        (
            lambda: nn.GroupNorm(2, 4)(tt.ones(2, 3, 5)),
            r"GroupNorm: expected an input of shape \(N, 4, \.\.\.\), got \(2, 3, 5\)",
        ),
        (lambda: nn.GroupNorm(2, 4)(tt.ones(4)), r"GroupNorm: .*got \(4,\)"),
        (
            lambda: nn.GroupNorm(3, 4),
            "GroupNorm: expected num_groups to divide the 4 channels, got 3",
        ),
        (lambda: nn.GroupNorm(0, 4), "GroupNorm: expected num_groups to be a positive int, got 0"),
        (
            lambda: F.group_norm(tt.ones(2, 4), 3),
            "group_norm: expected num_groups to divide the 4 channels",
        ),
        (
            lambda: F.group_norm(tt.ones(2, 4), 2, tt.ones(3)),
            r"group_norm: expected a weight of shape \(4,\)",
        ),
        (
            lambda: F.group_norm(tt.ones(2, 4, 0), 2),
            "group_norm: expected at least one value for each channel",
        ),
        (
            lambda: nn.InstanceNorm2d(3)(tt.ones(3, 4, 4)),
            r"InstanceNorm2d: expected an input of shape \(N, 3, H, W\), got \(3, 4, 4\)",
        ),
        (
            lambda: nn.InstanceNorm2d(3)(tt.ones(2, 3, 1, 1)),
            "instance_norm: expected more than one value for each channel of an image",
        ),
        (lambda: nn.InstanceNorm2d(0), "InstanceNorm2d: expected num_features to be a positive"),
        (
            lambda: F.instance_norm(tt.ones(2, 3)),
            r"instance_norm: expected an input of shape \(N, C, L\) or more, got \(2, 3\)",
        ),
        (
            lambda: F.instance_norm(tt.ones(2, 3, 4, 4), use_input_stats=False),
            "expected running_mean and running_var",
        ),
    ],
)
def test_wrong_shapes_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", LAYERS)
def test_integers_and_lists_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match="expected a floating-point input"):
        LAYERS[name]()(tt.ones(3, 4, 5, 6, dtype="int64"))
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        LAYERS[name]()([1.0])

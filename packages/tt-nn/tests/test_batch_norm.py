import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F

pytestmark = pytest.mark.module_09


def batch(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3, 2, shape)


@pytest.mark.parametrize("momentum", [0.3, None])
def test_running_statistics_follow_the_batches(momentum: float | None) -> None:
    layer = nn.BatchNorm2d(3, momentum=momentum).double()
    mean, var = np.zeros(3), np.ones(3)
    for step in range(1, 4):
        x = batch(4, 3, 5, 6, seed=step)
        layer(tt.from_numpy(x))
        part = 1 / step if momentum is None else momentum
        mean += part * (x.mean(axis=(0, 2, 3)) - mean)
        var += part * (x.var(axis=(0, 2, 3), ddof=1) - var)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    np.testing.assert_allclose(layer.running_mean.numpy(), mean)
    np.testing.assert_allclose(layer.running_var.numpy(), var)
    assert layer.num_batches_tracked.item() == 3

    before = layer.state_dict()
    x = batch(2, 3, 2, 2)
    out = layer.eval()(tt.from_numpy(x))
    expected = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(out.detach().numpy(), expected)
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())

    layer.reset_parameters()
    assert layer.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(layer.running_mean.numpy(), 0)
    np.testing.assert_array_equal(layer.running_var.numpy(), 1)


def test_without_running_statistics_each_batch_is_normalised_by_its_own() -> None:
    layer = nn.BatchNorm1d(3, track_running_stats=False).eval()
    out = layer(tt.from_numpy(batch(8, 3).astype(np.float32))).detach().numpy()
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-6)
    assert list(layer.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("shape", [(64, 4), (32, 4, 9, 8)])
@pytest.mark.parametrize("order", ["first", "last"])
def test_large_means_cost_no_precision(shape: tuple[int, ...], order: str) -> None:
    x = (batch(*shape) + 1e4).astype(np.float32)
    if order == "last":
        x = np.ascontiguousarray(x.T).T
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    expected = wide - wide.mean(axis=axes, keepdims=True)
    expected /= np.sqrt(wide.var(axis=axes, keepdims=True) + 1e-5)
    out = F.batch_norm(tt.from_numpy(x), None, None, training=True)
    np.testing.assert_allclose(out.detach().numpy(), expected, atol=2e-3)


def test_a_batch_that_fails_leaves_the_statistics_alone() -> None:
    layer = nn.BatchNorm1d(3)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="batch_norm: expected more than one value per channel"):
        layer(tt.ones(1, 3))
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    assert layer.eval()(tt.ones(1, 3)).shape == (1, 3)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm1d(3), (4,), r"BatchNorm1d: expected .* \(N, 3\) or \(N, 3, L\), got \(4,\)"),
        (nn.BatchNorm1d(3), (4, 5), r"BatchNorm1d: expected .* got \(4, 5\)"),
        (nn.BatchNorm2d(3), (4, 3), r"BatchNorm2d: expected .* \(N, 3, H, W\), got \(4, 3\)"),
    ],
)
def test_other_shapes_are_refused(layer: nn.Module, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer(tt.zeros(*shape))


def test_evaluation_of_an_empty_batch_is_empty() -> None:
    assert nn.BatchNorm2d(3).eval()(tt.zeros(0, 3, 4, 4)).shape == (0, 3, 4, 4)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="BatchNorm2d: expected num_features to be a positive int"):
        nn.BatchNorm2d(0)
    with pytest.raises(ValueError, match="expected running_mean and running_var"):
        F.batch_norm(tt.ones(2, 3), None, None)
    with pytest.raises(ValueError, match="one number for each of the 3 channels"):
        F.batch_norm(tt.ones(2, 3), None, None, tt.ones(2), training=True)
    with pytest.raises(TypeError, match="expected a floating-point input"):
        F.batch_norm(tt.ones(2, 3).long(), None, None, training=True)

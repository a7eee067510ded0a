"""Accuracy and stability where the obvious formula fails."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest

import tt_tensor as tt

LARGE = [-1e4, -1000.0, -88.0, -20.0, 20.0, 88.0, 1000.0, 1e4]


@pytest.mark.module_02
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-7), ("float64", 5e-16)])
def test_erf_is_exact_to_rounding(dtype: str, tolerance: float) -> None:
    x = np.concatenate([np.linspace(-7, 7, 2001), [0.0, -0.0, 1e-20, np.inf, -np.inf]])
    expected = [math.erf(v) for v in x.astype(dtype).tolist()]
    found = tt.erf(tt.tensor(x, dtype=dtype))
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=tolerance)
    assert math.isnan(tt.erf(tt.tensor(np.nan, dtype=dtype)).item())
    assert np.signbit(tt.erf(tt.tensor(-0.0, dtype=dtype)).numpy())


@pytest.mark.module_03
@pytest.mark.parametrize("name", ["gelu", "sigmoid", "silu", "softplus", "elu"])
def test_large_tensors_made_in_pieces_are_as_small_ones(name: str) -> None:
    x = tt.randn(3, 50_000, generator=tt.Generator(0)).T
    act: Callable[[tt.Tensor], tt.Tensor] = getattr(tt, name)
    whole = act(x).numpy()
    parts = np.concatenate([act(part).numpy() for part in x.split(1000)])
    np.testing.assert_allclose(whole, parts, rtol=1e-6, atol=1e-7)


@pytest.mark.module_03
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "sigmoid", "silu", "gelu", "softplus", "elu", "tanh"]
)
def test_activations_neither_overflow_nor_warn(name: str, dtype: str) -> None:
    x = tt.tensor(LARGE, dtype=dtype)
    with np.errstate(all="raise", under="ignore"):
        found = getattr(tt, name)(x)
    assert found.isfinite().all()
    linear = {"relu", "leaky_relu", "silu", "gelu", "softplus", "elu"}
    expected = LARGE[5:] if name in linear else [1.0] * 3
    np.testing.assert_allclose(found[5:].numpy(), expected, rtol=1e-6)


@pytest.mark.module_03
def test_sigmoid_keeps_its_digits_in_the_tail() -> None:
    found = tt.sigmoid(tt.tensor([-30.0, -80.0]))
    np.testing.assert_allclose(found.numpy(), np.exp([-30.0, -80.0]), rtol=1e-6)


@pytest.mark.module_03
@pytest.mark.parametrize("size", [2, 5, 31, 33, 1000])
def test_softmax_of_large_scores(size: int) -> None:
    x = tt.randn(4, size, generator=tt.Generator(0)) * 1000
    with np.errstate(all="raise", under="ignore"):
        probabilities, logs = tt.softmax(x, -1), tt.log_softmax(x, -1)
    np.testing.assert_allclose(probabilities.sum(-1).numpy(), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(logs.exp().numpy(), probabilities.numpy(), rtol=1e-4, atol=1e-7)
    masked = tt.softmax(tt.tensor([[0.0, -math.inf, 0.0]]), 1)
    assert masked.tolist() == [[0.5, 0.0, 0.5]]


@pytest.mark.module_02
def test_logsumexp_of_infinities() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = tt.tensor([[1000.0, 1000.0], [-math.inf, -math.inf], [math.inf, 0.0]])
        found = tt.logsumexp(x, dim=1)
    np.testing.assert_allclose(found.numpy(), [1000 + math.log(2), -math.inf, math.inf], rtol=1e-6)
    assert tt.logsumexp(tt.zeros(0)).item() == -math.inf


@pytest.mark.module_02
def test_warnings_follow_numpys_errstate() -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        tt.log(tt.zeros(1))
    with np.errstate(divide="ignore"):
        assert tt.log(tt.zeros(1)).item() == -math.inf
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        tt.log(tt.zeros(1))

"""Activations of large values, and GELU against its formula."""

import typing

import numpy as np
import pytest

import tt_autograd as tt
from layer_table import LAYERS, Layer
from tt_nn import functional as F


@pytest.mark.module_03
@pytest.mark.parametrize(
    "layer", [x for x in LAYERS if x.kind == "activation"], ids=lambda x: x.name
)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_activations_are_stable(layer: Layer, size: float) -> None:
    x = np.full(layer.shapes[0], size, np.float32)
    out = layer.make()(tt.from_numpy(x)).numpy()
    assert np.isfinite(out).all()


@pytest.mark.module_03
@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (300, 300)], ids=str)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu(shape: tuple[int, ...], approximate: typing.Literal["none", "tanh"]) -> None:
    x = tt.tensor(np.random.default_rng(0).normal(0, 2, shape), requires_grad=True)
    y = x.detach().requires_grad_()
    out, reference = F.gelu(x, approximate), tt.gelu(y, approximate)
    np.testing.assert_allclose(out.detach().numpy(), reference.detach().numpy(), atol=1e-14)
    out.sum().backward()
    reference.sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-13)
    if len(shape) == 1:
        assert tt.gradgradcheck(lambda x: F.gelu(x, approximate), [x])


@pytest.mark.module_03
def test_gelu_of_large_values() -> None:
    x = tt.tensor([-1e4, -100.0, 100.0, 1e4], requires_grad=True)
    for approximate in ("none", "tanh"):
        out = F.gelu(x, approximate)
        (slope,) = tt.grad(out.sum(), x)
        np.testing.assert_array_equal(out.detach().numpy(), [0, 0, 100, 1e4])
        np.testing.assert_array_equal(slope.numpy(), [0, 0, 1, 1])

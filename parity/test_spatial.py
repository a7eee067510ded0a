"""Convolutions and poolings of the table beside PyTorch's: values and all gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import tt_autograd as tt
import tt_nn as nn
from spatial_table import SPATIAL, Spatial

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")


def plain(array: Any) -> Any:
    return torch.from_numpy(np.asarray(array).copy())


def close(ours: Any, theirs: Any, dtype: str, what: str) -> None:
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    tolerance = 1e-11 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=what)


def compare(spatial: Spatial, array: Any, dtype: str) -> None:
    tt.manual_seed(0)
    ours = spatial.make().to(dtype)
    theirs = eval(f"torch.nn.{spatial.call}", {"torch": torch}).to(getattr(torch, dtype))
    theirs.load_state_dict({name: plain(v.numpy()) for name, v in ours.state_dict().items()})
    x = tt.tensor(array.astype(dtype), requires_grad=True)
    y = plain(array.astype(dtype)).requires_grad_()
    out, ref = ours(x), theirs(y)
    close(out, ref, dtype, "output")
    g = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    out.backward(tt.tensor(g))
    ref.backward(plain(g))
    close(x.grad, y.grad, dtype, "gradient of the input")
    named = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(named)
    for name, parameter in ours.named_parameters():
        close(parameter.grad, named[name].grad, dtype, f"gradient of {name}")


@pytest.mark.parametrize("spatial", SPATIAL, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients(spatial: Spatial, dtype: str) -> None:
    compare(spatial, spatial.input(), dtype)


@pytest.mark.parametrize("spatial", [s for s in SPATIAL if s.layer == "MaxPool2d"], ids=str)
def test_of_equal_values_the_first_gets_the_gradient(spatial: Spatial) -> None:
    compare(spatial, np.round(spatial.input()), "float64")


@pytest.mark.parametrize("spatial", [s for s in SPATIAL if "Conv" in s.layer], ids=str)
def test_parameters_start_alike(spatial: Spatial) -> None:
    """The bounds of the uniform distributions that parameters are drawn from."""
    tt.manual_seed(0)
    torch.manual_seed(0)
    draws = 20 + 4000 // max(p.numel() for p in spatial.make().parameters())
    ours = [spatial.make() for _ in range(draws)]
    theirs = [eval(f"torch.nn.{spatial.call}", {"torch": torch}) for _ in range(draws)]
    for name, parameter in ours[0].named_parameters():
        own, their = (
            max(abs(dict(m.named_parameters())[name].detach().numpy()).max() for m in made)
            for made in (ours, theirs)
        )
        assert parameter.dtype == np.float32
        assert own == pytest.approx(their, rel=0.15), name


def test_the_table_is_as_wide_as_promised() -> None:
    layers = {spatial.layer for spatial in SPATIAL}
    assert len(SPATIAL) >= 60
    assert len({str(spatial) for spatial in SPATIAL}) == len(SPATIAL)
    assert all(hasattr(nn, layer) and hasattr(torch.nn, layer) for layer in layers)

"""Every layer and loss of the tables beside its counterpart in PyTorch, and files both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

import tt_autograd as tt
import tt_nn as nn
from layer_table import LAYERS, Layer
from loss_table import LOSSES, Loss

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def plain(array: Any) -> Any:
    return torch.from_numpy(np.asarray(array).copy())


def close(ours: Any, theirs: Any, dtype: str) -> None:
    if ours is None or theirs is None:
        assert ours is None
        assert theirs is None
        return
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def layers(layer: Layer, dtype: str) -> tuple[nn.Module, Any]:
    """Return our layer and PyTorch's, with the same parameters."""
    tt.manual_seed(0)
    ours = layer.make().to(dtype)
    theirs = eval(layer.torch, {"torch": torch}).to(getattr(torch, dtype))
    state = {name: plain(value.detach().numpy()) for name, value in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    return ours, theirs


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@dtypes
def test_layers(layer: Layer, dtype: str) -> None:
    ours, theirs = layers(layer, dtype)
    arrays = [array.astype(dtype) for array in layer.inputs()]
    xs = [tt.tensor(array, requires_grad=True) for array in arrays]
    ys = [plain(array).requires_grad_() for array in arrays]
    out, ref = ours(*xs), theirs(*ys)
    close(out, ref, dtype)
    seed = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    out.backward(tt.tensor(seed))
    ref.backward(plain(seed))
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, dtype)
    named = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(named)
    for name, parameter in ours.named_parameters():
        close(parameter.grad, named[name].grad, dtype)


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_second_derivatives_of_layers(layer: Layer) -> None:
    ours, theirs = layers(layer, "float64")
    xs = [tt.tensor(array, requires_grad=True) for array in layer.inputs()]
    ys = [plain(array).requires_grad_() for array in layer.inputs()]
    first = tt.grad((ours(*xs) ** 3).sum(), xs, create_graph=True)
    with sdpa_kernel(SDPBackend.MATH):  # PyTorch's fused attention has no second derivative
        second = torch.autograd.grad((theirs(*ys) ** 3).sum(), ys, create_graph=True)
    norm: Any = sum((g * g).sum() for g in first)
    reference: Any = sum((g * g).sum() for g in second)
    for a, b in zip(
        tt.grad(norm, xs), torch.autograd.grad(reference, ys, materialize_grads=True), strict=True
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-9)


def losses(loss: Loss, dtype: str) -> tuple[Any, Any, list[Any], list[Any]]:
    """Return our loss and PyTorch's, and their inputs and targets."""

    def cast(array: Any) -> Any:
        return array.astype(dtype) if array.dtype.kind == "f" else array

    ours = loss.make().to(dtype)
    theirs = getattr(torch.nn, loss.name)(
        **{
            key: plain(cast(value)) if isinstance(value, np.ndarray) else value
            for key, value in loss.arguments.items()
        }
    )
    input, target = map(cast, loss.samples(np.random.default_rng(0)))
    xs = [tt.tensor(input, requires_grad=True), tt.tensor(target)]
    ys = [plain(input).requires_grad_(), plain(target)]
    if loss.target_gradient:
        xs[1].requires_grad_()
        ys[1].requires_grad_()
    return ours, theirs, xs, ys


@pytest.mark.filterwarnings("ignore:reduction:UserWarning")  # on KLDivLoss's 'mean'
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@dtypes
def test_losses(loss: Loss, dtype: str) -> None:
    ours, theirs, xs, ys = losses(loss, dtype)
    out, ref = ours(*xs), theirs(*ys)
    close(out, ref, dtype)
    seed = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    out.backward(tt.tensor(seed))
    ref.backward(plain(seed))
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, dtype)


@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_second_derivatives_of_losses(loss: Loss) -> None:
    ours, theirs, xs, ys = losses(loss, "float64")
    x, y = xs[0], ys[0]
    (first,) = tt.grad((ours(*xs) ** 2).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((theirs(*ys) ** 2).sum(), y, create_graph=True)
    (a,) = tt.grad((first * first).sum(), x)
    (b,) = torch.autograd.grad((second * second).sum(), y)
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-9)


# What is compared


def test_every_layer_and_loss_is_compared() -> None:
    """A class of both libraries that no table names would go uncompared."""
    both = {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and hasattr(torch.nn, name)
    }
    containers = {"Module", "ModuleList", "ModuleDict"}  # they compute nothing themselves
    elsewhere = {"Embedding", "MultiheadAttention"}  # in test_attention.py
    compared = {type(layer.make()).__name__ for layer in LAYERS} | {loss.name for loss in LOSSES}
    assert both - containers - elsewhere == compared & both
    assert compared <= both


# Files


def network(library: Any) -> Any:
    return library.Sequential(
        library.Linear(3, 4), library.Tanh(), library.Bilinear(4, 4, 2, bias=False)
    )


@dtypes
def test_pytorch_reads_our_files_and_we_read_pytorchs(dtype: str, tmp_path: Path) -> None:
    ours, theirs = nn.Linear(3, 4).to(dtype), torch.nn.Linear(3, 4, dtype=getattr(torch, dtype))
    nn.save(ours.state_dict(), tmp_path / "ours.safetensors")
    theirs.load_state_dict(safetensors.torch.load_file(tmp_path / "ours.safetensors"))
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(dtype)
    close(ours(tt.tensor(x)), theirs(plain(x)), dtype)
    with torch.no_grad():
        theirs.weight.mul_(2.0)
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours.load_state_dict(nn.load(tmp_path / "theirs.safetensors"))
    close(ours(tt.tensor(x)), theirs(plain(x)), dtype)


def test_names_and_layouts_of_a_larger_network_agree(tmp_path: Path) -> None:
    ours, theirs = network(nn), network(torch.nn).float()
    ours_state, theirs_state = ours.state_dict(), theirs.state_dict()
    assert list(ours_state) == list(theirs_state)
    for name, value in ours_state.items():
        assert value.shape == tuple(theirs_state[name].shape)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
)
def test_every_dtype_goes_through_files_both_ways(dtype: str, tmp_path: Path) -> None:
    array = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    nn.save(
        {"a": tt.tensor(array), "b": tt.tensor(array.T), "c": tt.tensor(array[0, 0])},
        tmp_path / "o",
    )
    read = safetensors.torch.load_file(tmp_path / "o")
    for name, value in {"a": array, "b": array.T, "c": array[0, 0]}.items():
        np.testing.assert_array_equal(read[name].numpy(), value)
        assert str(read[name].dtype) == f"torch.{dtype}"
    safetensors.torch.save_file({"a": plain(array), "e": torch.zeros(0, 3)}, tmp_path / "t")
    back = nn.load(tmp_path / "t")
    np.testing.assert_array_equal(back["a"].numpy(), array)
    assert back["a"].dtype == dtype
    assert back["e"].shape == (0, 3)

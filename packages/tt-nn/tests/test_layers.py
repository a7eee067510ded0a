"""Properties of every layer, over the table in testing/layer_table.py, and what they refuse."""

import copy
import pickle
import typing

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from layer_table import LAYERS, Layer
from loss_table import LOSSES
from tt_nn import functional as F

MARKERS = {
    "activation": pytest.mark.module_03,
    "layer": pytest.mark.module_04,
    "spatial": pytest.mark.module_09,
    "transformer": pytest.mark.module_14,
}


def cases(owned: bool = False) -> pytest.MarkDecorator:
    """Every layer, under the marker of the module that brings it.

    Args:
        owned: Whether the test asks each for what it owns, which module 04 brings.
    """
    marks = {**MARKERS, "activation": pytest.mark.module_04} if owned else MARKERS
    return pytest.mark.parametrize(
        "layer",
        [pytest.param(layer, id=layer.name, marks=marks[layer.kind]) for layer in LAYERS],
    )


def made(layer: Layer, dtype: str = "float64") -> nn.Module:
    """Make a layer in a dtype; an activation, which has none, is left as it is."""
    return layer.make() if layer.kind == "activation" else layer.make().to(dtype)


def parameters(layer: Layer, module: nn.Module) -> dict[str, nn.Parameter]:
    """Return what the layer learns; an activation, which learns nothing, is not asked."""
    return {} if layer.kind == "activation" else dict(module.named_parameters())


def values(layer: Layer, module: nn.Module) -> dict[str, np.ndarray]:
    """Return the same as float64 arrays, for the reference."""
    learned = parameters(layer, module).items()
    return {name: p.detach().numpy().astype(float) for name, p in learned}


@cases()
def test_forward_agrees_with_numpy(layer: Layer) -> None:
    module, inputs = made(layer), layer.inputs()
    out = module(*map(tt.from_numpy, inputs))
    expected = layer.reference(values(layer, module), *inputs)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@cases()
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(layer: Layer, dtype: str) -> None:
    module = made(layer, dtype)
    inputs = [x.astype(dtype) for x in layer.inputs()]
    out = module(*map(tt.from_numpy, inputs))
    assert out.dtype == dtype
    expected = layer.reference(values(layer, module), *[x.astype(float) for x in inputs])
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(
        out.detach().numpy().astype(float), expected, rtol=40 * eps, atol=40 * eps
    )


@cases()
def test_takes_tensors_without_gradients(layer: Layer) -> None:
    module, inputs = made(layer), layer.inputs()
    out = module(*map(tt_tensor.from_numpy, inputs))
    assert isinstance(out, tt_tensor.Tensor)
    if parameters(layer, module):
        assert isinstance(out, tt.Tensor)
        assert out.requires_grad


@cases()
def test_gradients_agree_with_differences(layer: Layer) -> None:
    module = made(layer)
    named = parameters(layer, module)
    own = list(named.values())
    inputs = [tt.tensor(x, requires_grad=True) for x in layer.inputs()]
    if not inputs[0].numel():
        out = module(*inputs)
        out.sum().backward()
        assert all(p.grad is not None and not p.grad.numpy().any() for p in own)
        return

    places = [
        (module.get_submodule(path), last)
        for path, _, last in (name.rpartition(".") for name in named)
    ]

    def with_parameters(*values: tt.Tensor) -> tt.Tensor:
        for (owner, name), value in zip(places, values[len(inputs) :], strict=True):
            vars(owner)[name] = value  # a plain tensor where a parameter stood
        result = module(*values[: len(inputs)])
        assert isinstance(result, tt.Tensor)
        return result

    assert tt.gradcheck(with_parameters, [*inputs, *own])
    assert tt.gradgradcheck(with_parameters, [*inputs, *own])


@cases(owned=True)
def test_state_goes_from_one_to_another(layer: Layer) -> None:
    first, second = layer.make(), layer.make()
    x = [tt.tensor(x, dtype="float32") for x in layer.inputs()]
    assert second.load_state_dict(first.state_dict()) == ([], [])
    np.testing.assert_array_equal(np.asarray(first(*x).detach()), np.asarray(second(*x).detach()))


@cases(owned=True)
def test_is_copied_and_pickled(layer: Layer) -> None:
    module = layer.make()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == repr(module)
        assert twin.training == module.training
        for a, b in zip(module.parameters(), twin.parameters(), strict=True):
            assert type(b) is nn.Parameter
            assert b.requires_grad
            assert not np.shares_memory(a.detach().numpy(), b.detach().numpy())
            np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@cases()
def test_prints_its_arguments(layer: Layer) -> None:
    expected = layer.torch.replace("torch.nn.", "").partition("(")[0]
    assert repr(layer.make()).startswith(f"{expected}(")


def of_module(
    marker: pytest.MarkDecorator, *cases: tuple[typing.Callable[[], nn.Module], str]
) -> list[typing.Any]:
    return [pytest.param(*case, marks=marker) for case in cases]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        *of_module(
            pytest.mark.module_04,
            (lambda: nn.Linear(3, 2), "Linear(in_features=3, out_features=2, bias=True)"),
            (
                lambda: nn.Linear(3, 2, bias=False),
                "Linear(in_features=3, out_features=2, bias=False)",
            ),
            (
                lambda: nn.Bilinear(3, 4, 2),
                "Bilinear(in1_features=3, in2_features=4, out_features=2, bias=True)",
            ),
            (lambda: nn.Dropout(0.25), "Dropout(p=0.25)"),
            (nn.Flatten, "Flatten(start_dim=1, end_dim=-1)"),
            (lambda: nn.Unflatten(1, (2, 3)), "Unflatten(dim=1, unflattened_size=(2, 3))"),
            (lambda: nn.Softmax(dim=1), "Softmax(dim=1)"),
            (lambda: nn.GELU("tanh"), "GELU(approximate='tanh')"),
            (lambda: nn.LeakyReLU(0.1), "LeakyReLU(negative_slope=0.1)"),
        ),
        *of_module(
            pytest.mark.module_09,
            (lambda: nn.Dropout2d(0.25), "Dropout2d(p=0.25)"),
            (lambda: nn.ZeroPad2d(1), "ZeroPad2d((1, 1, 1, 1))"),
            (
                lambda: nn.LayerNorm((3, 4), bias=False),
                "LayerNorm((3, 4), eps=1e-05, elementwise_affine=True, bias=False)",
            ),
            (lambda: nn.RMSNorm(3), "RMSNorm((3,), eps=None, elementwise_affine=True)"),
            (lambda: nn.GroupNorm(2, 4), "GroupNorm(2, 4, eps=1e-05, affine=True)"),
            (
                lambda: nn.InstanceNorm2d(4),
                "InstanceNorm2d(4, eps=1e-05, momentum=0.1, affine=False, "
                "track_running_stats=False)",
            ),
            (
                lambda: nn.Upsample(scale_factor=2),
                "Upsample(scale_factor=2, mode='nearest')",
            ),
        ),
    ],
)
def test_repr(make: typing.Callable[[], nn.Module], text: str) -> None:
    assert repr(make()) == text


@pytest.mark.module_04
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.Linear(784, 10)(tt.ones(64, 100)),
            r"linear: expected an input of shape \(\.\.\., 784\); got input float32 \(64, 100\)",
        ),
        (
            lambda: nn.Linear(2, 3)(tt.tensor(1.0)),
            r"linear: expected an input of shape \(\.\.\., 2\)",
        ),
        (
            lambda: F.linear(tt.ones(2), tt.ones(3)),
            r"linear: expected a weight of shape \(out_features, in_features\)",
        ),
        (
            lambda: F.linear(tt.ones(4, 2), tt.ones(3, 2), tt.ones(4, 3)),
            r"linear: expected a bias of shape \(3,\)",
        ),
        (
            lambda: nn.Bilinear(2, 3, 4)(tt.ones(5, 2), tt.ones(6, 3)),
            r"bilinear: expected inputs of shapes \(\.\.\., 2\) and \(\.\.\., 3\)",
        ),
        (
            lambda: F.bilinear(tt.ones(2), tt.ones(3), tt.ones(4, 2)),
            r"bilinear: expected a weight of shape \(out_features, in1_features, in2_features\)",
        ),
        (
            lambda: F.bilinear(tt.ones(2), tt.ones(3), tt.ones(4, 2, 3), tt.ones(1)),
            r"bilinear: expected a bias of shape \(4,\)",
        ),
        (lambda: nn.Linear(0, 3), "Linear: expected in_features to be a positive int, got 0"),
        (lambda: nn.Bilinear(1, 2, -3), "Bilinear: expected out_features to be a positive int"),
        (lambda: nn.Dropout(1.5), "Dropout: expected p from 0 to 1, got 1.5"),
        (lambda: F.dropout(tt.ones(2), -0.1), "dropout: expected p from 0 to 1, got -0.1"),
        (lambda: nn.Softplus(0.0), "Softplus: expected beta above 0"),
        (
            lambda: nn.GELU(typing.cast(typing.Any, "erf")),
            "GELU: expected approximate 'none' or 'tanh', got 'erf'",
        ),
        (lambda: nn.Unflatten(1, (2, 3))(tt.ones(4, 5)), "unflatten: sizes"),
    ],
)
def test_wrong_values_are_refused(call: typing.Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.module_04
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Linear(2, 3),
        lambda: nn.Bilinear(2, 2, 3),
        nn.ReLU,
        lambda: nn.Softmax(0),
        nn.Dropout,
    ],
    ids=["Linear", "Bilinear", "ReLU", "Softmax", "Dropout"],
)
def test_what_is_no_tensor_is_refused(make: typing.Callable[[], nn.Module]) -> None:
    layer = make()
    count = 2 if isinstance(layer, nn.Bilinear) else 1
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        layer(*[[1.0, 2.0]] * count)


@pytest.mark.module_04
def test_layers_take_the_default_dtype_or_their_own() -> None:
    assert nn.Linear(2, 3, dtype="float64").weight.dtype == tt.float64
    tt.set_default_dtype("float64")
    try:
        assert nn.Bilinear(2, 2, 3).bias.dtype == tt.float64
    finally:
        tt.set_default_dtype("float32")


@pytest.mark.module_05
def test_every_layer_and_loss_is_in_a_table() -> None:
    exported = {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    layers = {type(layer.make()).__name__ for layer in LAYERS}
    losses = {loss.name for loss in LOSSES}
    containers = {"Module", "ModuleList", "ModuleDict"}
    # What takes integers, returns a pair, or is not in PyTorch: in tests of their own
    sequences = {"Embedding", "MultiheadAttention"}
    sequences |= {"LearnedPositions", "RotaryPositions", "SinusoidalPositions"}
    assert layers | losses == exported - containers - sequences

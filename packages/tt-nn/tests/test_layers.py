"""Properties of every layer, over the table in testing/layer_table.py."""

import copy
import pickle
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from layer_table import LAYERS, Layer
from loss_table import LOSSES
from tt_nn import functional as F


def cases(*extra: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """Every layer, under the marker of the module that brings it unless another is given."""
    return pytest.mark.parametrize(
        "layer",
        [
            pytest.param(
                layer,
                id=layer.name,
                marks=extra
                or [pytest.mark.module_03 if layer.kind == "activation" else pytest.mark.module_04],
            )
            for layer in LAYERS
        ],
    )


def parameters(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


@cases()
def test_forward_agrees_with_numpy(layer: Layer) -> None:
    module, inputs = layer.make().double(), layer.inputs()
    out = module(*map(tt.from_numpy, inputs))
    np.testing.assert_allclose(
        out.detach().numpy(), layer.reference(parameters(module), *inputs), rtol=1e-10, atol=1e-12
    )


@cases()
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_kept(layer: Layer, dtype: str) -> None:
    module = layer.make().to(dtype)
    inputs = [x.astype(dtype) for x in layer.inputs()]
    out = module(*map(tt.from_numpy, inputs))
    assert out.dtype == dtype
    expected = layer.reference(
        {name: p.astype(float) for name, p in parameters(module).items()},
        *[x.astype(float) for x in inputs],
    )
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(
        out.detach().numpy().astype(float), expected, rtol=40 * eps, atol=40 * eps
    )


@cases()
def test_takes_tensors_without_gradients(layer: Layer) -> None:
    module, inputs = layer.make().double(), layer.inputs()
    out = module(*map(tt_tensor.from_numpy, inputs))
    assert isinstance(out, tt_tensor.Tensor)
    assert bool(list(module.parameters())) == isinstance(out, tt.Tensor)


@cases(pytest.mark.module_06)
def test_gradients_agree_with_differences(layer: Layer) -> None:
    module = layer.make().double()
    own = list(module.parameters())
    inputs = [tt.tensor(x, requires_grad=True) for x in layer.inputs()]
    if not inputs[0].numel():
        out = module(*inputs)
        out.sum().backward()
        assert all(p.grad is not None and not p.grad.numpy().any() for p in own)
        return

    places = [
        (module.get_submodule(path), last)
        for path, _, last in (name.rpartition(".") for name, _ in module.named_parameters())
    ]

    def with_parameters(*values: tt.Tensor) -> tt.Tensor:
        for (owner, name), value in zip(places, values[len(inputs) :], strict=True):
            vars(owner)[name] = value  # a plain tensor where a parameter stood
        result = module(*values[: len(inputs)])
        assert isinstance(result, tt.Tensor)
        return result

    values = [*inputs, *own]
    assert tt.gradcheck(with_parameters, values)
    assert tt.gradgradcheck(with_parameters, values)


@cases()
def test_state_goes_from_one_to_another(layer: Layer) -> None:
    first, second = layer.make(), layer.make()
    x = [tt.tensor(x, dtype="float32") for x in layer.inputs()]
    assert second.load_state_dict(first.state_dict()) == ([], [])
    np.testing.assert_array_equal(np.asarray(first(*x).detach()), np.asarray(second(*x).detach()))


@cases()
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


@pytest.mark.module_04
@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.Linear(3, 2), "Linear(in_features=3, out_features=2, bias=True)"),
        (nn.Linear(3, 2, bias=False), "Linear(in_features=3, out_features=2, bias=False)"),
        (
            nn.Bilinear(3, 4, 2),
            "Bilinear(in1_features=3, in2_features=4, out_features=2, bias=True)",
        ),
        (nn.Dropout(0.25), "Dropout(p=0.25)"),
        (nn.Flatten(), "Flatten(start_dim=1, end_dim=-1)"),
        (nn.Unflatten(1, (2, 3)), "Unflatten(dim=1, unflattened_size=(2, 3))"),
        (nn.Softmax(dim=1), "Softmax(dim=1)"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.LeakyReLU(0.1), "LeakyReLU(negative_slope=0.1)"),
    ],
)
def test_repr(module: nn.Module, text: str) -> None:
    assert repr(module) == text


@pytest.mark.module_03
@pytest.mark.parametrize("layer", [x for x in LAYERS if x.kind == "activation"], ids=str)
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_activations_are_stable(layer: Layer, size: float) -> None:
    x = np.full(layer.shapes[0], size, np.float32)
    out = layer.make()(tt.from_numpy(x)).numpy()
    assert np.isfinite(out).all()


# Linear and Bilinear


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
    "layer",
    [nn.Linear(2, 3), nn.Bilinear(2, 2, 3), nn.ReLU(), nn.Softmax(0), nn.Dropout()],
    ids=str,
)
def test_what_is_no_tensor_is_refused(layer: nn.Module) -> None:
    count = 2 if isinstance(layer, nn.Bilinear) else 1
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        layer(*[[1.0, 2.0]] * count)


@pytest.mark.module_04
def test_integers_have_no_dropout() -> None:
    with pytest.raises(TypeError, match="dropout: expected a floating-point dtype, got int64"):
        nn.Dropout()(tt.ones(2, dtype="int64"))


@pytest.mark.module_04
def test_linear_starts_as_wide_as_torch_does() -> None:
    tt.manual_seed(0)
    layer = nn.Linear(100, 2000)
    for tensor in (layer.weight, layer.bias):
        values = tensor.detach().numpy()
        assert np.abs(values).max() <= 0.1
        assert abs(values.std() - 0.1 / np.sqrt(3)) < 0.002
        assert abs(values.mean()) < 0.005


@pytest.mark.module_04
def test_layers_take_the_default_dtype_or_their_own() -> None:
    assert nn.Linear(2, 3, dtype="float64").weight.dtype == tt.float64
    tt.set_default_dtype("float64")
    try:
        assert nn.Bilinear(2, 2, 3).bias.dtype == tt.float64
    finally:
        tt.set_default_dtype("float32")


@pytest.mark.module_04
@settings(max_examples=25, deadline=None)
@given(
    leading=st.lists(st.integers(0, 3), max_size=3),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_linear_takes_any_leading_dimensions(leading: list[int], sizes: tuple[int, int]) -> None:
    layer = nn.Linear(*sizes)
    x = np.random.default_rng(0).normal(size=(*leading, sizes[0])).astype(np.float32)
    expected = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    out = layer(tt.from_numpy(x)).detach().numpy()
    assert out.shape == (*leading, sizes[1])
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


# Dropout


@pytest.mark.module_04
def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    tt.manual_seed(0)
    out = nn.Dropout(0.3)(tt.ones(100, 1000)).numpy()
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((out == 0).mean() - 0.3) < 0.01
    assert abs(out.mean() - 1) < 0.01


@pytest.mark.module_04
def test_dropout_follows_the_seed() -> None:
    drop, x = nn.Dropout(), tt.ones(50)
    tt.manual_seed(3)
    first, second = drop(x).tolist(), drop(x).tolist()
    tt.manual_seed(3)
    assert drop(x).tolist() == first
    assert first != second


@pytest.mark.module_04
def test_dropout_of_everything_and_of_nothing() -> None:
    x = tt.tensor([1.0, np.pi])
    assert nn.Dropout(1.0)(x).tolist() == [0.0, 0.0]
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(0.5).eval()(x) is x


@pytest.mark.module_06
def test_dropout_passes_gradients_where_it_passes_values() -> None:
    x = tt.ones(100, requires_grad=True)
    out = nn.Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())


@pytest.mark.module_05
def test_every_layer_and_loss_is_in_a_table() -> None:
    exported = {
        name
        for name, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    layers = {type(layer.make()).__name__ for layer in LAYERS}
    losses = {loss.name for loss in LOSSES}
    assert layers | losses == exported - {"Module", "ModuleList", "ModuleDict"}

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


@pytest.mark.module_04
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [5, 600])
def test_gradient_of_a_weight_lies_in_memory_as_the_weight(
    order: typing.Literal["C", "F"], rows: int
) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 300))
    weight = nn.Parameter(tt.from_numpy(np.ones((200, 300), order=order)))
    F.linear(tt.from_numpy(x), weight).sum().backward()
    assert weight.grad is not None
    gradient = weight.grad.numpy()
    assert gradient.flags.fnc == (order == "F")
    np.testing.assert_allclose(gradient, np.tile(x.sum(0), (200, 1)), atol=1e-10)


@pytest.mark.module_04
def test_weight_of_linear_lies_by_columns() -> None:
    layer = nn.Linear(3, 4)
    assert layer.weight.detach().numpy().flags.fnc
    assert copy.deepcopy(layer).weight.detach().numpy().flags.fnc


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


@pytest.mark.module_04
def test_dropout_passes_gradients_where_it_passes_values() -> None:
    x = tt.ones(100, requires_grad=True)
    out = nn.Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())


# Dropout of channels, and what changes the size of images


@pytest.mark.module_09
@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d(0.3), (40, 50, 3)), (nn.Dropout2d(0.3), (40, 50, 2, 3))]
)
def test_channels_are_dropped_as_a_whole(layer: nn.Module, shape: tuple[int, ...]) -> None:
    tt.manual_seed(0)
    x = tt.ones(*shape, requires_grad=True)
    out = layer(x)
    rows = out.detach().numpy().reshape(2000, -1)
    assert (rows == rows[:, :1]).all()
    assert set(np.unique(rows)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((rows == 0).mean() - 0.3) < 0.03
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
    plain = x.detach()
    assert layer.eval()(plain) is plain


@pytest.mark.module_09
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.Dropout2d()(tt.ones(2, 3, 4)),
            r"dropout2d: expected an input of shape \(N, C, H, W\), got \(2, 3, 4\)",
        ),
        (lambda: nn.Dropout1d()(tt.ones(3, 4)), r"dropout1d: expected .* \(N, C, L\)"),
        (lambda: nn.Dropout2d(-1), "Dropout2d: expected p from 0 to 1, got -1"),
        (lambda: nn.ZeroPad2d((1, 2)), r"ZeroPad2d: expected one int or four, got \(1, 2\)"),
        (lambda: nn.ZeroPad2d(-2)(tt.ones(1, 1, 3, 3)), "pad: widths .* cut more than shape"),
        (lambda: nn.Upsample(), "Upsample: expected either size or scale_factor"),
        (lambda: nn.Upsample(4, 2.0), "Upsample: expected either size or scale_factor"),
        (lambda: nn.Upsample(0), "Upsample: expected size to be positive, got 0"),
        (lambda: nn.Upsample(scale_factor=-1), "Upsample: expected scale_factor to be positive"),
        (
            lambda: nn.Upsample(2, mode=typing.cast(typing.Any, "cubic")),
            "Upsample: expected mode 'nearest', 'linear' or 'bilinear', got 'cubic'",
        ),
        (lambda: nn.Upsample(2, align_corners=True), "Upsample: align_corners is for modes"),
        (
            lambda: F.interpolate(tt.ones(2, 3, 4), 2, mode="bilinear"),
            r"interpolate: expected an input of shape \(N, C, H, W\) for mode 'bilinear', got",
        ),
        (
            lambda: F.interpolate(tt.ones(2, 3, 4, 4), (2, 2, 2)),
            r"interpolate: expected one size or 2, got \(2, 2, 2\)",
        ),
        (
            lambda: F.interpolate(tt.ones(2, 3, 4, 4), scale_factor=0.1),
            r"interpolate: expected positive ints as sizes, got \(0, 0\) from \(4, 4\)",
        ),
    ],
)
def test_wrong_shapes_of_images_are_refused(call: typing.Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.module_09
def test_flattening_and_resizing_take_any_order_of_memory() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    last = np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2)
    for layer in (
        nn.Flatten(),
        nn.Flatten(2),
        nn.Unflatten(1, (3, 1)),
        nn.ZeroPad2d((1, 0, 2, -1)),
        nn.Upsample(scale_factor=(2, 1.5)),
        nn.Upsample(size=(3, 7), mode="bilinear"),
    ):
        results = []
        for array in (x, last):
            leaf = tt.from_numpy(array).requires_grad_()
            out = layer(leaf)
            (out * out).sum().backward()
            assert leaf.grad is not None
            results.append((out.detach().numpy(), leaf.grad.numpy()))
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.module_09
def test_upsampling_keeps_infinities_where_they_are() -> None:
    x = tt.tensor([[[[np.inf, 1.0], [np.nan, 2.0]]]])
    out = nn.Upsample(scale_factor=2)(x).numpy()
    np.testing.assert_array_equal(out, x.numpy().repeat(2, 2).repeat(2, 3))


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

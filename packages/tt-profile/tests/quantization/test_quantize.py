"""Models in few bits: what they compute, what they take, how they are stored."""

import copy
import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig
from tt_profile import count_flops, model_bytes, peak_memory
from tt_profile.quantization import (
    Int4Weight,
    Int8Input,
    Int8Weight,
    MinMaxObserver,
    PercentileObserver,
    QuantizedLinear,
    load_quantized,
    quantize,
)

pytestmark = pytest.mark.module_15

Options = dict[str, Any]

SCHEMES: dict[str, Options] = {
    "int8": {},
    "int8 per tensor": {"per_channel": False},
    "int8 affine": {"symmetric": False},
    "int8 affine per tensor": {"per_channel": False, "symmetric": False},
    "int4": {"dtype": "int4"},
    "int4 affine": {"dtype": "int4", "symmetric": False},
    "int4 in groups of 6": {"dtype": "int4", "group_size": 6},
    "int4 in whole rows": {"dtype": "int4", "group_size": 10_000},
}
schemes = pytest.mark.parametrize("options", SCHEMES.values(), ids=SCHEMES)


def floats(*shape: int) -> Callable[[], tuple[tt.Tensor, ...]]:
    return lambda: (tt.randn(*shape),)


def tokens(high: int, *shape: int) -> Callable[[], tuple[tt.Tensor, ...]]:
    return lambda: (tt.randint(0, high, shape),)


def tied() -> GPT:
    return GPT(GPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=12))


class Apart(nn.Module):
    """Attention with keys and values of other sizes than the queries."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, kdim=6, vdim=4, batch_first=True)

    def forward(self, query: tt.Tensor, key: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
        return self.attention(query, key, value)[0]


Make = Callable[[], nn.Module]
Inputs = Callable[[], tuple[tt.Tensor, ...]]

# Each with what makes its inputs.
MODELS: dict[str, tuple[Make, Inputs]] = {
    "Linear": (lambda: nn.Linear(13, 7), floats(5, 13)),
    "Linear of one row": (lambda: nn.Linear(13, 7), floats(13)),
    "Linear of many rows": (lambda: nn.Linear(6, 4), floats(5, 8, 6)),
    "Linear without bias": (lambda: nn.Linear(8, 3, bias=False), floats(2, 8)),
    "Linear in pieces": (lambda: nn.Linear(700, 230), floats(3, 700)),
    "Conv1d": (lambda: nn.Conv1d(4, 6, 3), floats(2, 4, 9)),
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2), floats(2, 4, 6, 5)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2),
        floats(2, 4, 3, 4),
    ),
    "Embedding": (lambda: nn.Embedding(11, 6), tokens(11, 3, 4)),
    "Embedding of one": (lambda: nn.Embedding(11, 6), lambda: (tt.tensor(3),)),
    "LearnedPositions": (lambda: nn.LearnedPositions(9, 6), floats(2, 5, 6)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 5), lambda: (tt.randn(6, 3), tt.randn(6, 4))),
    "MultiheadAttention": (
        Apart,
        lambda: (tt.randn(2, 3, 8), tt.randn(2, 5, 6), tt.randn(2, 5, 4)),
    ),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0),
        floats(5, 2, 8),
    ),
    "Transformer": (
        lambda: nn.Transformer(8, 2, 1, 1, 16, dropout=0.0),
        lambda: (tt.randn(4, 2, 8), tt.randn(3, 2, 8)),
    ),
    "GPT": (tied, tokens(11, 2, 5)),
    "ModernGPT": (
        lambda: ModernGPT(
            ModernGPTConfig(vocab_size=11, block_size=6, n_layer=2, n_head=2, n_embd=12)
        ),
        tokens(11, 2, 5),
    ),
}
models = pytest.mark.parametrize(("make", "inputs"), MODELS.values(), ids=MODELS)


def weights(model: nn.Module) -> dict[str, Int8Weight | Int4Weight]:
    """Return what is stored in few bits, by the names of the weights."""
    return {
        name.replace("quantized_", ""): module
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, Int8Weight | Int4Weight)
    }


def with_rounded_weights(model: nn.Module, small: nn.Module) -> nn.Module:
    """Return the model as it was, with the values that the small one's weights have."""
    rounded = copy.deepcopy(model)
    state = rounded.state_dict()
    for name, weight in weights(small).items():
        state[name].copy_(weight())
    return rounded


def output(model: nn.Module, inputs: tuple[tt.Tensor, ...]) -> Any:
    return model(*inputs).detach().numpy()


@schemes
@models
def test_a_model_computes_with_weights_that_are_off_by_half_a_scale(
    make: Make, inputs: Inputs, options: Options
) -> None:
    tt.manual_seed(0)
    model, x = make(), inputs()
    small = quantize(model, **options)
    state, stored = model.state_dict(), weights(small)
    assert {name for name in state if state[name].ndim > 1} == set(stored)
    for name, weight in stored.items():
        assert weight.values.dtype == (np.uint8 if isinstance(weight, Int4Weight) else np.int8)
        error = (weight() - state[name]).abs().amax().item()
        assert error <= 0.5001 * weight.scale.amax().item()
    expected = output(with_rounded_weights(model, small), x)
    np.testing.assert_allclose(output(small, x), expected, rtol=1e-4, atol=1e-5)
    with tt.no_grad():
        np.testing.assert_allclose(output(small, x), expected, rtol=1e-4, atol=1e-5)


@schemes
@models
def test_no_floats_of_a_weight_are_left(make: Make, inputs: Inputs, options: Options) -> None:
    model = make()
    small = quantize(model, **options)
    kept = [p for p in small.parameters() if p.ndim > 1]
    assert not kept
    assert isinstance(small, type(model))
    stored = {id(w): w for w in weights(small).values()}.values()
    floating = sum(b.numel() for w in stored for b in w.buffers() if b.is_floating_point())
    integers = sum(b._array.nbytes for w in stored for b in w.buffers() if b.dtype.kind in "iu")
    others = 4 * sum(p.numel() for p in small.parameters())
    rest = sum(b._array.nbytes for b in small.buffers()) - 4 * floating - integers
    assert model_bytes(small) == 4 * floating + integers + others + rest


@models
def test_the_model_itself_stays_as_it_is(make: Make, inputs: Inputs) -> None:
    model, x = make(), inputs()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = output(model, x)
    small = quantize(model)
    with tt.no_grad():
        for parameter in small.parameters():
            parameter.fill_(7.0)
    assert list(model.state_dict()) == list(before)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    np.testing.assert_array_equal(output(model, x), expected)


@schemes
@models
def test_a_file_brings_the_model_back(
    make: Make, inputs: Inputs, options: Options, tmp_path: Path
) -> None:
    small, x = quantize(make(), **options), inputs()
    nn.save(small.state_dict(), tmp_path / "small.safetensors")
    again = load_quantized(make(), nn.load(tmp_path / "small.safetensors"))
    np.testing.assert_array_equal(output(again, x), output(small, x))
    assert list(again.state_dict()) == list(small.state_dict())
    assert repr(again) == repr(small)


@pytest.mark.parametrize(("dtype", "times"), [("int8", 3.5), ("int4", 6.0)])
def test_process_and_file_get_smaller(dtype: Any, times: float, tmp_path: Path) -> None:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 64))

    def held(build: Callable[[], nn.Module]) -> tuple[nn.Module, int]:
        gc.collect()
        tracemalloc.start()
        try:
            model = build()
            gc.collect()
            return model, tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    quantize(make(), dtype)  # what is imported and cached once is no part of a model
    model, much = held(make)
    small, little = held(lambda: quantize(make(), dtype))
    assert much >= times * little
    assert model_bytes(model) >= times * model_bytes(small)
    sizes = []
    for each in (model, small):
        nn.save(each.state_dict(), tmp_path / "file")
        sizes.append((tmp_path / "file").stat().st_size)
    assert sizes[0] >= times * sizes[1]


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_floats_of_a_large_weight_are_made_a_piece_at_a_time(dtype: Any) -> None:
    small = quantize(nn.Linear(2048, 2048), dtype)
    inputs = [tt.ones(rows, 2048) for rows in (1, 16)]
    with tt.no_grad():
        assert peak_memory(lambda: [small(x) for x in inputs]) < 4 * 1024 * 1024  # of 16


@pytest.mark.parametrize("options", [{}, {"symmetric": False}, {"dtype": "int4"}])
def test_an_embedding_makes_floats_of_the_rows_that_are_read(options: Options) -> None:
    small = quantize(nn.Embedding(10_000, 64), **options)
    with tt.no_grad():
        assert peak_memory(lambda: small(tt.tensor([3, 4]))) < 64 * 1024


@schemes
@pytest.mark.parametrize("name", ["Linear", "Linear of many rows", "Conv2d", "GPT"])
def test_gradients_are_those_of_the_rounded_weights(name: str, options: Options) -> None:
    tt.manual_seed(0)
    make, inputs = MODELS[name]
    model, x = make(), inputs()[0]
    small = quantize(model, **options)
    reference = with_rounded_weights(model, small)
    found = []
    for each in (small, reference):
        input = x.clone().requires_grad_() if x.is_floating_point() else x
        (each(input) ** 2).sum().backward()
        grads = {n: p.grad.numpy() for n, p in each.named_parameters() if p.grad is not None}
        if input.grad is not None:
            grads["input"] = input.grad.numpy()
        found.append(grads)
    assert found[0]
    for key, value in found[0].items():
        np.testing.assert_allclose(value, found[1][key], rtol=1e-3, atol=1e-4, err_msg=key)


@schemes
def test_gradients_of_a_linear_map_can_be_differentiated_again(options: Options) -> None:
    tt.manual_seed(0)
    small = quantize(nn.Linear(5, 3).double(), **options)
    x = tt.randn(4, 5, dtype="float64", requires_grad=True)
    assert tt.gradcheck(lambda x: small(x).tanh(), [x])
    assert tt.gradgradcheck(lambda x: small(x).tanh(), [x])


@pytest.mark.parametrize("rows", [1, 2, 8, 9, 40])
@schemes
def test_all_numbers_of_rows_are_alike(rows: int, options: Options) -> None:
    tt.manual_seed(0)
    small = quantize(nn.Linear(33, 21), **options)
    x = tt.randn(40, 33)
    with tt.no_grad():
        whole, part = small(x).numpy()[:rows], small(x[:rows]).numpy()
    np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@schemes
def test_results_have_the_dtype_of_the_scales(dtype: str, options: Options) -> None:
    small = quantize(nn.Linear(6, 4).to(dtype), **options)
    assert small(tt.ones(2, 6, dtype=dtype)).dtype == np.dtype(dtype)
    assert quantize(nn.Linear(6, 4), **options).to(dtype)(tt.ones(6, dtype=dtype)).dtype == dtype


def test_channels_lose_less_with_scales_of_their_own() -> None:
    model = nn.Linear(16, 4, bias=False)
    with tt.no_grad():
        for row in range(4):
            model.weight[row] *= 10.0**-row
    each, whole = quantize(model), quantize(model, per_channel=False)
    errors = [(w.weight - model.weight).abs().amax(dim=1).detach().numpy() for w in (each, whole)]
    assert (errors[0] <= errors[1] + 1e-9).all()
    assert (errors[0][1:] < errors[1][1:]).all()


def test_tied_weights_stay_tied() -> None:
    small = quantize(tied())
    head, embedding = weights(small)["head.weight"], weights(small)["token_embedding.weight"]
    assert head is embedding
    again = load_quantized(tied(), small.state_dict())
    assert weights(again)["head.weight"] is weights(again)["token_embedding.weight"]
    deep = copy.deepcopy(small)
    assert weights(deep)["head.weight"] is weights(deep)["token_embedding.weight"]


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_text_is_the_same_with_and_without_a_cache(dtype: Any) -> None:
    tt.manual_seed(0)
    small, x = quantize(tied(), dtype).eval(), tt.randint(0, 11, (2, 5))
    with tt.no_grad():
        whole, cache = small(x).numpy(), small.new_cache()
        parts = [small(x[:, i : i + 1], cache).numpy() for i in range(5)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-4, atol=1e-5)


def test_excluded_modules_keep_their_floats() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4)), nn.Linear(4, 4))
    assert set(weights(quantize(model, exclude=["1", "2"]))) == {"0.weight"}


def test_a_weight_that_is_shared_with_floats_keeps_them() -> None:
    small = quantize(tied(), exclude=["head"])
    assert small.head.weight is small.token_embedding.weight
    assert "head.weight" not in weights(small)


def test_modes_hooks_and_layers_used_twice_stay() -> None:
    layer, calls = nn.Linear(4, 4), []
    layer.register_forward_hook(lambda *_: calls.append(1))
    model = nn.Sequential(layer, nn.ReLU().eval(), layer)
    small = quantize(model)
    small(tt.ones(1, 4))
    assert len(calls) == 2
    assert small[0] is small[2]
    assert [m.training for m in small] == [True, False, True]
    assert all(not m.training for m in quantize(model.eval()).modules())


def test_layers_of_ones_own_stay_as_they_are() -> None:
    class Own(nn.Linear):
        pass

    small = quantize(nn.Sequential(Own(4, 4), nn.Linear(4, 4)))
    assert type(small[0]) is Own
    assert type(small[1]) is QuantizedLinear


def test_a_stored_weight_cannot_be_set() -> None:
    small = quantize(nn.Linear(4, 4))
    with pytest.raises(AttributeError):
        small.weight = nn.Parameter(tt.zeros(4, 4))


@pytest.mark.parametrize("options", SCHEMES.values(), ids=SCHEMES)
def test_a_linear_map_costs_its_closed_form(options: Options) -> None:
    batch, inner, outer = 3, 12, 4
    count = count_flops(quantize(nn.Linear(inner, outer), **options), tt.ones(batch, inner))
    assert count.macs == batch * inner * outer
    scaled = inner * outer if options.get("dtype") == "int4" else batch * outer
    assert count.total == 2 * count.macs + batch * outer + scaled


# Inputs as integers

CALIBRATED: dict[str, Options] = {
    name: {**options, "activations": True} for name, options in SCHEMES.items() if "int8" in name
}


def rounded(x: Any, quantizer: Int8Input) -> Any:
    """Return the integers less the zero point, as int64."""
    scale, zero = quantizer.scale.item(), quantizer.zero_point.item()
    return (np.clip(np.rint(x / np.float32(scale)) + zero, -128, 127) - zero).astype(np.int64)


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("options", CALIBRATED.values(), ids=CALIBRATED)
def test_a_linear_map_multiplies_integers(options: Options, rows: int) -> None:
    tt.manual_seed(0)
    model, x = nn.Linear(50, 7), tt.rand(rows, 50)
    small = quantize(model, calibration=[tt.rand(100, 50)], **options)
    assert isinstance(small, QuantizedLinear)
    weight, quantizer = small.quantized_weight, small.input_quantizer
    assert isinstance(weight, Int8Weight)
    assert isinstance(quantizer, Int8Input)
    zero = 0 if weight.zero_point is None else weight.zero_point.numpy().astype(np.int64)
    sums = rounded(x.numpy(), quantizer) @ (weight.values.numpy().astype(np.int64) - zero).T
    scales = quantizer.scale.item() * weight.scale.numpy().reshape(-1).astype(np.float64)
    np.testing.assert_allclose(
        small(x).numpy(), sums * scales + model.bias.detach().numpy(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("options", CALIBRATED.values(), ids=CALIBRATED)
@pytest.mark.parametrize("name", [n for n in MODELS if "Conv" in n])
def test_a_convolution_reads_rounded_values(name: str, options: Options) -> None:
    tt.manual_seed(0)
    make, inputs = MODELS[name]
    model, (x,) = make(), inputs()
    small = quantize(model, calibration=[x], **options)
    quantizer = small.input_quantizer  # type: ignore[attr-defined]  # of quantized layers
    assert isinstance(quantizer, Int8Input)
    near = tt.tensor(rounded(x.numpy(), quantizer) * quantizer.scale.item(), dtype="float32")
    expected = output(with_rounded_weights(model, small), (near,))
    np.testing.assert_allclose(output(small, (x,)), expected, rtol=1e-4, atol=1e-5)


def test_sums_beyond_what_floats_count_exactly_are_close() -> None:
    model = nn.Linear(5000, 1, bias=False)
    with tt.no_grad():
        model.weight.fill_(1.0)
    small = quantize(model, activations=True, calibration=[tt.tensor([[-1.0, 1.0] * 2500])])
    for rows in (1, 40):
        np.testing.assert_allclose(small(tt.ones(rows, 5000)).numpy(), 5000, rtol=2e-2)


@pytest.mark.parametrize("observer", [MinMaxObserver, PercentileObserver])
def test_calibration_runs_in_evaluation_and_leaves_no_trace(observer: Any) -> None:
    seen = []

    class Watch(nn.Module):
        def forward(self, x: tt.Tensor) -> tt.Tensor:
            seen.append((self.training, tt.is_grad_enabled()))
            return x

    model = nn.Sequential(nn.Linear(4, 4), Watch(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    batches = [tt.randn(8, 4), (tt.randn(8, 4),)]
    small = quantize(model, activations=True, calibration=iter(batches), observer=observer)
    assert seen == [(False, False)] * 2
    assert small.training
    assert model.training
    np.testing.assert_array_equal(
        model.state_dict()["2.running_mean"].numpy(), small.state_dict()["2.running_mean"].numpy()
    )
    again = load_quantized(model, small.state_dict())
    x = tt.randn(3, 4)
    np.testing.assert_array_equal(output(again.eval(), (x,)), output(small.eval(), (x,)))

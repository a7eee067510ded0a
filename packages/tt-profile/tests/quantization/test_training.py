"""Training for weights of few bits."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, GPTConfig
from tt_profile.quantization import FakeQuantizedWeight, Int8Input, convert, prepare_qat, quantize

pytestmark = pytest.mark.module_15

Options = dict[str, Any]

SCHEMES: dict[str, Options] = {
    "int8": {},
    "int8 per tensor": {"per_channel": False},
    "int8 affine": {"symmetric": False},
    "int8 with inputs": {"activations": True},
    "int4": {"dtype": "int4"},
    "int4 affine": {"dtype": "int4", "symmetric": False, "group_size": 4},
}
schemes = pytest.mark.parametrize("options", SCHEMES.values(), ids=SCHEMES)


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


def tied() -> nn.Module:
    return GPT(GPTConfig(vocab_size=7, block_size=6, n_layer=1, n_head=2, n_embd=8))


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], tt.Tensor]]] = {
    "MLP": (
        lambda: nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 2)),
        lambda: tt.randn(6, 5),
    ),
    "CNN": (convolutional, lambda: tt.randn(6, 2, 4, 4)),
    "encoder": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0),
        lambda: tt.randn(3, 4, 8),
    ),
    "GPT": (tied, lambda: tt.randint(0, 7, (3, 6))),
}
models = pytest.mark.parametrize(("make", "inputs"), MODELS.values(), ids=MODELS)


def train(model: nn.Module, loss: Callable[[nn.Module], tt.Tensor], steps: int, lr: float) -> None:
    for _ in range(steps):
        model.zero_grad()
        loss(model).backward()
        with tt.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= lr * parameter.grad


@schemes
@models
def test_what_was_trained_is_what_is_stored(
    make: Callable[[], nn.Module], inputs: Callable[[], tt.Tensor], options: Options
) -> None:
    tt.manual_seed(0)
    model, x = prepare_qat(make(), **options), inputs()
    before = [p.clone() for p in model.parameters()]
    train(model, lambda m: (m(x) ** 2).mean(), steps=3, lr=0.1)
    moved = [bool((a != b).any().item()) for a, b in zip(before, model.parameters(), strict=True)]
    assert all(moved)
    model.eval()
    small = convert(model)
    assert not any(isinstance(m, FakeQuantizedWeight) for m in small.modules())
    np.testing.assert_allclose(
        small(x).detach().numpy(), model(x).detach().numpy(), rtol=1e-4, atol=1e-5
    )
    assert [name for name, p in small.named_parameters() if p.ndim > 1] == []


@schemes
@models
def test_a_model_that_was_not_trained_is_stored_as_quantize_stores_it(
    make: Callable[[], nn.Module], inputs: Callable[[], tt.Tensor], options: Options
) -> None:
    tt.manual_seed(0)
    model, x = make(), inputs()
    model.eval()
    prepared = prepare_qat(model, **options)
    if options.get("activations"):  # shows the observers one batch, in training mode
        for module in prepared.modules():
            if hasattr(module, "observer"):
                module.train()
        prepared(x)
        options = {**options, "calibration": [x]}
    ours, theirs = convert(prepared).state_dict(), quantize(model, **options).state_dict()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        if "input_quantizer" not in name:  # which sees inputs of layers that are quantized already
            np.testing.assert_array_equal(ours[name].numpy(), value.numpy())


def test_gradients_are_those_of_the_rounded_weights() -> None:
    tt.manual_seed(0)
    x = tt.randn(6, 5)
    prepared = prepare_qat(nn.Linear(5, 3), per_channel=False)
    rounded = nn.Linear(5, 3)
    rounded.load_state_dict({"weight": prepared.weight, "bias": prepared.bias})
    for model in (prepared, rounded):
        (model(x) ** 2).sum().backward()
    learned = dict(prepared.named_parameters())["quantized_weight.learned"]
    assert learned.grad is not None
    assert rounded.weight.grad is not None
    np.testing.assert_allclose(learned.grad.numpy(), rounded.weight.grad.numpy(), rtol=1e-5)


def test_training_makes_up_for_what_rounding_loses() -> None:
    tt.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    x = tt.randn(256, 8)
    y = teacher(x).detach()

    def loss(model: nn.Module) -> tt.Tensor:
        out: tt.Tensor = model(x)
        return ((out - y) ** 2).mean()

    options: Options = {"dtype": "int4", "group_size": 64}
    prepared = prepare_qat(teacher, **options)
    train(prepared, loss, steps=150, lr=0.3)
    after, before = loss(convert(prepared)).item(), loss(quantize(teacher, **options)).item()
    assert 0 < after < 0.7 * before


def test_tied_weights_are_learned_as_one() -> None:
    prepared = prepare_qat(tied())
    learned = [n for n, _ in prepared.named_parameters() if n.endswith("learned")]
    assert "head.quantized_weight.learned" not in learned
    assert "token_embedding.quantized_weight.learned" in learned
    small = convert(prepared)
    names = dict(small.named_modules(remove_duplicate=False))
    assert names["head.quantized_weight"] is names["token_embedding.quantized_weight"]


def test_the_model_stays_as_it_is() -> None:
    model, x = nn.Linear(4, 2), tt.ones(1, 4)
    before = copy.deepcopy(model)
    prepared = prepare_qat(model)
    train(prepared, lambda m: m(x).sum(), steps=1, lr=1.0)
    convert(prepared)
    for name, value in before.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy())
    assert type(prepared).__name__ == "QuantizedLinear"
    assert isinstance(prepared.get_submodule("quantized_weight"), FakeQuantizedWeight)


def test_ranges_of_inputs_follow_training_and_not_evaluation() -> None:
    model = prepare_qat(nn.Linear(2, 2), activations=True)
    model(tt.tensor([-1.0, 3.0]))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.eval()(tt.tensor([-100.0, 100.0]))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name].numpy())
    quantizer = convert(model).get_submodule("input_quantizer")
    assert isinstance(quantizer, Int8Input)
    assert quantizer.scale.item() == pytest.approx(4 / 255)


def test_a_state_can_be_trained_further() -> None:
    tt.manual_seed(0)
    first, second = (prepare_qat(nn.Linear(4, 2), activations=True) for _ in range(2))
    first(tt.randn(8, 4))
    second.load_state_dict(first.state_dict())
    x = tt.randn(3, 4)
    np.testing.assert_array_equal(
        first.eval()(x).detach().numpy(), second.eval()(x).detach().numpy()
    )


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "not prepared": (lambda: convert(nn.Linear(2, 2)), "model of prepare_qat"),
    "nothing seen": (
        lambda: convert(prepare_qat(nn.Sequential(nn.Linear(2, 2)), activations=True)),
        r"'0\.input_quantizer': .* no values have been seen",
    ),
    "int4 inputs": (lambda: prepare_qat(nn.Linear(2, 2), "int4", activations=True), "int8"),
    "groups": (lambda: prepare_qat(nn.Linear(2, 2), "int4", group_size=0), "group_size"),
    "nothing": (lambda: prepare_qat(nn.ReLU()), "no weights to quantize"),
    "prepared": (lambda: quantize(prepare_qat(nn.Linear(2, 2))), "quantized already"),
}


@pytest.mark.parametrize(("call", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_say_what_was_expected(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

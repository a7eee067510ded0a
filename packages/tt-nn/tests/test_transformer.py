"""Transformer layers, their stacks, and the GPT models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig

pytestmark = pytest.mark.module_14

Model = GPT | ModernGPT


def normal(*shape: int) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


def spread(model: Model) -> Model:
    """Draw what starts at zero, or near it, so that outputs depend on everything."""
    rng = np.random.default_rng(0)
    with tt.no_grad():
        for parameter in model.parameters():
            noise = rng.standard_normal(parameter.shape) * 0.2
            parameter += tt.tensor(noise, dtype=parameter.dtype)
    return model


def classic(**options: Any) -> Model:
    return spread(GPT(GPTConfig(11, block_size=12, n_layer=3, n_head=2, n_embd=8, **options)))


def modern(**options: Any) -> Model:
    config = ModernGPTConfig(11, block_size=12, n_layer=3, n_head=2, n_embd=8, **options)
    return spread(ModernGPT(config))


MODELS: dict[str, Callable[[], Model]] = {
    "GPT": classic,
    "GPT without biases": lambda: classic(bias=False),
    "GPT, untied": lambda: classic(tie_weights=False),
    "GPT, sinusoidal": lambda: classic(positions="sinusoidal"),
    "ModernGPT": modern,
    "ModernGPT, plain": lambda: modern(smear=False, value_residual=False, x0_residual=False),
}
models = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def tokens(*shape: int) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(1).integers(0, 11, shape))


# Layers


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", tt.silu], ids=["relu", "gelu", "silu"])
def test_layers_differentiate(norm_first: bool, activation: Any) -> None:
    options: dict[str, Any] = {
        "dropout": 0.0, "norm_first": norm_first, "activation": activation, "batch_first": True
    }  # fmt: skip
    encoder = nn.TransformerEncoderLayer(4, 2, 6, **options).double()
    decoder = nn.TransformerDecoderLayer(4, 2, 6, **options).double()
    x, memory = normal(2, 3, 4), normal(2, 5, 4)
    assert tt.gradcheck(lambda x: encoder(x, is_causal=True), [x])
    assert tt.gradcheck(lambda x, m: decoder(x, m, tgt_is_causal=True), [x, memory])


def test_a_decoder_sees_no_later_position() -> None:
    model = nn.Transformer(8, 2, 1, 2, 16, batch_first=True).double().eval()
    src, tgt = normal(2, 4, 8).detach(), normal(2, 6, 8).detach()
    before = model(src, tgt, tgt_is_causal=True).detach().numpy()
    tgt[:, 3] += 1.0
    after = model(src, tgt, tgt_is_causal=True).detach().numpy()
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-12)
    assert (abs(before[:, 3:] - after[:, 3:]) > 1e-6).any(axis=-1).all()
    mask = nn.Transformer.generate_square_subsequent_mask(6).double()
    np.testing.assert_allclose(model(src, tgt, tgt_mask=mask).detach().numpy(), after, atol=1e-12)


@pytest.mark.parametrize("target", [0, 3])
@pytest.mark.parametrize("memory", [0, 2])
@pytest.mark.parametrize("masked", [True, False])
def test_sequences_may_be_empty(target: int, memory: int, masked: bool) -> None:
    layer = nn.TransformerDecoderLayer(8, 2, 16)
    x, y = tt.ones(target, 2, 8, requires_grad=True), tt.ones(memory, 2, 8, requires_grad=True)
    masks: dict[str, Any] = {"memory_is_causal": True, "tgt_is_causal": True} if masked else {}
    if masked:
        masks["memory_key_padding_mask"] = tt.zeros(2, memory, dtype="bool")
    out = layer(x, y, **masks)
    assert out.shape == (target, 2, 8)
    for a, slope in zip((x, y), tt.grad(out.sum(), [x, y]), strict=True):
        assert slope.shape == a.shape
        assert np.isfinite(slope.numpy()).all()


def test_layers_of_a_stack_are_copies() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    stack = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))
    first, second = (x.linear1.weight.detach().numpy() for x in stack.layers)
    np.testing.assert_array_equal(first, second)
    assert not np.shares_memory(first, second)
    model = nn.Transformer(8, 2, 2, 1, 16)
    first, second = (x.linear1.weight.detach().numpy() for x in model.encoder.layers)
    assert (first != second).any()


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="expected activation 'relu', 'gelu' or a function"):
        nn.TransformerEncoderLayer(8, 2, activation="swish")  # type: ignore[arg-type]  # the test


# Models


@models
def test_a_model_is_causal(make: Callable[[], Model]) -> None:
    model = make().eval()
    text = tokens(2, 12)
    before = model(text).detach().numpy()
    text[:, 7] = (text[:, 7] + 1) % 11
    after = model(text).detach().numpy()
    np.testing.assert_array_equal(before[:, :7], after[:, :7])
    assert (before[:, 7:] != after[:, 7:]).any(axis=-1).all()


@models
def test_positions_matter(make: Callable[[], Model]) -> None:
    out = make()(tt.tensor([[3, 5, 3, 5, 3, 5]])).detach().numpy()[0]
    assert abs(out[2] - out[4]).max() > 1e-3


@models
def test_rows_of_attention_sum_to_one(make: Callable[[], Model]) -> None:
    maps = make().attention_maps(tokens(2, 9))
    assert len(maps) == 3
    for each in maps:
        weights = each.detach().numpy()
        assert weights.shape == (2, 2, 9, 9)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
        assert not np.triu(weights, 1).any()


@models
def test_every_parameter_learns(make: Callable[[], Model]) -> None:
    model = make().double()
    text = tokens(3, 12)
    loss = F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.numpy().any(), name


@models
def test_gradients_agree_with_differences(make: Callable[[], Model]) -> None:
    model = make().double()
    text = tokens(2, 6)
    names = ["blocks.1.attention.out_proj", "blocks.0.mlp.up", "token_embedding"]
    layers: list[Any] = [model.get_submodule(name) for name in names]

    def with_weights(*weights: tt.Tensor) -> tt.Tensor:
        for layer, weight in zip(layers, weights, strict=True):
            vars(layer)["weight"] = weight
        if isinstance(model, GPT) and model.config.tie_weights:
            vars(model.head)["weight"] = weights[-1]
        return model(text).mean(dim=-1)

    assert tt.gradcheck(with_weights, [layer.weight for layer in layers], rtol=1e-4)


@models
def test_weights_go_through_a_file(make: Callable[[], Model], tmp_path: Path) -> None:
    first, second = make(), make()
    with tt.no_grad():
        for p in second.parameters():
            p.zero_()
    nn.save(first.state_dict(), tmp_path / "model.safetensors")
    assert second.load_state_dict(nn.load(tmp_path / "model.safetensors")) == ([], [])
    text = tokens(1, 12)
    np.testing.assert_array_equal(first(text).detach().numpy(), second(text).detach().numpy())


def test_classic_starts_as_gpt2_does() -> None:
    tt.manual_seed(0)
    model = GPT(GPTConfig(65, n_layer=2))
    assert model.head.weight is model.token_embedding.weight
    stds = {name: float(p.detach().numpy().std()) for name, p in model.named_parameters()}
    assert stds["token_embedding.weight"] == pytest.approx(0.02, rel=0.05)
    assert stds["blocks.0.attention.in_proj.weight"] == pytest.approx(0.02, rel=0.05)
    assert stds["blocks.0.attention.out_proj.weight"] == pytest.approx(0.01, rel=0.05)
    assert stds["blocks.1.mlp.down.weight"] == pytest.approx(0.01, rel=0.05)
    assert stds["blocks.1.mlp.up.bias"] == 0
    text = tt.tensor(np.arange(65)[None])
    loss = F.cross_entropy(model(text)[0, :-1], text[0, 1:])
    assert float(loss.detach()) == pytest.approx(np.log(65), rel=0.05)
    assert sum(p.numel() for p in GPT(GPTConfig(65)).parameters()) == 818_048


def test_modern_starts_as_its_recipe_says() -> None:
    tt.manual_seed(0)
    model = ModernGPT(ModernGPTConfig(65, n_layer=2))
    assert not model(tokens(1, 5)).detach().numpy().any()  # a head of zeros
    named = {name: p.detach().numpy() for name, p in model.named_parameters()}
    assert named["token_embedding.weight"].std() == pytest.approx(1, rel=0.05)
    for part in ("attention.query", "attention.key", "attention.value", "mlp.up"):
        std = named[f"blocks.0.{part}.weight"].std()
        assert std == pytest.approx(0.5 / np.sqrt(128), rel=0.05)
    assert not named["blocks.1.mlp.down.weight"].any()
    assert "blocks.0.attention.value_blend" not in named
    np.testing.assert_array_equal(named["blocks.1.attention.value_blend"], [0.5, 0.5])
    np.testing.assert_array_equal(named["blocks.0.x0_blend"], [1, 0])
    np.testing.assert_array_equal(named["smear"], np.float32(0.3))
    plain = ModernGPTConfig(65, smear=False, value_residual=False, x0_residual=False)
    assert all(p.ndim == 2 for p in ModernGPT(plain).parameters())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: GPTConfig(0), "GPTConfig: expected vocab_size to be a positive int, got 0"),
        (lambda: GPTConfig(9, n_head=3), "n_embd to be a multiple of n_head, got 128 and 3"),
        (lambda: GPTConfig(9, positions="none"), "GPTConfig: expected positions"),  # type: ignore[arg-type]  # the test
        (lambda: ModernGPTConfig(9, n_layer=-1), "expected n_layer to be a positive int"),
        (lambda: ModernGPTConfig(9, n_embd=12), "even multiple of n_head, got 12 and 4"),
        (lambda: classic()(tokens(1, 13)), r"\(N, T\) with T up to 12, got \(1, 13\)"),
        (lambda: modern()(tokens(13)), r"\(N, T\) with T up to 12, got \(13,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

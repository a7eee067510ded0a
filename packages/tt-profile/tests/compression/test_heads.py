"""Heads that are really gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, MLP, GPTConfig, ModernGPT, ModernGPTConfig
from tt_profile import count_flops, count_parameters
from tt_profile.compression import load_compressed, low_rank, prune_heads, removable_heads

pytestmark = pytest.mark.module_16

VOCABULARY = 13


def gpt(**choices: Any) -> GPT:
    return GPT(GPTConfig(VOCABULARY, 12, n_layer=2, n_head=4, n_embd=24, **choices))


def modern(**choices: Any) -> ModernGPT:
    return ModernGPT(ModernGPTConfig(VOCABULARY, 12, n_layer=2, n_head=4, n_embd=24, **choices))


def tokens() -> tuple[tt.Tensor, ...]:
    return (tt.randint(0, VOCABULARY, (4, 12)),)


class Crossed(nn.Module):
    """Attention to something else, with weights asked for."""

    def __init__(self, **choices: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True, **choices)

    def forward(self, query: tt.Tensor, key: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
        output, weights = self.attention(query, key, value)
        assert weights is not None
        return output + weights.sum()


class Case(NamedTuple):
    """A model, its inputs, and the heads of each of its attentions."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[tt.Tensor, ...]]
    heads: dict[str, int]


BLOCKS = {"blocks.0.attention": 4, "blocks.1.attention": 4}
CASES: dict[str, Case] = {
    "GPT": Case(gpt, tokens, BLOCKS),
    "GPT without biases": Case(lambda: gpt(bias=False, positions="sinusoidal"), tokens, BLOCKS),
    "ModernGPT": Case(modern, tokens, BLOCKS),
    "ModernGPT without short cuts": Case(
        lambda: modern(value_residual=False, x0_residual=False, smear=False), tokens, BLOCKS
    ),
    "encoder": Case(
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(24, 4, 16, batch_first=True), num_layers=2
        ),
        lambda: (tt.randn(3, 5, 24),),
        {"layers.0.self_attn": 4, "layers.1.self_attn": 4},
    ),
    "decoder": Case(
        lambda: nn.TransformerDecoderLayer(24, 4, 16, batch_first=True),
        lambda: (tt.randn(3, 5, 24), tt.randn(3, 7, 24)),
        {"self_attn": 4, "multihead_attn": 4},
    ),
    "cross-attention": Case(
        lambda: Crossed(kdim=10, vdim=6),
        lambda: (tt.randn(3, 5, 24), tt.randn(3, 7, 10), tt.randn(3, 7, 6)),
        {"attention": 4},
    ),
    "cross-attention of one size": Case(
        Crossed,
        lambda: (tt.randn(3, 5, 24), tt.randn(3, 7, 24), tt.randn(3, 7, 24)),
        {"attention": 4},
    ),
    "shared keys": Case(
        lambda: Crossed(num_kv_heads=2, bias=False),
        lambda: (tt.randn(3, 5, 24), tt.randn(3, 7, 24), tt.randn(3, 7, 24)),
        {"attention": 2},
    ),
}


def prepared(name: str) -> tuple[nn.Module, tuple[tt.Tensor, ...]]:
    """Return a model whose weights are not those it starts with, and inputs."""
    tt.manual_seed(0)
    model, inputs = CASES[name].make(), CASES[name].inputs()
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * tt.randn(*parameter.shape)
    return model.eval(), inputs


def outputs(model: nn.Module, inputs: tuple[tt.Tensor, ...]) -> np.ndarray:
    with tt.no_grad():
        return np.asarray(model(*inputs).numpy())


def silence(model: nn.Module, name: str, heads: list[int]) -> None:
    """Have what some heads of an attention find multiplied by zero."""
    parameters = dict(model.named_parameters())
    weight = parameters[f"{name}.out_proj.weight"].detach().numpy()  # (out, heads * width)
    count = removable_heads(model)[name]
    weight.reshape((len(weight), count, -1), copy=False)[:, heads] = 0


@pytest.mark.parametrize("name", CASES)
def test_which_have_heads(name: str) -> None:
    model, _ = prepared(name)
    assert removable_heads(model) == CASES[name].heads


@pytest.mark.parametrize("compensate", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_removed_heads_are_silent_heads(name: str, compensate: bool) -> None:
    model, inputs = prepared(name)
    for attention, count in CASES[name].heads.items():
        silence(model, attention, list(range(0, count, 2)))
    smaller = prune_heads(model, *inputs, amount=0.5, compensate=compensate)
    assert removable_heads(smaller) == {n: count // 2 for n, count in CASES[name].heads.items()}
    for each in (inputs, CASES[name].inputs()):
        np.testing.assert_allclose(
            outputs(smaller, each), outputs(model, each), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", CASES)
def test_what_is_removed_is_gone(name: str) -> None:
    model, inputs = prepared(name)
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    smaller = prune_heads(model, *inputs)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)
    assert count_parameters(smaller) < count_parameters(model)
    assert count_flops(smaller, *inputs).total < count_flops(model, *inputs).total
    smaller.train()(*inputs).square().mean().backward()
    for parameter in smaller.parameters():
        assert parameter.grad is not None
        assert parameter.grad.shape == parameter.shape


@pytest.mark.parametrize("name", CASES)
def test_what_stays_takes_over(name: str) -> None:
    model, inputs = prepared(name)
    expected = outputs(model, inputs)
    plain, helped = (
        np.linalg.norm(
            outputs(prune_heads(model, *inputs, compensate=compensate), inputs) - expected
        )
        for compensate in (False, True)
    )
    assert helped < plain


@pytest.mark.parametrize("make", [gpt, modern], ids=["GPT", "ModernGPT"])
def test_generation_with_a_cache(make: Callable[[], GPT | ModernGPT]) -> None:
    tt.manual_seed(0)
    model = make()
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * tt.randn(*parameter.shape)
    smaller = prune_heads(model.eval(), *tokens(), amount=0.5)
    read = tokens()[0]
    cache = smaller.new_cache()
    with tt.no_grad():
        at_once = smaller(read).numpy()
        parts = [smaller(read[:, i : i + 1], cache).numpy() for i in range(read.shape[1])]
        one = [smaller(read[:1, :5], one_cache := smaller.new_cache()).numpy()]
        one += [smaller(read[:1, i : i + 1], one_cache).numpy() for i in range(5, 12)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), at_once, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(one, axis=1), at_once[:1], rtol=1e-4, atol=1e-5)
    assert [w.shape for w in smaller.attention_maps(read)] == [(4, 2, 12, 12)] * 2


@pytest.mark.parametrize("name", CASES)
def test_it_can_be_loaded_again(name: str) -> None:
    model, inputs = prepared(name)
    smaller = low_rank(prune_heads(model, *inputs, amount=0.5), rank=2)
    back = load_compressed(model, smaller.state_dict())
    np.testing.assert_array_equal(outputs(back, inputs), outputs(smaller, inputs))
    assert repr(back) == repr(smaller)


def test_blended_values_lose_the_same_heads() -> None:
    model, inputs = prepared("ModernGPT")
    silence(model, "blocks.0.attention", [0, 1])  # 2 and 3 are silent in the other block
    silence(model, "blocks.1.attention", [2, 3])
    smaller = prune_heads(model, *inputs, amount=0.25)
    assert set(removable_heads(smaller).values()) == {3}
    with pytest.raises(ValueError, match="one amount for attentions whose values are blended"):
        prune_heads(model, *inputs, amount={"blocks.0.attention": 0.5})


def test_shares_by_attention() -> None:
    model, inputs = prepared("GPT")
    smaller = prune_heads(model, *inputs, amount={"blocks.1.attention": 0.75})
    assert list(removable_heads(smaller).values()) == [4, 1]


def test_maps_that_another_pass_replaced_stay() -> None:
    model, inputs = prepared("GPT")
    factored = low_rank(model, rank=2)
    assert removable_heads(factored) == {}
    with pytest.raises(ValueError, match="no attention of this GPT ran that can lose heads"):
        prune_heads(factored, *inputs)


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "amount": (lambda: prune_heads(gpt(), *tokens(), amount=1.0), "less than 1, got 1.0"),
    "name": (
        lambda: prune_heads(gpt(), *tokens(), amount={"blocks.2": 0.5}),
        "'blocks.2' is no attention that can lose heads; these are: blocks.0.attention, blocks.1",
    ),
    "no attention": (
        lambda: prune_heads(MLP(4, 5, 2), tt.ones(1, 4)),
        "no attention of this MLP ran that can lose heads",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_half_precision_does_not_overflow() -> None:
    model, inputs = prepared("encoder")
    model, x = model.half(), (inputs[0] * 100).half()  # whose squares half precision cannot hold
    assert np.isfinite(outputs(prune_heads(model, x), (x,))).all()

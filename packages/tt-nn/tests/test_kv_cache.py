"""The cache of keys and values, and what models make of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from language_models import Model, classic, modern, tokens
from tt_nn.models import GPT

pytestmark = pytest.mark.module_17

models = pytest.mark.parametrize("make", [classic, modern])


@models
@pytest.mark.parametrize("pieces", [[1] * 16, [5, 1, 1, 4, 5], [16], [15, 1]], ids=str)
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_with_the_cache_are_those_without(
    make: Callable[[], Model], pieces: list[int], samples: int, dtype: str
) -> None:
    model, text = make().to(dtype).eval(), tokens(samples, 16)
    cache = model.new_cache()
    with tt.no_grad():
        whole = model(text).numpy()
        parts = [model(part, cache).numpy() for part in text.split(pieces, dim=1)]
    assert cache.length == 16
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


@models
def test_samples_are_reordered(make: Callable[[], Model]) -> None:
    model, text = make().eval(), tokens(3, 9)
    cache = model.new_cache()
    order = tt.tensor([2, 0, 0, 1])
    with tt.no_grad():
        model(text[:, :8], cache)
        cache.reorder(order)
        got = model(text[order][:, 8:], cache).numpy()
        expected = model(text[order]).numpy()[:, 8:]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_cache_grows_and_is_cleared() -> None:
    cache = nn.KVCache(2, max_length=200)
    rng = np.random.default_rng(0)
    given: list[NDArray[Any]] = []
    for length in (3, 70, 1, 126):
        given.append(rng.standard_normal((2, 4, length, 5)))
        keys, values = cache.layers[1].append(tt.tensor(given[-1]), tt.tensor(-given[-1]))
        expected = np.concatenate(given, axis=2)
        np.testing.assert_array_equal(keys.numpy(), expected)
        np.testing.assert_array_equal(values.numpy(), -expected)
    assert repr(cache) == "KVCache(2 layers, 0 of 200 positions)"
    one = tt.zeros(2, 4, 1, 5, dtype="float64")
    with pytest.raises(ValueError, match="no room for 201 positions; the cache was made for 200"):
        cache.layers[1].append(one, one)
    cache.clear()
    other = tt.ones(1, 3, 2, 4)  # other sizes than before
    keys, _ = cache.layers[1].append(other, other)
    assert keys.shape == (1, 3, 2, 4)


@models
def test_no_tokens_change_nothing(make: Callable[[], Model]) -> None:
    model = make().eval()
    cache, none = model.new_cache(), tt.zeros(2, 0, dtype="int64")
    with tt.no_grad():
        for length in (0, 3):
            assert model(none, cache).shape == model(none).shape
            assert cache.length == length
            model(tokens(2, 3), cache)


@models
@pytest.mark.parametrize("length", [1, 3])
@pytest.mark.parametrize("learns", ["", "blocks.1.", "head."])
def test_a_cache_is_not_for_training(make: Callable[[], Model], length: int, learns: str) -> None:
    """What comes behind all attention may learn."""
    model = make()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(learns))
    if isinstance(model, GPT):
        model.head.weight = nn.Parameter(model.head.weight.detach())  # not the embedding any more
    cache = model.new_cache()
    if learns == "head.":
        model(tokens(1, length), cache).sum().backward()
        assert model.head.weight.grad is not None
        return
    with pytest.raises(RuntimeError, match="use it under no_grad"):
        model(tokens(1, length), cache)
    assert [layer.length for layer in cache.layers] == [0, 0]


def test_a_cache_has_layers() -> None:
    with pytest.raises(ValueError, match="expected num_layers to be a positive int, got 0"):
        nn.KVCache(0, 3)


def stopped(part: nn.Module, call: Callable[[], object]) -> None:
    """Do what is stopped when a part of it is done."""

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    hook = part.register_forward_hook(stop)
    try:
        call()
    finally:
        hook.remove()


REFUSED: dict[str, Callable[[Any, nn.KVCache, int], object]] = {
    "other texts": lambda model, cache, samples: model(tokens(3 - samples, 4), cache),
    "a token of other texts": lambda model, cache, samples: model(tokens(3 - samples, 1), cache),
    "no room": lambda model, cache, samples: model(tokens(samples, 12), cache),
    "no such token": lambda model, cache, samples: model(tokens(samples, 1) + 9, cache),
    "a deeper model": lambda model, cache, samples: type(model)(replace(model.config, n_layer=3))(
        tokens(samples, 2), cache
    ),
    "stopped": lambda model, cache, samples: stopped(
        model.blocks[1].mlp, lambda: model(tokens(samples, 2), cache)
    ),
    "stopped at the end": lambda model, cache, samples: stopped(
        model.head, lambda: model(tokens(samples, 2), cache)
    ),
    "no such sample": lambda model, cache, samples: cache.reorder(tt.tensor([0, samples])),
}


@models
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("name", REFUSED)
def test_a_call_that_fails_leaves_the_cache_as_it_was(
    make: Callable[[], Model], samples: int, name: str
) -> None:
    model, text = make().eval(), tokens(samples, 16)
    cache = model.new_cache()
    with tt.no_grad():
        whole = model(text).numpy()
        model(text[:, :5], cache)
        with pytest.raises((ValueError, IndexError, KeyboardInterrupt)):
            REFUSED[name](model, cache, samples)
        assert [layer.length for layer in cache.layers] == [5, 5]
        rest = model(text[:, 5:], cache).numpy()
    np.testing.assert_allclose(rest, whole[:, 5:], atol=1e-5)


def test_no_tokens_leave_the_cache_as_it_was() -> None:
    model, text = modern().eval(), tokens(2, 8)
    cache = model.new_cache()
    with tt.no_grad():
        parts = [model(part, cache).numpy() for part in text.split([3, 0, 1, 0, 4], dim=1)]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), model(text).numpy(), atol=1e-5)


@pytest.mark.parametrize("length", [3, 64])  # room for 64 at first: it need not grow, or must
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ((1, 4, 1, 5), (1, 4, 1, 6)),
        ((3, 4, 1, 5), (3, 4, 1, 6)),
        ((2, 1, 1, 5), (2, 1, 1, 6)),
        ((2, 4, 1, 1), (2, 4, 1, 6)),
        ((2, 4, 1, 5), (2, 4, 1, 1)),
        ((2, 4, 2, 5), (2, 4, 1, 6)),
        ((2, 4, 1, 5), (2, 4, 2, 6)),
        ((4, 1, 5), (4, 1, 6)),
    ],
    ids=str,
)
def test_keys_and_values_are_not_stretched(
    length: int, key: tuple[int, ...], value: tuple[int, ...]
) -> None:
    layer = nn.KVCache(1, 99).layers[0]
    layer.append(tt.ones(2, 4, length, 5), tt.ones(2, 4, length, 6))
    with pytest.raises(ValueError, match="KVCache: expected "):
        layer.append(tt.zeros(*key), tt.zeros(*value))
    keys, values = layer.append(tt.ones(2, 4, 1, 5), tt.ones(2, 4, 1, 6))
    assert keys.shape[2] == values.shape[2] == length + 1
    assert keys.min() == values.min() == 1


@models
def test_a_part_that_is_watched_or_another_s_takes_part_in_generation(
    make: Callable[[], Any],
) -> None:
    model, text = make().eval(), tokens(1, 6)
    expected = nn.generate(model, text, 4, temperature=0.0).numpy()
    seen: list[tuple[int, ...]] = []
    model.blocks[1].mlp.up.register_forward_hook(lambda layer, args, out: seen.append(out.shape))
    np.testing.assert_array_equal(nn.generate(model, text, 4, temperature=0.0).numpy(), expected)
    assert seen == [(1, 6, 32), (1, 1, 32), (1, 1, 32), (1, 1, 32)]

    class Doubled(nn.Linear):
        def forward(self, input: tt_tensor.Tensor) -> tt.Tensor:
            return super().forward(input) * 2

    model.blocks[0].mlp.down = Doubled(32, 8)
    cache = model.new_cache()
    with tt.no_grad():
        parts = [model(part, cache).numpy() for part in text.split(1, dim=1)]
        whole = model(text).numpy()
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "op"), [(classic, "gpt_block_step"), (modern, "modern_gpt_block_step")]
)
def test_a_position_alone_goes_through_a_block_in_one_op(make: Callable[[], Any], op: str) -> None:
    model = make().eval()
    ran: list[str] = []
    with tt.no_grad(), tt_tensor.observe(lambda event: ran.append(event.op.name)):
        model(tokens(1, 1), model.new_cache())
    assert ran.count(op) == 2
    assert not {"cached_attention", "scaled_dot_product_attention"} & set(ran)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model.blocks[0].attention.norm, "eps", 0.0),
        lambda model: setattr(model.blocks[1].norm, "eps", 0.5),
        lambda model: setattr(model.blocks[1].attention.rotary, "base", 10.0),
        lambda model: model.blocks[0].mlp.to("float64"),
        lambda model: setattr(model.blocks[1], "x0_blend", None),
        lambda model: setattr(model.blocks[1].attention, "value_blend", None),
        lambda model: setattr(model, "smear", None),
    ],
    ids=["no eps", "eps", "base", "mixed dtypes", "no short cut", "no value blend", "no smear"],
)
def test_an_odd_modern_block_computes_the_same_with_a_cache(
    change: Callable[[Any], object],
) -> None:
    model: Any = modern().eval()
    change(model)
    text, cache = tokens(1, 9), model.new_cache()
    with tt.no_grad():
        whole = model(text).numpy()
        parts = [model(part, cache).numpy() for part in text.split(1, dim=1)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-5)

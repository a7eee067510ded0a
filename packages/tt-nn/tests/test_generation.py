"""The cache of keys and values, generation, and beam search."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig

pytestmark = pytest.mark.module_17

Model = GPT | ModernGPT
SIZES: dict[str, Any] = {"block_size": 16, "n_layer": 2, "n_head": 2, "n_embd": 8}


def spread(model: Model) -> Model:
    rng = np.random.default_rng(0)
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += tt.tensor(rng.standard_normal(parameter.shape) * 0.4, dtype="float32")
    return model


def classic() -> Model:
    return spread(GPT(GPTConfig(9, **SIZES)))


def modern() -> Model:
    return spread(ModernGPT(ModernGPTConfig(9, **SIZES)))


models = pytest.mark.parametrize("make", [classic, modern])


def tokens(*shape: int) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(1).integers(0, 9, shape))


# The cache


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


def test_a_cache_is_not_for_training() -> None:
    model = modern()
    with pytest.raises(RuntimeError, match="use it under no_grad"):
        model(tokens(1, 3), model.new_cache())
    with pytest.raises(ValueError, match="expected num_layers to be a positive int, got 0"):
        nn.KVCache(0, 3)


# Generation


@models
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.0},
        {"temperature": 0.7, "top_k": 3},
        {"top_p": 0.8, "repetition_penalty": 1.3},
        {"stop_tokens": [4]},
    ],
    ids=str,
)
def test_the_cache_changes_nothing(make: Callable[[], Model], options: dict[str, Any]) -> None:
    """Nor when the text outgrows the block."""
    model = make()
    texts = [
        nn.generate(
            model, tokens(2, 3), 40, use_cache=use_cache, generator=tt.Generator(0), **options
        ).numpy()
        for use_cache in (True, False)
    ]
    np.testing.assert_array_equal(texts[0], texts[1])
    np.testing.assert_array_equal(texts[0][:, :3], tokens(2, 3).numpy())
    assert model.training


def test_a_stream_gives_the_same_tokens_as_they_come() -> None:
    model = classic()
    options: dict[str, Any] = {"top_k": 4}
    whole = nn.generate(model, tokens(2, 3), 8, generator=tt.Generator(1), **options).numpy()
    stream = nn.generate_stream(model, tokens(2, 3), 8, generator=tt.Generator(1), **options)
    first = next(stream)
    assert first.shape == (2,)
    assert tt.is_grad_enabled()
    rest = [new.numpy() for new in stream]
    np.testing.assert_array_equal(np.stack([first.numpy(), *rest], axis=1), whole[:, 3:])


def test_the_seed_makes_it_come_again() -> None:
    model = classic()
    tt.manual_seed(0)
    first = nn.generate(model, tokens(1, 2), 30).numpy()
    second = nn.generate(model, tokens(1, 2), 30).numpy()
    tt.manual_seed(0)
    np.testing.assert_array_equal(nn.generate(model, tokens(1, 2), 30).numpy(), first)
    assert (first != second).any()


def test_greedy_takes_the_likeliest() -> None:
    model = classic().eval()
    text = nn.generate(model, tokens(2, 3), 10, temperature=0.0)
    with tt.no_grad():
        scores = model(text).numpy()
    np.testing.assert_array_equal(scores[:, 2:-1].argmax(axis=-1), text.numpy()[:, 3:])


class Fixed(nn.Module):
    """A model that always scores the same, whatever it reads."""

    def __init__(self, probabilities: list[float], block_size: int = 8) -> None:
        super().__init__()
        with np.errstate(divide="ignore"):
            self.scores = np.log(np.array(probabilities))
        self.block_size = block_size

    def new_cache(self) -> nn.KVCache:
        return nn.KVCache(1, self.block_size)

    def forward(self, tokens: tt.Tensor, cache: nn.KVCache | None = None) -> tt.Tensor:
        return tt.from_numpy(np.tile(self.scores, (*tokens.shape, 1)))


def shares(model: Fixed, **options: Any) -> NDArray[Any]:
    start = tt.zeros(4000, 1, dtype="int64")
    generator = tt.Generator(0)
    new = nn.generate(model, start, 1, use_cache=False, generator=generator, **options).numpy()
    return np.bincount(new[:, 1], minlength=len(model.scores)) / 4000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.5, 0.25, 0.15, 0.1, 0.0]),
        ({"temperature": 0.5}, np.array([0.25, 0.0625, 0.0225, 0.01, 0]) / 0.345),
        ({"top_k": 2}, [2 / 3, 1 / 3, 0, 0, 0]),
        ({"top_k": 99}, [0.5, 0.25, 0.15, 0.1, 0.0]),
        ({"top_p": 0.6}, [2 / 3, 1 / 3, 0, 0, 0]),
        ({"top_p": 0.4}, [1, 0, 0, 0, 0]),
        ({"top_p": 1.0}, [0.5, 0.25, 0.15, 0.1, 0.0]),
        # token 0 is there already, and its score is negative
        ({"repetition_penalty": 2.0}, np.array([0.25, 0.25, 0.15, 0.1, 0]) / 0.75),
    ],
    ids=str,
)
def test_tokens_come_with_their_probabilities(options: dict[str, Any], expected: Any) -> None:
    found = shares(Fixed([0.5, 0.25, 0.15, 0.1, 0.0]), **options)
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert not found[np.asarray(expected) == 0].any()


def test_texts_of_a_batch_stop_by_themselves() -> None:
    model = Fixed([0.3, 0.3, 0.4], block_size=99)
    start = tt.zeros(50, 1, dtype="int64")
    text = nn.generate(
        model, start, 60, stop_tokens={1}, pad_token=7, use_cache=False, generator=tt.Generator(0)
    ).numpy()
    assert text.shape[1] < 61  # all have stopped before
    for row in text:
        first = int((row == 1).argmax())
        assert row[first] == 1
        assert (row[first + 1 :] == 7).all()
        assert not (row[:first] == 7).any()
    same = nn.generate(
        model, start, 60, stop_tokens={1}, use_cache=False, generator=tt.Generator(0)
    ).numpy()
    np.testing.assert_array_equal(same, np.where(text == 7, 1, text))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, "temperature of at least 0, got -1.0"),
        ({"temperature": float("nan")}, "a finite temperature"),
        ({"top_k": 0}, "top_k to be a positive int, got 0"),
        ({"top_p": 0.0}, "top_p above 0 and up to 1, got 0.0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty above 0, got 0.0"),
        ({"max_new_tokens": -1}, "max_new_tokens to be an int of at least 0, got -1"),
        ({"tokens": tt.zeros(1, 0, dtype="int64")}, r"with T of at least 1, got \(1, 0\)"),
        ({"tokens": tt.tensor([1])}, r"expected tokens of shape \(N, T\)"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_at_once(options: dict[str, Any], words: str) -> None:
    arguments = {"tokens": tokens(1, 2), "max_new_tokens": 1, **options}
    with pytest.raises(ValueError, match=words):
        nn.generate_stream(classic(), **arguments)


def test_tokens_are_integers() -> None:
    with pytest.raises(TypeError, match="expected tokens of an integer dtype, got float32"):
        nn.generate(classic(), tt.ones(1, 2), 1)


# Beam search


def log_probability(model: Model, text: NDArray[Any], start: int) -> float:
    with tt.no_grad():
        logs = tt.log_softmax(model(tt.tensor(text[None])), -1).numpy()[0].astype(float)
    return float(sum(logs[t - 1, text[t]] for t in range(start, len(text))))


@models
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_wide_beam_finds_the_likeliest_text(make: Callable[[], Model], use_cache: bool) -> None:
    model = make().eval()
    start = tokens(2)
    beams = nn.beam_search(model, start, 3, num_beams=81, length_penalty=0.0, use_cache=use_cache)
    every = [np.concatenate([start.numpy(), more]) for more in product(range(9), repeat=3)]
    best = max(every, key=lambda text: log_probability(model, text, 2))
    np.testing.assert_array_equal(beams[0].tokens.numpy(), best)
    assert beams[0].score == pytest.approx(log_probability(model, best, 2), abs=1e-4)
    scores = [beam.score for beam in beams]
    assert scores == sorted(scores, reverse=True)


def test_one_beam_is_greedy() -> None:
    model = classic()
    (beam,) = nn.beam_search(model, tokens(1, 3), 20, num_beams=1)
    greedy = nn.generate(model, tokens(1, 3), 20, temperature=0.0)
    np.testing.assert_array_equal(beam.tokens.numpy(), greedy.numpy()[0])
    assert model.training


def test_a_beam_ends_with_a_stop_token() -> None:
    model = Fixed([0.6, 0.4])
    short = nn.beam_search(
        model, tt.tensor([0]), 4, num_beams=3, length_penalty=0.0, stop_tokens=[1], use_cache=False
    )
    # 0.4 at once; 0.6 * 0.4; 0.6 * 0.6 * 0.4
    assert [beam.tokens.tolist() for beam in short] == [[0, 1], [0, 0, 1], [0, 0, 0, 1]]
    np.testing.assert_allclose([beam.score for beam in short], np.log([0.4, 0.24, 0.144]))
    (long, *_) = nn.beam_search(
        model, tt.tensor([0]), 4, num_beams=3, length_penalty=1.0, stop_tokens=[1], use_cache=False
    )
    assert long.tokens.tolist() == [0, 0, 0, 0, 0]
    assert long.score == pytest.approx(np.log(0.6))


def test_beam_search_takes_one_text() -> None:
    with pytest.raises(ValueError, match="beam_search: expected one text, got 2"):
        nn.beam_search(classic(), tokens(2, 3), 1)
    with pytest.raises(ValueError, match="expected num_beams to be a positive int, got 0"):
        nn.beam_search(classic(), tokens(1, 3), 1, num_beams=0)


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

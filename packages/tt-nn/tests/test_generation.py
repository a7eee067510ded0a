"""Generation and beam search."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
from language_models import SIZES, Model, classic, modern, tokens
from tt_nn.models import ModernGPT, ModernGPTConfig

pytestmark = pytest.mark.module_17

models = pytest.mark.parametrize("make", [classic, modern])


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


class Scores(Fixed):
    """A model that always gives these scores."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__([1.0])
        self.scores = np.array(scores)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, [1]),
        ({"top_k": 3}, [1, 2, 4]),
        ({"top_k": 5}, [1, 2, 3, 4, 5]),
        ({"top_p": 0.2}, [1]),
        ({"top_p": 0.5}, [1, 2]),
        ({"temperature": 0.0}, [1]),
        ({"temperature": 5e-324}, [1, 2, 4]),
    ],
    ids=str,
)
def test_of_equal_tokens_the_first_are_kept(options: dict[str, Any], kept: list[int]) -> None:
    found = shares(Scores([-np.inf, 2.0, 2.0, 1.0, 2.0, 1.0]), **options)
    assert np.flatnonzero(found).tolist() == kept


def test_an_untrained_head_chooses_as_many_as_it_may() -> None:
    model = ModernGPT(ModernGPTConfig(9, **SIZES))  # all its scores are 0
    start = tt.zeros(200, 1, dtype="int64")
    assert set(nn.generate(model, start, 1, top_k=2).numpy()[:, 1].tolist()) == {0, 1}


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.5}], ids=str
)
def test_scores_that_are_not_finite_are_refused(worst: float, options: dict[str, Any]) -> None:
    others = -np.inf if worst == -np.inf else 0.0
    model = Scores([others, others, worst, others])
    message = f"expected the highest score of each text to be finite, got {worst} for text 0"
    with pytest.raises(ValueError, match=message):
        nn.generate(model, tokens(2, 3), 3, use_cache=False, **options)
    with pytest.raises(ValueError, match=message):
        nn.beam_search(model, tokens(3), 3, use_cache=False)


def test_weights_that_are_not_finite_are_refused() -> None:
    model = classic()
    with tt.no_grad():
        model.blocks[0].mlp.up.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="look for NaN and infinity in the model's weights"):
        nn.generate(model, tokens(1, 3), 3)


def modes(model: Model) -> list[bool]:
    return [module.training for module in model.modules()]


WORKS: dict[str, Callable[[Any], object]] = {
    "generate": lambda model: nn.generate(model, tokens(1, 3), 2),
    "beam search": lambda model: nn.beam_search(model, tokens(3), 2),
    "a stream that is closed": lambda model: closed(nn.generate_stream(model, tokens(1, 3), 9)),
    "an error": lambda model: refused(lambda: nn.generate(model, tokens(1, 3) + 9, 2)),
    "an error in beam search": lambda model: refused(
        lambda: nn.beam_search(model, tokens(3) + 9, 2)
    ),
}


def closed(stream: Any) -> None:
    next(stream)
    stream.close()


def refused(work: Callable[[], object]) -> None:
    with pytest.raises(IndexError, match="embedding"):
        work()


@models
@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("training", [True, False])
def test_each_module_is_in_its_own_mode_again(
    make: Callable[[], Any], name: str, training: bool
) -> None:
    model = make().train(training)
    model.blocks[0].train(not training)
    before = modes(model)
    during: list[bool] = []
    model.register_forward_pre_hook(lambda module, args: during.extend(modes(module)))
    WORKS[name](model)
    assert modes(model) == before
    assert not any(during)


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


@models
@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("pad_token", [-1, 99])
def test_what_fills_up_a_text_is_never_read(
    make: Callable[[], Model], use_cache: bool, pad_token: int
) -> None:
    options: dict[str, Any] = {"stop_tokens": [0, 1, 2], "repetition_penalty": 1.2}
    model, start = make(), tokens(5, 3)
    same, text = (
        nn.generate(
            model, start, 30, pad_token=pad, use_cache=use_cache, generator=tt.Generator(0),
            **options,
        ).numpy()
        for pad in (None, pad_token)
    )  # fmt: skip
    ends = [3 + int(np.isin(row[3:], [0, 1, 2]).argmax()) for row in same]
    assert min(ends) < max(ends)
    for before, after, end in zip(same, text, ends, strict=True):
        np.testing.assert_array_equal(after[: end + 1], before[: end + 1])
        assert (after[end + 1 :] == pad_token).all()


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

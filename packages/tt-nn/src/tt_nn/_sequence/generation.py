"""Generation: a language model goes on with what it is given, a token at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Generator, Tensor, no_grad
from tt_nn._arguments import check_sizes
from tt_nn._module import Module

from .kv_cache import KVCache
from .sampling import Sampling, highest

Array = NDArray[Any]


class LanguageModel(Protocol):
    """What generation asks of a model; `models.GPT` is one."""

    @property
    def block_size(self) -> int:
        """How many positions it can look at."""
        ...

    @property
    def __call__(self) -> Callable[..., Tensor]:
        """Score what follows each token: ``(N, T), cache -> (N, T, vocab_size)``."""
        ...

    def new_cache(self) -> KVCache:
        """Return an empty cache."""
        ...

    def modules(self) -> Iterable[Module]:
        """Return all modules whose mode generation changes meanwhile."""
        ...


@contextmanager
def _evaluating(model: LanguageModel) -> Iterator[None]:
    """Put a model in evaluation mode, and each of its modules in its own again at the end."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, training in modes:
            module.training = training


class _Reader:
    """Reads a growing text and scores what follows.

    A text longer than the model's block is read from a later start, which moves by half a block
    at a time, so that a cache serves until it moves again. Where it lies depends on the text's
    length alone: with and without a cache the model sees the same.
    """

    def __init__(self, model: LanguageModel, use_cache: bool) -> None:
        self.model = model
        self.cache = model.new_cache() if use_cache else None
        self.start = 0

    def scores(self, tokens: Array) -> Array:
        """Return the scores of the next token: ``(N, T) -> (N, vocab_size)``."""
        block = self.model.block_size
        hop = max(block // 2, 1)
        start = max(0, -(-(tokens.shape[1] - block) // hop) * hop)
        with no_grad():
            if self.cache is None:
                out = self.model(tt_tensor.from_numpy(tokens[:, start:]))
            else:
                if start != self.start:
                    self.cache.clear()
                    self.start = start
                rest = tokens[:, start + self.cache.length :]
                out = self.model(tt_tensor.from_numpy(rest), self.cache)
        return out.numpy()[:, -1]


def generate(
    model: LanguageModel,
    tokens: tt_tensor.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop_tokens: Collection[int] = (),
    pad_token: int | None = None,
    use_cache: bool = True,
    generator: Generator | None = None,
) -> Tensor:
    """Go on with each text of a batch, and return the texts with what was added.

    The model is put in evaluation mode meanwhile, and each of its modules in its own again. Texts
    may grow beyond its block; it then sees the last part of them, at least half a block.

    Of tokens that are equally likely, those with the lower ids count as the likelier.

    Args:
        model: Scores what follows each token.
        tokens: The texts so far, of equal length, at least one token.
        max_new_tokens: How many tokens to add at most.
        temperature: What scores are divided by: below 1 makes likely tokens more likely; 0 always
            takes the likeliest.
        top_k: Choose among this many of the likeliest tokens only.
        top_p: Choose among the likeliest tokens that together have this probability only.
        repetition_penalty: Above 1 makes tokens that the text already has less likely.
        stop_tokens: Tokens that end a text. It keeps the one that ended it.
        pad_token: What fills up a text that has ended before others, the token that ended it
            unless given. The model does not read it, so it may be any number, such as -1.
        use_cache: Whether to keep keys and values of what was read; the result is the same.
        generator: Where random numbers come from, the default generator unless given.

    Shape:
        ``(N, T)`` integers ``-> (N, T + n)`` with ``n <= max_new_tokens``

    Raises:
        ValueError: A number is out of its range, ``tokens`` has no token to go on from, or the
            highest of the model's scores is not finite.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_embd=32))
        >>> generate(model, tt.tensor([[1, 2, 3]]), 5, top_k=10).shape
        (1, 8)

    References:
        Nucleus sampling: Holtzman et al., "The curious case of neural text degeneration", 2019.
        Repetition penalty: Keskar et al., "CTRL", 2019.
    """
    added = generate_stream(
        model, tokens, max_new_tokens,
        temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=repetition_penalty,
        stop_tokens=stop_tokens, pad_token=pad_token, use_cache=use_cache, generator=generator,
    )  # fmt: skip
    columns = [new._array[:, None] for new in added]
    return Tensor._wrap(np.concatenate([_checked(tokens), *columns], axis=1))


def generate_stream(
    model: LanguageModel,
    tokens: tt_tensor.Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition_penalty: float = 1.0,
    stop_tokens: Collection[int] = (),
    pad_token: int | None = None,
    use_cache: bool = True,
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """Do as `generate`, but hand out tokens as they come: ``(N,)`` at a time.

    Raises:
        ValueError: As `generate`; what is wrong with the arguments at once.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_embd=32))
        >>> for new in generate_stream(model, tt.tensor([[1, 2, 3]]), 2, temperature=0.0):
        ...     print(new.shape)
        (1,)
        (1,)
    """
    sampling = Sampling(temperature, top_k, top_p, repetition_penalty, generator)
    _check_count(max_new_tokens)
    return _stream(
        model, _checked(tokens), max_new_tokens, sampling, list(stop_tokens), pad_token, use_cache
    )


def _stream(
    model: LanguageModel,
    given: Array,
    max_new_tokens: int,
    sampling: Sampling,
    stop_tokens: list[int],
    pad_token: int | None,
    use_cache: bool,
) -> Iterator[Tensor]:
    samples, start = given.shape
    text = np.empty((samples, start + max_new_tokens), np.int64)
    text[:, :start] = given
    ended = np.zeros(samples, dtype=bool)
    reader = _Reader(model, use_cache)
    with _evaluating(model):
        for length in range(start, start + max_new_tokens):
            so_far = text[:, :length]
            new = shown = sampling.choose(reader.scores(so_far), so_far)
            if stop_tokens:
                # A text that has ended is read on with the token that ended it.
                new = np.where(ended, so_far[:, -1], new)
                shown = new if pad_token is None else np.where(ended, pad_token, new)
                ended |= np.isin(new, stop_tokens)
            text[:, length] = new
            yield Tensor._wrap(shown.astype(np.int64))
            if stop_tokens and ended.all():
                return


class Beam(NamedTuple):
    """One text that `beam_search` found.

    Attributes:
        tokens: The text, with what it went on from: ``(T,)``.
        score: The logarithm of its probability, divided by a power of its length.
    """

    tokens: Tensor
    score: float


def beam_search(
    model: LanguageModel,
    tokens: tt_tensor.Tensor,
    max_new_tokens: int,
    *,
    num_beams: int = 4,
    length_penalty: float = 1.0,
    stop_tokens: Collection[int] = (),
    use_cache: bool = True,
) -> list[Beam]:
    r"""Look for the likeliest ways to go on with a text, several at a time.

    A text of n new tokens scores :math:`\log p \, / \, n^{\text{length\_penalty}}`. The model is
    put in evaluation mode meanwhile.

    Args:
        model: Scores what follows each token.
        tokens: The text so far, at least one token.
        max_new_tokens: How many tokens to add at most.
        num_beams: How many texts are followed.
        length_penalty: Above 0 favours longer texts, which are always less likely.
        stop_tokens: Tokens that end a text. It keeps the one that ended it.
        use_cache: Whether to keep keys and values of what was read; the result is the same.

    Shape:
        ``(T,)`` or ``(1, T)`` integers

    Returns:
        The best texts, at most ``num_beams``, the best one first.

    Raises:
        ValueError: A number is out of its range, ``tokens`` has no token to go on from, or the
            highest of the model's scores is not finite.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=65, block_size=16, n_embd=32))
        >>> found = beam_search(model, tt.tensor([1, 2, 3]), 5, num_beams=2)
        >>> len(found), found[0].tokens.shape
        (2, (8,))

    References:
        Graves, "Sequence transduction with recurrent neural networks", 2012. Length penalty: Wu
        et al., "Google's neural machine translation system", 2016.
    """
    _check_count(max_new_tokens)
    check_sizes("beam_search", num_beams=num_beams)
    text = _checked(tokens if tokens.ndim == 2 else tokens.unsqueeze(0))
    if len(text) != 1:
        raise ValueError(f"beam_search: expected one text, got {len(text)}")
    with _evaluating(model):
        return _search(
            _Reader(model, use_cache), text, max_new_tokens, num_beams, length_penalty,
            list(stop_tokens),
        )  # fmt: skip


def _search(
    reader: _Reader,
    text: Array,
    max_new_tokens: int,
    num_beams: int,
    length_penalty: float,
    stop_tokens: list[int],
) -> list[Beam]:
    """Return the ``num_beams`` best texts, the best one first: see `beam_search`.

    A text that a stop token ends is kept, and followed no longer; those that are left at the end
    count as ``max_new_tokens`` long.

    Args:
        reader: Scores what follows each text, and holds the cache, whose samples are reordered
            as texts are chosen.
        text: Where to start: (1, T).
        max_new_tokens: How many tokens to add at most.
        num_beams: How many texts are followed.
        length_penalty: The power of the number of new tokens that log p is divided by.
        stop_tokens: Tokens that end a text.
    """
    ended: list[Beam] = []
    logs = np.zeros(1)  # of the probabilities of the texts that are followed
    for count in range(1, max_new_tokens + 1):
        scores = reader.scores(text).astype(np.float64)
        shifted = scores - highest(scores)
        every = logs[:, None] + shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        # Enough to be left with num_beams that go on, even if each text ends in every way.
        most = num_beams * (1 + len(stop_tokens))
        order = np.argsort(-every, axis=None, kind="stable")[:most]
        parents, tokens = np.unravel_index(order, every.shape)
        ends = np.isin(tokens, stop_tokens)
        for i in np.flatnonzero(ends[:num_beams]):
            longer = np.append(text[parents[i]], tokens[i])
            score = float(every.flat[order[i]]) / count**length_penalty
            ended.append(Beam(Tensor._wrap(longer), score))
        going = np.flatnonzero(~ends)[:num_beams]
        text = np.concatenate([text[parents[going]], tokens[going, None]], axis=1)
        logs = every.flat[order[going]]
        if not going.size:
            break
        if reader.cache is not None:
            reader.cache.reorder(tt_tensor.from_numpy(parents[going]))
    scale = max(max_new_tokens, 1) ** length_penalty
    beams = [
        Beam(Tensor._wrap(row), float(log) / scale) for row, log in zip(text, logs, strict=True)
    ]
    return sorted([*ended, *beams], key=lambda beam: beam.score, reverse=True)[:num_beams]


def _checked(tokens: tt_tensor.Tensor) -> Array:
    if not isinstance(tokens, tt_tensor.Tensor):
        raise TypeError(f"generate: expected a Tensor of tokens, got {type(tokens).__name__}")
    if tokens.dtype.kind not in "iu":
        raise TypeError(f"generate: expected tokens of an integer dtype, got {tokens.dtype.name}")
    if tokens.ndim != 2 or not tokens.numel():
        raise ValueError(
            f"generate: expected tokens of shape (N, T) with T of at least 1, got {tokens.shape}"
        )
    return tokens._array.astype(np.int64)


def _check_count(max_new_tokens: object) -> None:
    if not isinstance(max_new_tokens, int) or max_new_tokens < 0:
        raise ValueError(
            f"generate: expected max_new_tokens to be an int of at least 0, got {max_new_tokens!r}"
        )

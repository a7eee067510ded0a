"""How the next token is chosen from a model's scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Generator, default_generator
from tt_nn._arguments import check_sizes

Array = NDArray[Any]


class Sampling:
    """The choices of `generate`, in the order in which they apply.

    Attributes:
        repetition_penalty: What scores of tokens that are already there are divided by where
            positive and multiplied with where negative.
        temperature: What scores are divided by; 0 always takes the highest.
        top_k: How many of the most probable tokens are kept; of equal ones those with lower ids.
        top_p: The probability that those kept, the most probable ones, add up to at least; of
            equal ones those with lower ids.
        generator: Where random numbers come from, the default generator unless given.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        generator: Generator | None = None,
    ) -> None:
        if not 0 <= temperature < math.inf:
            raise ValueError(
                f"generate: expected a finite temperature of at least 0, got {temperature!r}"
            )
        if top_k is not None:
            check_sizes("generate", top_k=top_k)
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(f"generate: expected top_p above 0 and up to 1, got {top_p!r}")
        if not 0 < repetition_penalty < math.inf:
            raise ValueError(
                "generate: expected a finite repetition_penalty above 0, "
                f"got {repetition_penalty!r}"
            )
        self.temperature = temperature
        self.top_k = top_k
        self.top_p = top_p
        self.repetition_penalty = repetition_penalty
        self.generator = generator

    def choose(self, scores: Array, tokens: Array) -> Array:
        """Return a token for each sample.

        Shape:
            ``(N, vocab_size), (N, T) -> (N,)``

        Raises:
            ValueError: The highest score of a sample is not finite.
        """
        if self.repetition_penalty != 1:
            rows = np.arange(len(tokens))[:, None]
            seen = scores[rows, tokens]
            penalised = np.where(
                seen > 0, seen / self.repetition_penalty, seen * self.repetition_penalty
            )
            scores = scores.copy()
            scores[rows, tokens] = penalised
        most = highest(scores)
        if self.temperature == 0:
            return np.asarray(scores.argmax(axis=-1))
        with np.errstate(over="ignore"):  # to -inf, at a temperature near 0
            scores = (scores.astype(np.float64) - most) / self.temperature
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            scores[~_largest(scores, self.top_k)] = -np.inf
        weights = np.exp(scores)
        if self.top_p is not None and self.top_p < 1:
            weights *= _nucleus(weights / weights.sum(axis=-1, keepdims=True), self.top_p)
        random = (self.generator or default_generator()).numpy.random((len(scores), 1))
        bounds = weights.cumsum(axis=-1)
        total = bounds[:, -1:]
        # Rounding must not lead beyond the last token that has any weight.
        target = np.minimum(random * total, np.nextafter(total, 0))
        return np.asarray((bounds > target).argmax(axis=-1))


def highest(scores: Array) -> Array:
    """Return the highest score of each sample; others may be minus infinity.

    Shape:
        ``(N, vocab_size) -> (N, 1)``

    Raises:
        ValueError: One is not finite.
    """
    most = np.asarray(scores.max(axis=-1, keepdims=True))
    if not np.isfinite(most).all():
        sample = int(np.flatnonzero(~np.isfinite(most))[0])
        raise ValueError(
            "generate: expected the highest score of each text to be finite, got "
            f"{most[sample, 0]} for text {sample}; look for NaN and infinity in the model's weights"
        )
    return most


def _largest(scores: Array, count: int) -> Array:
    """Return which scores of each sample are the largest; of equal ones the first."""
    least = np.partition(scores, -count, axis=-1)[:, -count, None]
    above, equal = scores > least, scores == least
    room = count - above.sum(axis=-1, keepdims=True)
    return np.asarray(above | (equal & (equal.cumsum(axis=-1) <= room)))


def _nucleus(probabilities: Array, top_p: float) -> Array:
    """Return which are kept: the fewest that add up to ``top_p``, of equal ones the first."""
    order = np.argsort(-probabilities, axis=-1, kind="stable")
    sorted_ = np.take_along_axis(probabilities, order, axis=-1)
    before = sorted_.cumsum(axis=-1) - sorted_
    kept = np.empty(probabilities.shape, dtype=bool)
    np.put_along_axis(kept, order, before < top_p, axis=-1)
    return kept

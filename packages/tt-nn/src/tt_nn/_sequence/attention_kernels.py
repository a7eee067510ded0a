"""Attention on arrays, forward and backward, in blocks that stay in cache.

A block is a few rows of queries with all the keys that they see, of one or more samples: so its
softmax is the ordinary one, and what is alive at a time grows with the number of keys, not with
its square. For short sequences the exponentials of all blocks are kept for the backward pass; for
long ones they are made again (Rabe and Staats, 2021; Dao, 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tt_nn._compute.backend import loop
from tt_nn._compute.precision import widen
from tt_nn._compute.threads import parallel

Array = NDArray[Any]

_BLOCK = 131072  # weights in a block: 512 KiB of float32; measured best of 16,384 to 262,144
_FEWEST_ROWS = 16  # however many keys there are
_CAUSAL_ROWS = 64  # rows in a block of causal attention, whose later keys are left out
_SHARED = 1 << 17  # scores from which on threads share the work
_KEPT = 1 << 20  # exponentials of a sample that are kept rather than made again


class Kept(NamedTuple):
    """What the backward pass needs beside inputs and output.

    Attributes:
        tops: The largest score of each row: (..., T, 1).
        shares: 1 / the sum of the row's exponentials, 0 for a row that sees no key.
        exponentials: (..., T, S), where they are kept.
    """

    tops: Array
    shares: Array
    exponentials: Array | None


class Block(NamedTuple):
    """Some rows of queries of some samples, and the keys that they see.

    Attributes:
        samples: Which entries of the first dimension.
        rows: Which queries.
        keys: How many keys, from the first on.
    """

    samples: slice
    rows: slice
    keys: int


class Attention:
    """One attention: its arrays, with equal leading dimensions, and how it is cut into blocks.

    Args:
        query: ``(..., T, D)``.
        key: ``(..., S, D)``.
        value: ``(..., S, Dv)``.
        mask: Bools that say which keys are seen, or numbers to add to scores; broadcasts to
            ``(..., T, S)``.
        is_causal: Whether query t sees keys 0 to t only, and of those what the mask lets it see.
        scale: The factor of the scores.
        dropout_p: The share of weights that are set to zero.
        seed: Of the random numbers that choose them, and the number of the first sample, which is
            not 0 in a part of a batch.

    Raises:
        TypeError: The mask is of integers.
    """

    def __init__(
        self,
        query: Array,
        key: Array,
        value: Array,
        mask: Array | None,
        is_causal: bool,
        scale: float,
        dropout_p: float,
        seed: tuple[int, int],
    ) -> None:
        lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
        self.lead = lead
        full = lead or (1,)
        self.query, self.key, self.value = (_stretch(widen(x), full) for x in (query, key, value))
        self.length, self.keys = query.shape[-2], key.shape[-2]
        if mask is not None:
            if mask.dtype.kind not in "bf":
                raise TypeError("expected a mask of bools or floating-point numbers")
            mask = np.broadcast_to(mask, (*full, self.length, self.keys))
        self.mask = mask
        self.is_causal = is_causal
        self.scale = self.query.dtype.type(scale)
        self.dropout_p = dropout_p
        self.seed, self.first = seed

    def blocks(self) -> Iterator[list[Block]]:
        """Go over the blocks; those of the same samples come together, from the last rows on."""
        samples, heads = self.query.shape[0], math.prod(self.query.shape[1:-2])
        row = max(heads * self.keys, 1)
        rows = max(_FEWEST_ROWS, _BLOCK // row)
        if self.is_causal:
            rows = min(rows, _CAUSAL_ROWS)
        rows = min(rows, max(self.length, 1))
        step = max(1, _BLOCK // (row * rows))
        starts = range(0, self.length, rows)
        for first in range(0, samples, step):
            group = []
            for start in reversed(starts or [0]):  # one block, even of no queries
                stop = min(start + rows, self.length)
                keys = min(stop, self.keys) if self.is_causal else self.keys
                group.append(Block(slice(first, first + step), slice(start, stop), keys))
            yield group

    def scores(self, block: Block, out: Array | None = None) -> Array:
        """Return the scores of a block, those of later keys included: (n, ..., rows, keys).

        The mask's numbers are added. The result is written to ``out`` if that is given.
        """
        samples, rows, keys = block
        q = self.query[samples, ..., rows, :] * self.scale
        k = self.key[samples, ..., :keys, :]
        scores: Array = np.matmul(q, k.swapaxes(-1, -2), out=out)
        if self.mask is not None:
            scores += _as_bias(self.mask[samples, ..., rows, :keys], scores.dtype)
        return scores

    def hide_later(self, scores: Array, block: Block) -> None:
        """Set the scores of a block to -inf where a key is later than the query, if causal.

        Queries count from ``block.rows.start``, keys from 0.
        """
        _, rows, keys = block
        if self.is_causal and keys > rows.start + 1:
            # Only the keys beside the block's own rows can be later than a query.
            shape = rows.stop - rows.start, keys - rows.start
            scores[..., rows.start :] += _later(*shape, scores.dtype)

    def chosen(self, block: Block) -> Array:
        """Return the factors of dropout for a block: 0, or 1 / (1 - p); the same at each call."""
        rows = block.rows.stop - block.rows.start
        shape = (len(self.query[block.samples]), *self.query.shape[1:-2], rows, block.keys)
        # Each sample has its own stretch of the random numbers, wherever it is computed. They are
        # integers of 32 bits, two of each step of the source: fractions would take twice as long.
        count = math.prod(shape)
        before = (self.first + block.samples.start) * math.prod(shape[1:])
        source = np.random.PCG64DXSM((self.seed, block.rows.start)).advance(before // 2)
        steps, most = (before % 2 + count + 1) // 2, (1 << 64) - 1
        drawn = np.random.Generator(source).integers(0, most, steps, np.uint64, endpoint=True)
        drawn = drawn.view(np.uint32)[before % 2 : before % 2 + count].reshape(shape)
        keep = drawn >= np.uint32(min(round(self.dropout_p * (1 << 32)), (1 << 32) - 1))
        factor = 1 / (1 - self.dropout_p) if self.dropout_p < 1 else 0.0
        return np.asarray(np.multiply(keep, self.query.dtype.type(factor)))

    def forward(self, dtype: np.dtype[Any], keep: bool) -> tuple[Array, Kept | None]:
        """Return the output, and what `backward` needs if it is asked for."""
        lead, value = self.query.shape[:-2], self.value
        out = empty_by_position((*lead, self.length, value.shape[-1]), value.dtype)
        kept = None
        if keep:
            column = (*lead, self.length, 1)
            few = self.length * self.keys * math.prod(lead[1:]) <= _KEPT
            kept = Kept(
                np.empty(column, value.dtype),
                np.empty(column, value.dtype),
                np.empty((*lead, self.length, self.keys), value.dtype) if few else None,
            )
        groups = list(self.blocks())

        def run(start: int, stop: int) -> None:
            for group in groups[start:stop]:
                for block in group:
                    self._forward(block, out, kept)

        self._share(run, len(groups))
        out = out if self.lead else out[0]
        return out.astype(dtype, copy=False), kept

    def _forward(self, block: Block, out: Array, kept: Kept | None) -> None:
        samples, rows, keys = block
        every = None if kept is None else kept.exponentials
        weights = self.scores(block, None if every is None else every[samples, ..., rows, :keys])
        compiled = loop("softmax_rows") if weights.dtype == np.float32 else None
        if compiled is None:
            tops, shares = self._exponentials(weights, block)
        else:
            tops, shares = np.empty((2, *weights.shape[:-1], 1), weights.dtype)
            matrices, start = (weights, 0) if every is None else (every[samples], rows.start)
            compiled(
                _matrices(matrices), start, keys, rows.start + 1 if self.is_causal else keys,
                np.float32(-np.inf) if self.mask is None else np.finfo(np.float32).min,
                _rows(tops), _rows(shares),
            )  # fmt: skip
        if kept is not None:
            kept.tops[samples, ..., rows, :] = tops
            kept.shares[samples, ..., rows, :] = shares
        if self.dropout_p:
            weights = weights * self.chosen(block)
        place = out[samples, ..., rows, :]
        np.matmul(weights, self.value[samples, ..., :keys, :], out=place)
        place *= shares

    def _exponentials(self, scores: Array, block: Block) -> tuple[Array, Array]:
        """Turn scores into exponentials, in place: (..., rows, keys).

        Later keys are hidden first, and each row is shifted by its largest score. A row that sees
        no key, which a mask can make, has exponentials of 0.

        Returns:
            The largest scores, and 1 / the sums of the exponentials, 0 where that is 0; both of
            shape (..., rows, 1).
        """
        self.hide_later(scores, block)
        tops = scores.max(axis=-1, keepdims=True, initial=-np.inf)
        if self.mask is not None:
            tops = np.maximum(tops, np.finfo(tops.dtype).min)  # -inf - -inf would be NaN
        scores -= tops
        np.exp(scores, out=scores)
        sums = np.matmul(scores, np.ones((block.keys, 1), scores.dtype))  # a third of sum()'s time
        return tops, _reciprocal(sums) if self.mask is not None or not block.keys else 1 / sums

    def backward(
        self, g: Array, out: Array, kept: Kept, gradients: tuple[Array, ...],
        bias_gradient: Array | None,
    ) -> None:  # fmt: skip
        """Write the gradients of query, key and value, and of the bias if there is room for it."""
        lead = self.query.shape[:-2]
        g, out = _stretch(widen(g), lead), _stretch(widen(out), lead)
        groups = list(self.blocks())

        def run(start: int, stop: int) -> None:
            for group in groups[start:stop]:
                for i, block in enumerate(group):
                    self._backward(block, g, out, kept, gradients, bias_gradient, fresh=i == 0)

        self._share(run, len(groups))

    def _share(self, run: Callable[[int, int], None], groups: int) -> None:
        """Run over all groups, in threads if there is enough to do."""
        scores = math.prod(self.query.shape[:-1]) * self.keys
        if scores < _SHARED:
            run(0, groups)
        else:
            parallel(run, groups)

    def _backward(
        self, block: Block, g: Array, out: Array, kept: Kept,
        gradients: tuple[Array, ...], bias_gradient: Array | None, fresh: bool,
    ) -> None:  # fmt: skip
        samples, rows, keys = block
        if kept.exponentials is not None:
            weights = kept.exponentials[samples, ..., rows, :keys]
        else:
            weights = self.scores(block)
            self.hide_later(weights, block)
            weights -= kept.tops[samples, ..., rows, :]
            np.exp(weights, out=weights)
        # With weights not yet divided by their sums, the gradient of the output is.
        part = g[samples, ..., rows, :] * kept.shares[samples, ..., rows, :]
        slopes = np.matmul(part, self.value[samples, ..., :keys, :].swapaxes(-1, -2))
        dropped = weights
        if self.dropout_p:
            chosen = self.chosen(block)
            dropped = weights * chosen
            slopes *= chosen
        dots = np.vecdot(part, out[samples, ..., rows, :])[..., None]
        compiled = loop("softmax_rows_slope") if slopes.dtype == np.float32 else None
        if compiled is None:
            slopes -= dots
            slopes *= weights  # now the gradient of the scores
        else:
            every = kept.exponentials
            matrices, start = (weights, 0) if every is None else (every[samples], rows.start)
            compiled(_matrices(slopes), _rows(dots), _matrices(matrices), start)
        if bias_gradient is not None:
            bias_gradient[samples, ..., rows, :keys] = slopes
        for_query, for_key, for_value = gradients
        k = self.key[samples, ..., :keys, :]
        np.matmul(slopes, k, out=for_query[samples, ..., rows, :])
        q = self.query[samples, ..., rows, :]
        for target, left, right in (
            (for_key, slopes, q * self.scale),
            (for_value, dropped, part),
        ):
            place = target[samples, ..., :keys, :]
            if fresh:
                np.matmul(left.swapaxes(-1, -2), right, out=place)
                target[samples, ..., keys:, :] = 0
            else:
                place += np.matmul(left.swapaxes(-1, -2), right)
        for_query[samples, ..., rows, :] *= self.scale


def empty_by_position(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return an array (N, heads, ..., T, D) whose memory is (N, T, heads, ..., D).

    So that joining the heads of each position, which comes before and after, is no copy.
    """
    if len(shape) < 4:
        return np.empty(shape, dtype)
    samples, *heads, length, dim = shape
    return np.moveaxis(np.empty((samples, length, *heads, dim), dtype), 1, -2)


def _matrices(x: Array) -> Array:
    """Join the leading dimensions of an array: (..., rows, keys) -> (M, rows, keys)."""
    return x.reshape((math.prod(x.shape[:-2]), *x.shape[-2:]))


def _rows(x: Array) -> Array:
    """Join those of a column: (..., rows, 1) -> (M, rows)."""
    return x.reshape((math.prod(x.shape[:-2]), x.shape[-2]))


def _stretch(x: Array, lead: tuple[int, ...]) -> Array:
    """Return an array with the leading dimensions of all."""
    return x if x.shape[:-2] == lead else np.broadcast_to(x, (*lead, *x.shape[-2:]))


def _as_bias(mask: Array, dtype: np.dtype[Any]) -> Array:
    """Return a mask as numbers to add: bools as 0 and -inf, once where they are repeated."""
    if mask.dtype != bool:
        return mask
    once = tuple(slice(None if stride else 1) for stride in mask.strides)
    bias: Array = np.where(mask[once], dtype.type(0), dtype.type(-np.inf))
    return bias


@lru_cache(maxsize=8)
def _later(rows: int, keys: int, dtype: np.dtype[Any]) -> Array:
    """Return what hides later keys: -inf above the diagonal, 0 elsewhere."""
    hidden = np.triu(np.full((rows, keys), -np.inf, dtype), 1)
    hidden.flags.writeable = False
    return hidden


def _reciprocal(x: Array) -> Array:
    """Return 1 / x, and 0 where x is 0."""
    zero = x == 0
    return np.asarray((1 - zero) / (x + zero), x.dtype)

"""The keys and values of positions that a transformer has read: so that none is read again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, Tensor, defnograd
from tt_nn._arguments import check_sizes
from tt_nn._compute.backend import loop

from .attention_kernels import Attention

Array = NDArray[Any]

_FIRST = 64  # positions that a layer has room for at first


class LayerCache:
    """The keys and values of one layer: see `KVCache`.

    Attributes:
        length: How many positions there are.
        max_length: How many there may be.
    """

    __slots__ = ("_keys", "_values", "length", "max_length")

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.length = 0
        self._keys = self._values = np.empty((0, 0, 0, 0), np.float32)

    def extend(self, key: Array, value: Array) -> tuple[Array, Array]:
        """Add positions behind those that there are, and return the keys and values of all.

        What comes back are views of the cache's memory, which grows by `_make_room`.

        Shape:
            ``(N, heads, T, D), (N, heads, T, Dv) -> (N, heads, S, D), (N, heads, S, Dv)``

        Raises:
            ValueError: There is no room for them, or their shapes are not those before.
        """
        start, stop = self.length, self.length + key.shape[2]
        if stop > self._keys.shape[2] or not start:
            if start:
                self._check_shapes(key, value)
            self._make_room(key, value, stop)
        new_keys, new_values = self._keys[:, :, start:stop], self._values[:, :, start:stop]
        if new_keys.shape != key.shape or new_values.shape != value.shape:
            self._check_shapes(key, value)
        new_keys[...], new_values[...] = key, value
        self.length = stop
        return self._keys[:, :, :stop], self._values[:, :, :stop]

    @property
    def room(self) -> tuple[Array, Array]:
        """Where keys and values lie, each (N, heads, room, D), of which ``length`` are there."""
        return self._keys, self._values

    def append(self, key: tt_tensor.Tensor, value: tt_tensor.Tensor) -> tuple[Tensor, Tensor]:
        """Add positions, and return the keys and values of all.

        Shape:
            ``(N, heads, T, D), (N, heads, T, Dv) -> (N, heads, S, D), (N, heads, S, Dv)``

        Raises:
            ValueError: There is no room for them, or their shapes are not those before.
            RuntimeError: They require grad.
        """
        _refuse_grad(key, value)
        if key.ndim != 4 or key.shape[:3] != value.shape[:3]:
            raise ValueError(
                "KVCache: expected a key and a value of shapes (N, heads, T, D) and "
                f"(N, heads, T, Dv), got {key.shape} and {value.shape}"
            )
        keys, values = self.extend(key._array, value._array)
        return Tensor._wrap(keys), Tensor._wrap(values)

    def clear(self) -> None:
        """Forget all positions."""
        self.length = 0

    def reorder(self, index: Array) -> None:
        """Put the samples that ``index`` names in the place of those that there are."""
        if self.length:
            self._keys, self._values = self._keys[index], self._values[index]

    def _check_shapes(self, key: Array, value: Array) -> None:
        """Refuse what differs from before in more than positions: it might be stretched to fit."""
        for name, old, new in (("keys", self._keys, key), ("values", self._values, value)):
            if new.shape[:2] != old.shape[:2] or new.shape[3:] != old.shape[3:]:
                samples, heads, _, dim = old.shape
                raise ValueError(
                    f"KVCache: expected {name} of shape ({samples}, {heads}, T, {dim}), as those "
                    f"before, got {new.shape}; use a new cache for other texts, or clear this one"
                )

    def _make_room(self, key: Array, value: Array, stop: int) -> None:
        if stop > self.max_length:
            raise ValueError(
                f"KVCache: no room for {stop} positions; the cache was made for {self.max_length}"
            )
        capacity = min(self.max_length, max(_FIRST, 1 << (stop - 1).bit_length()))
        grown = []
        for old, new in ((self._keys, key), (self._values, value)):
            samples, heads, _, dim = new.shape
            room = np.empty((samples, heads, capacity, dim), new.dtype)
            if self.length:
                room[:, :, : self.length] = old[:, :, : self.length]
            grown.append(room)
        self._keys, self._values = grown


class KVCache:
    """The keys and values of every layer, for the positions that a model has read.

    With it a transformer generates each token in the time of one position. A model takes the cache
    as an argument, reads ``length`` for the position of its first token, and gives each of its
    attentions one of ``layers``.

    Memory grows as it fills, up to ``max_length`` positions.

    Args:
        num_layers: How many layers there are.
        max_length: How many positions there may be.

    Attributes:
        layers: What each layer keeps.
        previous: What else a model hands from one call to the next, ``(N, ...)``; None at first.

    Raises:
        ValueError: A size is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> cache = KVCache(num_layers=1, max_length=128)
        >>> for _ in range(3):
        ...     keys, values = cache.layers[0].append(tt.ones(1, 4, 1, 8), tt.ones(1, 4, 1, 8))
        >>> keys.shape, cache.length
        ((1, 4, 3, 8), 3)
    """

    def __init__(self, num_layers: int, max_length: int) -> None:
        check_sizes("KVCache", num_layers=num_layers, max_length=max_length)
        self.layers = [LayerCache(max_length) for _ in range(num_layers)]
        self.max_length = max_length
        self.previous: Tensor | None = None

    @property
    def length(self) -> int:
        """How many positions there are."""
        return self.layers[0].length

    def clear(self) -> None:
        """Forget all positions."""
        self.previous = None
        for layer in self.layers:
            layer.clear()

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back what is appended, in whichever layer, where what is done with it fails.

        Example:
            >>> import tt_autograd as tt
            >>> cache = KVCache(num_layers=2, max_length=2)
            >>> one, two = tt.ones(1, 4, 1, 8), tt.ones(1, 4, 2, 8)
            >>> try:
            ...     with cache.all_or_nothing():
            ...         for layer, x in zip(cache.layers, (one, two), strict=True):
            ...             _ = layer.append(x, x), layer.append(x, x)
            ... except ValueError:
            ...     print(cache)
            KVCache(2 layers, 0 of 2 positions)
        """
        previous, lengths = self.previous, [layer.length for layer in self.layers]
        try:
            yield
        except BaseException:
            self.previous = previous
            for layer, length in zip(self.layers, lengths, strict=True):
                layer.length = length
            raise

    def reorder(self, index: tt_tensor.Tensor) -> None:
        """Put the samples that ``index`` names in the place of those that there are.

        A sample may be named more than once, as beam search does with one that goes on in two
        ways, or not at all.

        Raises:
            IndexError: There is no such sample.
        """
        places = index._array
        if self.previous is not None:
            self.previous = Tensor._wrap(self.previous._array[places])
        for layer in self.layers:
            layer.reorder(places)

    def __repr__(self) -> str:
        return f"KVCache({len(self.layers)} layers, {self.length} of {self.max_length} positions)"


def cached_attention(
    qkv: Tensor, cache: LayerCache, num_heads: int, num_kv_heads: int, scale: float
) -> Tensor:
    """Attend from new positions to those before and themselves, after adding them to the cache.

    Args:
        qkv: The heads of query, key and value one after the other.
        cache: Where keys and values of earlier positions are, and these are added.
        num_heads: Heads of the query.
        num_kv_heads: Heads of the keys and values, a divisor of ``num_heads``.
        scale: What products of queries and keys are multiplied with.

    Shape:
        ``(N, T, (num_heads + 2 num_kv_heads) D) -> (N, T, num_heads D)``

    Raises:
        ValueError: There is no room for them, or their shapes are not those before.
        RuntimeError: They require grad.
    """
    _refuse_grad(qkv)
    params = {
        "cache": cache, "num_heads": num_heads, "num_kv_heads": num_kv_heads, "scale": scale,
    }  # fmt: skip
    return Tensor._apply(CACHED_ATTENTION, (qkv,), params)


def _refuse_grad(*given: tt_tensor.Tensor) -> None:
    if any(isinstance(x, Tensor) and x.requires_grad for x in given):
        raise RuntimeError(
            "KVCache: the cache is for generation, which no gradient goes through; "
            "use it under no_grad()"
        )


def _cached_attention(
    qkv: Array, cache: LayerCache, num_heads: int, num_kv_heads: int, scale: float
) -> Array:
    samples, length, width = qkv.shape
    if length == 1:
        return attend_one(qkv, cache, num_heads, num_kv_heads, scale)
    every = num_heads + 2 * num_kv_heads
    dim = width // every
    heads = qkv.reshape((samples, length, every, dim))
    heads = heads.swapaxes(1, 2)  # (N, heads, T, D)
    before = cache.length
    keys, values = cache.extend(
        heads[:, num_heads:-num_kv_heads], heads[:, -num_kv_heads:]
    )  # (N, kv_heads, S, D)
    query = heads[:, :num_heads].reshape(
        (samples, num_kv_heads, num_heads // num_kv_heads, length, dim)
    )
    mask = np.tri(length, before + length, before, dtype=bool) if before else None
    out, _ = Attention(
        query, keys[:, :, None], values[:, :, None], mask, mask is None, scale, 0.0, (0, 0)
    ).forward(qkv.dtype, False)
    # (N, kv_heads, group, T, D) -> (N, T, heads D)
    return np.moveaxis(out, -2, 1).reshape((samples, length, num_heads * dim))


def attend_one(
    qkv: Array, cache: LayerCache, num_heads: int, num_kv_heads: int, scale: float
) -> Array:
    """Attend from one new position, after adding its key and value to the cache.

    All keys are before it, so there is nothing to hide, and no block is needed. Heads of the
    query that come one after the other share one of the keys'.

    Shape:
        ``(N, 1, (num_heads + 2 num_kv_heads) D) -> (N, 1, num_heads D)``
    """
    samples = len(qkv)
    heads = qkv.reshape((samples, num_heads + 2 * num_kv_heads, 1, -1))  # (N, heads, 1, D)
    keys, values = cache.extend(
        heads[:, num_heads:-num_kv_heads], heads[:, -num_kv_heads:]
    )  # (N, kv_heads, S, D)
    attend = loop("attend_one") if qkv.dtype.char in "fd" else None
    if attend is not None and qkv.flags.c_contiguous and keys.dtype == qkv.dtype:
        out = np.empty((samples, num_heads, keys.shape[-1]), qkv.dtype)
        attend(heads[:, :num_heads, 0], *cache.room, cache.length, qkv.dtype.type(scale), out)
        return out.reshape((samples, 1, -1))  # (N, heads, D) -> (N, 1, heads D)
    # The query's heads that share one of the keys' are the rows of a product.
    query = heads[:, :num_heads].reshape((samples, num_kv_heads, -1, keys.shape[-1]))
    weights = np.matmul(query * scale, keys.swapaxes(-1, -2))
    weights -= np.maximum.reduce(weights, axis=-1, keepdims=True)
    np.exp(weights, out=weights)
    out = np.matmul(weights, values)  # (N, kv_heads, group, D)
    out /= np.add.reduce(weights, axis=-1, keepdims=True)
    return np.asarray(out).reshape((samples, 1, -1))


CACHED_ATTENTION = Op("cached_attention", _cached_attention, ("qkv",))
defnograd(CACHED_ATTENTION)

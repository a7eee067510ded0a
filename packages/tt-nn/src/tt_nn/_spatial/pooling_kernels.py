"""Pooling on arrays: the values of windows, and gradients carried back to them.

A window is walked tap by tap: for each place in it, one strided view of the image holds what
that place meets at all positions of the window, so that each step is a few operations on long
runs. Padding is never made: a tap that lies outside the image at some positions covers only the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tt_nn._compute.backend import loop
from tt_nn._compute.threads import parallel

from .layout import Array, batch_last, empty_images, in_order, is_batch_last
from .sizes import Pair

_CHUNK = 1 << 18  # elements of the output at a time: most of a chunk stays in cache
_SMALL = 1 << 18  # elements below which one thread is done before another has started


class Windows(NamedTuple):
    """How windows lie on an image.

    Attributes:
        image: Height and width of the image.
        shape: How many windows there are, down and across.
        kernel: Height and width of a window.
        stride: Steps between windows.
        padding: What they may reach over the edge of the image, on all sides.
        dilation: Steps between the places of a window.
    """

    image: Pair
    shape: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def taps(self, top: int, bottom: int) -> Iterator[tuple[int, Any, Any]]:
        """Yield each place in a window, the windows where it is on the image, and the pixels there.

        Args:
            top: The first row of windows.
            bottom: The row after the last.
        """
        for i in range(self.kernel[0]):
            rows = self._covered(0, i, top, bottom)
            for j in range(self.kernel[1]) if rows is not None else ():
                columns = self._covered(1, j, 0, self.shape[1])
                if rows is not None and columns is not None:
                    windows, pixels = zip(rows, columns, strict=True)
                    yield i * self.kernel[1] + j, (..., *windows), (..., *pixels)

    def _covered(self, d: int, tap: int, start: int, stop: int) -> tuple[slice, slice] | None:
        stride, offset = self.stride[d], tap * self.dilation[d] - self.padding[d]
        first = max(start, -(offset // stride))
        last = min(stop - 1, (self.image[d] - 1 - offset) // stride)
        if last < first:
            return None
        low, high = first * stride + offset, last * stride + offset
        return slice(first, last + 1), slice(low, high + 1, stride)

    @property
    def apart(self) -> bool:
        """Whether no pixel belongs to two windows."""
        return all(
            s >= d * (k - 1) + 1
            for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True)
        )

    @property
    def complete(self) -> bool:
        """Whether each pixel belongs to just one window."""
        return (
            self.kernel == self.stride
            and self.dilation == (1, 1)
            and self.padding == (0, 0)
            and all(o * s >= n for o, s, n in zip(self.shape, self.stride, self.image, strict=True))
        )

    def first_taps(self) -> Array:
        """Return for each window the first of its places that is on the image."""
        rows, columns = (
            np.maximum(0, -(-(p - s * np.arange(o)) // d))
            for p, s, o, d in zip(self.padding, self.stride, self.shape, self.dilation, strict=True)
        )
        first: Array = rows[:, None] * self.kernel[1] + columns
        return first

    def sizes(self, *, count_include_pad: bool) -> Array:
        """Return how many places each window has: on the image, or on the padded one."""
        counts = []
        for n, o, k, s, p in zip(
            self.image, self.shape, self.kernel, self.stride, self.padding, strict=True
        ):
            start = np.arange(o) * s - p
            stop = np.minimum(start + k, n + p)
            if not count_include_pad:
                start, stop = np.maximum(start, 0), np.minimum(stop, n)
            counts.append(stop - start)
        sizes: Array = counts[0][:, None] * counts[1]
        return sizes


def _by_rows(
    run: Callable[[int, int], None], windows: Windows, size: int, *, alone: bool = False
) -> None:
    """Run over rows of windows, a few at a time, in several threads if it is worth it.

    Args:
        run: Takes the first row and the one after the last.
        windows: The windows.
        size: The size of the output of all of them.
        alone: Whether rows write to each other's memory.
    """
    rows = windows.shape[0]
    if not size:
        return
    step = max(1, _CHUNK * rows // size)

    def chunks(start: int, stop: int) -> None:
        for top in range(start, stop, step):
            run(top, min(top + step, stop))

    if size * windows.kernel[0] * windows.kernel[1] < _SMALL or alone:
        chunks(0, rows)
    else:
        parallel(chunks, rows)


def _by_loop(name: str, windows: Windows, rows: int, *images: Array) -> bool:
    """Let a compiled loop do the work, row by row of its result, if there is one for this case.

    Args:
        name: The loop.
        windows: The windows.
        rows: How many rows the result has.
        *images: Of a batch in its order of memory; what the loop reads and writes.

    Returns:
        Whether it is done.
    """
    kernel, x = loop(name), images[0]
    if kernel is None or x.dtype.char not in "fd" or not is_batch_last(len(x)):
        return False  # NumPy is the faster one where runs are short
    if windows.dilation != (1, 1):
        return False
    arrays = [batch_last(each) for each in images]  # views

    def run(start: int, stop: int) -> None:
        kernel(*arrays, windows.kernel, windows.stride, windows.padding, start, stop)

    if x.size < _SMALL:
        run(0, rows)
    else:
        parallel(run, rows)
    return True


def _empty(x: Array, shape: Pair) -> Array:
    return empty_images((*x.shape[:2], *shape), x.dtype)


# Maxima


def maxima(x: Array, windows: Windows) -> Array:
    """Return the largest value of every window, NaN if there is one."""
    x = in_order(x)
    out = _empty(x, windows.shape)
    places = empty_images(out.shape, _place_dtype(windows))
    if _by_loop("max_pool", windows, windows.shape[0], x, out, places):
        return out

    def run(top: int, bottom: int) -> None:
        filled = windows.padding == (0, 0)
        if not filled:
            out[:, :, top:bottom] = _lowest(x.dtype)
        for tap, where, pixels in windows.taps(top, bottom):
            target = out[where]
            if not tap and filled:
                target[...] = x[pixels]
            else:
                np.maximum(target, x[pixels], out=target)

    _by_rows(run, windows, out.size)
    return out


def winners(x: Array, windows: Windows) -> tuple[Array, Array]:
    """Return the largest value of every window and its place in the window.

    Of equal values the first wins, of NaNs the last.
    """
    x = in_order(x)
    out = _empty(x, windows.shape)
    places = empty_images(out.shape, _place_dtype(windows))
    if _by_loop("max_pool", windows, windows.shape[0], x, out, places):
        return out, places

    def walk(top: int, bottom: int, *, nan: bool) -> None:
        rows = (slice(None), slice(None), slice(top, bottom))
        filled = windows.padding == (0, 0)
        if filled:
            places[rows] = 0
        else:
            out[rows] = _lowest(x.dtype)
            places[rows] = windows.first_taps()[top:bottom]
        for tap, where, pixels in windows.taps(top, bottom):
            value, best, place = x[pixels], out[where], places[where]
            if not tap and filled:
                best[...] = value
                continue
            wins = value > best
            if nan:
                wins |= value != value  # where it is NaN
            np.maximum(best, value, out=best)
            # Places rise, and of two that are compared the later one wins.
            np.maximum(place, wins * places.dtype.type(tap), out=place)

    def run(top: int, bottom: int) -> None:
        walk(top, bottom, nan=False)
        if x.dtype.kind == "f" and np.isnan(out[:, :, top:bottom]).any():
            walk(top, bottom, nan=True)

    _by_rows(run, windows, out.size)
    return out, places


def scatter(g: Array, places: Array, windows: Windows) -> Array:
    """Return an image with each window's number at its winner's place, added where several meet."""
    g = in_order(g)
    out = _empty(g, windows.image)
    if _by_loop("max_pool_slope", windows, windows.image[0], g, places, out):
        return out
    if not windows.complete:
        out[...] = 0

    def run(top: int, bottom: int) -> None:
        for tap, where, pixels in windows.taps(top, bottom):
            target = out[pixels]
            if windows.apart:
                _select(g[where], places[where], tap, out=target)
            else:
                target += _select(g[where], places[where], tap)

    _by_rows(run, windows, g.size, alone=not windows.apart)
    return out


def gather(x: Array, places: Array, windows: Windows) -> Array:
    """Return what is at each window's winner's place: the transpose of `scatter`."""
    x = in_order(x)
    out = _empty(x, windows.shape)
    out[...] = 0

    def run(top: int, bottom: int) -> None:
        for tap, where, pixels in windows.taps(top, bottom):
            out[where] += _select(x[pixels], places[where], tap)

    _by_rows(run, windows, out.size)
    return out


def _select(x: Array, places: Array, tap: int, out: Array | None = None) -> Array:
    """Return x where ``places`` is ``tap`` and 0 elsewhere, infinities and NaNs included.

    The bits of x and a mask of ones or zeros: NumPy's ``where`` takes three times as long.
    """
    mask = np.negative((places == tap).view(np.int8))
    if out is None:
        out = np.empty_like(x)
    bits = f"i{x.itemsize}"
    np.bitwise_and(x.view(bits), mask, out=out.view(bits))
    return out


def _place_dtype(windows: Windows) -> type[np.integer[Any]]:
    return np.uint8 if windows.kernel[0] * windows.kernel[1] <= 256 else np.int32


def _lowest(dtype: np.dtype[Any]) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


# Sums


def sums(x: Array, windows: Windows) -> Array:
    """Return the sum of every window."""
    x = in_order(x)
    out = _empty(x, windows.shape)

    def run(top: int, bottom: int) -> None:
        filled = windows.padding == (0, 0)
        if not filled:
            out[:, :, top:bottom] = 0
        for tap, where, pixels in windows.taps(top, bottom):
            target = out[where]
            if not tap and filled:
                target[...] = x[pixels]
            else:
                target += x[pixels]

    _by_rows(run, windows, out.size)
    return out


def spread(g: Array, windows: Windows) -> Array:
    """Return an image to each pixel of which the numbers of its windows are added."""
    g = in_order(g)
    out = _empty(g, windows.image)
    if not windows.complete:
        out[...] = 0

    def run(top: int, bottom: int) -> None:
        for _, where, pixels in windows.taps(top, bottom):
            if windows.apart:
                out[pixels] = g[where]
            else:
                out[pixels] += g[where]

    _by_rows(run, windows, g.size, alone=not windows.apart)
    return out

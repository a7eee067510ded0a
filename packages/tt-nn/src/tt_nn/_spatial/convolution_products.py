"""Convolution as matrix products, in two ways that suit the two orders of memory.

A batch that lies in memory as (H, W, C, N) needs no im2col matrix: for each pixel of the output
and each row of the kernel there is one product with a (kw * C, N) matrix that is there already.
In C order, parts of images are copied to im2col matrices that stay in cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tt_nn._compute.threads import parallel

from .layout import Array, batch_last, is_batch_last
from .sizes import Pair

Padding = tuple[Pair, Pair]  # ((top, bottom), (left, right)); what is negative is cut off

# The most elements of an im2col matrix: what stays in a core's second-level cache. One is larger
# only where a single position of the kernel needs more.
TILE = 1 << 17
_BLOCK = 128  # images in one product: BLAS multiplies small matrices without copying them first
_FEW = 24  # rows of an operand below which those of all the kernel are joined by a copy
_MANY = 48  # rows of an operand from which on it is worth while to transpose the other one
_SMALL = 1 << 22  # multiplications that are done before another thread has started


class Geometry(NamedTuple):
    """How a kernel moves over an image.

    Attributes:
        kernel: Its height and width.
        shape: The height and width of the output.
        stride: Its steps.
        padding: The zeros around the image.
        dilation: The steps between its weights.
        groups: How many groups of channels are convolved apart.
    """

    kernel: Pair
    shape: Pair
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int


def multiply(
    input: Array, weight: Array, bias: Array | None, out: Array, geometry: Geometry
) -> None:
    """Convolve ``input`` into ``out``, which is in the order of memory for its batch."""
    windows = (_Rows if is_batch_last(len(input)) else _Columns)(input, geometry)
    windows.multiply(weight, bias, out)


def correlate(grad: Array, input: Array, geometry: Geometry) -> Array:
    """Return the gradient of the weight, in five dimensions: (G, O/G, C/G, kh, kw)."""
    return (_Rows if is_batch_last(len(input)) else _Columns)(input, geometry).correlate(grad)


class _Span(NamedTuple):
    """Outputs along one dimension for which the same weights of the kernel meet the image.

    Attributes:
        start: The first output.
        stop: The end of the outputs.
        low: The first weight.
        high: The end of the weights; ``low`` if there is none.
    """

    start: int
    stop: int
    low: int
    high: int


class _Tile(NamedTuple):
    """Outputs whose operands stay in cache: rows and columns of pixels, and some of the images."""

    y: slice
    x: slice
    images: slice
    down: _Span
    across: _Span


class _Rows:
    """Windows of a batch that lies in memory as (H, W, C, N).

    Operands of products have the shape (rows of pixels, pixels, groups, rows, N), where the rows
    are
    ``"row"``: the channels of a row of the kernel, (kw, C); there is an operand for each ky,
    ``"tap"``: the channels of one weight of the kernel, (C/G); an operand for each (ky, kx),
    ``"all"``: everything, (kh, kw, C/G), where that is little, copied a tile at a time.
    The first two pad nothing: a product takes the weights that meet the image and no others,
    which saves a copy, and two fifths of the work for an image of 3 x 3.
    """

    def __init__(self, input: Array, geometry: Geometry) -> None:
        (kh, kw), (ho, wo), (sy, sx), padding, (dy, dx), groups = geometry
        x = batch_last(input)
        each = x.shape[2] // groups
        self.by = "row" if groups == 1 and (dx == 1 or kw == 1) else "tap"
        self.rows = each * kw if self.by == "row" else each
        if self.rows < _FEW and kh * kw > 1 and (groups == 1 or each > 1):
            self.by, self.rows = "all", kh * kw * each
            x = _pad(x, padding, 0)
            padding = (0, 0), (0, 0)
        (top, _), (left, _) = padding
        self.down = _spans(x.shape[0], ho, kh, sy, top, dy)
        self.across = _spans(x.shape[1], wo, kw, sx, left, dx)
        self.x, self.corner = x, (top, left)
        self.geometry, self.n, self.each = geometry, x.shape[3], each
        self.views = {
            (span.low, span.high): self.view(span.high - span.low) for span in self.across
        }

    def view(self, wide: int) -> Array:
        """Return the image as operands that reach over ``wide`` weights of a row of the kernel."""
        x, each = self.x, self.each
        high, across, channels, n = x.shape
        (kh, kw), (ho, wo), (sy, sx), _, (dy, dx), groups = self.geometry
        s0, s1, s2, s3 = x.strides
        if self.by == "tap" or not wide:
            return x.reshape((high, across, groups, each, n))
        if self.by == "row":  # the strides of the weights are those of C continued
            shape: tuple[int, ...] = (high, across - wide + 1, 1, wide * channels, n)
            strides: tuple[int, ...] = (s0, s1, 0, s2, s3)
        else:
            shape = (ho, wo, groups, kh, kw, each, n)
            strides = (sy * s0, sx * s1, each * s2, dy * s0, dx * s1, s2, s3)
        return as_strided(x, shape, strides, writeable=False)

    def tiles(self, out_rows: int) -> list[_Tile]:
        """Cut the output into tiles that stay in cache."""
        blocks = -(-self.n // _BLOCK)
        width = -(-self.n // blocks)
        most = max(self.rows, out_rows) * self.geometry.groups * width
        pixels = max(1, TILE // most)
        tiles = []
        for down in self.down:
            for across in self.across:
                wide = min(pixels, across.stop - across.start)
                high = pixels // wide
                tiles += [
                    _Tile(
                        slice(y, min(y + high, down.stop)),
                        slice(x, min(x + wide, across.stop)),
                        slice(i, min(i + width, self.n)),
                        down,
                        across,
                    )
                    for y in range(down.start, down.stop, high)
                    for x in range(across.start, across.stop, wide)
                    for i in range(0, self.n, width)
                ]
        return tiles

    def at(self, tile: _Tile) -> Iterator[tuple[int, slice, Array]]:
        """Yield the operands at a tile: which kernel each meets, which of its rows, and itself."""
        _, kw = self.geometry.kernel
        (sy, sx), (dy, dx) = self.geometry.stride, self.geometry.dilation
        (y, x, images, down, across), (top, left) = tile, self.corner
        view = self.views[across.low, across.high]
        if self.by == "all":
            part = view[y, x, ..., images]  # (rows of pixels, pixels, groups, kh, kw, C/G, images)
            yield 0, slice(None), part.reshape((*part.shape[:3], self.rows, part.shape[-1]))
            return
        if across.low == across.high:  # all padding
            return
        for i in range(down.low, down.high):
            rows = _every(y, sy, i * dy - top)
            if self.by == "row":
                weights = slice(across.low * self.each, across.high * self.each)
                columns = _every(x, sx, across.low * dx - left)
                yield i, weights, view[rows, columns, ..., images]
                continue
            for j in range(across.low, across.high):
                columns = _every(x, sx, j * dx - left)
                yield i * kw + j, slice(None), view[rows, columns, ..., images]

    def multiply(self, weight: Array, bias: Array | None, out: Array) -> None:
        (kh, kw), (ho, wo), *_, groups = self.geometry
        many = len(weight) // groups
        order = {"row": (3, 0, 1, 4, 2), "tap": (3, 4, 0, 1, 2), "all": (0, 1, 3, 4, 2)}[self.by]
        ordered = weight.reshape((groups, many, self.each, kh, kw)).transpose(order)
        kernels = ordered.reshape((-1, groups, many, self.rows))  # one for each operand
        offset = None if bias is None else bias.reshape((groups, many, 1))
        target = batch_last(out).reshape((ho, wo, groups, many, self.n))
        times = np.multiply if self.rows == 1 else np.matmul
        tiles = self.tiles(many)

        def run(start: int, stop: int) -> None:
            spare = np.empty(0, target.dtype)
            for tile in tiles[start:stop]:
                total = target[tile.y, tile.x, ..., tile.images]
                if spare.size < total.size:
                    spare = np.empty(total.size, target.dtype)
                more = spare[: total.size].reshape(total.shape)
                first = True
                for k, weights, operand in self.at(tile):
                    times(kernels[k, ..., weights], operand, out=total if first else more)
                    if not first:
                        total += more
                    first = False
                if first:
                    total.fill(0)
                if offset is not None:
                    total += offset

        _share(run, len(tiles), out.size * self.each * kh * kw)

    def correlate(self, grad: Array) -> Array:
        (kh, kw), (ho, wo), *_, groups = self.geometry
        many = grad.shape[1] // groups
        g = batch_last(grad).reshape((ho, wo, groups, many, self.n))
        tiles = self.tiles(many)
        count = {"row": kh, "tap": kh * kw, "all": 1}[self.by]

        def run(start: int, stop: int) -> Array:
            sums = np.zeros((count, groups, self.rows, many), grad.dtype)
            for tile in tiles[start:stop]:
                part = g[tile.y, tile.x, ..., tile.images]
                if self.rows > 1:
                    part = part.swapaxes(-1, -2)  # (rows of pixels, pixels, groups, images, O/G)
                    if self.rows >= _MANY:
                        part = np.ascontiguousarray(part)
                for k, weights, operand in self.at(tile):
                    if self.rows > 1:
                        sums[k, :, weights] += np.matmul(operand, part).sum(axis=(0, 1))
                    else:
                        sums[k] += np.vecdot(operand, part).sum(axis=(0, 1))[:, None]
            return sums

        parts = _share(run, len(tiles), grad.size * self.each * kh * kw)
        total = _sum(parts)
        shape, order = {
            "row": ((kh, groups, kw, self.each, many), (1, 4, 3, 0, 2)),
            "tap": ((kh, kw, groups, self.each, many), (2, 4, 3, 0, 1)),
            "all": ((groups, kh, kw, self.each, many), (0, 4, 3, 1, 2)),
        }[self.by]
        return total.reshape(shape).transpose(order)


def _spans(
    size: int, count: int, taps: int, stride: int, before: int, dilation: int
) -> list[_Span]:
    """Group the outputs along a dimension by the weights that meet the image."""
    spans: list[_Span] = []
    for i in range(count):
        start = i * stride - before  # what the first weight meets
        low = min(taps, max(0, -(start // dilation)))
        high = max(low, min(taps, -((start - size) // dilation)))
        if spans and spans[-1][2:] == (low, high):
            spans[-1] = spans[-1]._replace(stop=i + 1)
        else:
            spans.append(_Span(i, i + 1, low, high))
    return spans


def _every(outputs: slice, stride: int, offset: int) -> slice:
    """Return what one weight meets at some outputs."""
    start = outputs.start * stride + offset
    return slice(start, start + (outputs.stop - outputs.start - 1) * stride + 1, stride)


class _Columns:
    """Windows of a small batch in C order, as im2col matrices (groups, C/G * kh * kw, pixels)."""

    def __init__(self, input: Array, geometry: Geometry) -> None:
        (kh, kw), (ho, wo), (sy, sx), padding, (dy, dx), groups = geometry
        x = np.ascontiguousarray(_pad(input, padding, 2))
        n, channels = x.shape[:2]
        each = channels // groups
        s0, s1, s2, s3 = x.strides
        self.view = as_strided(
            x,
            (n, groups, each, kh, kw, ho, wo),
            (s0, each * s1, s1, dy * s2, dx * s3, sy * s2, sx * s3),
            writeable=False,
        )
        self.geometry, self.each, self.rows = geometry, each, each * kh * kw
        # Whole rows of the output in a tile, or a part of one
        most = max(1, TILE // (channels * kh * kw))
        high, wide = max(1, most // wo), min(most, wo)
        self.tiles = [
            (i, y, min(y + high, ho), x, min(x + wide, wo))
            for i in range(n)
            for y in range(0, ho, high)
            for x in range(0, wo, wide)
        ]

    def at(self, start: int, stop: int) -> Iterator[tuple[int, slice, Array]]:
        """Yield the image, its pixels and their matrix, for some of the tiles."""
        wo = self.geometry.shape[1]
        for i, top, bottom, left, right in self.tiles[start:stop]:
            part = self.view[i, ..., top:bottom, left:right]
            pixels = slice(top * wo + left, (bottom - 1) * wo + right)
            yield i, pixels, part.reshape((self.geometry.groups, self.rows, -1))

    def multiply(self, weight: Array, bias: Array | None, out: Array) -> None:
        groups = self.geometry.groups
        many = len(weight) // groups
        kernel = weight.reshape((groups, many, self.rows))
        offset = None if bias is None else bias.reshape((groups, many, 1))
        target = out.reshape((len(out), groups, many, -1))

        def run(start: int, stop: int) -> None:
            for i, pixels, matrix in self.at(start, stop):
                total = target[i, ..., pixels]
                np.matmul(kernel, matrix, out=total)
                if offset is not None:
                    total += offset

        _share(run, len(self.tiles), out.size * self.rows)

    def correlate(self, grad: Array) -> Array:
        groups = self.geometry.groups
        many = grad.shape[1] // groups
        g = grad.reshape((len(grad), groups, many, -1))

        def run(start: int, stop: int) -> Array:
            total = np.zeros((groups, many, self.rows), grad.dtype)
            for i, pixels, matrix in self.at(start, stop):
                total += g[i, ..., pixels] @ matrix.swapaxes(-1, -2)
            return total

        total = _sum(_share(run, len(self.tiles), grad.size * self.rows))
        return total.reshape((groups, many, self.each, *self.geometry.kernel))


def _share(run: Callable[[int, int], Any], count: int, work: int) -> list[Any]:
    """Run over tiles, in several threads if the work is worth it."""
    return [run(0, count)] if work < _SMALL else parallel(run, count)


def _sum(parts: list[Array]) -> Array:
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


def _pad(x: Array, padding: Padding, axis: int) -> Array:
    """Surround dimensions ``axis`` and ``axis + 1`` with zeros, or cut them off."""
    if padding == ((0, 0), (0, 0)):
        return x
    shape = list(x.shape)
    inner: list[slice] = [slice(None)] * x.ndim
    source = inner.copy()
    for d, (before, after) in enumerate(padding, axis):
        size = shape[d]
        shape[d] = size + before + after
        start, stop = max(before, 0), min(before + size, shape[d])
        inner[d] = slice(start, max(start, stop))
        source[d] = slice(start - before, max(start, stop) - before)
    out = np.empty(shape, x.dtype)
    border: list[slice] = [slice(None)] * x.ndim
    for d in (axis, axis + 1):
        for side in (slice(0, inner[d].start), slice(inner[d].stop, None)):
            out[(*border[:d], side, *border[d + 1 :])] = 0
        border[d] = inner[d]
    out[tuple(inner)] = x[tuple(source)]
    return out

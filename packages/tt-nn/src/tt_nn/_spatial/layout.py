"""How the memory of a batch of images is ordered; its shape is (N, C, H, W) whatever the order.

Large batches lie in memory as (H, W, C, N): for each pixel one (C, N) matrix. A row of a
convolution's kernel then meets one contiguous (kw * C, N) matrix, which the matrix product takes
as it is, and a window of a pool consists of contiguous runs. Smaller batches are in C order.
Elementwise operations keep either order by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
BATCH_LAST = 16  # from this many images on the batch is the last dimension in memory
_BLOCK = 64  # pixels; measured best of 8 to 256 for 128 images of 8 x 8 pixels
_FEW = 1 << 16  # elements, below which NumPy's copy is as fast


def is_batch_last(n: int) -> bool:
    """Return whether a batch of ``n`` images lies in memory as (H, W, C, N)."""
    return n >= BATCH_LAST


def batch_last(images: Array) -> Array:
    """Return (N, C, H, W) as C-contiguous (H, W, C, N): a view if it lies so in memory."""
    rows = images.transpose(2, 3, 1, 0)
    if rows.flags.c_contiguous or not images.flags.c_contiguous or images.size < _FEW:
        return np.ascontiguousarray(rows)
    n, channels, height, width = images.shape
    pixels = images.reshape((n, channels, height * width))
    out = np.empty((height * width, channels, n), images.dtype)
    for c, p in _blocks(channels, height * width):
        block = np.ascontiguousarray(pixels[:, c, p])
        out[p, c] = block.transpose(2, 1, 0)
    return out.reshape(rows.shape)


def batch_first(images: Array) -> Array:
    """Return (N, C, H, W) as a C-contiguous array: itself if it is one."""
    rows = images.transpose(2, 3, 1, 0)
    if images.flags.c_contiguous or not rows.flags.c_contiguous or images.size < _FEW:
        return np.ascontiguousarray(images)
    n, channels, height, width = images.shape
    pixels = rows.reshape((height * width, channels, n))
    out = np.empty((n, channels, height * width), images.dtype)
    for c, p in _blocks(channels, height * width):
        block = np.ascontiguousarray(pixels[p, c].transpose(1, 0, 2))
        out[:, c, p] = block.transpose(2, 0, 1)
    return out.reshape(images.shape)


def _blocks(channels: int, pixels: int) -> Iterator[tuple[slice, slice]]:
    """Cut channels and pixels into blocks that can be transposed inside the cache.

    NumPy's own copy steps through memory by whole rows, which takes five times as long where
    their bytes are a power of two, as for 128 images.
    """
    many = max(1, _BLOCK // max(1, pixels))
    for c in range(0, channels, many):
        for p in range(0, pixels, _BLOCK):
            yield slice(c, c + many), slice(p, p + _BLOCK)


def as_images(rows: Array) -> Array:
    """Return (H, W, C, N) as (N, C, H, W), a view."""
    return rows.transpose(3, 2, 0, 1)


def empty_images(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return an array of shape (N, C, H, W) in the order of memory for its batch."""
    n, channels, height, width = shape
    if is_batch_last(n):
        return as_images(np.empty((height, width, channels, n), dtype))
    return np.empty(shape, dtype)


def in_order(images: Array) -> Array:
    """Return (N, C, H, W) in the order of memory for its batch, itself if it is."""
    if is_batch_last(len(images)):
        return as_images(batch_last(images))
    return np.ascontiguousarray(images)

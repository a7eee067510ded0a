"""Reading idx files, gzipped or not: http://yann.lecun.com/exdb/mnist describes the format."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ._errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
BYTES = 0x08  # the code of the type of the elements: unsigned bytes
MOST_ITEMS = 100_000
CHUNK = 1 << 20


def read_idx(path: Path, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes.

    Args:
        path: The file.
        item_shape: The shape that each item must have.

    Returns:
        The items, (N, *item_shape).

    Raises:
        DataError: The file cannot be read or is malformed.
    """
    with opened(path) as file:
        words = np.frombuffer(_read(file, path, 4 * (2 + len(item_shape))), ">u4").tolist()
        magic, count, shape = words[0], words[1], tuple(words[2:])
        expected = BYTES << 8 | (1 + len(item_shape))
        if magic != expected:
            raise malformed(path, f"expected the magic number {expected}, got {magic}")
        if shape != item_shape:
            raise malformed(path, f"expected items of shape {item_shape}, got {shape}")
        if not 0 < count <= MOST_ITEMS:
            raise malformed(path, f"expected 1 to {MOST_ITEMS} items, its header says {count}")
        data = _read(file, path, count * math.prod(item_shape))
        if file.read(1):
            raise malformed(path, f"there is more in it than the {count} items of its header")
    return np.frombuffer(data, np.uint8).reshape(count, *item_shape)


def check_labels(path: Path, labels: NDArray[np.uint8], classes: int) -> None:
    """Refuse labels that are not below the number of classes.

    Raises:
        DataError: One of them is.
    """
    if labels.max() >= classes:
        item = int(np.argmax(labels >= classes))
        raise malformed(
            path, f"expected labels from 0 to {classes - 1}, got {labels[item]} for item {item}"
        )


def malformed(path: Path, problem: str) -> DataError:
    """Make the error about a file whose content is not what it must be."""
    return DataError(
        f"{path} is malformed: {problem}. Put the official file in its place, or delete it to have "
        "it downloaded."
    )


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, through gzip if it is compressed, and name it in every error.

    Raises:
        DataError: It cannot be read, or its compression is damaged.
    """
    try:
        with open(path, "rb") as raw:
            compressed = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            yield cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if compressed else raw
    except EOFError:
        raise malformed(path, "its gzip stream is cut short") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise malformed(path, f"its gzip stream is damaged: {error}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _read(file: BinaryIO, path: Path, size: int) -> bytearray:
    """Read exactly so many bytes, never asking for more at once than may be there."""
    data = bytearray()
    while len(data) < size:
        chunk = file.read(min(CHUNK, size - len(data)))
        if not chunk:
            raise malformed(path, f"it is cut short: {len(data)} bytes where {size} must be")
        data += chunk
    return data

"""Blocks of tokens to predict the next one in, from memory or from a file that is mapped to it."""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tt_tensor import Tensor, from_numpy

from ._dataset import Dataset, as_number
from ._errors import DataError
from ._replacing import replacing
from ._sampler import Indices
from ._tokenizer import Tokenizer

# The start of a .npy file of one dimension of unsigned integers, version 1.0 of the format. What
# NumPy would evaluate of a header is matched here instead, so that nothing else gets through.
MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<|]u[124])', 'fortran_order': False, 'shape': \((\d{1,15}),\), \} *\n"
)


class TokenBlocks(Dataset[tuple[Tensor, Tensor]]):
    """A sequence of tokens as blocks to predict the next token in.

    Item ``i`` is a pair of int64 tensors of ``block_size`` ids: the tokens from ``i * stride`` on,
    and those one further on, which are to be predicted. A batch is gathered by one call.

    A file, as `write_tokens` makes it, is mapped to memory, not read: only the blocks of a batch
    are, so it may be larger than memory. Blocks at random places, of which there may be too many
    for an epoch, are drawn by ``RandomSampler(blocks, replacement=True, num_samples=...)``.

    Args:
        tokens: A file, or a sequence of ids.
        block_size: Tokens in a block.
        stride: Tokens from the start of a block to that of the next one: 1 for every block that
            there is, ``block_size`` for blocks that do not overlap.
        vocab_size: Where it is given, ids of a file that are not below it are an error.

    Attributes:
        tokens: The ids, an array of unsigned integers.

    Raises:
        DataError: The file cannot be read, is no token file or is cut short; also from taking
            items, where an id is out of range or the file has changed since.
        TypeError: The ids are not whole numbers of one dimension.
        ValueError: No block of that size fits, or a number is less than 1.

    Example:
        >>> import tempfile, tt_data
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     count = tt_data.write_tokens(f"{folder}/tokens.npy", [range(9)], vocab_size=9)
        ...     blocks = tt_data.TokenBlocks(f"{folder}/tokens.npy", block_size=3, stride=2)
        ...     count, len(blocks), blocks[1]
        (9, 3, (tensor([2, 3, 4]), tensor([3, 4, 5])))
    """

    def __init__(
        self,
        tokens: str | os.PathLike[str] | Sequence[int] | Tensor | NDArray[np.integer[Any]],
        block_size: int,
        *,
        stride: int = 1,
        vocab_size: int | None = None,
    ) -> None:
        name = type(self).__name__
        self._path: Path | None = None
        if isinstance(tokens, str | os.PathLike):
            self._path = Path(tokens)
            self.tokens, self._opened = _map(self._path)
        else:
            self.tokens = _as_array(name, tokens)
        if len(self.tokens) < 2:
            raise ValueError(
                f"{name}: expected at least 2 tokens, one to read and the next one to predict, got "
                f"{len(self.tokens)}"
            )
        if not 1 <= block_size < len(self.tokens):
            raise ValueError(
                f"{name}: expected a block_size from 1 to {len(self.tokens) - 1}, got "
                f"{block_size} for {len(self.tokens)} tokens"
            )
        if stride < 1 or (vocab_size is not None and vocab_size < 1):
            raise ValueError(
                f"{name}: expected a stride and a vocab_size of at least 1, got {stride} and "
                f"{vocab_size}"
            )
        self.block_size, self.stride, self.vocab_size = block_size, stride, vocab_size
        # A view: (N, block_size + 1), the targets being the inputs moved by one.
        self._blocks = sliding_window_view(self.tokens, block_size + 1)[::stride]

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: int, /) -> tuple[Tensor, Tensor]:
        block = self._read(as_number(index))
        return from_numpy(block[:-1]), from_numpy(block[1:])

    def gather(self, indices: Indices) -> tuple[Tensor, Tensor]:
        """Return the blocks of some numbers, (N, block_size) each."""
        blocks = self._read(indices)
        return from_numpy(blocks[:, :-1]), from_numpy(blocks[:, 1:])

    def check_file(self) -> None:
        """Refuse to go on where the file has changed; in memory nothing does.

        To call before ``tokens`` are read: a mapped file that was cut would end the process.

        Raises:
            DataError: The file has changed since it was opened.
        """
        if self._path is not None and _identity(self._path) != self._opened:
            raise DataError(f"{self._path} has changed since it was opened; open it again.")

    def _read(self, numbers: int | Indices) -> NDArray[np.int64]:
        """Copy blocks, (..., block_size + 1), unless their file has changed or is corrupt."""
        self.check_file()
        ids: NDArray[np.int64] = self._blocks[numbers].astype(np.int64)
        if self._path is None:
            return ids
        if self.vocab_size is not None and ids.size and ids.max() >= self.vocab_size:
            raise _refused(self._path, f"expected ids below {self.vocab_size}, it has {ids.max()}")
        return ids


class TextDataset(TokenBlocks):
    """A text's tokens, in memory, as blocks to predict the next token in.

    Args:
        text: The text.
        tokenizer: What makes tokens of it.
        block_size: Tokens in a block.
        stride: Tokens from the start of a block to that of the next one.

    Raises:
        ValueError: No block of that size fits, or the stride is less than 1.

    Example:
        >>> import tt_data
        >>> text = "to be or not to be"
        >>> tokenizer = tt_data.CharTokenizer.train(text)
        >>> data = tt_data.TextDataset(text, tokenizer, block_size=5)
        >>> inputs, targets = data[3]
        >>> tokenizer.decode(inputs), tokenizer.decode(targets)
        ('be or', 'e or ')
    """

    def __init__(
        self, text: str, tokenizer: Tokenizer, block_size: int, *, stride: int = 1
    ) -> None:
        self.tokenizer = tokenizer
        ids = np.array(tokenizer.encode(text), _dtype(tokenizer.vocab_size))
        super().__init__(ids, block_size, stride=stride, vocab_size=tokenizer.vocab_size)


def write_tokens(
    path: str | os.PathLike[str],
    sequences: Iterable[Iterable[int] | Tensor | NDArray[np.integer[Any]]],
    vocab_size: int,
) -> int:
    """Write sequences of ids, one after the other, to a file for `TokenBlocks`.

    It is a .npy file of the smallest unsigned integers that hold the vocabulary, whole or not at
    all. One sequence is in memory at a time.

    Args:
        path: The file; one that is there is replaced.
        sequences: Ids, such as what ``encode_batch`` returns, or a generator of what ``encode``
            does, document by document.
        vocab_size: How many tokens there are.

    Returns:
        How many tokens were written.

    Raises:
        OSError: It cannot be written.
        TypeError: A sequence is none of whole numbers.
        ValueError: An id is not in the vocabulary.

    Example:
        >>> import tempfile, tt_data
        >>> tokenizer = tt_data.ByteBPETokenizer()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     documents = (tokenizer.encode(text) for text in ["To be", " or not"])
        ...     tt_data.write_tokens(f"{folder}/tokens.npy", documents, tokenizer.vocab_size)
        12
    """
    if not 1 <= vocab_size <= 1 << 32:
        raise ValueError(f"write_tokens: expected a vocab_size from 1 to 2**32, got {vocab_size}")
    dtype, count = _dtype(vocab_size), 0
    with replacing(path) as file:
        _write_header(file, dtype, 0)
        start = file.tell()
        for i, sequence in enumerate(sequences):
            is_array = isinstance(sequence, Tensor | np.ndarray)
            if not is_array and not isinstance(sequence, Iterable):
                raise TypeError(
                    f"write_tokens: expected sequences of ids, got a {type(sequence).__name__}; "
                    "one sequence alone is written as [ids]"
                )
            ids = _as_array("write_tokens", sequence if is_array else list(sequence))
            if ids.size and not 0 <= ids.min() <= ids.max() < vocab_size:
                wrong = ids[(ids < 0) | (ids >= vocab_size)][0]
                raise ValueError(
                    f"write_tokens: expected ids from 0 to {vocab_size - 1}, got {wrong} in "
                    f"sequence {i}"
                )
            file.write(ids.astype(dtype).tobytes())
            count += len(ids)
        file.seek(0)
        _write_header(file, dtype, count)  # NumPy leaves room for the count to grow
        if file.tell() != start:
            raise OSError(f"write_tokens: the header has no room for {count} tokens")
    return count


def _dtype(vocab_size: int) -> np.dtype[Any]:
    """Return the smallest type of unsigned integers, little-endian, that holds every id."""
    return np.min_scalar_type(vocab_size - 1).newbyteorder("<")


def _as_array(name: str, ids: object) -> NDArray[Any]:
    """Return ids as an array of one dimension."""
    array = ids.numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise TypeError(
            f"{name}: expected ids as whole numbers in one dimension, got {array.dtype} of shape "
            f"{array.shape}"
        )
    return array


def _write_header(file: BinaryIO, dtype: np.dtype[Any], count: int) -> None:
    header = {"descr": dtype.str, "fortran_order": False, "shape": (count,)}
    write_array_header_1_0(file, header)


def _map(path: Path) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Map a token file to memory; return its ids and what tells whether it has changed."""
    try:
        identity = _identity(path)
        with open(path, "rb") as file:
            start = file.read(len(MAGIC) + 2)
            if len(start) < len(MAGIC) + 2 or not start.startswith(MAGIC):
                raise _refused(path, "it is no .npy file of version 1.0")
            (length,) = struct.unpack_from("<H", start, len(MAGIC))
            header = HEADER.fullmatch(file.read(length))
            if header is None:
                raise _refused(path, "its header is not of unsigned integers in one dimension")
            dtype, count, offset = np.dtype(header[1].decode()), int(header[2]), file.tell()
            size = os.fstat(file.fileno()).st_size
            if size != offset + count * dtype.itemsize:
                problem = f"has {size} bytes, its header says {offset + count * dtype.itemsize}"
                raise _refused(path, f"it {problem}")
            if not count:
                return np.empty(0, dtype), identity  # nothing to map
            # A plain array: the class of a mapped one costs time with every index.
            return np.memmap(file, dtype, "r", offset, (count,)).view(np.ndarray), identity
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _identity(path: Path) -> tuple[int, ...]:
    """Return what changes where a file is replaced or written to; nothing if it is gone."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _refused(path: Path, problem: str) -> DataError:
    return DataError(f"{path} is no token file: {problem}. Write it anew with write_tokens.")

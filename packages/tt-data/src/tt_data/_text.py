"""Text data sets."""

from __future__ import annotations

import gzip
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from tt_tensor import Tensor, from_numpy

from ._token_blocks import TokenBlocks
from ._tokenizer import Ids, as_ids


class TinyShakespeare(TokenBlocks):
    """Shakespeare's plays, 1,115,394 characters, as blocks to predict the next character in.

    It ships with the package. Gathered by Karpathy for "The Unreasonable Effectiveness of
    Recurrent Neural Networks", 2015. Item ``i`` is a pair of int64 tensors of ``block_size``
    numbers of characters: those from ``i`` on, and those from ``i + 1`` on.

    Args:
        train: Whether to take the first nine tenths of the text or the last one.
        block_size: Characters in a block.

    Attributes:
        text: The part of the text.
        characters: The 65 characters of the whole text, in the order of their numbers.

    Raises:
        ValueError: No block of that size fits into the text.

    Example:
        >>> import tt_data
        >>> plays = tt_data.TinyShakespeare(block_size=8)
        >>> inputs, targets = plays[0]
        >>> plays.decode(inputs), plays.decode(targets)
        ('First Ci', 'irst Cit')
    """

    def __init__(self, train: bool = True, *, block_size: int = 128) -> None:
        packed = files("tt_data").joinpath("files/tiny_shakespeare.txt.gz").read_bytes()
        whole = gzip.decompress(packed).decode("ascii")
        cut = len(whole) * 9 // 10
        self.text = whole[:cut] if train else whole[cut:]
        self.characters = "".join(sorted(set(whole)))
        super().__init__(self._encode(self.text), block_size)

    def encode(self, text: str) -> Tensor:
        """Return the numbers of a text's characters.

        Raises:
            ValueError: A character does not occur in the plays.
        """
        if unknown := set(text) - set(self.characters):
            raise ValueError(f"encode: {min(unknown)!r} does not occur in the plays")
        return from_numpy(self._encode(text).astype(np.int64))

    def decode(self, numbers: Ids) -> str:
        """Return the text of characters with such numbers.

        Raises:
            ValueError: There is no character of a number.
        """
        return "".join([self.characters[i] for i in as_ids(numbers, len(self.characters))])

    def _encode(self, text: str) -> NDArray[np.uint8]:
        table = np.zeros(128, np.uint8)
        table[[ord(character) for character in self.characters]] = range(len(self.characters))
        return table[np.frombuffer(text.encode("ascii"), np.uint8)]

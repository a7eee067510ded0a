"""Characters as tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from ._tokenizer import Ids, Tokenizer, as_ids, as_texts, check_text


class CharTokenizer(Tokenizer):
    """Characters as tokens: the id of one is its place in an alphabet.

    Decoding gives back every text of the alphabet's characters.

    Args:
        characters: The alphabet, each character once.
        unk: The character of the alphabet that stands for those that are not in it. Unless
            given, they are an error.

    Raises:
        ValueError: The alphabet is empty, has a character twice, or lacks ``unk``.

    Example:
        >>> import tt_data
        >>> tokenizer = tt_data.CharTokenizer.train("to be or not to be")
        >>> tokenizer.characters
        ' benort'
        >>> tokenizer.encode("robot"), tokenizer.decode([1, 4, 3, 2])
        ([5, 4, 1, 4, 6], 'bone')
    """

    def __init__(self, characters: str, unk: str | None = None) -> None:
        check_text("CharTokenizer", characters)
        self.characters = characters
        self.unk = unk
        self._ids = {character: i for i, character in enumerate(characters)}
        if not characters or len(self._ids) < len(characters):
            twice = next((c for i, c in enumerate(characters) if self._ids[c] != i), None)
            problem = "has none" if twice is None else f"has {twice!r} twice"
            raise ValueError(f"CharTokenizer: expected each character once, the alphabet {problem}")
        if unk is None:
            return
        check_text("CharTokenizer", unk)
        if unk not in self._ids:
            raise ValueError(f"CharTokenizer: expected unk to be in the alphabet, got {unk!r}")

    @classmethod
    def train(cls, text: str | Iterable[str], *, unk: str | None = None) -> Self:
        """Make a tokenizer of the characters of a text, in the order of their code points.

        Args:
            text: One text or several.
            unk: A character that stands for all others; it joins the alphabet.
        """
        alphabet = set[str]().union(*as_texts("train", text), unk or "")
        return cls("".join(sorted(alphabet)), unk)

    @property
    def vocab_size(self) -> int:
        """How many characters the alphabet has."""
        return len(self.characters)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's characters.

        Raises:
            ValueError: One is not in the alphabet and there is no ``unk``.
        """
        check_text("encode", text)
        if self.unk is not None:
            unknown = self._ids[self.unk]
            return [self._ids.get(character, unknown) for character in text]
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            (character,) = error.args
            raise ValueError(
                f"encode: {character!r} at position {text.index(character)} is not in the "
                f"alphabet of {self.vocab_size} characters; train on a text that has it, or give "
                "the tokenizer an unk"
            ) from None

    def decode(self, ids: Ids) -> str:
        """Return the text of characters with such ids.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        return "".join([self.characters[i] for i in as_ids(ids, self.vocab_size)])

    def _state(self) -> dict[str, Any]:
        return {"characters": self.characters, "unk": self.unk}

"""Words as tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from ._tokenizer import MOST_TOKENS, Ids, Tokenizer, as_ids, as_texts, check_text

UNK = "<unk>"
# Words, with the apostrophes inside them, and single marks.
TOKEN = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
SPACE_BEFORE_MARK = re.compile(r" (?=[.,;:!?)\]}])")


class WordTokenizer(Tokenizer):
    """Words and punctuation marks as tokens, the most frequent ones known, the others one token.

    What decoding cannot give back: which unknown words there were, and how words were spaced. It
    puts one space between two tokens, and none before a mark that closes something. Encoding what
    was decoded from known words gives the same ids.

    Args:
        words: The known words and marks, each once, whose ids run from 1. Id 0 is ``<unk>``.

    Raises:
        ValueError: One stands twice, or would not come out of a text as one token.

    Example:
        >>> import tt_data
        >>> tokenizer = tt_data.WordTokenizer.train("To be, or not to be: that's it.")
        >>> tokenizer.words[:4]
        ('be', ',', '.', ':')
        >>> tokenizer.encode("to be or to do")
        [10, 1, 8, 10, 0]
        >>> tokenizer.decode([10, 1, 8, 10, 0, 3])
        'to be or to <unk>.'
    """

    def __init__(self, words: Sequence[str]) -> None:
        if isinstance(words, str) or not isinstance(words, Sequence):
            raise TypeError(f"WordTokenizer: expected words, got a {type(words).__name__}")
        if len(words) >= MOST_TOKENS:
            raise ValueError(
                f"WordTokenizer: expected less than {MOST_TOKENS} words, got {len(words)}"
            )
        self.words = tuple(words)
        self._ids: dict[str, int] = {}
        for i, word in enumerate(self.words, start=1):
            check_text("WordTokenizer", word)
            if TOKEN.fullmatch(word) is None:
                raise ValueError(f"WordTokenizer: {word!r:.100} is neither a word nor a mark")
            if self._ids.setdefault(word, i) != i:
                raise ValueError(f"WordTokenizer: {word!r:.100} stands twice among the words")

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int | None = None) -> Self:
        """Make a tokenizer of the most frequent words and marks of a text.

        Args:
            text: One text or several.
            vocab_size: How many tokens there are at most, ``<unk>`` included; no limit unless
                given. Of words that are equally frequent the first in the order of code points
                are taken.

        Raises:
            ValueError: ``vocab_size`` is less than 1.
        """
        if vocab_size is not None and vocab_size < 1:
            raise ValueError(f"train: expected a vocab_size of at least 1, got {vocab_size}")
        counts = Counter[str]()
        for each in as_texts("train", text):
            counts.update(TOKEN.findall(each))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(words if vocab_size is None else words[: vocab_size - 1])

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, ``<unk>`` included."""
        return 1 + len(self.words)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's words and marks, 0 for those that are not known."""
        check_text("encode", text)
        return [self._ids.get(token, 0) for token in TOKEN.findall(text)]

    def decode(self, ids: Ids) -> str:
        """Return the words with such ids as one text.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        tokens = [self.words[i - 1] if i else UNK for i in as_ids(ids, self.vocab_size)]
        return SPACE_BEFORE_MARK.sub("", " ".join(tokens))

    def _state(self) -> dict[str, Any]:
        return {"words": list(self.words)}

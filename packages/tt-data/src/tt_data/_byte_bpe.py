"""Byte-level byte-pair encoding."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain, pairwise
from typing import Any, Literal, Self

from ._bpe_training import BYTES, MOST_TOKEN_BYTES, TO_IDS, Pair, learn_merges
from ._tokenizer import MOST_TOKENS, Ids, Tokenizer, as_ids, as_texts, check_text, several

# GPT-2's way to cut text into pieces that no token goes beyond: endings after an apostrophe, runs
# of letters, of digits, of other marks, each with a space before it, and other white space. `re`
# has no \p{L} and \p{N}: letters are [^\W\d_] here, numbers \d.
PIECE = re.compile(
    r"'(?:[sdmt]|ll|ve|re)| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+",
)

AllowedSpecial = Literal["all"] | Collection[str]


class ByteBPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding, as in GPT-2.

    Text is cut into pieces, about words, and each piece into its UTF-8 bytes. Then the two
    neighbours that come first in the list of merges become one token, again and again. As every
    byte is a token, decoding gives back every text and every sequence of bytes.

    Ids from 0 to 255 are the bytes in GPT-2's order, those after them the merges in theirs, the
    last ones the special tokens. Special tokens stand for themselves, such as for the end of a
    document. They come out of a text only where they are allowed, so that text of others cannot
    forge them.

    Letters and numbers are those of `re`: unlike in GPT-2, numbers that are no decimal digits,
    such as "²" and "Ⅷ", count as letters, and the separators U+001C to U+001F as white space.

    Sources: Gage, "A New Algorithm for Data Compression", 1994; Sennrich et al., "Neural Machine
    Translation of Rare Words with Subword Units", 2016; Radford et al., "Language Models are
    Unsupervised Multitask Learners", 2019.

    Args:
        merges: Pairs of ids, in the order in which they are merged.
        special_tokens: Their texts.

    Attributes:
        merges: The pairs.
        special_tokens: The id of each special token.

    Raises:
        TypeError: A merge is no pair of ids, or a special token no text.
        ValueError: A merge has an id of no token before it or makes a token that there is already,
            a special token is empty or stands twice or is another token's text, or there are too
            many tokens or too long ones.

    Example:
        >>> import tt_data
        >>> tokenizer = tt_data.ByteBPETokenizer.train(
        ...     "low lower lowest", vocab_size=260, special_tokens=["<|end|>"]
        ... )
        >>> [tokenizer.decode([i]) for i in tokenizer.encode("slowest <|end|>")]
        ['s', 'low', 'e', 's', 't', ' ', '<', '|', 'e', 'n', 'd', '|', '>']
        >>> tokenizer.encode("<|end|>", allowed_special="all")
        [259]
    """

    def __init__(self, merges: Iterable[Pair] = (), special_tokens: Iterable[str] = ()) -> None:
        for name, value in (("merges", merges), ("special_tokens", special_tokens)):
            if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
                raise TypeError(
                    f"ByteBPETokenizer: expected {name} to be a list, got {type(value).__name__}"
                )
        self._tokens = [bytes([byte]) for byte in BYTES]
        self._merged: dict[Pair, int] = {}
        known = set(self._tokens)
        room = MOST_TOKEN_BYTES - len(known)
        for merge in merges:
            pair = self._checked_merge(merge)
            token = self._tokens[pair[0]] + self._tokens[pair[1]]
            room -= len(token)
            if token in known or room < 0:
                problem = "there is already" if token in known else "has too many bytes"
                raise ValueError(
                    f"ByteBPETokenizer: merge {len(self._merged)}, {pair}, makes a token that "
                    f"{problem}"
                )
            self._merged[pair] = len(self._tokens)
            self._tokens.append(token)
            known.add(token)
        self.special_tokens: dict[str, int] = {}
        for text in special_tokens:
            check_text("ByteBPETokenizer", text)
            token = text.encode()
            if not token or token in known:
                problem = "is a token already" if token else "is empty"
                raise ValueError(f"ByteBPETokenizer: the special token {text!r:.100} {problem}")
            self.special_tokens[text] = len(self._tokens)
            self._tokens.append(token)
            known.add(token)
        if len(self._tokens) > MOST_TOKENS:
            raise ValueError(
                f"ByteBPETokenizer: expected at most {MOST_TOKENS} tokens, got {len(self._tokens)}"
            )
        self._pieces = _Cache(self._encode_piece)

    def _checked_merge(self, merge: object) -> Pair:
        match merge:
            case [int(left), int(right)] if bool not in (type(left), type(right)):
                pair = left, right
            case _:
                raise TypeError(
                    f"ByteBPETokenizer: expected merge {len(self._merged)} to be two ids, got "
                    f"{merge!r:.100}"
                )
        if not 0 <= min(pair) <= max(pair) < len(self._tokens):
            raise ValueError(
                f"ByteBPETokenizer: merge {len(self._merged)}, {pair}, has an id of no token that "
                f"is there by then; expected 0 to {len(self._tokens) - 1}"
            )
        return pair

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        *,
        special_tokens: Iterable[str] = (),
        min_frequency: int = 2,
    ) -> Self:
        """Learn merges from a text: each time the pair of neighbours that is the most frequent.

        Of pairs that are equally frequent the one with the lower ids is merged. The text of
        special tokens is left out.

        Args:
            text: One text or several.
            vocab_size: How many tokens there are at most, bytes and special tokens included.
            special_tokens: Their texts.
            min_frequency: How often a pair must occur to be merged; what occurs less often is
                left apart, and the vocabulary may be smaller than asked for.

        Raises:
            ValueError: ``vocab_size`` has no room for the bytes and the special tokens, or is too
                large; or a number is out of range.

        Example:
            >>> import tt_data
            >>> tokenizer = tt_data.ByteBPETokenizer.train("aaa aaa", 300)
            >>> [tokenizer.decode_bytes([i]) for i in range(256, tokenizer.vocab_size)]
            [b'aa', b'aaa']
        """
        # It also checks the special tokens, before any work.
        untrained = cls(special_tokens=special_tokens)
        if not untrained.vocab_size <= vocab_size <= MOST_TOKENS or min_frequency < 1:
            raise ValueError(
                f"train: expected a vocab_size from {untrained.vocab_size} (the bytes and special "
                f"tokens) to {MOST_TOKENS} and min_frequency of at least 1, got {vocab_size} and "
                f"{min_frequency}"
            )
        pieces = Counter[str]()
        for each in as_texts("train", text):
            for part in _split(each, untrained.special_tokens)[::2]:
                pieces.update(PIECE.findall(part))
        words = {piece.encode(): count for piece, count in pieces.items()}
        merges = learn_merges(words, vocab_size - untrained.vocab_size, min_frequency)
        return cls(merges, list(untrained.special_tokens))

    @property
    def merges(self) -> list[Pair]:
        """The pairs of ids that are merged, in order."""
        return list(self._merged)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are, bytes and special tokens included."""
        return len(self._tokens)

    def encode(self, text: str, *, allowed_special: AllowedSpecial = ()) -> list[int]:
        """Return the ids of a text's tokens.

        Args:
            text: The text.
            allowed_special: The special tokens that stand for themselves where the text has them,
                or "all". The others' texts are text like any other.

        Raises:
            ValueError: The text has a lone surrogate, or an allowed token is none.
        """
        check_text("encode", text)
        parts = _split(text, self._allowed(allowed_special))
        ids: list[int] = []
        for i, part in enumerate(parts):
            ids += [self.special_tokens[part]] if i % 2 else self._encode_ordinary(part)
        return ids

    def encode_batch(
        self, texts: Iterable[str], *, allowed_special: AllowedSpecial = ()
    ) -> list[list[int]]:
        """Return the ids of each text, as `encode` does.

        Raises:
            TypeError: It is a single text.
        """
        return [self.encode(text, allowed_special=allowed_special) for text in several(texts)]

    def encode_bytes(self, data: bytes | bytearray | memoryview) -> list[int]:
        """Return the ids of tokens for any bytes; of UTF-8 those that its text has.

        Args:
            data: Bytes, or any object that gives its memory away, such as an array.

        Raises:
            TypeError: It is neither, such as text.
        """
        try:
            given = bytes(memoryview(data))
        except TypeError:
            raise TypeError(
                f"encode_bytes: expected bytes, got {type(data).__name__}; encode takes text"
            ) from None
        return self._encode_ordinary(given.decode(errors="surrogateescape"))

    def decode(
        self, ids: Ids, *, skip_special_tokens: bool = False, errors: str = "replace"
    ) -> str:
        """Return the text of tokens with such ids.

        Args:
            ids: The ids.
            skip_special_tokens: Whether to leave special tokens out.
            errors: What to do with bytes that are no UTF-8, such as those of a character that is
                cut: "replace" puts "�" in their place, "strict" raises; see `bytes.decode`.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        values = as_ids(ids, self.vocab_size)
        if skip_special_tokens:
            ordinary = self.vocab_size - len(self.special_tokens)
            values = [value for value in values if value < ordinary]
        return b"".join(map(self._tokens.__getitem__, values)).decode(errors=errors)

    def decode_batch(
        self, batch: Iterable[Ids], *, skip_special_tokens: bool = False, errors: str = "replace"
    ) -> list[str]:
        """Return the text of each sequence of ids, as `decode` does."""
        return [
            self.decode(ids, skip_special_tokens=skip_special_tokens, errors=errors)
            for ids in batch
        ]

    def decode_bytes(self, ids: Ids) -> bytes:
        """Return the bytes of tokens with such ids.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        return b"".join(map(self._tokens.__getitem__, as_ids(ids, self.vocab_size)))

    def _allowed(self, allowed: AllowedSpecial) -> Collection[str]:
        if allowed == "all":
            return self.special_tokens
        if isinstance(allowed, str) or not self.special_tokens.keys() >= set(allowed):
            raise ValueError(
                f"encode: expected allowed_special to be 'all' or some of "
                f"{list(self.special_tokens)}, got {allowed!r}"
            )
        return allowed

    def _encode_ordinary(self, text: str) -> list[int]:
        """Encode text without special tokens; surrogates stand for single bytes."""
        pieces = map(self._pieces.__getitem__, PIECE.findall(text))
        return list(chain.from_iterable(pieces))

    def _encode_piece(self, piece: str) -> tuple[int, ...]:
        """Merge a piece's bytes, always the leftmost of the pairs that were learned first.

        A heap holds the pairs that can be merged, so that n bytes take O(n log n) steps.
        """
        ids = list(piece.encode(errors="surrogateescape").translate(TO_IDS))
        end = len(ids)
        before, after = list(range(-1, end - 1)), list(range(1, end + 1))  # neighbours' places
        merged = self._merged
        heap = [(merged[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in merged]
        heapq.heapify(heap)
        while heap:
            token, i = heapq.heappop(heap)
            j = after[i]
            if j == end or merged.get((ids[i], ids[j])) != token:
                continue  # one of the two was merged with another by then
            ids[i], ids[j] = token, -1  # -1: no token is here any more
            after[i] = k = after[j]
            if k < end:
                before[k] = i
                if (new := merged.get((token, ids[k]))) is not None:
                    heapq.heappush(heap, (new, i))
            h = before[i]
            if h >= 0 and (new := merged.get((ids[h], token))) is not None:
                heapq.heappush(heap, (new, h))
        return tuple([token for token in ids if token >= 0])

    def _state(self) -> dict[str, Any]:
        return {"merges": self.merges, "special_tokens": list(self.special_tokens)}


class _Cache(dict[str, tuple[int, ...]]):
    """Remembers what pieces of text were encoded as, up to a bound, then starts anew."""

    MOST_PIECES = 1 << 16
    LONGEST_PIECE = 64

    def __init__(self, encode: Callable[[str], tuple[int, ...]]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = self._encode(piece)
        if len(piece) <= self.LONGEST_PIECE:
            if len(self) >= self.MOST_PIECES:
                self.clear()
            self[piece] = ids
        return ids


def _split(text: str, special_tokens: Collection[str]) -> list[str]:
    """Cut a text at special tokens: every second part is one."""
    if not special_tokens:
        return [text]
    longest_first = sorted(special_tokens, key=len, reverse=True)
    return re.split(f"({'|'.join(map(re.escape, longest_first))})", text)

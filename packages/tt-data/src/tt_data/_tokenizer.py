"""What all tokenizers share: batches, and files of JSON in which nothing is trusted."""

from __future__ import annotations

import inspect
import json
import operator
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tt_tensor import Tensor

from ._errors import DataError
from ._replacing import replacing

Ids = Iterable[int] | Tensor | NDArray[np.integer[Any]]

VERSION = 1
MOST_BYTES = 1 << 23  # of a file: room for a vocabulary of 262,144
MOST_TOKENS = 1 << 18


class Tokenizer(ABC):
    """Turns text into the ids of tokens, and ids into text.

    A subclass defines `vocab_size`, `encode`, `decode` and `_state`: the arguments that make an
    equal tokenizer, by name, of types that JSON has.

    Example:
        >>> import tempfile, tt_data
        >>> tokenizer = tt_data.CharTokenizer("abn")
        >>> tokenizer.encode_batch(["banana", "nab"])
        [[1, 0, 2, 0, 2, 0], [2, 0, 1]]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tokenizer.save(f"{folder}/letters.json")
        ...     tt_data.CharTokenizer.load(f"{folder}/letters.json") == tokenizer
        True
    """

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """How many tokens there are; ids run from 0 to one less."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's tokens."""

    @abstractmethod
    def decode(self, ids: Ids) -> str:
        """Return the text of tokens with such ids."""

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """Return the arguments that make an equal tokenizer."""

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Return the ids of each text.

        Raises:
            TypeError: It is a single text.
        """
        return [self.encode(text) for text in several(texts)]

    def decode_batch(self, batch: Iterable[Ids]) -> list[str]:
        """Return the text of each sequence of ids."""
        return [self.decode(ids) for ids in batch]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer to a file of JSON, whole or not at all.

        Args:
            path: The file; one that is there is replaced.

        Raises:
            OSError: It cannot be written.
            ValueError: It would have more bytes than `load` reads.
        """
        content = {"schema": _schema(type(self)), "version": VERSION, **self._state()}
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        if len(data) > MOST_BYTES:
            raise ValueError(
                f"save: the file would have {len(data)} bytes, at most {MOST_BYTES} can be read"
            )
        with replacing(path) as file:
            file.write(data)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a tokenizer that `save` wrote. Nothing in the file is executed.

        Args:
            path: The file.

        Raises:
            DataError: It cannot be read, or is not the file of such a tokenizer; the message says
                why.
        """
        try:
            return cls(**_read(path, cls))
        except RecursionError:
            raise _refused(path, cls, "its JSON is nested too deeply") from None
        except (TypeError, ValueError) as error:
            raise _refused(path, cls, str(error)) from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokenizer):
            return NotImplemented
        return type(self) is type(other) and self._state() == other._state()

    __hash__ = None  # type: ignore[assignment]  # as of all that is equal by content

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size})"


def as_ids(ids: Ids, vocab_size: int) -> list[int]:
    """Return ids as a list of ints that are all in the vocabulary.

    Raises:
        TypeError: They are not a sequence of whole numbers.
        ValueError: One is not in the vocabulary.
    """
    try:
        numbers = ids.tolist() if isinstance(ids, Tensor | np.ndarray) else ids
        values = list(map(operator.index, numbers))
    except TypeError as error:
        raise TypeError(f"decode: expected a sequence of ids: {error}") from None
    if values and not 0 <= min(values) <= max(values) < vocab_size:
        i = next(i for i, value in enumerate(values) if not 0 <= value < vocab_size)
        raise ValueError(
            f"decode: expected ids from 0 to {vocab_size - 1}, got {values[i]} at position {i}"
        )
    return values


def check_text(name: str, text: object) -> None:
    """Refuse what is not text that UTF-8 can hold.

    Raises:
        TypeError: It is no str.
        ValueError: It has a lone surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"{name}: expected text, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: {text[error.start]!r} at position {error.start} is half of a character (a "
            "lone surrogate), which UTF-8 cannot hold; decode the text's source with "
            "errors='replace', or encode its bytes"
        ) from None


def as_texts(name: str, text: str | Iterable[str]) -> list[str]:
    """Return one text or several as a list, each checked by `check_text`."""
    texts = [text] if isinstance(text, str) else list(text)
    for each in texts:
        check_text(name, each)
    return texts


def several(texts: Iterable[str]) -> Iterable[str]:
    """Return texts; refuse a single one, whose characters would pass for them.

    Raises:
        TypeError: It is a str.
    """
    if isinstance(texts, str):
        raise TypeError("encode_batch: expected several texts, got a str; encode takes one text")
    return texts


def _schema(kind: type[Tokenizer]) -> str:
    return f"tt-data/{kind.__name__}"


def _read(path: str | os.PathLike[str], kind: type[Tokenizer]) -> dict[str, Any]:
    """Read the arguments of a kind of tokenizer, of whatever types the file has them."""
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(data) > MOST_BYTES:
        raise _refused(path, kind, f"it has more than {MOST_BYTES} bytes")
    try:
        content = json.loads(data.decode(), object_pairs_hook=_without_repetition)
    except ValueError as error:
        raise _refused(path, kind, f"it is no JSON: {error}") from None
    expected = ["schema", "version", *inspect.signature(kind).parameters]
    if not isinstance(content, dict):
        raise _refused(path, kind, f"expected an object, got a {type(content).__name__}")
    for name, value in (("schema", _schema(kind)), ("version", VERSION)):
        found = content.get(name)
        if type(found) is not type(value) or found != value:
            raise _refused(path, kind, f"expected the {name} {value!r}, got {_short(found)}")
    if sorted(content) != sorted(expected):
        raise _refused(path, kind, f"expected the keys {expected}, got {_short(list(content))}")
    return {name: content[name] for name in expected[2:]}


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return content


def _refused(path: str | os.PathLike[str], kind: type[Tokenizer], problem: str) -> DataError:
    return DataError(
        f"{path} is no file of a {kind.__name__}: {problem}. Save the tokenizer anew, or train it."
    )


def _short(value: object) -> str:
    """Return a value as it is shown in a message, however long it is."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"

"""Reading what someone else wrote: JSON that says each thing once, and values of the right kind."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NoReturn

Kind = Callable[[object, str], Any]

MAX_INT = 2**53  # what JSON's readers agree on
MAX_NESTING = 100  # a model of the language stays far below


class Rejected(Exception):
    """A submission that cannot be accepted, and why.

    Attributes:
        reasons: What is wrong, one sentence each.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(" ".join(reasons))
        self.reasons = reasons


def show(value: object) -> str:
    r"""Write a value for an error: short, on one line, in ASCII.

    Example:
        >>> show("caf\u00e9"), show(list(range(100)))
        ("'caf\\xe9'", '[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...')
    """
    if isinstance(value, int) and abs(value) > MAX_INT:
        return "an integer beyond all bounds"
    text = ascii(value)
    return text if len(text) <= 60 else text[:40] + "..."


def parse_json(data: bytes, where: str) -> object:
    """Parse JSON strictly: UTF-8, no key twice, no NaN or infinity, not too deep.

    Args:
        data: The text.
        where: What it is, for errors.

    Raises:
        Rejected: It is no such JSON.

    Example:
        >>> parse_json(b'{"a": 1}', "x.json")
        {'a': 1}
        >>> parse_json(b'{"a": 1, "a": 2}', "x.json")
        Traceback (most recent call last):
        tt_tito.benchmark._checks.Rejected: x.json: the key 'a' stands twice in one object.
    """

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in items:
            if key in found:
                raise Rejected(f"{where}: the key {show(key)} stands twice in one object.")
            found[key] = value
        return found

    def constant(name: str) -> NoReturn:
        raise Rejected(f"{where}: {name} is no number that JSON has.")

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except UnicodeDecodeError as error:
        raise Rejected(f"{where}: not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except RecursionError:
        raise Rejected(f"{where}: nested too deep.") from None
    except json.JSONDecodeError as error:
        raise Rejected(f"{where}: not JSON ({error.msg}, line {error.lineno}).") from None
    except ValueError:  # an integer of thousands of digits
        raise Rejected(f"{where}: a number in it has too many digits.") from None
    if _nests_deeper(value, MAX_NESTING):
        raise Rejected(f"{where}: nested too deep.")
    return value


def _nests_deeper(value: object, limit: int) -> bool:
    """Whether objects and lists stand in one another more than ``limit`` deep."""
    level = [value]
    for _ in range(limit):
        containers = (each for each in level if isinstance(each, dict | list))
        level = [
            inner
            for each in containers
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return any(isinstance(each, dict | list) for each in level)


def fields(
    value: object, where: str, required: Mapping[str, Kind], optional: Mapping[str, Kind]
) -> dict[str, Any]:
    """Check an object: the keys that it must have, those that it may have, and none else.

    Args:
        value: The object.
        where: What it is, for errors.
        required: Keys that it must have, with what each value is.
        optional: Keys that it may have.

    Raises:
        Rejected: It is not so.
    """
    if not isinstance(value, dict):
        raise Rejected(f"{where}: expected an object, got {show(value)}.")
    kinds = {**required, **optional}
    if unknown := [key for key in value if key not in kinds]:
        known = ", ".join(kinds) or "none"
        raise Rejected(f"{where}: unknown key {show(unknown[0])}; there are {known}.")
    if missing := [key for key in required if key not in value]:
        raise Rejected(f"{where}: the key {missing[0]!r} is missing.")
    return {key: kinds[key](item, f"{where}: {key}") for key, item in value.items()}


def integer(low: int, high: int) -> Kind:
    """A whole number from ``low`` to ``high``."""

    def check(value: object, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Rejected(f"{where}: expected an integer from {low} to {high}, got {show(value)}.")
        return value

    return check


def number(low: float, high: float = math.inf) -> Kind:
    """A finite number from ``low`` to ``high``."""

    def check(value: object, where: str) -> float:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not isinstance(value, int | float) or not good or abs(value) > 1e300:
            raise Rejected(f"{where}: expected a finite number, got {show(value)}.")
        if not low <= value <= high:
            bound = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
            raise Rejected(f"{where}: expected a number {bound}, got {show(value)}.")
        return float(value)

    return check


def flag(value: object, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Rejected(f"{where}: expected true or false, got {show(value)}.")
    return value


def one_of(choices: Collection[object]) -> Kind:
    """One of some strings or numbers."""

    def check(value: object, where: str) -> object:
        if not isinstance(value, str | int) or isinstance(value, bool) or value not in choices:
            known = ", ".join(map(str, choices))
            raise Rejected(f"{where}: expected one of {known}, got {show(value)}.")
        return value

    return check


def text(limit: int) -> Kind:
    """A text of at least one character and at most ``limit``, all of which can be shown.

    Texts that look alike are one: spaces at the ends, several in a row, and the two ways to write
    an accented letter make no difference.
    """

    def check(value: object, where: str) -> str:
        if isinstance(value, str) and value.isprintable():
            plain = unicodedata.normalize("NFC", " ".join(value.split()))
            if 0 < len(plain) <= limit:
                return plain
        raise Rejected(f"{where}: expected 1 to {limit} printable characters, got {show(value)}.")

    return check


def sha256(value: object, where: str) -> str:
    """A SHA-256 digest in lower-case hexadecimal."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise Rejected(f"{where}: expected 64 hexadecimal digits, got {show(value)}.")
    return value


def one_or(kind: Kind, count: int) -> Kind:
    """What ``kind`` is, or a list of ``count`` of it."""

    def check(value: object, where: str) -> object:
        return row(kind, count)(value, where) if isinstance(value, list) else kind(value, where)

    return check


def row(kind: Kind, count: int) -> Kind:
    """A list of exactly ``count`` of what ``kind`` is."""

    def check(value: object, where: str) -> tuple[object, ...]:
        if not isinstance(value, list) or len(value) != count:
            raise Rejected(f"{where}: expected a list of {count}, got {show(value)}.")
        return tuple(kind(item, f"{where}[{i}]") for i, item in enumerate(value))

    return check


def items(value: object, where: str, limit: int) -> Sequence[object]:
    """A list of at most ``limit``, of anything."""
    if not isinstance(value, list):
        raise Rejected(f"{where}: expected a list, got {show(value)}.")
    if len(value) > limit:
        raise Rejected(f"{where}: expected at most {limit} entries, got {len(value)}.")
    return value

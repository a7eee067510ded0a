"""Checks of hyperparameters, whose errors name the class, the parameter and what was expected."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    low: float = 0.0,
    below: float = math.inf,
    positive: bool = False,
) -> None:
    """Refuse what is no number from ``low``, or above it if ``positive``, to under ``below``.

    Raises:
        TypeError: It is no number.
        ValueError: It is out of range.
    """
    expected = f"a number {'above' if positive else 'of at least'} {low:g}"
    if below < math.inf:
        expected += f" and below {below:g}"
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
        raise TypeError(f"{owner}: {name}: expected {expected}, got {value!r}")
    if not low <= value < below or (positive and value == low):
        raise ValueError(f"{owner}: {name}: expected {expected}, got {value!r}")


def check_fractions(owner: str, name: str, value: Any, count: int = 2) -> None:
    """Refuse what is no sequence of ``count`` numbers from 0 to under 1."""
    if not isinstance(value, tuple | list) or len(value) != count:
        raise TypeError(f"{owner}: {name}: expected {count} numbers, got {value!r}")
    for i, part in enumerate(value):
        check_number(owner, f"{name}[{i}]", part, below=1.0)


def has_keys(value: object, keys: Collection[str]) -> bool:
    """Return whether something is a mapping of exactly these keys."""
    return isinstance(value, Mapping) and value.keys() == set(keys)


def check_flags(owner: str, group: Mapping[str, Any], *names: str) -> None:
    """Refuse values that are neither True nor False."""
    for name in names:
        if not isinstance(group[name], bool):
            raise TypeError(f"{owner}: {name}: expected True or False, got {group[name]!r}")


def check_count(owner: str, name: str, value: Any, low: int = 1) -> None:
    """Refuse what is no integer of at least ``low``."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{owner}: {name}: expected an int, got {value!r}")
    if value < low:
        raise ValueError(f"{owner}: {name}: expected at least {low}, got {value!r}")

"""Numbers and names as a reader sees them, on the terminal and on the page."""

from __future__ import annotations

import re


def format_cell(value: str | int | float) -> str:
    """A table's cell as text: whole numbers grouped by thousands, others to four digits.

    Example:
        >>> format_cell(12345), format_cell(0.987654), format_cell("sigmoid")
        ('12,345', '0.9877', 'sigmoid')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}"


def in_words(name: str) -> str:
    """A metric's name as a reader sees it.

    Example:
        >>> in_words("held_out_accuracy")
        'held out accuracy'
    """
    return name.replace("_", " ")


def read_quantity(cell: str | int | float) -> tuple[float, str] | None:
    """The number that a table's cell stands for, and its unit; None of a text that is none.

    Times are in seconds and sizes in bytes, whichever unit the cell shows them in.

    Example:
        >>> read_quantity("2.5 MB"), read_quantity("12,345 /s"), read_quantity("40%")
        ((2500000.0, 'B'), (12345.0, '/s'), (40.0, '%'))
        >>> read_quantity("sigmoid")
    """
    if not isinstance(cell, str):
        return float(cell), ""
    if (found := QUANTITY.fullmatch(cell)) is None:
        return None
    unit, scale = UNITS.get(found["unit"], (found["unit"], 1.0))
    return float(found["number"].replace(",", "")) * scale, unit


QUANTITY = re.compile(r"(?P<number>[+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)\s*(?P<unit>.*)")
UNITS = {
    **{"ns": ("s", 1e-9), "µs": ("s", 1e-6), "ms": ("s", 1e-3)},
    **{"kB": ("B", 1e3), "MB": ("B", 1e6), "GB": ("B", 1e9)},
}


def format_seconds(seconds: float) -> str:
    """A time to three digits, in the largest unit of which there is one: s, ms, µs or ns.

    Args:
        seconds: The time.

    Returns:
        The time in words; never with an exponent.

    Example:
        >>> format_seconds(0.0000123), format_seconds(75.0), format_seconds(0.9999)
        ('12.3 µs', '75 s', '1 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= ROUNDS_TO_ONE * scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def format_bytes(count: float) -> str:
    """A size in memory to three digits, in the largest unit of which there is one: GB, MB, kB or B.

    Args:
        count: The bytes; a kB is 1000 of them.

    Returns:
        The size in words; never with an exponent.

    Example:
        >>> format_bytes(512), format_bytes(2_500_000), format_bytes(999_999)
        ('512 B', '2.5 MB', '1 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= ROUNDS_TO_ONE * scale:
            return f"{_three_digits(count / scale)} {unit}"
    return f"{count:.0f} B"


ROUNDS_TO_ONE = 0.9995  # from here on three digits show a unit as 1


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"

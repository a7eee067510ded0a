"""Figures as people read them: three digits and the unit that suits them."""

from __future__ import annotations

import math


def format_count(count: float) -> str:
    """A count, with a letter for its thousands.

    Example:
        >>> format_count(512), format_count(12_853_248)
        ('512', '12.9M')
    """
    return _scaled(count, ("", "k", "M", "G", "T", "P"))


def format_bytes(count: float) -> str:
    """A size in memory.

    Example:
        >>> format_bytes(512), format_bytes(2_500_000)
        ('512 B', '2.50 MB')
    """
    return _scaled(count, (" B", " kB", " MB", " GB", " TB"))


def format_rate(rate: float, unit: str) -> str:
    """How much there is in a second.

    Example:
        >>> format_rate(206e9, "FLOP")
        '206 GFLOP/s'
    """
    return _scaled(rate, tuple(f" {prefix}{unit}/s" for prefix in ("", "k", "M", "G", "T", "P")))


def format_seconds(seconds: float) -> str:
    """A time.

    Example:
        >>> format_seconds(0.0000123), format_seconds(75.0)
        ('12.3 µs', '75 s')
    """
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{_digits(seconds * factor)} {unit}"
    return f"{_digits(seconds * 1e9)} ns" if seconds else "0 s"


def _scaled(value: float, units: tuple[str, ...]) -> str:
    for unit in units[:-1]:
        if abs(value) < 999.5:
            return f"{_digits(value)}{unit}"
        value /= 1000
    return f"{_digits(value)}{units[-1]}"


def _digits(value: float) -> str:
    if value == int(value) and abs(value) < 1000:
        return f"{int(value)}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"

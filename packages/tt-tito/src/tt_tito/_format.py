"""Numbers and names as a reader sees them, on the terminal and on the page."""

from __future__ import annotations


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


def format_seconds(seconds: float) -> str:
    """A time in the unit that suits it.

    Example:
        >>> format_seconds(0.0000123), format_seconds(75.0)
        ('12.3 µs', '75 s')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def format_bytes(count: float) -> str:
    """A size in memory in the unit that suits it.

    Example:
        >>> format_bytes(512), format_bytes(2_500_000)
        ('512 B', '2.5 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"

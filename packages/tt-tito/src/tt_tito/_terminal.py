"""Plain text for a terminal of any width, with colour only where it is wanted."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap

CODES = {"green": "32", "yellow": "33", "red": "31", "bold": "1"}


def paragraph(text: str, *, first: str = "", rest: str = "") -> str:
    """Wrap a text to the terminal's width.

    Args:
        text: The text; its own line breaks are not kept.
        first: What the first line starts with.
        rest: What every other line starts with.
    """
    width = max(len(rest) + 12, min(shutil.get_terminal_size((100, 24)).columns, 100))
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def coloured(text: str, colour: str) -> str:
    """Colour a text if standard output is a terminal and ``NO_COLOR`` is not set."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\x1b[{CODES[colour]}m{text}\x1b[0m"


def print_error(program: str, message: str) -> None:
    """Print an error on standard error: one paragraph, and one for each further line it has."""
    first, *others = message.splitlines() or [""]
    print(paragraph(first, first=f"{program}: "), file=sys.stderr)
    for line in others:
        indent = " " * (len(line) - len(line.lstrip()))
        print(paragraph(line.strip(), first=indent, rest=2 * indent), file=sys.stderr)

"""How far a download is, on a terminal; nothing where the output goes elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

REDRAW_SECONDS = 0.1


class Progress:
    """A line on standard error that is drawn again as bytes arrive.

    Args:
        name: What is downloaded.
        total: Its bytes.
    """

    def __init__(self, name: str, total: int) -> None:
        self._name = name
        self._total = total
        self._drawn = 0.0
        self._shows = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def show(self, received: int) -> None:
        """Draw the line if that was not done just before."""
        if self._shows and (time.monotonic() - self._drawn > REDRAW_SECONDS):
            share = received / self._total
            bar = "#" * int(24 * share)
            size = f"{received / 1e6:.1f} of {self._total / 1e6:.1f} MB"
            sys.stderr.write(f"\r{self._name} [{bar:<24}] {share:4.0%} {size}")
            sys.stderr.flush()
            self._drawn = time.monotonic()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")  # back to the start of the line, and clear it
            sys.stderr.flush()

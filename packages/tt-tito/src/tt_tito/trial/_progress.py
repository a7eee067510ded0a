"""One line that says what is being done, on a terminal only."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def doing(text: str) -> Iterator[None]:
    """Show what is being done while it is, on standard error if that is a terminal.

    Threads beside the main one show nothing: there would be one line for several.

    Args:
        text: What it is, such as ``"building tt-tensor"``.
    """
    if not sys.stderr.isatty() or threading.current_thread() is not threading.main_thread():
        yield
        return
    width = max(20, shutil.get_terminal_size((80, 24)).columns) - 1
    print(f"\r{text} …"[: width + 1], end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r" + " " * width + "\r", end="", file=sys.stderr, flush=True)

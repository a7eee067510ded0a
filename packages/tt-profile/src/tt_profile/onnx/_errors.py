"""What export raises, and how it loads what `tt-profile[onnx]` brings."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class ExportError(ValueError):
    """A model cannot be said in ONNX as it is; the message says what, where, and what to do."""


def extra(name: str) -> Any:
    """Return a module that the extra ``onnx`` brings.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
        raise ImportError(
            f'tt_profile.onnx needs {name}, which is not installed: pip install "tt-profile[onnx]"',
            name=name,
        ) from None

"""How a tensor prints itself."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._modes import get_default_dtype

_PLACES = 4
_SEPARATOR = "\x1f"  # which no number contains


def format_tensor(array: NDArray[Any], *extras: str) -> str:
    """Return ``tensor(...)`` with the values to four places and whatever is not the default.

    Args:
        array: The values; more than a thousand are shortened to the outer ones.
        *extras: More to say before the closing bracket, such as ``requires_grad=True``.
    """
    options = np.get_printoptions()
    shortened = is_shortened(array)
    notes = list(extras)
    usual = (get_default_dtype(), np.dtype(np.int64), np.dtype(np.bool_))
    if array.dtype not in (usual if array.size else usual[:1]):
        notes.insert(0, f"dtype={array.dtype.name}")
    if shortened or (not array.size and array.ndim > 1):
        notes.insert(0, f"shape={array.shape}")
    places = _decimals(outer(array, options["edgeitems"]) if shortened else array)
    values = np.array2string(
        array,
        precision=places,
        floatmode="fixed",
        separator=", ",
        prefix="tensor(",
        suppress_small=places == 0,
    )
    text = f"tensor({', '.join([values, *notes])})"
    if notes and len(text.rsplit("\n", 1)[-1]) > options["linewidth"]:
        text = f"tensor({values},\n       {', '.join(notes)})"
    return text


def format_values(array: NDArray[Any]) -> list[str]:
    """Return the text of each element, in row-major order, as `format_tensor` writes them."""
    places = _decimals(array)
    text = np.array2string(
        array.ravel(),
        precision=places,
        floatmode="fixed",
        separator=_SEPARATOR,
        suppress_small=places == 0,
        threshold=sys.maxsize,
        max_line_width=sys.maxsize,
    )
    return [value.strip() for value in text[1:-1].split(_SEPARATOR)]


def is_shortened(array: NDArray[Any]) -> bool:
    """Return whether so many values are shortened to the outer ones."""
    return array.size > np.get_printoptions()["threshold"]


def _decimals(array: NDArray[Any]) -> int:
    """Return how many decimals to write: none where numbers print well without, as ``1.``."""
    finite = array[np.isfinite(array)].astype(np.float64)  # float16 has no 1e8 to compare with
    whole = np.all(finite == np.trunc(finite)) and np.all(np.abs(finite) < 1e8)
    return 0 if whole else _PLACES


def outer(array: NDArray[Any], edge: int) -> NDArray[Any]:
    """Return the elements that remain when the middle of every dimension is left out."""
    for dim, size in enumerate(array.shape):
        if size > 2 * edge:
            array = array.take([*range(edge), *range(-edge, 0)], axis=dim)
    return array

"""How a tensor prints itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._modes import get_default_dtype

_PLACES = 4


def format_tensor(array: NDArray[Any], *extras: str) -> str:
    """Return ``tensor(...)`` with the values to four places and whatever is not the default.

    Args:
        array: The values; more than a thousand are shortened to the outer ones.
        *extras: More to say before the closing bracket, such as ``requires_grad=True``.
    """
    options = np.get_printoptions()
    shortened = array.size > options["threshold"]
    notes = list(extras)
    usual = (get_default_dtype(), np.dtype(np.int64), np.dtype(np.bool_))
    if array.dtype not in (usual if array.size else usual[:1]):
        notes.insert(0, f"dtype={array.dtype.name}")
    if shortened or (not array.size and array.ndim > 1):
        notes.insert(0, f"shape={array.shape}")
    shown = _outer(array, options["edgeitems"]) if shortened else array
    places = 0 if _whole(shown) else _PLACES
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


def _whole(array: NDArray[Any]) -> bool:
    """Return whether numbers print well without decimals, as ``1.``."""
    finite = array[np.isfinite(array)].astype(np.float64)  # float16 has no 1e8 to compare with
    return bool(np.all(finite == np.trunc(finite)) and np.all(np.abs(finite) < 1e8))


def _outer(array: NDArray[Any], edge: int) -> NDArray[Any]:
    """Return the elements that remain when the middle of every dimension is left out."""
    for dim, size in enumerate(array.shape):
        if size > 2 * edge:
            array = array.take([*range(edge), *range(-edge, 0)], axis=dim)
    return array

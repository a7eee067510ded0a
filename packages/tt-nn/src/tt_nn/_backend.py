"""Which kernels do what is no matrix product: NumPy's, or loops compiled by numba."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from numpy.typing import NDArray

from . import _kernels, _loops
from ._threads import parallel

Backend = Literal["numpy", "numba"]
Kernel = Callable[..., Any]
Array = NDArray[Any]

VARIABLE = "TT_NN_BACKEND"
_LARGE = 1 << 19  # elements from which on a second thread is worth handing work to


def _choose(wish: str, numba: bool) -> Backend:
    """Return the backend for what the environment asks and what is installed."""
    if wish == "numpy" or (not wish and not numba):
        return "numpy"
    if wish not in ("", "numba"):
        raise ValueError(f"{VARIABLE}: expected 'numpy' or 'numba', got {wish!r}")
    if not numba:
        raise ImportError(
            f"{VARIABLE} asks for numba, which is not installed: pip install 'tt-nn[fast]'"
        )
    return "numba"


_backend = _choose(os.environ.get(VARIABLE, ""), find_spec("numba") is not None)


def backend() -> Backend:
    """Return what runs beside the matrix products, ``"numpy"`` or ``"numba"``.

    Chosen at import: numba where it is installed (``pip install 'tt-nn[fast]'``), unless the
    environment variable ``TT_NN_BACKEND`` names one of the two. Both give the same results, up
    to rounding.

    Example:
        >>> backend() in ("numpy", "numba")
        True
    """
    return _backend


@cache
def loop(name: str) -> Kernel | None:
    """Return a loop of `tt_nn._loops`, compiled for the types it is given; None with NumPy.

    Compiled loops let other threads run. They are kept on disk, beside the source or else in the
    user's cache folder; where neither can be written they are compiled anew in each process.
    """
    if _backend == "numpy":
        return None
    numba = import_module("numba")  # takes its time: not before it is needed
    # Sums may be taken in any order, as NumPy's are, which is what lets them be vectorised;
    # infinities and NaN stay what they are.
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "nsz", "contract"}}
    function = getattr(_loops, name)
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]  # untyped
    except RuntimeError:  # no place for a cache
        return numba.njit(**options)(function)  # type: ignore[no-any-return]  # untyped


def run(name: str, *arrays: Array) -> list[Any]:
    """Run a kernel over all of its arrays, shared among threads if they are large.

    Args:
        name: The function of `tt_nn._kernels`, or its twin in `tt_nn._loops`.
        *arrays: Its arguments but the last two. In single or double precision: numba has no
            arithmetic in half precision.

    Returns:
        What the kernel returned for each part that it was run on, in order.
    """
    kernel: Kernel = loop(name) or getattr(_kernels, name)
    count = len(arrays[0])
    if arrays[0].size < _LARGE:
        return [kernel(*arrays, 0, count)]
    return parallel(lambda lo, hi: kernel(*arrays, lo, hi), count)

"""Which kernels do what is no matrix product: NumPy's, or loops compiled by numba."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

from numpy.typing import NDArray

from . import kernels, loops
from .threads import parallel

Backend = Literal["numpy", "numba"]
Kernel = Callable[..., Any]
Array = NDArray[Any]

_LARGE = 1 << 19  # elements from which on a second thread is worth handing work to


def choose_backend(variable: str, extra: str) -> Backend:
    """Return the backend for what an environment variable asks and what is installed.

    Args:
        variable: Its name; ``"numpy"``, ``"numba"`` or nothing is its value.
        extra: What brings numba, for errors.

    Raises:
        ValueError: The variable has another value.
        ImportError: It asks for numba, which is not installed.
    """
    wish, numba = os.environ.get(variable, ""), find_spec("numba") is not None
    if wish == "numpy" or (not wish and not numba):
        return "numpy"
    if wish not in ("", "numba"):
        raise ValueError(f"{variable}: expected 'numpy' or 'numba', got {wish!r}")
    if not numba:
        raise ImportError(
            f"{variable} asks for numba, which is not installed: pip install '{extra}'"
        )
    return "numba"


def compiled(function: Kernel, **options: object) -> Kernel:
    """Return a loop compiled by numba for the types it is given, which lets other threads run.

    It is kept on disk, beside the source or else in the user's cache folder; where neither can be
    written it is compiled anew in each process.
    """
    numba = import_module("numba")  # takes its time: not before it is needed
    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return numba.njit(cache=True, **options)(function)  # type: ignore[no-any-return]  # untyped
    except RuntimeError:  # no place for a cache
        return numba.njit(**options)(function)  # type: ignore[no-any-return]  # untyped


_backend = choose_backend("TT_NN_BACKEND", "tt-nn[fast]")


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
    """Return a loop of `loops`, compiled; None with NumPy."""
    if _backend == "numpy":
        return None
    # Sums may be taken in any order, as NumPy's are, which is what lets them be vectorised;
    # infinities and NaN stay what they are.
    return compiled(getattr(loops, name), fastmath={"reassoc", "nsz", "contract"})


def run(name: str, *arrays: Array) -> list[Any]:
    """Run a kernel over all of its arrays, shared among threads if they are large.

    Args:
        name: The function of `kernels`, or its twin in `loops`.
        *arrays: Its arguments but the last two. In single or double precision: numba has no
            arithmetic in half precision.

    Returns:
        What the kernel returned for each part that it was run on, in order.
    """
    kernel: Kernel = loop(name) or getattr(kernels, name)
    count = len(arrays[0])
    if arrays[0].size < _LARGE:
        return [kernel(*arrays, 0, count)]
    return parallel(lambda lo, hi: kernel(*arrays, lo, hi), count)

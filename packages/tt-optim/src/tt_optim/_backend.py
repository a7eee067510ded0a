"""Which kernels update parameters: NumPy's, or compiled ones where numba is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from . import _kernels, _loops
from ._kernels import Array

Backend = Literal["numpy", "numba"]
Kernel = Callable[..., None]

VARIABLE = "TT_OPTIM_BACKEND"


def _choose(wish: str, numba: bool) -> Backend:
    """Return the backend for what the environment asks and what is installed."""
    if wish == "numpy" or (not wish and not numba):
        return "numpy"
    if wish not in ("", "numba"):
        raise ValueError(f"{VARIABLE}: expected 'numpy' or 'numba', got {wish!r}")
    if not numba:
        raise ImportError(
            f"{VARIABLE} asks for numba, which is not installed: pip install 'tt-optim[fast]'"
        )
    return "numba"


_backend = _choose(os.environ.get(VARIABLE, ""), find_spec("numba") is not None)


def backend() -> Backend:
    """Return which kernels the elementwise optimizers use, ``"numpy"`` or ``"numba"``.

    Chosen at import: numba where it is installed (``pip install 'tt-optim[fast]'``), unless the
    environment variable ``TT_OPTIM_BACKEND`` names one of the two. Both give the same results,
    up to rounding.

    Example:
        >>> backend() in ("numpy", "numba")
        True
    """
    return _backend


@cache
def _compiled(name: str) -> Kernel:
    """Return a loop compiled by numba, with the arguments of its NumPy twin."""
    numba = import_module("numba")  # takes its time: not before the first step
    # Aliases are told apart at run time, so that loops are vectorised; the lock is let go.
    compiled = numba.njit(cache=True, nogil=True, error_model="numpy")(getattr(_loops, name))

    def run(p: Array, *arguments: Any) -> None:
        number = p.dtype.type
        *given, _, _ = arguments  # intermediate results stay in registers
        compiled(p, *[value if isinstance(value, np.ndarray) else number(value) for value in given])

    return run


def kernel(name: str, dtype: np.dtype[Any]) -> tuple[Kernel, int]:
    """Return the kernel of a name and the number of elements to hand it at a time.

    NumPy's kernels make several passes, so their pieces are sized to stay in cache; a compiled
    kernel makes one.
    """
    if _backend == "numba" and dtype.itemsize >= 4:  # numba has no arithmetic in half precision
        return _compiled(name), _kernels.CHUNK * 4
    return getattr(_kernels, name), _kernels.CHUNK

"""Which kernels update parameters: NumPy's, or compiled ones where numba is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from . import _kernels, _loops
from ._kernels import CHUNK, Array

Backend = Literal["numpy", "numba"]
Kernel = Callable[[Sequence[Array], Sequence[float]], None]

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
def _compiled(name: str) -> Callable[..., None]:
    """Return a loop compiled by numba.

    It is kept on disk, beside the source or else in the user's cache folder; where neither can be
    written it is compiled anew in each process.
    """
    numba = import_module("numba")  # takes its time: not before the first step
    # Aliases are told apart at run time, so that loops are vectorised; the lock is let go.
    options = {"nogil": True, "error_model": "numpy"}
    loop = getattr(_loops, name)
    compiled: Callable[..., None]
    try:
        compiled = numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # no place for a cache
        compiled = numba.njit(**options)(loop)
    return compiled


@cache
def kernel(name: str, dtype: np.dtype[Any]) -> Kernel:
    """Return the kernel of a name: a function of the flat arrays and the numbers of its rule.

    NumPy's kernels make several passes, so they are handed pieces that stay in cache; a compiled
    one makes one pass, in which intermediate results stay in registers.
    """
    if _backend == "numpy" or dtype.itemsize < 4:  # numba has no arithmetic in half precision
        passes: Callable[..., None] = getattr(_kernels, name)

        def in_chunks(arrays: Sequence[Array], numbers: Sequence[float]) -> None:
            size = arrays[0].size
            t, u = np.empty((2, min(size, CHUNK)), dtype)
            for start in range(0, size, CHUNK):
                parts = [array[start : start + CHUNK] for array in arrays]
                n = parts[0].size
                passes(*parts, *numbers, t[:n], u[:n])

        return in_chunks
    compiled, number = _compiled(name), dtype.type

    def at_once(arrays: Sequence[Array], numbers: Sequence[float]) -> None:
        compiled(*arrays, *map(number, numbers))

    return at_once


def of_changed_gradient(run: Kernel, decay: float, maximize: bool) -> Kernel:
    """Return a kernel that turns the gradient round, or adds ``decay`` times the parameter."""

    def changed(arrays: Sequence[Array], numbers: Sequence[float]) -> None:
        size = arrays[0].size
        scratch = np.empty(min(size, CHUNK), arrays[0].dtype)
        for start in range(0, size, CHUNK):
            p, g, *state = [array[start : start + CHUNK] for array in arrays]
            t = scratch[: p.size]
            if decay:
                np.multiply(p, decay, out=t)
                (np.subtract if maximize else np.add)(t, g, out=t)
            else:
                np.negative(g, out=t)
            run([p, t, *state], numbers)

    return changed

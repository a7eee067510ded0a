"""Which kernels update parameters: NumPy's, or compiled ones where numba is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from tt_nn.seam import Backend, choose_backend, compiled

from . import _kernels, _loops
from ._kernels import CHUNK, Array

Kernel = Callable[[Sequence[Array], Sequence[float]], None]

_backend = choose_backend("TT_OPTIM_BACKEND", "tt-optim[fast]")


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
    # Aliases are told apart at run time, so that loops are vectorised.
    loop, number = compiled(getattr(_loops, name)), dtype.type

    def at_once(arrays: Sequence[Array], numbers: Sequence[float]) -> None:
        loop(*arrays, *map(number, numbers))

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

"""Processes that work together: which of them this one is, and how they add up."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar

import numpy as np
from numpy.typing import NDArray

from tt_tensor.seam import rows

# Adds up an array of every process that shares a batch; None where this one has all of it.
sum_over_batch: ContextVar[Callable[[NDArray[np.float64]], NDArray[np.float64]] | None] = (
    ContextVar("sum_over_batch", default=None)
)


def own_part(count: int) -> int:
    """Return how many of so many values count here: none of a row that stands in for none."""
    part = rows.get()
    return 0 if part is not None and not part.size else count


# The names of rank and size in the environment that launchers give to processes
_NAMES = (("PMI_RANK", "PMI_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"))


def launched() -> tuple[int, int] | None:
    """Return the rank of this process and how many there are; None if it was started alone.

    Only the environment is read, as ``mpiexec`` of MPICH and of Open MPI leave it.
    """
    for rank, size in _NAMES:
        if rank in os.environ and os.environ.get(size, "1") != "1":
            return int(os.environ[rank]), int(os.environ[size])
    return None

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
# How the names of all begin by which they tell a process how to join
_OF_LAUNCHERS = ("PMI_", "PMIX_", "HYDI_", "MPI_LOCAL", "OMPI_COMM_WORLD_", "PRTE_")

_kept: tuple[int, tuple[int, int] | None] | None = None  # a process, and its place


def launched() -> tuple[int, int] | None:
    """Return the rank of this process and how many there are; None if it was started alone.

    Only the environment is read, as ``mpiexec`` of MPICH and of Open MPI leave it; after
    `keep_place` what that found.
    """
    if _kept is not None and _kept[0] == os.getpid():
        return _kept[1]
    for rank, size in _NAMES:
        if rank in os.environ and os.environ.get(size, "1") != "1":
            return int(os.environ[rank]), int(os.environ[size])
    return None


def keep_place() -> None:
    """Keep this process's place to itself, once it has joined: what it starts is alone.

    A child that found the launcher's variables would try to join in its place, which MPI ends.
    """
    global _kept
    _kept = os.getpid(), launched()
    for name in list(os.environ):
        if name.startswith(_OF_LAUNCHERS):
            del os.environ[name]

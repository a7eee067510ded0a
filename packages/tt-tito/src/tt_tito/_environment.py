"""What a run ran on: Python, NumPy and its BLAS, threads, CPU, versions of packages."""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np  # loaded before its BLAS is looked for
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # ships no types

from ._installed import tt_distributions


@dataclass(frozen=True, slots=True)
class Blas:
    """A BLAS library that is loaded.

    Attributes:
        name: Its name, version and the kind of CPU it runs its kernels for.
        threads: How many threads it uses.
    """

    name: str
    threads: int


def blas_libraries() -> list[Blas]:
    """List the BLAS libraries loaded in this process, as threadpoolctl finds them."""
    libraries = []
    for entry in ThreadpoolController().info():
        if entry["user_api"] == "blas":
            words = (entry["internal_api"], entry["version"], entry.get("architecture"))
            name = " ".join(str(word) for word in words if word)
            libraries.append(Blas(name, entry["num_threads"]))
    return libraries


# Parameters of mallopt (malloc.h of glibc).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> None:
    """Keep memory that is freed for what comes next, in place of giving it back and asking again.

    A training step frees and allocates the same large arrays again and again. glibc returns them to
    the operating system, which hands out new pages, and clears each when it is first touched. Where
    the C library is another, nothing is done. It holds for the rest of the process.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_MMAP_MAX, 0)  # large arrays come from the heap as well
    mallopt(_TRIM_THRESHOLD, -1)  # which never shrinks
    mallopt(_TOP_PAD, 1 << 28)  # and grows in steps of 256 MiB


def available_cpus() -> int:
    """The number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def launched_processes() -> tuple[int, int]:
    """The rank of this process among those that ``mpiexec`` started together, and their number."""
    from tt_nn.seam import launched  # here, for the doctor looks at broken environments too

    return launched() or (0, 1)


def share_of_cpus() -> int:
    """The number of CPUs for each of the processes that ``mpiexec`` started on this machine."""
    _, size = launched_processes()
    for name in ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE"):  # of MPICH, of Open MPI
        size = min(size, int(os.environ.get(name, size)))
    return max(1, available_cpus() // size)


def cpu_name() -> str:
    """The name of the CPU, as exactly as the platform tells it.

    Linux has it in the file ``/proc/cpuinfo``, after the first ``model name`` and a colon. Where
    that file cannot be opened or names none, it is `platform.processor`, or where that says nothing
    `platform.machine`. What decides is whether the file opens, not the name of the platform.
    """
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def describe_environment() -> dict[str, object]:
    """Describe what a run ran on, for its report.

    Returns:
        ``python`` and ``numpy``, their versions; ``blas``, the names of all that are loaded, or
        ``"none found"``; ``threads``, those of large kernels in each process; ``processes``, how
        many trained together; ``cpu``, its name and how many are available (``"A CPU, 2
        available"``); ``packages``, the version of each installed ``tt-*``.

    Example:
        >>> sorted(describe_environment())
        ['blas', 'cpu', 'numpy', 'packages', 'processes', 'python', 'threads']
    """
    from tt_nn import get_num_threads  # here, for the doctor looks at broken environments too

    libraries = blas_libraries()
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(library.name for library in libraries) or "none found",
        "threads": get_num_threads(),
        "processes": launched_processes()[1],
        "cpu": f"{cpu_name()}, {available_cpus()} available",
        "packages": {
            distribution.metadata["Name"]: distribution.version
            for distribution in tt_distributions()
        },
    }

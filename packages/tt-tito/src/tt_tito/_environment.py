"""What a run ran on: Python, NumPy and its BLAS, threads, CPU, versions of packages."""

from __future__ import annotations

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
    """List the BLAS libraries loaded in this process."""
    libraries = []
    for entry in ThreadpoolController().info():
        if entry["user_api"] == "blas":
            words = (entry["internal_api"], entry["version"], entry.get("architecture"))
            name = " ".join(str(word) for word in words if word)
            libraries.append(Blas(name, entry["num_threads"]))
    return libraries


def set_blas_threads(threads: int) -> None:
    """Set the number of BLAS threads for the rest of the process.

    Args:
        threads: The number of threads.
    """
    ThreadpoolController().limit(limits=threads, user_api="blas")


def available_cpus() -> int:
    """The number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The name of the CPU, as exactly as the platform tells it."""
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
        ``python``, ``numpy``, ``blas``, ``threads``, ``cpu``, and ``packages`` with the version of
        each installed ``tt-*``.

    Example:
        >>> sorted(describe_environment())
        ['blas', 'cpu', 'numpy', 'packages', 'python', 'threads']
    """
    libraries = blas_libraries()
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(library.name for library in libraries) or "none found",
        "threads": max((library.threads for library in libraries), default=1),
        "cpu": f"{cpu_name()}, {available_cpus()} available",
        "packages": {
            distribution.metadata["Name"]: distribution.version
            for distribution in tt_distributions()
        },
    }

"""Is this machine ready? One finding for each thing looked at, with what to do about it.

The checks use the standard library and `packaging` alone where they can: they have to work in an
environment in which NumPy, rich or one of our own packages is missing or damaged.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import Distribution
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from ._installed import lacking, origin, tt_distributions

Level = Literal["ok", "warning", "error"]
OLDEST_PYTHON = (3, 11)
LOW_DISK = 1_000_000_000
FULL_DISK = 100_000_000
NUMPY_AGAIN = "Install it again: python -m pip install --force-reinstall numpy"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        level: How good that is.
        subject: What was looked at.
        text: What was found.
        advice: What to do; empty when nothing is to be done.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""


def examine() -> Iterator[Finding]:
    """Run every check. One that fails in an unforeseen way is itself a finding."""
    checks: tuple[tuple[str, Callable[[], Iterable[Finding]]], ...] = (
        ("Python", check_python),
        ("NumPy", check_numpy),
        ("packages", check_packages),
        ("data home", check_data_home),
        ("disk", check_disk),
    )
    for subject, check in checks:
        try:
            yield from check()
        except Exception as error:
            yield Finding(
                "error",
                subject,
                f"the check itself failed: {type(error).__name__}: {error}",
                "Report this; the other lines still hold.",
            )


def check_python() -> Iterator[Finding]:
    """Python is new enough, and its environment is one's own."""
    text = f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield Finding("error", "Python", text, f"Install Python {oldest} or newer.")
    elif sys.prefix == sys.base_prefix:
        yield Finding(
            "warning",
            "Python",
            f"{text}, not a virtual environment",
            "Make one, so that packages of other projects do not mix with these: "
            "python -m venv .venv",
        )
    else:
        yield Finding("ok", "Python", f"{text}, in a virtual environment")


def check_numpy() -> Iterator[Finding]:
    """NumPy works, and its BLAS has threads that fit this machine."""
    try:
        numpy = import_module("numpy")
        text = f"{numpy.__version__}, product of two 2x2 matrices correct"
        correct = (numpy.full((2, 2), 2.0) @ numpy.eye(2) == 2.0).all()
    except Exception as error:
        text = f"cannot be imported: {type(error).__name__}: {error}"
        yield Finding("error", "NumPy", text, NUMPY_AGAIN)
        return
    if not correct:
        text = f"{numpy.__version__}, product of two 2x2 matrices is wrong"
        yield Finding("error", "NumPy", text, NUMPY_AGAIN)
        return
    yield Finding("ok", "NumPy", text)
    yield from check_blas()


def check_blas() -> Iterator[Finding]:
    """The BLAS that NumPy uses has at least one thread and no more than there are CPUs."""
    from ._environment import available_cpus, blas_libraries

    libraries = blas_libraries()
    cpus = available_cpus()
    if not libraries:
        yield Finding(
            "warning",
            "BLAS",
            "none found: NumPy multiplies matrices with its own, slow, loops, or its library is "
            "not one that threadpoolctl knows",
            "Install NumPy from a wheel, which brings OpenBLAS: python -m pip install numpy",
        )
    for library in libraries:
        text = f"{library.name}, {library.threads} threads, {cpus} CPUs available"
        if library.threads > cpus:
            yield Finding(
                "warning",
                "BLAS",
                text,
                f"More threads than CPUs slow it down: set OPENBLAS_NUM_THREADS={cpus}, or run "
                f"milestones with --threads {cpus}.",
            )
        else:
            yield Finding("ok", "BLAS", text)


def check_packages() -> Iterator[Finding]:
    """Every installed `tt-*` has a version, a known origin, and what it requires."""
    found = tt_distributions()
    if not found:
        yield Finding(
            "error",
            "packages",
            "no tt-* package is installed in this environment",
            "Install them from a checkout: nox -s dev",
        )
    for distribution in found:
        yield _check_package(distribution)


def _check_package(distribution: Distribution) -> Finding:
    name = distribution.metadata["Name"]
    again = (
        "Install it again (nox -s dev in a checkout makes an environment with all packages), or "
        f"remove it: python -m pip uninstall {name}"
    )
    try:
        Version(distribution.version)
        requirements = [Requirement(line) for line in distribution.requires or []]
    except (InvalidVersion, InvalidRequirement, TypeError, KeyError) as error:
        return Finding("error", name, f"its metadata is damaged: {error}", again)
    source = origin(distribution)
    text = f"{distribution.version}, {source.text}"
    lacks = lacking(requirements)
    if lacks:
        needed = "; ".join(map(str, lacks))
        return Finding("error", name, f"{text}; needs {needed}", again)
    try:
        import_module(name.replace("-", "_").lower())
    except Exception as error:
        text = f"{text}; cannot be imported: {type(error).__name__}: {error}"
        return Finding("error", name, text, again)
    return Finding("ok" if source.known else "warning", name, text, "" if source.known else again)


def data_home() -> Path:
    """The folder that data sets are kept in: ``TT_DATA_HOME``, else the platform's cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("TT_DATA_HOME")
    return Path(named).expanduser() if named else user_cache_path("tt-data", appauthor=False)


def check_data_home() -> Iterator[Finding]:
    """Data sets can be kept in the data home."""
    home = data_home()
    place = f"{home} ({'from TT_DATA_HOME' if os.environ.get('TT_DATA_HOME') else 'the default'})"
    advice = "Set TT_DATA_HOME to a folder that you can write in."
    standing = _nearest_existing(home)
    if not standing.is_dir():
        yield Finding("error", "data home", f"{place}: {standing} is not a folder", advice)
    elif not os.access(standing, os.W_OK | os.X_OK):
        yield Finding("error", "data home", f"{place}: {standing} cannot be written", advice)
    elif standing != home:
        yield Finding("ok", "data home", f"{place}, made by the first download")
    else:
        yield Finding("ok", "data home", place)


def check_disk() -> Iterator[Finding]:
    """There is room for data sets and for reports."""
    seen = set()
    for purpose, folder in (("data", data_home()), ("reports", Path.cwd())):
        standing = _nearest_existing(folder)
        device = standing.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = shutil.disk_usage(standing).free
        text = f"{free / 1e9:.1f} GB free for {purpose} ({standing})"
        advice = "Make room, or name another place with TT_DATA_HOME and --report-dir."
        if free < FULL_DISK:
            yield Finding("error", "disk", text, advice)
        elif free < LOW_DISK:
            yield Finding("warning", "disk", text, advice)
        else:
            yield Finding("ok", "disk", text)


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path

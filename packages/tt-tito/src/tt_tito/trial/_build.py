"""Wheels of the learner's packages and of the course's, each built once for each state of its code.

A wheel holds what stands in the package's ``src``. The metadata beside it (name, version,
dependencies, how it is built) is always the course's, so that no build hook runs and no dependency
is added that the course does not know.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tt_tito._errors import TitoError

from ._process import clean_environment, launch
from ._progress import doing

METADATA = ("pyproject.toml", "README.md", "LICENSE")
COMPILED = (".pyc", ".pyo")
KEPT = 4  # wheels of one package, so that a cache does not grow without end


def build_wheel(folder: Path, into: Path, *, project: Path | None = None) -> Path:
    """Build the wheel of a package, or find the one that was built from the same files.

    Args:
        folder: The package's folder; its ``src`` is what is built.
        into: Where wheels are kept.
        project: The folder whose metadata is used; ``folder`` itself if None.

    Returns:
        The wheel.

    Raises:
        TitoError: If it cannot be built, with the builder's own words.
    """
    name = folder.name
    with tempfile.TemporaryDirectory(prefix="tito-build-") as temporary:
        staged = Path(temporary, name)
        _stage(folder, folder if project is None else project, staged)
        home = into / name / _digest(staged)[:32]
        if found := sorted(home.glob("*.whl")):
            os.utime(home)  # the last to be forgotten
            return found[0]
        built = Path(temporary, "wheel")
        built.mkdir()
        with doing(f"building {name}"):
            _run_hatchling(name, staged, built)
        (wheel,) = built.glob("*.whl")
        home.mkdir(parents=True, exist_ok=True)
        half = home / f".{os.getpid()}.part"
        shutil.copyfile(wheel, half)
        os.replace(half, home / wheel.name)
        _forget_oldest(home.parent)
        return home / wheel.name


def _stage(folder: Path, project: Path, staged: Path) -> None:
    """Copy what goes into the wheel to a folder of its own.

    There no `.gitignore` of the checkout leaves files out, and nothing is written beside hers.
    """
    staged.mkdir()
    for name in METADATA:
        if (project / name).is_file():
            shutil.copyfile(project / name, staged / name)
    source = folder / "src"
    if not source.is_dir():
        raise TitoError(f"{folder} has no folder 'src', so there is nothing to build.")
    for path in _files(source):
        target = staged / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _files(folder: Path) -> list[Path]:
    """List the files of a package's source; links and devices have no place there."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in [*folders, *names]:
            path = Path(place, name)
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise TitoError(
                    f"{path} is neither a file nor a folder but a link or a device. A package "
                    "consists of files of its own: put a copy in its place."
                )
        found += [Path(place, name) for name in sorted(names) if not name.endswith(COMPILED)]
    return found


def _digest(staged: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(staged.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(staged).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def _run_hatchling(name: str, staged: Path, into: Path) -> None:
    # -P: the folder that it runs in is not on its path.
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    ended = launch(command, folder=staged, environment=clean_environment())
    if ended.code != 0 or len(list(into.glob("*.whl"))) != 1:
        raise TitoError(
            f"The wheel of {name} cannot be built (hatchling ended with {ended.code}):\n"
            f"{ended.output.strip()}"
        )


def _forget_oldest(home: Path) -> None:
    builds = sorted(home.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in builds[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def course_packages(root: Path) -> dict[str, Path]:
    """The folders of the course's packages, by name.

    Args:
        root: The checkout.
    """
    folders = [path.parent for path in sorted(root.glob("packages/tt-*/pyproject.toml"))]
    folders += [path.parent for path in sorted(root.glob("capstone/pyproject.toml"))]
    return {_project(folder)["name"]: folder for folder in folders}


def needed(packages: dict[str, Path], requirements: Iterable[str]) -> set[str]:
    """The course's packages that some requirements bring, directly or not.

    Args:
        packages: The folders of the course's packages, by name.
        requirements: What is asked for, such as ``"tt-nn[fast]>=0.1,<0.2"``.
    """
    found: set[str] = set()
    seen: set[str] = set()
    waiting = list(requirements)
    while waiting:
        text = waiting.pop()
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if text in seen or name not in packages:
            continue
        seen.add(text)
        found.add(name)
        project = _project(packages[name])
        waiting += project.get("dependencies", [])
        for extra in requirement.extras:
            waiting += project.get("optional-dependencies", {}).get(extra, [])
    return found


def _project(folder: Path) -> dict[str, Any]:
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
        project: dict[str, Any] = tomllib.loads(text)["project"]
        return project
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise TitoError(f"{folder / 'pyproject.toml'} cannot be read: {error}.") from error

"""What a learner's code was when something was recorded of it, so that a change can be told.

A fingerprint has a short hash for each exercise and one for each file with the exercises left out.
One hash over all of them says whether anything has changed; the parts say what.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tt_tito._errors import TitoError

from tt_tito.course._curriculum import Curriculum, Module, package_folder
from tt_tito.course._exercises import locate

HERS_ALONE = " (not the course's)"  # what stands behind the name of a file
HASH = 16  # hexadecimal digits of a part


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Hashes of the parts of a learner's packages.

    Attributes:
        parts: A hash for each exercise, by its name, and for each file without its exercises, by
            its path, which begins with the package's name.
    """

    parts: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The SHA-256 of all parts."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def changes(self, now: Fingerprint) -> tuple[str, ...]:
        """Name what differs in a later fingerprint: whole packages, exercises, files.

        Example:
            >>> before = Fingerprint({"tt_x.add": "12", "tt-x/src/tt_x/_a.py": "34"})
            >>> before.changes(Fingerprint({"tt_x.add": "56", "tt-x/src/tt_x/_a.py": "34"}))
            ('tt_x.add',)
            >>> before.changes(Fingerprint({}))
            ('tt-x, which is gone',)
        """
        old, new = self._packages(), now._packages()
        names = [f"{package}, which is gone" for package in sorted(old - new)]
        names += [f"{package}, which is new" for package in sorted(new - old)]
        exercises: list[str] = []
        files: list[str] = []
        for part in sorted(self.parts.keys() | now.parts.keys()):
            if self.parts.get(part) == now.parts.get(part) or _package(part) in old ^ new:
                continue
            (files if _is_file(part) else exercises).append(part)
        return (*names, *exercises, *files)

    def _packages(self) -> set[str]:
        return {_package(part) for part in self.parts}


def beside_exercises(
    curriculum: Curriculum, package: str, folder: Path
) -> tuple[str, ...]:
    """Name the Python files of a learner's package that differ from the course's beside exercises.

    Either she has changed them, or the course is another version than the one that she began with.

    Args:
        curriculum: The course's map.
        package: The package's name.
        folder: Her folder of it.

    Returns:
        Their paths in the package; of those that one of the two lacks, that is said.

    Raises:
        TitoError: If a file cannot be read.
    """
    exercises = _exercises(curriculum, package)

    def parts(place: Path) -> dict[str, str]:
        files = [file for file in package_files(place) if file.suffix == ".py"]
        found = _parts(package, place, exercises, files).items()
        return {name.removeprefix(f"{package}/"): part for name, part in found if _is_file(name)}

    ours, hers = parts(package_folder(curriculum.root, package)), parts(folder)
    lacking = {
        **dict.fromkeys(hers.keys() - ours.keys(), HERS_ALONE),
        **dict.fromkeys(ours.keys() - hers.keys(), " (missing)"),
    }
    names = sorted(ours.keys() | hers.keys())
    return tuple(
        name + lacking.get(name, "") for name in names if ours.get(name) != hers.get(name)
    )


def _exercises(curriculum: Curriculum, package: str) -> list[str]:
    return [
        exercise
        for module in curriculum.of_package(package)
        for exercise in module.exercises_in(package)
    ]


def _is_file(part: str) -> bool:
    return "/" in part


def _package(part: str) -> str:
    return part.partition("/" if _is_file(part) else ".")[0].replace("_", "-")


class Snapshot:
    """A learner's packages, each as it stood when it was first looked at.

    Args:
        curriculum: The course's map.
        packages: The folder of each of her packages.
    """

    def __init__(self, curriculum: Curriculum, packages: Mapping[str, Path]) -> None:
        self._curriculum = curriculum
        self._packages = packages
        self._parts: dict[str, dict[str, str]] = {}

    def fingerprint(self, modules: Iterable[Module]) -> Fingerprint:
        """Fingerprint what modules are made of: her packages of theirs and of those beneath.

        Only the exercises of these modules count, and a package that has none of them is left out,
        so that work on other modules changes nothing.

        Args:
            modules: The modules.

        Raises:
            TitoError: If a file of hers cannot be read.
        """
        modules = tuple(modules)
        named = [package for module in modules for package in module.packages]
        return self._fingerprint(modules, self._curriculum.beneath(named))

    def of_module(self, number: str) -> Fingerprint:
        """Fingerprint what a module rests on: itself, and earlier ones of its packages or beneath.

        Args:
            number: The module's number.
        """
        last = self._curriculum.module(number)
        earlier = [module for module in self._curriculum.modules if module.number <= last.number]
        return self._fingerprint(earlier, self._curriculum.beneath(last.packages))

    def _fingerprint(self, modules: Sequence[Module], packages: Iterable[str]) -> Fingerprint:
        parts = {}
        for package in packages:
            counted = {name for module in modules for name in module.exercises_in(package)}
            if package in self._packages and counted:
                for part, value in self._of_package(package).items():
                    if _is_file(part) or part in counted:
                        parts[part] = value
        return Fingerprint(parts)

    def _of_package(self, package: str) -> dict[str, str]:
        if package not in self._parts:
            exercises = _exercises(self._curriculum, package)
            folder = self._packages[package]
            self._parts[package] = _parts(package, folder, exercises, package_files(folder))
        return self._parts[package]


def _parts(
    package: str, folder: Path, exercises: Iterable[str], files: Iterable[Path]
) -> dict[str, str]:
    """Hash the exercises of a package, and files of it with the exercises left out."""
    parts = {}
    contents = {file: _lines(folder / file) for file in files}
    bodies: dict[Path, set[tuple[int, int]]] = {}
    for exercise in exercises:
        try:
            place = locate(folder, exercise)
        except TitoError:  # a file that does not parse, or a function taken away: it has no part
            continue
        first, last = place.body
        parts[exercise] = _hash(contents[place.file][first - 1 : last])
        bodies.setdefault(place.file, set()).add(place.body)
    for file, lines in contents.items():
        for first, last in sorted(bodies.get(file, ()), reverse=True):
            del lines[first - 1 : last]
        parts[f"{package}/{file.as_posix()}"] = _hash(lines)
    return parts


def package_files(folder: Path) -> list[Path]:
    """The files that a package is built from: its `pyproject.toml` and all below `src`."""
    files = [folder / "pyproject.toml", *sorted(folder.glob("src/**/*"))]
    return [
        file.relative_to(folder)
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    ]


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise TitoError(f"{path} cannot be read: {error.strerror or error}.") from error


def _hash(lines: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(lines)).hexdigest()[:HASH]

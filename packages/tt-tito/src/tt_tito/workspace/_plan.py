"""What a command is to change in a workspace: made aside first, then put in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Module
from tt_tito.course._exercises import encode, fill, reference_body


@dataclass(slots=True)
class Plan:
    """What is to change: packages as a whole, and files in packages that stay.

    Attributes:
        aside: The folder in which what is new is made.
        whole: The folder, made aside, that takes each package's place.
        files: The new contents of files, by package.
        exercises: The exercises that change in those files.
    """

    aside: Path
    whole: dict[str, Path] = field(default_factory=dict)
    files: dict[str, dict[Path, bytes]] = field(default_factory=dict)
    exercises: list[str] = field(default_factory=list)

    def change(self, package: str, exercises: Iterable[str], files: dict[Path, bytes]) -> None:
        """Plan new contents for files of a package."""
        if files:
            self.files[package] = files
            self.exercises += exercises


def encoded(texts: Mapping[Path, str]) -> dict[Path, bytes]:
    """Encode the texts of files."""
    return {file: encode(text) for file, text in texts.items()}


@contextmanager
def exercise_by_exercise(package: str) -> Iterator[None]:
    """Say why a package's files have to parse where otherwise they need not."""
    try:
        yield
    except TitoError as error:
        raise TitoError(
            f"{error} You have started other modules of {package} too, so only the exercises of "
            "this one are to change, and for that they must be found. Mend the file first."
        ) from error


def put_back(module: Module, kept: Path, target: Path) -> tuple[list[str], dict[Path, bytes]]:
    """Put a module's exercises from a backup into a copy of her package; return what changes."""
    exercises = []
    changed: dict[Path, bytes] = {}
    for exercise in module.exercises_in(target.name):
        for file, data in encoded(fill(target, exercise, reference_body(kept, exercise))).items():
            (target / file).write_bytes(data)
            changed[file] = data
            exercises.append(exercise)
    return exercises, changed


def replace_file(path: Path, data: bytes, aside: Path) -> None:
    """Put new contents, written aside, in the place of a file in one step."""
    target = Path(os.path.realpath(path))  # a link stays one
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    shutil.copymode(target, aside)
    aside.replace(target)

"""A newer version of the course's package, with what the learner wrote put into it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module
from tt_tito.course._exercises import fill, is_blank, locate, reference_body, same_arguments
from tt_tito.course._sources import parse_all

from ._backups import Backup, files, same_file
from ._fingerprint import beside_exercises
from ._plan import encoded


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did to a workspace.

    Attributes:
        made: The packages that were made anew.
        blank: The exercises that are blank, since she has no body for them that fits.
        unlike: The exercises with her body whose arguments are others now.
        given: The exercises of modules that she has not started whose bodies were not the course's:
            what stood there is in the backup only.
        beside: The files of both that differed beside the exercises, by her folders: what she wrote
            there is in the backup only.
        left: The files that only she has and that are in the backup only, since the course has a
            module or a file of that name.
        sources: The backups of updates that did not end, which packages were taken from.
        backup: What stood there before; None if nothing did, or nothing changed.
    """

    made: tuple[str, ...] = ()
    blank: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    sources: tuple[Backup, ...] = ()
    backup: Backup | None = None

    def __add__(self, other: Update) -> Update:
        """What two updates did, with the backup of the first."""
        return Update(
            self.made + other.made,
            self.blank + other.blank,
            self.unlike + other.unlike,
            self.given + other.given,
            self.beside + other.beside,
            self.left + other.left,
            self.sources + other.sources,
            self.backup,
        )


def left_by_update(
    found: Sequence[Backup], package: str, module: Module, folder: Path
) -> Backup | None:
    """Return the backup in which an update that was killed has left a package that is gone.

    It is the last that holds the package, if an update made it: what another command has moved away
    is newer than what an earlier update did.

    Args:
        found: All backups, the oldest first.
        package: The package's name.
        module: The module that the update is for.
        folder: The workspace.

    Raises:
        TitoError: If there is no such backup of a package of the module.
    """
    holding = [backup for backup in found if package in backup.packages]
    if holding and holding[-1].occasion == "update":
        return holding[-1]
    if package not in module.packages:
        return None
    if not holding:
        advice = f"'tito module start {module.number}' makes it again."
    else:
        last = holding[-1]
        advice = (
            f"'tito module restore {module.number} --from {last.date}' brings back what stood "
            f"there before '{last.occasion} {last.module}'."
        )
    raise TitoError(f"{folder} has no {package} any more. {advice}")


def take_in(
    curriculum: Curriculum, package: str, fresh: Path, hers: Path, started: Collection[str]
) -> Update:
    """Put what is a learner's into a fresh package.

    Args:
        curriculum: The course's map.
        package: The package's name.
        fresh: The course's package, with the exercises of the modules that she has started blank.
        hers: Her package.
        started: The numbers of these modules.

    Raises:
        TitoError: If a file of hers does not parse.
    """
    parse_all(hers)
    mine: list[str] = []
    others: list[str] = []
    for module in curriculum.of_package(package):
        (mine if module.number in started else others).extend(module.exercises_in(package))
    beside = _both_differ(curriculum, package, fresh, hers)
    blank, unlike = fill_in(fresh, hers, mine)
    return Update(
        made=(package,),
        blank=tuple(blank),
        unlike=tuple(unlike),
        given=tuple(name for name in others if _differs(fresh, hers, name)),
        beside=tuple(f"{package}/{name}" for name in beside),
        left=tuple(f"{package}/{path.as_posix()}" for path in add_hers_alone(fresh, hers)),
    )


def fill_in(fresh: Path, hers: Path, exercises: Iterable[str]) -> tuple[list[str], list[str]]:
    """Put a learner's exercises into a fresh package.

    Args:
        fresh: The course's package, with these exercises blank.
        hers: Her package.
        exercises: The exercises.

    Returns:
        The exercises that stay blank since she has no body that fits, and those with a body of hers
        whose arguments are others now.
    """
    blank, unlike = [], []
    for exercise in exercises:
        before: dict[Path, bytes] = {}
        try:
            for file, data in encoded(
                fill(fresh, exercise, reference_body(hers, exercise))
            ).items():
                before[file] = (fresh / file).read_bytes()
                (fresh / file).write_bytes(data)
            locate(fresh, exercise)  # it still is Python
            if not same_arguments(fresh, hers, exercise):
                unlike.append(exercise)
        except TitoError:
            for file, data in before.items():
                (fresh / file).write_bytes(data)
            blank.append(exercise)
    return blank, unlike


def add_hers_alone(fresh: Path, hers: Path) -> list[Path]:
    """Copy what only a learner has into a fresh package.

    Returns:
        The files that were not, since the course has something else in their place: a file where
        hers has a folder, or a module that a file of hers would hide or be hidden by.
    """
    folders = [path for path in sorted(hers.rglob("*")) if _is_empty_folder(path)]
    alone = [
        path.relative_to(hers)
        for path in (*folders, *files(hers))
        if not os.path.lexists(fresh / path.relative_to(hers))
    ]
    left = [path for path in alone if _is_displaced(fresh, path)]
    for path in alone:
        if path in left:
            continue
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if hers / path in folders:
            target.mkdir()
        else:
            shutil.copy2(hers / path, target, follow_symlinks=False)
    return [path for path in left if hers / path not in folders]


def _is_empty_folder(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir() or "__pycache__" in path.parts:
        return False
    return not any(path.iterdir())


def _is_displaced(fresh: Path, path: Path) -> bool:
    """Whether a course's package has something that excludes a file of that name."""
    if any((fresh / folder).is_file() for folder in path.parents):
        return True
    if path.name == "__init__.py":  # a package hides a module
        return (fresh / path.parent.parent / f"{path.parent.name}.py").is_file()
    return path.suffix == ".py" and (fresh / path.with_suffix("")).is_dir()


def _both_differ(curriculum: Curriculum, package: str, fresh: Path, hers: Path) -> list[str]:
    """Name the files of both a fresh package and hers that differ beside the exercises."""
    python = beside_exercises(curriculum, package, hers)
    both = [
        path.relative_to(hers).as_posix()
        for path in files(hers)
        if os.path.lexists(fresh / path.relative_to(hers))
    ]
    return [
        name
        for name in both
        if (
            name in python
            if name.startswith("src/") and name.endswith(".py") and (fresh / name).is_file()
            else not same_file(hers / name, fresh / name)
        )
    ]


def _differs(fresh: Path, hers: Path, exercise: str) -> bool:
    """Whether a learner has a body of an exercise that is not that of a fresh package."""
    try:
        body = reference_body(hers, exercise)
        same = body.splitlines() == reference_body(fresh, exercise).splitlines()
        return not same and not is_blank(hers, exercise)
    except TitoError:  # she has no such function
        return False

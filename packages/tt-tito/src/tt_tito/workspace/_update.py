"""A newer version of the course's package, with what the learner wrote put into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._exercises import fill, locate, reference_body, same_arguments

from ._backups import Backup, files
from ._plan import encoded


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did to a workspace.

    Attributes:
        made: The packages that were made anew.
        blank: The exercises that are blank, since she has no body for them that fits.
        unlike: The exercises with her body whose arguments are others now.
        beside: The files of both that differed beside the exercises, by her folders: what she wrote
            there is in the backup only.
        backup: What stood there before; None if nothing changed.
    """

    made: tuple[str, ...]
    blank: tuple[str, ...]
    unlike: tuple[str, ...]
    beside: tuple[str, ...]
    backup: Backup | None


def fill_in(fresh: Path, hers: Path, exercises: Iterable[str]) -> tuple[list[str], list[str]]:
    """Put a learner's exercises, and the files that only she has, into a fresh package.

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
    for path in files(hers):
        target = fresh / path.relative_to(hers)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
    return blank, unlike

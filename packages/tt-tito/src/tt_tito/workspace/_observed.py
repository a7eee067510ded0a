"""What a learner's folders show of the modules that she has started, where nothing is recorded."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module, package_folder
from tt_tito.course._exercises import is_blank, reference_body
from tt_tito.course._sources import parse_all

from ._fingerprint import HERS_ALONE, beside_exercises


def divide(root: Path, module: Module, package: str, folder: Path) -> tuple[list[str], list[str]]:
    """Divide the exercises of a module that are not blank into the course's and the learner's.

    Args:
        root: The checkout's folder.
        module: The module.
        package: The package that they stand in.
        folder: Her folder of it.

    Raises:
        TitoError: If a file does not parse or has an exercise no more.
    """
    reference = package_folder(root, package)
    ours: list[str] = []
    hers: list[str] = []
    for exercise in module.exercises_in(package):
        if not is_blank(folder, exercise):
            body = reference_body(folder, exercise)
            (ours if body == reference_body(reference, exercise) else hers).append(exercise)
    return ours, hers


def was_started(curriculum: Curriculum, module: Module, folder: Path) -> bool | None:
    """Return whether a workspace shows that a module was started.

    It does where an exercise is blank. A body that is not the course's may be hers, but also one of
    the course's from when the copy was made: it counts where all of the module are such, or where
    the copy is of this version, as what stands beside the exercises tells.

    Args:
        curriculum: The course's map.
        module: The module.
        folder: The workspace.

    Returns:
        None if it cannot be told.
    """
    if not all((folder / package).is_dir() for package in module.packages):
        return False
    kinds = set()
    for package in module.packages:
        try:
            parse_all(folder / package)
        except TitoError:  # whatever reads her files names this one
            return True
        for exercise in module.exercises_in(package):
            kind = _kind(curriculum, package, folder / package, exercise)
            if kind == "blank":
                return True
            kinds.add(kind)
    kinds.discard("gone")
    if kinds <= {"ours"}:
        return False
    return True if kinds == {"other"} or _is_current(curriculum, module, folder) else None


def refuse_unsure(
    curriculum: Curriculum, module: Module, packages: Collection[str], folder: Path
) -> None:
    """Refuse to change packages if a workspace does not show which work in them is hers.

    Args:
        curriculum: The course's map.
        module: The module that the command is for.
        packages: The packages.
        folder: The workspace.

    Raises:
        TitoError: If it cannot be told of a module whether it was started.
    """
    unsure = [
        other.number
        for other in curriculum.modules
        if not set(other.packages).isdisjoint(packages)
        and was_started(curriculum, other, folder) is None
    ]
    if unsure:
        raise TitoError(
            f"Nothing is recorded of what you have started in {folder}, and its code of the "
            f"modules {', '.join(unsure)} is partly not the course's: yours, or that of an earlier "
            "version. Give 'tito module start' for those of them that you have begun, which keeps "
            f"what is yours, and for {module.number} in any case; then give the command again."
        )


def _kind(curriculum: Curriculum, package: str, folder: Path, exercise: str) -> str:
    try:
        if is_blank(folder, exercise):
            return "blank"
        reference = package_folder(curriculum.root, package)
        same = reference_body(folder, exercise) == reference_body(reference, exercise)
        return "ours" if same else "other"
    except TitoError:  # a function that she took away, or that the course has only now
        return "gone"


def _is_current(curriculum: Curriculum, module: Module, folder: Path) -> bool:
    """Whether the packages of a module are the course's beside exercises and files of her own."""
    return all(
        name.endswith(HERS_ALONE)
        for package in module.packages
        for name in beside_exercises(curriculum, package, folder / package)
    )

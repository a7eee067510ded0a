"""The milestones of a checkout, found by their folders: `milestones/<NN>_<year>_<name>/*.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ._errors import TitoError

FOLDER = re.compile(r"(?P<number>\d\d)_(?P<year>\d{4})_(?P<name>\w+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A milestone of the checkout.

    Attributes:
        number: Two digits, such as ``"01"``.
        year: The year it rebuilds.
        name: Its name in words.
        scripts: Its scripts, sorted by file name.
    """

    number: str
    year: int
    name: str
    scripts: tuple[Path, ...]


def identify(folder: Path) -> tuple[str, int, str]:
    """Read a milestone's number, year and name from its folder's name.

    Args:
        folder: The folder.

    Raises:
        TitoError: If the name is not of the form ``NN_YEAR_name``.

    Example:
        >>> identify(Path("milestones/02_1969_xor_crisis"))
        ('02', 1969, 'xor crisis')
    """
    match = FOLDER.fullmatch(folder.name)
    if match is None:
        raise TitoError(
            f"A milestone's script stands in a folder named NN_YEAR_name, such as "
            f"01_1957_perceptron; {folder.name!r} is not of that form."
        )
    return match["number"], int(match["year"]), match["name"].replace("_", " ")


def find_root(start: Path) -> Path:
    """Walk up from a folder to the checkout that it is in.

    Args:
        start: Where to begin.

    Returns:
        The nearest folder, ``start`` itself or above it, that holds milestones.

    Raises:
        TitoError: If there is none.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if _milestone_folders(folder):
            return folder
    raise TitoError(
        f"No milestones here: neither {start} nor a folder above it has a folder 'milestones' with "
        "milestones in it. Change into a checkout of the repository, or name it with --root."
    )


def catalogue(root: Path) -> list[Entry]:
    """List the milestones of a checkout, in order.

    Args:
        root: The folder that has the folder ``milestones``.

    Raises:
        TitoError: If it has none.
    """
    folders = _milestone_folders(root)
    if not folders:
        raise TitoError(f"{root} has no folder 'milestones' with milestones in it.")
    entries = []
    for folder in folders:
        scripts = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
        entries.append(Entry(*identify(folder), tuple(scripts)))
    return entries


def find(root: Path, number: str) -> Entry:
    """Find one milestone by its number; ``1`` and ``01`` are the same.

    Args:
        root: The folder that has the folder ``milestones``.
        number: The number.

    Raises:
        TitoError: If there is no such milestone.
    """
    entries = catalogue(root)
    for entry in entries:
        if entry.number == number.zfill(2):
            return entry
    known = ", ".join(entry.number for entry in entries)
    raise TitoError(f"There is no milestone {number!r} in {root}; there are {known}.")


def _milestone_folders(root: Path) -> list[Path]:
    milestones = root / "milestones"
    if not milestones.is_dir():
        return []
    return sorted(
        folder
        for folder in milestones.iterdir()
        if folder.is_dir() and FOLDER.fullmatch(folder.name)
    )

"""Dated backups of a learner's packages: made before anything of hers changes, never removed.

A backup is a folder named by its time, its occasion and its module, such as
`2026-11-22T07-40-12_reset_02`, with the packages in it as they stood. A package appears in it whole
or not at all: it is moved there in one step, or copied aside, compared and then moved.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tt_tito._errors import TitoError

from ._state import STAMP, now

NAME = re.compile(
    r"(?P<stamp>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)(-(?P<count>\d+))?"
    r"_(?P<occasion>start|reset|restore|update)_(?P<module>\d\d)"
)


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup.

    Attributes:
        path: Its folder.
        date: When it was made, as `tito module restore --from` takes it: the time, and a number if
            it was not the first in that second.
        occasion: The command that made it.
        module: The number of the module that the command was for.
    """

    path: Path
    date: str
    occasion: str
    module: str

    @property
    def packages(self) -> tuple[str, ...]:
        """The packages in it."""
        return tuple(
            sorted(
                entry.name
                for entry in self.path.iterdir()
                if entry.is_dir() and not entry.name.startswith(".")
            )
        )


def backups(folder: Path) -> list[Backup]:
    """List the backups below a folder, the oldest first; those without a package do not count."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if (match := NAME.fullmatch(path.name)) and path.is_dir():
            count = int(match["count"] or 1)
            date = match["stamp"] + (f"-{count}" if count > 1 else "")
            backup = Backup(path, date, match["occasion"], match["module"])
            if backup.packages:
                found.append(((match["stamp"], count), backup))
    return [backup for _, backup in sorted(found, key=lambda entry: entry[0])]


def new_backup(folder: Path, occasion: str, module: str) -> Backup:
    """Make a new backup, still empty; the caller holds the workspace's lock."""
    folder.mkdir(exist_ok=True)
    stamp = f"{now():{STAMP}}"
    taken = {path.name.partition("_")[0] for path in folder.iterdir()}
    date, count = stamp, 1
    while date in taken:
        count += 1
        date = f"{stamp}-{count}"
    path = folder / f"{date}_{occasion}_{module}"
    path.mkdir()
    return Backup(path, date, occasion, module)


def find_backup(found: list[Backup], module: str, date: str | None) -> Backup:
    """Find the backup to restore a module from.

    Args:
        found: The backups that hold a package of the module, the oldest first.
        module: The module's number.
        date: The backup's date or how it begins; None for the last one that a reset of the module
            made.

    Raises:
        TitoError: If there is none, or more than one; it names those there are.
    """
    known = ", ".join(f"{backup.date} (by {backup.occasion} {backup.module})" for backup in found)
    if not found:
        raise TitoError(f"There is no backup with a package of module {module} yet.")
    if date is None:
        resets = [
            backup for backup in found if (backup.occasion, backup.module) == ("reset", module)
        ]
        if not resets:
            raise TitoError(
                f"Module {module} has never been reset. Its packages are in the backups {known}; "
                "name one with --from."
            )
        return resets[-1]
    wanted = date.strip().replace(" ", "T").replace(":", "-")
    matches = [backup for backup in found if backup.date.startswith(wanted)] if wanted else []
    exact = [backup for backup in matches if backup.date == wanted]
    if len(exact or matches) != 1:
        what = "more than one backup" if matches else "no backup"
        raise TitoError(
            f"There is {what} of {date!r} for module {module}; there are {known}. Name one by its "
            "whole date."
        )
    return (exact or matches)[0]


def copy_into(backup: Path, package: Path) -> None:
    """Copy a package into a backup, where it appears once every byte of it has been compared."""
    aside = backup / f".{package.name}"
    copy_verified(package, aside)
    aside.rename(backup / package.name)


def copy_verified(source: Path, target: Path) -> None:
    """Copy a folder without its caches, and compare the copy with it, byte for byte.

    Raises:
        OSError: If something cannot be copied, or the copy is not the same.
    """
    links = [path.relative_to(source) for path in files(source) if not path.is_file()]

    def ignore(folder: str, names: list[str]) -> set[str]:
        place = Path(folder).relative_to(source)
        return {name for name in names if name == "__pycache__" or place / name in links}

    # A link to a file elsewhere becomes that file: a backup stands by itself. Others stay links.
    shutil.copytree(source, target, ignore=ignore)
    for link in links:
        shutil.copyfile(source / link, target / link, follow_symlinks=False)
    if not same(source, target):
        raise OSError(None, "the copy is not the same as the folder", os.fspath(source))


def same(folder: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte, and the same links."""
    names = [path.relative_to(folder) for path in files(folder)]
    return names == [path.relative_to(other) for path in files(other)] and all(
        same_file(folder / name, other / name) for name in names
    )


def same_file(path: Path, other: Path) -> bool:
    """Whether two files hold the same bytes, or are links to the same place as they are written."""
    if path.is_symlink() and other.is_symlink() and os.readlink(path) == os.readlink(other):
        return True
    return path.is_file() and other.is_file() and path.read_bytes() == other.read_bytes()


def files(folder: Path) -> list[Path]:
    """All files and links below a folder that a backup keeps, by name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file())
        and "__pycache__" not in path.relative_to(folder).parts
    )

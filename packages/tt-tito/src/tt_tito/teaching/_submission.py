"""A learner's workspace as it is handed in: read once, into memory, before anything of it runs.

Only the Python files of her packages' source count. Whatever else stands there (tests, settings of
pytest, a pyproject.toml, compiled files) is left aside and named, and the course's takes its place.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, TypeAlias

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module, package_folder
from tt_tito.course._exercises import is_blank, same_code
from tt_tito.course._sources import parse_all
from tt_tito.trial._untrusted import read_regular
from tt_tito.workspace._fingerprint import beside_exercises
from tt_tito.workspace._state import DamagedStateError, State, parse_state

FILE_SIZE = 1 << 20  # bytes of one file; the course's largest has a tenth of it
TOTAL_SIZE = 16 << 20
FILES = 2000
SHOWN = 5  # names in a note
USUAL = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "src")
Whose: TypeAlias = Literal["the course's", "hers", "blank", "lost"]  # an exercise of a package
CACHES = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".DS_Store", ".hypothesis")


class RefusedError(ValueError):
    """A submission that cannot be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a learner handed in.

    Attributes:
        name: How she is called in the results.
        folder: Where it was read.
        packages: The Python files of each package of hers: by path in ``src``, their bytes.
        state: What her workspace has recorded; None if there is no record that can be read.
        started: The numbers of the modules that she started: those that her record names, those of
            which an exercise is blank, and those of whose exercises at least half are hers. Single
            ones that are not the course's may stem from another version of it.
        unchanged: The exercises of each module that are as the course has them, by its number. Her
            record has no say in it, and no layout or comment.
        notes: What was left aside, in words.
    """

    name: str
    folder: Path
    packages: Mapping[str, Mapping[str, bytes]]
    state: State | None
    started: tuple[str, ...]
    unchanged: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def refusal(self, module: Module) -> str | None:
        """Say why a module is not hers, whatever its tests find; None if it is.

        Args:
            module: The module.
        """
        if missing := [name for name in module.packages if name not in self.packages]:
            return f"Not handed in: {', '.join(missing)}."
        if len(self.unchanged[module.number]) == len(module.exercises):
            return "Nothing of it is hers: all its exercises are as the course has them."
        return None


def names(folders: Sequence[Path]) -> list[str]:
    """Name learners by their folders: by as many of the last parts as tell them apart.

    Args:
        folders: The folders.

    Example:
        >>> names([Path("term/ada"), Path("term/emmy")])
        ['ada', 'emmy']
        >>> names([Path("ada/workspace"), Path("emmy/workspace")])
        ['ada/workspace', 'emmy/workspace']
    """
    parts = [folder.absolute().parts for folder in folders]
    found = []
    for own in parts:
        length = 1
        while length < len(own) and sum(own[-length:] == other[-length:] for other in parts) > 1:
            length += 1
        found.append("/".join(own[-length:]))
    return found


def read_submission(name: str, folder: Path, curriculum: Curriculum) -> Submission:
    """Read what a learner handed in.

    Args:
        name: How she is called.
        folder: Her workspace, or a folder with ``workspace`` in it.
        curriculum: The course.

    Raises:
        RefusedError: There is no package of the course in it, a link, or too much.
    """
    known = dict.fromkeys(package for module in curriculum.modules for package in module.packages)
    if not any((folder / package).is_dir() for package in known):
        folder = folder / "workspace"
    own = [package for package in known if (folder / package).is_dir()]
    if not own:
        raise RefusedError("There is no package of the course in it.")
    notes: list[str] = []
    packages = {}
    for package in own:
        packages[package] = _read_package(folder / package, curriculum, package, notes)
    sizes = [len(content) for files in packages.values() for content in files.values()]
    if sum(sizes) > TOTAL_SIZE or len(sizes) > FILES:
        raise RefusedError(
            f"It has {len(sizes)} files of {sum(sizes):,} bytes together; {FILES} files and "
            f"{TOTAL_SIZE:,} bytes are allowed."
        )
    state = _read_state(folder, notes)
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as place:
        # Only what was taken is looked at, as it was taken.
        mine = lay_out(packages, curriculum.root, Path(place))
        for package, hers in mine.items():
            try:
                parse_all(hers)
            except TitoError as error:
                notes.append(str(error).replace(f"{place}{os.sep}", ""))
            if names := beside_exercises(curriculum, package, hers):
                notes.append(
                    f"{package} is not as the course has it beside the exercises, edited or of "
                    f"another version: {shortened(names)}."
                )
        found = {
            module.number: _whose(mine, curriculum.root, module) for module in curriculum.modules
        }
    unchanged = {
        number: tuple(exercise for exercise, whose in of_module.items() if whose == "the course's")
        for number, of_module in found.items()
    }
    recorded = set() if state is None else set(state.modules)
    if unknown := sorted(recorded - found.keys()):
        notes.append(f"Her record names modules that the course has not: {', '.join(unknown)}.")
    started = tuple(
        number
        for number, of_module in found.items()
        if number in recorded or _show_work(list(of_module.values()))
    )
    return Submission(name, folder, packages, state, started, unchanged, tuple(notes))


def lay_out(packages: Mapping[str, Mapping[str, bytes]], root: Path, into: Path) -> dict[str, Path]:
    """Write the packages of a learner to a folder, each with the course's files around her code.

    Args:
        packages: The Python files of each, as a submission has them.
        root: The checkout.
        into: An empty folder.

    Returns:
        The folder of each package, by name.
    """
    folders = {}
    for package, files in packages.items():
        ours, hers = package_folder(root, package), into / package
        hers.mkdir(parents=True)
        for name in USUAL:
            if (ours / name).is_file():
                shutil.copyfile(ours / name, hers / name)
        for path in _files(ours / "src"):
            if path.suffix != ".py":
                _write(hers / path.relative_to(ours), path.read_bytes())
        for relative, content in files.items():
            _write(hers / "src" / relative, content)
        folders[package] = hers
    return folders


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _whose(mine: Mapping[str, Path], root: Path, module: Module) -> dict[str, Whose]:
    """Tell of each exercise of a module that stands in a learner's packages whose it is."""
    found: dict[str, Whose] = {}
    for package in module.packages:
        if package not in mine:
            continue
        ours, hers = package_folder(root, package), mine[package]
        for exercise in module.exercises_in(package):
            try:
                if same_code(ours, hers, exercise):
                    found[exercise] = "the course's"
                else:
                    found[exercise] = "blank" if is_blank(hers, exercise) else "hers"
            except (TitoError, RecursionError, MemoryError):
                found[exercise] = "lost"
    return found


def _show_work(exercises: Sequence[Whose]) -> bool:
    """Whether a module's exercises show that it was started, without a word from the record."""
    hers = exercises.count("hers")
    return "blank" in exercises or 0 < hers >= exercises.count("the course's")


def _read_package(
    folder: Path, curriculum: Curriculum, package: str, notes: list[str]
) -> dict[str, bytes]:
    """Read the Python files of a package's source, and note what else there is."""
    for part in (package, f"{package}/src"):
        if (folder.parent / part).is_symlink():
            raise RefusedError(f"{part} is a link. A submission consists of files of its own.")
    ours = package_folder(curriculum.root, package)
    aside = [
        entry.name
        for entry in sorted(folder.iterdir())
        if entry.name not in (*USUAL, *CACHES) and not (ours / entry.name).is_file()
    ]
    for name in ("pyproject.toml",):
        if not _same(folder / name, ours / name):
            aside.append(f"{name}, which is not the course's")
    files = {}
    module = package.replace("-", "_")
    for path in _files(folder / "src"):
        relative = PurePosixPath(path.relative_to(folder / "src").as_posix())
        if relative.parts[0] == module and path.suffix == ".py":
            if not str(relative).isprintable():  # nor in UTF-8: such bytes are no characters
                raise RefusedError(
                    f"{package}/src has a file with no readable name: {str(relative)!r}."
                )
            files[str(relative)] = _read(path, f"{package}/src/{relative}")
        elif not _same(path, ours / "src" / relative):
            aside.append(f"src/{relative}")
    if aside:
        notes.append(f"Left aside in {package}: {shortened(aside)}.")
    return files


def shortened(names: Sequence[str]) -> str:
    """Join names, the first few of many.

    Example:
        >>> shortened([*"abcdefg"])
        'a, b, c, d, e and 2 more'
    """
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, except caches.

    Raises:
        RefusedError: There is a link, a device or the like, or far too much.
    """
    count = 0
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            count += 1
            path = Path(entry.path)
            if entry.name in CACHES or path.suffix == ".pyc":
                continue
            if count > 2 * FILES:
                raise RefusedError(f"It has more than {2 * FILES} files.")
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                waiting.append(path)
            elif stat.S_ISREG(mode):
                yield path
            else:
                raise RefusedError(
                    f"{path.name} is a link or a device. A submission consists of files of its own."
                )


def _read(path: Path, name: str) -> bytes:
    try:
        return read_regular(path, FILE_SIZE)
    except OSError as error:
        raise RefusedError(f"{name} cannot be read ({error.strerror}).") from error


def _same(path: Path, other: Path) -> bool:
    """Whether two files hold the same, or the first is not there."""
    if not path.exists():
        return True
    if path.is_symlink() or not path.is_file() or not other.is_file():
        return False
    return path.stat().st_size == other.stat().st_size and path.read_bytes() == other.read_bytes()


def _read_state(folder: Path, notes: list[str]) -> State | None:
    path = folder / ".tito" / "state.json"
    if not os.path.lexists(path):
        return None
    try:
        if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
            raise DamagedStateError("it is no file of its own")
        return parse_state(_read(path, ".tito/state.json"))
    except (DamagedStateError, RefusedError, OSError) as error:
        notes.append(f"Her record of what she completed cannot be used: {error}.")
        return None


def read_all(
    folders: Iterable[Path], curriculum: Curriculum
) -> tuple[list[Submission], dict[str, tuple[Path, str]]]:
    """Read all submissions before anything runs.

    Args:
        folders: The learners' folders.
        curriculum: The course.

    Returns:
        Those that could be read, and for each other, by name, its folder and why not.
    """
    folders = list(folders)
    taken, refused = [], {}
    for name, folder in zip(names(folders), folders, strict=True):
        try:
            taken.append(read_submission(name, folder, curriculum))
        except RefusedError as error:
            refused[name] = (folder, str(error))
        except OSError as error:
            reason = error.strerror or str(error)
            refused[name] = (folder, f"{error.filename or folder} cannot be read: {reason}.")
        except Exception as error:  # whatever her files do to what reads them
            refused[name] = (folder, f"It cannot be read: {error!r}.")
    return taken, refused

"""What a student is given for a module: packages with blank exercises, the guide, what to do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module
from tt_tito.course._exercises import locate
from tt_tito.workspace._workspace import FOLDER, OWN, Workspace

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the time of every file: the same archive whenever it is made
MODE = 0o100644 << 16
UNIX = 3

README = """\
# Module {number}: {name}

This archive is what you start from:

- `{guide}`: the guide. Read it first.
- `workspace/`: the packages of the modules up to this one. The exercises of these modules are
  blank: each has its signature and its docstring, and raises `NotImplementedError`. All else in the
  packages is there, to be used and read.

## What to write

{exercises}

## How to work

1. Unpack the archive and put its folder `workspace` into a checkout of the course, where the
   environment with `tito` is active. If there is a `workspace` already, keep yours and leave this
   one: `tito module start {number}` adds what is new to it, and keeps what you wrote.
2. Write an exercise, then `tito module test {number}`: the first failure comes first, with what was
   expected, what your code gave, and where.
3. When all tests pass, `tito module complete {number}` records it. `tito checkpoint status` shows
   what is next.

Nothing of yours is overwritten: `tito module reset {number}` moves your work to a backup, and
`tito module restore {number}` brings it back.

What you hand in is the folder `workspace`. Only the Python files in its packages' `src` count.
"""


def release(curriculum: Curriculum, number: str, scratch: Path) -> bytes:
    """Make the student's archive for a module, a zip file that is the same each time.

    Args:
        curriculum: The course.
        number: The module's number.
        scratch: An empty folder to work in.

    Raises:
        TitoError: If the guide is missing, or an exercise cannot be made blank.
    """
    module = curriculum.module(number)
    guide = curriculum.root / module.guide
    try:
        text = guide.read_bytes()
    except OSError as error:
        raise TitoError(f"The guide {guide} cannot be read ({error.strerror or error}).") from error
    workspace = Workspace(curriculum, scratch / FOLDER)
    modules = [other for other in curriculum.modules if other.number <= module.number]
    for other in modules:
        workspace.start(other.number)
    check_blank(workspace, modules)
    files = {
        "README.md": readme(workspace, module).encode(),
        guide.name: text,
        **{
            f"{FOLDER}/{path.relative_to(workspace.folder).as_posix()}": path.read_bytes()
            for path in workspace.folder.rglob("*")
            if path.is_file() and path.relative_to(workspace.folder).parts[0] != OWN
        },
    }
    return archive(f"tinytorch-{module.number}-{module.name}", files)


def check_blank(workspace: Workspace, modules: Iterable[Module]) -> None:
    """Refuse to give away an exercise that is not blank."""
    for module in modules:
        if written := set(module.exercises) - set(workspace.unwritten(module)):
            raise TitoError(
                f"{min(written)} would be in the archive with its solution, so none was made. This "
                "is a fault of tito."
            )


def readme(workspace: Workspace, module: Module) -> str:
    """Write what is to be done."""
    lines = []
    for package in module.packages:
        for exercise in module.exercises_in(package):
            place = locate(workspace.folder / package, exercise)
            path = (Path(FOLDER) / package / place.file).as_posix()
            lines.append(f"- `{exercise}`\n  ({path}, line {place.line})")
    guide = Path(module.guide).name
    return README.format(
        number=module.number, name=module.name, guide=guide, exercises="\n".join(lines)
    )


def archive(top: str, files: Mapping[str, bytes]) -> bytes:
    """Make a zip file of which every byte follows from the files.

    Args:
        top: The folder that all files are in.
        files: The files by path.
    """
    made = io.BytesIO()
    # Stored: what a compressor gives depends on its version.
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{top}/{name}", LONG_AGO)
            entry.create_system, entry.external_attr = UNIX, MODE
            target.writestr(entry, files[name])
    return made.getvalue()

"""`tito milestone`: list, explain and run the milestones of a checkout."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tt_tito._catalogue import Entry, catalogue, find, find_root
from tt_tito._errors import SKIP_MISSING_DATA, TitoError
from tt_tito._installed import Lack, installed_version, lacking
from tt_tito._script import Script, read_script
from tt_tito._terminal import coloured, paragraph

from ._places import add_workspace_options


def main(argv: Sequence[str]) -> int:
    """Run `tito milestone` and return its exit code."""
    options = _parser().parse_args(argv)
    flags: list[str] = []
    if options.action == "run":  # what is tito's own may stand after the number too
        options, flags = _own_parser().parse_known_args(options.flags, options)
    root = options.root or find_root(Path.cwd())
    if options.action == "list":
        return list_milestones(root)
    entry = find(root, options.number)
    if options.action == "info":
        return explain(entry)
    if options.mine:
        from tt_tito.trial._mine import run_mine
        from tt_tito.workspace._workspace import Workspace

        return run_mine(Workspace.open(root, options.workspace), entry, *chosen(entry, flags))
    return run(entry, flags)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito milestone", description="List, explain and run the milestones of a checkout."
    )
    add_workspace_options(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the milestones, and which of them can run here")
    info = actions.add_parser("info", help="what a milestone is about and what it needs")
    info.add_argument("number", metavar="NN", help="the milestone's number, such as 01")
    runner = actions.add_parser(
        "run",
        help="run a milestone's scripts in this environment",
        description="Run the scripts of a milestone in this environment, one after the other, "
        "with the flags given. Name one of them after the number to run that one alone. With "
        "--mine they run in a clean environment with just what they need: your packages where you "
        "have them in your workspace, the course's elsewhere.",
    )
    runner.add_argument("--mine", action="store_true", help="run them on your own packages")
    runner.add_argument("number", metavar="NN", help="the milestone's number, such as 01")
    runner.add_argument(
        "flags", nargs=argparse.REMAINDER, metavar="[SCRIPT] [FLAGS]", help="passed to the script"
    )
    return parser


def _own_parser() -> argparse.ArgumentParser:
    """The parser of tito's own flags among those of a script."""
    parser = argparse.ArgumentParser(
        prog="tito milestone run",
        add_help=False,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--mine", action="store_true")
    add_workspace_options(parser)
    return parser


def list_milestones(root: Path) -> int:
    """Print a line for each milestone."""
    for entry in catalogue(root):
        scripts = [read_script(path) for path in entry.scripts]
        lacks = [lack for script in scripts for lack in lacking(script.prerequisites)]
        missing = sorted({lack.requirement.name for lack in lacks})
        state = f"needs {', '.join(missing)}" if missing else "ready"
        head = f"{entry.number}  {entry.year}  "
        text = paragraph(f"{entry.name}: {state}", first=head, rest=" " * len(head))
        print(coloured(head, "bold") + text[len(head) :])
        for script in scripts:
            indent = " " * len(head)
            text = f"{script.path.name}: {script.title}"
            print(paragraph(text, first=indent, rest=indent + "  "))
    return 0


def explain(entry: Entry) -> int:
    """Print what a milestone is about, what it needs, and how to run it."""
    print(coloured(f"Milestone {entry.number} ({entry.year}): {entry.name}", "bold"))
    for script in (read_script(path) for path in entry.scripts):
        print()
        print(coloured(script.path.name, "bold"))
        print(paragraph(script.title))
        for text in script.story.split("\n\n"):
            print()
            print(paragraph(text))
        print()
        print(paragraph(f"Python {script.python or 'of any version'}. Needs:"))
        for requirement in script.requirements:
            kind = "prerequisite" if requirement in script.prerequisites else "tool"
            installed = installed_version(requirement.name)
            state = f"{installed} installed" if installed else "not installed"
            text = f"{requirement} ({kind}, {state})"
            print(paragraph(text, first="  ", rest="    "))
    print()
    print("Run it in this environment, or in one with just what it needs:")
    print(f"  tito milestone run {entry.number}")
    print(f"  nox -s milestone_{entry.number}")
    return 0


def run(entry: Entry, arguments: Sequence[str]) -> int:
    """Run a milestone's scripts, or the one named first, and return the worst exit code.

    Of several, one whose data cannot be had is skipped, and the verdict is that of the others.
    """
    paths, flags = chosen(entry, arguments)
    for path in paths:
        require(entry, read_script(path))
    return max(run_script(path, flags, skip=len(paths) > 1) for path in paths)


def chosen(entry: Entry, arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Split what stands after a milestone's number into the scripts to run and their flags.

    Args:
        entry: The milestone.
        arguments: The name of one of its scripts, if only that is to run, and flags.

    Raises:
        TitoError: If it has no such script, or none at all.
    """
    paths = list(entry.scripts)
    flags = list(arguments)
    if flags and not flags[0].startswith("-"):
        wanted = flags.pop(0)
        paths = [path for path in paths if wanted in (path.stem, path.name)]
        if not paths:
            names = ", ".join(path.stem for path in entry.scripts)
            raise TitoError(
                f"Milestone {entry.number} has no script {wanted!r}; it has {names}. Flags start "
                "with '--'."
            )
    if not paths:
        raise TitoError(f"Milestone {entry.number} has no scripts.")
    return paths, flags


def require(entry: Entry, script: Script) -> None:
    """Refuse to run a script whose requirements are not fulfilled here.

    Raises:
        TitoError: If something is missing or of another version, with what to do.
    """
    if not script.python.contains(platform.python_version(), prereleases=True):
        raise TitoError(
            f"{script.path.name} runs on Python {script.python}; this is "
            f"{platform.python_version()}."
        )
    lacks = lacking(script.requirements)
    if lacks:
        raise TitoError(_advice(entry, script, lacks))


def _advice(entry: Entry, script: Script, lacks: Sequence[Lack]) -> str:
    needed = ", ".join(map(str, lacks))
    return (
        f"Milestone {entry.number} ({script.path.name}) needs {needed}. 'nox -s dev' in the "
        "checkout makes an environment with all packages; "
        f"'nox -s milestone_{entry.number}' installs just what this milestone needs and runs it."
    )


def run_script(path: Path, flags: Sequence[str], *, skip: bool) -> int:
    """Run a script with this Python, in the current folder, and return its exit code.

    Args:
        path: The script.
        flags: Its flags.
        skip: Whether it is to be skipped where its data cannot be had.
    """
    sys.stdout.flush()
    environment = os.environ | {SKIP_MISSING_DATA: "1" if skip else ""}
    command = [sys.executable, str(path), *flags]
    code = subprocess.run(command, env=environment, check=False).returncode
    return code if code >= 0 else 128 - code  # a signal, numbered as a shell does

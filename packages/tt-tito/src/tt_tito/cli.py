"""The `tito` command.

Its own commands and those of other packages meet in one table: name, one line of help, and where
the function is that takes the remaining arguments and returns the exit code. Other packages add
theirs through the entry-point group ``tito.commands``. A command is imported only when it is
called, so `tito --help` stays quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, version

from ._errors import TitoError
from ._terminal import paragraph, print_error

GROUP = "tito.commands"

Command = Callable[[Sequence[str]], int]


@dataclass(frozen=True, slots=True)
class Listing:
    """A command as the help shows it: its entry point, not yet loaded, and a line about it."""

    entry_point: EntryPoint
    help: str


OWN = {
    name: Listing(EntryPoint(name, f"tt_tito.{module}:main", GROUP), text)
    for name, module, text in (
        ("benchmark", "commands.benchmark", "compete in TinyMLPerf, and verify submissions"),
        ("checkpoint", "commands.checkpoint", "see where you stand in the course"),
        ("grade", "commands.grade", "run many learners' tests and milestones again"),
        ("leaderboard", "commands.leaderboard", "keep and show results that were verified here"),
        ("milestone", "commands.milestone", "list, explain and run the milestones"),
        ("module", "commands.module", "write the course's modules yourself"),
        ("release", "commands.release", "make the archive that students get for a module"),
        ("system", "commands.system", "check this machine and the installed packages"),
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the `tito` command.

    Args:
        argv: Arguments after the program's name; those of the process if None.

    Returns:
        The exit code: 0 for success, 2 for a usage or data error, otherwise the command's own.
    """
    if hasattr(sys.stdout, "reconfigure"):  # a narrow encoding gets "?", not a traceback
        sys.stdout.reconfigure(errors="replace")
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _dispatch(arguments)
        finally:
            sys.stdout.flush()  # here, not when Python ends, so that a closed pipe is met below
    except TitoError as error:
        print_error("tito", str(error))
        return 2
    except KeyboardInterrupt as interrupt:
        print_error("tito", str(interrupt) or "Interrupted.")
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--version":
        print(f"tito {version('tt-tito')}")
        return 0
    commands = available_commands()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help(commands))
        return 0
    name, *rest = arguments
    if name not in commands:
        raise TitoError(_unknown(name, commands))
    return _load(commands[name].entry_point)(rest)


def available_commands() -> Mapping[str, Listing]:
    """List tito's own commands and those that installed packages add, without importing any."""
    commands = dict(OWN)
    for entry_point in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry_point.name not in OWN:
            commands[entry_point.name] = Listing(entry_point, f"added by {_owner(entry_point)}")
    return commands


def _load(entry_point: EntryPoint) -> Command:
    """Import a command; a package that cannot be imported is named, with what to do."""
    try:
        command = entry_point.load()
    except Exception as error:
        raise TitoError(
            f"The command {entry_point.name!r}, added by {_owner(entry_point)}, cannot be loaded "
            f"({type(error).__name__}: {error}). Install that package again, or run "
            "'tito system doctor' to see what is wrong."
        ) from error
    if not callable(command):
        raise TitoError(
            f"The command {entry_point.name!r}, added by {_owner(entry_point)}, is not a function "
            f"({entry_point.value}). This is a fault of that package."
        )

    return command if entry_point.dist is None else _guarded(command, entry_point)


def _guarded(command: Callable[..., object], entry_point: EntryPoint) -> Command:
    """Let another package's command fail without a traceback, naming the package."""

    def run(arguments: Sequence[str]) -> int:
        try:
            code = command(arguments)
        except Exception as error:
            raise TitoError(
                f"The command {entry_point.name!r}, added by {_owner(entry_point)}, failed "
                f"({type(error).__name__}: {error}). This is a fault of that package."
            ) from error
        if isinstance(code, int):
            return code
        raise TitoError(
            f"The command {entry_point.name!r}, added by {_owner(entry_point)}, ended without an "
            "exit code. This is a fault of that package."
        )

    return run


def _owner(entry_point: EntryPoint) -> str:
    if entry_point.dist is None:
        return "tt-tito"
    return f"{entry_point.dist.name} {entry_point.dist.version}"


def _unknown(name: str, commands: Mapping[str, Listing]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, commands, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"There is no command {name!r}.{hint} 'tito --help' lists the commands."


def _help(commands: Mapping[str, Listing]) -> str:
    width = max(map(len, commands))
    rows = [
        paragraph(listing.help, first=f"  {name:<{width}}  ", rest=" " * (width + 4))
        for name, listing in commands.items()
    ]
    return "\n".join(
        [
            "usage: tito COMMAND ...",
            "",
            paragraph("The milestones of machine learning, run on packages of your own."),
            "",
            "commands:",
            *rows,
            "",
            paragraph("'tito COMMAND --help' explains a command, 'tito --version' is the version."),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

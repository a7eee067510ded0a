"""`tito grade`: run the tests and milestones of many learners' workspaces again."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tt_tito._catalogue import find, find_root
from tt_tito._errors import TitoError
from tt_tito._report import write_whole
from tt_tito._terminal import coloured, paragraph
from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._gradebook import Grade, as_csv, as_json, plain
from tt_tito.teaching._grading import Grader, grade_all, scratch
from tt_tito.teaching._limits import Guard, Limits
from tt_tito.teaching._submission import read_all
from tt_tito.workspace._state import now

SECONDS, FULL_SECONDS = 600, 7200  # for the tests of a module, or for a script of a milestone
INDENT = "    "


def main(argv: Sequence[str]) -> int:
    """Run `tito grade` and return its exit code: 1 if not all of everyone's work passed."""
    options = _parser().parse_args(argv)
    root = (options.root or find_root(Path.cwd())).absolute()
    curriculum = read_curriculum(root)
    modules = options.modules and [curriculum.module(number).number for number in options.modules]
    milestones = [find(root, number) for number in options.milestones]
    for folder in options.folders:
        if not folder.is_dir():
            raise TitoError(f"{folder} is not a folder. Name the folders of the learners' work.")
    check_writable(options.csv, options.json)
    seconds = options.seconds or (FULL_SECONDS if options.full else SECONDS)
    # Twice: a script may keep two processors busy.
    limits = Limits(seconds, 2 * seconds, memory=int(options.memory * 2**30))
    guard = Guard(limits)
    for text in guard.missing:
        print(coloured(paragraph(f"On this system {text}.", rest="  "), "yellow"))
    settings = {
        "modules": modules,
        "milestones": [entry.number for entry in milestones],
        "mode": "full" if options.full else "demo",
        "seconds": seconds,
        "memory_gib": options.memory,
    }
    started = now()
    grades: list[Grade] = []
    progress = Progress()

    def done(grade: Grade) -> None:
        progress.clear()
        grades.append(grade)
        show(grade)
        # Each time, so that what is known is not lost if the rest is stopped.
        ordered = sorted(grades, key=lambda grade: grade.learner)
        write(options.csv, as_csv(ordered))
        text = as_json(ordered, graded=started, settings=settings, missing=guard.missing)
        write(options.json, text)

    # All is read before anything of anyone runs.
    submissions, refused = read_all(options.folders, curriculum)
    for name, (folder, reason) in refused.items():
        done(Grade(name, folder, reason=reason))
    with scratch() as cache:
        grader = Grader(
            curriculum,
            guard,
            cache=cache,
            modules=modules,
            milestones=milestones,
            full=options.full,
        )
        try:
            grader.prepare(submissions, progress.tell)
            grade_all(grader, submissions, jobs=options.jobs, tell=progress.tell, done=done)
        finally:
            progress.clear()
    passed = sum(grade.passed for grade in grades)
    print()
    print(
        paragraph(f"{passed} of {len(grades)} passed all. Written: {options.csv}, {options.json}.")
    )
    return 0 if passed == len(grades) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito grade",
        description="Run the tests and milestones of learners' workspaces again, each apart from "
        "the others, with limits and without network, and write what they show as CSV and JSON. "
        "What a workspace has recorded is not believed. The exit code is 1 if not all of "
        "everyone's work passed.",
    )
    parser.add_argument(
        "folders", nargs="+", type=Path, metavar="FOLDER",
        help="a learner's workspace, or a folder with 'workspace' in it",
    )  # fmt: skip
    parser.add_argument(
        "--modules", type=numbers, default=None, metavar="NN,NN",
        help="the modules to test; by default those that each learner started",
    )  # fmt: skip
    parser.add_argument(
        "--milestones", type=numbers, default=[], metavar="NN,NN",
        help="the milestones to run on her packages, and the modules that these need; by default "
        "none",
    )  # fmt: skip
    parser.add_argument(
        "--full", action="store_true", help="run milestones in full, not their demos"
    )
    parser.add_argument(
        "--jobs", type=positive, default=1, metavar="N", help="learners at a time; %(default)s"
    )
    parser.add_argument(
        "--seconds", type=positive, default=None, metavar="N",
        help="the most that a module's tests, or a milestone's script, may take; "
        f"{SECONDS}, or {FULL_SECONDS} with --full",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=gibibytes, default=4.0, metavar="GIB",
        help="the memory that they may use, in GiB; %(default)g",
    )  # fmt: skip
    parser.add_argument(
        "--csv", type=Path, default=Path("grades.csv"), metavar="FILE", help="%(default)s"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("grades.json"), metavar="FILE", help="%(default)s"
    )
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER",
        help="the checkout; by default the one that the current folder is in",
    )  # fmt: skip
    return parser


def numbers(text: str) -> list[str]:
    """Read numbers such as ``02,06``, each once."""
    found = list(dict.fromkeys(part for part in re.split(r"[,\s]+", text) if part))
    if not found or not all(part.isdecimal() for part in found):
        raise argparse.ArgumentTypeError(f"expected numbers such as 02,06; got {text!r}")
    return found


def positive(text: str) -> int:
    """Read a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1; got {text!r}")
    return int(text)


def gibibytes(text: str) -> float:
    """Read an amount of memory: a quarter of a GiB at least, for Python and NumPy themselves."""
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0.25 <= amount <= 1024:
        raise argparse.ArgumentTypeError(f"expected GiB, from 0.25 to 1024; got {text!r}")
    return amount


def show(grade: Grade) -> None:
    """Print what was found of a learner."""
    if grade.reason is not None:
        print(coloured(paragraph(f"{plain(grade.learner)}: not graded", rest=INDENT), "red"))
        print(paragraph(plain(grade.reason), first="  ", rest=INDENT))
        return
    passed = sum(mark.passed for mark in grade.marks)
    head = f"{plain(grade.learner)}: {passed} of {len(grade.marks)} passed"
    print(coloured(paragraph(head, rest=INDENT), "green" if grade.passed else "red"))
    if not grade.marks:
        print(paragraph("No module was started.", first="  ", rest=INDENT))
    for mark in grade.marks:
        text = f"{mark.what} {mark.number} ({mark.name}): "
        if mark.passed:
            text += f"passed on her {', '.join(mark.packages)}"
            if mark.unchanged:
                text += f"; {len(mark.unchanged)} of its exercises are as the course has them"
            text += "."
        else:
            text += f"failed. {plain(mark.reason)}"
        if mark.unproven:
            text += " Recorded as completed, which this run does not show."
        print(paragraph(text, first="  ", rest=INDENT))
    for note in grade.notes:
        print(paragraph(plain(note), first="  ", rest=INDENT))


def check_writable(*files: Path) -> None:
    """Refuse files that cannot be written, before hours are spent on what goes into them."""
    for file in files:
        if file.is_dir() or not file.absolute().parent.is_dir():
            raise TitoError(f"{file} cannot be written: name a file in a folder that exists.")


def write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        write_whole(file, content)
    except OSError as error:
        raise TitoError(f"{file} cannot be written ({error.strerror or error}).") from error


class Progress:
    """One line on a terminal that says what is being done; several threads may tell."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown = sys.stderr.isatty()

    def tell(self, text: str) -> None:
        """Show a text in place of the last."""
        width = max(20, shutil.get_terminal_size((80, 24)).columns) - 1
        self._write(f"\r{plain(text)} …"[:width].ljust(width))

    def clear(self) -> None:
        """Show nothing."""
        width = max(20, shutil.get_terminal_size((80, 24)).columns) - 1
        self._write("\r" + " " * (width - 1) + "\r")

    def _write(self, text: str) -> None:
        if self._shown:
            with self._lock:
                print(text, end="", file=sys.stderr, flush=True)

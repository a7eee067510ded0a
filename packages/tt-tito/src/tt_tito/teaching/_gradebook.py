"""What grading found, as CSV and JSON: one line for each module and milestone of each learner."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

SCHEMA = 1
COLUMNS = (
    *("learner", "what", "number", "name", "result", "reason", "tests", "tests_passed"),
    *("packages", "unchanged", "recorded", "seconds"),
)


@dataclass(frozen=True, slots=True)
class Mark:
    """How a module or milestone of a learner did.

    Attributes:
        what: Whether it is a module or a milestone.
        number: Its number.
        name: Its name.
        passed: Whether this run shows that it works.
        reason: Why not, in words; empty if it passed.
        packages: The packages of hers that it was run on; the others were the course's.
        unchanged: The exercises of a module that are as the course has them.
        tests: How many tests there are; for a milestone, how many scripts. None of a module that
            was not run.
        tests_passed: How many of them passed.
        failed: The ids of those that did not.
        claimed: Whether the learner's own record says that it was completed.
        seconds: How long it took to run.
    """

    what: Literal["module", "milestone"]
    number: str
    name: str
    passed: bool
    reason: str
    packages: tuple[str, ...]
    unchanged: tuple[str, ...]
    tests: int
    tests_passed: int
    failed: tuple[str, ...]
    claimed: bool
    seconds: float

    @property
    def unproven(self) -> bool:
        """Whether the learner's own record claims what this run does not show."""
        return self.claimed and not self.passed


@dataclass(frozen=True, slots=True)
class Grade:
    """What grading found of a learner.

    Attributes:
        learner: Her name.
        folder: What she handed in.
        marks: Her modules and milestones.
        notes: What is to be known beside.
        reason: Why nothing could be graded; None if it could.
    """

    learner: str
    folder: Path
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def passed(self) -> bool:
        """Whether there was something to grade and all of it passed."""
        return self.reason is None and bool(self.marks) and all(mark.passed for mark in self.marks)


def as_csv(grades: Sequence[Grade]) -> bytes:
    """Write grades as CSV, a line for each module and milestone.

    Args:
        grades: What grading found.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")  # as RFC 4180 has it
    writer.writerow(COLUMNS)
    for grade in grades:
        if not grade.marks:
            reason = grade.reason or "No module was started."
            row = (grade.learner, "submission", "", "", "not graded", reason, *[""] * 6)
            writer.writerow(map(plain, row))
        for mark in grade.marks:
            row = (
                *(grade.learner, mark.what, mark.number, mark.name),
                *("passed" if mark.passed else "failed", mark.reason),
                *(str(mark.tests), str(mark.tests_passed)),
                *(" ".join(mark.packages), str(len(mark.unchanged))),
                *("completed" if mark.claimed else "", f"{mark.seconds:.1f}"),
            )
            writer.writerow(map(plain, row))
    return text.getvalue().encode()


def as_json(
    grades: Sequence[Grade], *, graded: datetime, settings: object, missing: Sequence[str]
) -> bytes:
    """Write grades as JSON, with everything that is known.

    Args:
        grades: What grading found.
        graded: When.
        settings: With what settings and limits.
        missing: What this platform could not protect against.
    """
    record = {
        "schema": SCHEMA,
        "graded": graded.isoformat(),
        "settings": settings,
        "not_protected": list(missing),
        "learners": [
            {
                "learner": grade.learner,
                "folder": str(grade.folder),
                "passed": grade.passed,
                "reason": grade.reason,
                "notes": list(grade.notes),
                "marks": [{**asdict(mark), "unproven": mark.unproven} for mark in grade.marks],
            }
            for grade in grades
        ],
    }
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode(errors="replace")


def plain(text: str) -> str:
    r"""Make a text harmless to print and to open in a spreadsheet, and one line.

    Part of it may be what a learner's code said: control characters would steer a terminal, and a
    spreadsheet would run what begins like a formula.

    Args:
        text: The text.

    Example:
        >>> plain("=HYPERLINK(1)"), plain("a \x1b[2J\n b")
        ("'=HYPERLINK(1)", 'a ?[2J b')
    """
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line

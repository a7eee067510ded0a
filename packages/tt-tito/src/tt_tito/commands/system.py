"""`tito system`: check this machine and the installed packages."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence

from tt_tito._doctor import Level, examine
from tt_tito._terminal import coloured, paragraph

COLOURS: dict[Level, str] = {"ok": "green", "warning": "yellow", "error": "red"}


def main(argv: Sequence[str]) -> int:
    """Run `tito system` and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="tito system", description="Check this machine and the installed packages."
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    doctor = actions.add_parser(
        "doctor",
        help="say of each part whether it is in order, and what to do if not",
        description="Look at Python, NumPy and its BLAS, the tt-* packages, the data home and the "
        "disk. The exit code is 1 if one of them is in error.",
    )
    doctor.set_defaults(action=run_doctor)
    return int(parser.parse_args(argv).action())


def run_doctor() -> int:
    """Print every finding, then how many there are of each level."""
    counts: Counter[Level] = Counter()
    for finding in examine():
        counts[finding.level] += 1
        label = f"{finding.level:<8}"
        indent = " " * len(label)
        text = paragraph(f"{finding.subject}: {finding.text}", first=label, rest=indent)
        print(coloured(label, COLOURS[finding.level]) + text[len(label) :])
        if finding.advice:
            print(paragraph(finding.advice, first=f"{indent}-> ", rest=f"{indent}   "))
    print()
    print(", ".join(f"{counts[level]} {level}" for level in COLOURS))
    return 1 if counts["error"] else 0

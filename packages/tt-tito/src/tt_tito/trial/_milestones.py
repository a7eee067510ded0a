"""Runs a milestone's scripts in a clean environment and reads their verdicts from their reports."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tt_tito._catalogue import identify
from tt_tito._errors import SKIP_MISSING_DATA, TitoError
from tt_tito._flags import DEFAULT, with_recipe
from tt_tito._script import read_script
from tt_tito.course._curriculum import Curriculum

from ._process import Launch, clean_environment
from ._untrusted import read_regular
from ._venv import Venv

LARGEST = 16 << 20  # bytes of a report
TRAINED = ("full", "demo")  # the modes in which the learner's code has trained what is judged


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a script ended.

    Attributes:
        script: The script.
        code: Its exit code.
        passed: What its report says; None if it judged nothing or left no report.
        mode: How it ran, as its report says.
        report: The folder of its report.
        reason: Why it was stopped from outside, if it was.
        output: The end of what it printed, if the launcher keeps that.
    """

    script: Path
    code: int
    passed: bool | None
    mode: str | None
    report: Path
    reason: str | None
    output: str

    @property
    def ok(self) -> bool:
        """Whether the bar was met by something that this run has trained."""
        return self.code == 0 and self.passed is True and self.mode in TRAINED


def requirements_of(scripts: Sequence[Path]) -> tuple[str, ...]:
    """The dependency list that the scripts of a milestone share.

    Args:
        scripts: The scripts.

    Raises:
        TitoError: If two of them name different lists, or this Python is not one they run on.
    """
    lists = []
    for path in scripts:
        script = read_script(path)
        if not script.python.contains(platform.python_version(), prereleases=True):
            raise TitoError(
                f"{path.name} runs on Python {script.python}; this is {platform.python_version()}."
            )
        lists.append(sorted(map(str, script.requirements)))
    for path, entries in zip(scripts, lists, strict=True):
        if entries != lists[0]:
            raise TitoError(
                f"{scripts[0].name} and {path.name} name different dependencies; the scripts of a "
                "milestone run in one environment and share its list."
            )
    return tuple(lists[0])


def stages(curriculum: Curriculum, scripts: Sequence[Path]) -> tuple[str, ...]:
    """The packages that are tried by a milestone: its prerequisites, and what these depend on.

    The instrument that judges is none of them, nor is what only the instrument needs.

    Args:
        curriculum: The course.
        scripts: The scripts.
    """
    listed = {item.name for path in scripts for item in read_script(path).prerequisites}
    return curriculum.beneath(sorted(listed))


def run_scripts(
    venv: Venv, scripts: Sequence[Path], flags: Sequence[str], *, folder: Path, launch: Launch
) -> tuple[Verdict, ...]:
    """Run scripts of a milestone one after the other.

    Of several, one whose data cannot be had is skipped: it leaves no report.

    Args:
        venv: An environment with what they need.
        scripts: The scripts.
        flags: The flags of each of them.
        folder: The folder that they run in.
        launch: Runs each of them.
    """
    variables = clean_environment() | {SKIP_MISSING_DATA: "1" if len(scripts) > 1 else ""}
    verdicts = []
    for script in scripts:
        report = folder / report_folder(script, flags)
        before = _stamp(report)
        command = [str(venv.python), "-I", str(script), *flags]
        ended = launch(command, folder=folder, environment=variables)
        # A report that stood there before is not of this run.
        record = _read(report / "report.json") if _stamp(report) != before else {}
        passed, mode = record.get("passed"), record.get("mode")
        verdicts.append(
            Verdict(
                script=script,
                code=ended.code if ended.code >= 0 else 128 - ended.code,  # as a shell numbers it
                passed=passed if isinstance(passed, bool) else None,
                mode=mode if isinstance(mode, str) else None,
                report=report,
                reason=ended.reason,
                output=ended.output,
            )
        )
    return tuple(verdicts)


def report_folder(script: Path, flags: Sequence[str]) -> Path:
    """Where a script leaves its report.

    Args:
        script: The script.
        flags: Its flags.

    Example:
        >>> script = Path("milestones/04_1998_cnn/digits.py")
        >>> report_folder(script, ["--recipe", "fast"]).as_posix()
        'reports/milestone_04/digits_fast'
        >>> report_folder(script, ["--report-dir=here"]).as_posix()
        'here'
    """
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--report-dir", type=Path)
    parser.add_argument("--recipe", default=DEFAULT)
    number, _, _ = identify(script.parent)
    usual = Path("reports", f"milestone_{number}", script.stem)
    try:
        given, _ = parser.parse_known_args(list(flags))
    except argparse.ArgumentError:  # the script will tell
        return usual
    named: Path | None = given.report_dir
    return with_recipe(usual, given.recipe) if named is None else named


def _stamp(report: Path) -> tuple[int, int] | None:
    try:
        status = (report / "report.json").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _read(path: Path) -> Mapping[str, Any]:
    try:
        record = json.loads(read_regular(path, LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}

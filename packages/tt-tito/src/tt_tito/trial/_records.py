"""What the child of a test run recorded, and whether it can be believed."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._process import Ended
from ._untrusted import read_regular

Record = Mapping[str, Any]
FINISHED = (0, 1)  # pytest's exit codes after a run to the end: all passed, some failed
UNREADABLE = 2  # tests could not be collected
NO_TESTS = 5
LARGEST = 64 << 20  # bytes of all records; thousands of failures take a third
LONGEST = 4 << 20  # bytes of a record; the names of all tests take a quarter


@dataclass(slots=True)
class Records:
    """The records of a run.

    Attributes:
        tests: The ids of the tests that were collected.
        ended: What each test that ended did, in order.
        unreadable: Why files of tests could not be collected.
        running: The test that had begun but not ended, if there is one.
        code: pytest's exit code, from the record that ends the run; None if that is missing.
    """

    tests: tuple[str, ...] = ()
    ended: dict[str, Record] = field(default_factory=dict)
    unreadable: dict[str, Record] = field(default_factory=dict)
    running: str | None = None
    code: int | None = None

    @property
    def failed(self) -> dict[str, Record]:
        """The failures, by test or by the file that could not be collected, in order."""
        tests = {t: r["failure"] for t, r in self.ended.items() if r["outcome"] == "failed"}
        return self.unreadable | tests

    @property
    def skipped(self) -> tuple[str, ...]:
        """The tests that were skipped."""
        return tuple(t for t, record in self.ended.items() if record["outcome"] == "skipped")

    @property
    def passed(self) -> int:
        """How many tests passed."""
        return sum(record["outcome"] == "passed" for record in self.ended.values())

    @property
    def left(self) -> tuple[str, ...]:
        """The tests that were not run to their end."""
        return tuple(test for test in self.tests if test not in self.ended)

    def reason(self, ended: Ended, most: int | None = None) -> str | None:
        """Say why the run does not count, if it does not.

        Args:
            ended: How the process ended.
            most: After how many failures the rest of the tests need not run; None if all must.
        """
        where = f" It was running {self.running}." if self.running else ""
        if ended.reason is not None:
            return f"It was stopped: it {ended.reason}.{where}"
        if self.code is None:
            return f"Its process ended {_how(ended.code)} before all tests had run.{where}"
        if self.code == NO_TESTS:
            return "No tests were found."
        if self.code == UNREADABLE and self.unreadable:
            return None
        if self.code not in FINISHED:
            return f"pytest stopped with exit code {self.code}: {_last_line(ended.output)}"
        enough = most is not None and len(self.failed) >= most
        if (left := self.left) and not enough:
            return f"{len(left)} of {len(self.tests)} tests were not run, such as {left[0]}."
        if ended.code != self.code:
            return f"Its process ended {_how(ended.code)} after the tests had run."
        return None


def read_records(path: Path, token: str) -> Records:
    """Read what the child recorded; what has not the token of the run is not the child's.

    Args:
        path: The file.
        token: The token.
    """
    records = Records()
    try:
        lines = read_regular(path, LARGEST).split(b"\n")
    except OSError:
        return records
    secret = token.encode()
    for line in lines:
        # What is parsed may take twenty times the memory: no more of it than can be the child's.
        if len(line) > LONGEST or secret not in line:
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):  # the last line of a process that was killed
            continue
        if isinstance(record, dict) and record.get("token") == token:
            _take(records, record)
    return records


def _take(records: Records, record: Record) -> None:
    match record["event"]:
        case "collected":
            records.tests = tuple(record["tests"])
        case "unreadable":
            records.unreadable[record["test"]] = record["failure"]
        case "started":
            records.running = record["test"]
        case "ended":
            records.running = None
            records.ended[record["test"]] = record
        case "finished":
            records.code = record["code"]


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by the signal {signal.Signals(-code).name}"
    except ValueError:
        return f"by the signal {-code}"


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else "it printed nothing"

"""What is recorded of a learner: modules started and completed, solutions seen, milestones passed.

It is one JSON file, written whole or not at all. One that is damaged, or not of this schema, is
set aside under another name and told; it is never written over.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from tt_tito._errors import TitoError
from tt_tito._report import write_whole
from tt_tito._terminal import print_error

from ._fingerprint import HASH, Fingerprint

SCHEMA = 1
FILE = "state.json"
LOCK = "lock"
WAIT = 30.0  # seconds for another tito to finish its change
STAMP = "%Y-%m-%dT%H-%M-%S"  # a time in the name of a file or folder

NUMBER = re.compile("[0-9][0-9]")
PART = re.compile(rf"[0-9a-f]{{{HASH}}}")

T = TypeVar("T")


class DamagedStateError(ValueError):
    """A state file that is not one of ours; the message says why."""


@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """What is recorded of a module.

    Attributes:
        started: When it was started.
        completed: When its tests last passed for the record; None if they have not.
        fingerprint: The code that passed then.
        tests: How many tests it passed.
    """

    started: datetime
    completed: datetime | None = None
    fingerprint: Fingerprint | None = None
    tests: int = 0


@dataclass(frozen=True, slots=True)
class MilestoneRecord:
    """What is recorded of a milestone that passed on the learner's packages.

    Attributes:
        passed: When.
        fingerprint: The code that it passed on.
        packages: Whose each package was, ``"mine"`` or ``"course"``.
        mode: How its scripts ran, such as ``"full"``.
    """

    passed: datetime
    fingerprint: Fingerprint
    packages: Mapping[str, str]
    mode: str


@dataclass(frozen=True, slots=True)
class State:
    """All that is recorded of a learner.

    Attributes:
        modules: By the module's number.
        peeked: When each solution was first looked at before its module was completed.
        milestones: By the milestone's number.
    """

    modules: Mapping[str, ModuleRecord] = field(default_factory=dict)
    peeked: Mapping[str, datetime] = field(default_factory=dict)
    milestones: Mapping[str, MilestoneRecord] = field(default_factory=dict)

    def with_module(self, number: str, record: ModuleRecord) -> State:
        """Return a state with another record of a module."""
        return replace(self, modules={**self.modules, number: record})

    def with_peek(self, exercise: str, when: datetime) -> State:
        """Return a state that tells of a solution looked at; the first time counts."""
        return replace(self, peeked={exercise: when, **self.peeked})

    def with_milestone(self, number: str, record: MilestoneRecord) -> State:
        """Return a state with another record of a milestone."""
        return replace(self, milestones={**self.milestones, number: record})


def now() -> datetime:
    """The time, to the second, with its zone."""
    return datetime.now().astimezone().replace(microsecond=0)


# --- The file -------------------------------------------------------------------------------------


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change a workspace; the others wait.

    Args:
        folder: Where the state file is; it is made if it is missing.

    Raises:
        TitoError: If another process does not finish, or something cannot be written or moved.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=WAIT, is_singleton=True):
            yield
    except Timeout as error:
        raise TitoError(
            f"Another tito has been changing {folder.parent} for {WAIT:.0f} seconds. Try again "
            "when it has finished."
        ) from error
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise TitoError(
            f"The workspace {folder.parent} cannot be changed:{where}: {error.strerror or error}. "
            "Close what has its files open, and see that you may write there and that the disk "
            "has room; then give the command again."
        ) from error


def read_state(folder: Path) -> State | None:
    """Read the state file; one that cannot be read is set aside, and that is told.

    Args:
        folder: Where the state file is.

    Returns:
        The state, or None if there is none that can be read.
    """
    path = folder / FILE
    if not os.path.lexists(path):
        return None
    try:
        return _read(path)
    except DamagedStateError:
        pass
    with locked(folder):
        if not os.path.lexists(path):  # another process was quicker
            return None
        try:
            return _read(path)
        except DamagedStateError as error:
            aside = _unused(path.with_name(f"state.damaged-{now():{STAMP}}.json"))
            path.rename(aside)
            print_error(
                "tito",
                f"The record of what you have completed, {path}, cannot be used: {error}. It is "
                f"kept as {aside.name}, and a new one begins with what your folders show. "
                "'tito module complete NN' records a module again.",
            )
            return None


def write_state(folder: Path, state: State) -> None:
    """Write the state file whole or not at all; the caller holds the lock."""
    write_whole(folder / FILE, dump_state(state))


def _read(path: Path) -> State:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedStateError(f"it cannot be read ({error.strerror or error})") from error
    return parse_state(data)


def _unused(path: Path) -> Path:
    """Return a path that nothing stands at: this one, or the same with a number."""
    candidate, number = path, 1
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return candidate


# --- The JSON in it -------------------------------------------------------------------------------


def dump_state(state: State) -> bytes:
    """Write a state as JSON."""
    record = {
        "schema": SCHEMA,
        "modules": {
            number: {
                "started": module.started.isoformat(),
                "completed": module.completed.isoformat() if module.completed else None,
                "tests": module.tests,
                **_dump_fingerprint(module.fingerprint),
            }
            for number, module in sorted(state.modules.items())
        },
        "peeked": {exercise: when.isoformat() for exercise, when in sorted(state.peeked.items())},
        "milestones": {
            number: {
                "passed": milestone.passed.isoformat(),
                "mode": milestone.mode,
                "packages": dict(milestone.packages),
                **_dump_fingerprint(milestone.fingerprint),
            }
            for number, milestone in sorted(state.milestones.items())
        },
    }
    return (json.dumps(record, indent=1) + "\n").encode()


def _dump_fingerprint(fingerprint: Fingerprint | None) -> dict[str, object]:
    if fingerprint is None:
        return {"digest": None, "parts": {}}
    return {"digest": fingerprint.digest, "parts": dict(fingerprint.parts)}


def parse_state(data: bytes) -> State:
    """Read a state from JSON.

    Args:
        data: What the file holds.

    Raises:
        DamagedStateError: If it is not JSON, of another schema, or holds what no state holds.
    """
    try:
        record = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedStateError(f"it is not JSON ({error})") from error
    if not isinstance(record, dict) or type(schema := record.get("schema")) is not int:
        raise DamagedStateError("it has no schema, so it is not a record of tito's")
    if schema != SCHEMA:
        age = "a newer" if schema > SCHEMA else "no"
        raise DamagedStateError(
            f"its schema is {_short(schema)}, that of {age} version of tito; this one writes "
            f"schema {SCHEMA}"
        )
    fields = _fields(record, "it", ("schema", "modules", "peeked", "milestones"))
    return State(
        modules=_each(fields["modules"], "modules", _module, NUMBER),
        peeked=_each(fields["peeked"], "peeked", _time),
        milestones=_each(fields["milestones"], "milestones", _milestone, NUMBER),
    )


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return table


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no number of JSON's")


def _module(value: object, where: str) -> ModuleRecord:
    fields = _fields(value, where, ("started", "completed", "digest", "parts", "tests"))
    started = _time(fields["started"], f"{where}.started")
    tests = fields["tests"]
    if type(tests) is not int or not 0 <= tests < 10**9:
        raise DamagedStateError(f"{where}.tests is no number of tests")
    if fields["completed"] is None:
        if fields["digest"] is not None or fields["parts"] or tests:
            raise DamagedStateError(f"{where} is not completed, but has what a completed one has")
        return ModuleRecord(started)
    completed = _time(fields["completed"], f"{where}.completed")
    return ModuleRecord(started, completed, _fingerprint(fields, where), tests)


def _milestone(value: object, where: str) -> MilestoneRecord:
    fields = _fields(value, where, ("passed", "mode", "packages", "digest", "parts"))
    return MilestoneRecord(
        passed=_time(fields["passed"], f"{where}.passed"),
        fingerprint=_fingerprint(fields, where),
        packages=_each(fields["packages"], f"{where}.packages", _text),
        mode=_text(fields["mode"], f"{where}.mode"),
    )


def _fingerprint(fields: Mapping[str, object], where: str) -> Fingerprint:
    fingerprint = Fingerprint(_each(fields["parts"], f"{where}.parts", _hash))
    if fields["digest"] != fingerprint.digest:
        raise DamagedStateError(f"{where}.digest is not that of its parts")
    return fingerprint


def _fields(value: object, where: str, names: tuple[str, ...]) -> dict[str, object]:
    """Return an object that has just these keys."""
    table = _table(value, where)
    if missing := [name for name in names if name not in table]:
        raise DamagedStateError(f"{where} has no {missing[0]!r}")
    if unknown := [name for name in table if name not in names]:
        raise DamagedStateError(f"{where} has {_short(unknown[0])}, which is not tito's")
    return table


def _each(
    value: object,
    where: str,
    parse: Callable[[object, str], T],
    form: re.Pattern[str] | None = None,
) -> dict[str, T]:
    """Return an object with its values parsed, and its keys of a form if one is given."""
    table = _table(value, where)
    if form and (wrong := [key for key in table if not form.fullmatch(key)]):
        raise DamagedStateError(f"{where} has the key {_short(wrong[0])}, which is not tito's")
    return {key: parse(entry, f"{where}.{_short(key)}") for key, entry in table.items()}


def _table(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DamagedStateError(f"{where} is no object")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise DamagedStateError(f"{where} is no text")
    return value


def _hash(value: object, where: str) -> str:
    if not PART.fullmatch(text := _text(value, where)):
        raise DamagedStateError(f"{where} is no hash")
    return text


def _time(value: object, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(_text(value, where))
    except ValueError as error:
        raise DamagedStateError(f"{where} is no time") from error
    if time.tzinfo is None or not 2000 <= time.year < 9999:  # what every platform can show
        raise DamagedStateError(f"{where} is no time with its zone")
    return time


def _short(value: object) -> str:
    """Show a value in a few characters, whatever is in it."""
    text = str(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 40 else f"{text[:37]}..."

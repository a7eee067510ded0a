"""The record of a learner's progress: what is not one is told and set aside, never lost."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_tito import TitoError
from tt_tito.workspace import _state
from tt_tito.workspace._fingerprint import Fingerprint
from tt_tito.workspace._observed import was_started
from tt_tito.workspace._state import (
    DamagedStateError,
    MilestoneRecord,
    ModuleRecord,
    State,
    dump_state,
    parse_state,
)
from tt_tito.workspace._workspace import Workspace

Solve = Callable[..., None]

NUMBERS = st.from_regex("[0-9]{2}", fullmatch=True)
TIMES = st.datetimes(
    min_value=datetime(2000, 1, 2),
    max_value=datetime(9998, 1, 1),
    timezones=st.integers(-720, 720).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
PARTS = st.dictionaries(st.text(), st.from_regex("[0-9a-f]{16}", fullmatch=True), max_size=3)
FINGERPRINTS = PARTS.map(Fingerprint)
MODULES = st.builds(ModuleRecord, TIMES) | st.builds(
    ModuleRecord, TIMES, TIMES, FINGERPRINTS, st.integers(0, 10**6)
)
MILESTONES = st.builds(
    MilestoneRecord, TIMES, FINGERPRINTS, st.dictionaries(st.text(), st.text()), st.text()
)
STATES = st.builds(
    State,
    st.dictionaries(NUMBERS, MODULES, max_size=3),
    st.dictionaries(st.text(), TIMES, max_size=3),
    st.dictionaries(NUMBERS, MILESTONES, max_size=3),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=8,
)
EXAMPLE = State(
    {"02": ModuleRecord(datetime(2026, 1, 2, tzinfo=UTC))},
    {"tt_tensor.add": datetime(2026, 1, 2, tzinfo=UTC)},
    {
        "01": MilestoneRecord(
            datetime(2026, 1, 2, tzinfo=UTC),
            Fingerprint({"tt_tensor.add": "0" * 16}),
            {"tt-tensor": "mine"},
            "full",
        )
    },
)


@given(STATES)
def test_a_state_comes_back_as_it_was(state: State) -> None:
    assert parse_state(dump_state(state)) == state


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_what_is_not_a_state_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedStateError):
        parse_state(data)


@given(st.data())
def test_a_state_in_which_something_is_changed_is_refused_or_whole(data: st.DataObject) -> None:
    record = json.loads(dump_state(EXAMPLE))
    node = record
    while True:
        key = data.draw(st.sampled_from(sorted(node)))
        if not (isinstance(node[key], dict) and node[key] and data.draw(st.booleans())):
            break
        node = node[key]
    if data.draw(st.booleans()):
        node[key] = data.draw(JSON)
    else:
        node[data.draw(st.text())] = node.pop(key)
    text = json.dumps(record).encode()
    try:
        state = parse_state(text)
    except DamagedStateError as error:
        reason = str(error)
    else:
        assert parse_state(dump_state(state)) == state
        return
    assert 0 < len(reason) < 300


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 10_000, "not JSON"),
        (b"[]", "no schema"),
        (b'{"schema": true}', "no schema"),
        (b'{"schema": 2}', "schema is 2, that of a newer version"),
        (b'{"schema": 0}', "schema is 0, that of no version"),
        (b'{"schema": 1}', "no 'modules'"),
        (b'{"schema": 1, "schema": 1}', "a key stands twice"),
        (b'{"schema": NaN}', "NaN is no number"),
        (b'{"schema": 1, "modules": {}, "peeked": {}, "milestones": {}, "x": 1}', "has x"),
        (b'{"schema": 1, "modules": {"2": {}}, "peeked": {}, "milestones": {}}', "the key 2"),
        (b'{"schema": 1, "modules": [], "peeked": {}, "milestones": {}}', "is no object"),
        (
            b'{"schema": 1, "modules": {}, "peeked": {"a": "2026-01-01"}, "milestones": {}}',
            "no time with its zone",
        ),
    ],
)
def test_why_a_state_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(DamagedStateError, match=complaint):
        parse_state(data)


def test_a_completion_that_was_edited_is_refused() -> None:
    record = json.loads(dump_state(EXAMPLE))
    record["milestones"]["01"]["parts"]["tt_tensor.add"] = "1" * 16
    with pytest.raises(DamagedStateError, match="not that of its parts"):
        parse_state(json.dumps(record).encode())


# --- The file -------------------------------------------------------------------------------------


def damage_bytes(path: Path) -> None:
    path.write_bytes(b'{"schema": 1, "modules": {"02')


def damage_schema(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"schema": 1', b'"schema": 7'))


def damage_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("a file")


def damage_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("damage", [damage_bytes, damage_schema, damage_folder, damage_link])
def test_a_damaged_file_is_told_and_set_aside(
    workspace: Workspace,
    solve: Solve,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
) -> None:
    workspace.start("02")
    workspace.start("04")
    solve(workspace, "tt_tensor.scale", body="return 1")
    path = workspace.folder / ".tito" / "state.json"
    damage(path)
    before = path.lstat()
    data = None if path.is_dir() or path.is_symlink() else path.read_bytes()

    state = Workspace.open(workspace.root).state
    err = " ".join(capsys.readouterr().err.split())
    (aside,) = path.parent.glob("state.damaged-*.json")
    assert aside.lstat().st_ino == before.st_ino
    assert data is None or aside.read_bytes() == data
    assert aside.name in err
    assert "cannot be used" in err
    assert not os.path.lexists(path)
    assert set(state.modules) == {"02", "04"}  # as the folders show
    assert state.modules["02"].completed is None

    Workspace.open(workspace.root)
    assert capsys.readouterr().err == ""  # told once


def test_two_damaged_files_in_a_second_are_both_kept(workspace: Workspace) -> None:
    workspace.start("02")
    path = workspace.folder / ".tito" / "state.json"
    for text in ("one", "two", "three"):
        path.write_text(text)
        Workspace.open(workspace.root)
    kept = sorted(aside.read_text() for aside in path.parent.glob("state.damaged-*.json"))
    assert kept == ["one", "three", "two"]


def test_a_change_after_a_file_was_set_aside_begins_with_what_the_folders_show(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    workspace.start("03")
    solve(workspace, "tt_tensor.Tensor.__add__", "tt_tensor.scale")
    path = workspace.folder / ".tito" / "state.json"
    path.write_text("damaged")
    workspace.start("04")
    # Module 02 is as the course has it, and so not known to have been started.
    assert set(Workspace.open(workspace.root).state.modules) == {"03", "04"}


@pytest.mark.parametrize("newer", [False, True], ids=["this version", "a newer course"])
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ({}, (False, False)),
        ({"tt_tensor.scale": "raise NotImplementedError"}, (True, True)),
        ({"tt_tensor.scale": "return 1"}, (True, None)),
        ({"tt_tensor.scale": "return 1", "tt_tensor.Tensor.__add__": "return 1"}, (True, True)),
    ],
    ids=["none", "blank", "one", "all"],
)
def test_what_the_folders_show_of_a_module(
    workspace: Workspace,
    solve: Solve,
    written: dict[str, str],
    shown: tuple[bool, bool | None],
    newer: bool,
) -> None:
    workspace.start("03")
    for exercise, body in written.items():
        solve(workspace, exercise, body=body)
    source = Path("tt-tensor", "src", "tt_tensor")
    (workspace.folder / source / "_mine.py").write_text("# a file of her own\n")
    if newer:
        path = workspace.root / "packages" / source / "_relu.py"
        path.write_text(path.read_text() + "\n\nSIZE = 1\n")
    module = workspace.curriculum.module("02")
    assert was_started(workspace.curriculum, module, workspace.folder) is shown[newer]
    (workspace.folder / ".tito" / "state.json").unlink()
    assert ("02" in Workspace.open(workspace.root).state.modules) == bool(shown[newer])


def test_an_exercise_that_only_the_newer_course_has_shows_nothing(workspace: Workspace) -> None:
    workspace.start("03")
    place = workspace.root / "packages" / "tt-tensor" / "src" / "tt_tensor" / "__init__.py"
    place.write_text(place.read_text() + "\n\ndef more():\n    return 1\n")
    curriculum = workspace.root / "curriculum.toml"
    curriculum.write_text(
        curriculum.read_text().replace("['tt_tensor.Ten", "['tt_tensor.more', 'tt_tensor.Ten")
    )
    newer = Workspace.open(workspace.root)
    module = newer.curriculum.module("02")
    assert "tt_tensor.more" in module.exercises
    assert was_started(newer.curriculum, module, newer.folder) is False


def test_reading_makes_no_folder(workspace: Workspace) -> None:
    assert Workspace.open(workspace.root).state == State()
    assert not workspace.folder.exists()


def test_a_failed_write_leaves_the_old_file(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.start("02")
    path = workspace.folder / ".tito" / "state.json"
    before = path.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TitoError, match="No space left on device"):
        workspace.peeked("tt_tensor.scale")
    assert path.read_bytes() == before
    assert {entry.name for entry in path.parent.iterdir()} == {"lock", "state.json"}


# --- Two processes --------------------------------------------------------------------------------


def test_who_waits_too_long_is_told(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.start("02")
    monkeypatch.setattr(_state, "WAIT", 0.1)
    program = (
        "import sys\nfrom filelock import FileLock\n"
        "with FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    lock = str(workspace.folder / ".tito" / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", program, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdin
        other.stdout.readline()
        with pytest.raises(TitoError, match="Another tito"):
            workspace.start("03")
        other.stdin.close()
    workspace.start("03")


def test_processes_at_once_lose_nothing_of_each_other(workspace: Workspace) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom tt_tito.workspace._workspace import Workspace\n"
        "workspace = Workspace.open(Path(sys.argv[1]))\nsys.stdin.read()\n"
        "for number in range(20):\n    workspace.peeked(f'{sys.argv[2]}.{number}')\n"
        "workspace.start(sys.argv[2])\n"
    )
    numbers = ["02", "03", "04"]
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(workspace.root), number], stdin=subprocess.PIPE
        )
        for number in numbers
    ]
    for other in others:
        assert other.stdin
        other.stdin.close()
    assert [other.wait(60) for other in others] == [0, 0, 0]
    state = Workspace.open(workspace.root).state
    assert set(state.peeked) == {f"{module}.{i}" for module in numbers for i in range(20)}
    assert set(state.modules) == set(numbers)
    for number in numbers:
        module = workspace.curriculum.module(number)
        assert workspace.unwritten(module) == module.exercises


def test_the_first_look_at_a_solution_counts() -> None:
    first, second = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    assert State().with_peek("f", first).with_peek("f", second).peeked == {"f": first}

"""Fingerprints: what makes a module stale, and what does not."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_tito import TitoError
from tt_tito.workspace._fingerprint import Fingerprint
from tt_tito.workspace._workspace import Workspace

Solve = Callable[..., None]

ADD, SCALE, RELU = "tt_tensor.Tensor.__add__", "tt_tensor.scale", "tt_tensor.relu"

NAMES = st.sampled_from(
    ["tt_a.f", "tt_a.C.g", "tt-a/src/tt_a/_x.py", "tt_b.f", "tt-b/pyproject.toml", "tt-c/x.py"]
)
PARTS = st.dictionaries(NAMES, st.sampled_from(["1" * 16, "2" * 16]))


@given(PARTS, PARTS)
def test_changes_are_named_just_where_digests_differ(
    old: Mapping[str, str], new: Mapping[str, str]
) -> None:
    before, after = Fingerprint(old), Fingerprint(new)
    assert (before.digest == after.digest) == (old == new)
    changes = before.changes(after)
    assert bool(changes) == (old != new)
    for part in old.keys() | new.keys():
        package = part.replace("_", "-").partition("/")[0].partition(".")[0]
        told = part in changes or any(f"{package}, which is" in change for change in changes)
        assert told or old.get(part) == new.get(part)


def test_what_a_module_rests_on(workspace: Workspace) -> None:
    for number in ("02", "03", "04", "06"):
        workspace.start(number)
    packages = {
        number: {part.partition("/")[0] for part in parts(workspace, number) if "/" in part}
        for number in ("02", "03", "04", "06")
    }
    assert packages == {
        "02": {"tt-tensor"},
        "03": {"tt-tensor", "tt-nn"},
        "04": {"tt-tensor", "tt-nn"},  # tt-autograd is beneath, but of a later module
        "06": {"tt-tensor", "tt-autograd"},
    }
    assert {part for part in parts(workspace, "06") if "/" not in part} == {
        ADD, SCALE, RELU, "tt_autograd.grad",
    }  # fmt: skip


def parts(workspace: Workspace, number: str) -> Mapping[str, str]:
    """The parts of a module's fingerprint."""
    return workspace.module_fingerprint(number).parts


def test_a_later_module_makes_nothing_stale(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, ADD, SCALE)
    before = workspace.digest("02")
    workspace.start("03")
    assert workspace.digest("02") == before
    solve(workspace, RELU, body="# a comment of my own\nreturn None")
    assert workspace.digest("02") == before
    both = workspace.digest("03")
    for number in ("04", "06"):
        workspace.start(number)
        assert (workspace.digest("02"), workspace.digest("03")) == (before, both)


def test_a_change_is_told_by_its_name(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    workspace.start("06")
    solve(workspace, ADD, SCALE)
    before = workspace.module_fingerprint("06")
    solve(workspace, ADD, body="return None")
    assert before.changes(workspace.module_fingerprint("06")) == (ADD,)
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_mine.py"
    path.write_text("x = 1\n")
    expected = (ADD, "tt-tensor/src/tt_tensor/_mine.py")
    assert before.changes(workspace.module_fingerprint("06")) == expected
    path.unlink()
    solve(workspace, ADD)
    assert before.changes(workspace.module_fingerprint("06")) == ()


@pytest.mark.parametrize("name", ["README.md", "src/tt_tensor/__pycache__/x.pyc", "notes.txt"])
def test_what_is_not_built_does_not_count(workspace: Workspace, name: str) -> None:
    workspace.start("02")
    before = workspace.digest("02")
    path = workspace.folder / "tt-tensor" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("changed")
    assert workspace.digest("02") == before


def test_a_file_that_does_not_parse_is_a_change(workspace: Workspace, solve: Solve) -> None:
    workspace.start("02")
    solve(workspace, ADD, SCALE)
    before = workspace.module_fingerprint("02")
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    path.write_text(path.read_text() + "broken(")
    changes = before.changes(workspace.module_fingerprint("02"))
    assert changes == (ADD, SCALE, "tt-tensor/src/tt_tensor/_operators.py")


def test_nothing_is_recorded_of_code_that_changed_meanwhile(
    workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    before = workspace.module_fingerprint("02")
    solve(workspace, ADD)
    with pytest.raises(TitoError, match=r"while the tests ran \(tt_tensor\.Tensor\.__add__\)"):
        workspace.module_completed("02", before, tests=3)
    modules = [workspace.curriculum.module("02")]
    fingerprint = workspace.fingerprint(modules)
    solve(workspace, SCALE)
    with pytest.raises(TitoError, match="changed while the milestone ran"):
        workspace.milestone_passed("01", modules, fingerprint, packages={}, mode="full")
    state = Workspace.open(workspace.root).state
    assert state.modules["02"].completed is None
    assert state.milestones == {}


def test_what_is_recorded(workspace: Workspace, solve: Solve, course: Path) -> None:
    workspace.start("02")
    solve(workspace, ADD, SCALE)
    started = workspace.state.modules["02"].started
    workspace.module_completed("2", workspace.module_fingerprint("02"), tests=3)
    record = Workspace.open(course).state.modules["02"]
    assert (record.started, record.tests) == (started, 3)
    assert record.completed
    assert record.fingerprint == workspace.module_fingerprint("02")
    modules = [workspace.curriculum.module("02")]
    workspace.milestone_passed(
        "01", modules, workspace.fingerprint(modules), packages={"tt-tensor": "mine"}, mode="demo"
    )
    milestone = Workspace.open(course).state.milestones["01"]
    assert (milestone.packages, milestone.mode) == ({"tt-tensor": "mine"}, "demo")

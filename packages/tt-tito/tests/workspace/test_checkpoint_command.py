"""`tito checkpoint status`: modules, milestones, what is next, what is stale."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito.workspace._workspace import Workspace

Tito = Callable[..., tuple[int, str, str]]
Solve = Callable[..., None]

ADD, SCALE, RELU = "tt_tensor.Tensor.__add__", "tt_tensor.scale", "tt_tensor.relu"
FORWARD, LINEAR, GRAD = "tt_nn.ReLU.forward", "tt_nn.Linear.forward", "tt_autograd.grad"
EXERCISES = {"02": (ADD, SCALE), "03": (RELU, FORWARD), "04": (LINEAR,), "06": (GRAD,)}


@pytest.fixture
def status(tito: Tito, course: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Run `tito checkpoint status` in the checkout."""
    monkeypatch.chdir(course)

    def call() -> str:
        code, out, err = tito("checkpoint", "status")
        assert (code, err) == (0, "")
        return " ".join(out.split())

    return call


def complete(workspace: Workspace, solve: Solve, *numbers: str) -> None:
    """Start, write and complete modules."""
    for number in numbers:
        workspace.start(number)
        solve(workspace, *EXERCISES[number])
        workspace.module_completed(number, workspace.module_fingerprint(number), tests=5)


def test_the_whole_path(status: Callable[[], str], workspace: Workspace, solve: Solve) -> None:
    out = status()
    assert "02 tensor (tt-tensor): not started" in out
    assert "01 line (1957): locked needs 02 to 06 completed" in out
    assert out.endswith("Next, start tensor: tito module start 02")

    workspace.start("02")
    assert status().endswith(f"Next, write {ADD}: tito module test 02")
    solve(workspace, ADD, SCALE)
    assert status().endswith("Next, complete tensor: tito module complete 02")

    complete(workspace, solve, "02", "03", "04")
    assert "01 line (1957): locked needs 06 completed" in status()
    complete(workspace, solve, "06")
    out = status()
    assert "01 line (1957): unlocked" in out
    assert out.endswith("Next, run line on your code: tito milestone run 01 --mine")

    modules = workspace.curriculum.modules
    workspace.milestone_passed(
        "01", modules, workspace.fingerprint(modules), packages={"tt-nn": "mine"}, mode="full"
    )
    out = status()
    assert "01 line (1957): passed on 20" in out
    assert "stale" not in out
    assert out.endswith("All modules are completed and all milestones passed on your own code.")


def test_a_change_makes_stale_what_rests_on_it_and_is_named(
    status: Callable[[], str], workspace: Workspace, solve: Solve
) -> None:
    complete(workspace, solve, "02", "03", "04", "06")
    modules = workspace.curriculum.modules
    workspace.milestone_passed(
        "01", modules, workspace.fingerprint(modules), packages={}, mode="full"
    )
    solve(workspace, RELU, body="return None")
    out = status()
    assert "02 tensor (tt-tensor): completed" in out
    for number in ("03 activations (tt-tensor, tt-nn)", "04 layers (tt-nn)", "01 line (1957)"):
        assert f"{number}: stale; " in out
    assert out.count(f"changed since: {RELU}") == 4  # 03, 04, 06 and the milestone
    assert "needs 03 to 06 completed" in out
    assert out.endswith("Next, test activations as it is now: tito module complete 03")
    complete(workspace, solve, "02", "03", "04", "06")
    assert "stale" not in status()
    solve(workspace, RELU, body="# better\nreturn tensor")
    for number in ("03", "04", "06"):
        workspace.module_completed(number, workspace.module_fingerprint(number), tests=5)
    out = status()
    assert "01 line (1957): stale; passed on 20" in out
    assert out.endswith("Next, run line on your code: tito milestone run 01 --mine")


def test_a_later_module_makes_nothing_stale(
    status: Callable[[], str], workspace: Workspace, solve: Solve
) -> None:
    complete(workspace, solve, "02")
    for number in ("03", "04", "06"):
        workspace.start(number)
    assert "stale" not in status()


def test_a_file_that_does_not_parse_is_named(
    status: Callable[[], str], workspace: Workspace
) -> None:
    workspace.start("02")
    path = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    path.write_text("x = 1\nbroken(\n")
    out = status()
    assert "_operators.py, line 2: this is not Python" in out
    assert out.endswith("Next, mend tensor: tito module test 02")


def test_a_package_that_is_gone_is_told(
    status: Callable[[], str], workspace: Workspace, solve: Solve
) -> None:
    complete(workspace, solve, "02", "03")
    (workspace.folder / "tt-tensor").rename(workspace.folder / "elsewhere")
    out = status()
    assert "but not in the workspace any more" in out
    assert out.endswith("Next, start tensor: tito module start 02")


def test_solutions_seen_before_are_named(status: Callable[[], str], workspace: Workspace) -> None:
    workspace.peeked(ADD)
    assert f"Solutions seen before: {ADD}." in status()


def test_of_many_changes_there_is_the_number(
    status: Callable[[], str], workspace: Workspace, solve: Solve
) -> None:
    complete(workspace, solve, "02")
    for number in range(6):
        (workspace.folder / "tt-tensor" / "src" / "tt_tensor" / f"_{number}.py").write_text("")
    assert "_3.py and 2 more" in status()


def test_a_damaged_record_is_told_and_no_traceback(
    tito: Tito, course: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    workspace.start("02")
    (workspace.folder / ".tito" / "state.json").write_text("{")
    monkeypatch.chdir(course)
    code, out, err = tito("checkpoint", "status")
    assert code == 0
    assert "state.damaged-" in err
    assert "started, 0 of 2 exercises written" in " ".join(out.split())

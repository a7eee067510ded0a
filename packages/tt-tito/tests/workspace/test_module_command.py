"""`tito module` on a small course."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tt_tito.trial import _testing
from tt_tito.trial._outcome import Failure, Outcome
from tt_tito.trial._venv import Source
from tt_tito.workspace._workspace import Workspace

Tito = Callable[..., tuple[int, str, str]]
Solve = Callable[..., None]

ADD, SCALE, RELU = "tt_tensor.Tensor.__add__", "tt_tensor.scale", "tt_tensor.relu"


@pytest.fixture
def module(tito: Tito, course: Path, monkeypatch: pytest.MonkeyPatch) -> Tito:
    """Run `tito module` in the checkout."""
    monkeypatch.chdir(course)

    def call(*arguments: str) -> tuple[int, str, str]:
        code, out, err = tito("module", *arguments)
        return code, " ".join(out.split()), err

    return call


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what the tests of a module find, in place of building and installing packages."""

    def set_outcome(
        passed: int,
        *failed: str,
        during: Callable[[], object] = list,
        mine: tuple[str, ...] = (),
    ) -> None:
        failures = tuple(Failure(name, "1 is not 2") for name in failed)

        def check(*arguments: object, **options: object) -> Outcome:
            during()
            sources = tuple(Source(name, "0.1.0", "mine", Path("x.whl"), "0" * 64) for name in mine)
            return Outcome(("a", "b"), failures, (), passed, None, "0" * 64, sources)

        monkeypatch.setattr(_testing, "check_module", check)

    return set_outcome


def test_list_says_how_far_each_module_is(module: Tito, course: Path, solve: Solve) -> None:
    module("start", "02")
    workspace = Workspace.open(course)
    solve(workspace, ADD, SCALE)
    workspace.module_completed("02", workspace.module_fingerprint("02"), tests=7)
    module("start", "03")
    module("start", "06")
    solve(workspace, RELU)
    code, out, err = module("list")
    assert (code, err) == (0, "")
    for line in (
        "02 tensor (tt-tensor): completed on 20",
        ", 7 tests",
        "03 activations (tt-tensor, tt-nn): started, 1 of 2 exercises written",
        "04 layers (tt-nn): not started",
        "06 autograd (tt-autograd): started, 0 of 1 exercises written",
    ):
        assert line in out
    solve(workspace, ADD, body="return None")
    assert "02 tensor (tt-tensor): stale; was completed on 20" in module("list")[1]


def test_info_says_what_there_is_to_do_and_what_is_done(
    module: Tito, course: Path, solve: Solve
) -> None:
    out = module("info", "2")[1]
    assert "Module 02: tensor State: not started Guide: docs/modules/02_tensor.md" in out
    assert f"Exercises {ADD} {SCALE} tito module start 02" in out
    assert "Milestones that need it: 01" in out
    module("start", "02")
    solve(Workspace.open(course), SCALE)
    out = module("info", "02")[1]
    path = Path("workspace", "tt-tensor", "src", "tt_tensor", "_operators.py")
    assert f"{path} 10 {ADD}: blank" in out
    assert f"{SCALE}: written" in out
    assert "tito module test 02" in out
    module("reset", "02")
    assert "tt-tensor (before 'reset 02')" in module("info", "02")[1]


def test_start_says_what_was_made_and_where_to_write(module: Tito) -> None:
    code, out, err = module("start", "02")
    assert (code, err) == (0, "")
    assert "Module 02 (tensor) is started." in out
    assert f"Made {Path('workspace', 'tt-tensor')}." in out
    assert f"{ADD}: blank" in out
    assert out.endswith("tito module test 02")
    code, out, _ = module("start", "03")
    assert (code, "is in the backup 20" in out) == (0, True)
    code, out, _ = module("start", "03")
    assert (code, "was started before; nothing is changed" in out) == (0, True)


def test_start_tells_what_it_left_alone(module: Tito, course: Path, solve: Solve) -> None:
    module("start", "02")
    solve(Workspace.open(course), RELU, body="return None")
    out = module("start", "03")[1]
    assert f"Not made blank, since they are not the course's any more: {RELU}." in out


def test_reset_and_restore_tell_how_to_undo_them(module: Tito, course: Path, solve: Solve) -> None:
    module("start", "02")
    assert "is as blank as it was made" in module("reset", "02")[1]
    solve(Workspace.open(course), ADD)
    code, out, _ = module("reset", "02")
    assert (code, out.endswith("tito module restore 02")) == (0, True)
    code, out, _ = module("restore", "02")
    assert code == 0
    assert f"{Path('workspace', 'tt-tensor')} is back from 20" in out
    undo = out.rpartition("tito module ")[2].split()
    assert undo[:3] == ["restore", "02", "--from"]
    assert module(*undo)[0] == 0
    assert Workspace.open(course).unwritten(Workspace.open(course).curriculum.module("02"))
    assert "nothing to bring back" in module(*undo)[1]


def test_a_newer_course_is_told_where_tests_fail_and_can_be_taken_in(
    module: Tito, course: Path, outcome: Callable[..., None], solve: Solve
) -> None:
    module("start", "02")
    solve(Workspace.open(course), ADD)
    outcome(1, "test_b", mine=("tt-tensor",))
    told = "Not as the course has it, beside the exercises: tt-tensor/src/tt_tensor/_relu.py."
    assert "beside the exercises" not in module("test", "02")[1]
    assert "what you have is as new as the course" in module("update", "02")[1]
    newer = course / "packages" / "tt-tensor" / "src" / "tt_tensor" / "_relu.py"
    newer.write_text(newer.read_text() + "\n\nSIZE = 1\n")
    for action in ("test", "complete"):
        code, out, _ = module(action, "02")
        assert (code, told in out) == (1, True)
        assert out.endswith("tito module update 02")
    code, out, _ = module("update", "02")
    assert code == 0
    assert "made anew from the course, with your exercises in it: " in out
    assert "what you wrote there is in the backup: tt-tensor/src/tt_tensor/_relu.py." in out
    assert out.endswith("tito module test 02")
    assert "beside the exercises" not in module("test", "02")[1]
    assert Workspace.open(course).unwritten(Workspace.open(course).curriculum.module("02")) == (
        SCALE,
    )


def test_files_of_her_own_are_no_reason_to_update(
    module: Tito, course: Path, outcome: Callable[..., None]
) -> None:
    module("start", "02")
    path = course / "workspace" / "tt-tensor" / "src" / "tt_tensor" / "_mine.py"
    path.write_text("# my own file\n")
    outcome(1, "test_b", mine=("tt-tensor",))
    assert "module update" not in module("test", "02")[1]


def test_an_update_says_what_of_hers_is_in_which_backup(
    module: Tito, course: Path, solve: Solve
) -> None:
    module("start", "02")
    solve(Workspace.open(course), RELU, body="return None  # an idea")
    folder = course / "workspace" / "tt-tensor"
    (folder / "README.md").write_text("my notes\n")
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.md").write_text("mine\n")
    (course / "packages" / "tt-tensor" / "notes").write_text("the course's\n")
    code, out, _ = module("update", "02")
    assert code == 0
    assert "What stood there is in the backup 20" in out
    for text in (
        "what you wrote there is in the backup: tt-tensor/README.md.",
        f"since you have not started them; yours are in the backup: {RELU}.",
        "since the course has something of that name: tt-tensor/notes/mine.md.",
    ):
        assert text in out
    shutil.rmtree(folder)
    code, out, _ = module("update", "02")
    assert (code, "An update that did not end had left tt-tensor in the backup 20" in out) == (
        0, True,
    )  # fmt: skip


def test_test_and_complete_end_with_the_verdict(
    module: Tito, course: Path, outcome: Callable[..., None]
) -> None:
    module("start", "02")
    outcome(1, "test_b")
    for action in ("test", "complete"):
        code, out, _ = module(action, "02")
        assert (code, "1 is not 2" in out) == (1, True)
        assert f"Not written yet: {ADD} and {SCALE}." in out
    assert Workspace.open(course).state.modules["02"].completed is None
    outcome(2)
    assert module("test", "02")[0] == 0
    assert Workspace.open(course).state.modules["02"].completed is None
    code, out, _ = module("complete", "02")
    assert (code, "is completed" in out) == (0, True)
    workspace = Workspace.open(course)
    record = workspace.state.modules["02"]
    assert record.completed
    assert record.fingerprint
    assert (record.fingerprint.digest, record.tests) == (workspace.digest("02"), 2)
    outcome(0)
    assert module("test", "02")[0] == 1  # nothing ran, so nothing is passed


def test_a_later_module_in_progress_is_no_hindrance(
    module: Tito, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[list[str]] = []

    def check(_: object, __: str, mine: Mapping[str, Path], **options: object) -> Outcome:
        taken.append(list(mine))
        source = Source("tt-autograd", "0.1.0", "course", Path("x.whl"), "0" * 64)
        return Outcome(("a",), (), (), 1, None, "0" * 64, (source,))

    monkeypatch.setattr(_testing, "check_module", check)
    for number in ("03", "06"):
        module("start", number)
    code, out, _ = module("test", "03")
    assert code == 0
    assert "tt-autograd is the course's here, not yours: tt_autograd.grad is not written" in out
    assert "tt-autograd is" not in module("test", "06")[1]
    assert taken == [["tt-tensor", "tt-nn"], ["tt-autograd"]]


def test_an_interrupt_is_told_with_what_was_running(
    module: Tito, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*arguments: object, **options: object) -> Outcome:
        raise KeyboardInterrupt("Interrupted while running test_a.")

    monkeypatch.setattr(_testing, "check_module", check)
    module("start", "02")
    code, _, err = module("test", "02")
    assert (code, err) == (130, "tito: Interrupted while running test_a.")


def test_complete_records_nothing_of_code_that_changed_meanwhile(
    module: Tito, course: Path, solve: Solve, outcome: Callable[..., None]
) -> None:
    module("start", "02")
    outcome(2, during=lambda: solve(Workspace.open(course), ADD))
    code, _, err = module("complete", "02")
    assert (code, "changed while the tests ran" in err) == (2, True)
    assert Workspace.open(course).state.modules["02"].completed is None


def test_what_cannot_be_tested_is_an_error(module: Tito, course: Path) -> None:
    for action in ("test", "complete"):
        code, _, err = module(action, "02")
        assert (code, "'tito module start 02' starts it" in err) == (2, True)
    module("start", "02")
    path = course / "workspace" / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    path.write_text('"""Doc."""\nbroken(\n')
    for action in ("test", "complete"):
        code, _, err = module(action, "02")
        assert (code, "_operators.py, line 2" in err) == (2, True)


@pytest.mark.parametrize("name", ["Tensor.__add__", ADD, "__add__"])
def test_a_solution_is_shown_after_hers_passes_or_by_a_recorded_look(
    module: Tito, tito: Tito, course: Path, solve: Solve, name: str
) -> None:
    code, out, err = module("solution", "02", name)
    assert (code, out) == (2, "")
    assert "Module 02 is not completed yet" in err
    assert Workspace.open(course).state.peeked == {}

    code, out, _ = module("solution", "02", name, "--peek")
    assert (code, "# value by value" in out) == (0, True)
    assert set(Workspace.open(course).state.peeked) == {ADD}

    module("start", "02")
    workspace = Workspace.open(course)
    solve(workspace, ADD, SCALE)
    workspace.module_completed("02", workspace.module_fingerprint("02"), tests=1)
    code, out, _ = module("solution", "02", "scale")
    assert (code, "return Tensor([by * value" in out) == (0, True)
    assert module("solution", "02", "scale", "--peek")[0] == 0
    assert set(Workspace.open(course).state.peeked) == {ADD}  # not a look ahead

    solve(workspace, SCALE, body="return None")
    code, _, err = module("solution", "02", "scale")
    assert (code, "has changed since you completed it" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("__ad__", "no exercise '__ad__'. Did you mean '__add__'?"),
        ("", f"no exercise ''. It has {ADD} and {SCALE}"),
        (RELU, "no exercise"),
    ],
)
def test_an_unknown_exercise_is_an_error_that_lists_those_that_exist(
    module: Tito, name: str, complaint: str
) -> None:
    code, _, err = module("solution", "02", name, "--peek")
    assert (code, complaint in err) == (2, True)


@pytest.mark.parametrize("action", ["info", "start", "test", "complete", "reset", "restore"])
def test_an_unknown_module_is_an_error_that_lists_those_that_exist(
    module: Tito, action: str
) -> None:
    code, out, err = module(action, "77")
    assert (code, out) == (2, "")
    assert "no module '77'; there are 02, 03, 04, 06" in err


@pytest.mark.parametrize("width", [20, 40, 80])
def test_lines_fit_the_terminal(
    tito: Tito, course: Path, solve: Solve, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.chdir(course)
    outputs = [
        tito("module", *arguments.split())[1]
        for arguments in (
            "list", "start 02", "start 03", "info 02", "start 03", "info 03", "list",
        )
    ]  # fmt: skip
    solve(Workspace.open(course), ADD, RELU)
    outputs += [tito("module", action, "03")[1] for action in ("reset", "restore", "info")]
    outputs.append(tito("checkpoint", "status")[1])
    for line in "".join(outputs).splitlines():
        words = line.split()
        can_be_broken = len(words) > 1 and words[0] != "tito" and not words[0].isdigit()
        assert len(line) <= width or not can_be_broken, line
    assert "\x1b" not in "".join(outputs)


def test_another_workspace_is_named_in_the_commands_to_give(
    tito: Tito, course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--root", str(course), "--workspace", str(tmp_path / "my own work")]
    code, out, _ = tito("module", *flags, "start", "02")
    assert code == 0
    assert f'tito module --root "{course}" --workspace "my own work" test 02' in out
    assert (tmp_path / "my own work" / "tt-tensor" / "pyproject.toml").is_file()
    assert not (course / "workspace").exists()


@pytest.mark.parametrize(
    "arguments",
    ["module list", "module info 02", "module start 02", "module reset 02", "checkpoint status"],
)
def test_nothing_heavy_is_imported(course: Path, arguments: str) -> None:
    program = (
        "import sys\n"
        "from tt_tito.cli import main\n"
        "assert main(['module', 'start', '03']) == 0\n"
        "assert main(['module', 'start', '02']) == 0\n"
        f"assert main({arguments.split()}) == 0\n"
        "heavy = {'numpy', 'matplotlib', 'rich', 'tt_tensor', 'tt_nn', 'tt_profile'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=course
    )
    assert (run.returncode, run.stderr) == (0, "")

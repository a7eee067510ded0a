"""`tito milestone run NN --mine` on a small course: whose packages run, and what is recorded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito._errors import TitoError
from tt_tito.trial._milestones import report_folder, requirements_of
from tt_tito.workspace._workspace import Workspace

pytestmark = pytest.mark.environments

Tito = Callable[..., tuple[int, str, str]]
MakeScript = Callable[..., Path]
Solve = Callable[..., None]

NEEDS = '"tt-tensor>=0.1", "tt-nn>=0.1"'
# It writes the report that the lab would write.
BODY = """\
import json, os, pathlib, sys
from tt_nn import Linear
from tt_tensor import Tensor
values = Linear().forward(Tensor([1, 2])).values
folder = pathlib.Path("reports/milestone_01/line")
folder.mkdir(parents=True, exist_ok=True)
mode = "test-only" if "--test-only" in sys.argv else "demo" if "--demo-mode" in sys.argv else "full"
passed = None if mode == "test-only" else values == [2, 4]
report = {"passed": passed, "mode": mode, "argv": sys.argv[1:]}
(folder / "report.json").write_text(json.dumps(report))
sys.exit(passed is False)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(tito: Tito, course: Path, make_script: MakeScript, here: Path) -> Tito:
    make_script(BODY, needs=NEEDS)

    def run_mine(*flags: str) -> tuple[int, str, str]:
        return tito("milestone", "--root", str(course), "run", "01", *flags)

    return run_mine


def finish(workspace: Workspace, *numbers: str) -> None:
    """Record modules as completed, as `tito module complete` does after the tests."""
    for number in numbers:
        fingerprint = workspace.module_fingerprint(number)
        workspace.module_completed(number, fingerprint, tests=1)


def test_hers_run_and_are_named(run: Tito, workspace: Workspace, solve: Solve, here: Path) -> None:
    workspace.start("02")
    solve(workspace, "tt_tensor.Tensor.__add__", "tt_tensor.scale")
    code, out, _ = run("--mine", "--demo-mode")
    assert code == 0
    lines = [line.split()[:3] for line in out.splitlines() if line.startswith("  tt-")]
    assert lines == [
        ["tt-autograd", "0.1.0", "the"],
        ["tt-nn", "0.1.0", "the"],
        ["tt-tensor", "0.1.0", "yours"],
    ]
    words = " ".join(out.split())
    assert "02 tensor: started, all 2 exercises written" in words
    assert "04 layers: not started" in words
    assert "Not recorded as yours: complete what it needs first (02, 03, 04" in words
    report = json.loads((here / "reports/milestone_01/line/report.json").read_text())
    assert report["argv"] == ["--demo-mode"]
    assert "01" not in Workspace.open(workspace.root).state.milestones


def test_a_wrong_operator_of_hers_fails_and_her_file_stays(
    run: Tito, workspace: Workspace, solve: Solve
) -> None:
    workspace.start("02")
    solve(workspace, "tt_tensor.scale")
    wrong = "return Tensor([a - b for a, b in zip(self.values, other.values)])"
    solve(workspace, "tt_tensor.Tensor.__add__", body=wrong)
    files = {p: p.read_bytes() for p in workspace.folder.glob("tt-*/**/*") if p.is_file()}
    code, out, _ = run("--mine")
    assert code == 1
    assert "Not recorded as yours: line ended with exit code 1." in " ".join(out.split())
    assert files == {p: p.read_bytes() for p in workspace.folder.glob("tt-*/**/*") if p.is_file()}


def test_a_milestone_is_recorded_with_the_code_that_passed(
    run: Tito, workspace: Workspace, solve: Solve
) -> None:
    numbers = ("02", "03", "04")
    for number in numbers:
        workspace.start(number)
        solve(workspace, *workspace.curriculum.module(number).exercises)
    finish(workspace, *numbers)
    code, out, _ = run("--mine", "--test-only")
    assert code == 0
    assert "which trains nothing" in out
    code, out, _ = run("--mine")
    assert (code, "Milestone 01 (line) is passed on your packages." in out) == (0, True)
    record = Workspace.open(workspace.root).state.milestones["01"]
    assert record.mode == "full"
    assert record.packages == {"tt-autograd": "course", "tt-nn": "mine", "tt-tensor": "mine"}
    needed = [workspace.curriculum.module(number) for number in numbers]
    assert record.fingerprint == workspace.fingerprint(needed)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("import os\nos._exit(0)\n", "no script left a report"),
        (BODY.replace("values == [2, 4]", "False").replace("passed is False", "0"), "does not say"),
    ],
)
def test_the_exit_code_alone_is_no_pass(
    run: Tito,
    workspace: Workspace,
    solve: Solve,
    make_script: MakeScript,
    here: Path,
    body: str,
    reason: str,
) -> None:
    old = here / "reports/milestone_01/line/report.json"
    old.parent.mkdir(parents=True)
    old.write_text('{"passed": true, "mode": "full"}')
    make_script(body, needs=NEEDS)
    workspace.start("02")
    solve(workspace, "tt_tensor.Tensor.__add__")
    code, out, _ = run("--mine")
    assert code == 0
    assert reason in " ".join(out.split())


def test_one_script_of_several_is_not_the_milestone(
    run: Tito, workspace: Workspace, make_script: MakeScript
) -> None:
    make_script("", needs=NEEDS, name="other.py")
    workspace.start("04")
    _, out, _ = run("line", "--mine")
    assert "other was not run" in out


def test_scripts_of_other_needs_are_an_error(
    run: Tito, workspace: Workspace, make_script: MakeScript
) -> None:
    make_script("", needs='"tt-tensor>=0.1"', name="other.py")
    workspace.start("02")
    code, _, err = run("--mine")
    assert code == 2
    assert "line.py and other.py name different dependencies" in err


def test_without_a_package_of_hers_it_says_so(run: Tito, workspace: Workspace) -> None:
    code, _, err = run("--mine")
    assert code == 2
    assert "has none of the packages that milestone 01 needs: tt-autograd, tt-nn" in err


def test_another_workspace_may_be_named(
    tito: Tito, run: Tito, workspace: Workspace, here: Path, solve: Solve
) -> None:
    other = Workspace.open(workspace.root, here / "her other work")
    other.start("04")
    solve(other, "tt_nn.Linear.forward")
    options = ("--root", str(workspace.root), "--workspace", str(other.folder))
    code, out, _ = tito("milestone", *options, "run", "--mine", "01")
    assert code == 0
    assert "tt-nn        0.1.0  yours" in out


def test_the_places_may_stand_after_the_number(
    tito: Tito, workspace: Workspace, make_script: MakeScript, here: Path
) -> None:
    make_script(BODY, needs=NEEDS)
    places = ("--workspace", str(here / "other"), "--root", str(workspace.root))
    code, _, err = tito("milestone", "run", "01", "line", "--mine", "--seed", "3", *places)
    assert code == 2
    assert f"{here / 'other'} has none of the packages" in err


def test_what_only_the_instrument_needs_is_the_courses(
    run: Tito, workspace: Workspace, make_script: MakeScript, solve: Solve
) -> None:
    instrument = workspace.root / "packages" / "tt-tito"
    (instrument / "src" / "tt_tito").mkdir(parents=True)
    (instrument / "src" / "tt_tito" / "__init__.py").write_text("import tt_nn\n")
    project = workspace.root / "packages" / "tt-nn" / "pyproject.toml"
    needs = project.read_text().replace('"tt-nn"', '"tt-tito"').replace("tt-autograd", "tt-nn")
    (instrument / "pyproject.toml").write_text(needs)
    make_script("import tt_tensor, tt_tito\n", needs='"tt-tensor>=0.1", "tt-tito>=0.1"')
    workspace.start("02")
    workspace.start("04")
    solve(workspace, "tt_tensor.Tensor.__add__", "tt_tensor.scale")
    (workspace.folder / "tt-nn" / "src" / "tt_nn" / "__init__.py").write_text("broken(")
    code, out, _ = run("--mine")
    assert code == 0
    owners = {line.split()[0]: line.split()[2] for line in out.splitlines() if "sha256" in line}
    assert (owners["tt-tensor"], owners["tt-nn"]) == ("yours", "the")


def test_a_file_that_is_not_python_is_named_before_anything_runs(
    run: Tito, workspace: Workspace
) -> None:
    workspace.start("02")
    file = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "more.py"
    file.write_text("x = 1\nbroken(\n")
    code, out, err = run("--mine")
    assert (code, out) == (2, "")
    assert f"{file}, line 2: this is not Python" in err


def test_the_python_that_a_script_needs_is_asked_for(make_script: MakeScript) -> None:
    script = make_script(
        source='# /// script\n# requires-python = ">=4"\n# dependencies = []\n# ///\n'
    )
    with pytest.raises(TitoError, match="runs on Python >=4"):
        requirements_of([script])


@pytest.mark.parametrize(
    ("flags", "folder"),
    [
        ([], "reports/milestone_01/line"),
        (["--recipe", "fast", "--seed", "3"], "reports/milestone_01/line_fast"),
        (["--report-dir", "there", "--recipe=fast"], "there"),
        (["--report", "there"], "there"),
        (["--report-dir"], "reports/milestone_01/line"),
    ],
)
def test_where_a_report_goes(make_script: MakeScript, flags: list[str], folder: str) -> None:
    assert report_folder(make_script(), flags).as_posix() == folder

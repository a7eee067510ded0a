"""A learner's path from module 02 to milestone 02, played with the `tito` command on this checkout.

She starts a module, sees its tests fail, writes the exercises (here the course's own bodies are
pasted), completes it and goes on; then two milestones run on her packages. Her workspace is a
folder of its own, with a space in its path; nothing in the checkout is written.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tt_tito.course._curriculum import package_folder, package_of
from tt_tito.course._exercises import encode, fill, locate, reference_body
from tt_tito.workspace._workspace import Workspace

ROOT = Path(__file__).parents[1]
FIRST, *OTHERS = MODULES = ("02", "03", "04", "05", "06")
ADD = "tt_tensor.Tensor.__add__"


class Learner:
    """Someone at a terminal of 80 columns, who reads what is printed."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = place / "her workspace"

    def tito(self, command: str, *arguments: str) -> tuple[int, str]:
        """Give a command; the exit code, and all that was printed with its lines joined."""
        where = ("--root", str(ROOT), "--workspace", str(self.folder))
        program = (sys.executable, "-m", "tt_tito.cli", command, *where, *arguments)
        variables = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
        done = subprocess.run(
            program, cwd=self.place, env=variables, capture_output=True, text=True, check=False
        )
        print(done.stdout + done.stderr)
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(ROOT, self.folder)

    def write(self, exercise: str, body: str) -> Path:
        """Write the body of an exercise; return its file."""
        folder = self.folder / package_of(exercise)
        for file, text in fill(folder, exercise, body).items():
            (folder / file).write_bytes(encode(text))
        return folder / locate(folder, exercise).file

    def paste(self, number: str) -> None:
        """Write the exercises of a module with the bodies that the course has."""
        for exercise in self.workspace.curriculum.module(number).exercises:
            folder = package_folder(ROOT, package_of(exercise))
            self.write(exercise, reference_body(folder, exercise))

    def files(self) -> dict[str, bytes]:
        """All files of her packages."""
        files = [path for path in self.folder.glob("tt-*/**/*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


def owners(printed: str) -> dict[str, str]:
    """Whose each package is, as the list before a run says."""
    return dict(
        re.findall(r"(tt-\w+) \d+\.\d+\.\d+ (yours|the course's) sha256 [0-9a-f]{12}", printed)
    )


@pytest.fixture(scope="module")
def learner(tmp_path_factory: pytest.TempPathFactory) -> Learner:
    return Learner(tmp_path_factory.mktemp("learner"))


# Each test goes on where the one before it has ended.


def test_an_untouched_module_fails_and_names_what_to_write(learner: Learner) -> None:
    code, _ = learner.tito("module", "start", FIRST)
    assert code == 0
    before = learner.files()
    code, printed = learner.tito("module", "test", FIRST)
    assert code == 1
    assert re.search(r"Module 02 \(tensor\): \d+ of \d+ tests fail", printed)
    assert "NotImplementedError: module 02: write tt_tensor." in printed
    assert "Not written yet: " in printed
    assert ADD in printed.partition("Not written yet: ")[2]
    assert owners(printed) == {"tt-tensor": "yours"}
    assert learner.files() == before


def test_what_she_has_written_completes_the_module(learner: Learner) -> None:
    learner.paste(FIRST)
    code, printed = learner.tito("module", "complete", FIRST)
    assert code == 0, printed
    assert "Module 02 (tensor) is completed." in printed


def test_a_milestone_before_its_modules_runs_but_is_not_hers(learner: Learner) -> None:
    code, printed = learner.tito("milestone", "run", "01", "--mine", "--test-only")
    assert code == 0
    assert "Not complete of what it needs" in printed
    assert "Not recorded as yours" in printed
    assert not learner.workspace.state.milestones


@pytest.mark.parametrize("number", OTHERS)
def test_she_goes_on(learner: Learner, number: str) -> None:
    code, _ = learner.tito("module", "start", number)
    assert code == 0
    learner.paste(number)
    code, printed = learner.tito("module", "complete", number)
    assert code == 0, printed
    for done in MODULES[: MODULES.index(number) + 1]:
        assert learner.workspace.state.modules[done].completed


@pytest.mark.parametrize("number", ["01", "02"])
def test_a_milestone_passes_on_her_packages(learner: Learner, number: str) -> None:
    code, printed = learner.tito("milestone", "run", number, "--mine", "--demo-mode")
    assert code == 0, printed
    found = owners(printed)
    assert {name for name, owner in found.items() if owner == "yours"} == {
        "tt-tensor", "tt-autograd", "tt-nn"
    }  # fmt: skip
    assert found["tt-tito"] == "the course's"
    assert f"Milestone {number}" in printed
    assert learner.workspace.state.milestones[number].packages["tt-tensor"] == "mine"


def test_her_status_tells_all_of_it(learner: Learner) -> None:
    code, printed = learner.tito("checkpoint", "status")
    assert code == 0
    assert "stale" not in printed
    assert printed.count("passed on") == 2


def test_a_wrong_operator_is_named_and_no_milestone_passes_with_it(learner: Learner) -> None:
    file = learner.write(ADD, "return self - other")
    before, text = learner.files(), file.read_text(encoding="utf-8")
    code, printed = learner.tito("module", "test", "02")
    assert code == 1
    assert f"your {ADD}:" in printed
    assert "return self - other" in printed
    assert "expected" in printed
    assert "actual" in printed
    code, printed = learner.tito("milestone", "run", "01", "--mine", "--demo-mode")
    assert code == 1, printed
    assert owners(printed)["tt-tensor"] == "yours"
    assert learner.files() == before
    assert file.read_text(encoding="utf-8") == text
    code, printed = learner.tito("checkpoint", "status")
    assert "stale" in printed

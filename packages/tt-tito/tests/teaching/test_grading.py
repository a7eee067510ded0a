"""Grading what learners hand in: honest and wrong work, records, and milestones."""

from __future__ import annotations

import csv
import io
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito import TitoError
from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._gradebook import Grade, as_csv
from tt_tito.teaching._grading import Grader
from tt_tito.teaching._limits import namespaces_work
from tt_tito.teaching._submission import Submission, read_submission
from tt_tito.workspace._fingerprint import Fingerprint
from tt_tito.workspace._state import ModuleRecord, State, dump_state, now

from .tiny_course import (
    BLANK,
    CURRICULUM,
    HONEST,
    REFERENCE,
    SLY,
    WRONG,
    Grading,
    make_grader,
    make_workspace,
)

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has limits of time only"),
]


def test_what_is_right_passes_and_what_is_wrong_fails(
    grade: Grading, honest: Path, tmp_path: Path
) -> None:
    wrong, blank = make_workspace(tmp_path / "w", WRONG), make_workspace(tmp_path / "b", BLANK)
    results = [found.marks[0] for found in grade(honest, wrong, blank, jobs=2)]
    assert [mark.passed for mark in results] == [True, False, False]
    assert [mark.tests for mark in results] == [12] * 3
    assert [mark.tests_passed for mark in results] == [12, 5, 1]
    assert results[0].reason == ""
    assert results[1].reason.startswith(
        "7 of 12 tests fail, first packages/tt-tiny/tests/test_tiny"
    )
    assert len(results[1].failed) == 7
    assert "NotImplementedError" in results[2].reason


def test_no_ones_work_is_touched_by_anothers(grade: Grading, honest: Path, tmp_path: Path) -> None:
    other = make_workspace(tmp_path / "other", HONEST)
    file = other / "tt-tiny" / "src" / "tt_tiny" / "__init__.py"
    code = f"""
        try:
            open({str(file)!r}, "w").write("raise SystemExit(1)")
        except OSError:
            pass
    """
    eve = make_workspace(tmp_path / "eve", WRONG + textwrap.dedent(code))
    grades = grade(eve, other, honest)
    assert [found.passed for found in grades] == [False, True, True]
    if namespaces_work():
        assert file.read_text() == HONEST


def test_a_fault_of_one_does_not_stop_the_others(
    grade: Grading,
    grader: Grader,
    honest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = grader.grade

    def faulty(submission: Submission, tell: Callable[[str], None]) -> Grade:
        if submission.name == "faulty":
            raise RuntimeError("the disk is on fire")
        return original(submission, tell)

    monkeypatch.setattr(grader, "grade", faulty)
    grades = grade(make_workspace(tmp_path / "faulty", HONEST), honest, jobs=2)
    assert [found.passed for found in grades] == [False, True]
    assert grades[0].reason == "It could not be graded: RuntimeError: the disk is on fire"


def test_a_record_of_hers_is_compared_and_not_believed(grade: Grading, tmp_path: Path) -> None:
    folder = make_workspace(tmp_path / "eve", WRONG)
    when = now()
    state = State({"02": ModuleRecord(when, when, Fingerprint({}), tests=12)})
    (folder / ".tito").mkdir()
    (folder / ".tito" / "state.json").write_bytes(dump_state(state))
    (found,) = grade(folder)
    (mark,) = found.marks
    assert (mark.passed, mark.claimed, mark.unproven) == (False, True, True)
    lines = list(csv.DictReader(io.StringIO(as_csv([found]).decode())))
    assert [(line["result"], line["recorded"]) for line in lines] == [("failed", "completed")]


def test_the_course_itself_has_to_pass(course: Path, honest: Path, tmp_path: Path) -> None:
    broken = tmp_path / "checkout"
    shutil.copytree(course, broken)
    (broken / "packages" / "tt-tiny" / "src" / "tt_tiny" / "__init__.py").write_text(WRONG)
    submission = read_submission("ada", honest, read_curriculum(broken))
    with pytest.raises(TitoError, match="own packages do not pass module 02 here"):
        make_grader(broken).prepare([submission], print)


REPORT = """
        import json, os, pathlib
        report = pathlib.Path("reports", "milestone_01", "line")
        report.mkdir(parents=True)
        record = {"mode": "demo", "passed": True}
        (report / "report.json").write_text(json.dumps(record))
        os._exit(0)
        """
MILESTONES: dict[str, tuple[str, str, str]] = {
    "right": (HONEST, "", ""),
    "wrong": (SLY, "", "line.py did not meet its bar."),
    "ends the process at import": (SLY, "import os; os._exit(0)", "left no report"),
    "ends the process at exit": (
        SLY,
        "import atexit, os; atexit.register(os._exit, 0)",
        "line.py did not meet its bar.",
    ),
    "reports that it passed": (
        HONEST,
        "import atexit, os; atexit.register(os._exit, 3)",
        "reported that its bar was met, but ended with exit code 3",
    ),
    "raises": (SLY, "raise ValueError('oh')", "left no report: ValueError: oh."),
    "loops": (SLY, "while True: pass", "line.py was stopped: it used more than 2 seconds"),
    "writes the report itself": (SLY, REPORT, "The run is forged"),
}
IN_THE_MILESTONE = "import sys\nif sys.argv[0].endswith('line.py'):\n"


@pytest.fixture(scope="module")
def milestone_grader(course: Path, honest: Path) -> Grader:
    """A grader of a milestone, and of the module that it needs."""
    grader = make_grader(course, modules=(), milestones=("01",))
    grader.prepare([read_submission("honest", honest, read_curriculum(course))], print)
    return grader


@pytest.mark.parametrize(("source", "code", "reason"), MILESTONES.values(), ids=MILESTONES)
def test_a_milestone_passes_if_its_script_does_in_this_run(
    grade: Grading, milestone_grader: Grader, tmp_path: Path, source: str, code: str, reason: str
) -> None:
    code = textwrap.indent(textwrap.dedent(code) or "pass", "    ")
    folder = make_workspace(tmp_path / "ada", source + IN_THE_MILESTONE + code)
    module, mark = grade(folder, grader=milestone_grader)[0].marks
    assert (module.what, module.passed) == ("module", True)
    assert (mark.what, mark.number, mark.tests) == ("milestone", "01", 1)
    assert mark.packages == ("tt-tiny",)
    assert mark.passed == (reason == "")
    assert reason in mark.reason
    assert mark.tests_passed == (1 if mark.passed else 0)


@pytest.mark.parametrize("source", [WRONG, BLANK, REFERENCE])
def test_a_milestone_is_not_run_before_the_modules_that_it_needs_pass(
    grade: Grading, milestone_grader: Grader, tmp_path: Path, source: str
) -> None:
    module, mark = grade(make_workspace(tmp_path / "ada", source), grader=milestone_grader)[0].marks
    assert (module.number, module.passed) == ("02", False)
    assert not mark.passed
    assert mark.reason == (
        "It was not run: it needs module 02 of hers, and module 02 did not pass."
    )
    assert mark.packages == ()


# --- What is not hers -----------------------------------------------------------------------------

OTHER = """
[module.03]
name = "more"
packages = ["tt-other"]
marker = "module_03"
exercises = ["tt_other.treble"]
"""
COURSES = "Nothing of it is hers: all its exercises are as the course has them."
GONE = "Not handed in: tt-other."
TREBLE = "def treble(number):\n    return 3 * number\n"


@pytest.fixture(scope="module")
def larger(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course with a second package, whose module no test here has to run."""
    root = tmp_path_factory.mktemp("larger") / "checkout"
    shutil.copytree(course, root)
    (root / "curriculum.toml").write_text(CURRICULUM + OTHER)
    source = root / "packages" / "tt-other" / "src" / "tt_other" / "__init__.py"
    source.parent.mkdir(parents=True)
    source.write_text(TREBLE)
    return root


# Her code, the modules that her record names, those that who grades names, and why each fails.
HERS: dict[str, tuple[str, tuple[str, ...] | None, tuple[str, ...] | None, dict[str, str]]] = {
    "nothing is recorded": (HONEST, None, None, {"02": ""}),
    "the record leaves it out": (HONEST, (), None, {"02": ""}),
    "the record names what no course has": (HONEST, ("77",), None, {"02": ""}),
    "a half of it": (HONEST.replace("number / 2", "number * 0.5  # so"), None, None, {"02": ""}),
    "nothing of it": (REFERENCE, None, None, {}),
    "recorded, nothing of it": (REFERENCE, ("02",), None, {"02": COURSES}),
    "asked for, nothing of it": (REFERENCE, None, ("02",), {"02": COURSES}),
    "only written in another way": (
        REFERENCE.replace("number + number", "(number\r\n    + number)  # so"),
        None,
        ("02",),
        {"02": COURSES},
    ),
    "recorded, not handed in": (HONEST, ("03",), None, {"02": "", "03": GONE}),
    "asked for, not handed in": (HONEST, None, ("02", "03"), {"02": "", "03": GONE}),
}


@pytest.mark.parametrize(("source", "recorded", "modules", "reasons"), HERS.values(), ids=HERS)
def test_only_what_she_wrote_and_handed_in_is_hers(
    larger: Path,
    tmp_path: Path,
    source: str,
    recorded: tuple[str, ...] | None,
    modules: tuple[str, ...] | None,
    reasons: dict[str, str],
) -> None:
    folder = make_workspace(tmp_path / "ada", source)
    if recorded is not None:
        state = State({number: ModuleRecord(now()) for number in recorded})
        (folder / ".tito").mkdir()
        (folder / ".tito" / "state.json").write_bytes(dump_state(state))
    submission = read_submission("ada", folder, read_curriculum(larger))
    grader = make_grader(larger, modules=modules)
    grader.prepare([submission], print)
    found = grader.grade(submission, print)
    assert {mark.number: mark.passed for mark in found.marks} == {
        number: reason == "" for number, reason in reasons.items()
    }
    for mark in found.marks:
        assert mark.reason == reasons[mark.number]
        assert mark.packages == (("tt-tiny",) if mark.passed else ())
        if mark.passed:
            assert mark.unchanged == (("tt_tiny.half",) if "# so" in source else ())
    assert any("77" in note for note in found.notes) == (recorded == ("77",))

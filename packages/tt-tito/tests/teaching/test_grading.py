"""Grading what learners hand in: honest and wrong work, and every way to cheat that we know."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import sys
import sysconfig
import textwrap
import venv as standard_venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tt_tito import TitoError
from tt_tito._catalogue import find
from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._gradebook import Grade, Mark, as_csv
from tt_tito.teaching._grading import Grader, grade_all, scratch
from tt_tito.teaching._limits import Guard, Limits, namespaces_work
from tt_tito.teaching._submission import (
    RefusedError,
    Submission,
    names,
    read_all,
    read_submission,
)
from tt_tito.trial._venv import Source, Venv
from tt_tito.workspace._fingerprint import Fingerprint
from tt_tito.workspace._state import ModuleRecord, State, dump_state, now

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has limits of time only"),
]

# --- A course of one package ----------------------------------------------------------------------

CURRICULUM = """
[module.02]
name = "numbers"
packages = ["tt-tiny"]
marker = "module_02"
exercises = ["tt_tiny.double", "tt_tiny.half"]
"""
SETTINGS = """
[dependency-groups]
tests = ["pytest"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "--strict-markers"]
markers = ["module_02: numbers"]
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "tt-tiny"
version = "0.1.0"
"""
FIRST_TESTS = """
import pytest
import tt_tiny


@pytest.mark.module_02
def test_double_of_nothing():
    assert tt_tiny.double(0) == 0
"""
TESTS = """
import pytest
import tt_tiny

pytestmark = pytest.mark.module_02


@pytest.mark.parametrize("number", [1, 2.5, -3])
def test_double_is_the_sum_with_itself(number):
    assert tt_tiny.double(number) == number + number


@pytest.mark.parametrize("number", [1, 2.5, -3])
def test_half_undoes_double(number):
    assert tt_tiny.half(tt_tiny.double(number)) == number


def test_half_of_one():
    assert tt_tiny.half(1) == 0.5


def test_texts_are_refused():
    with pytest.raises(TypeError):
        tt_tiny.half("a")


def test_double_is_even():
    assert tt_tiny.double(7) % 2 == 0


def test_another_module():
    pass


def test_half_is_less():
    assert tt_tiny.half(8) < 8


@pytest.mark.skip(reason="not here")
def test_that_is_skipped():
    raise AssertionError
"""
SCRIPT = """
# /// script
# requires-python = ">=3.11"
# dependencies = ["tt-tiny>=0.1"]
# ///
import json
import sys
from pathlib import Path

import tt_tiny

judges = "--test-only" not in sys.argv
passed = tt_tiny.double(2) == 4 if judges else None
report = Path("reports", "milestone_01", "line")
report.mkdir(parents=True)
record = {"mode": "demo" if judges else "test-only", "passed": passed}
(report / "report.json").write_text(json.dumps(record))
sys.exit(1 if passed is False else 0)
"""
# Its data cannot be had here, so it is skipped.
SKIPPED = SCRIPT.partition("import")[0]
HONEST = """
def double(number):
    return 2 * number


def half(number):
    return number / 2
"""
WRONG = HONEST.replace("2 * number", "3 * number")
BLANK = """
def double(number):
    raise NotImplementedError


def half(number):
    raise NotImplementedError
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one package and one module."""
    root = tmp_path_factory.mktemp("a checkout")
    package = root / "packages" / "tt-tiny"
    for path, text in {
        root / "curriculum.toml": CURRICULUM,
        root / "pyproject.toml": SETTINGS,
        package / "pyproject.toml": PROJECT,
        package / "src" / "tt_tiny" / "__init__.py": HONEST,
        package / "src" / "tt_tiny" / "py.typed": "",
        root / "milestones" / "01_1957_line" / "line.py": SCRIPT,
        root / "milestones" / "01_1957_line" / "skipped.py": SKIPPED,
        package / "tests" / "test_first.py": FIRST_TESTS,
        package / "tests" / "test_tiny.py": TESTS,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@contextmanager
def open_environment(
    requirements: Sequence[str], mine: Mapping[str, Path], cache: Path
) -> Iterator[Venv]:
    """An environment that is made at once: pytest is that of this Python, nothing is installed."""
    with scratch() as folder:
        made = Venv(folder / "environment", trusted=False)
        standard_venv.create(made.folder, symlinks=True, with_pip=False)
        outer = Path(sysconfig.get_path("purelib"))
        for name in ("pytest", "_pytest", "py.py", "pluggy", "iniconfig", "packaging", "pygments"):
            (made.site / name).symlink_to(outer / name)
        source = mine["tt-tiny"] if mine else cache.parent / "packages" / "tt-tiny"
        (made.site / "tt_tiny").symlink_to(source / "src" / "tt_tiny")
        made.sources = (Source("tt-tiny", "0.1.0", "mine" if mine else "course", source, ""),)
        yield made


def make_grader(
    course: Path,
    *,
    modules: Sequence[str] = ("02",),
    milestones: Sequence[str] = (),
    namespaces: bool | None = None,
) -> Grader:
    limits = Limits(
        seconds=20, cpu_seconds=2, memory=256 << 20, file_size=1 << 20, disk=8 << 20, processes=8
    )
    (course / "wheels").mkdir(exist_ok=True)
    return Grader(
        read_curriculum(course),
        Guard(limits, namespaces=namespaces),
        cache=course / "wheels",
        modules=modules,
        milestones=[find(course, number) for number in milestones],
        chance=random.Random(0),
        open_environment=open_environment,
    )


@pytest.fixture(scope="module")
def grader(course: Path, honest: Path) -> Grader:
    """A grader that knows what the course's own package does."""
    grader = make_grader(course)
    grader.prepare([read_submission("honest", honest, read_curriculum(course))], print)
    return grader


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a learner who solved all."""
    return make_workspace(tmp_path_factory.mktemp("honest"), HONEST)


def make_workspace(folder: Path, source: str) -> Path:
    path = folder / "tt-tiny" / "src" / "tt_tiny" / "__init__.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return folder


Grading = Callable[..., list[Grade]]
Tito = Callable[..., tuple[int, str, str]]


@pytest.fixture
def grade(grader: Grader, course: Path) -> Grading:
    """Grade workspaces, in order."""

    def call(*folders: Path, jobs: int = 1, grader: Grader = grader) -> list[Grade]:
        submissions, refused = read_all(folders, read_curriculum(course))
        assert refused == {}
        grades: list[Grade] = []
        grade_all(grader, submissions, jobs=jobs, tell=print, done=grades.append)
        return sorted(grades, key=lambda grade: folders.index(grade.folder))

    return call


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


# --- Who cheats -----------------------------------------------------------------------------------

# Each is code around a wrong answer; the reason, or several of which one is given.
CHEATS: dict[str, tuple[str, tuple[str, ...]]] = {
    "loops forever": ("while True: pass", ("ran longer", "processor time")),
    "loops forever in a test": (
        "def half(number):\n    while True: pass",
        ("It was stopped: it",),
    ),
    "eats memory": (
        "kept = []\nwhile True: kept.append(b'x' * 2**20)",
        ("used more than 256 MiB of memory",),
    ),
    "ends the process at import": ("import os; os._exit(0)", ("ended with exit code 0 before",)),
    "ends the process in a test": (
        "import os\ndef half(number): os._exit(0)",
        ("ended with exit code 0 before all tests had run",),
    ),
    "ends the process at exit": (
        "import atexit, os; atexit.register(os._exit, 0)",
        ("ended with exit code 0 after the tests had run",),
    ),
    "raises SystemExit at import": ("raise SystemExit(0)", ("pytest stopped with exit code",)),
    "raises SystemExit in a test": ("def half(number): raise SystemExit(0)", ("fail",)),
    "prints a summary": (
        "import os\nprint('=' * 30, '12 passed in 0.01s', '=' * 30, flush=True)\nos._exit(0)",
        ("before all tests had run",),
    ),
    "skips the tests": (
        "import pytest\ndef half(number): pytest.skip('not today')",
        ("tests fail",),
    ),
    "makes pytest run nothing": (
        "import _pytest.python\n_pytest.python.Function.runtest = lambda self: None",
        ("The run is forged",),
    ),
    "makes pytest see no error": (
        """
        import _pytest.runner
        original = _pytest.runner.CallInfo.from_call
        def from_call(func, when, reraise=None):
            def quiet():
                try:
                    func()
                except Exception:
                    pass
            return original(quiet, when, reraise)
        _pytest.runner.CallInfo.from_call = from_call
        """,
        ("The run is forged",),
    ),
    "takes the asserts out": (
        """
        import ast, _pytest.assertion.rewrite as rewrite
        class Without(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        def rewrite_asserts(mod, *_):
            ast.fix_missing_locations(Without().visit(mod))
        rewrite.rewrite_asserts = rewrite_asserts
        """,
        ("The run is forged",),
    ),
    "returns what equals everything": (
        """
        class Anything(float):
            __hash__ = float.__hash__
            def __eq__(self, other): return True
            def __add__(self, other): return self
            def __mod__(self, other): return self
            def __truediv__(self, other): return self
            def __lt__(self, other): return True
        def double(number): return Anything()
        def half(number): return Anything() if not isinstance(number, str) else number / 2
        """,
        ("The run is forged",),
    ),
    "writes the records itself": (
        """
        import gc, os
        def half(number):
            recorder = [o for o in gc.get_objects() if type(o).__name__ == "Recorder"][0]
            session = [o for o in gc.get_objects() if type(o).__name__ == "Session"][0]
            for item in session.items:
                outcome = "skipped" if "skipped" in item.nodeid else "passed"
                recorder._write({"event": "started", "test": item.nodeid})
                recorder._write({"event": "ended", "test": item.nodeid, "outcome": outcome})
            recorder._write({"event": "finished", "code": 0, "ended": len(session.items)})
            os._exit(0)
        """,
        ("The run is forged",),
    ),
    "makes a pipe of the results": (
        """
        import os, pathlib
        def half(number):
            (results,) = pathlib.Path().glob("*.jsonl")
            results.unlink()
            os.mkfifo(results)
        """,
        ("before all tests had run",),
    ),
    "writes nonsense into the results": (
        """
        import gc
        def half(number):
            recorder = [o for o in gc.get_objects() if type(o).__name__ == "Recorder"][0]
            recorder._write({"event": "ended"})
        """,
        ("KeyError",),
    ),
    "changes the tests": (
        """
        import sys
        from pathlib import Path
        def half(number):
            for module in list(sys.modules.values()):
                file = getattr(module, "__file__", None) or ""
                if file.endswith("test_tiny.py"):
                    Path(file).write_text("def test_nothing(): pass")
        """,
        ("The tests were changed while they ran", "tests fail"),
    ),
    "leaves a process behind": (
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
        """,
        ("left a process running",),
    ),
    "fills the disk with a file": (
        "with open('large', 'wb') as file: file.write(b'x' * 2**22)",
        ("File too large",),
    ),
    "fills the disk with many": (
        """
        import time
        for number in range(100):
            with open(str(number), 'wb') as file: file.write(b'x' * 2**19)
        time.sleep(30)
        """,
        ("wrote more than 8 MiB",),
    ),
    "forks without end": (
        "import os\nwhile True: os.fork()",
        ("more than 8 processes", "used more than 256 MiB"),
    ),
}


@pytest.mark.parametrize(("code", "reasons"), CHEATS.values(), ids=CHEATS)
def test_who_cheats_fails_with_the_reason(
    grade: Grading, tmp_path: Path, code: str, reasons: Sequence[str]
) -> None:
    folder = make_workspace(tmp_path / "cheat", WRONG + textwrap.dedent(code))
    (mark,) = grade(folder)[0].marks
    assert not mark.passed
    assert any(reason in mark.reason for reason in reasons), mark.reason
    assert mark.tests == 12


@pytest.mark.parametrize(
    ("cheat", "reason"),
    [
        ("changes the tests", "The tests were changed while they ran"),
        ("leaves a process behind", "left a process running"),
        ("writes the records itself", "The run is forged"),
    ],
)
def test_who_cheats_fails_where_there_are_no_namespaces_too(
    grade: Grading, grader: Grader, course: Path, tmp_path: Path, cheat: str, reason: str
) -> None:
    plain = make_grader(course, namespaces=False)
    plain._standards = grader._standards
    folder = make_workspace(tmp_path / "cheat", WRONG + textwrap.dedent(CHEATS[cheat][0]))
    (mark,) = grade(folder, grader=plain)[0].marks
    assert not mark.passed
    assert reason in mark.reason


def test_what_stands_beside_the_code_is_left_aside_and_named(
    grade: Grading, tmp_path: Path
) -> None:
    folder = make_workspace(tmp_path / "eve", WRONG)
    package = folder / "tt-tiny"
    passing = "def pytest_runtest_call(item):\n    item.obj = lambda **_: None\n"
    for path, text in {
        "tests/test_tiny.py": "def test_nothing(): pass",
        "conftest.py": passing,
        "pyproject.toml": PROJECT + '[project.entry-points.pytest11]\ntiny = "tt_tiny.plugin"\n',
        "src/conftest.py": passing,
        "src/pytest.py": "raise SystemExit(0)",
        "src/tt_tiny/plugin.py": passing,
        "src/tt_tiny/fast.so": "",
        "setup.py": "raise SystemExit(0)",
    }.items():
        (package / path).parent.mkdir(exist_ok=True)
        (package / path).write_text(text)
    (found,) = grade(folder)
    assert found.marks[0].tests_passed == 5
    (note,) = found.notes
    for name in ("conftest.py", "setup.py", "tests", "pyproject.toml, which is not the course's"):
        assert name in note
    assert "and 2 more" in note  # src/conftest.py, src/pytest.py, src/tt_tiny/fast.so


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
MILESTONES: dict[str, tuple[str, str]] = {
    "right": (HONEST, ""),
    "wrong": (WRONG, "line.py did not meet its bar."),
    "ends the process at import": (WRONG + "import os; os._exit(0)", "left no report"),
    "ends the process at exit": (
        WRONG + "import atexit, os; atexit.register(os._exit, 0)",
        "line.py did not meet its bar.",
    ),
    "reports that it passed": (
        HONEST + "import atexit, os; atexit.register(os._exit, 3)",
        "reported that its bar was met, but ended with exit code 3",
    ),
    "raises": (WRONG + "raise ValueError('oh')", "left no report: ValueError: oh."),
    "loops": (WRONG + "while True: pass", "line.py was stopped: it used more than 2 seconds"),
    "writes the report itself": (WRONG + textwrap.dedent(REPORT), "The run is forged"),
}


@pytest.fixture(scope="module")
def milestone_grader(course: Path) -> Grader:
    """A grader of a milestone alone."""
    grader = make_grader(course, modules=(), milestones=("01",))
    grader.prepare([], print)
    return grader


@pytest.mark.parametrize(("source", "reason"), MILESTONES.values(), ids=MILESTONES)
def test_a_milestone_passes_if_its_script_does_in_this_run(
    grade: Grading, milestone_grader: Grader, tmp_path: Path, source: str, reason: str
) -> None:
    folder = make_workspace(tmp_path / "ada", source)
    (mark,) = grade(folder, grader=milestone_grader)[0].marks
    assert (mark.what, mark.number, mark.tests) == ("milestone", "01", 1)
    assert mark.passed == (reason == "")
    assert reason in mark.reason
    assert mark.tests_passed == (1 if mark.passed else 0)


# --- What is handed in ----------------------------------------------------------------------------


def link(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "link.py").symlink_to("/etc/passwd")


def link_to_folder(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "more").symlink_to("/etc")


def pipe(folder: Path) -> None:
    os.mkfifo(folder / "tt-tiny" / "src" / "tt_tiny" / "pipe.py")


def large(folder: Path) -> None:
    (folder / "tt-tiny" / "src" / "tt_tiny" / "large.py").write_bytes(b"#" * (2 << 20))


def many(folder: Path) -> None:
    for number in range(2001):
        (folder / "tt-tiny" / "src" / "tt_tiny" / f"m{number}.py").touch()


def nothing(folder: Path) -> None:
    shutil.rmtree(folder / "tt-tiny")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (link, "link.py is a link or a device"),
        (link_to_folder, "more is a link or a device"),
        (pipe, "pipe.py is a link or a device"),
        (large, "large.py cannot be read (it is larger than 1,048,576 bytes)"),
        (many, "It has 2002 files"),
        (nothing, "There is no package of the course in it."),
    ],
)
def test_what_cannot_be_taken_is_refused(
    course: Path, tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    folder = make_workspace(tmp_path / "eve", HONEST)
    spoil(folder)
    with pytest.raises(RefusedError, match=re.escape(complaint)):
        read_submission("eve", folder, read_curriculum(course))
    other = make_workspace(tmp_path / "ada", HONEST)
    taken, refused = read_all([folder, other], read_curriculum(course))
    assert [submission.name for submission in taken] == ["ada"]
    assert complaint in refused["eve"][1]


@pytest.mark.parametrize("state", [b"{", b"[]", b"\xff", b'{"schema": 99}', None])
def test_without_a_record_that_can_be_read_the_code_tells_what_was_started(
    course: Path, tmp_path: Path, state: bytes | None
) -> None:
    ada = make_workspace(tmp_path / "ada" / "workspace", HONEST + "\n\n# as it was\n").parent
    eve = make_workspace(tmp_path / "eve", WRONG)
    for folder in (ada / "workspace", eve):
        if state is not None:
            (folder / ".tito").mkdir()
            (folder / ".tito" / "state.json").write_bytes(state)
    curriculum = read_curriculum(course)
    first, second = (read_submission("x", folder, curriculum) for folder in (ada, eve))
    assert (first.started, second.started) == ((), ("02",))
    assert (first.notes != ()) == (state is not None)


def test_learners_are_told_apart() -> None:
    folders = [Path("a/ada/workspace"), Path("b/ada/workspace"), Path("b/emmy")]
    assert names(folders) == ["a/ada/workspace", "b/ada/workspace", "emmy"]
    assert names([Path("ada"), Path("ada")])[0].endswith("ada")


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, course: Path) -> None:
    """Let the command make its environments at once."""

    def environment(
        root: Path,
        requirements: Sequence[str],
        mine: Mapping[str, Path],
        *,
        cache: Path,
        trusted: bool,
    ) -> AbstractContextManager[Venv]:
        assert not trusted
        return open_environment(requirements, mine, root / "wheels")

    monkeypatch.setattr("tt_tito.teaching._grading.environment", environment)


@pytest.mark.usefixtures("quick")
def test_the_command_prints_and_writes_what_it_found(
    tito: Tito, course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.chdir(tmp_path)
    make_workspace(tmp_path / "ada", HONEST)
    make_workspace(tmp_path / "emmy", WRONG)
    (tmp_path / "nobody").mkdir()
    command = ("grade", "ada", "emmy", "nobody", "--root", str(course), "--modules", "2")
    code, out, err = tito(*command)
    assert (code, err) == (1, "")
    words = " ".join(out.split())
    for expected in (
        "ada: 1 of 1 passed module 02 (numbers): passed",
        "emmy: 0 of 1 passed module 02 (numbers): failed. 7 of 12 tests fail, first",
        "nobody: not graded There is no package of the course in it.",
        "1 of 3 passed all. Written: grades.csv, grades.json.",
    ):
        assert expected in words
    assert all(len(line) <= 40 or " " not in line.strip() for line in out.splitlines())

    lines = list(csv.DictReader((tmp_path / "grades.csv").read_text().splitlines()))
    assert [(line["learner"], line["result"]) for line in lines] == [
        ("ada", "passed"),
        ("emmy", "failed"),
        ("nobody", "not graded"),
    ]
    assert [line["tests_passed"] for line in lines] == ["12", "5", ""]
    record = json.loads((tmp_path / "grades.json").read_text())
    assert record["schema"] == 1
    assert [learner["passed"] for learner in record["learners"]] == [True, False, False]
    assert len(record["learners"][1]["marks"][0]["failed"]) == 7
    assert record["settings"]["modules"] == ["02"]
    assert (record["not_protected"] == []) == namespaces_work()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "grades.csv",
        "grades.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "required: FOLDER"),
        (("ada", "--modules", "02,x"), "expected numbers such as 02,06; got '02,x'"),
        (("ada", "--modules", "42"), "There is no module '42'"),
        (("ada", "--milestones", "07"), "no milestone"),
        (("ada", "--jobs", "0"), "expected a whole number from 1; got '0'"),
        (("ada", "--memory", "0.1"), "expected GiB, from 0.25 to 1024; got '0.1'"),
        (("ada", "bob"), "bob is not a folder"),
        (("ada", "--csv", "nowhere/grades.csv"), "cannot be written"),
    ],
)
def test_a_wrong_use_is_told_before_anything_runs(
    tito: Tito,
    course: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ada").mkdir()
    code, out, err = tito("grade", *arguments, "--root", str(course))
    assert (code, out) == (2, "")
    assert complaint in err


def test_what_learners_write_neither_steers_a_terminal_nor_runs_in_a_spreadsheet() -> None:
    mark = Mark("module", "02", "numbers", False, "=cmd()\x1b[2J\nnext", 3, 1, ("a",), False, 0.5)
    text = as_csv([Grade("@eve", Path("eve"), (mark,))]).decode()
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["learner"] == "'@eve"
    assert line["reason"] == "'=cmd()?[2J next"
    assert line["seconds"] == "0.5"

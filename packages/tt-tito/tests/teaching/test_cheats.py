"""Every way to cheat that we know, and the reason with which it fails."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from tt_tito.teaching._grading import Grader

from .tiny_course import PROJECT, WRONG, Grading, make_grader, make_workspace

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has limits of time only"),
]


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
    "loosens a comparison": (
        """
        import builtins
        builtins.isinstance = lambda thing, kind, isinstance=isinstance: isinstance(thing, kind)
        """,
        ("The tested code changed builtins.isinstance.",),
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
    note, beside = found.notes
    assert "src/tt_tiny/plugin.py (not the course's)" in beside
    for name in ("conftest.py", "setup.py", "tests", "pyproject.toml, which is not the course's"):
        assert name in note
    assert "and 2 more" in note  # src/conftest.py, src/pytest.py, src/tt_tiny/fast.so

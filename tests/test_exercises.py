"""The sweep over a small course in which most things are wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tooling.exercises.__main__ import report
from tooling.exercises.checks import Finding, check_map, sweep
from tt_tito.course import Module, read_curriculum

MODULES = {  # the exercises of each
    "02": ["eager"],
    "03": ["add", "Box.get"],
    "04": ["untested", "guarded", "other"],
    "05": ["later"],
    "06": ["unmarked"],
}
SOURCE = '''\
def add(a, b):
    """Add."""
    return a + b

class Box:
    def __init__(self, value): self.value = value
    def get(self): return self.value

def untested(): return 1
def guarded(): return 1
def other(): return 1
def eager(): return 1
def unmarked(): return 1
def abstract(): raise NotImplementedError
def later(): return 1
late = later
'''
TESTS = {
    "03": """\
import subprocess
import sys
from threading import Thread

def test_add(): assert toy.add(1, 2) == 3
@pytest.mark.parametrize("value", ["a b", "ü"])
def test_box(value): assert toy.Box(value).get() == value
def test_thread():
    seen = []
    thread = Thread(target=lambda: seen.append(toy.add(1, 2)))
    thread.start()
    thread.join()
    assert seen == [3]
def test_child():
    code = "import tt_toy as toy; assert toy.add(1, 2) == 3"
    subprocess.run([sys.executable, "-c", code], check=True)
def test_of_no_exercise(): assert toy.Box(1).value == 1
""",
    "04": """\
def test_guarded():
    try: toy.guarded()
    except RuntimeError: pass
def test_other(): assert toy.other() == 1
def test_wrong(): assert toy.other() == 2, "one is not two"
def test_needs_more(): assert toy.later() == 1
def test_needs_as_much(): assert toy.later() == 1
""",
    "02": """\
VALUE = toy.eager()
def test_eager(): assert toy.eager() == VALUE
""",
    "05": "def test_later(): assert toy.later() == 1\n",
}
WRONG = {
    "02": [
        "tt_toy.eager runs outside of tests: while packages are imported or tests collected",
        "on the skeleton: packages/tt-toy/tests/test_02.py: NotImplementedError: module 02: write "
        "tt_toy.eager",
        "without tt_toy.eager: packages/tt-toy/tests/test_02.py: NotImplementedError: module 02: "
        "write tt_toy.eager",
    ],
    "03": [],
    "04": [
        "on the reference: packages/tt-toy/tests/test_04.py::test_wrong fails: AssertionError: "
        "one is not two",
        "tt_toy.untested: no test of the module runs it",
        "without later modules: packages/tt-toy/tests/test_04.py::test_needs_more (and 1 more) "
        "fails: NotImplementedError: module 04: write tt_toy.later",
        "on the skeleton: packages/tt-toy/tests/test_04.py::test_guarded passes, though it runs "
        "tt_toy.guarded",
        "tt_toy.guarded: its 1 tests pass without it",
    ],
    "05": [],
    "06": ["no test has the marker module_06", "tt_toy.unmarked: no test of the module runs it"],
}


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("a course")
    markers = "".join(f'  "module_{number}: it",\n' for number in MODULES)
    settings = (
        "[tool.pytest.ini_options]\n"
        'addopts = ["--import-mode=importlib", "--strict-markers"]\n'
        f"markers = [\n{markers}]\n"
    )
    files = {"pyproject.toml": settings, "conftest.py": "", "testing/shared.py": ""}
    files["curriculum.toml"] = "".join(
        f"[module.{number}]\nname = 'm{number}'\npackages = ['tt-toy']\n"
        f"marker = 'module_{number}'\nexercises = {[f'tt_toy.{name}' for name in names]}\n"
        for number, names in MODULES.items()
    )
    files["packages/tt-toy/pyproject.toml"] = "[project]\nname = 'tt-toy'\ndependencies = []\n"
    names = ["add", "Box", "untested", "guarded", "other", "eager", "unmarked", "abstract"]
    imports = [f"from ._toy import {name} as {name}\n" for name in [*names, "later", "late"]]
    files["packages/tt-toy/src/tt_toy/__init__.py"] = "".join(imports)
    files["packages/tt-toy/src/tt_toy/_toy.py"] = SOURCE
    for number, text in TESTS.items():
        head = f"import pytest\nimport tt_toy as toy\npytestmark = pytest.mark.module_{number}\n"
        files[f"packages/tt-toy/tests/test_{number}.py"] = head + text
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def findings(course: Path) -> Iterator[dict[str, Finding]]:
    curriculum = read_curriculum(course)
    before = {path: path.read_bytes() for path in course.rglob("*.*") if path.is_file()}
    found = sweep(curriculum, curriculum.modules, jobs=2, cache=course / ".pytest_cache")
    yield {finding.module.number: finding for finding in found}
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("number", WRONG)
def test_what_is_wrong_with_a_module_is_told(number: str, findings: dict[str, Finding]) -> None:
    assert findings[number].errors == WRONG[number]


def test_exercises_are_functions_of_their_own(course: Path) -> None:
    names = ("Box", "missing", "abstract", "later", "late")
    exercises = tuple(f"tt_toy.{name}" for name in names)
    errors = check_map(course, Module("07", "m07", ("tt-toy",), "module_07", exercises))
    assert "tt_toy.Box is a class" in errors[0]
    assert "There is no function tt_toy.missing" in errors[1]
    assert errors[2:] == [
        "tt_toy.abstract has no body in the reference",
        "tt_toy.late and tt_toy.later are one function",
    ]


def test_every_test_that_runs_an_exercise_is_known(findings: dict[str, Finding]) -> None:
    counts = {number: (found.tests, found.touching) for number, found in findings.items()}
    assert counts["03"] == (6, 5)  # in threads and in other processes too
    assert counts["04"] == (5, 2)  # that fail or run none of its own do not count
    assert counts["06"] == (0, 0)


def test_what_did_not_change_is_not_run_again(
    course: Path, findings: dict[str, Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "no-such-python")
    curriculum = read_curriculum(course)
    again = sweep(curriculum, [curriculum.module("04")], jobs=1, cache=course / ".pytest_cache")
    assert again == [findings["04"]]


def test_the_table_tells_the_result(
    findings: dict[str, Finding], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report([findings["03"], findings["05"]]) == 0
    assert report([findings["06"]]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["03", "m03", "6", "5", "2", "right"]
    assert lines[-1] == "module 06: tt_toy.unmarked: no test of the module runs it"

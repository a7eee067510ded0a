"""A module's tests against a learner's code: what passes, what fails and why, what is not believed.

The environment is made by hand: pytest and NumPy are those that run this, only her package is new.
"""

import json
import shutil
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import read_curriculum
from tt_tito.trial._outcome import Failure, Line, Outcome, Ran, Value, print_outcome
from tt_tito.trial._process import Ended, launch
from tt_tito.trial._testing import requirements_of_tests, run_tests, unfinished
from tt_tito.trial._venv import Source, Venv
from tt_tito.workspace._workspace import Workspace

pytestmark = pytest.mark.environments

PROJECT = """\
[dependency-groups]
tests = ["pytest>=9", "pytest-cov>=7", "hypothesis"]

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "--strict-markers"]
pythonpath = ["testing"]
filterwarnings = ["error"]
markers = ["module_02: tensor", "module_03: activations"]
"""
TESTS = """\
import numpy as np
import pytest

import tt_tensor as tt
from references import SUM

pytestmark = pytest.mark.module_02


def test_adding():
    print("adding")
    total = tt.Tensor([1, 2]) + tt.Tensor([3, 4])
    np.testing.assert_allclose(total.values, SUM)


@pytest.mark.parametrize("by", [2, 3])
def test_scaling(by):
    assert tt.scale(tt.Tensor([1, 2]), by).values == [by, 2 * by]


def test_a_doubled_sum():
    assert tt.scale(tt.Tensor([1]) + tt.Tensor([2]), 2).values == [6]


def test_nothing():
    pass


@pytest.mark.skip(reason="not here")
def test_skipped():
    raise AssertionError


@pytest.mark.xfail
def test_that_must_fail():
    raise AssertionError


"""
OTHERS = """\
import pytest


@pytest.mark.module_03
def test_of_another_module():
    raise AssertionError
"""
FILE = "packages/tt-tensor/tests/test_it.py"
SCALE = "return Tensor([by * value for value in tensor.values])"
ALTERED = "def test_nothing():\n    assert False"
ADD = "return Tensor([a + b for a, b in zip(self.values, other.values)])"

Hers = Callable[..., Path]
Check = Callable[..., Outcome]


@pytest.fixture
def checkout(course: Path) -> Path:
    (course / "pyproject.toml").write_text(PROJECT)
    (course / "conftest.py").write_text("")
    (course / "testing").mkdir()
    (course / "testing" / "references.py").write_text("SUM = [4, 6]\n")
    (course / FILE).write_text(TESTS)
    (course / FILE).with_name("test_others.py").write_text(OTHERS)
    return course


@pytest.fixture
def hers(checkout: Path, tmp_path: Path) -> Hers:
    """Write her tt-tensor: the course's, with some texts replaced and lines added."""

    def write(changes: Mapping[str, str] | None = None, more: str = "") -> Path:
        folder = tmp_path / "her work" / "tt-tensor"
        shutil.copytree(checkout / "packages" / "tt-tensor" / "src", folder / "src")
        file = folder / "src" / "tt_tensor" / "_operators.py"
        text = file.read_text()
        for old, new in (changes or {}).items():
            assert old in text
            text = text.replace(old, new)
        file.write_text(text + more)
        return folder

    return write


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """An environment that sees the packages of the one that runs this."""
    venv = Venv((tmp_path_factory.mktemp("made by hand") / "environment").resolve())
    venv.create()
    (venv.site / "running.pth").write_text(sysconfig.get_path("purelib"))
    venv.sources = (Source("tt-tensor", "0.1.0", "mine", Path("x.whl"), "0" * 64),)
    return venv


@pytest.fixture
def check(checkout: Path, venv: Venv) -> Check:
    """Run module 02's tests against her package."""

    def run(folder: Path, **options: Any) -> Outcome:
        shutil.rmtree(venv.site / "tt_tensor", ignore_errors=True)
        shutil.copytree(folder / "src" / "tt_tensor", venv.site / "tt_tensor")
        curriculum = read_curriculum(checkout)
        module = curriculum.module("02")
        return run_tests(venv, curriculum, module, {"tt-tensor": folder}, **options)

    return run


def test_the_courses_own_code_passes(hers: Hers, check: Check) -> None:
    folder = hers()
    outcome = check(folder)
    assert outcome.ok
    assert outcome.passed == 5
    assert outcome.skipped == (f"{FILE}::test_skipped", f"{FILE}::test_that_must_fail")
    assert outcome.tests[:2] == (f"{FILE}::test_adding", f"{FILE}::test_scaling[2]")
    assert not [test for test in outcome.tests if "another_module" in test]
    assert {path.name for path in folder.iterdir()} == {"src"}


def test_a_wrong_value_names_the_exercise_its_line_and_both_values(
    hers: Hers, check: Check
) -> None:
    folder = hers({ADD: ADD.replace("+", "-")})
    failure = check(folder).failed[0]
    assert failure.test == f"{FILE}::test_adding"
    assert "Not equal to tolerance" in failure.message
    assert failure.actual == Value("[-2 -2]", (2,), "int64")
    assert failure.expected == Value("[4 6]", (2,), "int64")
    (ran,) = failure.exercises
    assert ran.exercise == "tt_tensor.Tensor.__add__"
    assert ran.line.file == folder / "src" / "tt_tensor" / "_operators.py"
    assert ran.line.text == ADD.replace("+", "-")
    assert ran.line.file.read_text().splitlines()[ran.line.number - 1].strip() == ran.line.text
    assert failure.tested is not None
    assert failure.tested.text == "np.testing.assert_allclose(total.values, SUM)"
    assert failure.tested.file.read_text() == TESTS  # the checkout's own, not the copy
    assert failure.printed == "adding\n"


def test_a_failed_comparison_tells_both_sides(hers: Hers, check: Check) -> None:
    failures = check(hers({SCALE: "return tensor"})).failed
    tests = ("test_scaling[2]", "test_scaling[3]", "test_a_doubled_sum")
    assert [failure.test for failure in failures] == [f"{FILE}::{test}" for test in tests]
    assert (failures[0].actual, failures[0].expected) == (Value("[1, 2]"), Value("[2, 4]"))
    assert failures[0].message.startswith("assert [1, 2] == [2, 4]")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise NotImplementedError('write it')", "NotImplementedError: write it"),
        ("return [value.x for value in tensor.values]", "AttributeError: 'int' object has no"),
    ],
)
def test_an_error_in_her_code_names_the_exercise_and_the_line(
    hers: Hers, check: Check, body: str, message: str
) -> None:
    failure = check(hers({SCALE: body})).failed[0]
    assert failure.message.startswith(message)
    (ran,) = failure.exercises
    assert (ran.exercise, ran.line.text) == ("tt_tensor.scale", body)
    assert failure.line == ran.line


def test_a_failure_of_any_length_is_recorded_in_short(hers: Hers, check: Check) -> None:
    sizes: list[int] = []

    def measured(command: Sequence[str], **options: Any) -> Ended:
        ended = launch(command, **options)
        sizes.append((options["folder"] / "results.jsonl").stat().st_size)
        return ended

    text = "x" * 100_000
    noted = f"error.__notes__ = [{text!r}] * 1000"
    body = f"error = ValueError({text!r}); {noted}; print({text!r}); raise error"
    failure = check(hers({SCALE: body}), explain=False, launch=measured).failed[0]
    assert failure.message.startswith("ValueError: xxx")
    assert max(sizes) < 200_000


def test_an_error_raised_from_none_names_where_it_began(hers: Hers, check: Check) -> None:
    began = "return tensor + None"
    body = f"try:\n        {began}\n    except AttributeError:\n        raise ValueError from None"
    failure = check(hers({SCALE: body})).failed[0]
    names = [ran.exercise for ran in failure.exercises]
    assert names == ["tt_tensor.Tensor.__add__", "tt_tensor.scale"]
    assert failure.line is not None
    assert failure.line.text == ADD


def test_a_value_that_is_looked_for_is_not_called_the_expected_one(
    hers: Hers, check: Check
) -> None:
    def alter(root: Path) -> None:
        looks = "def test_nothing():\n    assert 3 in tt.Tensor([1]).values"
        text = (root / FILE).read_text().replace("def test_nothing():\n    pass", looks)
        (root / FILE).write_text(text)

    (failure,) = check(hers(), alter=alter).failed
    assert failure.message.startswith("assert 3 in [1]")
    assert (failure.actual, failure.expected) == (None, None)


def test_it_stops_after_as_many_failures_as_are_enough(
    hers: Hers, check: Check, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hers({SCALE: "return tensor"})
    outcome = check(folder, most=2)
    assert [failure.test for failure in outcome.failed] == [
        f"{FILE}::test_scaling[2]", f"{FILE}::test_scaling[3]"
    ]  # fmt: skip
    assert (outcome.ok, outcome.reason, outcome.left) == (False, None, 4)
    print_outcome(read_curriculum(checkout).module("02"), outcome)
    words = " ".join(capsys.readouterr().out.split())
    assert "2 of 3 tests fail; stopped after 2 failures, 4 tests are left." in words
    assert check(folder, most=4).left == 0


def test_a_file_that_is_not_python_is_told_with_its_line(hers: Hers, check: Check) -> None:
    folder = hers({SCALE: "return ("})
    outcome = check(folder)
    (failure,) = outcome.failed
    assert not outcome.ok
    assert failure.test == FILE
    assert failure.message.startswith("SyntaxError: '(' was never closed")
    assert failure.line is not None
    assert (failure.line.file.name, failure.line.text) == ("_operators.py", "return (")


def test_the_most_suspect_exercise_comes_first(hers: Hers, check: Check) -> None:
    failure = check(hers({SCALE: "return tensor"})).failed[-1]
    assert failure.test.endswith(
        "test_a_doubled_sum"
    )  # calls __add__ first, which other tests pass
    names = [ran.exercise for ran in failure.exercises]
    assert names == ["tt_tensor.scale", "tt_tensor.Tensor.__add__"]


def test_only_some_tests_and_without_explaining(hers: Hers, check: Check) -> None:
    launched: list[str] = []

    def counted(command: Sequence[str], **options: Any) -> Ended:
        launched.append(command[-1])
        return launch(command, **options)

    folder = hers({SCALE: "return tensor"})
    outcome = check(folder, only=[f"{FILE}::test_scaling"], explain=False, launch=counted)
    assert outcome.tests == (f"{FILE}::test_scaling[2]", f"{FILE}::test_scaling[3]")
    assert [failure.exercises for failure in outcome.failed] == [(), ()]
    assert len(launched) == 1


def test_the_tests_may_be_altered_before_they_run(hers: Hers, check: Check) -> None:
    def alter(root: Path) -> None:
        text = (root / FILE).read_text()
        (root / FILE).write_text(text.replace("def test_nothing():\n    pass", ALTERED))

    plain = check(folder := hers())
    altered = check(folder, alter=alter)
    assert [failure.test for failure in altered.failed] == [f"{FILE}::test_nothing"]
    assert altered.reason is None
    assert altered.tests == plain.tests
    assert altered.digest != plain.digest


# --- What is not believed -------------------------------------------------------------------------

FAKE = "print('4 passed in 0.01s')\n"
EDIT = f"""
import pathlib
for place in pathlib.Path.cwd().parents:
    for test in place.glob("checkout/{FILE}"):
        test.write_text("import pytest\\n@pytest.mark.module_02\\ndef test_x(): pass\\n")
"""
FORGE = """
import json, pathlib
records = [{"event": "collected", "tests": ["x"], "token": ""},
           {"event": "ended", "test": "x", "outcome": "passed", "token": ""},
           {"event": "finished", "code": 0, "token": ""}]
with open("results.jsonl", "a") as file:
    file.writelines(json.dumps(record) + chr(10) for record in records)
import os
os._exit(0)
"""


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (f"{FAKE}import os\nos._exit(0)\n", "ended with exit code 0 before all tests had run"),
        (f"{FAKE}raise SystemExit(0)\n", ""),
        (FORGE, "ended with exit code 0 before all tests had run"),
        (EDIT, "The tests were changed while they ran"),
        ("import pytest\npytest.exit('done', returncode=0)\n", ""),
        ("import pytest\npytest.skip('not today', allow_module_level=True)\n", ""),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "by the signal SIGKILL"),
    ],
    ids=["_exit", "SystemExit", "forged", "edited", "pytest.exit", "skip", "killed"],
)
def test_a_run_that_did_not_end_is_not_passed(
    hers: Hers, check: Check, more: str, reason: str
) -> None:
    outcome = check(hers(more=more))
    assert not outcome.ok
    assert reason in (outcome.reason or "")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("import os; os._exit(0)", "It was running packages/tt-tensor/tests/test_it.py::test_scal"),
        ("import pytest; pytest.skip('no')", "The tested code skipped the test."),
        ("import pytest; pytest.xfail('no')", "The tested code called pytest.xfail."),
        ("import pytest; pytest.exit('no', 0)", "tests were not run"),
        ("raise KeyboardInterrupt", "pytest stopped with exit code 2"),
    ],
)
def test_an_exercise_cannot_excuse_itself(hers: Hers, check: Check, body: str, told: str) -> None:
    outcome = check(hers({SCALE: body}))
    assert not outcome.ok
    assert told in "\n".join([outcome.reason or "", *(f.message for f in outcome.failed)])


LOOSENED = {
    "numpy.testing.assert_allclose": (
        "import numpy.testing as t; o = t.assert_allclose\n"
        "t.assert_allclose = lambda a, d, **k: o(a, d, rtol=0.05)"
    ),
    "numpy.testing.assert_array_equal": (
        "import numpy.testing as t; t.assert_array_equal.__kwdefaults__['strict'] = None"
    ),
    "numpy.isclose": "import numpy; numpy.isclose.__wrapped__.__defaults__ = (0.5, 0.5, False)",
    "numpy._core._methods._all": (
        "import numpy._core._methods as m; m._all.__code__ = m._any.__code__"
    ),
    "numpy._core.fromnumeric._wrapreduction": (
        "import numpy._core.fromnumeric as m; m._wrapreduction = max"
    ),
    "numpy.testing": "import numpy, types; numpy.testing = types.ModuleType('testing')",
    "pytest": (
        "import pytest, sys; fake = type(sys)('pytest'); vars(fake).update(vars(pytest))\n"
        "sys.modules['pytest'] = fake"
    ),
    "pytest.raises": "import pytest; pytest.raises = None",
    "ApproxScalar.__eq__": (
        "import pytest; type(pytest.approx(1)).__eq__ = lambda self, other: True"
    ),
    "builtins.max": "import builtins; builtins.max = min",
}


@pytest.mark.parametrize(("name", "more"), LOOSENED.items(), ids=LOOSENED)
def test_no_test_passes_once_the_code_has_changed_what_it_compares_with(
    hers: Hers, check: Check, name: str, more: str
) -> None:
    outcome = check(hers(more=f"\n\n{more}\n"), explain=False)
    assert outcome.passed == 0
    assert f"The tested code changed {name}." in {failure.message for failure in outcome.failed}


def test_a_launcher_that_stops_it_tells_why(hers: Hers, check: Check) -> None:
    def limited(command: Sequence[str], **options: Any) -> Ended:
        ended = launch(command, **options)
        return Ended(ended.code, "ran longer than 60 seconds", ended.output)

    outcome = check(hers(), launch=limited)
    assert not outcome.ok
    assert outcome.reason == "It was stopped: it ran longer than 60 seconds."


def test_ctrl_c_names_the_test_that_was_running(hers: Hers, check: Check) -> None:
    def interrupted(command: Sequence[str], *, given: str, **options: Any) -> Ended:
        job = json.loads(given)
        record = {"event": "started", "test": "test_adding", "token": job["token"]}
        Path(job["results"]).write_text(json.dumps(record) + "\n")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="Interrupted while running test_adding"):
        check(hers(), launch=interrupted)


def test_without_tests_nothing_is_passed(hers: Hers, check: Check, checkout: Path) -> None:
    folder = hers()
    (checkout / FILE).unlink()
    assert check(folder).reason == "No tests were found."
    shutil.rmtree((checkout / FILE).parent)
    with pytest.raises(TitoError, match="has no tests for module 02"):
        check(folder)


def test_what_tests_need_is_read_from_the_root(checkout: Path) -> None:
    assert requirements_of_tests(checkout) == ("pytest>=9", "hypothesis")
    (checkout / "pyproject.toml").write_text("[tool]\n")
    with pytest.raises(TitoError, match="no dependency group 'tests'"):
        requirements_of_tests(checkout)


# --- What is printed ------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", ["30", "200"])
def test_a_failure_is_told_in_any_terminal(
    hers: Hers,
    check: Check,
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: str,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    module = read_curriculum(checkout).module("02")
    print_outcome(module, check(hers({ADD: ADD.replace("+", "-")})))
    out = capsys.readouterr().out
    words = " ".join(out.split())
    for expected in (
        "tt-tensor 0.1.0 yours sha256 000000000000",
        "Module 02 (tensor): 2 of 7 tests fail.",
        "All of them run tt_tensor.Tensor.__add__",
        "expected (shape (2,), int64): [4 6]",
        "actual (shape (2,), int64): [-2 -2]",
        "_operators.py:",
        ADD.replace("+", "-"),
        "test_a_doubled_sum",
    ):
        assert expected in words
    assert "\x1b" not in out


def test_what_all_tests_run_is_named_only_if_it_is_most_suspect(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*exercises: str) -> Failure:
        ran = tuple(Ran(name, Line(Path("x.py"), 1, "")) for name in exercises)
        return Failure("test", "wrong", exercises=ran)

    def printed(*failed: Failure) -> str:
        outcome = Outcome(("a", "b"), failed, (), 0, None, "0" * 64, ())
        print_outcome(read_curriculum(checkout).module("02"), outcome)
        return capsys.readouterr().out

    assert "of them run" not in printed(told("add", "apply"), told("relu", "apply"))
    assert "All of them run add." in printed(told("add", "apply"), told("add", "relu", "apply"))


def test_a_pass_is_told(
    hers: Hers, check: Check, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_outcome(read_curriculum(checkout).module("02"), check(hers()))
    assert "Module 02 (tensor): 5 tests pass, 2 skipped." in capsys.readouterr().out


# --- Which packages of hers others can stand on ---------------------------------------------------


def test_what_is_in_progress_is_unfinished(
    workspace: Workspace, solve: Callable[..., None]
) -> None:
    def told() -> dict[str, str]:
        return unfinished(workspace.curriculum, workspace.packages(), workspace.state.modules)

    workspace.start("02")
    assert told() == {"tt-tensor": "tt_tensor.Tensor.__add__ is not written yet."}
    solve(workspace, "tt_tensor.Tensor.__add__", "tt_tensor.scale")
    assert told() == {}
    file = workspace.folder / "tt-tensor" / "src" / "tt_tensor" / "_operators.py"
    file.write_text("broken(")
    assert "_operators.py, line 1" in told()["tt-tensor"]

"""A course of one package, learners' work on it, and a grader that needs no installing."""

from __future__ import annotations

import random
import sysconfig
import venv as standard_venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tt_tito._catalogue import find
from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._gradebook import Grade
from tt_tito.teaching._grading import Grader, scratch
from tt_tito.teaching._limits import Guard, Limits
from tt_tito.trial._venv import Source, Venv

Grading = Callable[..., list[Grade]]

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
passed = tt_tiny.double(100) == 200 if judges else None
report = Path("reports", "milestone_01", "line")
report.mkdir(parents=True)
record = {"mode": "demo" if judges else "test-only", "passed": passed}
(report / "report.json").write_text(json.dumps(record))
sys.exit(1 if passed is False else 0)
"""
# Its data cannot be had here, so it is skipped.
SKIPPED = SCRIPT.partition("import")[0]
REFERENCE = """
def double(number):
    return number + number


def half(number):
    return number * 0.5
"""
HONEST = """
def double(number):
    return 2 * number


def half(number):
    return number / 2
"""
WRONG = HONEST.replace("2 * number", "3 * number")
# Right in all that the tests of the module see, wrong where the milestone looks.
SLY = HONEST.replace("2 * number", "2 * number if number != 100 else 0")
BLANK = """
def double(number):
    raise NotImplementedError


def half(number):
    raise NotImplementedError
"""


def make_workspace(folder: Path, source: str) -> Path:
    path = folder / "tt-tiny" / "src" / "tt_tiny" / "__init__.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return folder


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
    modules: Sequence[str] | None = ("02",),
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

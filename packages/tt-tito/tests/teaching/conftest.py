"""The course of one package, and a grader that has seen it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._gradebook import Grade
from tt_tito.teaching._grading import Grader, grade_all
from tt_tito.teaching._submission import read_all, read_submission

from .tiny_course import (
    CURRICULUM,
    FIRST_TESTS,
    HONEST,
    PROJECT,
    REFERENCE,
    SCRIPT,
    SETTINGS,
    SKIPPED,
    TESTS,
    Grading,
    make_grader,
    make_workspace,
)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one package and one module."""
    root = tmp_path_factory.mktemp("a checkout")
    package = root / "packages" / "tt-tiny"
    for path, text in {
        root / "curriculum.toml": CURRICULUM,
        root / "pyproject.toml": SETTINGS,
        package / "pyproject.toml": PROJECT,
        package / "src" / "tt_tiny" / "__init__.py": REFERENCE,
        package / "src" / "tt_tiny" / "py.typed": "",
        root / "milestones" / "01_1957_line" / "line.py": SCRIPT,
        root / "milestones" / "01_1957_line" / "skipped.py": SKIPPED,
        package / "tests" / "test_first.py": FIRST_TESTS,
        package / "tests" / "test_tiny.py": TESTS,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace of a learner who solved all."""
    return make_workspace(tmp_path_factory.mktemp("honest"), HONEST)


@pytest.fixture(scope="module")
def grader(course: Path, honest: Path) -> Grader:
    """A grader that knows what the course's own package does."""
    grader = make_grader(course)
    grader.prepare([read_submission("honest", honest, read_curriculum(course))], print)
    return grader


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

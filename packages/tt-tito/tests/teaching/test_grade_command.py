"""`tito grade`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tt_tito.teaching._gradebook import Grade, Mark, as_csv
from tt_tito.teaching._limits import namespaces_work
from tt_tito.trial._venv import Venv

from .tiny_course import HONEST, WRONG, make_workspace, open_environment

pytestmark = [
    pytest.mark.environments,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has limits of time only"),
]

Tito = Callable[..., tuple[int, str, str]]


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
        "ada: 1 of 1 passed module 02 (numbers): passed on her tt-tiny.",
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
    assert [line["packages"] for line in lines] == ["tt-tiny", "tt-tiny", ""]
    assert [line["unchanged"] for line in lines] == ["0", "0", ""]
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
    mark = Mark(
        "module", "02", "numbers", False, "=cmd()\x1b[2J\nnext", (), (), 3, 1, ("a",), False, 0.5
    )
    text = as_csv([Grade("@eve", Path("eve"), (mark,))]).decode()
    (line,) = csv.DictReader(io.StringIO(text))
    assert line["learner"] == "'@eve"
    assert line["reason"] == "'=cmd()?[2J next"
    assert line["seconds"] == "0.5"

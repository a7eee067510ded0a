"""`tito benchmark` and `tito leaderboard`, from the reference tasks to the page."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tt_tito.benchmark import EVENTS, TASKS, check_model
from tt_tito.commands.benchmark import EVENTS as NAMED

pytestmark = pytest.mark.module_19

ROOT = Path(__file__).parents[4]
Tito = Callable[..., tuple[int, str, str]]

needs_data = pytest.mark.skipif(
    find_spec("tt_data") is None, reason="needs tt-tito[benchmark], which brings the data"
)


def test_the_command_knows_all_events() -> None:
    assert NAMED == EVENTS


@pytest.mark.parametrize("name", TASKS)
def test_a_reference_model_is_of_the_language_and_fits_its_weights(name: str) -> None:
    task = TASKS[name]
    check_model(task.model)
    if not (ROOT / task.weights).is_file():
        pytest.skip("these weights are not in this checkout")
    assert not task.reference(ROOT).training


@needs_data
def test_a_submission_is_made_verified_ranked_and_shown(tito: Tito, tmp_path: Path) -> None:
    place = tmp_path / "out"
    code, out, err = tito(
        "benchmark", "run", "size", "--task", "digits-mlp", "--pass", "int8_weights",
        "--name", "Ada", "--output", str(place), "--root", str(ROOT),
    )  # fmt: skip
    assert (code, err) == (0, "")
    folder = place / "digits-mlp-size-closed"
    assert str(folder) in out
    record = json.loads((folder / "submission.json").read_text())
    assert record["figures"]["size"]["ratio"] > 3
    assert "python" in record["environment"]

    board = ("leaderboard", "--file", str(tmp_path / "board.sqlite"))
    code, out, err = tito(*board, "add", str(folder), "--root", str(ROOT))
    assert (code, err) == (0, "")
    assert "ACCEPTED" in out
    assert "Ada" in tito(*board, "show")[1]
    assert record["reference_sha256"][:8] in tito(*board, "show")[1]
    code, out, err = tito(*board, "add", str(folder), "--root", str(ROOT))
    assert (code, err) == (0, "")
    assert "stays as it is" in out  # a file has the same size again
    page = tmp_path / "page.html"
    assert tito(*board, "html", "--output", str(page))[0] == 0
    assert "Ada" in page.read_text()

    record["figures"]["size"]["ratio"] *= 10
    (folder / "submission.json").write_text(json.dumps(record))
    code, out, err = tito("benchmark", "verify", str(folder), "--root", str(ROOT))
    assert (code, err) == (1, "")
    assert "REJECTED" in out
    assert "is claimed" in out


ERRORS = {
    "no such folder": ("benchmark verify nowhere", "nowhere is no folder"),
    "no such folder to add": ("leaderboard add nowhere", "nowhere is no folder"),
    "no such task": ("benchmark run size --task chess", "no task 'chess'"),
    "a model without weights": ("benchmark run size --model m.json", "go together"),
    "a model for no task": ("benchmark run size --model m --weights w", "--model needs --task"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_says_what_to_do(
    case: str, tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, expected = ERRORS[case]
    (tmp_path / "milestones" / "01_1957_line").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    code, _, err = tito(*arguments.split())
    assert code == 2
    assert expected in err


def test_without_weights_no_task_can_be_run(
    tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "milestones" / "01_1957_line").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    code, out, err = tito("benchmark", "run", "size")
    assert code == 2
    assert out.count("NOT RUN") == len(TASKS)
    assert "No task could be run" in err


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from tt_tito.cli import main\n"
        "for command in ('benchmark', 'leaderboard'):\n"
        "    try:\n"
        "        main([command, '--help'])\n"
        "    except SystemExit as stop:\n"
        "        assert not stop.code\n"
        "heavy = {'numpy', 'matplotlib', 'rich', 'sqlite3', 'tt_nn', 'tt_profile', 'tt_data'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert (run.returncode, run.stderr) == (0, "")

"""The pages that are opened, made as their users make them."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tt_tito.benchmark import Figure, Leaderboard, Verdict, read_submission

ROOT = Path(__file__).parents[1]
SITE = ROOT / "site"

# What competes beside the result that is measured, and how many times better: numbers that stand
# elsewhere among numbers than among texts, and names of every kind.
OTHERS = {
    **{"Zuse": 10.25, "ada": 9.5, "Hopper 10": 2.0, "Hopper 9": 100.0},
    **{"<b>Lovelace</b> & 'sons'": 0.5, "w" * 64: 3.0},
}


def run(*arguments: str | Path, cwd: Path) -> None:
    """Run Python in a folder, and fail with what it says."""
    command = (sys.executable, *arguments)
    variables = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(
        command, cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(f"exit code {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)


def make_report(script: str, folder: Path) -> Path:
    """Run a milestone; its report."""
    run(ROOT / "milestones" / script, "--demo-mode", "--report-dir", folder, cwd=folder)
    return folder / "report.html"


def make_leaderboard(folder: Path) -> Path:
    """Measure, verify and rank a submission, and others beside it; the page."""
    tito = partial(run, "-m", "tt_tito.cli", cwd=folder)
    tito(
        *("benchmark", "run", "size", "--task", "digits-mlp", "--pass", "int8_weights"),
        *("--name", "Ada", "--root", str(ROOT), "--output", str(folder)),
    )
    file, submission = folder / "leaderboard.sqlite", folder / "digits-mlp-size-closed"
    board = ("leaderboard", "--file", str(file))
    tito(*board, "add", str(submission), "--root", str(ROOT))
    measured = read_submission(submission)
    for name, ratio in OTHERS.items():
        size = Figure(ratio, 1.0, ratio, 0.9 * ratio, 1.1 * ratio)
        other = replace(measured, name=name, figures={**measured.figures, "size": size})
        Leaderboard(file).keep(Verdict((), other))
    tito(*board, "html", "--output", "page.html")
    return folder / "page.html"

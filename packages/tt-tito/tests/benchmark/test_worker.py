"""Models measured in processes of their own, and what becomes of those that fail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tt_tito.benchmark import (
    Bench,
    Configuration,
    Data,
    Rejected,
    Submission,
    Task,
    verify,
    write_submission,
)
from tt_tito.benchmark import _worker as worker

pytestmark = pytest.mark.module_19


def test_a_submission_is_measured_in_processes_of_its_own(
    submission: Submission, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a module that lies in the current folder is imported there."""
    folder = tmp_path / "submission"
    write_submission(submission, folder)
    (folder / "numpy.py").write_text("raise SystemExit('imported from the submission')")
    monkeypatch.chdir(folder)
    verdict = verify(folder, replace(bench, pairs=2, open_runner=worker.open_worker))
    assert verdict.submission is not None
    # Whether the claim was reproduced depends on the clock; that all was measured does not.
    assert set(verdict.submission.figures) == {"latency", "accuracy"}
    assert verdict.submission.figures["latency"].submission > 0
    assert verdict.submission.figures["accuracy"] == submission.figures["accuracy"]


def tiny(bench: Bench) -> tuple[Task, Data, bytes]:
    opened = bench.open(bench.tasks["tiny"])
    return opened.task, opened.data, opened.weights


def test_a_model_that_fails_is_rejected_with_its_error(bench: Bench) -> None:
    task, data, weights = tiny(bench)
    wide = replace(data, inputs=np.zeros((40, 5), np.float32))
    opening = worker.open_worker(task, wide, Configuration(task.model), weights, 0)
    with pytest.raises(Rejected, match="does not take the task's inputs"), opening:
        pass


def test_a_model_that_takes_too_long_is_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TIME_LIMIT", 0.0)
    task, data, weights = tiny(bench)
    opening = worker.open_worker(task, data, Configuration(task.model), weights, 0)
    with pytest.raises(Rejected, match="ended without an answer"), opening:
        pass

"""Serving here beside serving by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile.onnx import compare_serving, export

pytest.importorskip("onnx", reason="needs onnx: tt-profile[onnx]")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: tt-profile[onnx]")
pytestmark = pytest.mark.module_18

X = tt.ones(1, 4)


def test_both_sides_are_timed_for_each_batch_size(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    export(model, X, tmp_path / "model.onnx")
    served = compare_serving(
        tmp_path / "model.onnx", model, X, [1, 5], repeats=3, sample_seconds=1e-4
    )
    assert [each.batch_size for each in served] == [1, 5]
    for each in served:
        times = each.times
        assert len(times.function.samples) == len(times.baseline.samples) == 3
        assert min(times.function.samples + times.baseline.samples) > 0
        assert each.speedup == times.ratio
        assert each.difference < 1e-4
        assert each.threads == nn.get_num_threads()
    assert model.training


def test_a_file_of_one_size_is_timed_at_that_size(tmp_path: Path) -> None:
    export(nn.ReLU(), X, tmp_path / "model.onnx", dynamic_batch=False)
    (served,) = compare_serving(
        tmp_path / "model.onnx", nn.ReLU(), X, repeats=1, sample_seconds=1e-4
    )
    assert served.batch_size is None


def test_a_worker_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(nn.ReLU(), X, tmp_path / "model.onnx")
    monkeypatch.setenv("TT_NN_BACKEND", "nonsense")  # which only a new process reads
    with pytest.raises(RuntimeError, match=r"ended with code 1: (?s:.*)TT_NN_BACKEND"):
        compare_serving(tmp_path / "model.onnx", nn.ReLU(), X)

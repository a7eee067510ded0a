"""Training by several processes: equal to one, lost ranks, disagreements."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_optim as optim

Launch = Callable[..., Any]  # of a program on so many ranks, see conftest.py

PROGRAMS = Path(__file__).parent
EQUAL, TRAINING = (
    (PROGRAMS / f"{name}_program.py").read_text(encoding="utf-8") for name in ("equal", "training")
)


def found(run: Any) -> Any:
    """Return what rank 0 printed."""
    assert run.code == 0
    return json.loads(run.output.splitlines()[-1])


def test_several_processes_train_what_one_trains(launch: Launch, tmp_path: Path) -> None:
    trained = {}
    for ranks in (1, 2, 4):
        file = tmp_path / f"{ranks}.npz"
        assert launch(ranks, EQUAL, str(file)).code == 0
        trained[ranks] = dict(np.load(file))
    alone = trained.pop(1)
    for ranks, shared in trained.items():
        assert shared.keys() == alone.keys()
        for name, value in alone.items():
            bar = 1e-12 if name.startswith("float64") else 1e-5
            far = np.linalg.norm(shared[name] - value) / max(float(np.linalg.norm(value)), 1e-300)
            assert far <= bar, f"{name} on {ranks} ranks: {far}"


def test_a_lost_rank_is_named_and_training_goes_on_from_the_last_checkpoint(
    launch: Launch, tmp_path: Path
) -> None:
    whole = found(launch(1, TRAINING, "train", str(tmp_path / "whole")))
    folder = tmp_path / "killed"
    done = launch(3, TRAINING, "killed", str(folder))
    assert done.seconds < 30
    assert done.code != 0
    lost = [line for line in done.errors.splitlines() if "RankLostError" in line]
    assert len(lost) == 2  # ranks 0 and 2 each say it
    assert all("rank 1" in line for line in lost), lost
    assert "was killed by SIGKILL" in done.errors
    assert done.errors.count("The last checkpoint, of step 8, is whole") == 2
    checkpoints = optim.Checkpoints(folder / "checkpoints")
    assert checkpoints.steps()[-1] == 8
    assert checkpoints.load()["trainer"]["step"] == 8

    resumed = found(launch(2, TRAINING, "train", str(folder)))
    for mine, theirs in zip(resumed[0], whole[0], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-14)
    for mine, theirs in zip(resumed[1], whole[1], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-11)
    steps = [json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 25))  # one rank has written each


@pytest.mark.parametrize(
    ("case", "what", "theirs", "ours"),
    [
        ("other_shape", "model", "0.weight: (6, 4) float64", "0.weight: (5, 4) float64"),
        ("other_seed", "seed", "generator in state", "generator in state"),
        ("other_data", "data", "5 batches of data", "5 batches of data"),
        ("other_length", "data", "4 batches of data", "5 batches of data"),
        ("other_rate", "training", "SGD of 4 with lr=0.2", "SGD of 4 with lr=0.1"),
        ("other_buckets", "options", "bucket_cap_mb=1e-05", "bucket_cap_mb=2.0"),
        ("other_statistics", "options", "sync_batch_norm=False", "sync_batch_norm=True"),
        ("other_schedule", "training", "schedule=epoch", "schedule=step"),
        ("other_decay", "training", "scheduler.gamma=0.2", "scheduler.gamma=0.5"),
        ("other_average", "training", "average=ExponentialMovingAverage", "average=None"),
    ],
)
def test_ranks_that_were_started_differently_are_told_at_the_start(
    launch: Launch, tmp_path: Path, case: str, what: str, theirs: str, ours: str
) -> None:
    done = launch(3, TRAINING, case, str(tmp_path))
    assert done.code != 0
    assert done.errors.count(f"not started with the same {what}:") == 3  # every rank says it
    said = done.errors.splitlines()
    differing = [line for line in said if line.startswith("  rank 1 has")]
    expected = [line for line in said if line.startswith("  rank 0 has")]
    assert differing[0] != expected[0]
    assert any(theirs in line for line in differing)
    assert any(ours in line for line in expected)
    assert "rank 2 has" not in done.errors
    assert not (tmp_path / "checkpoints").exists()


def test_steps_leave_the_gradients_of_the_whole_batch(launch: Launch, tmp_path: Path) -> None:
    made = found(launch(2, TRAINING, "gradients", str(tmp_path)))
    assert made["buckets"] == 6
    for way in ("", "twice ", "apart "):
        shared, by_one = (made[f"{way}{who}".strip()] for who in ("shared", "alone"))
        for mine, theirs in zip(shared, by_one, strict=True):
            assert (mine is None) == (theirs is None)
            if mine is not None:
                np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)
    assert made["shared"][4:] == [None, None]  # a layer that no rank used
    assert None not in made["apart shared"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("backward_twice", "backward ran a second time inside one step"),
        ("no_rows", "the batch has no rows on any rank"),
        ("backward_outside", "call backward inside its block"),
        ("drawn_alone", "the ranks no longer have the same random numbers"),
        ("not_the_models", "parameters that are not the model's, of shapes (7, 1), (7,)"),
        ("head_replaced", "the model has other parameters than when this was made"),
        ("momentum_of_rank_0", "  rank 1 has nothing\n  rank 0 has optimizer.0.step=1"),
        ("weights_of_rank_1", "  rank 1 has model.0.weight at a distance of "),
        (
            "other_order",
            "the ranks no longer have the same first batch of the loader:\n  rank 1 has",
        ),
        (
            "other_evaluation",
            "  rank 1 is at a total of 6 numbers\n  rank 0 is at a total of 9 numbers",
        ),
        ("shorter_epochs", "  rank 1 is at the end of epoch 1\n  rank 0 is at step 4 of"),
    ],
)
def test_steps_refuse(launch: Launch, tmp_path: Path, case: str, message: str) -> None:
    done = launch(2, TRAINING, case, str(tmp_path))
    assert done.code != 0
    assert message in done.errors


def test_gradients_are_also_added_up_by_steps_that_are_all_synchronised(
    launch: Launch, tmp_path: Path
) -> None:
    shared, alone = found(launch(2, TRAINING, "accumulated", str(tmp_path)))
    for mine, theirs in zip(shared, alone, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_a_loss_of_classes_divides_by_what_counts_in_the_whole_batch(
    launch: Launch, tmp_path: Path
) -> None:
    alone, shared = (found(launch(n, TRAINING, "of_classes", str(tmp_path))) for n in (1, 3))
    for by_one, by_three in zip(alone, shared, strict=True):
        for mine, theirs in zip(by_three, by_one, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


def test_a_model_may_draw_in_evaluation(launch: Launch, tmp_path: Path) -> None:
    assert found(launch(2, TRAINING, "drawn_in_evaluation", str(tmp_path))) == 10


def test_a_row_that_stands_in_for_none_gives_no_gradient(launch: Launch, tmp_path: Path) -> None:
    (gradient,) = found(launch(2, TRAINING, "stand_in", str(tmp_path)))
    assert np.isfinite(gradient).all()


def test_parameters_that_are_thawed_on_the_way_are_trained_alike(
    launch: Launch, tmp_path: Path
) -> None:
    alone, shared = (found(launch(n, TRAINING, "thawed", str(tmp_path))) for n in (1, 2))
    for mine, theirs in zip(shared, alone, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "case", ["one_evaluates_and_stops", "callbacks_of_rank_0", "stopped_in_loss"]
)
def test_one_rank_may_stop_all(launch: Launch, tmp_path: Path, case: str) -> None:
    assert found(launch(3, TRAINING, case, str(tmp_path))) == [3, 3, 3]


def test_weights_may_be_loaded_on_rank_0_alone(launch: Launch, tmp_path: Path) -> None:
    alone, shared = (found(launch(n, TRAINING, "loaded_on_rank_0", str(tmp_path))) for n in (1, 2))
    for mine, theirs in zip(shared, alone, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("case", ["caught", "caught_in_callback", "step_skipped"])
def test_a_rank_that_catches_an_error_cannot_go_on(
    launch: Launch, tmp_path: Path, case: str
) -> None:
    done = launch(3, TRAINING, case, str(tmp_path))
    assert done.code != 0
    assert done.seconds < 30
    lost = sorted(line for line in done.errors.splitlines() if "RankLostError: rank 1" in line)
    assert len(lost) == 3
    for rank, line in enumerate(lost):
        assert "gave up with ValueError: bad thing; " in line
        assert f"this is rank {rank}, which cannot go on" in line
    assert "resume=True" not in done.errors  # there is nothing to go on from


def test_all_ranks_go_on_from_what_rank_0_saved(launch: Launch, tmp_path: Path) -> None:
    assert found(launch(3, TRAINING, "saved_by_hand", str(tmp_path))) == [[True] * 3] * 2


def test_gradients_in_half_precision_stay_so(launch: Launch, tmp_path: Path) -> None:
    assert found(launch(2, TRAINING, "half_precision", str(tmp_path))) == ["float16"] * 2


def test_statistics_may_be_each_ranks_own_and_rank_0s_stay(launch: Launch, tmp_path: Path) -> None:
    starts, mean = found(launch(2, TRAINING, "local_statistics", str(tmp_path)))
    assert starts == [2.0, 2.0]
    assert mean == 2.0

"""Milestone 06: what its script reports, on models whose figures are known."""

import copy
import json
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_data import DataError
from tt_nn.models import ModernGPT, ModernGPTConfig
from tt_profile import Comparison, Optimized, Step, Timing
from tt_profile.compression import prune_channels
from tt_tito import TitoError
from tt_tito.benchmark import Bench, Configuration, Data, Leaderboard, LocalRunner, Runner, Task

SCRIPT = "milestones/06_2024_systems_age/optimize_models.py"


@pytest.fixture(scope="module")
def script(imported: Callable[[str], AbstractContextManager[Any]]) -> Iterator[Any]:
    with imported(SCRIPT) as module:
        yield module


class Notes:
    """A lab that keeps what it is told."""

    def __init__(self, folder: Path, mode: str = "full") -> None:
        self.mode, self.epochs, self.batch_size, self.seed = mode, 1, 32, 0
        self.flags = SimpleNamespace(report_dir=folder, data_dir=folder)
        self.metrics: dict[str, float] = {}
        self.tables: dict[str, list[tuple[Any, ...]]] = {}
        self.notes: list[str] = []

    def metric(self, name: str, value: float) -> None:
        assert name not in self.metrics
        self.metrics[name] = float(value)

    def table(self, title: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        self.tables[title] = list(rows)
        assert all(len(row) == len(columns) for row in self.tables[title])

    def note(self, text: str) -> None:
        self.notes.append(text)

    def heading(self, text: str) -> None: ...

    def progress(self, items: Any, description: str) -> Any:
        return items

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        yield


@pytest.fixture
def lab(tmp_path: Path) -> Notes:
    return Notes(tmp_path)


# --- What a model is worth ----------------------------------------------------------------------


def test_accuracy_is_the_share_told_right_of_all_images(script: Any) -> None:
    labels = tt.arange(1201) % 3
    images = script.Images(labels.float().unsqueeze(1), labels)  # more than one part of 500

    assert images.accuracy(lambda inputs: tt.eye(3)[inputs.squeeze(1).long()]) == 1.0
    never = images.accuracy(lambda inputs: tt.tensor([[0.0, 0.0, 0.0, 1.0]] * len(inputs)))
    assert never == 0.0
    first = images.accuracy(lambda inputs: tt.tensor([[1.0, 0.0, 0.0]] * len(inputs)))
    assert first == pytest.approx(401 / 1201)


def test_the_loss_is_that_of_every_window(script: Any) -> None:
    block, windows = script.BLOCK, 35  # more than one batch of 32
    tokens = np.random.default_rng(0).integers(0, 5, windows * block + 1)
    text = script.Text(tokens)
    table = tt.randn(5, 5)
    logs = table.log_softmax(dim=1).numpy()
    expected = -logs[tokens[:-1], tokens[1:]].mean()
    assert text.loss(lambda inputs: table[inputs]) == pytest.approx(expected, rel=1e-5)
    assert text.loss(lambda inputs: tt.zeros(*inputs.shape, 5)) == pytest.approx(math.log(5))


def test_weights_that_do_not_fit_are_an_error(script: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(TitoError, match="weights of an earlier milestone"):
        script.trained(nn.Linear(2, 2), path)
    nn.save(nn.ModuleDict({"net": nn.Linear(2, 3)}).state_dict(), path)
    with pytest.raises(TitoError, match="weights of an earlier milestone"):
        script.trained(nn.Linear(2, 2), path, "net.")
    assert not script.trained(nn.Linear(2, 3), path, "net.").training


def test_the_models_are_those_whose_weights_ship(script: Any) -> None:
    _, held_out = script.read_digits()
    reader = script.trained(script.convolutional(), script.DIGITS, "convolutional.")
    assert held_out.accuracy(reader) > 0.98  # milestone 04's bar
    script.trained(script.textbook(), script.CIFAR)
    script.trained(script.writer(65), script.PLAYS)


def test_photographs_that_are_not_there_are_left_out(script: Any, lab: Notes) -> None:
    with pytest.raises(DataError):
        script.CIFAR10(train=False, data_dir=lab.flags.data_dir, download=False)
    assert script.read_photographs(lab) is None
    assert "is left out" in lab.notes[0]


def test_a_demo_says_which_part_it_reads(script: Any, lab: Notes) -> None:
    text, images = script.Text(np.zeros(1234)), script.Images(tt.zeros(12, 1), tt.zeros(12))
    assert script.part_of_plays(lab, text) == "the validation text"
    assert script.part_of_photographs(lab, images) == "all 12 test images"
    lab.mode = "demo"
    part = "the first 1,234 characters of the validation text"
    assert script.part_of_plays(lab, text) == part
    assert script.part_of_photographs(lab, images) == "the first 12 test images"


# --- The steps ----------------------------------------------------------------------------------


def step(size: int, ratio: float | None = None, score: float = 1.0) -> Step:
    times = None if ratio is None else Comparison(Timing((ratio,)), Timing((1.0,)))
    return Step("step", size, 0.0, size, 2 * size, 1, 1.0, times, times, score)


def test_a_smaller_network_learns_and_leaves_the_others_alone(script: Any, lab: Notes) -> None:
    tt.manual_seed(0)
    seen, held_out = script.read_digits()
    teacher = script.trained(script.convolutional(), script.DIGITS, "convolutional.")
    pruned = prune_channels(teacher, held_out.inputs[:64], amount=0.75)
    before = [copy.deepcopy(model.state_dict()) for model in (teacher, pruned)]
    student = script.distil(lab, teacher, pruned, seen)
    for model, state in zip((teacher, pruned), before, strict=True):
        assert not model.training
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), state[name].numpy())
    assert not student.training
    assert repr(student) == repr(pruned)
    assert held_out.accuracy(student) > held_out.accuracy(pruned)


def test_integers_are_judged_by_the_model_that_fares_worst(script: Any, lab: Notes) -> None:
    def pair(saved: int, before: float, after: float) -> Optimized:
        return Optimized(
            nn.Identity(), (step(8, None, before), step(8 // saved, 1, after)), "numpy"
        )

    results = {"digits": pair(4, 0.75, 0.5), "plays": pair(2, 2.0, 2.5)}
    script.judge_integers(lab, {**results, "photographs": pair(8, 0.5, 0.75)})
    assert lab.metrics["int8_memory_ratio"] == lab.metrics["int8_file_ratio"] == 2
    assert lab.metrics["int8_accuracy_drop"] == 0.25
    assert lab.metrics["plays_int8_loss_increase"] == 0.25
    assert lab.metrics["photographs_int8_accuracy_drop"] == -0.25
    assert lab.metrics["photographs_int8_memory_ratio"] == 8


def test_the_speed_of_a_step_is_beside_the_original(script: Any, lab: Notes) -> None:
    read = Optimized(
        nn.Identity(),
        (step(8, None, 1.0), step(4, 0.5, 0.25), step(4, 0.25, 0.75), step(2, 2.0, 0.5)),
        "numpy",
    )
    script.show_digits(lab, read, read)
    assert lab.metrics == {"digits_small_speedup": 4, "digits_small_accuracy_drop": 0.25}
    assert [row[3] for row in lab.tables["Step by step"]] == ["1", "2.00", "4.00", "0.50"]
    with pytest.raises(AssertionError):
        script.speedup(read.steps[0])


def test_the_front_has_what_nothing_else_beats(script: Any) -> None:
    steps = (
        step(8, None, 0.9),  # the best
        step(4, 0.5, 0.8),
        step(4, 0.5, 0.7),  # as the one before, and worse
        step(2, 2.0, 0.7),  # the smallest
        step(8, 1.0, 0.9),  # as the first: neither beats the other
    )
    assert script.on_front(steps, high_is_better=True) == [True, True, False, True, True]
    assert script.on_front(steps, high_is_better=False) == [False, False, True, True, False]


# --- Keys and values that are kept ---------------------------------------------------------------


def note_of_cache(script: Any, lab: Notes) -> str:
    tt.manual_seed(0)
    script.show_cache(lab, script.writer(9))
    return lab.notes[-1]


def test_texts_with_and_without_a_cache_are_compared(
    script: Any, lab: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "LONG", 12)
    assert "the same text, to the last character" in note_of_cache(script, lab)


def test_texts_that_part_are_not_said_to_be_the_same(
    script: Any, lab: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any, use_cache: bool, **options: Any) -> tt.Tensor:
        ones = tt.ones(1, 13, dtype="int64")
        if use_cache:
            ones[0, 6] = 2
        return ones

    monkeypatch.setattr(script, "LONG", 12)
    monkeypatch.setattr(script.nn, "generate", wrong)
    lab.metrics.clear()
    assert "the same text, for the first 5 characters only" in note_of_cache(script, lab)


# --- Another program ----------------------------------------------------------------------------


def served(script: Any) -> Any:
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    inputs = tt.randn(50, 4)
    with tt.no_grad():
        labels = model(inputs).argmax(dim=1)
    images = script.Images(inputs, labels)
    here = images.accuracy(model)
    return script.Served(
        "tiny", "accuracy", model, inputs[:1], images.accuracy, here, "fifty points"
    )


def test_an_exported_model_is_worth_as_much(script: Any, lab: Notes) -> None:
    script.show_serving(lab, [served(script)])
    assert lab.metrics == {
        "tiny_accuracy": 1.0, "tiny_accuracy_in_onnxruntime": 1.0, "onnxruntime_difference": 0.0
    }  # fmt: skip
    assert [row[:2] for row in lab.tables["Exported to ONNX"]] == [("tiny", "1"), ("tiny", "64")]
    ((*judged, _),) = lab.tables["What the same weights are worth"]
    assert judged == ["tiny", "accuracy", "fifty points", "1.0000", "1.0000"]


def test_a_language_model_is_worth_as_much(script: Any, tmp_path: Path) -> None:
    tt.manual_seed(0)
    model = ModernGPT(ModernGPTConfig(9, script.BLOCK, 1, 2, 8)).eval()
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += tt.randn(*parameter.shape) * 0.3
    text = script.Text(np.random.default_rng(0).integers(0, 9, 5 * script.BLOCK + 1))
    script.export(model, tt.from_numpy(text.tokens[None, : script.BLOCK]), tmp_path / "m.onnx")
    there = text.loss(script.in_onnxruntime(tmp_path / "m.onnx"))
    assert there == pytest.approx(text.loss(model), abs=1e-5)
    assert there != pytest.approx(math.log(9), abs=0.05)


def test_a_difference_between_the_programs_is_reported(
    script: Any, lab: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = script.in_onnxruntime

    def opposite(path: Path) -> Any:
        scores = run(path)
        return lambda inputs: -scores(inputs)

    monkeypatch.setattr(script, "in_onnxruntime", opposite)
    script.show_serving(lab, [served(script)])
    assert lab.metrics["onnxruntime_difference"] > 0.5
    there = lab.metrics["tiny_accuracy_in_onnxruntime"]
    assert lab.metrics["onnxruntime_difference"] == lab.metrics["tiny_accuracy"] - there


# --- The contest --------------------------------------------------------------------------------


@contextmanager
def open_local(
    task: Task, data: Data, configuration: Configuration, weights: bytes, seed: int
) -> Iterator[Runner]:
    """Measure in this process, by a clock that only counts: each call takes the same time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        path.write_bytes(weights)
        yield LocalRunner(
            data, configuration, path, quality=task.quality, batch=task.batch, seed=seed,
            clock=count().__next__,
        )  # fmt: skip


@pytest.fixture
def quick(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def bench(root: Path, data_dir: Path | None) -> Bench:
        return Bench(root, data_dir, pairs=2, open_runner=open_local)

    monkeypatch.setattr(script, "Bench", bench)


def network(script: Any) -> nn.Module:
    """The reference itself, as if it had been made here."""
    model: nn.Module = script.trained(script.convolutional(), script.DIGITS, "convolutional.")
    return model


def board_of(script: Any, lab: Notes) -> Leaderboard:
    """The leaderboard of a run."""
    return Leaderboard(script.board_beside(lab.flags.report_dir))


@pytest.mark.usefixtures("quick")
def test_what_was_made_is_verified_before_it_ranks(script: Any, tmp_path: Path) -> None:
    lab = Notes(tmp_path / "reports" / "milestone_06" / "run", "demo")
    script.compete(lab, network(script), board_of(script, lab))
    assert lab.metrics == {"submissions_verified": 2}
    assert [row[-1] for row in lab.tables["What was submitted"]] == ["ranks", "ranks"]
    rows = Leaderboard(tmp_path / "reports" / "leaderboard.sqlite").rows()
    assert [(row.place, row.name) for row in rows] == [
        (1, "Milestone 06: Distilled, int8"), (2, "Milestone 06: Distilled")
    ]  # fmt: skip
    folders = sorted((tmp_path / "reports" / "milestone_06" / "run" / "submissions").iterdir())
    assert [folder.name for folder in folders] == [
        "digits-cnn-distilled", "digits-cnn-distilled-int8"
    ]  # fmt: skip
    for folder, row in zip(folders[::-1], rows, strict=True):
        record = json.loads((folder / "submission.json").read_text())
        assert record["name"] == row.name
        assert record["figures"] == {k: each.as_json() for k, each in row.figures.items()}


@pytest.mark.usefixtures("quick")
def test_what_forgot_its_task_does_not_rank(script: Any, tmp_path: Path) -> None:
    lab = Notes(tmp_path, "demo")
    script.compete(lab, script.convolutional().eval(), board_of(script, lab))
    assert lab.metrics == {"submissions_verified": 0}
    verdicts = [row[-1] for row in lab.tables["What was submitted"]]
    assert all("at most 1 point may be lost" in verdict for verdict in verdicts)
    assert Leaderboard(tmp_path / "leaderboard.sqlite").rows() == []


def test_the_leaderboard_is_where_tito_looks_for_it(script: Any, tmp_path: Path) -> None:
    usual = Path("reports", "milestone_06", "optimize_models")
    assert script.board_beside(usual) == Path("reports", "leaderboard.sqlite")
    assert script.board_beside(tmp_path / "mine") == tmp_path / "mine" / "leaderboard.sqlite"

import json
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

pytestmark = pytest.mark.module_08

BATCHES = [(tt.ones(4, 2), tt.ones(4, 1)), (tt.zeros(4, 2), tt.ones(4, 1))]


def make_trainer(*callbacks: optim.Callback, **arguments: Any) -> optim.Trainer:
    tt.manual_seed(0)
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    return optim.Trainer(model, optimizer, nn.MSELoss(), callbacks=callbacks, **arguments)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# The log


def test_a_log_has_a_line_for_every_few_steps_and_every_epoch(tmp_path: Path) -> None:
    log = optim.JSONLog(tmp_path / "deep" / "log.jsonl", every=2)
    make_trainer(log).fit(BATCHES, epochs=2, evaluation=BATCHES[:1])
    events = [(line["event"], line["step"]) for line in lines(log.path)]
    assert events == [
        ("step", 2), ("evaluate", 2), ("epoch", 2),
        ("step", 4), ("evaluate", 4), ("epoch", 4),
    ]  # fmt: skip
    assert all({"epoch", "loss", "seconds"} <= line.keys() for line in lines(log.path))


def test_a_log_of_a_resumed_run_reads_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    path, folder = tmp_path / "log.jsonl", tmp_path / "checkpoints"

    def run(**limits: Any) -> None:
        log = optim.JSONLog(path, every=1)
        trainer = make_trainer(log, checkpoints=folder, checkpoint_every=3)
        trainer.fit(BATCHES, resume=True, **limits)

    run(steps=3)
    kept = path.read_text()
    # What was logged after the checkpoint, and a line that a kill cut short.
    path.write_text(kept + '{"event": "step", "step": 4, "loss": 9.0}\n{"event": "st')
    run(epochs=3)
    assert path.read_text().startswith(kept)
    assert [line["step"] for line in lines(path) if line["event"] == "step"] == list(range(1, 7))


def test_a_new_run_begins_a_new_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("something else\n")
    make_trainer(optim.JSONLog(path, every=1)).fit(BATCHES, steps=1)
    assert len(lines(path)) == 1


# TensorBoard


def crc32c(data: bytes) -> int:
    """The checksum by its definition, a bit at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def records(data: bytes) -> list[bytes]:
    """Return the messages of an event file, every checksum tested."""
    found = []
    at = 0

    def checked(content: bytes, mask: bytes) -> bytes:
        crc = crc32c(content)
        rotated = (crc >> 15 | crc << 17) & 0xFFFFFFFF
        assert struct.unpack("<I", mask)[0] == (rotated + 0xA282EAD8) & 0xFFFFFFFF
        return content

    while at < len(data):
        header = checked(data[at : at + 8], data[at + 8 : at + 12])
        length = struct.unpack("<Q", header)[0]
        at += 12
        found.append(checked(data[at : at + length], data[at + length : at + length + 4]))
        at += length + 4
    return found


def test_the_checksum_is_the_standards() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def test_tensorboard_files_have_every_point(tmp_path: Path) -> None:
    board = optim.TensorBoard(tmp_path, every=1)
    trainer = make_trainer(board)
    trainer.fit(BATCHES, epochs=1, evaluation=BATCHES[:1])
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("events.out.tfevents.")
    version, *points = records(file.read_bytes())
    assert b"brain.Event:2" in version
    tags = [b"train/loss", b"train/lr"] * 2 + [b"evaluate/loss"]
    for tag, point in zip(tags, points, strict=True):
        assert tag in point
    loss = struct.pack("<f", trainer.evaluate(BATCHES[:1])["loss"])
    assert points[-1].endswith(b"\x15" + loss)
    assert points[0][9:11] == b"\x10\x01"  # the step
    trainer.fit(BATCHES, epochs=2)
    assert len(list(tmp_path.iterdir())) == 2


# Progress


@pytest.fixture(params=["plain", "rich"])
def looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Progress with or without rich."""
    if request.param == "rich":
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich", None)


@pytest.mark.usefixtures("looks")
def test_progress_is_shown_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    make_trainer(progress=True).fit(BATCHES, epochs=2)
    shown = capsys.readouterr()
    assert shown.out == ""
    for epoch in (1, 2):
        assert re.search(rf"epoch {epoch}  step {2 * epoch}  loss \d", shown.err)
    assert shown.err.endswith("\n")


@pytest.mark.usefixtures("looks")
def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    make_trainer().fit(BATCHES, epochs=2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("looks")
def test_an_error_in_training_still_ends_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Fails(optim.Callback):
        def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
            if trainer.step == 2:
                raise ZeroDivisionError

    trainer = make_trainer(Fails(), progress=True)
    with pytest.raises(ZeroDivisionError):
        trainer.fit(BATCHES, epochs=1)
    assert capsys.readouterr().err[-1:] in ("", "\n")


# Early stopping


@pytest.mark.parametrize(
    ("mode", "values", "stops"),
    [
        ("min", [3.0, 2.0, 2.0, 1.9, 1.95, 1.95, 0.0], 5),
        ("max", [0.1, 0.3, 0.3, 0.4, 0.35, 0.41, 0.2, 0.1, 0.5], 7),
        ("min", [np.nan, np.nan, 1.0], 1),
    ],
)
def test_early_stopping_counts(mode: Any, values: list[float], stops: int) -> None:
    stopping = optim.EarlyStopping("score", patience=1, mode=mode)
    trainer = make_trainer()
    stopped: list[int] = []
    trainer.stop = lambda: stopped.append(step)  # type: ignore[method-assign]  # to see the call
    for step, value in enumerate(values):  # noqa: B007  # the call sees it
        stopping.on_evaluate(trainer, {"score": value})
        if stopped:
            break
    assert stopped == [stops]


def test_early_stopping_names_the_metrics_that_there_are() -> None:
    trainer = make_trainer(optim.EarlyStopping("accuracy"))
    with pytest.raises(ValueError, match="there is no metric 'accuracy'; there are: loss"):
        trainer.fit(BATCHES, epochs=1, evaluation=BATCHES)
    with pytest.raises(ValueError, match="mode: expected 'min' or 'max'"):
        optim.EarlyStopping(mode="low")  # type: ignore[arg-type]  # refused

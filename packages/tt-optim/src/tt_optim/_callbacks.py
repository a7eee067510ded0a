"""What goes along with training: callbacks, early stopping, logs."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ._checks import check_count, check_number
from ._events import EventWriter

if TYPE_CHECKING:
    from ._trainer import Trainer

Record = dict[str, float]


class Callback:
    """What a `Trainer` calls while it trains; a subclass defines the methods that it needs.

    A callback that has a state gives it in ``state_dict`` and takes it back in
    ``load_state_dict``, so that checkpoints hold it. Where several processes train one model, each
    calls its callbacks, but only rank 0 those that write.

    Attributes:
        writes: Whether it writes files or shows something, which is to be done once.

    Example:
        >>> import tt_optim as optim
        >>> class Print(optim.Callback):
        ...     writes = True
        ...
        ...     def on_evaluate(self, trainer, metrics):
        ...         print(trainer.step, metrics)
    """

    writes: bool = False

    def on_fit_start(self, trainer: Trainer) -> None:
        """Training starts, or goes on from a checkpoint, at ``trainer.step``."""

    def on_step_end(self, trainer: Trainer, record: Record) -> None:
        """The parameters were updated; the record has ``loss``, ``lr`` and the like."""

    def on_evaluate(self, trainer: Trainer, metrics: Record) -> None:
        """The model was evaluated."""

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """An epoch is over; the record has its mean loss, and the metrics if evaluated."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """Training ends, also by an exception."""

    def state_dict(self) -> dict[str, Any]:
        """Return what to go on from."""
        return {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""


class EarlyStopping(Callback):
    """Stops training once a metric of the evaluation has not improved for a while.

    Prechelt, "Early stopping - but when?" (1998).

    Args:
        monitor: The metric.
        patience: How many evaluations without improvement are let pass.
        min_delta: What counts as an improvement.
        mode: ``"min"`` if less is better, ``"max"`` if more is.

    Raises:
        TypeError: A number is of the wrong type.
        ValueError: A number is out of range, or the mode is not known.

    Example:
        >>> import tt_optim as optim
        >>> optim.EarlyStopping("accuracy", patience=2, mode="max").best
        -inf
    """

    def __init__(
        self,
        monitor: str = "loss",
        patience: int = 3,
        min_delta: float = 0.0,
        mode: Literal["min", "max"] = "min",
    ) -> None:
        check_count("EarlyStopping", "patience", patience, low=0)
        check_number("EarlyStopping", "min_delta", min_delta)
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode: expected 'min' or 'max', got {mode!r}")
        self.monitor, self.patience, self.min_delta, self.mode = monitor, patience, min_delta, mode
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad = 0

    def on_evaluate(self, trainer: Trainer, metrics: Record) -> None:
        """Compare with the best so far."""
        if self.monitor not in metrics:
            raise ValueError(
                f"EarlyStopping: there is no metric {self.monitor!r}; there are: "
                f"{', '.join(metrics)}"
            )
        value = metrics[self.monitor]
        sign = 1.0 if self.mode == "min" else -1.0
        if sign * value < sign * self.best - self.min_delta:
            self.best, self.num_bad = value, 0
            return
        self.num_bad += 1
        if self.num_bad > self.patience:
            trainer.stop()

    def state_dict(self) -> dict[str, Any]:
        """Return the best so far and how long ago it was."""
        return {"best": self.best, "num_bad": self.num_bad}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.best, self.num_bad = float(state_dict["best"]), int(state_dict["num_bad"])


class JSONLog(Callback):
    """Writes a line of JSON for every few steps, every evaluation and every epoch.

    A run that goes on from a checkpoint first drops the lines that come after it, so that the
    log reads as if the run had never stopped.

    Args:
        path: The file.
        every: How many steps a line is written for.

    Example:
        >>> import tt_optim as optim
        >>> log = optim.JSONLog("run/log.jsonl", every=50)
    """

    writes = True

    def __init__(self, path: str | os.PathLike[str], every: int = 10) -> None:
        check_count("JSONLog", "every", every)
        self.path, self.every = Path(path), every
        self._start = 0.0

    def on_fit_start(self, trainer: Trainer) -> None:
        """Keep the lines up to where training goes on."""
        self._start = time.perf_counter()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = []
        if self.path.exists() and trainer.step:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                kept = [line for line in file if _step_of(line) <= trainer.step]
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(kept)
        os.replace(name, self.path)

    def on_step_end(self, trainer: Trainer, record: Record) -> None:
        """Write a line if it is time."""
        if trainer.step % self.every == 0:
            self._write(trainer, "step", record)

    def on_evaluate(self, trainer: Trainer, metrics: Record) -> None:
        """Write a line."""
        self._write(trainer, "evaluate", metrics)

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Write a line."""
        self._write(trainer, "epoch", record)

    def _write(self, trainer: Trainer, event: str, record: Record) -> None:
        line = {
            "event": event,
            "step": trainer.step,
            "epoch": trainer.epoch,
            **record,
            "seconds": round(time.perf_counter() - self._start, 3),
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _step_of(line: str) -> float:
    """Return the step of a line, infinity if it is not whole."""
    try:
        return float(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, TypeError, KeyError):
        return math.inf


class TensorBoard(Callback):
    """Writes scalars that TensorBoard shows; the package ``tensorboard`` is not needed for it.

    Args:
        folder: The run's folder.
        every: How many steps a point is written for.

    Example:
        >>> import tt_optim as optim
        >>> board = optim.TensorBoard("run/board", every=50)
    """

    writes = True

    def __init__(self, folder: str | os.PathLike[str], every: int = 10) -> None:
        check_count("TensorBoard", "every", every)
        self.folder, self.every = Path(folder), every
        self._writer: EventWriter | None = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Begin a file, which replaces what earlier ones have after this step."""
        self._writer = EventWriter(self.folder, trainer.step)

    def on_step_end(self, trainer: Trainer, record: Record) -> None:
        """Write a point of each curve if it is time."""
        if trainer.step % self.every == 0:
            self._write(trainer, "train", record)

    def on_evaluate(self, trainer: Trainer, metrics: Record) -> None:
        """Write a point of each curve."""
        self._write(trainer, "evaluate", metrics)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, trainer: Trainer, group: str, record: Record) -> None:
        assert self._writer is not None
        for name, value in record.items():
            self._writer.scalar(f"{group}/{name}", value, trainer.step)

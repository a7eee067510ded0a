"""How far training has come, on a terminal."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TextIO

from ._callbacks import Callback, Record

if TYPE_CHECKING:
    from ._trainer import Trainer


class Progress(Callback):
    """Shows the epoch, the step and the loss in one line, which is rewritten.

    With rich (``pip install 'tt-optim[progress]'``) the line has a bar.

    Args:
        stream: Where to; standard error unless given.
    """

    writes = True

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._bar: Any = None
        self._task: Any = None
        self._shown = 0
        self._next = 0.0

    @property
    def _out(self) -> TextIO:
        return self._stream if self._stream is not None else sys.stderr

    def on_fit_start(self, trainer: Trainer) -> None:
        """Begin the line."""
        if find_spec("rich") is not None:
            console = import_module("rich.console").Console(file=self._out)
            self._bar = import_module("rich.progress").Progress(console=console, transient=True)
            self._task = self._bar.add_task("training", total=trainer.planned)
            self._bar.start()

    def on_step_end(self, trainer: Trainer, record: Record) -> None:
        """Rewrite the line, ten times a second at most."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.1
        text = f"epoch {trainer.epoch + 1}  step {trainer.step}  loss {record['loss']:.4f}"
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.step, description=text)
        else:
            self._out.write(f"\r{text.ljust(self._shown)}")
            self._out.flush()
            self._shown = len(text)

    def on_epoch_end(self, trainer: Trainer, record: Record) -> None:
        """Leave a line that stays."""
        values = "  ".join(
            f"{name} {value:.4g}" for name, value in record.items() if name != "epoch"
        )
        text = f"epoch {trainer.epoch}  {values}"
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            self._out.write(f"\r{text.ljust(self._shown)}\n")
            self._shown = 0

    def on_fit_end(self, trainer: Trainer) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        elif self._shown:
            self._out.write("\n")
            self._shown = 0


def wants_progress() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()

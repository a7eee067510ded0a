"""Serving a model here beside serving its file by onnxruntime, timed in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

import tt_tensor
from tt_nn import Module, get_num_threads
from tt_profile._measure import Comparison, Timing, time_it

from ._run import difference, feed, session
from ._samples import Samples
from ._trace import evaluating

_PAUSE = (
    0.05  # seconds: threads of the side that ran last stay awake for a while, and would disturb
)


@dataclass(frozen=True, slots=True)
class Serving:
    """How long a batch takes here and by onnxruntime.

    Attributes:
        batch_size: Samples in the batch; None where the file takes one size only.
        threads: How many threads each side may use.
        times: The model's time (``function``) beside onnxruntime's (``baseline``), in seconds.
        difference: The largest difference of their results.
    """

    batch_size: int | None
    threads: int
    times: Comparison
    difference: float

    @property
    def speedup(self) -> float:
        """How many times faster onnxruntime serves the batch; below 1 it is slower."""
        return self.times.ratio


def compare_serving(
    path: str | Path,
    model: Module,
    inputs: tt_tensor.Tensor | Sequence[object],
    batch_sizes: Sequence[int] = (1, 64),
    *,
    repeats: int = 7,
    sample_seconds: float = 0.05,
) -> list[Serving]:
    """Time a model here and its exported file by onnxruntime, in turn, for several batch sizes.

    The threads of two libraries in one process fight, so onnxruntime runs in a process of its own,
    which waits while the model runs and has as many threads. Every round takes a sample of
    both.

    Args:
        path: What `export` has written.
        model: The model; it runs in evaluation.
        inputs: What it was exported with, or other inputs of such shapes.
        batch_sizes: Numbers of samples, which repeat those of ``inputs``; not used if the file
            takes one size only.
        repeats: Number of rounds.
        sample_seconds: The least time that one sample takes.

    Returns:
        One entry for each batch size.

    Raises:
        ExportError: The file takes other inputs or gives other outputs than the model.
        ImportError: onnxruntime is not installed.
        RuntimeError: The process that runs onnxruntime has failed.

    Example:
        >>> import tempfile
        >>> import tt_autograd as tt, tt_nn as nn
        >>> from tt_profile.onnx import compare_serving, export
        >>> model, images = nn.Linear(64, 10), tt.rand(1, 64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, images, f"{folder}/model.onnx")
        ...     served = compare_serving(
        ...         f"{folder}/model.onnx", model, images, [1, 8], repeats=3, sample_seconds=0.001
        ...     )
        >>> [each.batch_size for each in served]
        [1, 8]
    """
    threads = get_num_threads()
    running = session(str(path), threads)
    samples = Samples.of_graph(inputs, running)
    sizes = batch_sizes if any(dim is not None for dim in samples.dims) else [None]
    served = []
    with evaluating(model), _worker(path, threads) as (worker, folder):
        for size in sizes:
            arguments = samples.arguments if size is None else samples.of_size(size)
            apart, _ = difference(running, model, arguments)
            fed = Path(folder, "inputs.npz")
            np.savez(fed, *feed(running, arguments).values())
            here, there = [], []
            for _ in range(repeats):
                time.sleep(_PAUSE)
                call = time_it(
                    lambda given=arguments: model(*given),  # type: ignore[misc]  # bound at once
                    warmup=1, repeats=1, sample_seconds=sample_seconds,
                )  # fmt: skip
                here.append(call.median)
                time.sleep(_PAUSE)
                there.append(worker.ask(fed, sample_seconds))
            times = Comparison(Timing(tuple(here)), Timing(tuple(there)))
            served.append(Serving(size, threads, times, apart))
    return served


class _Worker:
    """The process that runs onnxruntime."""

    def __init__(self, process: subprocess.Popen[str], errors: IO[str]) -> None:
        self.process = process
        self.errors = errors

    def ask(self, inputs: Path, sample_seconds: float) -> float:
        """Have it time one sample, and return the seconds of a call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(json.dumps([str(inputs), sample_seconds]), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(
                f"compare_serving: the process that runs onnxruntime ended with code "
                f"{self.process.returncode}: {self.errors.read().strip()}"
            )
        return float(json.loads(answer))


@contextmanager
def _worker(path: str | Path, threads: int) -> Iterator[tuple[_Worker, str]]:
    """Start the process, with a folder for its inputs, and end it at last."""
    command = [sys.executable, "-m", "tt_profile.onnx._worker", str(path), str(threads)]
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield _Worker(process, errors), folder
        finally:
            process.kill()
            assert process.stdin is not None
            with suppress(BrokenPipeError):  # of what it did not read
                process.stdin.close()

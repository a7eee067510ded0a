"""A model that is measured: made from its configuration, timed, weighed and judged."""

from __future__ import annotations

import gc
import math
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F

from ._checks import Rejected
from ._language import build
from ._passes import Configuration, apply_passes
from ._tasks import Data, Quality

Clocked = Literal["latency", "throughput"]

SAMPLE_SECONDS = 0.01  # the least that one sample takes, so that the clock's steps do not show
_EVALUATED = 256  # inputs at once where quality is judged


class Runner(Protocol):
    """What can be measured of a model."""

    def seconds(self, kind: Clocked) -> float:
        """One sample of the time for one input, or one token."""
        ...

    def memory(self) -> int:
        """Bytes that the model and one batch hold at the peak."""
        ...

    def size(self) -> int:
        """Bytes of the model's file."""
        ...

    def quality(self) -> float:
        """Accuracy, or loss in nats, over all of the task's data."""
        ...


class LocalRunner:
    """Measures a model in this process.

    Args:
        data: The task's data.
        configuration: The model and how it is run. Its backend is that of the process.
        weights: The file of its weights.
        quality: What the task judges a model by.
        batch: How many inputs are given at once where throughput is measured.
        seed: Which inputs are given.
        clock: Tells the time, in seconds.

    Raises:
        Rejected: The model cannot be made, or does not fit its weights or the task.
    """

    def __init__(
        self,
        data: Data,
        configuration: Configuration,
        weights: Path,
        *,
        quality: Quality,
        batch: int,
        seed: int,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._data, self._configuration, self._clock = data, configuration, clock
        self._quality, self._size = quality, batch
        self._calls: dict[Clocked, int] = {}
        start = int(np.random.default_rng(seed).integers(len(data.inputs)))
        order = np.roll(np.arange(len(data.inputs)), -start)[:batch]
        chosen = Data(data.inputs[order], data.targets[order], data.divisor, data.mean, data.std)
        self._batch = tt.from_numpy(chosen.prepared(slice(None)))

        # What is imported, compiled or remembered at the first pass stays for any model after it,
        # and is none of this one's memory: so another is made, run and dropped before.
        self._model = self._make(weights)
        self._check_output()
        self._forward(self._batch)
        del self._model

        started_here = not tracemalloc.is_tracing()
        if started_here:
            tracemalloc.start()
        try:
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            self._model = self._make(weights)
            gc.collect()
            tracemalloc.reset_peak()
            self._forward(self._batch)
            self._memory = tracemalloc.get_traced_memory()[1] - before
        finally:
            if started_here:
                tracemalloc.stop()

    def _make(self, weights: Path) -> nn.Module:
        model = build(self._configuration.model)
        try:
            model.load_state_dict(nn.load(weights))
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise Rejected(f"weights: {' '.join(str(error).split())}") from None
        return apply_passes(model, self._configuration.passes, self._batch[:1])

    def _check_output(self) -> None:
        """Let the model answer once, and see that it is an answer."""
        if self._quality == "loss" and not hasattr(self._model, "new_cache"):
            raise Rejected("model: the task asks for a model that writes: GPT or ModernGPT.")
        try:
            shape = tuple(self._forward(self._batch[:1]).shape)
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            raise Rejected(f"model: it does not take the task's inputs: {error}") from None
        targets = self._data.targets
        if shape[:-1] != (1, *targets.shape[1:]) or shape[-1] <= int(targets.max()):
            wanted = (1, *targets.shape[1:], int(targets.max()) + 1)
            raise Rejected(f"model: expected scores of shape {wanted} for one input, got {shape}.")

    def _forward(self, inputs: tt.Tensor) -> tt.Tensor:
        with tt.no_grad():
            scores: tt.Tensor = self._model(inputs)
            return scores

    def _once(self, kind: Clocked) -> Callable[[], object]:
        """What one call of a sample is."""
        if kind == "throughput":
            return lambda: self._forward(self._batch)
        if self._quality == "accuracy":
            return lambda: self._forward(self._batch[:1])
        model = cast(nn.LanguageModel, self._model)
        start, count = self._batch[:1, :1], self._tokens - 1
        cache = self._configuration.use_cache
        return lambda: nn.generate(model, start, count, temperature=0, use_cache=cache)

    @property
    def _tokens(self) -> int:
        return int(self._data.inputs.shape[-1])

    def seconds(self, kind: Clocked) -> float:
        """One sample of the time for one input of a batch, or for one token that is written.

        The first call for a kind warms up, then times one run to find how many fill
        `SAMPLE_SECONDS` (10,000 at most). A sample is so many runs of what `_once` returns.
        """
        once = self._once(kind)
        if kind not in self._calls:
            once()  # warms up
            taken = self._timed(once, 1)
            self._calls[kind] = min(10_000, max(1, math.ceil(SAMPLE_SECONDS / max(taken, 1e-7))))
        calls = self._calls[kind]
        inputs = self._size if kind == "throughput" else 1
        if kind == "latency" and self._quality == "loss":
            inputs = self._tokens - 1
        return self._timed(once, calls) / (calls * inputs)

    def _timed(self, once: Callable[[], object], calls: int) -> float:
        start = self._clock()
        for _ in range(calls):
            once()
        return self._clock() - start

    def memory(self) -> int:
        """Bytes that the model's weights and one batch hold at the peak, by `tracemalloc`.

        Not those of what is imported or compiled at a process's first pass.
        """
        return self._memory

    def size(self) -> int:
        """Bytes of the safetensors file that the model as it runs would be kept in."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            nn.save(self._model.state_dict(), path)
            return path.stat().st_size

    def quality(self) -> float:
        """Accuracy, or loss in nats, over all of the task's data."""
        total, count = 0.0, 0
        for scores, targets in self._answers():
            if self._quality == "accuracy":
                total += float((scores.numpy().argmax(axis=-1) == targets).sum())
            else:
                flat = F.cross_entropy(
                    scores.flatten(0, -2), tt.from_numpy(targets.ravel()), reduction="sum"
                )
                total += float(flat.item())
            count += targets.size
        return total / count

    def _answers(self) -> Iterator[tuple[tt.Tensor, NDArray[Any]]]:
        size = _EVALUATED if self._quality == "accuracy" else self._size
        for start in range(0, len(self._data.inputs), size):
            part = slice(start, start + size)
            scores = self._forward(tt.from_numpy(self._data.prepared(part)))
            yield scores, self._data.targets[part]

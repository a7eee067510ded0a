"""A pipeline of passes that make a model smaller or faster, and what each of them is worth."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import tt_nn as nn
from tt_autograd import no_grad
from tt_nn import Module

from ._format import format_bytes, format_seconds
from ._measure import Comparison, compare, time_it
from ._model_bytes import model_bytes
from ._report import Report, Table

Pass = Callable[[Module], Module]

_FEW_ZEROS = 0.01  # the share up to which they are not worth a column
_SWITCHING_SECONDS = 0.02  # of a sample before which threads are started: they take 0.1 ms


@dataclass(frozen=True, slots=True)
class Step:
    """A model after one pass, all of it measured.

    Attributes:
        name: The pass; ``"original"`` for the model before the first.
        values: Numbers in the state dict (parameters, statistics, integer weights), shared ones
            once.
        zeros: The share of them that is zero.
        memory_bytes: Memory of all arrays that the model holds, in its state dict or not.
        file_bytes: Size of its state dict as a safetensors file.
        threads: How many threads it ran with.
        seconds: Median time of a run.
        before: Its time against that of the step before, in turns; None for the original.
        original: Its time against that of the original, in turns; None for the original.
        score: What ``score`` says of it; None if there is none.
    """

    name: str
    values: int
    zeros: float
    memory_bytes: int
    file_bytes: int
    threads: int
    seconds: float
    before: Comparison | None
    original: Comparison | None
    score: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain values, as JSON takes them."""
        plain: dict[str, Any] = {
            "name": self.name,
            "values": self.values,
            "zeros": self.zeros,
            "memory_bytes": self.memory_bytes,
            "file_bytes": self.file_bytes,
            "threads": self.threads,
            "seconds": self.seconds,
            "score": self.score,
        }
        for key, comparison in (("before", self.before), ("original", self.original)):
            plain[f"time_ratio_to_{key}"] = comparison and comparison.ratio
            plain[f"time_ratio_to_{key}_quartiles"] = comparison and list(comparison.interval)
        return plain


@dataclass(frozen=True, slots=True)
class Optimized(Report):
    """What `optimize` made, and what each pass was worth.

    Attributes:
        model: The model after the last pass.
        steps: The original, and the model after each pass.
        backend: What ran beside the matrix products, ``"numpy"`` or ``"numba"``.
    """

    model: Module
    steps: tuple[Step, ...]
    backend: str

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as plain values, as JSON takes them."""
        return {"backend": self.backend, "steps": [step.as_dict() for step in self.steps]}

    def _tables(self) -> list[Table]:
        return _tables(self.steps)


def optimize(
    model: Module,
    passes: Mapping[str, Pass],
    *inputs: object,
    score: Callable[[Module], float] | None = None,
    run: Callable[[Module], object] | None = None,
    repeats: int = 11,
) -> Optimized:
    """Apply passes to a model one after the other, and measure what each of them is worth.

    A pass is any function that takes a model and returns one: `tt_nn.fuse_bn_eval`,
    `compression.prune_channels`, `compression.low_rank`, a quantization, `use_threads`, some
    epochs of training, or one of your own. It gets a copy, in evaluation mode, of what the pass
    before it made, so it may change it in place.

    After each pass the model's size in memory and on disk is measured, its score, and its time:
    against the step before and against the original, in turns, for a machine's speed drifts.

    Args:
        model: The model to start from; it stays as it is.
        passes: The passes by name, in order.
        *inputs: What the model is called with when it is timed.
        score: What the model is worth, such as its accuracy on held-out data or its loss.
        run: What is timed in the place of ``model(*inputs)``, such as generating text. It is
            given the model, in evaluation mode and without gradients.
        repeats: Rounds of each comparison of times.

    Returns:
        The last model and the steps; ``print`` it, or ``show()`` it.

    Raises:
        ValueError: There are neither inputs nor ``run``, or a pass is called ``"original"``.
        TypeError: A pass returns no module.

    Note:
        A pass that calls `tt_nn.set_num_threads` is followed: the earlier models are timed with
        the threads that they had. But the threads of BLAS, which a process starts with, do not
        come back once it was called. The compiled backend is chosen when a process starts.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> from tt_profile.compression import prune_channels
        >>> model = nn.Sequential(
        ...     nn.Conv2d(1, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 8, 3)
        ... )
        >>> images = tt.rand(8, 1, 12, 12)
        >>> result = optimize(
        ...     model,
        ...     {
        ...         "fold BatchNorm": lambda model: nn.fuse_bn_eval(model, images),
        ...         "remove channels": lambda model: prune_channels(model, images, amount=0.75),
        ...     },
        ...     images,
        ... )
        >>> [(step.name, step.values) for step in result.steps]
        [('original', 5513), ('fold BatchNorm', 5256), ('remove channels', 1320)]
        >>> result.steps[-1].memory_bytes
        5280
    """
    if run is None:
        if not inputs:
            raise ValueError("optimize: expected inputs to time the model with, or run; got none")
        run = _run_on(inputs)
    if "original" in passes:
        raise ValueError("optimize: no pass may be called 'original', which the first model is")
    first = current = _State(copy.deepcopy(model).eval(), nn.get_num_threads(), run)
    steps = [_measured("original", first, [], repeats, score)]
    for name, change in passes.items():
        changed = change(copy.deepcopy(current.model))
        if not isinstance(changed, Module):
            raise TypeError(
                f"optimize: expected pass {name!r} to return a Module, got {type(changed).__name__}"
            )
        changed.eval().zero_grad()
        # A copy again: what a training leaves, such as an optimizer's buffer that parameters are
        # parts of, is no part of the model.
        before, current = current, _State(copy.deepcopy(changed), nn.get_num_threads(), run)
        steps.append(_measured(name, current, [before, first], repeats, score))
    return Optimized(current.model, tuple(steps), nn.backend())


def _run_on(inputs: tuple[object, ...]) -> Callable[[Module], object]:
    return lambda model: model(*inputs)


def use_threads(num_threads: int) -> Pass:
    """Return a pass for `optimize` that lets large kernels use this many threads.

    Args:
        num_threads: See `tt_nn.set_num_threads`, which holds for the process.
    """

    def change(model: Module) -> Module:
        nn.set_num_threads(num_threads)
        return model

    return change


@dataclass(frozen=True, slots=True)
class _State:
    """A model, with the threads it runs with."""

    model: Module
    threads: int
    run: Callable[[Module], object]

    def timed(self, *, switching: bool) -> Callable[[], object]:
        """Return what runs the model; ``switching`` if it is timed beside other threads."""

        def run() -> object:
            if switching:
                nn.set_num_threads(self.threads)
            return self.run(self.model)

        return run


def _measured(
    name: str,
    state: _State,
    others: list[_State],
    repeats: int,
    score: Callable[[Module], float] | None,
) -> Step:
    """Measure a model, and compare its time with that of the model before and of the original."""
    arrays = {id(a): a for tensor in state.model.state_dict().values() for a in [tensor.numpy()]}
    values = sum(array.size for array in arrays.values())
    zeros = sum(array.size - int(np.count_nonzero(array)) for array in arrays.values())
    with no_grad():
        against = {id(other): _compare(state, other, repeats) for other in others}
        found = [against[id(other)] for other in others]
        alone = state.timed(switching=False)
        timing = found[0].function if found else time_it(alone, repeats=repeats)
        worth = None if score is None else float(score(state.model))
    return Step(
        name=name,
        values=values,
        zeros=zeros / values if values else 0.0,
        memory_bytes=model_bytes(state.model),
        file_bytes=_file_bytes(state.model),
        threads=state.threads,
        seconds=timing.median,
        before=found[0] if found else None,
        original=found[1] if found else None,
        score=worth,
    )


def _compare(state: _State, other: _State, repeats: int) -> Comparison:
    """Time a model and another in turn, each with its threads."""
    switching = state.threads != other.threads
    pair = state.timed(switching=switching), other.timed(switching=switching)
    if not switching:
        return compare(*pair, repeats=repeats)
    result = compare(*pair, repeats=repeats, sample_seconds=_SWITCHING_SECONDS)
    nn.set_num_threads(state.threads)
    return result


def _file_bytes(model: Module) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        nn.save(model.state_dict(), path)
        return path.stat().st_size


def _tables(steps: tuple[Step, ...]) -> list[Table]:
    """Return what people read; zeros, threads and scores only where there are any to tell."""
    first = steps[0]
    pruned = any(step.zeros > _FEW_ZEROS for step in steps)
    threaded = len({step.threads for step in steps}) > 1
    scored = first.score is not None
    names = [step.name for step in steps]
    size = {
        "pass": names,
        "values": [f"{step.values:,}" for step in steps],
        "zeros": [f"{step.zeros:.1%}" for step in steps] if pruned else [],
        "memory": [format_bytes(step.memory_bytes) for step in steps],
        "smaller": [f"{first.memory_bytes / max(s.memory_bytes, 1):.2f}x" for s in steps],
        "file": [format_bytes(step.file_bytes) for step in steps],
    }
    worth = {
        "pass": names,
        "threads": [str(step.threads) for step in steps] if threaded else [],
        "time": [format_seconds(step.seconds) for step in steps],
        "on before": [_speed(step.before) for step in steps],
        "on original": [_speed(step.original) for step in steps],
        "score": [f"{step.score:.4f}" for step in steps] if scored else [],
        "change": ["", *(f"{b - a:+.4f}" for a, b in _scores(steps))] if scored else [],
    }
    note = "on before, on original: times faster, timed in turns, ± half the quartiles' distance"
    return [_table("Size", size), _table("Speed and score" if scored else "Speed", worth, (note,))]


def _table(title: str, columns: Mapping[str, list[str]], notes: tuple[str, ...] = ()) -> Table:
    shown = {name: cells for name, cells in columns.items() if cells}
    return Table(title, tuple(shown), list(zip(*shown.values(), strict=True)), notes=notes)


def _scores(steps: tuple[Step, ...]) -> Iterator[tuple[float, float]]:
    """Go over the scores of each two steps in a row."""
    for one, other in pairwise(steps):
        assert one.score is not None  # either all have one or none has
        assert other.score is not None
        yield one.score, other.score


def _speed(comparison: Comparison | None) -> str:
    if comparison is None:
        return ""
    low, high = comparison.interval
    return f"{comparison.speedup:.2f}x ±{(1 / low - 1 / high) / 2:.2f}"

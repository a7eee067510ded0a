"""Verification: nothing is believed, everything is measured again.

What a submission says about itself is checked, then its model is run beside the reference in
processes made for that, and each figure that it claims is held against the one measured here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_nn as nn
from tt_tensor import from_numpy
from tt_tito._environment import describe_environment
from tt_tito._errors import TitoError

from ._checks import Rejected, show
from ._figures import (
    PAIRS,
    TOLERANCES,
    Event,
    Figure,
    Figures,
    contradiction,
    lost_too_much,
    measure,
    names_of,
    score,
)
from ._language import difference
from ._passes import Configuration
from ._submission import Division, Submission, read_submission
from ._tasks import TASKS, Data, Task
from ._tensors import digest
from ._worker import OpenRunner, open_worker


@dataclass(frozen=True, slots=True)
class Bench:
    """What a benchmark is run with.

    Attributes:
        root: The checkout that has the reference weights.
        data_dir: The folder that data sets are in; None for the data home.
        tasks: The tasks by name.
        pairs: How often each model is timed.
        open_runner: Opens what measures a model: a process of its own.
    """

    root: Path
    data_dir: Path | None = None
    tasks: Mapping[str, Task] = field(default_factory=lambda: TASKS)
    pairs: int = PAIRS
    open_runner: OpenRunner = open_worker

    def task(self, name: str) -> Task:
        """Return a task.

        Raises:
            TitoError: There is none of that name.
        """
        if name not in self.tasks:
            raise TitoError(f"There is no task {name!r}; there are {', '.join(self.tasks)}.")
        return self.tasks[name]

    def open(self, task: Task) -> Opened:
        """Read what a task needs.

        Raises:
            TitoError: Its reference weights or its data are not here.
        """
        state = arrays_of(task.reference(self.root).state_dict())
        return Opened(task, task.data(self.data_dir), state)

    def measure(
        self, opened: Opened, event: Event, configuration: Configuration, weights: bytes, seed: int
    ) -> dict[str, Figure]:
        """Measure a model beside the reference, which runs on NumPy with one thread.

        Raises:
            Rejected: The model cannot be run, or a figure is none.
            TitoError: The backend that it asks for is not installed.
        """
        if configuration.backend == "numba" and find_spec("numba") is None:
            raise TitoError(
                "The model asks for the backend numba, which is not installed: "
                "pip install 'tt-nn[fast]'"
            )
        task, data = opened.task, opened.data
        plain = Configuration(task.model)
        with self.open_runner(task, data, plain, opened.weights, seed) as reference:
            opening = self.open_runner(task, data, configuration, weights, seed)
            with opening as submission:
                return measure(event, task.quality, reference, submission, self.pairs)


@dataclass(frozen=True, slots=True)
class Opened:
    """A task with what it needs.

    Attributes:
        task: The task.
        data: Its data.
        state: The reference's weights by name.
    """

    task: Task
    data: Data
    state: Mapping[str, NDArray[Any]]

    @property
    def weights(self) -> bytes:
        """The reference's weights as a safetensors file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "reference.safetensors")
            nn.save({name: from_numpy(array) for name, array in self.state.items()}, path)
            return path.read_bytes()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verification found.

    Attributes:
        reasons: Why the submission is rejected; none if it is accepted.
        submission: The submission with the figures and the environment measured here in place of
            those claimed; None if it could not be read.
        claimed: The figures that it claimed.
    """

    reasons: tuple[str, ...]
    submission: Submission | None = None
    claimed: Figures | None = None

    @property
    def accepted(self) -> bool:
        """Whether it may rank."""
        return not self.reasons and self.submission is not None

    @property
    def score(self) -> Figure:
        """What it ranks by.

        Raises:
            ValueError: It was rejected.
        """
        if self.submission is None or self.reasons:
            raise ValueError("a rejected submission has no score")
        return score(self.submission.event, self.submission.figures)


def arrays_of(state: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a state dict."""
    return {name: np.asarray(tensor.numpy()) for name, tensor in state.items()}


def verify(folder: Path, bench: Bench) -> Verdict:
    """Verify a submission.

    Args:
        folder: Its folder; nothing in it is changed.
        bench: What to verify it with.

    Returns:
        The verdict, whatever is in the folder.

    Raises:
        TitoError: This machine lacks what verification needs, or the checkout that the reference
            is from is in the submission's folder.
    """
    check_apart(folder, bench.root)
    submission: Submission | None = None
    claimed: Figures | None = None
    try:
        submission = read_submission(folder)
        claimed = submission.figures
        if submission.task not in bench.tasks:
            known = ", ".join(bench.tasks)
            raise Rejected(f"submission.json: there is no task {show(submission.task)}: {known}.")
        opened = bench.open(bench.tasks[submission.task])
        check_terms(submission, opened)
        measured = bench.measure(
            opened,
            submission.event,
            submission.configuration,
            submission.weights,
            submission.seed,
        )
        submission = replace(submission, figures=measured, environment=describe_environment())
        reasons = judge(submission, claimed, opened.task)
    except Rejected as error:
        reasons = error.reasons
    return Verdict(reasons, submission, claimed)


def check_apart(folder: Path, root: Path) -> None:
    """Check that a submission does not bring the reference that it is held against.

    Args:
        folder: The submission's folder.
        root: The checkout that the reference is from.

    Raises:
        TitoError: The checkout is that folder, or in it.
    """
    if root.resolve().is_relative_to(folder.resolve()):
        raise TitoError(
            f"The reference would come from {root}, which is in the submission's folder, {folder}: "
            "whoever made the submission may have made it too. Change into a checkout of your own, "
            "or name it with --root."
        )


def check_terms(submission: Submission, opened: Opened) -> None:
    """Check a submission against its task before it is run.

    Raises:
        Rejected: It is about other data or another reference, claims other figures than its event
            has or such as contradict themselves, or is not the reference where it must be.
    """
    task = opened.task
    wanted = names_of(submission.event, task.quality)
    reasons = []
    if sorted(submission.figures) != sorted(wanted):
        found = ", ".join(map(show, submission.figures)) or "none"
        reasons.append(
            f"submission.json: figures: the event {submission.event} has {', '.join(wanted)}, got "
            f"{found}."
        )
    else:
        claims = (contradiction(name, each) for name, each in submission.figures.items())
        reasons += filter(None, claims)
    if submission.data_sha256 != opened.data.sha256:
        reasons.append("data_sha256: it was not measured with the data of this task.")
    if submission.reference_sha256 != digest(opened.state):
        reasons.append("reference_sha256: it was not measured against the reference of this task.")
    if reasons:
        raise Rejected(*reasons)
    check_model_of(submission, opened)


def check_model_of(submission: Submission, opened: Opened) -> None:
    """Check a submission's weights: finite, and in the closed division all as the reference's.

    Raises:
        Rejected: They are not, or the closed division's model is another than the reference.
    """
    if reason := _uneven(submission, opened):
        raise Rejected(reason)


def _uneven(submission: Submission, opened: Opened) -> str | None:
    """Say what is wrong with the weights: not finite, or in the closed division not the same."""
    division: Division = submission.division
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "submission.safetensors")
        path.write_bytes(submission.weights)
        try:
            state = arrays_of(nn.load(path))
        except (ValueError, TypeError, KeyError) as error:
            reason = str(error).replace(str(path), "the file")
            return f"weights: {' '.join(reason.split())}."
    for name, array in state.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return f"weights: {show(name)} has values that are not finite."
    if division == "open":
        return None
    if found := difference(submission.configuration.model, opened.task.model):
        return f"closed division: {found}."
    for name in (*opened.state, *state):
        if name not in state or name not in opened.state:
            where = "missing" if name not in state else "not in the reference"
            return f"closed division: weights: {show(name)} is {where}."
        ours, theirs = opened.state[name], state[name]
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            return (
                f"closed division: weights: {show(name)} is {theirs.dtype} of shape "
                f"{theirs.shape}, the reference's is {ours.dtype} of shape {ours.shape}."
            )
        if ours.tobytes() != theirs.tobytes():
            return f"closed division: weights: {show(name)} is not the reference's."
    return None


def judge(submission: Submission, claimed: Figures, task: Task) -> tuple[str, ...]:
    """Hold what was claimed against what was measured; the reasons to reject, if any.

    Args:
        submission: The submission, with the figures that were measured here.
        claimed: Those that it claimed.
        task: The task.

    Returns:
        One sentence for each figure that is not reproduced, which begins with its name and says
        what is claimed and what was measured, and one if too much was lost.
    """
    reasons = []
    for name, figure in submission.figures.items():
        if not figure.reproduces(claimed[name], TOLERANCES[name]):
            reasons.append(
                f"{name}: a ratio of {claimed[name].ratio:.4g} is claimed, {figure.ratio:.4g} was "
                f"measured here, from {figure.low:.4g} to {figure.high:.4g}."
            )
    if lost := lost_too_much(submission.event, task.quality, submission.figures):
        reasons.append(lost)
    return tuple(reasons)

"""Running an event: measuring a model of one's own, and making a submission of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tt_tito._environment import describe_environment
from tt_tito._errors import TitoError

from ._checks import Rejected
from ._figures import Event, lost_too_much
from ._folder import read_file
from ._passes import Configuration
from ._submission import MAX_WEIGHTS_BYTES, NAME, SEED, Division, Submission
from ._tensors import check_safetensors, digest
from ._verify import Bench, Opened, check_model_of


def run(
    bench: Bench,
    opened: Opened,
    event: Event,
    configuration: Configuration,
    weights: Path | None = None,
    *,
    name: str,
    division: Division = "closed",
    seed: int = 0,
) -> Submission:
    """Measure a model beside the reference.

    Args:
        bench: What to measure with.
        opened: The task, as `Bench.open` returns it.
        event: The event.
        configuration: The model and how it is run.
        weights: The file of its weights; None for the reference's.
        name: Who or what competes.
        division: ``"closed"`` or ``"open"``.
        seed: Which inputs are given.

    Returns:
        The submission, with the figures measured in this run.

    Raises:
        TitoError: The model cannot be run, or is not what the division asks for, or the name or
            the seed is none that a submission may have.
    """
    try:
        name, seed = NAME(name, "name"), SEED(seed, "seed")
        data = opened.weights
        if weights is not None:
            data = read_file(weights.absolute().parent, weights.name, MAX_WEIGHTS_BYTES)
            check_safetensors(data, weights.name)
        submission = Submission(
            name=name,
            task=opened.task.name,
            event=event,
            division=division,
            seed=seed,
            reference_sha256=digest(opened.state),
            data_sha256=opened.data.sha256,
            environment=describe_environment(),
            figures={},
            configuration=configuration,
            weights=data,
        )
        check_model_of(submission, opened)
        figures = bench.measure(opened, event, configuration, data, seed)
        return replace(submission, figures=figures)
    except Rejected as error:
        raise TitoError(str(error)) from error


def warning(submission: Submission, opened: Opened) -> str | None:
    """Say why a submission will be rejected although it runs; None if it will not be."""
    return lost_too_much(submission.event, opened.task.quality, submission.figures)

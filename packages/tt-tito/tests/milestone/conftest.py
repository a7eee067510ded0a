"""Runs an experiment as the script of a milestone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito import Bound, Milestone, Option, Recipe, at_least

from .experiments import Experiment, Run

MakeScript = Callable[..., Path]


@pytest.fixture
def run(make_script: MakeScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an experiment as the script of a milestone, in a folder of its own."""
    script = make_script()
    monkeypatch.chdir(tmp_path)

    def run(
        experiment: Experiment,
        *flags: str,
        bar: dict[str, Bound] | None = None,
        threads: int | None = None,
        options: tuple[Option, ...] = (),
        demo_bar: dict[str, Bound] | None = None,
        recipes: dict[str, Recipe] | None = None,
    ) -> int:
        milestone = Milestone(
            str(script),
            bar={"accuracy": at_least(0.9)} if bar is None else bar,
            epochs=7,
            demo_epochs=3,
            batch_size=50,
            threads=threads,
            options=options,
            demo_bar=demo_bar,
            recipes=recipes or {},
        )
        return milestone.run(experiment, flags)

    return run

"""Experiments for runs of a milestone, and where their report is."""

import json
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_tito import Lab

Experiment = Callable[[Lab], None]
Run = Callable[..., int]

REPORT = Path("reports", "milestone_01", "line")


def draw(figure: Figure) -> None:
    figure.subplots().plot([0, 1], [1, 0], color="C0")


def measure_systems(lab: Lab) -> None:
    model, inputs = nn.Linear(3, 2), tt.ones(4, 3)
    lab.systems(
        model,
        inputs,
        step=lambda: model(inputs).sum().backward(),
        growth={"batch size": (lambda size: lambda: model(tt.ones(size, 3)), (8, 64))},
    )


def experiment_with(accuracy: float) -> Experiment:
    def experiment(lab: Lab) -> None:
        with lab.timed("train"):
            for _ in lab.progress(range(lab.epochs), "training"):
                pass
        lab.heading("A heading with <angles> & more")
        lab.note("A note\n  over two lines.")
        lab.table("A table", ("Name", "Value"), [("one", 1), ("[red]two[/red]", 2.5)])
        lab.picture("line", draw, alt='A "falling" line', caption="It falls.")
        lab.metric("accuracy", accuracy)
        measure_systems(lab)

    return experiment


def read_report(folder: Path = REPORT) -> dict[str, object]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert isinstance(report, dict)
    return report

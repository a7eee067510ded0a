"""A run is judged: what was measured, the bar, and the exit code."""

import pytest

from tt_tito import Bound, Lab, at_least, at_most

from .experiments import REPORT, Run, experiment_with, measure_systems, read_report


@pytest.mark.parametrize(
    ("bound", "value", "code"),
    [
        (at_least(0.9), 0.9, 0),
        (at_least(0.9), 0.95, 0),
        (at_least(0.9), 0.8999, 1),
        (at_most(0.75), 0.75, 0),
        (at_most(0.75), 0.76, 1),
        (at_least(0.9), float("nan"), 1),
        (at_most(0.9), float("nan"), 1),
        (at_most(0.9), float("inf"), 1),
    ],
)
def test_exit_code_is_the_verdict(run: Run, bound: Bound, value: float, code: int) -> None:
    assert run(experiment_with(value), bar={"accuracy": bound}) == code
    assert read_report()["passed"] is (code == 0)


def test_a_bar_on_what_was_not_measured_is_not_met(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = {"accuracy": at_least(0.9), "speed": at_least(1.0)}
    assert run(experiment_with(1.0), bar=bar) == 1
    assert "not measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "code"), [([], 1), (["--demo-mode"], 0), (["--use-pretrained"], 1)]
)
def test_a_demo_may_have_a_bar_of_its_own(run: Run, flags: list[str], code: int) -> None:
    bars = {"bar": {"accuracy": at_least(0.9)}, "demo_bar": {"accuracy": at_least(0.5)}}
    assert run(experiment_with(0.6), *flags, **bars) == code
    limit = 0.5 if "--demo-mode" in flags else 0.9
    assert read_report()["bar"] == {"accuracy": {"minimum": limit}}


def test_every_metric_of_the_bar_counts(run: Run) -> None:
    def experiment(lab: Lab) -> None:
        lab.metric("good", 1.0)
        lab.metric("bad", 0.0)
        measure_systems(lab)

    bar = {"good": at_least(0.5), "bad": at_least(0.5)}
    assert run(experiment, bar=bar) == 1


def test_a_test_only_run_is_not_judged(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(experiment_with(0.0), "--test-only") == 0
    assert read_report()["passed"] is None
    assert "NOT JUDGED" in capsys.readouterr().out


def test_a_metric_is_measured_once(run: Run) -> None:
    def experiment(lab: Lab) -> None:
        lab.metric("accuracy", 0.1)
        lab.metric("accuracy", 1.0)

    with pytest.raises(ValueError, match="recorded before"):
        run(experiment)


def test_a_run_without_its_systems_section_is_an_error(run: Run) -> None:
    with pytest.raises(RuntimeError, match="systems"):
        run(lambda lab: lab.metric("accuracy", 1.0))
    assert not (REPORT / "report.json").exists()

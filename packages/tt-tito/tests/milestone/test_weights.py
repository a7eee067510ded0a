"""Weights that a run saves, and that are shipped beside its script."""

from collections.abc import Callable
from pathlib import Path

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_tito import Lab

from .experiments import REPORT, Run, measure_systems, read_report

MakeScript = Callable[..., Path]


def learn_one(lab: Lab) -> None:
    model = nn.Linear(1, 1)
    if lab.mode == "pretrained":
        lab.load_weights(model)
    elif lab.epochs:
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
    lab.save_weights(model)
    lab.metric("accuracy", model(tt.ones(1, 1)).item())
    measure_systems(lab)


def test_weights_that_a_run_saved_can_be_shipped_beside_the_script(
    run: Run, make_script: MakeScript
) -> None:
    assert run(learn_one) == 0
    shipped = make_script().with_name("line.safetensors")
    shipped.write_bytes((REPORT / "line.safetensors").read_bytes())
    assert run(learn_one, "--use-pretrained", "--report-dir", "again") == 0
    assert read_report(Path("again"))["metrics"] == {"accuracy": 1.0}
    assert not Path("again", "line.safetensors").exists()  # nothing was trained


def test_weights_rounded_to_half_precision_take_half_the_room(
    run: Run, make_script: MakeScript
) -> None:
    first = nn.Sequential(nn.Linear(30, 30), nn.BatchNorm1d(30))

    def experiment(lab: Lab, half: bool) -> None:
        if lab.mode == "pretrained":
            lab.load_weights(first)
        lab.save_weights(first, half=half)
        measure_systems(lab)

    sizes = []
    for half in (False, True):
        assert run(lambda lab, half=half: experiment(lab, half), bar={}) == 0
        sizes.append((REPORT / "line.safetensors").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    saved = [parameter.detach().numpy().copy() for parameter in first.parameters()]
    make_script().with_name("line.safetensors").write_bytes(
        (REPORT / "line.safetensors").read_bytes()
    )
    assert run(lambda lab: experiment(lab, True), "--use-pretrained", bar={}) == 0
    for parameter, value in zip(first.parameters(), saved, strict=True):
        assert parameter.dtype == value.dtype
        assert parameter.detach().numpy() == pytest.approx(value, rel=1e-3, abs=1e-6)


def test_damaged_weights_are_told(
    run: Run, make_script: MakeScript, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(learn_one) == 0
    shipped = make_script().with_name("line.safetensors")
    shipped.write_bytes((REPORT / "line.safetensors").read_bytes()[:-1])
    assert run(learn_one, "--use-pretrained") == 2
    assert "line.safetensors does not fit" in " ".join(capsys.readouterr().err.split())

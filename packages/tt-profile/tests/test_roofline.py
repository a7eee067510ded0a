"""The machine, the roof and the layers below it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile import Machine, Profile, measure_machine, profile

pytestmark = pytest.mark.module_18

MACHINE = Machine(peak_flops=1000.0, bandwidth=100.0, threads=1)


@pytest.fixture(scope="module")
def report() -> Profile:
    model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Flatten())
    return profile(model, tt.rand(20, 40), repeats=1)


@pytest.mark.parametrize(
    ("intensity", "attainable"), [(0.0, 0.0), (1.0, 100.0), (10.0, 1000.0), (99.0, 1000.0)]
)
def test_the_roof_is_the_lower_of_two(intensity: float, attainable: float) -> None:
    assert MACHINE.attainable(intensity) == attainable
    assert MACHINE.ridge == 10.0


def test_points_are_the_layers_that_compute(report: Profile) -> None:
    roofline = report.roofline(MACHINE)
    assert [(point.name, point.direction) for point in roofline.points] == [
        ("0", "forward"),
        ("0", "backward"),
        ("1", "forward"),
        ("1", "backward"),
    ]
    for point in roofline.points:
        assert point.attainable == MACHINE.attainable(point.cost.intensity)
        assert point.share == point.cost.flops_per_second / point.attainable
        assert (point.bound == "compute") == (point.cost.intensity >= MACHINE.ridge)
    assert str(roofline).count("backward") == 2


def test_this_machine_is_measured() -> None:
    machine = measure_machine(repeats=1)
    assert machine.peak_flops > 0
    assert machine.bandwidth > 0
    assert machine.threads == nn.get_num_threads()


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures_are_written(report: Profile, tmp_path: Path, ending: str) -> None:
    pytest.importorskip("matplotlib", reason='pictures need pip install "tt-profile[plot]"')
    starts = {"png": b"\x89PNG", "svg": b"<?xml"}
    layers, roofline = tmp_path / f"layers.{ending}", tmp_path / f"roofline.{ending}"
    report.save_picture(layers)
    report.roofline(MACHINE).save_picture(roofline)
    for path in (layers, roofline):
        assert path.read_bytes().startswith(starts[ending])


def test_without_matplotlib_the_error_says_what_to_install(
    report: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "tt-profile\[plot\]"'):
        report.save_picture(tmp_path / "layers.png")


def test_without_rich_tables_are_plain_text(
    report: Profile, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tt_profile._report.find_spec", lambda name: None)
    report.show()
    assert capsys.readouterr().out.rstrip("\n") == str(report)

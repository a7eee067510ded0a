"""A run that fails: how it ends, what it tells, and what it leaves as it was."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito import Lab, Milestone, MissingDataError, TitoError

from .experiments import REPORT, Run, draw, experiment_with

MakeScript = Callable[..., Path]


def test_a_data_error_ends_with_2(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def experiment(lab: Lab) -> None:
        raise TitoError("The digits are not there.")

    assert run(experiment) == 2
    assert capsys.readouterr().err == "line.py: The digits are not there.\n"
    assert not (REPORT / "report.json").exists()


@pytest.mark.parametrize(
    ("error", "skip", "code"),
    [
        (MissingDataError, "", 2),
        (MissingDataError, "1", 0),
        (TitoError, "", 2),
        (TitoError, "1", 2),  # a malformed file, say, is an error however it was asked for
    ],
)
def test_missing_data_is_an_error_unless_it_is_to_be_skipped(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[TitoError],
    skip: str,
    code: int,
) -> None:
    def experiment(lab: Lab) -> None:
        raise error("No digits:\n  https://one.example/digits: refused\nPut them into /data.")

    monkeypatch.setenv("TITO_SKIP_MISSING_DATA", skip)
    assert run(experiment) == code
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "line.py: No digits:",
        "  https://one.example/digits: refused",
        "Put them into /data.",
    ]
    assert ("NOT RUN" in out) is (code == 0)
    assert not (REPORT / "report.json").exists()


def test_an_interrupted_run_says_so_and_writes_nothing(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def experiment(lab: Lab) -> None:
        raise KeyboardInterrupt

    assert run(experiment) == 130
    assert "no report was written" in capsys.readouterr().err
    assert not (REPORT / "report.json").exists()


def test_a_report_folder_that_cannot_be_made_is_told_before_the_run(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    def experiment(lab: Lab) -> None:
        raise AssertionError("the run must not begin")

    assert run(experiment, "--report-dir", "file/report") == 2
    assert run(experiment, "--report-dir", "file") == 2
    assert "--report-dir" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_report_folder_is_told_before_the_run(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert run(experiment_with(1.0), "--report-dir", str(folder)) == 2


@pytest.mark.parametrize("file", ["line.png", "report.html", "report.json"])
def test_a_write_that_fails_leaves_the_files_of_the_last_run_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    assert run(experiment_with(0.95)) == 0
    before = {path.name: path.read_bytes() for path in REPORT.iterdir()}
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == file:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    assert run(experiment_with(0.99)) == 2
    assert "No space left on device" in " ".join(capsys.readouterr().err.split())
    after = {path.name: path.read_bytes() for path in REPORT.iterdir()}
    assert set(after) == set(before)  # no temporary file is left
    assert after[file] == before[file]
    assert after["report.json"] == before["report.json"]  # written last, so never ahead


@pytest.mark.parametrize("folder", ["1_1957_line", "01_57_line", "line"])
def test_a_script_outside_of_a_milestone_folder_is_told(
    make_script: MakeScript, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    script = make_script(folder=folder)
    milestone = Milestone(str(script), bar={}, epochs=1, demo_epochs=1, batch_size=1)
    assert milestone.run(experiment_with(1.0), []) == 2
    assert "NN_YEAR_name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "alt", "complaint"),
    [("../out", "A line", "lower-case"), ("", "A line", "lower-case"), ("line", " ", "alt")],
)
def test_a_picture_needs_a_plain_name_and_words(
    run: Run, name: str, alt: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(lambda lab: lab.picture(name, draw, alt=alt, caption=""))


def test_a_table_needs_a_cell_for_each_column(run: Run) -> None:
    with pytest.raises(ValueError, match="has 1 cells for 2 columns"):
        run(lambda lab: lab.table("t", ("a", "b"), [(1,)]))

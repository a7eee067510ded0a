"""The whole of it, and its files."""

import json
from pathlib import Path

import pytest

from capstone import WAYS, Digits, accuracy, load_models, measure, run
from capstone._command import main

pytestmark = pytest.mark.module_20


def test_a_run_reports_what_it_made(digits: Digits) -> None:
    result = run("mlp", epochs=3, seed=1, most_lost=1.0)
    report = result.report
    assert (report.model, report.seed, report.parameters) == ("mlp", 1, 17_226)
    assert [epoch.number for epoch in report.history] == [1, 2, 3]
    assert report.way in WAYS  # where any loss is allowed, the smallest is not the first
    assert report.accuracy == accuracy(result.model, digits.held_out) > 0.6
    assert report.small_accuracy == accuracy(result.small, digits.held_out)
    batch = digits.seen.inputs[:64]
    for model, costs in ((result.model, report.costs), (result.small, report.small_costs)):
        assert costs.memory_bytes == measure(model, batch).memory_bytes
        assert costs.flops == measure(model, batch).flops
        assert costs.seconds > 0
    assert report.costs.memory_bytes == 4 * 17_226  # of the model alone, not of its optimizer


def test_the_same_seed_is_the_same_run() -> None:
    one, same, other = (run("mlp", epochs=1, seed=seed).report for seed in (1, 1, 2))
    assert (one.history, one.accuracy) == (same.history, same.accuracy)
    assert one.history != other.history


def test_an_unknown_model_is_told() -> None:
    with pytest.raises(ValueError, match="no model 'gpt'"):
        run("gpt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a run."""
    folder = tmp_path_factory.mktemp("the runs") / "one"
    assert main(["train", "--model", "mlp", "--epochs", "2", "--out", str(folder)]) == 0
    return folder


def test_a_run_leaves_its_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        *("model.safetensors", "report.json", "report.md", "small.safetensors"),
    ]
    assert (folder / "report.md").read_text(encoding="utf-8").startswith("# mlp, seed 0\n")
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert (record["model"], len(record["history"])) == ("mlp", 2)


def test_the_models_come_back(folder: Path, digits: Digits) -> None:
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    model, small = load_models(folder)
    assert accuracy(model, digits.held_out) == record["accuracy"]
    assert accuracy(small, digits.held_out) == record["small_accuracy"]


def test_a_check_finds_what_was_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("accuracy: ")


def changed(folder: Path, into: Path, text: str | None) -> Path:
    """A copy of a run's folder with another record, or none."""
    into.mkdir()
    for path in folder.iterdir():
        (into / path.name).write_bytes(path.read_bytes())
    record = into / "report.json"
    record.unlink() if text is None else record.write_text(text, encoding="utf-8")
    return into


def test_a_check_notices_a_figure_that_was_changed(folder: Path, tmp_path: Path) -> None:
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    record["accuracy"] = 0.999
    assert main(["check", str(changed(folder, tmp_path / "copy", json.dumps(record)))]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot be read"), ("{", "is damaged"), ("[]", "schema 1"), ("{}", "schema 1")],
)
def test_a_record_that_is_none_is_told(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    message: str,
) -> None:
    assert main(["check", str(changed(folder, tmp_path / "copy", text))]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "report.json" in error


@pytest.mark.parametrize("file", ["model.safetensors", "small.safetensors"])
def test_a_file_that_is_damaged_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    record = (folder / "report.json").read_text(encoding="utf-8")
    copy = changed(folder, tmp_path / "copy", record)
    (copy / file).write_bytes(b"not a model")
    assert main(["check", str(copy)]) == 2
    assert file in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--epochs", "-1"], ["--model", "gpt"], ["--seed", "one"]])
def test_arguments_that_make_no_sense_are_refused(arguments: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", *arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert not (tmp_path / "out").exists()

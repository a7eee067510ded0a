from collections.abc import Callable
from pathlib import Path

import pytest

from tooling import seeds

Write = Callable[[str, str], Path]

# A script with the part of a milestone's behaviour that a sweep relies on.
SCRIPT = """\
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--report-dir", type=pathlib.Path)
parser.add_argument("--limit", type=int, default=99)
parser.add_argument("--broken", type=int)
parser.add_argument("--code", type=int)
options = parser.parse_args()
if options.seed == options.broken:
    sys.exit(options.code)
options.report_dir.mkdir(parents=True)
report = {
    "metrics": {"accuracy": options.seed / 10, "other": 1.0},
    "bar": {"accuracy": {"maximum": options.limit / 10}},
    "seconds": {"train": 2.0},
}
(options.report_dir / "report.json").write_text(json.dumps(report))
sys.exit(options.seed > options.limit)
"""


def test_the_spread_of_each_metric_is_its_smallest_median_and_largest_value() -> None:
    rows = seeds.spread([{"a": 3.0, "b": 0.0}, {"a": 1.0, "b": 0.0}, {"a": 2.5, "b": 9.0}])
    assert rows == [("a", 1.0, 2.5, 3.0), ("b", 0.0, 0.0, 9.0)]


def test_every_seed_runs_and_is_reported(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = write("script.py", SCRIPT)
    reports = tmp_path / "reports"
    assert seeds.main([str(script), "--seeds", "3", "--report-dir", str(reports)]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 seeds met the bar" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith("accuracy")] == [
        ["accuracy", "0", "0.1", "0.2"]
    ]
    assert sorted(path.name for path in reports.iterdir()) == ["seed_0", "seed_1", "seed_2"]


def test_flags_reach_the_script_and_a_missed_bar_is_exit_code_1(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    script = write("script.py", SCRIPT)
    assert seeds.main([str(script), "--seeds", "3", "--limit", "1"]) == 1
    printed = capsys.readouterr().out
    assert "seed   2  BAR MISSED  accuracy 0.2" in printed
    assert "2 of 3 seeds met the bar" in printed


@pytest.mark.parametrize("code", ["3", "1"])  # 1: a traceback, which leaves no report
def test_a_run_that_fails_is_exit_code_2_and_shows_why(
    write: Write, capfd: pytest.CaptureFixture[str], code: str
) -> None:
    script = write("script.py", SCRIPT)
    assert seeds.main([str(script), "--seeds", "2", "--broken", "1", "--code", code]) == 2
    assert f"seed   1  failed with exit code {code}" in capfd.readouterr().out


def test_no_seeds_is_a_usage_error(write: Write) -> None:
    script = write("script.py", SCRIPT)
    with pytest.raises(SystemExit):
        seeds.main([str(script), "--seeds", "0"])

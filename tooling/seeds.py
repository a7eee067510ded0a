"""Run a milestone's script with many seeds, and tell how far its figures spread.

``python tooling/seeds.py SCRIPT --seeds N [--report-dir DIR] [flags of the script]`` runs it with
the seeds from 0 to N - 1, prints every verdict and the spread of every metric, and exits 1 when a
run missed its bar and 2 when a run failed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def spread(reports: Sequence[dict[str, float]]) -> list[tuple[str, float, float, float]]:
    """Return for each metric its name and its smallest, median and largest value."""
    return [
        (name, min(values), statistics.median(values), max(values))
        for name in reports[0]
        for values in [[report[name] for report in reports]]
    ]


def run_seed(script: str, seed: int, folder: Path, flags: Sequence[str]) -> tuple[int, str]:
    """Run a script with one seed; return its exit code and what it printed."""
    command = [sys.executable, script, "--seed", str(seed), "--report-dir", str(folder), *flags]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with every seed and print the spread."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("script")
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--report-dir", type=Path, help="a folder to keep the reports in")
    options, flags = parser.parse_known_args(argv)
    if options.seeds < 1:
        parser.error("--seeds: expected at least 1")
    with tempfile.TemporaryDirectory(prefix="seeds-") as temporary:
        base = options.report_dir or Path(temporary)
        codes, metrics, seconds = [], [], []
        for seed in range(options.seeds):
            folder = base / f"seed_{seed}"
            code, output = run_seed(options.script, seed, folder, flags)
            # A crash of Python's is a 1 too, but it leaves no report.
            failed = code not in (0, 1) or not (folder / "report.json").exists()
            codes.append(2 if failed else code)
            if failed:
                print(output, end="")
                print(f"seed {seed:3d}  failed with exit code {code}", flush=True)
                continue
            report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
            metrics.append(report["metrics"])
            seconds.append({"seconds of training": report["seconds"]["train"]})
            verdict = "bar met" if code == 0 else "BAR MISSED"
            barred = "  ".join(f"{name} {report['metrics'][name]:.4g}" for name in report["bar"])
            print(f"seed {seed:3d}  {verdict}  {barred}", flush=True)
    if metrics:
        rows = spread(metrics) + spread(seconds)
        width = max(len(name) for name, *_ in rows)
        print(f"\n{'':{width}}  {'smallest':>9}  {'median':>9}  {'largest':>9}")
        for name, low, middle, high in rows:
            print(f"{name:{width}}  {low:9.4g}  {middle:9.4g}  {high:9.4g}")
    print(f"\n{codes.count(0)} of {len(codes)} seeds met the bar")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())

"""Builds the site: the milestones run, the notebooks are executed, and mkdocs has the last word.

``python -m tooling.site.build`` runs every milestone's script in demo mode for its page;
``--reports FOLDER`` takes the reports of other runs instead, such as full ones, and ``--data-dir``
names the data that MNIST's and CIFAR-10's scripts need. Then the built pages are checked, and the
commands that they show are run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tooling.milestones import read_milestones

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"


def run(*command: str | Path, **variables: str) -> None:
    """Run a command at the root of the repository.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    _run(*command, **variables).check_returncode()


def _run(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    print("$", *command, flush=True)
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False)


def run_milestones(reports: Path, data_dir: Path | None) -> None:
    """Run every milestone's script in demo mode, but those whose data are not at hand.

    A bar that was missed is no error here: the page says so.

    Raises:
        subprocess.CalledProcessError: A run failed, and left no verdict.
    """
    # Nothing is downloaded: a page of a script that was not run says so.
    variables = {"TITO_SKIP_MISSING_DATA": "1"}
    data: list[str | Path] = [] if data_dir is None else ["--data-dir", data_dir.resolve()]
    for milestone in read_milestones(ROOT):
        for name, script in milestone.scripts.items():
            folder = reports / milestone.session / name
            options = ("--demo-mode", "--report-dir", folder, *data)
            done = _run(sys.executable, script, *options, **variables)
            if done.returncode != 1 or not (folder / "report.json").exists():
                done.check_returncode()


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site and check it."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--reports", type=Path, help="reports to show, as milestones leave them")
    parser.add_argument("--data-dir", type=Path, help="the data sets of the milestones")
    parser.add_argument("--no-commands", action="store_true", help="do not run what pages show")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="site-") as temporary:
        reports = Path(temporary)
        if options.reports is None:
            run_milestones(reports, options.data_dir)
        else:
            reports = options.reports.resolve()
        one_core = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        run(sys.executable, "-m", "tooling.notebooks", **one_core)
        # The theme's word on its own future is for those who choose it, not for who builds.
        variables = {"SITE_REPORTS": str(reports), "NO_MKDOCS_2_WARNING": "1"}
        run(sys.executable, "-m", "mkdocs", "build", "--strict", **variables)
    run(sys.executable, "-m", "tooling.site.check", SITE)
    if not options.no_commands:
        run(sys.executable, "-m", "tooling.site.commands")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failure:
        sys.exit(f"{failure.cmd[0]} failed with exit code {failure.returncode}: {failure.cmd}")

"""A plugin of pytest: runs the tests that a file names, and writes down how each one ended.

A copy stands beside the packages that are tested, where ``-p recorder`` finds it. RECORD names the
file of the record; ONLY, where it is set, a file with the ids of the tests to run.
"""

import json
import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings


class Recorder:
    """Collects the record of one run."""

    def __init__(self, file: Path, only: frozenset[str] | None) -> None:
        self.file = file
        self.only = only
        self.tests: list[str] = []
        self.failed: dict[str, str] = {}
        self.skipped: list[str] = []
        self.broken: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what cannot be collected."""
        if report.failed:
            self.broken[report.nodeid] = _reason(report)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep only the tests that were asked for, and note what remains."""
        if self.only is not None:
            left = [item for item in items if item.nodeid not in self.only]
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if item.nodeid in self.only]
        self.tests = [item.nodeid for item in items]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure in any phase of a test, and what is skipped."""
        if report.failed:
            self.failed.setdefault(report.nodeid, _reason(report))
        elif report.skipped:
            self.skipped.append(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write the record."""
        record = {
            "tests": self.tests,
            "failed": self.failed,
            "skipped": self.skipped,
            "broken": self.broken,
        }
        self.file.write_text(json.dumps(record), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Start recording, with the same examples in every run and none made smaller."""
    phases = [Phase.explicit, Phase.generate]
    settings.register_profile("sweep", derandomize=True, database=None, phases=phases)
    settings.load_profile("sweep")
    only = os.environ.get("ONLY")
    chosen = frozenset(json.loads(Path(only).read_text(encoding="utf-8"))) if only else None
    config.pluginmanager.register(Recorder(Path(os.environ["RECORD"]), chosen))


def _reason(report: pytest.CollectReport | pytest.TestReport) -> str:
    """Return the last line of what went wrong: the error itself."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[0] if crash is not None else lines[-1])[:200] if lines else "no reason given"

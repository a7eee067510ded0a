"""A checkout to look at, distributions to find, and a way to run the `tito` command."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tt_tito.cli import main

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [{}]
# ///
"""
DOCSTRING = '"""A line fits.\n\nThe story of the line.\n"""\n'

MakeScript = Callable[..., Path]
MakeDistribution = Callable[..., Path]
Tito = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder for a checkout."""
    return tmp_path / "a checkout"  # a space in its path, as on many a desktop


@pytest.fixture
def make_script(root: Path) -> MakeScript:
    """Write a milestone's script into the checkout."""

    def make(
        body: str = "",
        *,
        folder: str = "01_1957_line",
        name: str = "line.py",
        needs: str = '"tt-nn>=0.1", "tt-tito>=0.1"',
        source: str | None = None,
    ) -> Path:
        path = root / "milestones" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BLOCK.format(needs) + DOCSTRING + body if source is None else source)
        return path

    return make


@pytest.fixture
def make_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeDistribution]:
    """Install a distribution that shadows any other of its name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def make(
        name: str,
        version: str = "0.1.0",
        *,
        needs: tuple[str, ...] = (),
        url: object = None,
        entry_points: str = "",
        modules: Mapping[str, str] | None = None,
    ) -> Path:
        module = name.replace("-", "_")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in needs]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(entry_points)
        if url is not None:
            record = url if isinstance(url, str) else json.dumps(url)
            (info / "direct_url.json").write_text(record)
        for file, source in ({module: ""} if modules is None else modules).items():
            (site / f"{file}.py").write_text(source)
        return info

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        if name.startswith("tt_"):
            del sys.modules[name]


@pytest.fixture
def tito(capsys: pytest.CaptureFixture[str]) -> Tito:
    """Run `tito` in this process: exit code, standard output, errors on one line."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stop:  # argparse's own help and errors
            code = stop.code if isinstance(stop.code, int) else 1
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return run

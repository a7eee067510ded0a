"""Runs programs under ``mpiexec``, where that and mpi4py are installed."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Run:
    """How a run of several processes ended."""

    code: int
    output: str
    errors: str
    seconds: float


Launch = Callable[..., Run]


def left_over(mark: str) -> list[str]:
    """Return the processes that have a mark in their environment, where the system shows it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    """Return what runs a program as so many processes and sees that none of them remains."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if find_spec("mpi4py") is None or mpiexec is None:
        pytest.skip("needs mpi4py and mpiexec")

    def run(size: int, program: str, *arguments: str, **variables: str) -> Run:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(program), encoding="utf-8")
        mark = uuid.uuid4().hex
        # Of lines that several processes write without a buffer the words would mix.
        alone = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "", "TEST_MARK": mark}
        began = time.monotonic()
        done = subprocess.run(
            [mpiexec, "-n", str(size), sys.executable, "-W", "error", str(script), *arguments],
            cwd=tmp_path,
            env={**os.environ, **alone, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        seconds = time.monotonic() - began
        print(f"{seconds:.1f} seconds, exit code {done.returncode}")
        print(done.stdout, done.stderr, sep="\n")
        time.sleep(0.1)  # for processes that end with their launcher
        assert left_over(mark) == []
        return Run(done.returncode, done.stdout, done.stderr, seconds)

    return run

"""What this machine is, and what a run ran on."""

import builtins
import io
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl  # type: ignore[import-untyped]  # ships no types

import tt_nn as nn
from tt_tito._environment import (
    available_cpus,
    blas_libraries,
    cpu_name,
    describe_environment,
)

pytestmark = pytest.mark.module_01


def test_there_are_as_many_cpus_as_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_cpus() >= 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert available_cpus() == 3  # of the machine's, which may be many more


@pytest.mark.parametrize(("counted", "cpus"), [(6, 6), (None, 1)])
def test_where_no_one_says_what_may_be_used_all_cpus_count(
    monkeypatch: pytest.MonkeyPatch, counted: int | None, cpus: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert available_cpus() == cpus


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is opened in place of /proc/cpuinfo, by open or a method of Path; none yet."""
    there, real = tmp_path / "cpuinfo", open

    def opened(file: Any, *arguments: Any, **options: Any) -> Any:
        # pathlib may open what it was given as a path or as its text.
        file = there if str(file) == "/proc/cpuinfo" else file
        return real(file, *arguments, **options)

    monkeypatch.setattr(builtins, "open", opened)
    monkeypatch.setattr(io, "open", opened)  # of pathlib
    return there


def test_the_cpu_has_the_name_that_the_machine_tells(cpuinfo: Path) -> None:
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: A Fast One: 3 GHz\nflags\t: fpu\nmodel name\t: Another\n"
    )
    assert cpu_name() == "A Fast One: 3 GHz"


@pytest.mark.parametrize(
    ("processor", "machine", "name"), [("arm64e", "arm64", "arm64e"), ("", "arm64", "arm64")]
)
def test_without_proc_the_platform_names_the_cpu(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch, processor: str, machine: str, name: str
) -> None:
    assert not cpuinfo.exists()
    monkeypatch.setattr(platform, "processor", lambda: processor)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert cpu_name() == name


OPENBLAS = {
    "user_api": "blas",
    "internal_api": "openblas",
    "version": "0.3.31",
    "architecture": "SkylakeX",
    "num_threads": 2,
}
OPENMP = {"user_api": "openmp", "internal_api": "openmp", "version": None, "num_threads": 8}
MKL = {"user_api": "blas", "internal_api": "mkl", "version": None, "num_threads": 4}


def test_each_blas_has_a_name_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        threadpoolctl.ThreadpoolController, "info", lambda _: [OPENBLAS, OPENMP, MKL]
    )
    found = [(library.name, library.threads) for library in blas_libraries()]
    assert found == [("openblas 0.3.31 SkylakeX", 2), ("mkl", 4)]  # OpenMP is no BLAS


def test_the_threads_of_blas_are_those_that_it_was_started_with() -> None:
    program = (
        "import json\n"
        "from tt_tito._environment import blas_libraries\n"
        "print(json.dumps([library.threads for library in blas_libraries()]))\n"
    )
    here = [(library.name, library.threads) for library in blas_libraries()]
    if not any(name.startswith("openblas") for name, _ in here):
        pytest.skip("this NumPy does not use OpenBLAS, which the environment tells its threads")
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert run.stderr == ""
    assert 1 in json.loads(run.stdout)


def test_the_environment_says_what_a_run_ran_on() -> None:
    found = describe_environment()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["threads"] == nn.get_num_threads()
    assert found["cpu"] == f"{cpu_name()}, {available_cpus()} available"
    assert found["blas"] == ", ".join(library.name for library in blas_libraries()) or "none found"
    packages = found["packages"]
    assert isinstance(packages, dict)
    for name in ("tt-tensor", "tt-autograd", "tt-nn", "tt-tito"):
        assert packages[name] == version(name)
    assert json.loads(json.dumps(found)) == found  # a report takes it


def test_an_environment_without_a_blas_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadpoolctl.ThreadpoolController, "info", lambda _: [OPENMP])
    assert describe_environment()["blas"] == "none found"

"""A run in several processes, and what a process keeps of the machine."""

import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tt_nn as nn
from tt_tito import Lab, TitoError
from tt_tito._environment import share_of_cpus

from .experiments import REPORT, Run, experiment_with, read_report

MakeScript = Callable[..., Path]


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let this process be one of three, as ``mpiexec`` tells it by its environment."""

    def become(rank: int) -> None:
        monkeypatch.setenv("PMI_RANK", str(rank))
        monkeypatch.setenv("PMI_SIZE", "3")

    return become


def test_the_first_of_several_processes_reports_for_all(
    run: Run, as_rank: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    as_rank(0)
    assert run(experiment_with(0.5), "--seed", "2", "--threads", "1") == 1
    assert "NOT PASSED" in capsys.readouterr().out
    report = read_report()
    assert isinstance(report["environment"], dict)
    assert report["environment"]["processes"] == 3
    page = (REPORT / "report.html").read_text(encoding="utf-8")
    assert "mpiexec -n 3 python line.py --seed 2" in page
    assert "in each of 3 processes" in page


def test_the_others_are_silent_and_leave_the_verdict_to_it(
    run: Run, as_rank: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    as_rank(2)
    seen: list[Lab] = []

    def experiment(lab: Lab) -> None:
        print("by the script itself")
        experiment_with(0.5)(lab)
        lab.save_weights(nn.Linear(1, 1))
        seen.append(lab)

    assert run(experiment, "--threads", "1") == 0
    assert len(seen) == 1
    assert not seen[0].speaks
    assert capfd.readouterr() == ("", "")
    assert not Path("reports").exists()


def test_an_error_of_another_process_names_it(
    run: Run, as_rank: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def experiment(lab: Lab) -> None:
        raise TitoError("Nothing to learn from.")

    as_rank(1)
    assert run(experiment, "--threads", "1") == 2
    assert capsys.readouterr() == ("", "line.py, rank 1: Nothing to learn from.\n")


@pytest.mark.parametrize(
    "local", ["MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", ""], ids=["mpich", "open-mpi", ""]
)
def test_processes_share_the_cpus(
    local: str, as_rank: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tt_tito._environment.available_cpus", lambda: 12)
    assert share_of_cpus() == 12
    as_rank(1)
    if local:
        monkeypatch.setenv(local, "2")
    assert share_of_cpus() == (6 if local else 4)
    monkeypatch.setattr("tt_tito._environment.available_cpus", lambda: 1)
    assert share_of_cpus() == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_memory_that_is_freed_is_kept_where_the_c_library_can(
    make_script: MakeScript, tmp_path: Path
) -> None:
    """After a large array is gone, the process still has its pages, and gets them again."""
    script = make_script(
        "import sys\n"
        "import resource\n"
        "import numpy as np\n"
        "from tt_tito import Milestone, TitoError\n"
        "def experiment(lab):\n"
        "    for _ in range(2):\n"
        "        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "        np.ones(1 << 24)\n"
        "        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults\n"
        "    raise TitoError(f'{faults} faults')\n"
        "milestone = Milestone(__file__, bar={}, epochs=1, demo_epochs=1, batch_size=1)\n"
        "sys.exit(milestone.run(experiment))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), "--report-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert int(done.stderr.split()[1]) < 100  # of 32,768 pages

"""However a rank ends before its time, the others end too, and say which it was."""

import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

Launch = Callable[..., Any]

# Every rank takes part in collectives, until one does what the first argument says.
PROGRAM = """
    import os
    import signal
    import sys
    import time
    import numpy as np
    from tt_optim.distributed import RankLostError, world

    deed, victim = sys.argv[1], int(sys.argv[2])
    w = world()
    print(w.rank, os.getpid(), flush=True)
    array = np.zeros(100_000)
    for step in range(1_000_000):
        if step == 100 and w.rank == victim:
            exec(deed)
        elif step == 100:
            exec(sys.argv[3])
        try:
            w.all_reduce(array)
        except RankLostError as error:
            assert error.rank == victim
            raise
"""


@dataclass(frozen=True)
class Deed:
    """What a rank does, what others do meanwhile, and what must stand in the errors."""

    code: str
    own: str  # of the rank itself, or of its guard; {} is the rank with its process
    others: str  # of every other rank
    meanwhile: str = ""
    within: float = 30.0  # seconds that the run may take


KILL = "os.kill(os.getpid(), signal.SIGKILL)"
DEEDS = {
    "is killed": Deed(KILL, "{} was killed by SIGKILL", "{} is gone"),
    "is killed while others compute": Deed(
        KILL, "{} was killed by SIGKILL", "{} is gone", meanwhile="sum(range(10**8))", within=25
    ),
    "crashes": Deed(
        "os.kill(os.getpid(), signal.SIGSEGV)", "{} was killed by SIGSEGV", "{} is gone"
    ),
    "raises": Deed(
        "raise ValueError('bad thing\\nand more')",
        "{} ends with an error:",
        "{} ended with ValueError: bad thing;",
    ),
    "is interrupted": Deed(
        "os.kill(os.getpid(), signal.SIGINT)",
        "{} ends with an error:",
        "{} ended with KeyboardInterrupt;",
    ),
    "exits": Deed("sys.exit(3)", "", "{} has ended its program, where others still wait for it"),
    "exits as if all were well": Deed(
        "sys.exit()", "", "{} has ended its program, where others still wait for it"
    ),
    "exits at once": Deed("os._exit(0)", "{} ended before the others", "{} is gone"),
}


@pytest.mark.parametrize(("size", "victim"), [(2, 0), (4, 2)])
@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_the_others_stop_and_name_the_rank(
    deed: Deed, size: int, victim: int, launch: Launch
) -> None:
    run = launch(size, PROGRAM, deed.code, str(victim), deed.meanwhile)
    assert run.code != 0
    assert run.seconds < deed.within
    processes = dict(re.findall(r"^(\d+) (\d+)$", run.output, re.MULTILINE))
    assert len(processes) == size
    who = f"rank {victim} (process {processes[str(victim)]} on {socket.gethostname()})"
    lines = run.errors.splitlines()
    if deed.own:
        assert f"tt_optim.distributed: {deed.own.format(who)}" in lines
    for rank in range(size):
        if rank != victim:
            found = [line for line in lines if f"this is rank {rank}, which cannot go on" in line]
            assert len(found) == 1
            assert f"RankLostError: {deed.others.format(who)}" in found[0]
            assert found[0].endswith("which cannot go on without it. Start all ranks again")


def test_a_rank_that_does_not_notice_is_ended(launch: Launch) -> None:
    run = launch(3, PROGRAM, KILL, "1", "time.sleep(100)")
    assert run.code != 0
    assert run.seconds < 30
    for rank in (0, 2):
        assert f"is gone, and rank {rank} goes on alone: it is ended" in run.errors


def test_the_death_of_a_guard_ends_the_run(launch: Launch) -> None:
    run = launch(3, PROGRAM, "os.kill(os.getppid(), signal.SIGKILL)", "1", "time.sleep(100)")
    assert run.code != 0
    assert run.seconds < 30
    assert "the guard of rank 1 was ended, and the run with it" in run.errors


@pytest.mark.parametrize("code", [1, 3])
def test_an_exit_code_of_all_ranks_is_that_of_the_run(code: int, launch: Launch) -> None:
    program = f"import sys\nfrom tt_optim.distributed import world\nworld()\nsys.exit({code})"
    run = launch(3, program)
    assert (run.code, run.output, run.errors) == (code, "", "")


@pytest.mark.parametrize("error", ["ValueError('all')", "KeyboardInterrupt"])
def test_when_all_ranks_raise_all_show_it(error: str, launch: Launch) -> None:
    run = launch(3, f"from tt_optim.distributed import world\nworld()\nraise {error}")
    assert run.code != 0
    assert run.seconds < 30
    assert run.errors.count(f"    raise {error}") == 3


BEFORE = """
    import os, signal, sys, time
    if os.environ["PMI_RANK"] == "1":
        time.sleep(float(sys.argv[1]))
        exec(sys.argv[2])
    from tt_optim.distributed import world
    world().barrier()
"""


@pytest.mark.parametrize("seconds", ["0", "2"])
@pytest.mark.parametrize("deed", ["sys.exit(5)", "sys.exit()", "1 / 0"])
def test_a_rank_that_ends_before_the_run_begins_is_named(
    deed: str, seconds: str, launch: Launch
) -> None:
    run = launch(3, BEFORE, seconds, deed)
    assert run.code != 0
    assert run.seconds < 30
    for rank in (0, 2):
        assert f"rank 1 ended before it joined the run, and rank {rank} cannot" in run.errors


@pytest.mark.parametrize("seconds", ["0", "2"])
def test_a_rank_that_is_killed_before_the_run_begins_ends_it(seconds: str, launch: Launch) -> None:
    run = launch(3, BEFORE, seconds, KILL)
    assert run.code != 0
    assert run.seconds < 30  # the launcher ends the others: they can say nothing


def test_a_rank_that_comes_late_is_waited_for(launch: Launch) -> None:
    run = launch(3, BEFORE, "3", "")
    assert (run.code, run.errors) == (0, "")


UNGUARDED = """
    import sys
    import numpy as np
    from mpi4py import MPI  # which begins: too late for a guard
    from tt_optim.distributed import world

    w = world()
    array = np.ones(2)
    w.all_reduce(array)
    if sys.argv[1] == "raises" and w.rank == 1:
        raise ValueError("alone")
    if sys.argv[1] == "raises":
        w.all_reduce(array)
    print(array.sum())
"""


@pytest.mark.parametrize("deed", ["raises", "ends"])
def test_without_a_guard_a_run_ends_all_the_same(deed: str, launch: Launch) -> None:
    run = launch(2, UNGUARDED, deed)
    if deed == "ends":
        assert (run.code, run.output, run.errors) == (0, "4.0\n4.0\n", "")
    else:
        assert run.code != 0
        assert "ValueError: alone" in run.errors
    assert run.seconds < 30

"""Strangers' programs under limits: what each tries, how it ends, and what is left of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tt_tito.teaching._limits import (
    Guard,
    Limits,
    missing_protections,
    namespaces_work,
    private_environment,
)
from tt_tito.trial._process import Ended

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has limits of time only")

LIMITS = Limits(
    seconds=20, cpu_seconds=1, memory=128 << 20, file_size=1 << 20, disk=8 << 20, processes=8
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(params=[False, True], ids=["plain", "namespaces"])
def namespaces(request: pytest.FixtureRequest) -> bool:
    """Whether a guard uses Linux's namespaces."""
    use: bool = request.param
    if use and not namespaces_work():
        pytest.skip("this system lets its users make no namespaces")
    return use


Run = Callable[..., Ended]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one folder that a program may write to."""
    folder = tmp_path / "her work"
    folder.mkdir()
    return folder


@pytest.fixture
def run(folder: Path, namespaces: bool) -> Run:
    """Run a program under limits."""

    def call(program: str, *, given: str = "", limits: Limits = LIMITS) -> Ended:
        guard = Guard(limits, namespaces=namespaces)
        return guard(command(program), folder=folder, environment=os.environ, given=given)

    return call


def command(program: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(program)]


def alive(marker: str) -> list[str]:
    """The processes whose command line holds a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(entry.name)
    return found


def test_what_keeps_to_the_limits_runs_as_it_would_without(run: Run, folder: Path) -> None:
    program = """
        import os, pathlib, sys
        print(sys.stdin.read(), os.getcwd(), pathlib.Path.home(), file=sys.stderr)
        raise SystemExit(3)
    """
    ended = run(program, given="a word")
    assert (ended.code, ended.reason) == (3, None)
    assert ended.output == f"a word {folder} {folder / '.home'}\n"


STOPPED = {
    "loops": ("while True: pass", "used more than 1 seconds of processor time"),
    "waits": ("import time; time.sleep(60)", "ran longer than 2 seconds"),
    "prints without end": ("while True: print('x' * 1000)", "seconds"),
    "eats memory": (
        "kept = []\nwhile True: kept.append(b'x' * 2**20)",
        "used more than 128 MiB of memory",
    ),
    "eats memory in many processes": (
        """
        import os, time
        for _ in range(4):
            if os.fork() == 0:
                kept = b'x' * (50 << 20)
                time.sleep(60)
        time.sleep(60)
        """,
        "used more than 128 MiB of memory",
    ),
    "forks without end": ("import os\nwhile True: os.fork()", "had more than 8 processes at once"),
    "fills the disk": (
        """
        import time
        for number in range(64):
            open(str(number), 'wb').write(b'x' * 2**19)
        time.sleep(60)
        """,
        "wrote more than 8 MiB to the disk",
    ),
    "fills the disk with empty files and folders": (
        """
        import os
        for number in range(2000):
            os.mkdir(str(number))
            open(f'{number}/empty', 'w').close()
        while True: os.sched_yield()
        """,
        "wrote more than 8 MiB to the disk",
    ),
    "makes folders in folders": (
        """
        import os
        for _ in range(1000):
            os.mkdir('a' * 100)
            os.chdir('a' * 100)
        while True: os.sched_yield()
        """,
        "made folders too deep to be measured",
    ),
    "fills the disk with files that no folder shows": (
        """
        import os, time
        kept = []
        for number in range(64):
            kept.append(open('x', 'wb', buffering=0))
            kept[-1].write(b'x' * 2**19)
            os.unlink('x')
        time.sleep(60)
        """,
        "wrote more than 8 MiB to the disk",
    ),
}


@linux
@pytest.mark.parametrize(("program", "reason"), STOPPED.values(), ids=STOPPED)
def test_what_takes_too_much_is_stopped_with_the_reason(
    run: Run, program: str, reason: str
) -> None:
    seconds = 2 if "seconds" in reason and "processor" not in reason else 60
    ended = run(program, limits=replace(LIMITS, seconds=seconds))
    assert ended.reason is not None
    assert reason in ended.reason
    assert ended.code != 0
    assert len(ended.output) <= LIMITS.output


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("open('large', 'wb').write(b'x' * 2**21)", "File too large"),
        ("bytearray(2**40)", "MemoryError"),
    ],
)
def test_what_a_limit_forbids_at_once_is_an_error_of_the_program(
    run: Run, program: str, error: str
) -> None:
    ended = run(program)
    assert (ended.code, ended.reason) == (1, None)
    assert error in ended.output


@linux
def test_a_process_that_is_left_behind_is_found_and_killed(run: Run) -> None:
    marker = f"marker-{time.monotonic_ns()}"
    program = f"""
        import os, time
        "{marker}"
        if os.fork() == 0:
            os.setsid()  # neither its parent nor its group is that of the command
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
    """
    ended = run(program)
    assert ended.reason == "left a process running after it had ended"
    assert alive(marker) == []


@linux
def test_killing_whoever_watches_gains_nothing(run: Run, namespaces: bool) -> None:
    marker = f"marker-{time.monotonic_ns()}"
    program = f"""
        import os, signal, time
        "{marker}"
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    """
    reason = run(program, limits=replace(LIMITS, seconds=2)).reason or ""
    assert ("ran longer" if namespaces else "watches over it ended too early") in reason
    time.sleep(0.1)
    assert alive(marker) == []


def test_a_program_that_is_not_there_is_told(folder: Path, namespaces: bool) -> None:
    guard = Guard(LIMITS, namespaces=namespaces)
    ended = guard(["no-such-program"], folder=folder, environment=os.environ)
    assert ended.code == 127
    assert "no-such-program cannot be started" in ended.output


ISOLATED = {
    "the network": ("import socket; socket.create_connection(('192.0.2.1', 80), 1)", "unreachable"),
    "another folder": ("open('../theirs.txt', 'w')", "Read-only file system"),
    "other processes": ("import os; os.kill(OUTSIDE, 9)", "No such process"),
    "its watcher's pipe": (
        """
        import os
        for name in os.listdir('/proc/1/fd'):
            if int(name) > 2:
                open(f'/proc/1/fd/{name}', 'w')
        """,
        "Permission denied",
    ),
    "its limits": (
        "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (r.RLIM_INFINITY,) * 2)",
        "not allowed to raise",
    ),
}


@pytest.mark.skipif(not namespaces_work(), reason="this system lets its users make no namespaces")
@pytest.mark.parametrize(("program", "error"), ISOLATED.values(), ids=ISOLATED)
def test_what_is_outside_cannot_be_reached(folder: Path, program: str, error: str) -> None:
    guard = Guard(LIMITS, namespaces=True)
    assert guard.missing == ()
    program = program.replace("OUTSIDE", str(os.getpid()))
    ended = guard(command(program), folder=folder, environment=os.environ)
    assert (ended.code, ended.reason) == (1, None)
    assert error in ended.output
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.skipif(not namespaces_work(), reason="this system lets its users make no namespaces")
def test_a_program_outside_is_not_reached_by_its_socket(folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as place,  # the names of sockets are short
        socket.socket(socket.AF_UNIX) as server,
        socket.socket(socket.AF_UNIX) as client,
    ):
        name = str(Path(place, "server"))
        server.bind(name)
        server.listen()
        client.connect(name)
        program = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
        ended = Guard(LIMITS, namespaces=True)(
            command(program), folder=folder, environment=os.environ
        )
    assert (ended.code, ended.reason) == (1, None)
    assert "Connection refused" in ended.output


@linux
@pytest.mark.skipif(not namespaces_work(), reason="this system lets its users make no namespaces")
def test_shared_memory_does_not_outlive_it(folder: Path) -> None:
    segments = Path("/proc/sysvipc/shm")
    program = """
        import ctypes
        print(ctypes.CDLL(None).shmget(0x7474, 4096, 0o1600) >= 0)
    """
    ended = Guard(LIMITS, namespaces=True)(command(program), folder=folder, environment=os.environ)
    assert (ended.code, ended.output) == (0, "True\n")
    assert not [line for line in segments.read_text().splitlines() if line.split()[0] == "29812"]


@linux
def test_a_chain_of_folders_can_be_removed(run: Run, folder: Path) -> None:
    program = """
        import os
        for _ in range(1200):
            os.mkdir('a')
            os.chdir('a')
        open('file', 'w').close()
        os.chmod('.', 0)
    """
    ended = run(program, limits=replace(LIMITS, disk=64 << 20))
    assert ended.reason in (None, "made folders too deep to be measured")
    assert len(list(folder.iterdir())) > 3  # with its home and its folder for temporary files
    shutil.rmtree(folder)
    assert not folder.exists()


def test_a_server_of_its_own_and_locks_are_not_taken_away(run: Run) -> None:
    program = """
        import multiprocessing, socket
        server = socket.create_server(('127.0.0.1', 0))
        socket.create_connection(server.getsockname())
        with multiprocessing.Lock():
            print('fine')
    """
    ended = run(program)
    assert (ended.code, ended.output) == (0, "fine\n")


@linux
def test_what_runs_can_be_stopped(folder: Path, namespaces: bool) -> None:
    marker = f"marker-{time.monotonic_ns()}"
    guard = Guard(LIMITS, namespaces=namespaces)
    timer = threading.Timer(0.5, guard.stop)
    timer.start()
    ended = guard(
        command(f"'{marker}'; import time; time.sleep(60)"), folder=folder, environment=os.environ
    )
    assert ended.reason == "was ended by tito"
    assert alive(marker) == []
    timer.join()


@linux
def test_nothing_outlives_tito_itself(folder: Path, namespaces: bool) -> None:
    marker = f"marker-{time.monotonic_ns()}"
    program = textwrap.dedent(f"""
        import os, sys
        from pathlib import Path
        from tt_tito.teaching._limits import Guard, Limits
        command = [sys.executable, "-c", "'{marker}'; import time; time.sleep(60)"]
        guard = Guard(Limits(), namespaces={namespaces})
        guard(command, folder=Path({str(folder)!r}), environment=os.environ)
    """)
    tito = subprocess.Popen([sys.executable, "-c", program])
    try:
        while len(alive(f"-c\0'{marker}'")) == 0:
            assert tito.poll() is None
            time.sleep(0.05)
    finally:
        tito.kill()
        tito.wait()
    end = time.monotonic() + 10
    while alive(marker) and time.monotonic() < end:
        time.sleep(0.05)
    assert alive(marker) == []


def test_secrets_of_the_environment_stay_outside(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setenv("A_SECRET", "token")
    given = dict(os.environ) | {"GIVEN": "to the command"}
    kept = private_environment(given, folder)
    assert "A_SECRET" not in kept
    assert kept["GIVEN"] == "to the command"
    assert kept["PATH"] == os.environ["PATH"]
    assert Path(kept["TMPDIR"]).parent == folder


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_what_a_platform_lacks_is_told(platform: str) -> None:
    missing = missing_protections(namespaces=False, platform=platform)
    assert "the network was not taken away" in missing
    assert ("time was limited, but neither memory nor disk" in missing) == (platform == "win32")


@linux
def test_without_a_warden_time_is_still_limited(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    guard = Guard(replace(LIMITS, seconds=1), namespaces=False)
    ended = guard(command("while True: pass"), folder=folder, environment=os.environ)
    assert (ended.code, ended.reason) == (-signal.SIGKILL, "ran longer than 1 seconds")
    ended = guard(
        command("print(input(), 'back')"), folder=folder, environment=os.environ, given="there and"
    )
    assert (ended.code, ended.output) == (0, "there and back\n")

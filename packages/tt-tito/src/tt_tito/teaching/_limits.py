"""Running a stranger's code: with limits, in a process tree that is killed whole, cut off.

A `Guard` runs a command as `tt_tito.trial._process.launch` does, and ends it when it takes too
much. What stands between the command and everything else is `_warden`, a small program that
starts it and watches it from outside:

- limits of wall time, processor time, memory (each process's and all together), the size of a file
  and of all files, and the number of processes;
- when the command has ended, whatever it left running is killed, and told as a reason to fail;
- on Linux, where the kernel grants namespaces to an ordinary user: no network but its own loopback,
  no process and no shared memory but its own, no socket of a program outside, and a file system
  that is read-only except for one folder;
- of the environment it gets what is harmless or was set for it: no secret of the user who grades.

Where one of these cannot be had, ``guard.missing`` says so, for the result to tell.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import IO

from tt_tito.trial._process import Ended

WARDEN = Path(__file__).with_name("_warden.py")
# Of util-linux. With --kill-child the warden dies with it, and all others with the warden, which
# needs its capabilities to take things away; then it drops them. No one is root in there: what a
# program may not write, it may not write.
UNSHARE = (
    "unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "--mount", "--net",
    "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
HARMLESS = frozenset(
    ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "NUMBER_OF_PROCESSORS", "PATHEXT")
) | {"SYSTEMROOT", "WINDIR", "COMSPEC", "PROCESSOR_ARCHITECTURE"}
DEEPEST = 300  # characters of the path of a folder, below the command's, when it has ended
OVERTIME = 10.0  # seconds that the warden has to end, after the command's time is over


@dataclass(frozen=True, slots=True)
class Limits:
    """What a command may take.

    Attributes:
        seconds: Wall time.
        cpu_seconds: Processor time of each process, all its threads together.
        memory: Bytes that all its processes hold together.
        file_size: Bytes of each file that it writes.
        disk: Bytes of all files in its folder.
        processes: How many processes there may be at once.
        output: Bytes of its output that are kept, the last ones.
    """

    seconds: float = 300.0
    cpu_seconds: int = 300
    memory: int = 2 << 30
    file_size: int = 1 << 30
    disk: int = 4 << 30
    processes: int = 64
    output: int = 20_000


class Guard:
    """Runs commands under limits; one can be used from several threads at once.

    Args:
        limits: What each command may take.
        namespaces: Whether to use Linux's namespaces; by default, wherever a trial shows that they
            work.

    Attributes:
        missing: The protections that this platform does not give, in words.
    """

    def __init__(self, limits: Limits, *, namespaces: bool | None = None) -> None:
        self.limits = limits
        self._namespaces = namespaces_work() if namespaces is None else namespaces
        self._lifelines: set[int] = set()
        self._stopped = False
        self._lock = threading.Lock()
        self.missing = missing_protections(namespaces=self._namespaces)

    def __call__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        given: str = "",
    ) -> Ended:
        """Run a command.

        Args:
            command: The program and its arguments.
            folder: Where it runs, and the one folder that it may write to.
            environment: Its environment.
            given: What it reads from its standard input.

        Returns:
            How it ended: its exit code, the reason if it was stopped, the end of its output.
        """
        if self._stopped:
            return Ended(code=1, reason="was not started, since tito was stopped", output="")
        folder = folder.resolve()
        environment = private_environment(environment, folder)
        if sys.platform == "win32":
            return self._run_alone(command, folder, environment, given)
        return self._run_watched(command, folder, environment, given)

    def stop(self) -> None:
        """End the commands that run now, and start no more."""
        with self._lock:
            self._stopped = True
            while self._lifelines:
                os.close(self._lifelines.pop())

    def _run_watched(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], given: str
    ) -> Ended:
        """Run a command with a warden."""
        watched, lifeline = os.pipe()
        answer, report = os.pipe()
        # Opened here, it names the sockets of this network, not those of the command's.
        sockets = os.open("/proc/net/unix" if self._namespaces else os.devnull, os.O_RDONLY)
        with self._lock:
            self._lifelines.add(lifeline)
        try:
            job = {
                **asdict(self.limits),
                # Twice: memory that is reserved, not used, counts here. What is used is watched.
                "address_space": 2 * self.limits.memory + (1 << 30),
                "command": list(command),
                "folder": str(folder),
                "environment": dict(environment),
                "namespaces": self._namespaces,
                "lifeline": watched,
                "sockets": sockets,
            }
            warden = [sys.executable, "-I", "-S", str(WARDEN), json.dumps(job), str(report)]
            try:
                process = subprocess.Popen(
                    [*(UNSHARE if self._namespaces else ()), *warden],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(watched, report, sockets),
                    start_new_session=True,
                )
            finally:
                for descriptor in (watched, report, sockets):
                    os.close(descriptor)
            tail = Tail(process, given, self.limits.output)
            try:
                code = process.wait(self.limits.seconds + OVERTIME)
            except subprocess.TimeoutExpired:
                self._release(lifeline)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(OVERTIME)
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
            with open(answer, "rb", closefd=False) as file:
                os.set_blocking(answer, False)
                verdict = file.read() or b""
        finally:
            os.close(answer)
            self._release(lifeline)
            take_apart(folder)
        return ended(code, verdict, tail.text())

    def _release(self, lifeline: int) -> None:
        with self._lock:
            if lifeline in self._lifelines:
                self._lifelines.remove(lifeline)
                os.close(lifeline)

    def _run_alone(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], given: str
    ) -> Ended:
        """Run a command with a limit of time only."""
        process = subprocess.Popen(
            list(command),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        tail = Tail(process, given, self.limits.output)
        reason = None
        try:
            code = process.wait(self.limits.seconds)
        except subprocess.TimeoutExpired:
            reason = f"ran longer than {self.limits.seconds:g} seconds"
            kill_tree(process)
            code = process.wait()
        return Ended(code=code, reason=reason, output=tail.text())


class Tail:
    """The end of what a process prints, read while it runs; gives it its input first."""

    def __init__(self, process: subprocess.Popen[bytes], given: str, size: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._size, self._kept = size, b""
        self._thread = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._thread.start()
        with suppress(OSError):  # it may have ended already
            process.stdin.write(given.encode())
        with suppress(OSError):
            process.stdin.close()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._kept = (self._kept + chunk)[-self._size :]

    def text(self) -> str:
        """What was printed last; what still holds the stream open is not waited for."""
        self._thread.join(2.0)
        return self._kept.decode("utf-8", errors="replace")


def ended(code: int, verdict: bytes, output: str) -> Ended:
    """Tell how a watched command ended, by what its warden wrote."""
    group, _, answer = verdict.partition(b"\n")
    if answer:
        told = json.loads(answer)
        return Ended(code=int(told["code"]), reason=told["reason"], output=output)
    if group.isdigit():  # the warden was killed, and the command is without one
        with suppress(OSError):
            os.killpg(int(group), signal.SIGKILL)
    reason = f"the process that watches over it ended too early (exit code {code})"
    return Ended(code=code if code else 1, reason=reason, output=output)


def take_apart(folder: Path) -> None:
    """Move what lies too deep in a folder to its top, so that it can be removed by recursion.

    Args:
        folder: The folder; what filled it has ended.
    """
    waiting = [str(folder)]
    while waiting:
        place = waiting.pop()
        with suppress(OSError):  # what cannot be moved stays where it is
            if place != str(folder):
                os.chmod(place, 0o700)
            if len(place) > len(str(folder)) + DEEPEST:
                shorter = tempfile.mkdtemp(dir=folder)
                os.rename(place, shorter)
                place = shorter
            with os.scandir(place) as entries:
                waiting += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]


def private_environment(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment of a stranger's command: what is harmless, and what was set for it.

    Its home and its folder for temporary files are in the folder that it may write to.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if name.upper() in HARMLESS or os.environ.get(name) != value
    }
    home, temporary = folder / ".home", folder / ".tmp"
    for place in (home, temporary):
        place.mkdir(exist_ok=True)
    homes = dict.fromkeys(("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"), str(home))
    return kept | homes | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))


def missing_protections(*, namespaces: bool, platform: str = sys.platform) -> tuple[str, ...]:
    """Name what a platform does not give, in words for whoever reads the result."""
    if namespaces:
        return ()
    missing = (
        "the network was not taken away",
        "the file system was not read-only",
    )
    if platform == "linux":
        return missing
    if platform == "win32":
        return (*missing, "time was limited, but neither memory nor disk")
    return (*missing, "a process that leaves its group is not found, and memory is not watched")


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """End a process of Windows and those that it started."""
    command = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
    with suppress(OSError):
        subprocess.run(command, capture_output=True, check=False)
    process.kill()


@cache
def namespaces_work() -> bool:
    """Try whether this system lets its users make namespaces; some forbid it."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    guard = Guard(Limits(seconds=20), namespaces=True)
    with tempfile.TemporaryDirectory(prefix="tito-") as folder:
        trial = guard(
            [sys.executable, "-I", "-S", "-c", "import os; os.listdir('/proc/self')"],
            folder=Path(folder),
            environment=os.environ,
        )
    return trial.code == 0 and trial.reason is None

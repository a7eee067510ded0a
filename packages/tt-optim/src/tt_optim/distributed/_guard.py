"""A process between the launcher of MPI and a rank, so that the others learn how it ended.

When one of its processes is killed, MPICH's launcher kills all others within milliseconds, and
none can say why the run ended. So a rank goes on in a child, in a session of its own which the
launcher does not reach, and what the launcher watches is the guard: this file, run as a program.
It waits for the rank, passes signals on, and ends as the rank ended; but where the rank failed it
first gives the others of this host the time to end by themselves, each with an error of its own.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import active_children
from subprocess import Popen

# Not on every system: `start` does nothing where there is no fork.
_PASSED_ON = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]
_LEFT = b"left"  # the word for an end in good order
_PATIENCE = 20.0  # seconds that others have to end by themselves
_STEP = 0.02  # seconds between two looks at them
_PASSING = 0.2  # seconds for the launcher to pass on what was printed: it drops what it has not
_LOOK = 0.5  # seconds between two looks before the run has begun


def start(rank: int) -> socket.socket | None:
    """Go on in a child of this process, which becomes the child's guard.

    Returns:
        The line to the guard, which ends when the guard does; `report_start` writes to it. None
        where nothing was done: the launcher is none of MPICH's kind, the system has no fork, or
        this is not the main thread.

    Raises:
        RuntimeError: The program has started what would not go on with it.
    """
    possible = "PMI_FD" in os.environ and hasattr(os, "fork") and os.path.isfile(__file__)
    if not possible or threading.current_thread() is not threading.main_thread():
        return None
    if left := _left_behind():
        raise RuntimeError(
            "under mpiexec the program goes on in a child of this process, without what it has "
            f"started: {', '.join(left)}. Call tt_optim.distributed.world() at the top of the "
            "program, before anything is started, or import mpi4py.MPI there: then the program "
            "stays where it is, and if a rank is lost the others may not learn which"
        )
    line, far = socket.socketpair()
    far.set_inheritable(True)
    sys.stdout.flush()  # else what waits to be written would be written twice
    sys.stderr.flush()
    # From its first moment on, the guard takes signals in turn and is not ended by them.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [*_PASSED_ON, signal.SIGCHLD])
    with warnings.catch_warnings():
        # Python warns, for threads do not exist in the child and may hold locks there. Those that
        # are left are of BLAS and of tt-nn, which both start theirs anew after a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child != 0:
        _become_guard(child, far, rank)
    os.setsid()
    far.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return line


def _left_behind() -> list[str]:
    """Return what a child of this process would wait for in vain: threads and processes."""
    here = threading.main_thread()
    threads = [each.name for each in threading.enumerate() if each is not here]
    found = [f"thread {name}" for name in threads if name != "tt-nn"]  # which starts its own anew
    found += [f"process {each.pid} ({each.name})" for each in active_children()]
    # To Popen.wait a process that is no child of this one has ended, and well.
    popens = [each for each in gc.get_objects() if issubclass(type(each), Popen)]
    popens = [each for each in popens if "pid" in vars(each)]  # that were started at all
    running = [each for each in popens if each.poll() is None]
    return found + [f"process {each.pid} ({each.args!s:.50})" for each in running]


def report_start(line: socket.socket, processes: Iterable[int]) -> None:
    """Tell the guard which processes of this host are ranks of the same run."""
    _send(line, " ".join(map(str, processes)).encode())


def report_end(line: socket.socket) -> None:
    """Tell the guard that this rank has left the run together with all others."""
    _send(line, _LEFT)


def _send(line: socket.socket, words: bytes) -> None:
    with suppress(OSError):  # that the guard has ended is noticed elsewhere
        line.sendall(words + b"\n")


@contextmanager
def ends_with(line: socket.socket) -> Iterator[None]:
    """Have the system end this process, by SIGIO, as soon as its guard ends."""
    import fcntl  # not on every system, but where there are guards

    flags = fcntl.fcntl(line, fcntl.F_GETFL)
    former = signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([line], [], [], 0)[0]:  # it ended before
        os.kill(os.getpid(), signal.SIGIO)
    try:
        yield
    finally:
        fcntl.fcntl(line, fcntl.F_SETFL, flags)
        signal.signal(signal.SIGIO, former)


def is_alive(process: int) -> bool:
    """Return whether a process of this host still runs; one that nobody waited for does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2][:1] != b"Z"  # pid (name) state ...
    return True


def _become_guard(rank_process: int, line: socket.socket, rank: int) -> None:
    """Replace the program by the guard, which holds on to nothing of the program."""
    arguments = [__file__, str(rank_process), str(line.fileno()), str(rank)]
    try:
        os.execv(sys.executable, [sys.executable, "-I", "-S", *arguments])
    finally:  # it could not be run: then guard as what this process is
        os._exit(_guard(rank_process, line, rank))


def _guard(process: int, line: socket.socket, rank: int) -> int:
    """Wait for the process of a rank; return the code to end with."""
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal that is ignored cannot be waited for
    start = _Start(line)
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        number = _next_signal(start)
        if number is not None and number != signal.SIGCHLD:
            os.kill(process, number)
        elif missing := start.missing():
            say(f"{missing} ended before it joined the run, and rank {rank} cannot begin")
            os.killpg(process, signal.SIGKILL)
            time.sleep(4 * _LOOK)  # until all have seen the same
            return 1
    code = os.waitstatus_to_exitcode(ended[1])
    others, left = _reported(line)
    if code == 0 and left:
        return 0
    with suppress(OSError):
        os.killpg(process, signal.SIGKILL)  # what it had started ends with it
    who = f"rank {rank} (process {process} on {socket.gethostname()})"
    if code < 0 and code != -signal.SIGINT:  # an interrupt is the user's own
        say(f"{who} was killed by {signal.Signals(-code).name}")
    elif code == 0:
        say(f"{who} ended before the others")
    _wait_for([other for other in others if other != process])
    return code if code > 0 else 128 - code if code < 0 else 1


def _next_signal(start: _Start) -> int | None:
    """Wait for a signal; no longer than till the next look while the run has not begun."""
    signals = [*_PASSED_ON, signal.SIGCHLD]
    if not start.watched():
        return signal.sigwait(signals)
    found = signal.sigtimedwait(signals, _LOOK)
    return None if found is None else found.si_signo


class _Start:
    """The ranks of this host until all have joined the run: before that, MPI waits for ever.

    They are children of one launcher. Where the system does not list children, nothing is watched.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._children = f"/proc/{os.getppid()}/task/{os.getppid()}/children"
        self._local = int(os.environ.get("MPI_LOCALNRANKS", "0"))
        self._size = int(os.environ.get("PMI_SIZE", "0"))
        self._absent = False

    def watched(self) -> bool:
        """Return whether the run has not begun, which the rank's report tells, and can be seen."""
        return os.path.exists(self._children) and not select.select([self._line], [], [], 0)[0]

    def missing(self) -> str:
        """Return which rank has ended, if two looks in turn found too few."""
        if not self.watched():
            return ""
        with open(self._children, encoding="ascii") as file:
            present = [process for process in map(int, file.read().split()) if is_alive(process)]
        absent, self._absent = self._absent, len(present) < self._local
        if not (absent and self._absent):
            return ""
        if self._local != self._size:
            return "a rank of this host"
        lost = set(range(self._size)) - set(map(_rank_of, present))
        return " and ".join(f"rank {rank}" for rank in sorted(lost))


def _rank_of(process: int) -> int:
    """Return the rank that the launcher gave to a process; -1 if there is none to be seen."""
    with suppress(OSError), open(f"/proc/{process}/environ", "rb") as environment:
        for entry in environment.read().split(b"\0"):
            if entry.startswith(b"PMI_RANK="):
                return int(entry.partition(b"=")[2])
    return -1


def _reported(line: socket.socket) -> tuple[list[int], bool]:
    """Return which processes are ranks of the run, and whether this one left it in good order."""
    line.setblocking(False)
    try:
        words = line.recv(1 << 20).split()
    except OSError:  # the run had not begun
        return [], False
    return [int(word) for word in words if word != _LEFT], _LEFT in words


def _wait_for(others: list[int]) -> None:
    """Return when no other rank of this host runs any more, or when they had time enough."""
    deadline = time.monotonic() + _PATIENCE
    while any(map(is_alive, others)) and time.monotonic() < deadline:
        time.sleep(_STEP)
    time.sleep(_PASSING)


def say(text: str) -> None:
    """Write a line to standard error, in one piece and past all buffers."""
    with suppress(OSError):
        os.write(2, f"tt_optim.distributed: {text}\n".encode())


if __name__ == "__main__":
    os._exit(_guard(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), int(sys.argv[3])))

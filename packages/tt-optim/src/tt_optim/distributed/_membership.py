"""How a process joins the run that its launcher began, and how it leaves it."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from tt_nn.seam import keep_place, launched

from . import _guard
from ._peers import Peers, RankLostError
from ._world import World

_UNNOTICED = 15.0  # seconds after which a rank that still has not noticed a loss is ended
_PASSING = 1.0  # seconds for launchers to pass on what all ranks printed before a run is aborted
_INSTALL = '`pip install "tt-optim[mpi]"` brings what is needed'


def world() -> World | None:
    """Return all processes of this run, or None where this one was started alone.

    The launcher is ``mpiexec`` of MPI: ``mpiexec -n 4 python train.py``. The first call, which is
    `Trainer`'s unless the program makes one, joins the run. Under MPICH's launcher on POSIX the
    program then goes on in a child process, so that the others can be told how it ended. Call this
    at the top of a program that starts threads or processes, or locks files: none of them would go
    on with it. What the program starts later is alone: no rank, as the launcher's variables are
    taken out of the environment.

    Raises:
        ImportError: Several processes were started, and MPI is missing or cannot be loaded.
        RuntimeError: The launcher belongs to another MPI than the one that is installed, or the
            program has started threads or processes that would not go on with it.

    Example:
        >>> world() is None
        True
    """
    place = launched()
    return None if place is None else _join(*place)


@cache
def _join(rank: int, size: int) -> World:
    """Join the run of so many processes as one of them."""
    several = f"this is process {rank} of {size} that were started together"
    if find_spec("mpi4py") is None:
        raise ImportError(f"{several}, but mpi4py is not installed: {_INSTALL}")
    # A library that is at work already does not survive a fork.
    line = _guard.start(rank) if "mpi4py.MPI" not in sys.modules else None
    membership = _Membership(line, rank)
    # One thread at a time calls MPI; and it is `leave` that ends it, or nothing does.
    import_module("mpi4py").rc(thread_level="serialized", finalize=False)
    with membership.blocked():
        try:
            mpi: Any = import_module("mpi4py.MPI")
        except (ImportError, RuntimeError) as error:
            raise ImportError(f"{several}, but MPI does not load ({error}): {_INSTALL}") from error
        if not mpi.Is_initialized():
            mpi.Init_thread(mpi.THREAD_SERIALIZED)
    if mpi.COMM_WORLD.size != size:
        raise RuntimeError(
            f"{several}, but MPI knows of {mpi.COMM_WORLD.size}: `mpiexec` belongs to another MPI "
            f"than {mpi.Get_library_version().strip().splitlines()[0]}; use the one beside python"
        )
    keep_place()
    return membership.join(mpi)


class _Membership:
    """The part of this process in the run, from its start to its end.

    A program that comes to its end waits until all others have come to theirs. One that ends with
    an error tells the others, which may wait for it, and does not wait for anyone.

    Args:
        line: The line to the guard, if there is one.
        rank: The rank of this process.
    """

    def __init__(self, line: socket.socket | None, rank: int) -> None:
        self._line = line
        self._rank = rank
        self._process = os.getpid()
        self._peers: Peers | None = None
        self._failed = self._left = False
        if line is not None:
            line.settimeout(1.0)
            threading.Thread(target=self._watch, args=(line,), daemon=True).start()

    def join(self, mpi: Any) -> World:
        """Meet the other ranks."""
        self._mpi = mpi
        self._peers = Peers(mpi)
        self._world = World(mpi, mpi.COMM_WORLD.Dup(), self._peers)
        if self._line is not None:
            _guard.report_start(self._line, [peer.process for peer in self._peers.local])
        self._show, sys.excepthook = sys.excepthook, self._fail
        atexit.register(self._leave)
        return self._world

    def _fail(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        """Show an error that nothing caught, and tell the others of it."""
        if os.getpid() != self._process or self._peers is None:  # a child of this process
            self._show(kind, error, traceback)
            return
        self._failed = True
        _guard.say(f"{self._peers.own} ends with an error:")
        self._show(kind, error, traceback)
        with suppress(self._mpi.Exception):
            self._peers.tell_error(error)

    def _leave(self) -> None:
        """Leave MPI together with all others, unless this rank or another has failed."""
        if os.getpid() != self._process or self._peers is None:
            return
        if not self._failed:
            try:
                self._world.leave()
            except RankLostError as error:
                self._failed = True
                if error.rank != self._peers.own.rank:
                    _guard.say(f"{error.reason}, after {self._peers.own} had come to its end")
            except self._mpi.Exception as error:
                self._failed = True
                _guard.say(f"{self._peers.own} could not leave the run: {error}")
        if not self._failed:
            with self.blocked():
                self._mpi.Finalize()
            self._left = True
            if self._line is not None:
                _guard.report_end(self._line)
        elif self._line is None:  # then MPI's own way to end a run is the only one
            time.sleep(_PASSING)
            self._mpi.COMM_WORLD.Abort(1)

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """For calls that hold the interpreter's lock while they wait for the other ranks.

        No thread of Python runs meanwhile, so the system itself ends this process with its guard.
        """
        if self._line is None:
            yield
            return
        with _guard.ends_with(self._line):
            yield

    def _watch(self, line: socket.socket) -> None:
        """End this process when its guard has ended, or when it does not notice a loss itself."""
        lost, since = "", 0.0
        while not self._left:
            try:
                line.recv(1)
            except TimeoutError:
                gone = self._peers.gone() if self._peers is not None else []
                if gone and not lost:
                    lost, since = str(gone[0]), time.monotonic()
                if lost and time.monotonic() - since > _UNNOTICED:
                    _guard.say(f"{lost} is gone, and rank {self._rank} goes on alone: it is ended")
                    os._exit(1)
                continue
            except OSError:
                pass  # the guard ended with words unread
            _guard.say(f"the guard of rank {self._rank} was ended, and the run with it")
            os.killpg(self._process, signal.SIGKILL)  # this process and what it had started

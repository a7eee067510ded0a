"""The processes of a run: where each is, which have ended, and what they told before."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _guard

# What each rank tells about itself at the start. Process ids mean something in one namespace only.
_CARD = np.dtype([("process", np.int64), ("namespace", np.int64), ("host", "S256")])
_LONGEST = 2000  # bytes of text in a notice
_SENDING = 0.5  # seconds for notices to leave
_ENDED = 5.0  # seconds for what a rank sent before it ended to arrive


class RankLostError(RuntimeError):
    """A rank has ended or given up, and what the others wait for will never come.

    Attributes:
        rank: The rank that was lost.
        reason: What became of it.
    """

    def __init__(self, rank: int, reason: str, here: int) -> None:
        without = " without it" if rank != here else ", for the others no longer wait for it"
        super().__init__(
            f"{reason}; this is rank {here}, which cannot go on{without}. Start all ranks again"
        )
        self.rank = rank
        self.reason = reason


@dataclass(frozen=True)
class Peer:
    """A rank and the process that it is."""

    rank: int
    process: int
    host: str

    def __str__(self) -> str:
        return f"rank {self.rank} (process {self.process} on {self.host})"


@dataclass
class _Notice:
    """What a rank told of itself.

    Attributes:
        lost: The rank that was lost, which may be another.
        reason: What became of it; nothing where the rank came to the end of its program.
        ended: Whether the rank ends, and does not only give up its part in the run.
        since: When that was heard.
    """

    lost: int
    reason: str
    ended: bool
    since: float


class Peers:
    """Who the other ranks are, and what became of them.

    A rank of this host has ended when its process has. Wherever it runs, a rank that comes to its
    end sends a notice to all others first, if it can.

    Args:
        mpi: The module ``mpi4py.MPI``, initialised.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._notices = mpi.COMM_WORLD.Dup()  # apart from the program's own collectives
        self._heard: dict[int, _Notice] = {}  # of each rank
        self._lost_here: tuple[int, str] | None = None  # for which this rank gave up, and why
        self._sent: list[Any] = []
        card = np.array([(os.getpid(), _namespace(), socket.gethostname().encode())], _CARD)
        cards = np.empty(self._notices.size, _CARD)
        self._notices.Allgather(card.view(np.uint8), cards.view(np.uint8))
        self._all = [
            Peer(rank, int(process), host.decode(errors="replace"))
            for rank, (process, _, host) in enumerate(cards)
        ]
        here = (cards["host"] == card["host"]) & (cards["namespace"] == card["namespace"])
        self.own = self._all[self._notices.rank]
        self.local = [peer for peer, near in zip(self._all, here, strict=True) if near]

    def gone(self) -> list[Peer]:
        """Return the ranks of this host whose processes have ended."""
        if os.name != "posix":  # there `os.kill` would not look, but kill
            return []
        others = (peer for peer in self.local if peer != self.own)
        return [peer for peer in others if not _guard.is_alive(peer.process)]

    def look(self, leaving: bool = False) -> RankLostError | None:
        """Return why what is waited for will not come, if so.

        Args:
            leaving: Whether this rank comes to its end, as others may have before it.
        """
        gone = self.gone()  # before notices are read: a rank sends its own before it ends
        self._read_notices()
        for peer in gone:  # those first that could say nothing: they are the cause
            if peer.rank not in self._heard:
                return self._lost(peer.rank, f"{peer} is gone: killed, or ended at once")
        for peer in gone:
            notice = self._heard[peer.rank]
            return self._lost(notice.lost, notice.reason or _ended(peer))
        for rank, notice in self._heard.items():
            if notice.reason and (notice.ended or not leaving):
                return self._lost(notice.lost, notice.reason)
            if not leaving and notice.ended and time.monotonic() - notice.since > _ENDED:
                return self._lost(rank, _ended(self._all[rank]))
        return None

    def give_up(self, error: BaseException) -> None:
        """Take part in nothing any more, for an error of this rank, and tell all others."""
        if self._lost_here is None:
            self._lost_here = self._cause(error, "gave up with")
            with suppress(self._mpi.Exception):  # of some transports, to one that is gone
                self._tell(*self._lost_here, ended=False)

    def check(self) -> None:
        """Make sure that this rank has not given up.

        Raises:
            RankLostError: It has, for this reason.
        """
        if self._lost_here is not None:
            raise self._lost(*self._lost_here)

    def tell_end(self) -> None:
        """Tell all others that this rank has come to the end of its program."""
        self._tell(self.own.rank, "")

    def tell_error(self, error: BaseException) -> None:
        """Tell all others that this rank ends with an error, and which."""
        self._tell(*self._cause(error, "ended with"))

    def start_barrier(self) -> Any:
        """Begin a barrier that no collective of the program can be mistaken for."""
        return self._notices.Ibarrier()

    def _cause(self, error: BaseException, did: str) -> tuple[int, str]:
        if isinstance(error, RankLostError):  # pass on the cause, not what followed from it
            return error.rank, error.reason
        text = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
        return self.own.rank, f"{self.own} {did} {text}"

    def _tell(self, lost: int, reason: str, ended: bool = True) -> None:
        head = lost.to_bytes(8, "little") + bytes([ended])
        notice = np.frombuffer(head + reason.encode(errors="replace")[:_LONGEST], np.uint8)
        for rank in range(len(self._all)):
            if rank != self.own.rank:
                self._sent.append(self._notices.Isend(notice, rank))
        deadline = time.monotonic() + _SENDING
        while not self._mpi.Request.Testall(self._sent) and time.monotonic() < deadline:
            time.sleep(0.001)

    def _read_notices(self) -> None:
        status = self._mpi.Status()
        while self._notices.Iprobe(status=status):
            notice = np.empty(status.Get_count(self._mpi.BYTE), np.uint8)
            self._notices.Recv(notice, status.source)
            lost, ended = int.from_bytes(notice[:8].tobytes(), "little"), bool(notice[8])
            reason = notice[9:].tobytes().decode(errors="replace")
            earlier = self._heard.get(status.source)
            if earlier is not None and earlier.reason:  # the cause; this followed from it
                lost, reason = earlier.lost, earlier.reason
            self._heard[status.source] = _Notice(lost, reason, ended, time.monotonic())

    def _lost(self, rank: int, reason: str) -> RankLostError:
        return RankLostError(rank, reason, self.own.rank)


def _ended(peer: Peer) -> str:
    return f"{peer} has ended its program, where others still wait for it"


def _namespace() -> int:
    """Return a number that is the same for all processes that see each other's ids."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0

"""The processes of a run: where each is, which have ended, and what they told before."""

from __future__ import annotations

import os
import socket
import time
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
    """Another rank has ended, and what this one waits for will never come.

    Attributes:
        rank: The rank that was lost.
        reason: What became of it.
    """

    def __init__(self, rank: int, reason: str, here: int) -> None:
        super().__init__(
            f"{reason}; this is rank {here}, which cannot go on without it. The last checkpoint is "
            "whole: start all ranks again, with resume=True"
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
        self._heard: dict[int, tuple[int, str, float]] = {}  # rank: (lost, reason, since when)
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
            lost, reason, _ = self._heard[peer.rank]
            return self._lost(lost, reason or _ended(peer))
        for rank, (lost, reason, since) in self._heard.items():
            if reason:
                return self._lost(lost, reason)
            if not leaving and time.monotonic() - since > _ENDED:
                return self._lost(rank, _ended(self._all[rank]))
        return None

    def tell_end(self) -> None:
        """Tell all others that this rank has come to the end of its program."""
        self._tell(self.own.rank, "")

    def tell_error(self, error: BaseException) -> None:
        """Tell all others that this rank ends with an error, and which."""
        if isinstance(error, RankLostError):  # pass on the cause, not what followed from it
            self._tell(error.rank, error.reason)
        else:
            text = f"{type(error).__name__}: {error}".partition("\n")[0].removesuffix(": ")
            self._tell(self.own.rank, f"{self.own} ended with {text}")

    def start_barrier(self) -> Any:
        """Begin a barrier that no collective of the program can be mistaken for."""
        return self._notices.Ibarrier()

    def _tell(self, lost: int, reason: str) -> None:
        notice = np.frombuffer(
            lost.to_bytes(8, "little") + reason.encode(errors="replace")[:_LONGEST], np.uint8
        )
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
            lost = int.from_bytes(notice[:8].tobytes(), "little")
            reason = notice[8:].tobytes().decode(errors="replace")
            self._heard[status.source] = (lost, reason, time.monotonic())

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

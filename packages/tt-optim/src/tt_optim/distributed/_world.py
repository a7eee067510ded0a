"""The processes that one launcher started, and what they do together."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._peers import Peers

Array = NDArray[Any]

_SPIN = 0.02  # seconds of waiting at full speed: messages go to and fro until one is there
_SHORT, _LONG = 50e-6, 1e-3  # seconds to sleep after that, from and to
_LEAVING = 0.05  # seconds to sleep at the end, where the wait may be long
_LOOK = 0.2  # seconds between two looks at the other ranks
_LATE = 0.1  # seconds for what a rank sent before it was lost to arrive


class Request:
    """A collective under way; `World.wait` ends it. Its array is MPI's until then."""

    def __init__(self, handle: Any, array: Array) -> None:
        self._handle = handle
        self._array = array


class World:
    """All processes of a run, one of which this is.

    Every call is collective: all ranks make the same calls in the same order, with arrays of the
    same shape and dtype. Arrays travel as the buffers that they are; nothing is pickled. While a
    rank waits it looks after the others. One of the same host that has ended, and one anywhere
    that told of its error, is a `RankLostError`; when a rank on another host is killed, the
    launcher ends the run. After such an error nothing more can be done together: the calls would
    meet others than theirs.

    Args:
        mpi: The module ``mpi4py.MPI``, initialised.
        communicator: Where collectives travel, and nothing else does.
        peers: What is known of the other ranks.
    """

    def __init__(self, mpi: Any, communicator: Any, peers: Peers) -> None:
        self._mpi = mpi
        self._communicator = communicator
        self._peers = peers
        self._pending: set[Request] = set()  # keeps arrays alive until MPI is done with them
        self._sent = 0
        self._duplicates: list[World] = []
        self.rank: int = communicator.rank
        self.size: int = communicator.size
        self.local_size = len(peers.local)

    @property
    def bytes_sent(self) -> int:
        """What this process has sent in collectives, those of duplicates included.

        It is counted, not measured: of n bytes and W ranks, the least that any algorithm can send
        where all ranks send alike. To reduce: 2 (W - 1) / W n; to broadcast: (W - 1) / W n; to
        gather n bytes of each rank: (W - 1) n.
        """
        return self._sent + sum(duplicate.bytes_sent for duplicate in self._duplicates)

    def all_reduce(self, array: Array) -> None:
        """Replace an array, in place, by the sum of those of all ranks.

        Args:
            array: C-contiguous and writable; of floats of 32 bits or more, complex numbers,
                integers or bools, whose sum is whether any is true.

        Raises:
            RankLostError: Another rank has ended.
            TypeError: MPI cannot add the dtype up.
            ValueError: The array is not contiguous, or read-only.
        """
        self.wait([self.start_all_reduce(array)])

    def start_all_reduce(self, array: Array) -> Request:
        """Begin to `all_reduce` an array, which may be neither read nor written until it is done.

        Args:
            array: As for `all_reduce`.

        Returns:
            What `progress` and `wait` take.
        """
        self._peers.check()
        _check("all_reduce", array)
        dtype = array.dtype
        if dtype.kind not in "biufc" or dtype == np.float16 or not dtype.isnative:
            raise TypeError(
                f"all_reduce: MPI cannot add up {dtype}; reduce a copy in float32 or float64"
            )
        op = self._mpi.LOR if dtype.kind == "b" else self._mpi.SUM
        handle = self._communicator.Iallreduce(self._mpi.IN_PLACE, array, op)
        self._sent += 2 * (self.size - 1) * array.nbytes // self.size
        return self._started(handle, array)

    def progress(self, requests: Iterable[Request]) -> bool:
        """Let MPI do what it can at once, and return whether all requests are done."""
        requests = list(requests)
        if not self._mpi.Request.Testall([request._handle for request in requests]):
            return False
        self._pending.difference_update(requests)
        return True

    def wait(self, requests: Iterable[Request]) -> None:
        """Return when all requests are done.

        Raises:
            RankLostError: Another rank has ended.
        """
        self._wait(list(requests))

    def broadcast(self, array: Array) -> None:
        """Replace an array, in place, by that of rank 0.

        Args:
            array: C-contiguous and writable, of any dtype but object.

        Raises:
            RankLostError: Another rank has ended.
            TypeError: The dtype holds objects.
            ValueError: The array is not contiguous, or read-only.
        """
        self._peers.check()
        _check("broadcast", array)
        raw = _raw(array)
        self._sent += (self.size - 1) * raw.nbytes // self.size
        self.wait([self._started(self._communicator.Ibcast(raw), raw)])

    def gather(self, array: Array) -> Array:
        """Return the arrays of all ranks.

        Args:
            array: C-contiguous, of any dtype but object, with the same shape on every rank.

        Returns:
            An array of shape (size, *shape), on every rank.

        Raises:
            RankLostError: Another rank has ended.
            TypeError: The dtype holds objects.
            ValueError: The array is not contiguous.
        """
        self._peers.check()
        _check("gather", array, written=False)
        everyone = np.empty((self.size, *array.shape), array.dtype)
        raw = _raw(array)
        self._sent += (self.size - 1) * raw.nbytes
        handle = self._communicator.Iallgather(raw, _raw(everyone))
        self.wait([self._started(handle, everyone)])
        return everyone

    def gather_text(self, text: str) -> list[str]:
        """Return the texts of all ranks, on every rank.

        Raises:
            RankLostError: Another rank has ended.
        """
        raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        counts = self.gather(np.array(raw.size))
        everyone = np.empty(counts.sum(), np.uint8)
        starts = np.cumsum(counts) - counts
        self._sent += (self.size - 1) * raw.size
        handle = self._communicator.Iallgatherv(raw, (everyone, (counts, starts)))
        self.wait([self._started(handle, everyone)])
        parts = np.split(everyone, starts[1:])
        return [part.tobytes().decode("utf-8", "surrogatepass") for part in parts]

    def barrier(self) -> None:
        """Return when every rank has called this.

        Raises:
            RankLostError: Another rank has ended.
        """
        self._peers.check()
        self.wait([self._started(self._communicator.Ibarrier(), np.empty(0))])

    def duplicate(self) -> World:
        """Return the same ranks with a channel of their own.

        Collectives of the two may come in different orders on different ranks.

        Raises:
            RankLostError: Another rank has ended.
        """
        self._peers.check()
        communicator, handle = self._communicator.Idup()
        self.wait([self._started(handle, np.empty(0))])
        self._duplicates.append(World(self._mpi, communicator, self._peers))
        return self._duplicates[-1]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do what all ranks do: where an error leaves the block, the others are told at once.

        They may wait for this rank, and would for ever if it caught the error and went on. (A
        rank that exits tells them at its end.)
        """
        try:
            yield
        except SystemExit:
            raise
        except BaseException as error:
            self._peers.give_up(error)
            raise

    def leave(self) -> None:
        """Return when every rank has come to the end of its program, and called this.

        Raises:
            RankLostError: This rank has given up, or another has not come to its end.
        """
        self._peers.tell_end()
        self._peers.check()
        self._wait([self._started(self._peers.start_barrier(), np.empty(0))], leaving=True)

    def _started(self, handle: Any, array: Array) -> Request:
        request = Request(handle, array)
        self._pending.add(request)
        return request

    def _wait(self, requests: list[Request], leaving: bool = False) -> None:
        began = time.monotonic()
        look, pause = began + _LOOK, _SHORT
        while not self._progress_or_raise(requests, leaving):
            now = time.monotonic()
            if now - began < _SPIN:
                _let_others_run()
                continue
            time.sleep(pause)
            pause = min(1.5 * pause, _LEAVING if leaving else _LONG)
            if now < look:
                continue
            look = now + _LOOK
            lost = self._peers.look(leaving)
            while lost is not None and not self._progress_or_raise(requests, leaving):
                if time.monotonic() - now > _LATE:
                    self._peers.give_up(lost)
                    raise lost

    def _progress_or_raise(self, requests: list[Request], leaving: bool) -> bool:
        try:
            return self.progress(requests)
        except self._mpi.Exception as error:  # of some transports, when the other side is gone
            time.sleep(_LATE)
            lost = self._peers.look(leaving)
            if lost is None:
                raise
            self._peers.give_up(lost)
            raise lost from error


def _check(name: str, array: Array, written: bool = True) -> None:
    """Refuse an array whose memory cannot be handed to MPI as it is."""
    if array.dtype.hasobject:
        raise TypeError(
            f"{name}: expected numbers, got an array of {array.dtype}: nothing is pickled"
        )
    if not array.flags.c_contiguous:
        raise ValueError(
            f"{name}: expected a C-contiguous array, got strides {array.strides} for shape "
            f"{array.shape}; np.ascontiguousarray makes a copy that is"
        )
    if written and not array.flags.writeable:
        raise ValueError(f"{name}: the array is read-only, but the result is written to it")


def _raw(array: Array) -> Array:
    """Return the bytes of an array, which it shares."""
    return array.reshape(-1).view(np.uint8)


def _let_others_run() -> None:
    """Let another process have this core, if one waits for it: there may be more than cores."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0)

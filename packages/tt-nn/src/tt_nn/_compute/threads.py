"""A pool of threads that split large kernels between them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import count
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_PIECES = 2  # for each thread, so that one that starts late does not hold up the others


class _Call(Generic[T]):
    """Pieces of work, each of which the next free thread takes."""

    def __init__(self, function: Callable[[int, int], T], cuts: list[int]) -> None:
        self.function = function
        self.cuts = cuts
        self.next = count().__next__  # atomic
        self.done: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()

    def work(self) -> None:
        while (i := self.next()) < len(self.cuts) - 1:
            try:
                self.done.put((i, self.function(self.cuts[i], self.cuts[i + 1]), None))
            except BaseException as error:  # raised again by the caller
                self.done.put((i, None, error))

    def results(self) -> list[T]:
        found: dict[int, T] = {}
        errors = []
        for _ in self.cuts[1:]:
            i, result, error = self.done.get()
            if error is not None:
                errors.append(error)
            else:
                found[i] = result  # type: ignore[assignment]  # a result, as there is no error
        if errors:
            raise errors[0]
        return [found[i] for i in range(len(found))]


class _Pool:
    """Threads that wait for calls; they end with the process or at `close`."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: SimpleQueue[tuple[_Call[object], Context] | None] = SimpleQueue()
        self.start()

    def start(self) -> None:
        for _ in range(self.size - 1):
            threading.Thread(target=_serve, args=(self.waiting,), name="tt-nn", daemon=True).start()

    def close(self) -> None:
        for _ in range(self.size - 1):
            self.waiting.put(None)


def _serve(waiting: SimpleQueue[tuple[_Call[object], Context] | None]) -> None:
    while (item := waiting.get()) is not None:
        call, context = item
        context.run(call.work)
        del item, call, context  # so that the arrays of this call are not kept until the next


_pool: _Pool | None = None


def parallel(function: Callable[[int, int], T], total: int) -> list[T]:
    """Run ``function(start, stop)`` over pieces of ``range(total)``, in turn on free threads.

    A piece must write only what is its own, or return its part of the result. It is worth while
    for work of more than about 200 microseconds: handing over costs a quarter of that.

    Args:
        function: What to run; releases the interpreter's lock for most of its time.
        total: How many there are.

    Returns:
        The results in the order of the pieces. With one thread there is one piece.

    Example:
        >>> sum(parallel(lambda start, stop: sum(range(start, stop)), 10))
        45
    """
    pool = _pool
    if pool is None or pool.size == 1 or total < 2:
        return [function(0, total)]
    pieces = min(total, _PIECES * pool.size)
    call = _Call(function, [total * i // pieces for i in range(pieces + 1)])
    for _ in range(min(pieces, pool.size) - 1):
        pool.waiting.put((call, copy_context()))  # type: ignore[arg-type]  # of any result
    call.work()
    return call.results()


def set_num_threads(num_threads: int) -> None:
    """Let large kernels use this many threads, of this package's own.

    The pool splits convolutions, pools and the like, elementwise work included, where the BLAS
    library that NumPy brings splits matrix products only. The two would compete, so BLAS is
    limited to one thread. Call it once, before training: nothing changes until then.

    Args:
        num_threads: How many threads, the calling one included.

    Raises:
        ValueError: ``num_threads`` is not a positive int.

    Example:
        >>> import tt_nn as nn
        >>> nn.set_num_threads(2)
        >>> nn.get_num_threads()
        2
        >>> nn.set_num_threads(1)
    """
    global _pool
    if type(num_threads) is not int or num_threads < 1:
        raise ValueError(f"set_num_threads: expected a positive int, got {num_threads!r}")
    former = _pool
    if former is None:
        _blas().limit(limits=1)
    elif former.size == num_threads:
        return
    _pool = _Pool(num_threads)
    if former is not None:
        former.close()


def get_num_threads() -> int:
    """Return how many threads large kernels use: this package's, else those of BLAS."""
    if _pool is not None:
        return _pool.size
    return max((library["num_threads"] for library in _blas().info()), default=1)


def _blas() -> Any:
    """Return what reads and sets the threads of the BLAS libraries that are loaded."""
    from threadpoolctl import (  # type: ignore[import-untyped]  # here, for few programs need it
        ThreadpoolController,
    )

    return ThreadpoolController().select(user_api="blas")


def _after_fork() -> None:
    """Start the threads anew: those of the parent do not exist here."""
    global _pool
    if _pool is not None:
        _pool = _Pool(_pool.size)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

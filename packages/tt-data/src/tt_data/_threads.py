"""Work done ahead by threads, its results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

R = TypeVar("R")


def in_order(
    jobs: Iterator[Callable[[], R]], workers: int, ahead: int, start: Callable[[], object]
) -> Iterator[R]:
    """Run jobs in threads and yield their results in the order of the jobs.

    An error of a job is raised where its result is due. When the iterator is closed or forgotten,
    jobs that have not begun are dropped and the threads end.

    Args:
        jobs: The jobs, called for as their turn comes.
        workers: How many threads there are.
        ahead: How many jobs, beyond the one whose result was asked for last, are begun.
        start: Called once by each thread at its start.
    """
    threads = ThreadPoolExecutor(workers, "tt-data", start)
    try:
        waiting: deque[Future[R]] = deque()
        while True:
            waiting.extend(threads.submit(job) for job in islice(jobs, ahead + 1 - len(waiting)))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)

"""Time one thing two ways: one process each, in turn, and compare their medians.

Two libraries in one process fight over threads, and a machine's speed drifts: so every round
starts a fresh process for each side, one after the other, and the figure is the median of the
rounds' ratios, with their spread.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Self

Work = Callable[[], object]


@dataclass(frozen=True)
class Result:
    """What the rounds of one comparison gave.

    Attributes:
        name: What was timed.
        ours: Milliseconds, the median of the rounds.
        peer: The same of the peer.
        ratios: Ours divided by the peer's, one for each round, in rising order.
        target: The largest ratio that meets the bar.
        unit: What both figures are in.
    """

    name: str
    ours: float
    peer: float
    ratios: tuple[float, ...]
    target: float
    unit: str = "ms"

    @classmethod
    def of_rounds(
        cls, name: str, pairs: Sequence[tuple[float, float]], target: float, unit: str = "ms"
    ) -> Self:
        """Return the result of rounds that each gave our figure and the peer's."""
        ours, peer = (statistics.median(figures) for figures in zip(*pairs, strict=True))
        ratios = tuple(sorted(mine / theirs for mine, theirs in pairs))
        return cls(name, ours, peer, ratios, target, unit)

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether the median ratio meets the target."""
        return self.ratio <= self.target


def milliseconds(work: Work, repeats: int, warm_up: int) -> float:
    """Return the median time of a call, after calls that do not count."""
    for _ in range(warm_up):
        work()
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples) * 1e3


def in_a_process(
    arguments: Sequence[str], threads: int, variables: Mapping[str, str] | None = None
) -> Any:
    """Run this program for one side in a process of its own and return what it measured.

    Args:
        arguments: Arguments to Python that make it print its figures, as JSON, as its last line.
        threads: Threads that it may use.
        variables: What to add to its environment.
    """
    count = str(threads)
    environment = {
        **os.environ,
        **(variables or {}),
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "PYTHONHASHSEED": "0",
    }
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(
    name: str,
    ours: Sequence[str],
    peer: Sequence[str],
    *,
    target: float,
    rounds: int,
    threads: int = 1,
) -> Result:
    """Measure both sides in turn, as often as asked.

    Args:
        name: What is timed.
        ours: Arguments to Python that make it print our milliseconds as its last line.
        peer: The same for the peer.
        target: The largest ratio that meets the bar.
        rounds: How many processes of each side.
        threads: Threads that either side may use.
    """
    pairs = []
    for i in range(rounds):
        sides = (ours, peer) if i % 2 == 0 else (peer, ours)
        first, second = (in_a_process(side, threads) for side in sides)
        pairs.append((first, second) if i % 2 == 0 else (second, first))
    return Result.of_rounds(name, pairs, target)


def report(title: str, peer: str, results: Sequence[Result]) -> int:
    """Print a table of results and where they were measured; return the exit code."""
    print(f"\n{title}\n")
    width = max(len(result.name) for result in results)
    print(f"{'':{width}}  {'ours':>9}  {peer:>9}  {'ratio':>6}  {'spread':>12}  target")
    for result in results:
        low, high = result.ratios[0], result.ratios[-1]
        verdict = "met" if result.met else "NOT MET"
        print(
            f"{result.name:{width}}  {result.ours:6.2f} {result.unit:2}  "
            f"{result.peer:6.2f} {result.unit:2}  "
            f"{result.ratio:6.2f}  {low:5.2f}..{high:4.2f}  {result.target:5.2f}  {verdict}"
        )
    rounds = len(results[0].ratios)
    versions = ", ".join(f"{name} {found}" for name, found in _versions().items())
    try:
        load = f", load {os.getloadavg()[0]:.2f} on {os.cpu_count()} processors"
    except (AttributeError, OSError):
        load = ""  # not told on this system
    print(
        f"\n{rounds} rounds, a process for each side in turn; ratios of medians. "
        f"Python {platform.python_version()}, {versions}{load}."
    )
    return 0 if all(result.met for result in results) else 1


def _versions() -> dict[str, str]:
    found = {}
    for name in ("tt-tensor", "tt-autograd", "tt-nn", "numpy", "numba", "torch"):
        try:
            found[name] = version(name)
        except ModuleNotFoundError:
            continue
    return found

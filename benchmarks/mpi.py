"""Training steps of a CIFAR-10 network by two processes on MPI, beside one process alone.

The network and the optimizer of the milestone's fast recipe (six convolutions, Muon) on batches of
500 images, which two ranks share; one thread each. Then how long ranks wait for gradients that set
out while backward runs, beside gradients that set out at its end; and a cost model: the time of an
all-reduce by its size, a latency and a bandwidth fitted to it, and what they say of more ranks,
with the same batch and with one that grows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _paired import Result, in_a_process, report

BATCH, WIDTHS, CHANNELS = 500, (24, 96, 192), 3
TARGET = 1 / 1.6  # of the time of one rank: 1.6 times the steps
STEPS, WARM_UP = 12, 3
BUCKET_MB = 1.0
ONE_BUCKET_MB = 1000.0  # so that nothing sets out before the last gradient is there
SIZES = [1 << k for k in range(10, 25, 2)]  # bytes of an all-reduce: 1 KiB to 16 MiB
REPEATS = 30
SUM_BYTES = 2 * 8 * 128  # of a small sum: two float64 numbers for each of some 128 channels
ON_PAPER = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
# A network between machines, assumed: 10 Gbit/s, and 30 microseconds for a message
NETWORK = (30e-6, 1.25e9)


class Step(NamedTuple):
    """What one training step takes, on rank 0.

    Attributes:
        milliseconds: All of it.
        waited: Milliseconds of it in which gradients were waited for.
        updated: Milliseconds of it that the optimizer took.
        sent: Bytes sent.
        gradients: Bytes of all gradients.
        buckets: Messages that they travel in.
        hidden: The share of them that had arrived when backward ended.
        sums: Small sums inside the model, for the statistics of normalisations.
    """

    milliseconds: float
    waited: float
    updated: float
    sent: float
    gradients: int
    buckets: int
    hidden: float
    sums: int


def train(bucket_cap_mb: float, together: bool) -> Step:
    """Time training steps, as this process's part of them if a launcher started several.

    Args:
        bucket_cap_mb: Megabytes of a bucket.
        together: Whether ranks meet at the end of backward, so that none waits for a slower one:
            what is waited for then is gradients on their way.
    """
    import tt_autograd as tt
    import tt_nn as nn
    import tt_optim as optim
    from tt_nn.models import CifarNet
    from tt_optim.distributed import DistributedDataParallel, world
    from tt_tensor.seam import Rows, share

    ranks = world()
    nn.set_num_threads(1)
    tt.manual_seed(0)
    model = CifarNet(WIDTHS)
    images, labels = tt.randn(BATCH, CHANNELS, 32, 32), tt.randint(0, 10, (BATCH,))
    own = Rows(0, BATCH, BATCH) if ranks is None else share(BATCH, ranks.size, ranks.rank)
    batch = images[own.start : own.stop].clone(), labels[own.start : own.stop].clone()
    *hidden, head = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [*(p for p in model.parameters() if p.requires_grad and p.ndim == 1), head]
    rest: dict[str, Any] = {"params": others, "use_muon": False, "lr": 0.05}
    optimizer = optim.Muon([{"params": hidden}, rest], 0.12, momentum=0.6, ns_steps=3)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.2)
    parallel = (
        None
        if ranks is None
        else DistributedDataParallel(model, ranks, bucket_cap_mb=bucket_cap_mb)
    )
    updates = []

    def step() -> None:
        optimizer.zero_grad()
        if parallel is None:
            criterion(model(batch[0]), batch[1]).backward()
        else:
            with parallel.step(batch) as part:
                x, y = part.batch
                (criterion(model(x), y) * part.weight).backward()
                if together:
                    parallel.world.barrier()
        start = time.perf_counter()
        optimizer.step()
        updates.append(time.perf_counter() - start)

    for _ in range(WARM_UP):
        step()
    updates.clear()
    buckets = None if parallel is None else parallel.buckets
    before = (0.0, 0, 0, 0)
    if ranks is not None and buckets is not None:
        before = (buckets.waited, buckets.sent, buckets.hidden, ranks.bytes_sent)
    samples = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        samples.append(time.perf_counter() - start)
    times = statistics.median(samples) * 1e3, statistics.median(updates) * 1e3
    if ranks is None or buckets is None:
        return Step(times[0], 0.0, times[1], 0.0, 0, 0, 0.0, 0)
    sums = 3 * sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    return Step(
        times[0],
        (buckets.waited - before[0]) / STEPS * 1e3,
        times[1],
        (ranks.bytes_sent - before[3]) / STEPS,
        buckets.bytes,
        len(buckets),
        (buckets.hidden - before[2]) / (buckets.sent - before[1]),
        sums,
    )


def reduce_all_sizes() -> list[float]:
    """Return the median seconds of an all-reduce of each size."""
    from tt_optim.distributed import world

    ranks = world()
    assert ranks is not None
    found = []
    for size in SIZES:
        array = np.zeros(size // 4, np.float32)
        samples = []
        for _ in range(REPEATS):
            ranks.barrier()
            start = time.perf_counter()
            ranks.all_reduce(array)
            samples.append(time.perf_counter() - start)
        found.append(statistics.median(samples))
    return found


def on_ranks(count: int, *arguments: str) -> Any:
    """Run this program on so many ranks and return what rank 0 measured."""
    here = str(Path(__file__).resolve())
    if count == 1:
        return in_a_process([here, *arguments], threads=1)
    beside = str(Path(sys.executable).parent)
    launcher = shutil.which("mpiexec", path=beside) or shutil.which("mpiexec")
    if launcher is None:
        raise SystemExit('there is no mpiexec; pip install "tt-optim[mpi]" brings it')
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [launcher, "-n", str(count), sys.executable, here, *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def fit(seconds: list[float]) -> tuple[float, float]:
    """Return the latency in seconds and the bandwidth in bytes a second of some all-reduces.

    That of n bytes on two ranks takes ``2 latency + n / bandwidth``: each sends a half twice.
    Weighted so that every size counts alike.
    """
    sizes, times = np.array(SIZES, float), np.array(seconds)
    table = np.stack([np.full_like(sizes, 2.0), sizes], axis=1) / times[:, None]
    (latency, slope), *_ = np.linalg.lstsq(table, np.ones_like(times), rcond=None)
    return max(float(latency), 1e-7), float(1 / slope)


def reduce_seconds(size: float, ranks: int, latency: float, bandwidth: float) -> float:
    """Return what an all-reduce takes by the model: halving and doubling, log2(ranks) rounds."""
    if ranks == 1:
        return 0.0
    rounds = 2 * math.ceil(math.log2(ranks))
    return rounds * latency + 2 * (ranks - 1) / ranks * size / bandwidth


def on_paper(alone: Step, shared: Step, network: tuple[float, float], grows: bool) -> None:
    """Print what a step takes on more and more ranks, by the model.

    Args:
        alone: A step of one rank.
        shared: A step of two.
        network: Its latency and bandwidth.
        grows: Whether each rank has as many rows as one has alone, or all share those.
    """
    print("  ranks  rows each  compute  update  sums  gradients    step   times  efficiency")
    for ranks in ON_PAPER:
        rows = BATCH if grows else math.ceil(BATCH / ranks)
        compute = (alone.milliseconds - alone.updated) * rows / BATCH
        sums = shared.sums * reduce_seconds(SUM_BYTES, ranks, *network) * 1e3
        travel = reduce_seconds(shared.gradients / shared.buckets, ranks, *network) * 1e3
        # Backward is two thirds of the work. What it does not cover is waited for, and the last.
        waiting = max(travel, shared.buckets * travel - compute * 2 / 3)
        step = compute + alone.updated + sums + waiting
        gain = alone.milliseconds / step * (ranks if grows else 1)
        print(
            f"  {ranks:5}  {rows:9}  {compute:7.1f}  {alone.updated:6.1f}  {sums:4.1f}  "
            f"{waiting:9.2f}  {step:6.1f}  {gain:6.1f}  {gain / ranks:10.0%}"
        )


def main() -> int:
    """Measure one side, or all of them in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["train", "reduce"])
    parser.add_argument("--bucket-mb", type=float, default=BUCKET_MB)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.side:
        training = options.side == "train"
        figures: Any = (
            train(options.bucket_mb, options.together) if training else reduce_all_sizes()
        )
        from tt_nn.seam import launched

        if (launched() or (0, 1))[0] == 0:
            print(json.dumps(figures))
        return 0

    small, whole = ["--bucket-mb", str(BUCKET_MB)], ["--bucket-mb", str(ONE_BUCKET_MB)]
    sides = [(1, small), (2, small), (2, [*small, "--together"]), (2, [*whole, "--together"])]
    rounds: list[list[Step]] = [[] for _ in sides]
    for i in range(options.rounds):
        turns = list(zip(rounds, sides, strict=True))
        for steps, (count, arguments) in turns if i % 2 == 0 else turns[::-1]:
            steps.append(Step(*on_ranks(count, "--side", "train", *arguments)))
    alone, shared, early, late = (
        Step(*(statistics.median(column) for column in zip(*steps, strict=True)))
        for steps in rounds
    )
    pairs = [(b.milliseconds, a.milliseconds) for a, b in zip(rounds[0], rounds[1], strict=True)]
    title = f"A training step on {BATCH} images of CIFAR-10's size, Muon, a thread for each rank"
    code = report(title, "1 rank", [Result.of_rounds("2 ranks", pairs, TARGET)])
    gain = statistics.median(alone_ms / shared_ms for shared_ms, alone_ms in pairs)
    print(f"\nSteps of two ranks in the time of one step of one: {gain:.2f} (1.60 are asked)")
    print(f"Bytes that each of two ranks sends in a step: {shared.sent:,.0f}; one alone sends none")

    print("\nOverlap of communication and backward, two ranks that meet at its end\n")
    print("                      messages  hidden by work  waited      step")
    for name, step in (("in buckets of 1 MB", early), ("in one at the end", late)):
        print(
            f"{name:20}  {step.buckets:8.0f}  {step.hidden:15.0%}  {step.waited:5.2f} ms  "
            f"{step.milliseconds:6.1f} ms"
        )

    measured = [on_ranks(2, "--side", "reduce") for _ in range(3)]
    seconds = [statistics.median(column) for column in zip(*measured, strict=True)]
    latency, bandwidth = fit(seconds)
    print("\nAn all-reduce of two ranks on this machine, and by the model\n")
    print("     bytes    measured       model")
    for size, found in zip(SIZES, seconds, strict=True):
        modelled = reduce_seconds(size, 2, latency, bandwidth)
        print(f"{size:10,}  {found * 1e6:7.0f} us  {modelled * 1e6:7.0f} us")
    here = f"{latency * 1e6:.0f} us and {bandwidth / 1e9:.2f} GB/s, as measured here"
    there = "30 us and 1.25 GB/s, a network of 10 Gbit/s that is assumed and not measured"
    for network, name in (((latency, bandwidth), here), (NETWORK, there)):
        for grows, rows in ((False, f"{BATCH} rows shared"), (True, f"{BATCH} rows each")):
            print(f"\nMilliseconds a step on paper, {rows}: {name}\n")
            on_paper(alone, shared, network, grows)
    return code


if __name__ == "__main__":
    raise SystemExit(main())

"""The training step of a small convolutional network, beside PyTorch's: time and memory.

Conv3x3(3->32) ReLU MaxPool2 Conv3x3(32->64) ReLU MaxPool2 Flatten Linear(4096->128) ReLU
Linear(128->10) on a batch of 128 images of 32 x 32, with Adam (W2 of the targets); W2b has a
BatchNorm2d after each convolution. Its inference, without gradients, too. Each of our backends
that is installed, with one and with two threads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _paired import Result, Work, in_a_process, milliseconds, report

BATCH, SIZE, CHANNELS = 128, 32, (3, 32, 64)
FEATURES = (CHANNELS[-1] * (SIZE // 4) ** 2, 128, 10)
# (network, backend): the largest ratio of the time with one thread, and with two
TARGETS = {
    ("W2", "numpy"): (1.05, 1.3),
    ("W2", "numba"): (0.85, 1.0),
    ("W2b", "numpy"): (1.15, 1.3),
    ("W2b", "numba"): (0.8, 0.9),
}
NETWORKS = ("W2", "W2b")
MEMORY_TARGET = 1.5
# Of either side: memory that is freed stays with the process, and its pages are not faulted in
# anew in every step (see the manual page of mallopt).
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "8000000000",
    "MALLOC_TRIM_THRESHOLD_": "16000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


class Sides(NamedTuple):
    """One training step, and one forward pass without gradients."""

    step: Work
    inference: Work


def gigaflops(training: bool) -> float:
    """Return the work of a pass in 1e9 operations, two for each product of the matrices.

    Training has two more products like the forward one, for the gradients of weights and of
    inputs; that of the images is not needed.
    """
    convolutions: list[int] = [
        (SIZE // 2**i) ** 2 * 9 * inputs * outputs
        for i, (inputs, outputs) in enumerate(pairwise(CHANNELS))
    ]
    linear = [inputs * outputs for inputs, outputs in pairwise(FEATURES)]
    forward = sum(convolutions) + sum(linear)
    products = 3 * forward - convolutions[0] if training else forward
    return 2 * BATCH * products / 1e9


def batch(size: int) -> tuple[Any, Any]:
    """Return images and labels of CIFAR-10's shapes."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((size, CHANNELS[0], SIZE, SIZE), dtype=np.float32)
    return images, rng.integers(0, FEATURES[-1], size)


def network(nn: Any, name: str) -> Any:
    """Return the network in the layers of ``nn``: ours and PyTorch's have the same names."""
    layers = []
    for inputs, outputs in pairwise(CHANNELS):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        if name == "W2b":
            layers.append(nn.BatchNorm2d(outputs))
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    flat, hidden, classes = FEATURES
    layers += [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers)


def ours(name: str, size: int, threads: int) -> Sides:
    """Return the work with our packages."""
    import tt_autograd as tt
    import tt_nn as nn
    import tt_optim as optim

    nn.set_num_threads(threads)
    tt.manual_seed(0)
    model = network(nn, name)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, y = map(tt.from_numpy, batch(size))

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

    def inference() -> None:
        model.eval()
        with tt.inference_mode():
            model(x)

    return Sides(step, inference)


def torch(name: str, size: int, threads: int) -> Sides:
    """Return the work with PyTorch, as its users write it."""
    import torch as peer

    peer.set_num_threads(threads)
    peer.manual_seed(0)
    model = network(peer.nn, name)
    criterion = peer.nn.CrossEntropyLoss()
    optimizer = peer.optim.Adam(model.parameters(), lr=1e-3)
    x, y = map(peer.from_numpy, batch(size))

    def step() -> None:
        model.train()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

    def inference() -> None:
        model.eval()
        with peer.inference_mode():
            model(x)

    return Sides(step, inference)


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def measure(side: str, name: str, threads: int) -> dict[str, float]:
    """Return the milliseconds and MiB of one side, measured in this process."""
    if side != "torch":
        os.environ["TT_NN_BACKEND"] = os.environ["TT_OPTIM_BACKEND"] = side

    def sides(size: int) -> Sides:
        return (torch if side == "torch" else ours)(name, size, threads)

    sides(2).step()  # imports and compiles what there is to
    before = peak_memory()
    step, inference = sides(BATCH)
    for _ in range(3):
        step()
    after = peak_memory()
    return {
        "step": milliseconds(step, repeats=25, warm_up=3),
        "inference": milliseconds(inference, repeats=25, warm_up=3),
        "peak": after,
        "growth": after - before,
    }


def matrix_product() -> float:
    """Return the 1e9 operations a second of a product of two 2048 x 2048 matrices, at best."""
    n = 2048
    a = np.random.default_rng(0).standard_normal((n, n), dtype=np.float32)
    out = a @ a
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * n**3 / min(seconds) / 1e9


def compare(
    name: str, backends: list[str], threads: int, rounds: int, variables: dict[str, str]
) -> tuple[list[Result], list[str]]:
    """Measure one network on all sides in turn.

    Returns:
        The results, and lines that say which share of the machine's peak each side reached.
    """
    here = str(Path(__file__).resolve())
    everyone = [*backends, "torch"]
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in everyone}
    peaks = []
    for i in range(rounds):
        peaks.append(in_a_process([here, "--side", "product"], threads, variables))
        for side in everyone if i % 2 == 0 else everyone[::-1]:
            case = ["--side", side, "--network", name, "--threads", str(threads)]
            figures[side].append(in_a_process([here, *case], threads, variables))
    results = []
    for backend in backends:
        target = TARGETS[name, backend][threads - 1]
        for what, bar, unit in (
            ("step", target, "ms"),
            ("inference", target, "ms"),
            ("peak", MEMORY_TARGET, "MB"),
            ("growth", MEMORY_TARGET, "MB"),
        ):
            title = f"{name} {backend}, threads {threads}: {what}"
            pairs = [
                (a[what], b[what]) for a, b in zip(figures[backend], figures["torch"], strict=True)
            ]
            results.append(Result.of_rounds(title, pairs, bar, unit))
    peak = max(peaks)
    shares = [f"{name}, threads {threads}: 2048³ product {peak:.0f} GFLOP/s; share of it in"]
    for what in ("step", "inference"):
        work = gigaflops(what == "step")
        parts = [
            f"{side} {work / (float(np.median([f[what] for f in figures[side]])) / 1e3) / peak:.0%}"
            for side in everyone
        ]
        shares.append(f"  {what} ({work:.2f} GFLOP): {', '.join(parts)}")
    return results, shares


def main() -> int:
    """Measure one side, or all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["numpy", "numba", "torch", "product"])
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--threads", type=int, choices=[1, 2], action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--malloc",
        choices=["tuned", "default"],
        default="tuned",
        help="the C library's memory, of every side: kept by the process, or as it comes",
    )
    options = parser.parse_args()
    threads, networks = options.threads or [1, 2], options.network or list(NETWORKS)
    if options.side == "product":
        print(json.dumps(matrix_product()))
        return 0
    if options.side:
        print(json.dumps(measure(options.side, networks[0], threads[0])))
        return 0
    variables = MALLOC if options.malloc == "tuned" else {}
    backends = ["numpy", "numba"] if find_spec("numba") is not None else ["numpy"]
    results, shares = [], []
    for name in networks:
        for count in threads:
            found, lines = compare(name, backends, count, options.rounds, variables)
            results += found
            shares += lines
    code = report(
        f"A network of two convolutions, batch {BATCH}, Adam; peak: resident memory of the "
        f"process after three steps, growth: above a step of a batch of 2; malloc {options.malloc}",
        "torch",
        results,
    )
    print("\n" + "\n".join(shares))
    return code


if __name__ == "__main__":
    raise SystemExit(main())

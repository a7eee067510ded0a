"""The training step of a network for MNIST: 784-128-64-10, momentum SGD, beside PyTorch's.

Zeroed gradients, forward, cross-entropy, backward and update; of a batch that is there (W1 and
W1b of the targets), and with the loader that shuffles and gathers it. Products this small are
shared by the threads of BLAS, which our side leaves as they are and the environment counts: they
wait for each other in a loop, where ``tt_nn.set_num_threads`` hands work over, which takes longer.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from _paired import Work, compare, milliseconds, report

SAMPLES = 12_800
TARGETS = {64: 0.75, 512: 1.0}  # by batch size


def samples() -> tuple[Any, Any]:
    """Return images and labels of MNIST's shapes."""
    rng = np.random.default_rng(0)
    images = rng.random((SAMPLES, 784), dtype=np.float32)
    return images, rng.integers(0, 10, SAMPLES)


def endless(loader: Any) -> Iterator[Any]:
    """Go over a loader again and again."""
    while True:
        yield from loader


def ours(batch_size: int, loader: bool) -> Work:
    """Return one training step with our packages."""
    import tt_autograd as tt
    import tt_nn as nn
    import tt_optim as optim

    tt.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images, labels = samples()
    batch: Callable[[], Any]
    if loader:
        import tt_data as data

        dataset = data.TensorDataset(tt.from_numpy(images), tt.from_numpy(labels))
        batch = endless(data.DataLoader(dataset, batch_size, shuffle=True)).__next__
    else:
        fixed = tt.tensor(images[:batch_size]), tt.tensor(labels[:batch_size])
        batch = lambda: fixed  # noqa: E731  # beside the other one

    def work() -> None:
        x, y = batch()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

    return work


def torch(batch_size: int, loader: bool, threads: int) -> Work:
    """Return one training step with PyTorch, as its users write it."""
    import torch as peer

    peer.set_num_threads(threads)
    peer.manual_seed(0)
    nn = peer.nn
    model = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = peer.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    images, labels = map(peer.from_numpy, samples())
    batch: Callable[[], Any]
    if loader:
        dataset = peer.utils.data.TensorDataset(images, labels)
        batch = endless(peer.utils.data.DataLoader(dataset, batch_size, shuffle=True)).__next__
    else:
        fixed = images[:batch_size].clone(), labels[:batch_size].clone()
        batch = lambda: fixed  # noqa: E731  # beside the other one

    def work() -> None:
        x, y = batch()
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()

    return work


def main() -> int:
    """Measure one side, or all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "torch"], help="measure one side only")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--loader", action="store_true", help="with the loader")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.side:
        if options.side == "torch":
            work = torch(options.batch_size, options.loader, options.threads)
        else:
            work = ours(options.batch_size, options.loader)
        print(json.dumps(milliseconds(work, repeats=400, warm_up=50)))
        return 0
    results = []
    for loader in (False, True) if find_spec("tt_data") is not None else (False,):
        for batch_size, target in TARGETS.items():
            for threads in (1, 2):
                case = ["--batch-size", str(batch_size), "--threads", str(threads)]
                case += ["--loader"] if loader else []
                mine, other = (
                    [str(Path(__file__).resolve()), "--side", side, *case]
                    for side in ("ours", "torch")
                )
                name = f"batch {batch_size}, threads {threads}" + (", loader" if loader else "")
                results.append(
                    compare(
                        name, mine, other, target=target, rounds=options.rounds, threads=threads
                    )
                )
    return report("A training step of 784-128-64-10, momentum SGD", "torch", results)


if __name__ == "__main__":
    raise SystemExit(main())

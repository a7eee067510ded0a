"""The training step of a GPT of characters, beside PyTorch's.

4 blocks of 4 heads and width 128, 128 positions, a batch of 16, AdamW (W3 of the targets): zeroed
gradients, forward, cross-entropy, backward and update. Each of our backends that is installed, with
one and with two threads.
"""

from __future__ import annotations

import argparse
import json
import os
from importlib.util import find_spec
from pathlib import Path

import _gpt
import numpy as np
from _paired import Result, Work, in_a_process, milliseconds, report

BATCH, LENGTH = 16, 128
TARGETS = {"numpy": (1.3, 1.25), "numba": (0.9, 0.95)}  # with one thread, and with two


def ours(threads: int) -> Work:
    """Return one training step with our packages."""
    import tt_autograd as tt
    import tt_nn as nn
    import tt_optim as optim

    nn.set_num_threads(threads)
    tt.manual_seed(0)
    model = _gpt.ours(LENGTH)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    text = tt.tensor(batch())
    x, y = text[:, :-1].clone(), text[:, 1:].clone()

    def work() -> None:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()

    return work


def torch(threads: int) -> Work:
    """Return one training step with PyTorch, as its users write it."""
    import torch as peer

    peer.set_num_threads(threads)
    peer.manual_seed(0)
    model = _gpt.torch(LENGTH)
    optimizer = peer.optim.AdamW(model.parameters(), lr=1e-3)
    text = peer.from_numpy(batch())
    x, y = text[:, :-1].clone(), text[:, 1:].clone()

    def work() -> None:
        optimizer.zero_grad()
        loss = peer.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()

    return work


def batch() -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return tokens and, one further on, what follows them."""
    rng = np.random.default_rng(0)
    return rng.integers(0, _gpt.VOCABULARY, (BATCH, LENGTH + 1))


def compare(backends: list[str], threads: int, rounds: int) -> list[Result]:
    """Measure all sides in turn."""
    here = str(Path(__file__).resolve())
    everyone = [*backends, "torch"]
    figures: dict[str, list[float]] = {side: [] for side in everyone}
    for i in range(rounds):
        for side in everyone if i % 2 == 0 else everyone[::-1]:
            case = ["--side", side, "--threads", str(threads)]
            figures[side].append(in_a_process([here, *case], threads, _gpt.MALLOC))
    return [
        Result.of_rounds(
            f"{backend}, threads {threads}",
            list(zip(figures[backend], figures["torch"], strict=True)),
            TARGETS[backend][threads - 1],
        )
        for backend in backends
    ]


def main() -> int:
    """Measure one side, or all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["numpy", "numba", "torch"])
    parser.add_argument("--threads", type=int, choices=[1, 2], action="append")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    threads = options.threads or [1, 2]
    if options.side:
        if options.side != "torch":
            os.environ["TT_NN_BACKEND"] = os.environ["TT_OPTIM_BACKEND"] = options.side
        work = (torch if options.side == "torch" else ours)(threads[0])
        print(json.dumps(milliseconds(work, repeats=25, warm_up=4)))
        return 0
    backends = ["numpy", "numba"] if find_spec("numba") is not None else ["numpy"]
    results = [result for count in threads for result in compare(backends, count, options.rounds)]
    return report(f"A training step of a GPT, batch {BATCH} x {LENGTH}, AdamW", "torch", results)


if __name__ == "__main__":
    raise SystemExit(main())

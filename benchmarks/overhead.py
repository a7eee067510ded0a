"""What profiling adds to what is profiled: a pass that keeps each layer's time, beside a plain one.

Forward and backward at batch size 64, in one process and in turn, as ``tt_profile.profile`` does
it itself; each round is a process of its own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from _paired import Result, in_a_process, report

if TYPE_CHECKING:
    from tt_autograd import Tensor
    from tt_nn import Module

BATCH_SIZE = 64
TARGET = 1.10


def mlp() -> tuple[Module, Tensor]:
    """Return the network for MNIST, and images."""
    import tt_autograd as tt
    import tt_nn as nn

    model = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    return model, tt.rand(BATCH_SIZE, 784)


def cnn() -> tuple[Module, Tensor]:
    """Return a network for CIFAR-10, and images."""
    import tt_autograd as tt
    import tt_nn as nn

    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(4096, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    return model, tt.rand(BATCH_SIZE, 3, 32, 32)


def gpt() -> tuple[Module, Tensor]:
    """Return a language model, and tokens."""
    import tt_autograd as tt
    from tt_nn.models import GPT, GPTConfig

    model = GPT(GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128))
    return model, tt.randint(0, 65, (BATCH_SIZE, 64))


CASES: dict[str, Callable[[], tuple[Module, Tensor]]] = {"MLP": mlp, "CNN": cnn, "GPT": gpt}


def measure(case: str) -> tuple[float, float]:
    """Return the milliseconds of a watched pass and of a plain one."""
    import tt_autograd as tt
    from tt_profile import profile

    tt.manual_seed(0)
    model, inputs = CASES[case]()
    timing = profile(model, inputs, repeats=5 if case == "GPT" else 25).timing
    return timing.function.median * 1e3, timing.baseline.median * 1e3


def main() -> int:
    """Measure all cases in turn, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, help="measure this one here")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case)))
        return 0
    script = str(Path(__file__).resolve())
    results = []
    for case in CASES:
        arguments = [script, "--case", case]
        rounds = (in_a_process(arguments, threads=1) for _ in range(options.rounds))
        results.append(Result.of_rounds(case, [(a, b) for a, b in rounds], TARGET))
    return report(
        f"Profiling at batch size {BATCH_SIZE}, forward and backward, one thread", "plain", results
    )


if __name__ == "__main__":
    raise SystemExit(main())

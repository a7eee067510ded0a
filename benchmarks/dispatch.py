"""What an op costs beside its arithmetic: chained additions of 10 elements, with gradients.

Forward and backward of a chain of 1,000 additions, on one thread, beside PyTorch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from _paired import Work, compare, milliseconds, report

CHAIN = 1000
ELEMENTS = 10
CASES = {
    "y = y + x, both require grad": "tensor",
    "y = y + 1.0": "scalar",
}
TARGET = 0.6


def ours(case: str) -> Work:
    """Return one pass of the chain with tt_autograd."""
    import tt_autograd as tt

    x, seed = tt.ones(ELEMENTS, requires_grad=True), tt.ones(ELEMENTS)
    step = x if case == "tensor" else 1.0

    def work() -> None:
        y = x
        for _ in range(CHAIN):
            y = y + step
        y.backward(seed)
        x.grad = None

    return work


def torch(case: str) -> Work:
    """Return one pass of the chain with PyTorch."""
    import torch as peer

    peer.set_num_threads(1)
    x, seed = peer.ones(ELEMENTS, requires_grad=True), peer.ones(ELEMENTS)
    step = x if case == "tensor" else 1.0

    def work() -> None:
        y = x
        for _ in range(CHAIN):
            y = y + step
        y.backward(seed)
        x.grad = None

    return work


def main() -> int:
    """Measure one side, or all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "torch"], help="measure one side only")
    parser.add_argument("--case", choices=CASES.values(), default="tensor")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    if options.side:
        work = {"ours": ours, "torch": torch}[options.side](options.case)
        print(json.dumps(milliseconds(work, repeats=60, warm_up=15)))
        return 0
    script = str(Path(__file__).resolve())
    results = []
    for name, case in CASES.items():
        sides = ([script, "--side", side, "--case", case] for side in ("ours", "torch"))
        results.append(compare(name, *sides, target=TARGET, rounds=options.rounds))
    return report(
        f"{CHAIN:,} additions of {ELEMENTS} elements, forward and backward, one thread",
        "torch",
        results,
    )


if __name__ == "__main__":
    raise SystemExit(main())

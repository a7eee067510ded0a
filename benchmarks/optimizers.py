"""What a step of Adam and AdamW costs over 0.8M parameters, beside PyTorch's fused ones.

Once over the 52 tensors of a small GPT, once over two large matrices, with the backend that
tt-optim chooses as it is installed, or another. One pass over memory is all that a fused optimizer
needs, and numba's kernels make one; NumPy, whose every operation is a pass over what is in cache,
needs twelve. Both sides are told how many threads to use, as their users would: by
``set_num_threads``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from _paired import Work, compare, milliseconds, report

LAYERS, WIDTH = 4, 128
BLOCK: list[tuple[int, ...]] = [
    *[(WIDTH,)] * 2,
    *[(3 * WIDTH, WIDTH), (3 * WIDTH,), (WIDTH, WIDTH), (WIDTH,)],
    *[(WIDTH,)] * 2,
    *[(4 * WIDTH, WIDTH), (4 * WIDTH,), (WIDTH, 4 * WIDTH), (WIDTH,)],
]
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "gpt": [(65, WIDTH), (WIDTH, WIDTH), *BLOCK * LAYERS, (WIDTH,), (WIDTH,)],
    "large": [(1024, 400), (400, 1024)],
}
TARGET = 1.0


def ours(kind: str, shapes: str, threads: int) -> Work:
    """Return a step of our optimizer."""
    import tt_autograd as tt
    import tt_nn as nn
    import tt_optim as optim

    nn.set_num_threads(threads)
    params = [nn.Parameter(tt.randn(*shape)) for shape in SHAPES[shapes]]
    for param in params:
        param.grad = tt.randn(*param.shape)
    optimizer: optim.Optimizer = getattr(optim, kind)(params)
    return optimizer.step


def torch(kind: str, shapes: str, threads: int) -> Work:
    """Return a step of PyTorch's fused optimizer."""
    import torch as peer

    peer.set_num_threads(threads)
    params = [peer.nn.Parameter(peer.randn(*shape)) for shape in SHAPES[shapes]]
    for param in params:
        param.grad = peer.randn(*param.shape)
    optimizer = getattr(peer.optim, kind)(params, fused=True)

    def work() -> None:
        optimizer.step()

    return work


def main() -> int:
    """Measure one side, or all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "torch"], help="measure one side only")
    parser.add_argument("--backend", choices=["numpy", "numba"], help="of tt-optim")
    parser.add_argument("--kind", choices=["Adam", "AdamW"], default="AdamW")
    parser.add_argument("--shapes", choices=list(SHAPES), default="gpt")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.side:
        if options.side == "torch":
            work = torch(options.kind, options.shapes, options.threads)
        else:
            work = ours(options.kind, options.shapes, options.threads)
        print(json.dumps(milliseconds(work, repeats=300, warm_up=30)))
        return 0
    if options.backend:
        os.environ["TT_OPTIM_BACKEND"] = options.backend
    from tt_optim import backend  # chosen at import

    results = []
    for kind in ("Adam", "AdamW"):
        for shapes, tensors in SHAPES.items():
            for threads in (1, 2):
                case = ["--kind", kind, "--shapes", shapes, "--threads", str(threads)]
                mine, other = (
                    [str(Path(__file__).resolve()), "--side", side, *case]
                    for side in ("ours", "torch")
                )
                name = f"{kind}, {len(tensors)} tensors, threads {threads}"
                results.append(
                    compare(
                        name, mine, other, target=TARGET, rounds=options.rounds, threads=threads
                    )
                )
    title = f"A step over 0.82M parameters, tt-optim's {backend()} kernels"
    return report(title, "torch fused", results)


if __name__ == "__main__":
    raise SystemExit(main())

"""Generation from a GPT of characters, token by token, beside PyTorch's.

128 tokens, batch 1, each side with a cache of keys and values that has room for all of them (W4 of
the targets); and what the cache gains, for 1,024 tokens of ours with and without it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import _gpt
from _paired import Result, Work, in_a_process, milliseconds, report

TARGET, GAIN = 0.5, 1 / 5
TOKENS, LONG = 128, 1024


def ours(threads: int, tokens: int, use_cache: bool) -> Work:
    """Return the generation with our packages."""
    import tt_autograd as tt
    import tt_nn as nn

    nn.set_num_threads(threads)
    tt.manual_seed(0)
    model = _gpt.ours(tokens + 1).eval()
    start = tt.tensor([[0]])
    return lambda: nn.generate(model, start, tokens, use_cache=use_cache)


def torch(threads: int) -> Work:
    """Return the generation with PyTorch."""
    import torch as peer

    peer.set_num_threads(threads)
    peer.manual_seed(0)
    model = _gpt.torch(TOKENS + 1).eval()

    def work() -> None:
        caches = model.new_caches(1)
        text = token = peer.tensor([[0]])
        with peer.inference_mode():
            for position in range(TOKENS):
                scores = model(token, caches, position)[:, -1]
                token = peer.multinomial(peer.softmax(scores, -1), 1)
                text = peer.cat([text, token], dim=1)

    return work


def in_turn(sides: tuple[str, str], threads: int, rounds: int) -> list[tuple[float, float]]:
    """Return the milliseconds of two sides, round by round."""
    here = str(Path(__file__).resolve())
    pairs = []
    for i in range(rounds):
        found = {
            side: in_a_process([here, "--side", side, "--threads", str(threads)], threads)
            for side in (sides if i % 2 == 0 else sides[::-1])
        }
        pairs.append((found[sides[0]], found[sides[1]]))
    return pairs


def main() -> int:
    """Measure one side, or all sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "torch", "cache", "no-cache"])
    parser.add_argument("--threads", type=int, choices=[1, 2], action="append")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    threads = options.threads or [1, 2]
    if options.side in ("ours", "torch"):
        side = options.side
        work = torch(threads[0]) if side == "torch" else ours(threads[0], TOKENS, use_cache=True)
        print(json.dumps(milliseconds(work, repeats=15, warm_up=3)))
        return 0
    if options.side:
        work = ours(threads[0], LONG, use_cache=options.side == "cache")
        print(json.dumps(milliseconds(work, repeats=1, warm_up=0)))
        return 0
    results = [
        Result.of_rounds(
            f"{TOKENS} tokens, threads {count}",
            in_turn(("ours", "torch"), count, options.rounds),
            TARGET,
        )
        for count in threads
    ]
    code = report("Generation from a GPT with a cache, batch 1", "torch", results)
    gain = Result.of_rounds(
        f"{LONG} tokens", in_turn(("cache", "no-cache"), threads[0], rounds=1), GAIN
    )
    return max(code, report("The same with and without the cache", "without", [gain]))


if __name__ == "__main__":
    raise SystemExit(main())

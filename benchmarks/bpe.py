"""Byte-level BPE in plain Python on Tiny Shakespeare, beside the tokenizers package.

Training to a vocabulary of 1,024, and encoding the whole text: for the first time, and with its
pieces remembered. Both sides give the same merges and ids. Beside the ratios there is a bar for us
alone: seconds to train, and megabytes encoded in a second.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _paired import compare, report

VOCAB_SIZE = 1024
MEGABYTES = 1.115394
SECONDS_TO_TRAIN = 20.0
MEGABYTES_IN_A_SECOND = 1.0
WORKS = {"train": 2.0, "encode, first time": 1.0, "encode, again": 1.0}  # targets of the ratio

Train = Callable[[], Any]
Encode = Callable[[Any], object]


def play() -> str:
    """Return the whole text."""
    from tt_data import TinyShakespeare

    return "".join(TinyShakespeare(part, block_size=1).text for part in (True, False))


def ours(text: str) -> tuple[Train, Encode]:
    """Return our training and encoding."""
    from tt_data import ByteBPETokenizer

    return (
        lambda: ByteBPETokenizer.train(text, VOCAB_SIZE),
        lambda tokenizer: tokenizer.encode(text),
    )


def peer(text: str) -> tuple[Train, Encode]:
    """Return the peer's."""
    os.environ["RAYON_NUM_THREADS"] = "1"
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def train() -> Any:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=VOCAB_SIZE,
            min_frequency=2,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator([text], trainer)
        return tokenizer

    return train, lambda tokenizer: tokenizer.encode(text).ids


def measure(side: str, work: str) -> float:
    """Return the milliseconds of one piece of work, done once in this process."""
    train, encode = (ours if side == "ours" else peer)(play())
    start = time.perf_counter()
    tokenizer = train()
    if work != "train":
        start = time.perf_counter()
        encode(tokenizer)
    if work == "encode, again":
        start = time.perf_counter()
        encode(tokenizer)
    return (time.perf_counter() - start) * 1e3


def main() -> int:
    """Measure one side, or both in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=["ours", "peer"], help="measure one side only")
    parser.add_argument("--work", choices=WORKS, default="train")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.work)))
        return 0
    mine, other = ([str(Path(__file__).resolve()), "--side", side] for side in ("ours", "peer"))
    results = [
        compare(
            work,
            [*mine, "--work", work],
            [*other, "--work", work],
            target=target,
            rounds=options.rounds,
        )
        for work, target in WORKS.items()
    ]
    code = report("Byte-level BPE, 1.1 MB of text, a vocabulary of 1,024", "tokenizers", results)
    seconds = results[0].ours / 1e3
    speed = MEGABYTES / results[1].ours * 1e3
    met = seconds <= SECONDS_TO_TRAIN and speed >= MEGABYTES_IN_A_SECOND
    print(
        f"Training: {seconds:.2f} s (at most {SECONDS_TO_TRAIN:g}). Encoding, first time: "
        f"{speed:.1f} MB/s (at least {MEGABYTES_IN_A_SECOND:g}). {'Met' if met else 'NOT MET'}."
    )
    return code if met else 1


if __name__ == "__main__":
    raise SystemExit(main())

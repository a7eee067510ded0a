"""``capstone train`` and ``capstone check``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ._digits import read_digits
from ._files import PAGE, load_models, read_record, save
from ._models import MODELS
from ._run import run
from ._training import accuracy


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code: 0, 1 for a check that fails, 2 for an error."""
    parser = argparse.ArgumentParser(prog="capstone", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    making = actions.add_parser("train", help="train, measure, shrink and report")
    making.add_argument("--model", choices=MODELS, default="cnn")
    making.add_argument("--epochs", type=_count, default=20)
    making.add_argument("--seed", type=_count, default=0)
    making.add_argument("--most-lost", type=float, default=0.01, metavar="SHARE")
    making.add_argument("--out", type=Path, metavar="FOLDER", help="default: runs/MODEL")
    making.set_defaults(action=train)

    checking = actions.add_parser("check", help="load the models of a run and judge them again")
    checking.add_argument("folder", type=Path)
    checking.set_defaults(action=check)

    arguments = parser.parse_args(argv)
    try:
        return int(arguments.action(arguments))
    except (ValueError, OSError) as error:
        print(f"capstone: {error}", file=sys.stderr)
        return 2


def train(arguments: argparse.Namespace) -> int:
    """Make a run and its files, and print its report."""
    folder = arguments.out or Path("runs", arguments.model)
    result = run(
        arguments.model,
        epochs=arguments.epochs,
        seed=arguments.seed,
        most_lost=arguments.most_lost,
    )
    save(result, folder)
    print(result.report.as_markdown())
    print(f"Written to {folder}: two models, {PAGE} and the record.")
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Judge the models of a run again, and compare with what its record says."""
    record, held_out = read_record(arguments.folder), read_digits().held_out
    names = "accuracy", "small_accuracy"
    found = [accuracy(model, held_out) for model in load_models(arguments.folder)]
    for name, score in zip(names, found, strict=True):
        print(f"{name.replace('_', ' ')}: {100 * score:.1f}%, recorded {100 * record[name]:.1f}%")
    return 0 if found == [record[name] for name in names] else 1


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {number}")
    return number

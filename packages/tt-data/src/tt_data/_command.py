"""`tito data`: list, fetch and verify the data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ._cifar import CIFAR10
from ._errors import DataError
from ._home import data_folder
from ._images import Digits, DownloadableImages
from ._mnist import MNIST, FashionMNIST
from ._text import TinyShakespeare

SHIPPED: dict[str, Callable[[], object]] = {
    "digits": Digits,
    "tiny-shakespeare": TinyShakespeare,
}
DOWNLOADED: dict[str, type[DownloadableImages]] = {
    "mnist": MNIST,
    "fashion-mnist": FashionMNIST,
    "cifar-10": CIFAR10,
}
NAMES = (*SHIPPED, *DOWNLOADED)


def main(argv: Sequence[str]) -> int:
    """Run `tito data` and return its exit code.

    Args:
        argv: Arguments after the command's name.

    Returns:
        0 for success, 1 if `verify` finds a malformed data set, 2 for a usage or data error.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    folder = data_folder(options.data_dir)
    try:
        if options.action == "list":
            return list_data_sets(folder)
        if options.action == "fetch":
            return fetch(options.names, folder)
        return verify(options.names, folder)
    except DataError as error:
        print(f"tito data: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito data", description="List, fetch and verify the data sets."
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with data sets; else the data home"
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the data sets, and which of them are there")
    fetcher = actions.add_parser("fetch", help="download data sets that are not there")
    fetcher.add_argument("names", nargs="+", type=_name, metavar="NAME", help=", ".join(NAMES))
    verifier = actions.add_parser(
        "verify",
        help="read data sets and check their files",
        description="Read the data sets named, or all, and check the structure of their files.",
    )
    verifier.add_argument("names", nargs="*", type=_name, metavar="NAME", help=", ".join(NAMES))
    return parser


def _name(text: str) -> str:
    """Return the name of a data set, however it is written: ``CIFAR10`` is ``cifar-10``."""
    plain = {name.replace("-", ""): name for name in NAMES}
    name = plain.get(text.lower().replace("-", "").replace("_", ""))
    if name is None:
        raise argparse.ArgumentTypeError(
            f"there is no data set {text!r}; there are {', '.join(NAMES)}"
        )
    return name


def list_data_sets(folder: Path) -> int:
    """Print a line for each data set."""
    print(f"data sets in {folder}")
    for name in NAMES:
        print(f"  {name:<18}{_state(name, folder)}")
    return 0


def fetch(names: Sequence[str], folder: Path) -> int:
    """Download what is missing of some data sets."""
    for name in names:
        if name in SHIPPED:
            print(f"{name}: ships with tt-data, nothing to fetch")
        else:
            print(f"{name}: in {DOWNLOADED[name].fetch(folder)}")
    return 0


def verify(names: Sequence[str], folder: Path) -> int:
    """Read some data sets, print a line for each, and return 1 if one is not in order.

    Without names, those that are there are read.
    """
    failures = 0
    for name in names or NAMES:
        try:
            print(f"{name}: {_verified(name, folder, required=bool(names))}")
        except DataError as error:
            failures += 1
            print(f"{name}: {error}")
    return 1 if failures else 0


def _verified(name: str, folder: Path, *, required: bool) -> str:
    if name in SHIPPED:
        SHIPPED[name]()
        return "in order"
    data_set = DOWNLOADED[name]
    if not required and len(data_set.missing(folder)) == _count(data_set):
        return "not there"
    parts = [data_set(train, data_dir=folder, download=False) for train in (True, False)]
    return f"in order, {len(parts[0])} images to train with and {len(parts[1])} to test"


def _state(name: str, folder: Path) -> str:
    if name in SHIPPED:
        return "ships with tt-data"
    data_set = DOWNLOADED[name]
    missing = data_set.missing(folder)
    if not missing:
        return f"in {folder / data_set.folder}"
    megabytes = sum(resource.size for resource in data_set.resources.values()) / 1e6
    state = "not there" if len(missing) == _count(data_set) else f"without {', '.join(missing)}"
    return f"{state}; 'tito data fetch {name}' downloads it ({megabytes:.0f} MB in all)"


def _count(data_set: type[DownloadableImages]) -> int:
    """Return how many files a data set has."""
    return len(data_set.needed(True)) + len(data_set.needed(False))

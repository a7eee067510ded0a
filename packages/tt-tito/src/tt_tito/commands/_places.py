"""The flags that say where the checkout and the workspace are."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_workspace_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where the checkout and the workspace are."""
    parser.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="the checkout; by default the one that the current folder is in",
    )
    parser.add_argument(
        "--workspace",
        type=Path,
        metavar="FOLDER",
        help="your packages; by default the folder 'workspace' of the checkout",
    )

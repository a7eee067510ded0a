"""`tito release`: make the archive that students are given for a module."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tt_tito._catalogue import find_root
from tt_tito._errors import TitoError
from tt_tito._report import write_whole
from tt_tito._terminal import paragraph
from tt_tito.course._curriculum import read_curriculum
from tt_tito.teaching._release import release


def main(argv: Sequence[str]) -> int:
    """Run `tito release` and return its exit code."""
    options = _parser().parse_args(argv)
    root = (options.root or find_root(Path.cwd())).absolute()
    curriculum = read_curriculum(root)
    module = curriculum.module(options.number)
    out: Path = options.out or Path(f"tinytorch-{module.number}-{module.name}.zip")
    if out.suffix != ".zip":
        raise TitoError(f"{out} is not the name of a zip file; let it end with '.zip'.")
    with tempfile.TemporaryDirectory(prefix="tito-") as scratch:
        content = release(curriculum, module.number, Path(scratch))
    try:
        write_whole(out, content)
    except OSError as error:
        raise TitoError(f"{out} cannot be written ({error.strerror or error}).") from error
    about = f"module {module.number} ({module.name}), {len(content) / 2**20:.1f} MiB"
    print(paragraph(f"{out}: {about}", rest="  "))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito release",
        description="Make the archive that students are given for a module: the packages of the "
        "modules up to it with their exercises blank, the guide, and what to do. Made again from "
        "the same checkout it is the same file.",
    )
    parser.add_argument("number", metavar="NN", help="the module's number, such as 02")
    parser.add_argument(
        "--out", type=Path, metavar="FILE",
        help="the archive; by default tinytorch-NN-name.zip in the current folder",
    )  # fmt: skip
    parser.add_argument(
        "--root", type=Path, metavar="FOLDER",
        help="the checkout; by default the one that the current folder is in",
    )  # fmt: skip
    return parser

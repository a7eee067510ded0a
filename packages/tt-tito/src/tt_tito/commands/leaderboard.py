"""`tito leaderboard`: the results that were verified here."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito._report import write_whole
from tt_tito._terminal import coloured, paragraph

from .benchmark import add_bench_options, bench_of, existing, show_verdict


def main(argv: Sequence[str]) -> int:
    """Run `tito leaderboard` and return its exit code."""
    options = _parser().parse_args(argv)
    return int(options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito leaderboard", description="Keep and show results that were verified here."
    )
    parser.add_argument(
        "--file", type=Path, default=Path("reports", "leaderboard.sqlite"), metavar="FILE",
        help="the file that results are kept in; %(default)s",
    )  # fmt: skip
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    adder = actions.add_parser(
        "add",
        help="verify submissions and keep the results",
        description="Verify submissions and keep the results of those that are accepted. The exit "
        "code is 1 if one is rejected. Of each name the best result is kept.",
    )
    adder.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    add_bench_options(adder)
    adder.set_defaults(run=add)
    shower = actions.add_parser("show", help="print the results, the best first")
    shower.set_defaults(run=show)
    page = actions.add_parser("html", help="write the results as a page")
    page.add_argument(
        "--output", type=Path, default=Path("reports", "leaderboard.html"), metavar="FILE",
        help="the page; %(default)s",
    )  # fmt: skip
    page.set_defaults(run=html)
    return parser


def add(options: argparse.Namespace) -> int:
    """Verify submissions and keep the results; 1 if one is rejected."""
    from tt_tito.benchmark import Leaderboard, verify

    board, bench = Leaderboard(options.file), bench_of(options)
    code = 0
    for folder in options.folders:
        verdict = verify(existing(folder), bench)
        show_verdict(folder, verdict)
        if not verdict.accepted:
            code = 1
        elif not board.keep(verdict):
            stays = "The leaderboard stays as it is: a result of that name is at least as good."
            print(paragraph(stays, first="  ", rest="  "))
    return code


def show(options: argparse.Namespace) -> int:
    """Print the results."""
    from tt_tito.benchmark import Leaderboard
    from tt_tito.benchmark._page import backend_of, measured_with, passes_of, quality_of

    rows = Leaderboard(options.file).rows()
    if not rows:
        print(paragraph(f"No results in {options.file}; 'tito leaderboard add' adds one."))
    contest = None
    for row in rows:
        if contest != row.contest:
            contest = row.contest
            title = coloured(f"{row.task}: {row.event}, {row.division} division", "bold")
            print(f"{title} ({measured_with(row)})")
        name, quality = quality_of(row)
        text = (
            f"{row.score.ratio:.3g} ({row.score.low:.3g}, {row.score.high:.3g})  {row.name}  "
            f"{name} {quality.submission:.4f}, passes: {passes_of(row)}, "
            f"{backend_of(row)}"
        )
        print(paragraph(text, first=f"{row.place:>4}  ", rest=" " * 8))
    return 0


def html(options: argparse.Namespace) -> int:
    """Write the page."""
    from tt_tito.benchmark import Leaderboard, render_leaderboard

    page = render_leaderboard(Leaderboard(options.file).rows())
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.output, page.encode())
    except OSError as error:
        reason = error.strerror or error
        raise TitoError(f"{options.output} cannot be written ({reason}).") from error
    print(options.output)
    return 0

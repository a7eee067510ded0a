"""`tito benchmark`: compete in TinyMLPerf, and verify what others hand in."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tt_tito._catalogue import find_root
from tt_tito._errors import MissingDataError, TitoError
from tt_tito._terminal import coloured, paragraph

if TYPE_CHECKING:  # loaded when something is measured, so that `--help` stays quick
    from tt_tito.benchmark import Bench, Configuration, Opened, Submission, Verdict

EVENTS = ("latency", "throughput", "memory", "size", "accuracy", "all-round")


def main(argv: Sequence[str]) -> int:
    """Run `tito benchmark` and return its exit code."""
    options = _parser().parse_args(argv)
    if options.action == "run":
        return run(options)
    return verify(options)


def add_bench_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say where models are measured with what."""
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the checkout; else that of the current folder"
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with data sets; else the data home"
    )


def bench_of(options: argparse.Namespace) -> Bench:
    """Return what the flags say to measure with."""
    from tt_tito.benchmark import Bench

    root = find_root(Path.cwd()) if options.root is None else options.root
    return Bench(root, options.data_dir)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tito benchmark",
        description="Compete in TinyMLPerf, and verify what others hand in.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    runner = actions.add_parser(
        "run",
        help="measure a model beside the reference and make a submission of it",
        description="Measure a model beside the reference of a task, in turn, and leave a folder "
        "to hand in. Without --model it is the reference itself, with the passes, the backend and "
        "the threads given: the closed division. With --model it is the open division.",
    )
    runner.add_argument("event", choices=EVENTS, metavar="EVENT", help=", ".join(EVENTS))
    runner.add_argument(
        "--task", metavar="TASK", help="the task; else each whose weights and data are here"
    )
    runner.add_argument("--name", default="anonymous", help="who or what competes")
    runner.add_argument(
        "--pass", dest="passes", action="append", default=[], metavar="PASS",
        help="a pass to apply, such as fold_batch_norm or int8_weights; may be given again",
    )  # fmt: skip
    runner.add_argument("--backend", default="numpy", choices=("numpy", "numba"))
    runner.add_argument("--threads", type=int, default=1, help="threads of large kernels")
    runner.add_argument("--model", type=Path, metavar="FILE", help="a model of your own, as JSON")
    runner.add_argument("--weights", type=Path, metavar="FILE", help="its weights, safetensors")
    runner.add_argument("--seed", type=int, default=0, help="which inputs are given")
    runner.add_argument(
        "--output", type=Path, default=Path("reports", "benchmark"), metavar="DIR",
        help="where the submissions' folders are made; %(default)s",
    )  # fmt: skip
    add_bench_options(runner)
    verifier = actions.add_parser(
        "verify",
        help="measure a submission again",
        description="Check a submission, run it, and put the figures measured here in the place of "
        "those it claims. The exit code is 1 if it is rejected.",
    )
    verifier.add_argument("folder", type=Path, metavar="FOLDER", help="the submission's folder")
    add_bench_options(verifier)
    return parser


def run(options: argparse.Namespace) -> int:
    """Measure the model in one task, or in each that can be run here, and leave its folder."""
    from tt_tito.benchmark import TASKS

    if (options.model is None) != (options.weights is None):
        raise TitoError("--model and --weights go together: a model of your own has its weights.")
    if options.model is not None and options.task is None:
        raise TitoError(f"--model needs --task: one of {', '.join(TASKS)}.")
    bench = bench_of(options)
    if options.task is not None:
        _run_task(options, bench, bench.open(bench.task(options.task)))
        return 0
    ran = False
    for task in bench.tasks.values():
        try:
            opened = bench.open(task)
        except MissingDataError as error:
            print(paragraph(f"{task.name}: NOT RUN. {error}", rest="  "))
            continue
        _run_task(options, bench, opened)
        ran = True
    if not ran:
        raise TitoError("No task could be run here.")
    return 0


def _run_task(options: argparse.Namespace, bench: Bench, opened: Opened) -> None:
    from tt_tito.benchmark import run, write_submission
    from tt_tito.benchmark._run import warning

    division = "closed" if options.model is None else "open"
    submission = run(
        bench, opened, options.event, _configuration(options, opened), options.weights,
        name=options.name, division="closed" if division == "closed" else "open",
        seed=options.seed,
    )  # fmt: skip
    folder = options.output / f"{opened.task.name}-{options.event}-{division}"
    try:
        write_submission(submission, folder)
    except OSError as error:
        raise TitoError(f"{folder} cannot be written ({error.strerror or error}).") from error
    print(coloured(f"{opened.task.title}: {options.event}, {division} division", "bold"))
    show_figures(submission)
    if problem := warning(submission, opened):
        print(paragraph(f"It will be rejected: {problem}", first="  ", rest="  "))
    print(f"  {folder}")


def _configuration(options: argparse.Namespace, opened: Opened) -> Configuration:
    from tt_tito.benchmark import Configuration, Rejected
    from tt_tito.benchmark._checks import parse_json
    from tt_tito.benchmark._submission import MAX_JSON

    model: object = opened.task.model
    try:
        if options.model is not None:
            with options.model.open("rb") as file:
                model = parse_json(file.read(MAX_JSON), str(options.model))
        return Configuration.parse(
            {
                "model": model,
                "passes": [{"pass": name} for name in options.passes],
                "backend": options.backend,
                "threads": options.threads,
            },
            "the configuration",
        )
    except OSError as error:
        raise TitoError(f"{options.model} cannot be read ({error.strerror or error}).") from error
    except Rejected as error:
        raise TitoError(str(error)) from error


def verify(options: argparse.Namespace) -> int:
    """Verify a submission, show the verdict, and replace what it claims by what was measured."""
    from tt_tito.benchmark import replace_figures, verify

    verdict = verify(existing(options.folder), bench_of(options))
    show_verdict(options.folder, verdict)
    if not verdict.accepted or verdict.submission is None:
        return 1
    try:
        replace_figures(options.folder, verdict.submission)
    except OSError as error:
        reason = error.strerror or error
        print(paragraph(f"  submission.json keeps its claims: it cannot be written ({reason})."))
    return 0


def existing(folder: Path) -> Path:
    """Return a folder that is there.

    Raises:
        TitoError: It is not, so there is nothing to judge.
    """
    if not folder.is_dir():
        raise TitoError(f"{folder} is no folder. Name the folder of a submission.")
    return folder


def show_verdict(folder: Path, verdict: Verdict) -> None:
    """Print whether a submission is accepted, why not, and what was measured."""
    if verdict.accepted and verdict.submission is not None:
        print(f"{coloured('ACCEPTED', 'green')} {folder}")
        show_figures(verdict.submission)
        return
    print(f"{coloured('REJECTED', 'red')} {folder}")
    for reason in verdict.reasons:
        print(paragraph(reason, first="  - ", rest="    "))


def show_figures(submission: Submission) -> None:
    """Print the figures of a submission beside those of the reference."""
    from tt_tito.benchmark._page import format_figure

    print(f"  {'figure':<12}{'reference':>12}{'this model':>12}  times better (lowest, highest)")
    for name, figure in submission.figures.items():
        ours, theirs = (format_figure(name, each) for each in (figure.reference, figure.submission))
        ratio = f"{figure.ratio:.3g} ({figure.low:.3g}, {figure.high:.3g})"
        print(f"  {name:<12}{ours:>12}{theirs:>12}  {ratio}")

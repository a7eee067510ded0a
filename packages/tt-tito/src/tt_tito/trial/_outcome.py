"""What the tests of a module found, and how it is told: the first failure first."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tt_tito._terminal import coloured, paragraph
from tt_tito.course._curriculum import Module

from ._venv import Source

SUSPECTS = 3  # exercises that are shown with their lines
OTHERS = 8  # further failures that are named


@dataclass(frozen=True, slots=True)
class Line:
    """A line of code.

    Attributes:
        file: Its file, in the learner's workspace or the checkout.
        number: Its number.
        text: What stands there.
    """

    file: Path
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a test compared.

    Attributes:
        text: The value in words.
        shape: Its shape, if it has one.
        dtype: Its dtype, if it has one.
    """

    text: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """An exercise that a failing test ran.

    Attributes:
        exercise: Its qualified name.
        line: The last of its lines that ran.
    """

    exercise: str
    line: Line


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed, or a file of tests that cannot be read.

    Attributes:
        test: Its id, such as ``packages/tt-tensor/tests/test_ops.py::test_values[add]``.
        message: What went wrong.
        expected: What the value should have been, where two were compared.
        actual: What it was.
        exercises: The learner's exercises that it ran: those that the error came through, the
            innermost first, or else all that it called, those first that hardly any passing test
            calls.
        line: The line of the learner's code that the error came from, if it came from there.
        tested: The line of the test.
        printed: The end of what the test printed.
    """

    test: str
    message: str
    expected: Value | None = None
    actual: Value | None = None
    exercises: tuple[Ran, ...] = ()
    line: Line | None = None
    tested: Line | None = None
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tests of a module found.

    Attributes:
        tests: The ids of all tests that there are.
        failed: Those that failed, in order.
        skipped: The ids of those that were skipped.
        passed: How many passed.
        reason: Why the run does not count, whatever its tests found; None if it does.
        digest: The SHA-256 of the tests that were run.
        sources: Whose packages they were run against.
        left: How many tests were not run, since enough had failed.
    """

    tests: tuple[str, ...]
    failed: tuple[Failure, ...]
    skipped: tuple[str, ...]
    passed: int
    reason: str | None
    digest: str
    sources: tuple[Source, ...]
    left: int = 0

    @property
    def ended(self) -> bool:
        """Whether all tests were run to their end, as far as can be told."""
        return self.reason is None

    @property
    def ok(self) -> bool:
        """Whether the module is passed: all was run, nothing failed, something passed."""
        return self.reason is None and not self.failed and self.passed > 0


def print_outcome(module: Module, outcome: Outcome) -> None:
    """Print whose packages were tested and what was found.

    Args:
        module: The module.
        outcome: What its tests found.
    """
    print_sources(outcome.sources)
    print()
    head = f"Module {module.number} ({module.name}): "
    if outcome.ok:
        skipped = f", {len(outcome.skipped)} skipped" if outcome.skipped else ""
        print(coloured(paragraph(f"{head}{outcome.passed} tests pass{skipped}."), "green"))
        return
    if outcome.failed:
        count, total = len(outcome.failed), len(outcome.tests) - outcome.left
        of = f" of {total}" if total else ""
        fail = "tests fail" if count != 1 or total > 1 else "test fails"
        if outcome.left:
            fail += f"; stopped after {count} failures, {outcome.left} tests are left"
        print(coloured(paragraph(f"{head}{count}{of} {fail}."), "red"))
        _print_common(outcome.failed)
        print()
        _print_failure(outcome.failed[0])
        _print_others(outcome.failed[1:])
    if outcome.reason is not None:
        if outcome.failed:
            print()
        print(coloured(paragraph(f"{head}not passed. {outcome.reason}"), "red"))
    elif not outcome.failed:
        print(coloured(paragraph(f"{head}no test was run, so nothing is passed."), "red"))


def print_sources(sources: Iterable[Source]) -> None:
    """Print which package came from whom, as the installed distributions prove.

    Args:
        sources: What is installed.
    """
    print(coloured("What runs, proven from what is installed:", "bold"))
    sources = list(sources)
    width = max((len(source.name) for source in sources), default=0)
    for source in sources:
        whose = "yours" if source.owner == "mine" else "the course's"
        words = f"{source.version}  {whose:<12}  sha256 {source.sha256[:12]}"
        print(paragraph(words, first=f"  {source.name:<{width}}  ", rest=" " * (width + 4)))


def _print_common(failed: tuple[Failure, ...]) -> None:
    """Name the exercise that is the most suspect one of every failing test, if there is one.

    Others that they all run say little: nearly every passing test runs them too.
    """
    suspects = [failure.exercises[0].exercise for failure in failed if failure.exercises]
    if len(suspects) > 1 and len(set(suspects)) == 1:
        count = "All" if len(suspects) == len(failed) else f"{len(suspects)}"
        print(paragraph(f"{count} of them run {suspects[0]}."))


def _print_failure(failure: Failure) -> None:
    print(coloured(paragraph(failure.test, rest="  "), "bold"))
    for line in failure.message.splitlines():
        print(paragraph(line, first="  ", rest="    ") if line.strip() else "")
    for name, value in (("expected", failure.expected), ("actual", failure.actual)):
        if value is not None:
            _print_value(name, value)
    if failure.tested is not None:
        _print_line("the test", failure.tested)
    if failure.line is not None and failure.line not in [ran.line for ran in failure.exercises]:
        _print_line("your code", failure.line)
    for ran in failure.exercises[:SUSPECTS]:
        _print_line(f"your {ran.exercise}", ran.line)
    if failure.printed.strip():
        print("  printed:")
        print(textwrap.indent(failure.printed.rstrip(), "    "))


def _print_value(name: str, value: Value) -> None:
    about = [f"shape {value.shape}"] if value.shape is not None else []
    about += [value.dtype] if value.dtype else []
    print(f"  {name}:" if not about else f"  {name} ({', '.join(about)}):")
    print(textwrap.indent(value.text, "    "))


def _print_line(name: str, line: Line) -> None:
    print(paragraph(f"{name}: {shown(line.file)}:{line.number}", first="  ", rest="    "))
    print(f"    {line.text}")


def _print_others(failed: tuple[Failure, ...]) -> None:
    if not failed:
        return
    print()
    print("Also failing:")
    for failure in failed[:OTHERS]:
        print(paragraph(failure.test, first="  ", rest="    "))
    if len(failed) > OTHERS:
        print(f"  and {len(failed) - OTHERS} more")


def shown(path: Path) -> str:
    """A path as it is shown: relative to the current folder where it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)

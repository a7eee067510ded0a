"""The run as it is shown on the terminal: rich where there is one, plain text in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from pathlib import Path
from typing import TypeVar

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table as RichTable
from rich.text import Text

from ._flags import DEFAULT, Flags
from ._format import format_cell, format_seconds, in_words
from ._report import Block, Excerpt, Heading, Note, Picture, Report, Table, numeric_columns

T = TypeVar("T")
PIPE_WIDTH = 100
UNSHOWN = "\N{REPLACEMENT CHARACTER}"  # in place of what a terminal would obey, not show


class Notebook:
    """Shows blocks of a report as they come."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=PIPE_WIDTH)

    def title(self, report: Report, flags: Flags) -> None:
        """Show which milestone this is, and with which flags it runs."""
        facts = [f"seed {flags.seed}", f"batch size {flags.batch_size}", f"epochs {flags.epochs}"]
        if flags.recipe != DEFAULT:
            facts.insert(0, f"recipe {flags.recipe}")
        if flags.mode != "full":
            facts.insert(0, flags.mode)
        self._print(f"Milestone {report.milestone} ({report.year})", "bold")
        self._print(report.title, "bold")
        self._print(", ".join(facts), "dim")

    def show(self, block: Block) -> None:
        """Show one block. Of a picture only its caption can be shown."""
        self._console.print()
        match block:
            case Heading(text):
                self._print(text, "bold")
            case Note(text):
                self._print(text)
            case Picture():
                self._print(f"[picture {block.name}.png] {block.caption}", "dim")
            case Table():
                self._table(block)
            case Excerpt(title, text):
                self._print(title, "italic")
                self._print(text)

    def stream(self, title: str, pieces: Iterable[str]) -> str:
        """Show a text as its pieces come, and return the whole of it."""
        self._console.print()
        self._print(title, "italic")
        shown = []
        for piece in pieces:
            text = "".join(c if c.isprintable() or c in "\n\t" else UNSHOWN for c in piece)
            self._console.print(Text(text), end="", soft_wrap=True)
            self._console.file.flush()
            shown.append(text)
        self._console.print()
        return "".join(shown)

    def ask(self, question: str) -> str | None:
        """Ask the user for a line; None where there are no more."""
        self._console.print()
        try:
            return self._console.input(Text(f"{question} ", "bold"))
        except EOFError:
            self._console.print()
            return None

    def progress(self, items: Iterable[T], description: str) -> Iterator[T]:
        """Go through items with a progress bar, if there is a terminal to show it on."""
        if not self._console.is_terminal:
            yield from items
            return
        total = len(items) if isinstance(items, Sized) else None
        yield from track(items, description, total=total, console=self._console, transient=True)

    def verdict(self, report: Report, folder: Path) -> None:
        """Show every metric, the bar, the verdict, and where the report is."""
        rows: list[tuple[str, str, str, str]] = []
        for name in dict.fromkeys((*report.metrics, *report.bar)):
            value, bound = report.metrics.get(name), report.bar.get(name)
            measured = "not measured" if value is None else format_cell(value)
            if bound is None or report.passed is None:
                rows.append((in_words(name), measured, "" if bound is None else str(bound), ""))
            else:
                met = value is not None and bound.met_by(value)
                rows.append((in_words(name), measured, str(bound), "met" if met else "NOT MET"))
        self.show(Heading("Verdict"))
        self.show(Table("", ("Metric", "Measured", "Bar", ""), tuple(rows)))
        self._console.print()
        seconds = format_seconds(report.seconds["total"])
        if report.passed is None:
            self._print(f"NOT JUDGED (--test-only), {seconds}", "bold")
        elif report.passed:
            self._print(f"PASSED in {seconds}", "bold green")
        else:
            self._print(f"NOT PASSED in {seconds}", "bold red")
        self._print(f"Report: {folder / 'report.html'}")

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style))

    def _table(self, table: Table) -> None:
        if table.title:
            self._print(table.title, "italic")
        shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for name, right in zip(table.columns, numeric_columns(table), strict=True):
            shown.add_column(escape(name), justify="right" if right else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*(Text(format_cell(cell)) for cell in row))
        self._console.print(shown)

"""What a run leaves behind: `report.json`, `report.html`, pictures; each written whole or not."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ._bar import Bound
from ._errors import TitoError
from ._flags import Mode

Cell = str | int | float


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title and named columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as two PNG files, for light and for dark pages.

    Attributes:
        name: Its file name without the ending.
        alt: What it shows, for who cannot see it.
        caption: What it means.
        light: The PNG file for light pages; it is also written on its own.
        dark: The PNG file for dark pages.
    """

    name: str
    alt: str
    caption: str
    light: bytes
    dark: bytes


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text that is shown as it stands, line by line."""

    title: str
    text: str


Block = Heading | Note | Table | Picture | Excerpt


@dataclass(slots=True)
class Report:
    """Everything that a run measured and has to say.

    The fields up to ``environment`` are those of `report.json`; the rest is for `report.html`.
    """

    milestone: str
    script: str
    mode: Mode
    seed: int
    metrics: dict[str, float] = field(default_factory=dict)
    bar: Mapping[str, Bound] = field(default_factory=dict)
    passed: bool | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    parameters: int = 0
    flops_forward: int = 0
    scaling: list[dict[str, Cell]] = field(default_factory=list)
    environment: Mapping[str, object] = field(default_factory=dict)

    year: int = 0
    title: str = ""
    story: str = ""
    command: str = ""
    blocks: list[Block] = field(default_factory=list)

    @property
    def pictures(self) -> list[Picture]:
        """The pictures, in the order they were drawn."""
        return [block for block in self.blocks if isinstance(block, Picture)]

    def as_json(self) -> dict[str, object]:
        """The contents of `report.json`.

        ``passed`` is null where nothing was judged (``--test-only``). A number that is not finite
        is null too: JSON has no NaN.
        """
        return {
            "milestone": self.milestone,
            "script": self.script,
            "mode": self.mode,
            "seed": self.seed,
            "metrics": {name: _finite(value) for name, value in self.metrics.items()},
            "bar": {name: {bound.kind: bound.value} for name, bound in self.bar.items()},
            "passed": self.passed,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "parameters": self.parameters,
            "flops_forward": self.flops_forward,
            "scaling": [
                {name: _finite(value) for name, value in row.items()} for row in self.scaling
            ],
            "environment": dict(self.environment),
        }


def _finite(value: Cell) -> Cell | None:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def open_folder(folder: Path) -> None:
    """Make the report's folder and find out whether it can be written, before a run begins.

    Args:
        folder: The folder.

    Raises:
        TitoError: If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def write_report(report: Report, page: str, folder: Path) -> None:
    """Write the pictures, `report.html` and, last, `report.json`.

    Args:
        report: The report.
        page: The report as an HTML page.
        folder: Where to, as `open_folder` left it.

    Raises:
        TitoError: If something cannot be written, for example on a full disk. A file that stood
            there before is then still whole.
    """
    record = json.dumps(report.as_json(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    try:
        for picture in report.pictures:
            write_whole(folder / f"{picture.name}.png", picture.light)
        write_whole(folder / "report.html", page.encode())
        write_whole(folder / "report.json", record.encode())
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(folder: Path, error: OSError) -> TitoError:
    """The error that says why a report's folder cannot be written, and what to do."""
    return TitoError(
        f"The report cannot be written to {folder} ({error.strerror or error}). Name a folder with "
        "room that you can write in with --report-dir."
    )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, then moved in its place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def verdict(bar: Mapping[str, Bound], metrics: Mapping[str, float]) -> bool:
    """Whether every metric that the bar names was measured and keeps its bound.

    Example:
        >>> from tt_tito import at_least
        >>> verdict({"accuracy": at_least(0.95)}, {"accuracy": 0.94})
        False
    """
    return all(name in metrics and bound.met_by(metrics[name]) for name, bound in bar.items())


def make_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """Make a table, checking that each row has a cell for each column.

    Raises:
        ValueError: If a row is longer or shorter.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(
                f"table {title!r}: the row {tuple(row)} has {len(row)} cells for "
                f"{len(columns)} columns {tuple(columns)}"
            )
    return Table(title, tuple(columns), tuple(tuple(row) for row in rows))


def numeric_columns(table: Table) -> list[bool]:
    """For each column, whether it holds quantities and so stands at the right.

    The first column names its row and never counts.
    """
    return [
        column > 0 and all(_is_quantity(row[column]) for row in table.rows)
        for column in range(len(table.columns))
    ]


def _is_quantity(cell: Cell) -> bool:
    """Whether a cell is a number, bare or with its unit."""
    return not isinstance(cell, str) or cell[:1].isdigit()

"""Tables on the terminal, with rich where it is installed, as plain text, and in a notebook."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ._format import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from ._passes import Cost
    from ._profile import LayerCost, Profile

_GAP = "  "  # between columns
_WIDTH = 100  # characters, of tables that are not for a terminal
_SHORTEST = 12  # characters of a first column
_EDGES = 4  # characters that rich leaves free beside its columns
# Columns that start at the left.
_TEXT = frozenset({"layer", "output", "op", "pass", "bound by", "timed"})


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Attributes:
        title: What it shows.
        columns: The heads of its columns.
        rows: Its cells.
        total: The last row, set apart; empty for none.
        notes: Sentences below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    total: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def side(self, column: str) -> Literal["left", "right"]:
        """Return where the cells of a column start: numbers end below each other."""
        return "left" if column in _TEXT else "right"


class Report(ABC):
    """What people read as tables. Printed, it is text."""

    __slots__ = ()

    @abstractmethod
    def _tables(self) -> list[Table]: ...

    def show(self) -> None:
        """Print the tables, with rich where it is installed."""
        show_tables(self._tables())

    def __str__(self) -> str:
        return text_of_tables(self._tables())

    def _repr_html_(self) -> str:
        from ._html import html_of_tables  # only notebooks ask for it

        return html_of_tables(self._tables())


def profile_tables(profile: Profile) -> list[Table]:
    """Return the tables of a profile: the layers, forward, backward if it went there, and ops."""
    names = label_layers(profile.layers)
    tables = [
        Table(
            "The model",
            ("layer", "output", "parameters", "kept", "time", "share"),
            [
                (
                    label,
                    " x ".join(map(str, layer.output_shape)),
                    f"{layer.parameters:,}",
                    format_bytes(layer.activation_bytes),
                    format_seconds(layer.total.seconds),
                    _share(layer.total, profile.total),
                )
                for label, layer in zip(names, profile.layers, strict=True)
            ],
            (
                "total",
                "",
                f"{profile.parameters:,}",
                format_bytes(profile.activation_bytes),
                format_seconds(profile.total.seconds),
                "100%",
            ),
            (
                f"A pass takes {format_seconds(profile.timing.baseline.median)} unwatched; keeping "
                f"each layer's time added {profile.overhead:.1%}.",
                f"kept: what a layer makes and backward needs. At its peak a pass holds "
                f"{format_bytes(profile.memory.peak)}.",
            ),
        )
    ]
    directions = {"Forward": [layer.forward for layer in profile.layers]}
    if any(layer.backward.seconds for layer in profile.layers):
        directions["Backward"] = [layer.backward for layer in profile.layers]
    for title, costs in directions.items():
        whole = profile.forward if title == "Forward" else profile.backward
        tables.append(
            Table(
                title,
                ("layer", "FLOPs", "bytes", "FLOP/byte", "time", "share", "FLOP/s"),
                [
                    (label, *_cells(cost, whole))
                    for label, cost in zip(names, costs, strict=True)
                    if cost.bytes or cost.seconds
                ],
                ("total", *_cells(whole, whole)),
            )
        )
    return tables


def label_layers(layers: Sequence[LayerCost]) -> list[str]:
    """Return each layer's name and class, indented below the layer that it is a part of."""
    known = {layer.name for layer in layers}
    labels = []
    for layer in layers:
        parts = layer.name.split(".")
        outer = [".".join(parts[:i]) for i in range(1, len(parts))]
        above = [name for name in outer if name in known]
        own = layer.name.removeprefix(f"{above[-1]}." if above else "")
        depth = len(above) + (layer.name != "")
        labels.append(" " * depth + f"{own} {layer.kind}".strip())
    return labels


def _cells(cost: Cost, whole: Cost) -> tuple[str, ...]:
    return (
        format_count(cost.flops),
        format_bytes(cost.bytes),
        f"{cost.intensity:.2f}" if cost.bytes else "",
        format_seconds(cost.seconds),
        _share(cost, whole),
        format_count(cost.flops_per_second) if cost.flops else "",
    )


def _share(cost: Cost, whole: Cost) -> str:
    return f"{cost.seconds / whole.seconds:.0%}" if whole.seconds else ""


def show_tables(tables: Sequence[Table]) -> None:
    """Print tables, with rich where it is installed."""
    if find_spec("rich") is None:
        print(text_of_tables(tables, shutil.get_terminal_size((_WIDTH, 24)).columns))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console()
    for table in tables:
        table = _fitted(table, console.width - _EDGES)
        drawn = RichTable(
            title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
            show_footer=bool(table.total), padding=(0, 1, 0, 0), pad_edge=False,
        )  # fmt: skip
        for i, column in enumerate(table.columns):
            drawn.add_column(
                column,
                footer=table.total[i] if table.total else "",
                justify=table.side(column),
                no_wrap=True,
            )
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn, markup=False)
        for note in table.notes:
            console.print(note, highlight=False)
        console.print()


def text_of_tables(tables: Sequence[Table], width: int = _WIDTH) -> str:
    """Return tables as lines of text."""
    return "\n\n".join("\n".join(_lines(_fitted(table, width))) for table in tables)


def _grid(table: Table) -> list[tuple[str, ...]]:
    return [table.columns, *table.rows, *([table.total] if table.total else [])]


def _fitted(table: Table, width: int) -> Table:
    """Shorten the first column, so that the table is no wider than the terminal."""
    _, *others = (max(map(len, column)) for column in zip(*_grid(table), strict=True))
    room = max(_SHORTEST, width - sum(others) - len(_GAP) * (len(others) + 1))
    rows = [
        (first if len(first) <= room else f"{first[: room - 1]}…", *rest)
        for first, *rest in table.rows
    ]
    return replace(table, rows=rows)


def _lines(table: Table) -> list[str]:
    grid = _grid(table)
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        _GAP.join(
            f"{cell:{'<' if table.side(column) == 'left' else '>'}{width}}"
            for cell, width, column in zip(row, widths, table.columns, strict=True)
        ).rstrip()
        for row in grid
    ]
    rule = "-" * max(map(len, lines))
    lines.insert(1, rule)
    if table.total:
        lines.insert(-1, rule)
    return [table.title, "", *lines, *([""] if table.notes else []), *table.notes]

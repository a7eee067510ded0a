"""The tables of a report in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._report import Table


def html_of_tables(tables: Sequence[Table]) -> str:
    """Return tables as HTML, each with its title above it and its notes below."""
    return f"<div style='overflow-x:auto'>{''.join(map(_table, tables))}</div>"


def _table(table: Table) -> str:
    body = "".join(_row(table, row, "td") for row in table.rows)
    foot = f"<tfoot>{_row(table, table.total, 'th')}</tfoot>" if table.total else ""
    notes = "".join(f"<p style='opacity:.7'>{escape(note)}</p>" for note in table.notes)
    caption = f"<b>{escape(table.title)}</b>"
    return (
        f"<table><caption style='caption-side:top;text-align:left'>{caption}</caption>"
        f"<thead>{_row(table, table.columns, 'th')}</thead><tbody>{body}</tbody>{foot}</table>"
        f"{notes}"
    )


def _row(table: Table, cells: Sequence[str], tag: str) -> str:
    inside = "".join(
        f"<{tag} style='white-space:pre;text-align:{table.side(column)}'>{escape(cell)}</{tag}>"
        for column, cell in zip(table.columns, cells, strict=True)
    )
    return f"<tr>{inside}</tr>"

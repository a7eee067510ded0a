"""How a model shows itself in a notebook: a table of its layers, below each other as they nest."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._summary import Row

_MANY = 40  # rows from which on a table is folded up at first
_LEFT, _RIGHT = "style='text-align:left'", "style='text-align:right'"


def html_of_rows(rows: Sequence[Row], parameters: int) -> str:
    """Return a table of a model's modules, the first of which is the model itself.

    Args:
        rows: What there is to say of each.
        parameters: How many numbers the whole model learns.
    """
    shapes = any(row.output_shape is not None for row in rows)
    lines = "".join(_line(row, shapes) for row in rows)
    middle = f"<th {_LEFT}>output</th>" if shapes else ""
    modules = f"{len(rows):,} module{'s' * (len(rows) != 1)}"
    return (
        f"<details{' open' * (len(rows) <= _MANY)} style='overflow-x:auto'>"
        f"<summary><b>{escape(rows[0].kind)}</b> · {modules} · {parameters:,} parameters</summary>"
        f"<table><thead><tr><th {_LEFT}>layer</th><th {_LEFT}>kind</th>{middle}"
        f"<th {_RIGHT}>parameters</th></tr></thead><tbody>{lines}</tbody>"
        f"<tfoot><tr><th {_LEFT} colspan='{2 + shapes}'>total</th>"
        f"<th {_RIGHT}>{parameters:,}</th></tr></tfoot></table></details>"
    )


def _line(row: Row, shapes: bool) -> str:
    depth = row.name.count(".") + 1 if row.name else 0
    indented = f"style='text-align:left;padding-left:{depth + 0.5}em'"
    kind = f"{escape(row.kind)}<span style='opacity:.7'>({escape(row.extra)})</span>"
    output = "" if row.output_shape is None else escape(str(row.output_shape))
    return (
        f"<tr><td {indented}>{escape(row.name)}</td><td {_LEFT}>{kind}</td>"
        f"{f'<td {_LEFT}>{output}</td>' if shapes else ''}"
        f"<td {_RIGHT}>{row.parameters:,}</td></tr>"
    )

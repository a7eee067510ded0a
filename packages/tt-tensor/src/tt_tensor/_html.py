"""How a tensor shows itself in a notebook: what it is, and its values as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._format import format_values, is_shortened, outer

_ALONE = 12  # values of a vector that stand in one row
_IN_A_ROW = 10  # values in a row of a longer vector
_FAINT = "style='opacity:.6;font-weight:normal;text-align:right'"  # on light and on dark pages


def html_of_tensor(array: NDArray[Any], kind: str, notes: Iterable[str] = ()) -> str:
    """Return a table of the values, in the words of the text and shortened as the text is.

    Args:
        array: The values. Of more than two dimensions, the first matrix is shown.
        kind: The name of the tensor's class.
        notes: More to say of it, such as ``requires_grad=True``.
    """
    said = [f"shape {array.shape}", array.dtype.name, *notes]
    body = ""
    if array.size:
        if array.ndim > 2:
            said.append(f"values at {[0] * (array.ndim - 2)}")
        while array.ndim > 2:
            array = array[0]
        body = _table(array)
    line = f"<div><b>{escape(kind)}</b> {escape(' · '.join(said))}</div>"
    table = f"<table style='text-align:right'>{body}</table>" if body else ""
    return f"<div style='overflow-x:auto'>{line}{table}</div>"


def _table(array: NDArray[Any]) -> str:
    """Return the rows of a table of a number, a vector or a matrix."""
    shortened, edge = is_shortened(array), np.get_printoptions()["edgeitems"]
    texts = iter(format_values(outer(array, edge) if shortened else array))
    if not array.ndim:
        return f"<tbody><tr><td>{escape(next(texts))}</td></tr></tbody>"
    rows: Sequence[int | None]
    columns: Sequence[int | None]
    if array.ndim == 1 and not shortened and array.size > _ALONE:
        rows, columns = range(0, array.size, _IN_A_ROW), range(_IN_A_ROW)
    else:
        *above, columns = (_places(size, shortened, edge) for size in array.shape)
        rows = above[0] if above else [0]
    lines = [
        ["…" if row is None or column is None else next(texts, "") for column in columns]
        for row in rows
    ]
    labels = map(_label, rows) if array.ndim == 2 or len(rows) > 1 else [""]
    return (
        f"<thead>{_row('', map(_label, columns), 'th')}</thead>"
        f"<tbody>{''.join(map(_row, labels, lines))}</tbody>"
    )


def _places(size: int, shortened: bool, edge: int) -> Sequence[int | None]:
    """Return the indices that are shown along a dimension, None for those left out."""
    if not shortened or size <= 2 * edge:
        return range(size)
    return [*range(edge), None, *range(size - edge, size)]


def _label(place: int | None) -> str:
    return "…" if place is None else str(place)


def _row(label: str, cells: Iterable[str], tag: str = "td") -> str:
    style = f" {_FAINT}" if tag == "th" else ""
    inside = "".join(f"<{tag}{style}>{escape(cell)}</{tag}>" for cell in cells)
    return f"<tr><th {_FAINT}>{label}</th>{inside}</tr>"

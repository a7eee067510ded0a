"""The leaderboard as one HTML page: whole without scripts, sortable with them, on any width."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from itertools import groupby

from tt_tito._format import format_bytes, format_seconds
from tt_tito._html import STYLE

from ._figures import Figure
from ._leaderboard import Row
from ._tasks import TASKS

OWN_STYLE = """
main { max-width: 62rem; }
h3 { font-size: 1.02rem; margin: 1.5rem 0 0.5rem; }
td.score { font-weight: 650; }
.range { color: var(--muted); font-size: 0.88rem; font-weight: 400; white-space: nowrap; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
time { white-space: nowrap; }
td.name { overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  table, tbody, tr, td { display: block; } thead { display: none; }
  tbody tr { padding: 0.6rem 0; }
  td, td.number { display: flex; justify-content: space-between; gap: 1rem; text-align: right;
    padding: 0.12rem 0; white-space: normal; }
  td::before { content: attr(data-label); color: var(--muted); text-align: left; flex: none; }
  td.name { font-weight: 650; }
}
"""

# Sorts a table by the column whose heading is pressed; without it all is there, in order of rank.
SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const key = row => row.cells[column].dataset.value;
      const order = (a, b) => key(a) - key(b) || key(a).localeCompare(key(b));
      body.append(...[...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)));
    });
  });
}
"""

COLUMNS = ("Rank", "Name", "Times better", "Quality", "Passes", "Backend", "Verified")


def render_leaderboard(rows: Sequence[Row]) -> str:
    """Render verified results as one self-contained HTML page.

    Args:
        rows: The results, as `Leaderboard.rows` returns them.
    """
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    sections = "\n".join(
        _section(task, list(group)) for task, group in groupby(rows, lambda row: row.task)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<title>TinyMLPerf leaderboard</title>
<style>{STYLE}{OWN_STYLE}</style>
</head>
<body>
<main>
<p class="kicker">TinyMLPerf</p>
<h1>Leaderboard</h1>
<p>Every result was measured again by who keeps this page: how many times better than the reference
model of the task, timed in turn with it in the same run. In brackets stand the smallest and the
greatest ratio that were measured.</p>
{sections or "<p>There are no results yet.</p>"}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _section(task: str, rows: Sequence[Row]) -> str:
    title = TASKS[task].title if task in TASKS else task
    tables = "\n".join(
        f"<h3>{escape(event.capitalize())}, {escape(division)} division</h3>\n{_table(list(group))}"
        for (event, division), group in groupby(rows, lambda row: (row.event, row.division))
    )
    return f"<section><h2>{escape(title)}</h2>\n{tables}</section>"


def _table(rows: Sequence[Row]) -> str:
    numeric = ("Rank", "Times better", "Quality")
    head = "".join(
        f'<th scope="col"{_class("number" if name in numeric else "")}>{name}</th>'
        for name in COLUMNS
    )
    body = "\n".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cells(row: Row) -> str:
    name, figure = quality_of(row)
    passes = passes_of(row)
    backend = backend_of(row)
    day = row.verified_at[:10]
    cells = (
        ("number", row.place, str(row.place)),
        ("name", row.name, escape(row.name)),
        ("number score", row.score.ratio, _score(row.score)),
        ("number", figure.submission, escape(f"{name} {figure.submission:.4f}")),
        ("", passes, escape(passes)),
        ("", backend, escape(backend)),
        ("", row.verified_at, f'<time datetime="{escape(row.verified_at)}">{escape(day)}</time>'),
    )
    return "".join(
        f'<td{_class(kind)} data-label="{label}" data-value="{escape(str(value))}">'
        f"<span>{shown}</span></td>"
        for label, (kind, value, shown) in zip(COLUMNS, cells, strict=True)
    )


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _score(figure: Figure) -> str:
    if figure.low == figure.high:
        return f"{figure.ratio:.3g}"
    return f'{figure.ratio:.3g} <span class="range">({figure.low:.3g} to {figure.high:.3g})</span>'


def quality_of(row: Row) -> tuple[str, Figure]:
    """What the model is for: the name and figure of its accuracy or loss."""
    name = "accuracy" if "accuracy" in row.figures else "loss"
    return name, row.figures[name]


def passes_of(row: Row) -> str:
    """The passes of a result in words."""
    return ", ".join(str(each["pass"]) for each in row.configuration["passes"]) or "none"


def backend_of(row: Row) -> str:
    """The backend of a result and how many threads it has, in words."""
    threads = row.configuration["threads"]
    return f"{row.configuration['backend']}, {threads} thread{'s' if threads > 1 else ''}"


def format_figure(name: str, value: float) -> str:
    """A measured quantity with its unit.

    Example:
        >>> format_figure("latency", 0.002), format_figure("size", 70_000)
        ('2 ms', '70 kB')
    """
    match name:
        case "latency":
            return format_seconds(value)
        case "throughput":
            return f"{value:,.0f} /s"
        case "memory" | "size":
            return format_bytes(value)
    return f"{value:.4f}"

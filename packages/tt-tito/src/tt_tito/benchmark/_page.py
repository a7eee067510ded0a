"""The leaderboard as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from itertools import groupby

from tt_tito._document import Cell, render_document, render_table
from tt_tito._format import format_bytes, format_seconds

from ._figures import Figure
from ._leaderboard import Row
from ._tasks import TASKS

STYLE = """
main { max-width: 62rem; }
tbody th { font-weight: 650; min-width: 8rem; overflow-wrap: anywhere; }
td { white-space: nowrap; }
td.score { font-weight: 650; }
td.passes { white-space: normal; min-width: 9rem; }
.range { color: var(--muted); font-size: 0.88rem; font-weight: 400; }
"""

HEAD = (
    Cell("Rank", "number"),
    Cell("Name"),
    Cell("Times better", "number"),
    Cell("Quality", "number"),
    Cell("Passes"),
    Cell("Backend"),
    Cell("Verified"),
)
NAME = 1


def render_leaderboard(rows: Sequence[Row]) -> str:
    """Render verified results as one self-contained HTML page.

    Args:
        rows: The results, as `Leaderboard.rows` returns them.
    """
    sections = "\n".join(
        _section(task, list(group)) for task, group in groupby(rows, lambda row: row.task)
    )
    body = f"""\
<p class="kicker">TinyMLPerf</p>
<h1>Leaderboard</h1>
<p>Every result was measured again by who keeps this page: how many times better than the reference
model of the task, timed in turn with it in the same run. In brackets stand the smallest and the
greatest ratio that were measured. Only results against the same reference and on the same data rank
together.</p>
{sections or "<p>There are no results yet.</p>"}"""
    return render_document("TinyMLPerf leaderboard", body, style=STYLE)


def _section(task: str, rows: Sequence[Row]) -> str:
    title = TASKS[task].title if task in TASKS else task
    parts = [f"<section><h2>{escape(title)}</h2>"]
    for (_, event, division, *_), group in groupby(rows, lambda row: row.contest):
        name, ranked = f"{event.capitalize()}, {division} division", list(group)
        parts.append(f"<h3>{escape(name)}</h3>")
        parts.append(f'<p class="range">{escape(measured_with(ranked[0]).capitalize())}</p>')
        cells = [_cells(row) for row in ranked]
        parts.append(render_table(f"{title}: {name}", cells, head=HEAD, heading=NAME))
    return "\n".join([*parts, "</section>"])


def _cells(row: Row) -> tuple[Cell, ...]:
    name, figure = quality_of(row)
    verified = datetime.fromisoformat(row.verified_at)
    day = f'<time datetime="{escape(row.verified_at)}">{verified:%Y-%m-%d}</time>'
    return (
        Cell(str(row.place), "number", row.place),
        Cell(escape(row.name)),
        Cell(_score(row.score), "number score", row.score.ratio),
        Cell(escape(f"{name} {figure.submission:.4f}"), "number", figure.submission),
        Cell(escape(passes_of(row)), "passes"),
        Cell(escape(backend_of(row))),
        Cell(day, value=verified.timestamp()),
    )


def _score(figure: Figure) -> str:
    if figure.low == figure.high:
        return f"{figure.ratio:.3g}"
    return f'{figure.ratio:.3g} <span class="range">({figure.low:.3g} to {figure.high:.3g})</span>'


def quality_of(row: Row) -> tuple[str, Figure]:
    """What the model is for: the name and figure of its accuracy or loss."""
    name = "accuracy" if "accuracy" in row.figures else "loss"
    return name, row.figures[name]


def measured_with(row: Row) -> str:
    """The beginnings of the digests that tell reference and data from others."""
    return f"reference {row.reference_sha256[:8]}, data {row.data_sha256[:8]}"


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

"""`report.html`: one file that holds all that a run measured and has to say."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from ._document import Cell, render_document, render_table
from ._format import format_bytes, format_cell, format_seconds, in_words, read_quantity
from ._report import Block, Excerpt, Heading, Note, Picture, Report, Table, numeric_columns

STYLE = """
.verdict { border-radius: 0.6rem; padding: 1rem 1.1rem; margin: 1.4rem 0; }
.verdict p { margin: 0 0 0.6rem; font-weight: 650; } .verdict .scroll { margin: 0; }
.met { background: var(--good-card); } .met p, td.met { color: var(--good); }
.missed { background: var(--bad-card); } .missed p, td.missed { color: var(--bad); }
.idle { background: var(--idle-card); } .idle p { color: var(--idle); margin: 0; }
td.met, td.missed { background: none; }
.excerpt figcaption { margin: 0 0 0.5rem; } .excerpt pre { margin: 0; }
"""


def render_page(report: Report) -> str:
    """Render a report as one self-contained HTML page."""
    title = f"Milestone {report.milestone}: {report.title}"
    body = "\n".join(
        [
            f'<p class="kicker">Milestone {escape(report.milestone)} &middot; {report.year}</p>',
            f"<h1>{escape(report.title)}</h1>",
            _verdict(report),
            *(f"<p>{escape(text)}</p>" for text in report.story.split("\n\n") if text),
            *(_block(block) for block in report.blocks),
            _summary(report),
        ]
    )
    return render_document(title, body, style=STYLE)


def _verdict(report: Report) -> str:
    if report.passed is None:
        text = "Not judged: this run only tested that everything runs (--test-only)."
        return f'<div class="verdict idle"><p>{text}</p></div>'
    kind, text = ("met", "The bar is met") if report.passed else ("missed", "The bar is not met")
    rows = []
    for name, bound in report.bar.items():
        value = report.metrics.get(name)
        met = value is not None and bound.met_by(value)
        measured = "not measured" if value is None else format_cell(value)
        rows.append(
            (
                Cell(escape(in_words(name))),
                Cell(escape(measured), "number", value),
                Cell(escape(str(bound))),
                Cell("met" if met else "not met", "met" if met else "missed"),
            )
        )
    head = (Cell("Metric"), Cell("Measured", "number"), Cell("Bar"), Cell("Verdict"))
    table = render_table("What the bar asks for", rows, head=head)
    return f'<div class="verdict {kind}"><p>{text}</p>{table}</div>'


def _block(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Note(text):
            return f"<p>{escape(text)}</p>"
        case Picture():
            return _picture(block)
        case Table():
            return _table(block)
        case Excerpt(title, text):
            shown = f"<figcaption>{escape(title)}</figcaption><pre>{escape(text)}</pre>"
            return f'<figure class="excerpt">{shown}</figure>'


def _picture(picture: Picture) -> str:
    light, dark = (_data_url(png) for png in (picture.light, picture.dark))
    return (
        f'<figure><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{escape(picture.alt)}"></picture>'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _table(table: Table) -> str:
    styles = ["number" if right else "" for right in numeric_columns(table)]
    head = [Cell(escape(name), style) for name, style in zip(table.columns, styles, strict=True)]
    columns = [
        [
            Cell(escape(format_cell(cell)), style, number)
            for cell, number in zip(column, _numbers(column), strict=True)
        ]
        for column, style in zip(zip(*table.rows, strict=True), styles, strict=False)
    ]
    return render_table(table.title, zip(*columns, strict=True), head=head, caption=True)


def _numbers(column: Sequence[str | int | float]) -> list[float | None]:
    """What the cells of a column sort by: numbers, where all of them are in the same unit."""
    quantities = [read_quantity(cell) for cell in column]
    units = {None if quantity is None else quantity[1] for quantity in quantities}
    if None in units or len(units) > 1:
        return [None] * len(column)
    return [quantity[0] for quantity in quantities if quantity is not None]


def _summary(report: Report) -> str:
    environment = report.environment
    packages = environment.get("packages")
    versions = (
        ", ".join(f"{name} {version}" for name, version in packages.items())
        if isinstance(packages, Mapping)
        else ""
    )
    seconds = ", ".join(f"{name} {format_seconds(t)}" for name, t in report.seconds.items())
    processes = environment.get("processes", 1)
    each = f" in each of {processes} processes" if processes != 1 else ""
    facts = {
        "Mode": report.mode,
        "Seed": str(report.seed),
        "Time": seconds,
        "Peak memory of a training step": format_bytes(report.peak_memory_bytes),
        "Python, NumPy": f"{environment.get('python')}, {environment.get('numpy')}",
        "BLAS": f"{environment.get('blas')}, threads: {environment.get('threads')}{each}",
        "CPU": str(environment.get("cpu")),
        "Packages": versions,
    }
    rows = [(Cell(escape(name)), Cell(escape(value))) for name, value in facts.items()]
    command = f"<pre>{escape(report.command)}</pre>"
    return f"<h2>This run</h2>\n{command}\n{render_table('This run', rows)}"

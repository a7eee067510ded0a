"""`report.html`: one file that holds everything, read on a phone or a wide screen, light or dark.

No script, no font and no picture comes from elsewhere; the page's own policy forbids it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from ._format import format_bytes, format_cell, format_seconds, in_words
from ._report import Block, Excerpt, Heading, Note, Picture, Report, Table, numeric_columns

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2230; --muted: #596579;
  --line: #e2e6ed; --card: #f6f7f9; --good: #0b7a45; --bad: #b42318; --idle: #596579;
  --good-card: #e8f6ee; --bad-card: #fdecea; --idle-card: #f1f3f6; }
@media (prefers-color-scheme: dark) { :root { --paper: #151922; --ink: #e8ebf1;
  --muted: #9aa5b5; --line: #2a303c; --card: #1c212c; --good: #5fd39a; --bad: #ff9187;
  --idle: #9aa5b5; --good-card: #14291f; --bad-card: #331b1a; --idle-card: #1c212c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.6;
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0.2rem 0 1rem;
  text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.8rem; line-height: 1.3; }
p { margin: 0 0 1rem; }
.kicker { color: var(--muted); font-size: 0.9rem; margin: 0; }
.verdict { border-radius: 0.6rem; padding: 1rem 1.1rem; margin: 1.4rem 0; }
.verdict p { margin: 0 0 0.6rem; font-weight: 650; }
.met { background: var(--good-card); } .met p, td.met { color: var(--good); }
.missed { background: var(--bad-card); } .missed p, td.missed { color: var(--bad); }
.idle { background: var(--idle-card); } .idle p { color: var(--idle); margin: 0; }
td.met, td.missed { background: none; }
.scroll { overflow-x: auto; margin: 0 0 1.4rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 650; padding: 0 0 0.4rem; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: left; vertical-align: top; }
th { color: var(--muted); font-weight: 500; white-space: nowrap; }
tr { border-bottom: 1px solid var(--line); } tbody tr:last-child { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
tbody th { white-space: normal; overflow-wrap: break-word; }
figure { margin: 0 0 1.8rem; }
figure img { display: block; width: 100%; height: auto; border-radius: 0.4rem; }
figcaption { color: var(--muted); font-size: 0.92rem; margin-top: 0.5rem; }
pre { background: var(--card); border-radius: 0.5rem; padding: 0.8rem 1rem; overflow-x: auto;
  font-size: 0.88rem; }
.excerpt figcaption { margin: 0 0 0.5rem; } .excerpt pre { margin: 0; white-space: pre-wrap; }
"""

# Nothing is loaded from anywhere: pictures are embedded, the only style is the one above.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


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
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _verdict(report: Report) -> str:
    if report.passed is None:
        text = "Not judged: this run only tested that everything runs (--test-only)."
        return f'<div class="verdict idle"><p>{text}</p></div>'
    kind, text = ("met", "The bar is met") if report.passed else ("missed", "The bar is not met")
    rows = []
    for name, bound in report.bar.items():
        value = report.metrics.get(name)
        met = value is not None and bound.met_by(value)
        rows.append(
            f'<tr><th scope="row">{escape(in_words(name))}</th>'
            f'<td class="number">{"not measured" if value is None else format_cell(value)}</td>'
            f"<td>{escape(str(bound))}</td>"
            f'<td class="{"met" if met else "missed"}">{"met" if met else "not met"}</td></tr>'
        )
    return (
        f'<div class="verdict {kind}"><p>{text}</p><div class="scroll" style="margin:0"><table>'
        '<thead><tr><th scope="col">Metric</th><th scope="col" class="number">Measured</th>'
        '<th scope="col">Bar</th><th scope="col">Verdict</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></div>"
    )


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
    numeric = numeric_columns(table)
    head = "".join(
        f'<th scope="col"{_number(right)}>{escape(name)}</th>'
        for name, right in zip(table.columns, numeric, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{_number(right)}>{escape(format_cell(cell))}</td>"
            for cell, right in zip(row, numeric, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _number(right: bool) -> str:
    return ' class="number"' if right else ""


def _summary(report: Report) -> str:
    environment = report.environment
    packages = environment.get("packages")
    versions = (
        ", ".join(f"{name} {version}" for name, version in packages.items())
        if isinstance(packages, Mapping)
        else ""
    )
    seconds = ", ".join(f"{name} {format_seconds(t)}" for name, t in report.seconds.items())
    facts = {
        "Mode": report.mode,
        "Seed": str(report.seed),
        "Time": seconds,
        "Peak memory of a training step": format_bytes(report.peak_memory_bytes),
        "Python, NumPy": f"{environment.get('python')}, {environment.get('numpy')}",
        "BLAS": f"{environment.get('blas')}, threads: {environment.get('threads')}",
        "CPU": str(environment.get("cpu")),
        "Packages": versions,
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in facts.items()
    )
    return (
        f"<h2>This run</h2>\n<pre>{escape(report.command)}</pre>\n"
        f'<div class="scroll"><table><tbody>{rows}</tbody></table></div>'
    )

"""A page that is one file: its look, its policy, and tables that sort where there are scripts.

All of it can be read without the script and without a network: nothing is loaded from anywhere,
and the page's own policy forbids it. It is read on a phone or a wide screen, light or dark.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2230; --muted: #596579;
  --line: #e2e6ed; --card: #f6f7f9; --good: #0b7a45; --bad: #b42318; --idle: #596579;
  --good-card: #e8f6ee; --bad-card: #fdecea; --idle-card: #f1f3f6; }
@media (prefers-color-scheme: dark) { :root { --paper: #151922; --ink: #e8ebf1;
  --muted: #9aa5b5; --line: #2a303c; --card: #1c212c; --good: #5fd39a; --bad: #ff9187;
  --idle: #9aa5b5; --good-card: #14291f; --bad-card: #331b1a; --idle-card: #1c212c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1.1rem 4rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0.2rem 0 1rem;
  text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.8rem; line-height: 1.3; }
h3 { font-size: 1.02rem; margin: 1.5rem 0 0.5rem; }
p { margin: 0 0 1rem; }
.kicker { color: var(--muted); font-size: 0.9rem; margin: 0; }
.scroll { overflow-x: auto; margin: 0 0 1.4rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 650; padding: 0 0 0.4rem; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: left; vertical-align: top; }
th { font-weight: 500; }
thead th { color: var(--muted); vertical-align: bottom; }
tr { border-bottom: 1px solid var(--line); } tbody tr:last-child { border-bottom: 0; }
.number { text-align: right; } td.number { white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
th button { font: inherit; color: inherit; text-align: inherit; background: none; border: 0;
  border-radius: 0.2rem; min-width: 1.75rem; min-height: 1.75rem; padding: 0; cursor: pointer; }
th button::after { content: "\\00A0\\21C5" / ""; }
th[aria-sort] button { color: var(--ink); }
th[aria-sort=ascending] button::after { content: "\\00A0\\2191" / ""; }
th[aria-sort=descending] button::after { content: "\\00A0\\2193" / ""; }
:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; }
figure { margin: 0 0 1.8rem; }
figure img { display: block; width: 100%; height: auto; border-radius: 0.4rem; }
figcaption { color: var(--muted); font-size: 0.92rem; margin-top: 0.5rem; }
pre { background: var(--card); border-radius: 0.5rem; padding: 0.8rem 1rem; margin: 0 0 1.4rem;
  font-size: 0.88rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""

# Makes a button of each heading that has words, over two rows or more: pressed, it sorts by its
# column, and pressed again the other way round. A column of numbers has data-value; a cell of it
# that has none stands last.
SCRIPT = """
const words = new Intl.Collator("en", { numeric: true });
for (const { tHead, tBodies: [body] } of document.querySelectorAll(".scroll > table")) {
  if (!tHead || body.rows.length < 2) continue;
  const heads = [...tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows];
      const value = row => row.cells[column].dataset.value;
      const text = row => row.cells[column].textContent;
      if (rows.some(value)) {
        const last = sign * Infinity;
        rows.sort((a, b) => sign * ((value(a) ?? last) - (value(b) ?? last) || 0));
      } else {
        rows.sort((a, b) => sign * words.compare(text(a), text(b)));
      }
      body.append(...rows);
    });
  });
}
"""

_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"
)


def render_document(title: str, body: str, *, style: str = "") -> str:
    """Render a page.

    Args:
        title: Its title, as text.
        body: What it says, as HTML.
        style: Rules of this page alone.
    """
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<title>{escape(title)}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        shown: What it shows, as HTML.
        style: Its classes; ``number`` puts it at the right.
        value: What it sorts by, in a column of numbers.
    """

    shown: str
    style: str = ""
    value: float | None = None


def render_table(
    name: str,
    rows: Iterable[Sequence[Cell]],
    *,
    head: Sequence[Cell] = (),
    heading: int = 0,
    caption: bool = False,
) -> str:
    """Render a table in a box of its own, in which it scrolls where it is too wide for the page.

    Args:
        name: What the table shows, for who cannot see it.
        rows: Its cells.
        head: The headings of its columns; a table without them does not sort.
        heading: The column that names the row.
        caption: Whether the name stands above the table too.
    """
    parts = [f"<caption>{escape(name)}</caption>"] if caption else []
    if head:
        columns = "".join(f'<th scope="col"{_attributes(cell)}>{cell.shown}</th>' for cell in head)
        parts.append(f"<thead><tr>{columns}</tr></thead>")
    lines = "\n".join(_row(row, heading) for row in rows)
    parts.append(f"<tbody>\n{lines}\n</tbody>")
    box = f'<div class="scroll" role="region" aria-label="{escape(name)}" tabindex="0">'
    return f"{box}<table>{''.join(parts)}</table></div>"


def _row(cells: Sequence[Cell], heading: int) -> str:
    shown = (
        f'<th scope="row"{_attributes(cell)}>{cell.shown}</th>'
        if column == heading
        else f"<td{_attributes(cell)}>{cell.shown}</td>"
        for column, cell in enumerate(cells)
    )
    return f"<tr>{''.join(shown)}</tr>"


def _attributes(cell: Cell) -> str:
    style = f' class="{cell.style}"' if cell.style else ""
    sorts = cell.value is not None and math.isfinite(cell.value)  # else it stands last
    return style + (f' data-value="{cell.value!r}"' if sorts else "")

"""The page of a notebook, written from what its cells put out when they were executed."""

import base64
import json
import re
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from tooling.packages import WorkspaceError
from tooling.site.places import shown

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Notebook:
    """A notebook as parts of the site.

    Attributes:
        page: The page, in Markdown.
        files: Its pictures, by their paths on the site.
    """

    page: str
    files: dict[str, bytes] = field(default_factory=dict)


def notebook_page(path: Path, source: str) -> Notebook:
    """Write the page of a notebook.

    Args:
        path: The notebook (``.ipynb``); its name is the page's.
        source: Where it is kept as text, for the page to link.

    Raises:
        WorkspaceError: A cell ended with an error, or a picture has no words.
    """
    notebook = Notebook("")
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_with_formulas(text))
        elif cell["cell_type"] == "code":
            parts.append(shown(text, "python"))
            parts += [_output(output, path.stem, notebook) for output in cell["outputs"]]
    title, *rest = parts
    heading, _, opening = title.partition("\n")
    link = f"The notebook as text, to be run: [`{source}`](../../{source})."
    notebook.page = "\n\n".join([heading, link, opening.strip(), *rest]) + "\n"
    return notebook


def _output(output: dict[str, Any], name: str, notebook: Notebook) -> str:
    """Return what a cell put out as Markdown: a picture, a table, or text."""
    kind = output["output_type"]
    if kind == "error":
        raise WorkspaceError(f"{name}: a cell ended with {output['ename']}: {output['evalue']}")
    if kind == "stream":
        return _text(output["text"])
    data = output["data"]
    if "image/png" in data:
        alt = output["metadata"].get("image/png", {}).get("alt", "")
        if not alt.strip():
            raise WorkspaceError(f"{name}: a picture has no words; display it with metadata")
        file = f"{name}/{len(notebook.files) + 1:02}.png"
        notebook.files[f"notebooks/{file}"] = base64.b64decode("".join(data["image/png"]))
        return f'<img class="output" src="{file}" alt="{escape(alt)}" loading="lazy">'
    if "text/html" in data:
        html = re.sub(r"\n\s*\n", "\n", "".join(data["text/html"]))
        return f'<div class="output">{html}</div>'
    return _text(data["text/plain"])


def _text(lines: list[str] | str) -> str:
    return shown(_COLOURS.sub("", "".join(lines)), "text")


def _with_formulas(text: str) -> str:
    """Write formulas between dollars as the docstrings do."""
    text = re.sub(
        r"\$\$(.+?)\$\$", lambda block: f".. math:: {' '.join(block[1].split())}", text, flags=re.S
    )
    return re.sub(r"(?<![\\$`])\$([^$\n]+?)\$(?!\d)", r":math:`\1`", text)

"""The page of a milestone's script, written from the report that a run left.

Everything that a page says was measured in that run. A script that was not run has a page too,
which says so.
"""

import ast
import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from tooling.packages import WorkspaceError
from tooling.site.places import shown

_PICTURE = re.compile(
    r'<picture><source srcset="data:image/png;base64,(?P<dark>[^"]+)"[^>]*>'
    r'<img src="data:image/png;base64,(?P<light>[^"]+)" alt="(?P<alt>[^"]*)"></picture>'
)
# A folder of the machine in the command of the run, quoted where it has spaces.
_FOLDER = re.compile(r" --(?:report|data)-dir[ =](?:&#x27;.*?&#x27;|[^\s<]+)")
_MODES = {
    "full": "a full run",
    "demo": "a run in demo mode: the same code with less of everything",
    "test-only": "a run that only tests that everything runs",
    "pretrained": "a run with the weights that ship beside the script",
}


@dataclass
class Run:
    """What a milestone's script left, as parts of the site.

    Attributes:
        page: The page, in Markdown.
        files: The pictures and figures beside it, by their paths on the site.
    """

    page: str
    files: dict[str, bytes] = field(default_factory=dict)


def milestone_page(number: str, script: Path, reports: Path) -> Run:
    """Write the page of a script.

    Args:
        number: The milestone's, such as ``04``.
        script: The script.
        reports: The folder of reports, each in ``milestone_04/<script>``.

    Raises:
        WorkspaceError: A report is not of this script, or has not the form that is known.
    """
    source = script.read_text(encoding="utf-8")
    folder = reports / f"milestone_{number}" / script.stem
    code = f'??? note "The script: {script.name}"\n\n' + _indented(shown(source, "python"))
    if not (folder / "report.json").exists():
        return Run("\n\n".join([*_without_a_run(number, script.stem, source), code]))
    record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if (record["milestone"], record["script"]) != (number, script.name):
        raise WorkspaceError(f"{folder}: the report is of another script, {record['script']}")
    html = (folder / "report.html").read_text(encoding="utf-8")
    main = re.search(r"(?s)<main>\n?(.*)</main>", html)
    title = re.search(r"<h1>(.*?)</h1>", html)
    if main is None or title is None:
        raise WorkspaceError(f"{folder}/report.html: expected a <main> with an <h1>")
    run = Run("")
    body = _PICTURE.sub(lambda found: _picture(found, script.stem, run), main[1])
    body = re.sub(r'<p class="kicker">.*?</p>', "", body.replace(title[0], "")).strip()
    body = _FOLDER.sub("", body)
    # Headings are Markdown's, so that they have ids and stand in the table of contents.
    body = re.sub(r"<h2>(.*?)</h2>", r"\n\n## \1\n\n", body)
    if "data:" in body:
        raise WorkspaceError(f"{folder}/report.html: a picture of an unknown form")
    run.files[f"milestones/{script.stem}/report.json"] = (folder / "report.json").read_bytes()
    origin = (
        f"The figures and pictures are those of {_MODES[record['mode']]}, with seed "
        f"{record['seed']}; [every number of it]({script.stem}/report.json)."
    )
    run.page = "\n\n".join([f"# {number} {title[1]}", origin, body, code])
    return run


def _without_a_run(number: str, name: str, source: str) -> list[str]:
    title, _, story = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    return [
        f"# {number} {title.removesuffix('.')}",
        '!!! note "Not run for this site"\n\n'
        "    The data of this script were not at hand when the site was built, so there are no\n"
        "    figures here. It is run by",
        _indented(shown(f"nox -s milestone_{number} -- {name}", "sh")),
        story.strip(),
    ]


def _picture(found: re.Match[str], name: str, run: Run) -> str:
    """Keep the two pictures as files and show the one of the page's colours."""
    number = 1 + sum(path.endswith("-light.png") for path in run.files)
    images = []
    for colours in ("light", "dark"):
        path = f"{name}/{number:02}-{colours}.png"
        run.files[f"milestones/{path}"] = base64.b64decode(found[colours], validate=True)
        images.append(f'<img src="{path}#only-{colours}" alt="{found["alt"]}" loading="lazy">')
    return "".join(images)


def _indented(text: str) -> str:
    return "".join(f"    {line}" if line.strip() else line for line in text.splitlines(True))

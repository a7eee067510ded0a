"""Where the files of the repository stand on the site, and texts of one as pages of the other.

A README is read in the repository and on the site. Its links are written for the repository; here
each is turned into the link of the page that has the file. A file that is linked and has no page of
its own is shown whole, on a page below ``source/``.
"""

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path

from tooling.packages import Package, WorkspaceError

DOCS = "docs"
_FENCED = re.compile(r"(?ms)^(```.*?^```$)")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_INCLUDE = re.compile(r'(?m)^--8<-- "(?P<file>[^"#]+)(?:#(?P<heading>[^"]+))?"$')
_LANGUAGES = {".py": "python", ".toml": "toml", ".yml": "yaml"}


@dataclass
class Places:
    """The pages that files of the repository have.

    Attributes:
        root: The repository.
        known: Pages by the paths of files and folders.
        sources: The pages below ``source/`` that were asked for, with their files.
    """

    root: Path
    known: dict[str, str]
    sources: dict[str, Path] = field(default_factory=dict)

    def page_of(self, path: str) -> str:
        """Return the page of a file or a folder, or the file's own place if it is a picture.

        Raises:
            WorkspaceError: There is no such file.
        """
        if path in self.known:
            return self.known[path]
        file = self.root / path
        if path.startswith(f"{DOCS}/") and file.is_file() and file.suffix not in _LANGUAGES:
            return path.removeprefix(f"{DOCS}/")
        if not file.is_file() or file.suffix not in _LANGUAGES:
            raise WorkspaceError(f"{path}: linked, but there is no such page, text or picture")
        page = f"source/{path}.md"
        self.sources[page] = file
        return page

    def on_page(self, text: str, origin: str, page: str) -> str:
        """Return a text of the repository as it stands on a page of the site.

        Args:
            text: Markdown.
            origin: The file that it is of, which its links are relative to.
            page: The page, as mkdocs names it.
        """

        def link(match: re.Match[str]) -> str:
            target, _, anchor = match[2].partition("#")
            if not target or re.match(r"[a-z]+:", target):
                return match[0]
            path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
            there = posixpath.relpath(self.page_of(path), posixpath.dirname(page) or ".")
            return f"{match[1]}{there}{'#' * bool(anchor)}{anchor}{match[3]}"

        parts = _FENCED.split(text)
        parts[::2] = [_LINK.sub(link, part) for part in parts[::2]]
        return "".join(map(_session_fence, parts))

    def in_full(self, text: str, page: str) -> str:
        """Return a page of ``docs/`` with what it includes: ``--8<-- "README.md#The packages"``.

        The part below a second-level heading comes without the heading; without one, what stands
        between the file's title and its first such heading.
        """

        def section(match: re.Match[str]) -> str:
            whole = (self.root / match["file"]).read_text(encoding="utf-8")
            part = section_of(whole, match["heading"])
            if part is None:
                raise WorkspaceError(f"{page}: {match['file']} has no ## {match['heading']}")
            return self.on_page(part.strip(), match["file"], page)

        return _INCLUDE.sub(section, self.on_page(text, f"{DOCS}/{page}", page))

    def source_pages(self) -> dict[str, str]:
        """Return the pages below ``source/``, in Markdown."""
        return {
            page: f"# {file.name}\n\n`{file.relative_to(self.root).as_posix()}`\n\n"
            + shown(file.read_text(encoding="utf-8"), _LANGUAGES[file.suffix])
            for page, file in sorted(self.sources.items())
        }


def places_of(root: Path, packages: tuple[Package, ...], scripts: dict[str, Path]) -> Places:
    """Return the pages that are there before any link is read."""
    known = {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "capstone": "modules/capstone.md",
        "capstone/README.md": "modules/capstone.md",
        "milestones": "milestones/index.md",
        "milestones/README.md": "milestones/index.md",
    }
    for name, script in scripts.items():
        known[script.relative_to(root).as_posix()] = f"milestones/{name}.md"
    for package in packages:
        folder = package.path.relative_to(root).as_posix()
        known[folder] = known[f"{folder}/README.md"] = f"{folder}/index.md"
    return Places(root, known)


def section_of(text: str, heading: str | None) -> str | None:
    """Return the part below a second-level heading, or what stands before the first."""
    if heading is None:
        return text.partition("\n## ")[0].partition("\n")[2]
    found = re.search(rf"(?ms)^## {re.escape(heading)}$\n(.*?)(?=^## |\Z)", text)
    return found[1] if found else None


def shown(text: str, language: str) -> str:
    """Return a text as a fenced block that no fence inside it can end."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", text))])
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _session_fence(part: str) -> str:
    """Mark a block of Python that is a session as one, so that its prompts are told apart."""
    return re.sub(r"\A```python\n(?=>>> )", "```pycon\n", part)

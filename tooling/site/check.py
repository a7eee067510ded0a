"""Checks of the built site: every link leads somewhere, every picture has words, search finds.

``python -m tooling.site.check FOLDER`` reads every page of the folder and prints what is wrong.
What leads to another site is only checked for its form: nothing is fetched.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

SEARCHED = ("Conv2d", "tt_nn.Conv2d")  # a heading that search finds, and its anchor


@dataclass
class Document(HTMLParser):
    """What a page has that can be wrong.

    Attributes:
        path: The file.
        ids: What links can lead to.
        links: Addresses that the page leads to or loads, each with its line.
        loads: Those of them that it loads.
        errors: What is wrong in the page itself.
    """

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[tuple[int, str]] = field(default_factory=list)
    loads: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag has."""
        values = {name: value or "" for name, value in attrs}
        line = self.getpos()[0]
        if (name := values.get("id")) is not None:
            if name in self.ids:
                self.errors.append(f"{self.path}:{line}: there is another id {name!r}")
            self.ids.add(name)
        if tag == "a" and "name" in values:
            self.ids.add(values["name"])
        if tag == "img" and not values.get("alt", "").strip():
            self.errors.append(f"{self.path}:{line}: a picture without words: {values.get('src')}")
        for attribute in ("href", "src"):
            if (address := values.get(attribute)) is not None:
                self.links.append((line, address))
                if attribute == "src" or (tag == "link" and values.get("rel") == "stylesheet"):
                    self.loads.add(address)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag that closes itself has."""
        self.handle_starttag(tag, attrs)


def errors_of(site: Path) -> Iterator[str]:
    """Go over what is wrong with the pages of a built site."""
    documents = {path.resolve(): Document(path) for path in sorted(site.rglob("*.html"))}
    if not documents:
        yield f"{site}: there is no page"
    for document in documents.values():
        yield from document.errors
        for line, address in document.links:
            if error := _link_error(site.resolve(), document, address, documents):
                yield f"{document.path}:{line}: {address}: {error}"
    yield from _search_errors(site, documents)


def _link_error(
    site: Path, document: Document, address: str, documents: dict[Path, Document]
) -> str | None:
    """Say what is wrong with an address, if something is."""
    parts = urlsplit(address)
    if parts.scheme == "data":
        return None
    if parts.scheme or parts.netloc:
        return _foreign_error(parts, address in document.loads)
    if parts.path.startswith("/") and document.path.name != "404.html":
        return "absolute, so it is wrong where the site is not at the root"
    start = site if parts.path.startswith("/") else document.path.resolve().parent
    target = document.path.resolve()
    if parts.path:
        target = (start / unquote(parts.path).lstrip("/")).resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_relative_to(site) or not target.is_file():
        return "there is no such file"
    anchor = unquote(parts.fragment)
    if anchor and target in documents and anchor not in documents[target].ids:
        return f"{target.name} has no id {anchor!r}"
    return None


def _foreign_error(parts: SplitResult, loaded: bool) -> str | None:
    if loaded:
        return "loaded from another site"
    if parts.scheme == "mailto":
        return None if "@" in parts.path else "no address of mail"
    if parts.scheme != "https" or not re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc):
        return "not of the form https://name.of.a.host/…"
    return None


def _search_errors(site: Path, documents: dict[Path, Document]) -> Iterator[str]:
    """Look for a heading in the index of the search, and at where its entries lead."""
    index = site / "search" / "search_index.json"
    if not index.is_file():
        yield f"{index}: there is no index to search in"
        return
    entries = json.loads(index.read_text(encoding="utf-8"))["docs"]
    found = [entry["location"] for entry in entries if SEARCHED[0] in entry["title"]]
    if not any(location.endswith(f"#{SEARCHED[1]}") for location in found):
        yield f"{index}: {SEARCHED[0]} is not found: {found}"
    for entry in entries:
        path, _, anchor = entry["location"].partition("#")
        page = documents.get((site / (path or "index.html")).resolve())
        if page is None or (anchor and anchor not in page.ids):
            yield f"{index}: {entry['location']}: there is no such place"


def main(arguments: Iterable[str]) -> int:
    """Print what is wrong with each site; return the exit code."""
    errors = [error for folder in arguments for error in errors_of(Path(folder))]
    print("\n".join(errors) if errors else "every link leads somewhere")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

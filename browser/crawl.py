"""All pages of a site that its links lead to."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.error import HTTPError
from urllib.parse import unquote, urldefrag, urljoin
from urllib.request import urlopen


class Links(HTMLParser):
    """The links of a page, and what links to it can name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        self.links += [values[name] for name in ("href", "src") if name in values]


@dataclass
class Crawl:
    """What was found.

    Attributes:
        pages: The addresses of all pages, and their anchors.
        dead: Links that lead nowhere, each with why and a page that has it.
    """

    pages: dict[str, set[str]] = field(default_factory=dict)
    dead: dict[str, str] = field(default_factory=dict)


def crawl(home: str) -> Crawl:
    """Follow every link that stays below the address of the home page."""
    found, seen, waiting = Crawl(), {home}, [(home, home)]
    anchored: list[tuple[str, str, str]] = []
    while waiting:
        address, source = waiting.pop()
        try:
            with urlopen(address) as answer:
                html = answer.headers.get_content_type() == "text/html"
                text = answer.read().decode() if html else ""
        except HTTPError as error:
            found.dead[address] = f"{error.code}, on {source}"
            continue
        if not html:
            continue
        page = Links(text)
        found.pages[address] = page.anchors
        for link in page.links:
            target, anchor = urldefrag(urljoin(address, link))
            if not target.startswith(home):
                continue
            anchored.append((target, unquote(anchor), address))
            if target not in seen:
                seen.add(target)
                waiting.append((target, address))
    found.dead |= {
        f"{target}#{anchor}": f"no such anchor, on {source}"
        for target, anchor, source in anchored
        if target in found.pages and anchor not in found.pages[target]
    }
    return found

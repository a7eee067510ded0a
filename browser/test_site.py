"""The site: search, what its links lead to, and that all of its guides and milestones open."""

from pathlib import Path

import pytest

from browser.chromium import Open, View
from browser.crawl import crawl
from browser.made import ROOT, SITE
from tooling.index import served


@pytest.mark.parametrize("width", [1280, 360])
def test_search_finds_a_class(width: int, visit: Open, site: str) -> None:
    with visit(f"{site}index.html", View(width)) as seen:
        page = seen.page
        if width == 360:
            page.locator("label[for=__search]").locator("visible=true").first.tap()
        # By keys: the theme listens to them, and may have looked for a text before there was one.
        page.get_by_role("textbox", name="Search").press_sequentially("Conv2d")
        result = page.locator("a.md-search-result__link[href$='#tt_nn.Conv2d']")
        result.first.click()
        page.wait_for_load_state("networkidle")
        heading = page.locator(r"#tt_nn\.Conv2d")
        heading.wait_for(state="visible")
        assert "Conv2d" in heading.inner_text()
        assert "convolution" in page.locator("article").inner_text()
        assert seen.faults == []


def test_search_goes_without_a_mouse(visit: Open, site: str) -> None:
    with visit(f"{site}index.html", View()) as seen:
        page = seen.page
        page.keyboard.press("/")
        page.keyboard.type("Conv2d")
        # Each key brings other results, which name what they were found by.
        page.locator(".md-search-result__link[href*='h=conv2d']").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/packages/tt-nn/**")


GUIDES = sorted(path.stem for path in ROOT.glob("docs/modules/[0-9]*.md"))
MILESTONES = sorted(path.stem for path in ROOT.glob("milestones/[0-9]*/*.py"))


def test_there_are_guides_and_milestones() -> None:
    assert len(GUIDES) == 20
    assert len({path.parent for path in ROOT.glob("milestones/[0-9]*/*.py")}) == 6


@pytest.mark.parametrize(
    "place",
    [*(f"modules/{name}" for name in GUIDES), *(f"milestones/{name}" for name in MILESTONES)],
)
def test_a_guide_and_a_milestone_open(place: str, visit: Open, site: str) -> None:
    with visit(f"{site}{place}.html", View(360)) as seen:
        assert seen.page.locator("h1").inner_text().strip()
        assert len(seen.page.locator("article").inner_text().split()) > 100
        assert seen.faults == []


def test_links_lead_somewhere_and_lead_to_every_page(site: str) -> None:
    found = crawl(site)
    assert found.dead == {}
    reached = {address.removeprefix(site) or "index.html" for address in found.pages}
    built = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")}
    assert built - reached == {"404.html"}
    assert len(reached) > 50


def test_a_crawl_finds_dead_links(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<p id="a"><a href="b.html#b">b</a> <a href="b.html#c">c</a> <a href="#a">a</a>'
        '<a href="nowhere.html">n</a> <img src="no.png"> <a href="http://example.org/x">x</a>'
    )
    (tmp_path / "b.html").write_text('<p id="b"><a href="./#a">a</a><a href="index.html#b">b</a>')
    with served(tmp_path) as address:
        found = crawl(f"{address}/")
    dead = {link.removeprefix(f"{address}/"): why[:3] for link, why in found.dead.items()}
    anchors = {"b.html#c": "no ", "index.html#b": "no "}
    assert dead == {**anchors, "nowhere.html": "404", "no.png": "404"}

"""Every page: what it loads, who can read it, and on what."""

import re
from collections.abc import Callable
from typing import Literal

import pytest

from browser.audit import audit, words
from browser.chromium import Open, View

FILES = ("milestone_02", "milestone_03", "leaderboard")
SITE = (
    *("index", "getting-started", "questions", "speed", "modules/09_spatial"),
    *("packages/index", "packages/tt-nn/index", "packages/tt-nn/tt_nn-spatial"),
    *("milestones/index", "milestones/mlp_digits"),
)

WIDE, PHONE = 1280, 360
VIEWS = [View(WIDE), View(WIDE, "dark"), View(PHONE), View(PHONE, "dark")]


@pytest.fixture(params=[*FILES, *(f"site/{place}.html" for place in SITE)])
def address(request: pytest.FixtureRequest, find: Callable[[str], str]) -> str:
    return find(request.param)


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_it_is_whole_and_readable(address: str, view: View, visit: Open) -> None:
    with visit(address, view) as seen:
        found = audit(seen.page)
        if not view.phone:
            del found["targets"]  # a mouse is finer than a finger
        assert seen.faults == []
        assert {kind: faults for kind, faults in found.items() if faults} == {}


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_it_says_the_same_without_scripts(address: str, width: int, visit: Open) -> None:
    said = []
    for scripts in (True, False):
        with visit(address, View(width, scripts=scripts)) as seen:
            said.append(words(seen.page, "article, main:not(:has(article))"))
    assert said[0] == said[1]
    assert len(said[0]) > 200


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "plain"])
def test_it_is_light_or_dark_as_its_reader_likes(address: str, scripts: bool, visit: Open) -> None:
    if address.startswith("http") and not scripts:
        pytest.skip("without scripts the site is light: its theme asks for the scheme in a script")
    light, dark = (paper(visit, address, View(WIDE, scheme, scripts)) for scheme in SCHEMES)
    assert light > 0.9
    assert dark < 0.2


SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def paper(visit: Open, address: str, view: View) -> float:
    """How bright the page is, from 0 to 1."""
    with visit(address, view) as seen:
        colour = seen.page.locator("body").evaluate(
            "body => getComputedStyle(body).backgroundColor"
        )
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / (3 * 255)


@pytest.mark.parametrize("file", ["milestone_02", "milestone_03"])
def test_pictures_follow_the_scheme(file: str, visit: Open, find: Callable[[str], str]) -> None:
    shown = []
    for scheme in SCHEMES:
        with visit(find(file), View(WIDE, scheme)) as seen:
            images = seen.page.locator("img")
            shown.append(images.evaluate_all("images => images.map(image => image.currentSrc)"))
    assert len(shown[0]) > 2
    assert not set(shown[0]) & set(shown[1])

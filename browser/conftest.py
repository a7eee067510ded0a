from collections.abc import Callable, Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser

from browser.chromium import Open, launched, visited
from browser.made import SITE, make_leaderboard, make_report
from tooling.index import served


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def visit(chromium: Browser) -> Open:
    return partial(visited, chromium)


# Addresses of pages. Reports and leaderboards are files that someone opens; the site is served.


@pytest.fixture(scope="session")
def milestone_02(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("milestone_02")
    return make_report("02_1969_xor_crisis/xor_solved.py", folder).as_uri()


@pytest.fixture(scope="session")
def milestone_03(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("milestone_03")
    return make_report("03_1986_mlp_revival/mlp_digits.py", folder).as_uri()


@pytest.fixture(scope="session")
def leaderboard(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_leaderboard(tmp_path_factory.mktemp("leaderboard")).as_uri()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    if not (SITE / "index.html").is_file():
        pytest.fail(f"{SITE} holds no site; `nox -s docs` builds it.", pytrace=False)
    with served(SITE) as address:
        yield f"{address}/"


@pytest.fixture
def find(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The address of a page: a file such as `leaderboard`, or `site/` and a place on the site."""

    def find(page: str) -> str:
        fixture, _, place = page.partition("/")
        return f"{request.getfixturevalue(fixture)}{place}"

    return find

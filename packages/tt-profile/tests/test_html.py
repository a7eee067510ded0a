"""Reports in a notebook: the tables that are printed, as HTML."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile import Machine, compare, optimize, profile, scaling, time_it
from tt_profile._report import Report


class Page(HTMLParser):
    """Reads all text, and fails where a tag is not closed, or not the one opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tables = {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
        assert tag in {"div", "p", "b"} | tables
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()


class Escaped(nn.Linear):
    """A layer whose class has a name that HTML has to escape."""


Escaped.__name__ = "<b>&'Linear'"


def model() -> nn.Sequential:
    return nn.Sequential(Escaped(4, 8), nn.ReLU(), nn.Linear(8, 2))


def burn() -> object:
    return sum(range(100))


REPORTS: dict[str, Callable[[], Report]] = {
    "profile": lambda: profile(model(), tt.ones(3, 4), repeats=1),
    "roofline": lambda: profile(model(), tt.ones(3, 4), repeats=1).roofline(Machine(1e11, 1e10, 1)),
    "optimize": lambda: optimize(
        model(), {"<i>half</i>": nn.Module.half, "back": nn.Module.float}, tt.ones(3, 4), repeats=2
    ),
    "time_it": lambda: time_it(burn, repeats=3),
    "compare": lambda: compare(burn, burn, repeats=3),
    "scaling": lambda: scaling(lambda n: lambda: [0] * n, [1_000, 2_000], repeats=2),
}


LATER = {"roofline": pytest.mark.module_18, "optimize": pytest.mark.module_18}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=LATER.get(name, pytest.mark.module_14)) for name in REPORTS]
)
def test_a_notebook_shows_what_is_printed(name: str) -> None:
    report = REPORTS[name]()
    printed = [word for word in str(report).split() if set(word) != {"-"}]
    assert Page(report._repr_html_()).words == printed
    assert printed


@pytest.mark.module_14
def test_nothing_is_imported_before_it_is_asked_for() -> None:
    script = "import sys, tt_profile; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert {"tt_profile._html", "html"}.isdisjoint(result.stdout.split())
    assert "tt_profile" in result.stdout

"""The Chromium or Chrome of this machine, without a window and without a network."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Response, sync_playwright

VARIABLE = "TT_BROWSER"
NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser", "chrome")
ADVICE = (
    f"No browser: none of {', '.join(NAMES)} is on PATH. Install one (Debian and Ubuntu: "
    f"apt-get install chromium), or name the program in the environment variable {VARIABLE}."
)
# The profile is a new and empty folder: Playwright makes it, and removes it.
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def find_browser() -> str:
    """The program, or a failure that says what to install."""
    if named := os.environ.get(VARIABLE):
        if found := shutil.which(named):
            return found
        pytest.fail(f"{VARIABLE} is {named!r}, which is no program.", pytrace=False)
    for name in NAMES:
        if found := shutil.which(name):
            return found
    pytest.fail(ADVICE, pytrace=False)


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser, until the end of the block."""
    program = find_browser()
    with sync_playwright() as playwright:
        # Without its sandbox, as root and in containers it has none. Only our pages are opened.
        browser = playwright.chromium.launch(
            executable_path=program, args=FLAGS, chromium_sandbox=False, timeout=120_000
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class View:
    """How a page is looked at."""

    width: int = 1280
    scheme: Literal["light", "dark"] = "light"
    scripts: bool = True

    @property
    def phone(self) -> bool:
        """Whether it is as narrow as a phone."""
        return self.width < 600

    def __str__(self) -> str:
        parts = ("phone" if self.phone else "wide", self.scheme, "" if self.scripts else "plain")
        return " ".join(filter(None, parts))


@dataclass
class Visit:
    """A page that is open, and what went wrong with it.

    Attributes:
        page: The page.
        faults: What was said on the console, what failed, and what was asked of other hosts.
    """

    page: Page
    faults: list[str] = field(default_factory=list)

    def open(self, address: str) -> None:
        """Open an address, and wait until all that it loads is there."""
        self._home = urlsplit(address)
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"uncaught: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))
        self.page.on("response", self._answered)
        self.page.goto(address, wait_until="networkidle")

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.faults.append(f"console {kind}: {text}")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme not in ("data", "blob") and asked[:2] != self._home[:2]:
            self.faults.append(f"another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self.faults.append(f"status {response.status}: {response.url}")


@contextmanager
def visited(browser: Browser, address: str, view: View) -> Iterator[Visit]:
    """Open a page in a window of its own."""
    context = browser.new_context(
        viewport={"width": view.width, "height": 740 if view.phone else 900},
        color_scheme=view.scheme,
        java_script_enabled=view.scripts,
        is_mobile=view.phone,
        has_touch=view.phone,
        reduced_motion="reduce",
    )
    context.set_default_timeout(120_000)
    try:
        visit = Visit(context.new_page())
        visit.open(address)
        yield visit
    finally:
        context.close()


Open = Callable[[str, View], AbstractContextManager[Visit]]  # `visited`, by a browser that runs

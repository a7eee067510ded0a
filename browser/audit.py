"""What is wrong with a page, found in the page itself."""

from pathlib import Path

from playwright.sync_api import Page

SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
NAMED = {"link", "button", "textbox", "searchbox", "checkbox", "radio", "region"}


def audit(page: Page) -> dict[str, list[str]]:
    """Look for faults.

    Args:
        page: The page, opened.

    Returns:
        For each kind of fault (``outline``, ``pictures``, ``contrast``, ``sizes``, ``targets``,
        ``width``, ``names``) what has it.
    """
    found: dict[str, list[str]] = page.evaluate(SCRIPT)
    return {**found, "names": unnamed(page)}


def unnamed(page: Page) -> list[str]:
    """What a screen reader has no name for, as the browser tells it."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    return [
        f"a {role} without a name"
        for node in nodes
        if not node["ignored"]
        and (role := node["role"]["value"]) in NAMED
        and not node.get("name", {}).get("value", "").strip()
    ]


def words(page: Page, selector: str) -> str:
    """All that a part of a page says to who sees it."""
    return " ".join(page.locator(selector).inner_text().split())

"""Tables sort by the column whose heading is pressed, with a mouse, a key or a finger."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

from browser.chromium import Open, View
from browser.made import OTHERS
from tt_tito._document import Cell, render_document, render_table

PRESSES: dict[str, Callable[[Locator], None]] = {
    "click": lambda button: button.click(),
    "Enter": lambda button: button.press("Enter"),
    "Space": lambda button: button.press("Space"),
    "tap": lambda button: button.tap(),
}

UNITS = {"": 1.0, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "B": 1.0, "kB": 1e3, "MB": 1e6}
LAYERS = "A forward pass, layer by layer"
BATCHES = "A training step as the batch size grows"
BOARD = "Digits, multilayer perceptron: Size, closed division"


def quantity(text: str) -> float:
    """A number with its unit, as a reader compares it."""
    number, _, unit = text.rstrip("%").replace(",", "").partition(" ")
    return float(number) * UNITS[unit]


def score(text: str) -> float:
    return float(text.split()[0])


# As readers of English expect them: whatever the case, and 9 before 10.
LAYER_NAMES = [
    *("hidden Linear", "HiddenLayer itself", "output Linear", "sigmoid Sigmoid", "tanh Tanh"),
]
NAMES = ["<b>Lovelace</b> & 'sons'", "ada", "Ada", "Hopper 9", "Hopper 10", "w" * 64, "Zuse"]

# Where a column is, and the number by which its cells are to be in order.
CASES: dict[str, tuple[str, str, str, Callable[[str], float]]] = {
    "numbers": ("milestone_02", LAYERS, "FLOPs", quantity),
    "shares": ("milestone_03", LAYERS, "Share", quantity),
    "times": ("milestone_02", BATCHES, "Time", quantity),
    "sizes": ("milestone_03", BATCHES, "Peak memory", quantity),
    "numbers in the first column": ("milestone_02", BATCHES, "Batch size", quantity),
    "times on the site": ("site/milestones/mlp_digits.html", BATCHES, "Time", quantity),
    "texts": ("milestone_02", LAYERS, "Layer", LAYER_NAMES.index),
    "names": ("leaderboard", BOARD, "Name", NAMES.index),
    "ranks": ("leaderboard", BOARD, "Rank", quantity),
    "scores with their range": ("leaderboard", BOARD, "Times better", score),
}


def open_table(page: Page, name: str, column: str) -> tuple[Locator, Callable[[], list[str]]]:
    """A heading of a table, and what stands below it now."""
    table = page.get_by_role("region", name=name, exact=True).locator("table")
    heads = [head.inner_text().strip() for head in table.locator("thead th").all()]
    index = heads.index(column)
    cells = table.locator(f"tbody tr > :nth-child({index + 1})")
    head = table.locator("thead th").nth(index)
    return head, lambda: [text.strip() for text in cells.all_inner_texts()]


@pytest.mark.parametrize("case", CASES)
def test_a_column_sorts_up_and_then_down(
    case: str, visit: Open, find: Callable[[str], str]
) -> None:
    place, name, column, key = CASES[case]
    with visit(find(place), View()) as seen:
        head, below = open_table(seen.page, name, column)
        before = below()
        assert len(set(before)) > 1
        assert head.get_attribute("aria-sort") is None

        for direction in ("ascending", "descending", "ascending"):
            head.get_by_role("button").click()
            assert head.get_attribute("aria-sort") == direction
            assert seen.page.locator("th[aria-sort]").count() == 1
            order = sorted(map(key, before), reverse=direction == "descending")
            assert [key(text) for text in below()] == order
        assert seen.faults == []


@pytest.mark.parametrize("press", PRESSES)
def test_a_heading_is_pressed_in_every_way(press: str, visit: Open, leaderboard: str) -> None:
    width = 360 if press == "tap" else 1280
    with visit(leaderboard, View(width)) as seen:
        head, below = open_table(seen.page, BOARD, "Name")
        button = head.get_by_role("button", name="Name", exact=True)
        PRESSES[press](button)
        assert below() == NAMES
        PRESSES[press](button)
        assert below() == NAMES[::-1]


def test_the_tab_key_reaches_the_headings_one_after_another(visit: Open, leaderboard: str) -> None:
    with visit(leaderboard, View()) as seen:
        reached = []
        for _ in range(8):
            seen.page.keyboard.press("Tab")
            focus = seen.page.locator(":focus")
            reached.append(focus.get_attribute("aria-label") or focus.inner_text())
            outline = focus.evaluate("element => getComputedStyle(element).outlineStyle")
            assert outline != "none", reached[-1]
    assert reached == [
        BOARD, "Rank", "Name", "Times better", "Quality", "Passes", "Backend", "Verified",
    ]  # fmt: skip


def test_sorting_by_another_column_keeps_rows_together(visit: Open, leaderboard: str) -> None:
    with visit(leaderboard, View()) as seen:
        rows = seen.page.locator("tbody tr")
        before = rows.all_inner_texts()
        for column in ("Name", "Times better", "Rank"):
            head, _ = open_table(seen.page, BOARD, column)
            head.get_by_role("button").click()
            assert sorted(rows.all_inner_texts()) == sorted(before)
        assert rows.all_inner_texts() == before  # in order of rank, as it was
        assert len(before) == 1 + len(OTHERS)


def test_what_was_not_measured_stands_last_in_both_directions(visit: Open, tmp_path: Path) -> None:
    values = [2.0, None, float("nan"), 10.0, -1.0, 0.0]
    rows = [[Cell(str(value)), Cell(str(value), "number", value)] for value in values]
    table = render_table("Values", rows, head=[Cell("Name"), Cell("Value", "number")])
    (tmp_path / "page.html").write_text(render_document("Values", table), encoding="utf-8")
    with visit((tmp_path / "page.html").as_uri(), View()) as seen:
        head, below = open_table(seen.page, "Values", "Value")
        head.get_by_role("button").click()
        assert below() == ["-1.0", "0.0", "2.0", "10.0", "None", "nan"]
        head.get_by_role("button").click()
        assert below() == ["10.0", "2.0", "0.0", "-1.0", "None", "nan"]


def test_a_heading_without_words_is_no_button(visit: Open, tmp_path: Path) -> None:
    rows = [[Cell("a"), Cell("1")], [Cell("b"), Cell("2")]]
    table = render_table("Values", rows, head=[Cell("Name"), Cell("")])
    (tmp_path / "page.html").write_text(render_document("Values", table), encoding="utf-8")
    with visit((tmp_path / "page.html").as_uri(), View()) as seen:
        assert seen.page.locator("th button").all_inner_texts() == ["Name"]


def test_without_scripts_tables_are_plain(visit: Open, leaderboard: str) -> None:
    with visit(leaderboard, View(scripts=False)) as seen:
        assert seen.page.locator("thead th").count() == 7
        assert seen.page.locator("button").count() == 0


def test_on_a_phone_a_wide_table_scrolls_in_its_box(visit: Open, leaderboard: str) -> None:
    with visit(leaderboard, View(360)) as seen:
        box = seen.page.get_by_role("region", name=BOARD)
        assert box.evaluate("box => box.scrollWidth > box.clientWidth")
        last = box.locator("tbody td").last
        assert not last.evaluate("cell => cell.getBoundingClientRect().right <= innerWidth")
        last.scroll_into_view_if_needed()
        assert last.evaluate("cell => cell.getBoundingClientRect().right <= innerWidth")
        assert seen.page.evaluate("scrollX") == 0

"""The audit finds what is wrong: each of these pages has one fault."""

from pathlib import Path

import pytest

from browser.audit import audit
from browser.chromium import Open, View

GOOD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title>
<style>body { background: #fff; color: #222 } #half { opacity: 0.5 }</style>
</head>
<body>
<h1>A page</h1>
<h2>A part</h2>
<p>A text with <a href="#here">a link in it</a></p>
<img alt="A dot"
  src="data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7">
<button style="padding: 1rem">Press</button>
</body>
</html>
"""

# The fault, what of the good page is replaced by what, and what is said.
FAULTS = {
    "no language": ("outline", ' lang="en"', "", "no lang"),
    "no title": ("outline", "A page</title>", "</title>", "no title"),
    "no first heading": ("outline", "h1>", "div>", "0 headings h1"),
    "two first headings": ("outline", "h2>", "h1>", "2 headings h1"),
    "a level left out": ("outline", "h2>", "h3>", "h3 after h1"),
    "a picture without text": ("pictures", 'alt="A dot"', 'alt=""', "has no text"),
    "a picture that is broken": ("pictures", "R0lG", "R1lG", "does not load"),
    "a drawing without text": (
        "pictures",
        "<p>",
        '<svg width="9"></svg><p>',
        "has no text: <body>",
    ),
    "pale text": ("contrast", "#222", "#777", "4.48: <h1>"),
    "text on a card": ("contrast", "<p>", '<p style="background: #888">', "4.49: <p>"),
    "text shone through": ("contrast", "<p>", '<p id="half">', "3.3"),
    "pale colours of another kind": ("contrast", "#222", "oklch(0.6 0 0)", "3."),
    "small text": ("sizes", "<p>", '<p style="font-size: 11px">', "11.0 px: <p>"),
    "a small target": ("targets", "1rem", "0; font-size: 12px; line-height: 1", '<button> "Press"'),
    "a link by itself": ("targets", "A text with <a", "<a", '<a> "a link in it"'),
    "a page too wide": ("width", "<p>", '<p style="width: 400px">', "px too wide"),
    "a link without a name": ("names", "a link in it", "", "a link without a name"),
    "a button without a name": ("names", "Press", "", "a button without a name"),
}


def faults(html: str, tmp_path: Path, visit: Open) -> dict[str, list[str]]:
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    with visit(path.as_uri(), View(360)) as seen:
        return {kind: found for kind, found in audit(seen.page).items() if found}


def test_a_good_page_has_none(tmp_path: Path, visit: Open) -> None:
    assert faults(GOOD, tmp_path, visit) == {}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_found(case: str, tmp_path: Path, visit: Open) -> None:
    kind, good, bad, said = FAULTS[case]
    assert good in GOOD
    found = faults(GOOD.replace(good, bad), tmp_path, visit)
    assert said in " ".join(found.pop(kind))


LOADS = {
    "another host": ("<img alt='x' src='http://example.org/x.png'>", "another host"),
    "a file that is not there": ("<img alt='x' src='nowhere.png'>", "failed"),
    "an error of a script": ("<script>missing()</script>", "uncaught: missing is not defined"),
    "an error said aloud": ("<script>console.error('no')</script>", "console error: no"),
}


@pytest.mark.parametrize("case", LOADS)
def test_what_goes_wrong_while_it_loads_is_noticed(case: str, tmp_path: Path, visit: Open) -> None:
    markup, said = LOADS[case]
    path = tmp_path / "page.html"
    path.write_text(GOOD.replace("</body>", f"{markup}</body>"), encoding="utf-8")
    with visit(path.as_uri(), View()) as seen:
        assert any(said in fault for fault in seen.faults)

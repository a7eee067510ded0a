"""How models and parameters show themselves in a notebook."""

import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from layer_table import LAYERS, Layer

MARKERS = {
    "activation": pytest.mark.module_04,  # which brings what is asked for parameters
    "layer": pytest.mark.module_04,
    "spatial": pytest.mark.module_09,
    "transformer": pytest.mark.module_14,
}


class Page(HTMLParser):
    """Reads the rows of a table, and fails where a tag is not closed, or not the one opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.summary = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tables = {"table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption"}
        assert tag in {"details", "summary", "b", "span", "div"} | tables
        self.open.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"th", "td"} & {*self.open}:
            self.rows[-1][-1] += data
        if "summary" in self.open:
            self.summary += data


@pytest.mark.parametrize(
    "layer", [pytest.param(layer, id=layer.name, marks=MARKERS[layer.kind]) for layer in LAYERS]
)
def test_every_layer_is_told_with_its_parts(layer: Layer) -> None:
    module = layer.make()
    parts = dict(module.named_modules())
    page = Page(module._repr_html_())
    head, *rows, total = page.rows
    assert head == ["layer", "kind", "parameters"]
    assert [row[0] for row in rows] == [*parts]
    assert [row[1] for row in rows] == [
        f"{type(part).__name__}({part.extra_repr()})" for part in parts.values()
    ]
    count = sum(parameter.numel() for parameter in module.parameters())
    assert total == ["total", f"{count:,}"]
    assert sum(int(row[-1].replace(",", "")) for row in rows) == count

    inputs = [tt.from_numpy(each.astype(np.float32)) for each in layer.inputs()]
    head, first, *_ = Page(module.summary(*inputs)._repr_html_()).rows
    assert head == ["layer", "kind", "output", "parameters"]
    with tt.no_grad():
        output = module(*inputs)
    assert first[2] == (str(output.shape) if isinstance(output, tt.Tensor) else "")


@pytest.mark.module_04
def test_names_are_escaped() -> None:
    class Odd(nn.Module):
        def extra_repr(self) -> str:
            return "<script>alert('extra')</script> & more"

    html = nn.ModuleDict({"<script>": type("<b>", (Odd,), {})()})._repr_html_()
    assert "script" not in html.replace("&lt;script&gt;", "").replace("&lt;/script&gt;", "")
    assert Page(html).rows[2][:2] == ["<script>", f"<b>({Odd().extra_repr()})"]


@pytest.mark.module_04
def test_a_small_model_is_open_and_a_large_one_folded() -> None:
    for count, folded in ((2, False), (200, True)):
        page = Page(nn.Sequential(*(nn.Linear(2, 2) for _ in range(count)))._repr_html_())
        assert (
            ("open", None) not in page.attributes if folded else ("open", None) in page.attributes
        )
        assert page.summary == f"Sequential · {count + 1} modules · {6 * count:,} parameters"


@pytest.mark.module_04
def test_a_parameter_is_told_as_what_it_is() -> None:
    assert "<b>Parameter</b> shape (2,) · float32 · requires_grad=True" in (
        nn.Parameter(tt.zeros(2))._repr_html_()
    )


@pytest.mark.module_04
def test_nothing_is_imported_before_it_is_asked_for() -> None:
    script = "import sys, tt_nn; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert {"tt_tensor._html", "tt_nn._html", "html"}.isdisjoint(result.stdout.split())
    assert "tt_nn" in result.stdout

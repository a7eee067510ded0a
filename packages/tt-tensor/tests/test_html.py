"""How tensors show themselves in a notebook."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

import op_table
import tt_tensor as tt
from op_table import CASES, OpCase, run

LARGE = [(10_000_000,), (10_000, 1_000), (5, 2_000_000), (9, 9, 300, 500)]
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)|True|False")


class Page(HTMLParser):
    """Reads what a tensor shows, and fails where a tag is not closed, or not the one opened."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.line = ""
        self.values: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"div", "table", "b", "thead", "tbody", "tr", "th", "td"}
        self.open.append(tag)
        if tag == "td":
            self.values.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open:
            self.values[-1] += data
        elif "table" not in self.open:
            self.line += data


def page(x: tt.Tensor) -> Page:
    return Page(x._repr_html_())


def of_module(case: OpCase) -> Any:
    module = pytest.mark.module_03 if case in op_table.ACTIVATIONS else pytest.mark.module_02
    return pytest.param(case, id=case.name, marks=module)


def first_matrix(x: tt.Tensor) -> tt.Tensor:
    while x.ndim > 2:
        x = x[0]
    return x


def numbers(x: tt.Tensor) -> list[str]:
    """The values as the text of a tensor has them."""
    values = re.split(r",\s+(?:dtype|shape)=", repr(x))[0]
    return NUMBER.findall(values)


@pytest.mark.parametrize("case", [of_module(case) for case in CASES])
def test_values_are_those_of_the_text(case: OpCase) -> None:
    for sample in case.samples(np.random.default_rng(0)):
        result = run(case, sample, tt.from_numpy)
        for x in result if isinstance(result, tuple) else (result,):
            if isinstance(x, tt.Tensor):
                shown = page(x)
                assert f"Tensor shape {x.shape} · {x.dtype.name}" in shown.line
                values = [value for value in shown.values if value]
                assert values == (numbers(first_matrix(x)) if x.numel() else [])


@pytest.mark.module_02
@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("fill", [0.0, 0.123456])
def test_large_tensors_are_shortened_as_their_text_is(shape: tuple[int, ...], fill: float) -> None:
    x = tt.full(shape, fill)
    html = x._repr_html_()
    assert len(html) < 10_000
    shown = Page(html)
    assert [value for value in shown.values if value != "…"] == numbers(first_matrix(x))
    assert "…" in shown.values


@pytest.mark.module_02
@pytest.mark.parametrize("size", [0, 1, 12, 13, 100, 999, 1000])
def test_vectors_are_shown_whole_with_their_places(size: int) -> None:
    html = tt.arange(size)._repr_html_()
    values = [value for value in Page(html).values if value]
    assert values == [str(number) for number in range(size)]
    assert len(html) < 200 * size + 1_000


@pytest.mark.module_02
def test_numpys_print_options_hold() -> None:
    with np.printoptions(threshold=3, edgeitems=1):
        assert page(tt.arange(9)).values == ["0", "…", "8"]
        assert page(tt.arange(12).reshape(3, 4)).values == [
            *("0", "…", "3"),
            *("…", "…", "…"),
            *("8", "…", "11"),
        ]
    with np.printoptions(formatter={"int": lambda value: f"<{value} apples>"}):
        assert page(tt.arange(2)).values == ["<0 apples>", "<1 apples>"]


@pytest.mark.module_02
def test_a_class_of_ones_own_is_named_and_escaped() -> None:
    class Temperature(tt.Tensor):
        def _notes(self) -> tuple[str, ...]:
            return ("measured in <degrees> & 'more'",)

    shown = page(Temperature([20.5, 21.0]))
    assert shown.line.startswith("Temperature shape (2,) · float32 · measured in <degrees> &")
    assert shown.values == ["20.5000", "21.0000"]
    harmful: type[tt.Tensor] = type("<script>alert(1)</script>", (tt.Tensor,), {})
    assert page(harmful([1])).line.startswith("<script>alert(1)</script> shape (1,)")


@pytest.mark.module_02
def test_a_batch_shows_its_first_matrix() -> None:
    x = tt.arange(24).reshape(2, 3, 4)
    assert "values at [0]" in page(x).line
    assert page(x).values == [str(number) for number in range(12)]

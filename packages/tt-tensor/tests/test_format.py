"""How tensors print."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

import tt_tensor as tt

pytestmark = pytest.mark.module_02

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (tt.tensor(1.0), "tensor(1.)"),
        (tt.tensor(0.5), "tensor(0.5000)"),
        (tt.tensor(-7), "tensor(-7)"),
        (tt.tensor(True), "tensor(True)"),
        (tt.tensor(1, dtype="int8"), "tensor(1, dtype=int8)"),
        (tt.tensor([]), "tensor([])"),
        (tt.tensor([], dtype="int64"), "tensor([], dtype=int64)"),
        (tt.zeros(2, 0), "tensor([], shape=(2, 0))"),
        (tt.zeros(0, 3, dtype="bool"), "tensor([], shape=(0, 3), dtype=bool)"),
        (tt.tensor([1.0, -2.0]), "tensor([ 1., -2.])"),
        (tt.tensor([1.5, -2.25]), "tensor([ 1.5000, -2.2500])"),
        (tt.tensor([1.0, NAN, INF, -INF]), "tensor([  1.,  nan,  inf, -inf])"),
        (tt.tensor([0.5, NAN]), "tensor([0.5000,    nan])"),
        (tt.tensor([NAN]), "tensor([nan])"),
        (tt.tensor([1e-8, 1.0]), "tensor([1.0000e-08, 1.0000e+00])"),
        (tt.tensor([1e10, 0.5]), "tensor([1.0000e+10, 5.0000e-01])"),
        (tt.tensor([1e20]), "tensor([1.0000e+20])"),
        (tt.tensor([12345.0]), "tensor([12345.])"),
        (tt.tensor([0.1], dtype="float64"), "tensor([0.1000], dtype=float64)"),
        (tt.tensor([1.0, -INF], dtype="float16"), "tensor([  1., -inf], dtype=float16)"),
        (tt.tensor([1, 200], dtype="uint8"), "tensor([  1, 200], dtype=uint8)"),
        (tt.tensor([[True, False]]), "tensor([[ True, False]])"),
        (tt.tensor([[0, 1, 2], [3, 4, 5]]), "tensor([[0, 1, 2],\n        [3, 4, 5]])"),
        (
            tt.tensor([[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),
            "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])",
        ),
        (tt.arange(2000), "tensor([   0,    1,    2, ..., 1997, 1998, 1999], shape=(2000,))"),
    ],
)
def test_examples(x: tt.Tensor, text: str) -> None:
    assert repr(x) == str(x) == text


def test_large_tensors_show_their_outer_parts_and_their_shape() -> None:
    expected = """\
        tensor([[0., 0., 0., ..., 0., 0., 0.],
                [0., 0., 0., ..., 0., 0., 0.],
                [0., 0., 0., ..., 0., 0., 0.],
                ...,
                [0., 0., 0., ..., 0., 0., 0.],
                [0., 0., 0., ..., 0., 0., 0.],
                [0., 0., 0., ..., 0., 0., 0.]], shape=(50, 40), dtype=float64)"""
    x = tt.zeros(50, 40, dtype="float64")
    x[20, 20] = 0.123  # not shown, so it does not decide the format
    assert repr(x) == textwrap.dedent(expected)


def test_notes_that_do_not_fit_go_on_a_line_of_their_own() -> None:
    x = tt.tensor([0.123456] * 7, dtype="float16")
    assert repr(x).endswith("0.1235],\n       dtype=float16)")


def test_numpys_print_options_hold() -> None:
    with np.printoptions(threshold=3, edgeitems=1):
        assert repr(tt.arange(9)) == "tensor([0, ..., 8], shape=(9,))"


def test_long_lines_are_broken_under_the_bracket() -> None:
    lines = repr(tt.arange(60)).split("\n")
    assert len(lines) > 1
    assert all(len(line) <= 80 for line in lines)
    assert all(line.startswith("        ") for line in lines[1:])

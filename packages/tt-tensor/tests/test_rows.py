"""Random numbers of a part of a batch: those that the whole batch would get."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tt_tensor.seam import Rows, for_rows, random_for_rows, rows, share

pytestmark = pytest.mark.module_02

Draw = Callable[[np.random.Generator, int], NDArray[Any]]
DRAWS: dict[str, Draw] = {
    "random": lambda random, count: for_rows(count, random.random),
    "integers": lambda random, count: for_rows(count, lambda n: random.integers(0, 7, (n, 3))),
    "float32": lambda random, count: random_for_rows(random, (count, 3)),
    "float32, even": lambda random, count: random_for_rows(random, (count, 4, 2)),
    "float32, several for each": lambda random, count: random_for_rows(random, (3 * count, 5)),
    "float32, none": lambda random, count: random_for_rows(random, (count, 0)),
}


@given(total=st.integers(0, 50), num_replicas=st.integers(1, 9))
def test_every_row_is_one_processs_and_the_first_have_one_more(
    total: int, num_replicas: int
) -> None:
    parts = [share(total, num_replicas, rank) for rank in range(num_replicas)]
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(total))
    sizes = [part.size for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@given(total=st.integers(1, 12), num_replicas=st.integers(1, 5), skipped=st.integers(0, 3))
def test_parts_draw_what_the_whole_draws_and_go_on_alike(
    draw: Draw, total: int, num_replicas: int, skipped: int
) -> None:
    def begin() -> np.random.Generator:
        random = np.random.Generator(np.random.PCG64(5))
        random.random(skipped, np.float32)  # one leaves half a step over
        return random

    source = begin()
    whole, then = draw(source, total), source.random()

    def drawn(part: Rows) -> tuple[NDArray[Any], float]:
        rows.set(part)
        source = begin()
        numbers = draw(source, part.size or 1)  # a row stands in where there is none
        return numbers if part.size else numbers[:0], source.random()

    found = [Context().run(drawn, share(total, num_replicas, rank)) for rank in range(num_replicas)]
    assert [after for _, after in found] == [then] * num_replicas
    np.testing.assert_array_equal(np.concatenate([part for part, _ in found]), whole)


def test_what_is_not_for_rows_of_the_batch_is_drawn_as_ever() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    plain = random.random((5, 2), np.float32)
    token = rows.set(Rows(2, 4, total=6))
    try:
        again = random_for_rows(np.random.Generator(np.random.PCG64(1)), (5, 2))
    finally:
        rows.reset(token)
    np.testing.assert_array_equal(again, plain)


def test_for_no_row_nothing_is_returned_but_all_are_drawn() -> None:
    random, other = (np.random.Generator(np.random.PCG64(1)) for _ in range(2))
    token = rows.set(Rows(3, 3, total=3))
    try:
        assert for_rows(0, lambda count: random.random((count, 2))).shape == (0, 2)
    finally:
        rows.reset(token)
    other.random((3, 2))
    assert random.random() == other.random()

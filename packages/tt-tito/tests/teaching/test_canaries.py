"""Canaries: whatever test is chosen, what is made of it fails, under the name that it had."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from tt_tito.teaching._canaries import BODIES, Canary, choose, function_of, plant

TESTS = '''\
"""Tests with an é, to see that bytes are not characters."""

import numpy as np
import pytest

PLACES = "tests"


def test_a_list(): assert [1, 2] == [
    1,
    2,
]


@pytest.mark.parametrize("number", [1, 2])
def test_a_parameter(number):
    """It says é."""
    for _ in range(2):
        assert number == number, "é"
    # what follows the last statement stays


class TestGroup:
    def test_arrays(self):
        # a comment before the body
        np.testing.assert_allclose(np.ones(2), [1.0, 1.0], rtol=1e-6)

    def test_nothing_to_compare(self):
        assert "é" in "né"


def test_that_raises():
    with pytest.raises(ValueError, match="é"):
        raise ValueError("é")


def test_after_all():
    assert np.add(1, 1) == 2
'''
FILE = "packages/tt-tiny/tests/test_tiny.py"
NAMES = (
    *("test_a_list", "test_a_parameter", "TestGroup::test_arrays"),
    *("TestGroup::test_nothing_to_compare", "test_that_raises", "test_after_all"),
)
OWN = set(NAMES) - {"TestGroup::test_nothing_to_compare", "test_that_raises"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of tests."""
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(TESTS, encoding="utf-8")
    return tmp_path


def failing(copy: Path) -> set[str]:
    """Run the tests of a copy and return the names of those that fail."""
    found: dict[str, Any] = {}
    exec(compile((copy / FILE).read_bytes(), FILE, "exec"), found)
    failed = set()
    for name in NAMES:
        owner, _, method = name.rpartition("::")
        function = getattr(found[owner](), method) if owner else found[name]
        try:
            function(*([1] if name == "test_a_parameter" else []))
        except (AssertionError, pytest.fail.Exception):
            failed.add(name)
    return failed


def test_what_is_not_changed_passes(copy: Path) -> None:
    plant(copy, [])
    assert failing(copy) == set()
    assert (copy / FILE).read_text(encoding="utf-8") == TESTS


@pytest.mark.parametrize(
    ("name", "body"),
    [(name, body) for name in NAMES for body in BODIES] + [(name, None) for name in sorted(OWN)],
)
def test_what_is_changed_fails_and_nothing_else_does(
    copy: Path, name: str, body: str | None
) -> None:
    plant(copy, [Canary(f"{FILE}::{name}", body)])
    assert failing(copy) == {name}


def test_all_can_be_changed_at_once(copy: Path) -> None:
    plant(copy, [Canary(f"{FILE}::{name}", None if name in OWN else BODIES[0]) for name in NAMES])
    assert failing(copy) == set(NAMES)


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_of_functions_at_random_and_by_several_means(copy: Path, seed: int) -> None:
    tests = [f"{FILE}::{name}" for name in NAMES] + [f"{FILE}::test_a_parameter[1]"]
    chosen = choose(copy, tests, 4, random.Random(seed))
    assert len({canary.test for canary in chosen}) == 4
    assert chosen == choose(copy, tests, 4, random.Random(seed))
    bodies = [canary.body for canary in chosen if canary.body is not None]
    assert len(set(bodies)) == len(bodies)
    plant(copy, chosen)
    assert failing(copy) == {canary.test.partition("::")[2] for canary in chosen}
    everything = choose(copy, tests, 100, random.Random(seed))
    assert {canary.test for canary in everything} == {function_of(test) for test in tests}

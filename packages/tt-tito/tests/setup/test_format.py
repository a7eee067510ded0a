"""Times and sizes in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tt_tito._format import format_bytes, format_seconds

pytestmark = pytest.mark.module_01

SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
BYTES = {"GB": 1e9, "MB": 1e6, "kB": 1e3, "B": 1.0}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (75.0, "75 s"),
        (1.0, "1 s"),
        (1234.5, "1,234 s"),
        (0.25, "250 ms"),
        (0.0125, "12.5 ms"),
        (0.0000123, "12.3 µs"),
        (4.2e-9, "4.2 ns"),
        (0.0, "0 ns"),
        (0.9999, "1 s"),  # to three digits there is a second
        (0.0009999, "1 ms"),
    ],
)
def test_a_time_has_three_digits_and_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (2_500_000, "2.5 MB"),
        (537_264, "537 kB"),
        (999_999, "1 MB"),  # to three digits there is a megabyte
        (1_234_000_000_000, "1,234 GB"),
    ],
)
def test_a_size_has_three_digits_and_the_unit_that_suits_it(count: int, text: str) -> None:
    assert format_bytes(count) == text


@given(st.floats(1e-9, 1e6))
def test_a_time_can_be_read_back(seconds: float) -> None:
    number, unit = parts(format_seconds(seconds))
    assert number * SECONDS[unit] == pytest.approx(seconds, rel=0.0051)
    assert number >= 1
    assert number < 1000 or unit == "s"


@given(st.integers(0, 10**15))
def test_a_size_can_be_read_back(count: int) -> None:
    number, unit = parts(format_bytes(count))
    assert number * BYTES[unit] == pytest.approx(count, rel=0.0051)
    assert number >= 1 or count == 0
    assert number < 1000 or unit == "GB"


def parts(text: str) -> tuple[float, str]:
    """The number, which has no exponent, and the unit."""
    number, unit = text.split(" ")
    assert "e" not in number
    return float(number.replace(",", "")), unit

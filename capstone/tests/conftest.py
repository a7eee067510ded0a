import pytest

from capstone import Digits, Images, read_digits


@pytest.fixture(scope="session")
def digits() -> Digits:
    return read_digits()


@pytest.fixture(scope="session")
def few(digits: Digits) -> Images:
    """As many images as are learned from in a moment."""
    return Images(digits.seen.inputs[:256], digits.seen.labels[:256])

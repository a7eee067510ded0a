"""The data and its cut."""

from collections import Counter

import numpy as np
import pytest

import tt_autograd as tt
import tt_data
from capstone import Digits, Images, read_digits

pytestmark = pytest.mark.module_20


def pairs(images: Images) -> Counter[tuple[bytes, int]]:
    """How often there is each image, as pixels from 0 to 16, with its label."""
    pixels = np.rint((images.inputs.numpy() * 0.376 + 0.305) * 16).astype(np.uint8)
    labels = images.labels.numpy().tolist()
    return Counter((pixel.tobytes(), label) for pixel, label in zip(pixels, labels, strict=True))


def test_every_digit_is_in_one_of_the_three_parts(digits: Digits) -> None:
    parts = digits.seen, digits.validation, digits.held_out
    assert [len(part) for part in parts] == [1258, 180, 359]
    whole = tt_data.Digits()
    pixels = whole.data.numpy()
    expected = Counter(
        (image.tobytes(), int(label)) for image, label in zip(pixels, whole.targets, strict=True)
    )
    assert sum(map(pairs, parts), Counter()) == expected


def test_images_are_ready_for_a_model(digits: Digits) -> None:
    inputs, labels = digits.seen.inputs, digits.seen.labels
    assert inputs.shape == (1258, 1, 8, 8)
    assert inputs.dtype == np.float32
    assert labels.dtype == np.int64
    assert abs(inputs.mean().item()) < 0.02
    assert abs(inputs.std().item() - 1) < 0.02


def test_the_cut_is_the_same_in_every_run(digits: Digits) -> None:
    tt.manual_seed(12345)
    again = read_digits()
    for part, same in zip(
        (digits.seen, digits.validation, digits.held_out),
        (again.seen, again.validation, again.held_out),
        strict=True,
    ):
        assert (part.inputs == same.inputs).all()
        assert (part.labels == same.labels).all()


def test_every_part_has_all_ten_digits(digits: Digits) -> None:
    for part in (digits.seen, digits.validation, digits.held_out):
        assert set(part.labels.tolist()) == set(range(10))

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import XOR, DataLoader, Digits, Perceptron, TinyShakespeare, random_split

pytestmark = pytest.mark.module_10


@pytest.fixture(scope="module")
def plays() -> TinyShakespeare:
    return TinyShakespeare(block_size=16)


def test_the_text_is_whole(plays: TinyShakespeare) -> None:
    held_out = TinyShakespeare(False, block_size=16)
    assert len(plays.text) == 1_003_854
    assert len(plays.text + held_out.text) == 1_115_394
    assert plays.text.startswith("First Citizen:\nBefore we proceed")
    assert len(plays.characters) == 65
    assert held_out.characters == plays.characters
    assert len(plays) == len(plays.text) - 16


@given(number=st.integers(0, 1_003_837), size=st.integers(1, 5))
def test_blocks_are_the_text_and_the_text_one_further(
    plays: TinyShakespeare, number: int, size: int
) -> None:
    inputs, targets = plays[number]
    assert (inputs.shape, targets.dtype) == ((16,), tt.int64)
    assert plays.decode(inputs) == plays.text[number : number + 16]
    assert plays.decode(targets) == plays.text[number + 1 : number + 17]
    many = plays.gather(np.full(size, number))
    assert [part.tolist() for part in many] == [[inputs.tolist()] * size, [targets.tolist()] * size]


def test_encoding(plays: TinyShakespeare) -> None:
    assert plays.decode(plays.encode("To be, or not to be")) == "To be, or not to be"
    with pytest.raises(ValueError, match="'ß' does not occur"):
        plays.encode("Spaß")


@pytest.mark.parametrize("wrong", [-1, 65, 99])
def test_a_number_of_no_character(plays: TinyShakespeare, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"from 0 to 64, got {wrong} at position 1"):
        plays.decode(tt.tensor([0, wrong]))


@pytest.mark.parametrize("size", [0, 111_540])
def test_a_block_that_does_not_fit(size: int) -> None:
    with pytest.raises(ValueError, match=f"block_size from 1 to 111539, got {size}"):
        TinyShakespeare(False, block_size=size)


def test_digits() -> None:
    digits = Digits()
    assert digits.data.shape == (1797, 1, 8, 8)
    assert (digits.data.dtype, digits.targets.dtype) == (tt.uint8, tt.int64)
    # The figures that the data set's own page gives for its 1,797 images.
    counts = np.bincount(digits.targets.numpy()).tolist()
    assert counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (int(digits.data.min()), int(digits.data.max())) == (0, 16)
    assert digits.data[0, 0, 0].tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    train, held_out = random_split(digits, [0.8, 0.2], tt.Generator(0))
    (images, labels), *rest = DataLoader(held_out, batch_size=len(held_out))
    assert (images.shape, labels.shape, rest) == ((359, 1, 8, 8), (359,), [])
    assert len(train) == 1438


@given(size=st.integers(1, 60), margin=st.floats(0, 2), seed=st.integers(0, 9))
def test_a_line_separates_the_clouds_with_the_margin(size: int, margin: float, seed: int) -> None:
    problem = Perceptron(size, margin, tt.Generator(seed))
    points, labels = (tensor.numpy() for tensor in problem.tensors)
    assert points.shape == (size, 2)
    assert [points.dtype.name, labels.dtype.name] == ["float32", "int64"]
    distance = points.astype(np.float64) @ problem.normal - problem.offset
    signs = np.where(labels == 1, 1, -1)
    assert (signs * distance >= margin - 1e-6).all()
    again = Perceptron(size, margin, tt.Generator(seed))
    assert again.tensors[0].tolist() == points.tolist()


@given(size=st.integers(1, 60), noise=st.floats(0, 0.05), seed=st.integers(0, 9))
def test_labels_are_the_exclusive_or_of_the_corners(size: int, noise: float, seed: int) -> None:
    points, labels = (t.numpy() for t in XOR(size, noise, tt.Generator(seed)).tensors)
    assert points.shape == (size, 2)
    assert [points.dtype.name, labels.dtype.name] == ["float32", "int64"]
    corners = np.rint(points).astype(int)
    assert np.abs(points - corners).max() < 0.4
    np.testing.assert_array_equal(labels, corners[:, 0] ^ corners[:, 1])
    counts = np.bincount(2 * corners[:, 0] + corners[:, 1], minlength=4)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Perceptron(0),
        lambda: Perceptron(margin=-1.0),
        lambda: XOR(0),
        lambda: XOR(noise=float("nan")),
    ],
)
def test_bad_arguments(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="expected a size of at least 1"):
        make()

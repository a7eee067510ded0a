from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import tt_tensor as tt
from tt_data import (
    Compose,
    Cutout,
    Normalize,
    OneHot,
    RandomCrop,
    RandomHorizontalFlip,
    RandomTranslate,
    ToFloat,
    Transform,
    transforms,
)

pytestmark = pytest.mark.module_10

Array = NDArray[Any]
IMAGES = np.random.default_rng(0).integers(1, 256, (40, 3, 7, 9), dtype=np.uint8)


def flips(image: Array) -> list[Array]:
    return [image, image[:, :, ::-1]]


def crops(
    size: tuple[int, int], padding: tuple[int, int], mode: Any = "constant"
) -> Callable[[Array], list[Array]]:
    def all_crops(image: Array) -> list[Array]:
        rows, columns = padding
        padded = np.pad(image, ((0, 0), (rows, rows), (columns, columns)), mode=mode)
        tops = range(padded.shape[1] - size[0] + 1)
        lefts = range(padded.shape[2] - size[1] + 1)
        return [padded[:, t : t + size[0], x : x + size[1]] for t in tops for x in lefts]

    return all_crops


def cutouts(size: int) -> Callable[[Array], list[Array]]:
    def all_cutouts(image: Array) -> list[Array]:
        results = []
        for row in range(image.shape[1]):
            for column in range(image.shape[2]):
                cut = image.copy()
                top, left = row - size // 2, column - size // 2
                cut[:, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = 0
                results.append(cut)
        return results

    return all_cutouts


# A random transform and, written for one image, all that may become of it, each equally likely.
RANDOM: dict[str, tuple[Transform, Callable[[Array], list[Array]]]] = {
    "flip": (RandomHorizontalFlip(), flips),
    "crop": (RandomCrop(5), crops((5, 5), (0, 0))),
    "crop to a rectangle": (RandomCrop((2, 9)), crops((2, 9), (0, 0))),
    "crop padded": (RandomCrop((7, 9), padding=2), crops((7, 9), (2, 2))),
    "crop reflected": (
        RandomCrop(7, padding=2, padding_mode="reflect"),
        crops((7, 7), (2, 2), "reflect"),
    ),
    "crop with edges": (
        RandomCrop(9, padding=1, padding_mode="edge"),
        crops((9, 9), (1, 1), "edge"),
    ),
    "crop of all": (RandomCrop((7, 9)), lambda image: [image]),
    "translate": (RandomTranslate(1), crops((7, 9), (1, 1))),
    "translate to the side": (RandomTranslate((0, 2)), crops((7, 9), (0, 2))),
    "translate by nothing": (RandomTranslate(0), lambda image: [image]),
    "cutout": (Cutout(3), cutouts(3)),
    "cutout of an even size": (Cutout(4), cutouts(4)),
    "cutout of more than all": (Cutout(40), cutouts(40)),
}


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_each_image_becomes_one_of_what_may_become_of_it(name: str, dtype: Any) -> None:
    transform, outcomes = RANDOM[name]
    images = IMAGES.astype(dtype)
    before = images.copy()
    made = transform(tt.from_numpy(images), tt.Generator(3)).numpy()
    np.testing.assert_array_equal(images, before)
    assert not np.shares_memory(made, images)
    assert made.dtype == dtype
    for image, result in zip(images, made, strict=True):
        assert any(np.array_equal(result, outcome) for outcome in outcomes(image))


@pytest.mark.parametrize("name", [name for name in RANDOM if "all" not in name])
def test_outcomes_are_equally_likely_and_drawn_for_each_image(name: str) -> None:
    transform, outcomes = RANDOM[name]
    possible = outcomes(IMAGES[0])
    draws = 300 * len(possible)
    images = tt.from_numpy(np.broadcast_to(IMAGES[0], (draws, *IMAGES[0].shape)))
    made = transform(images, tt.Generator(5)).numpy()
    keys = [outcome.tobytes() for outcome in possible]
    counts = {key: 0 for key in keys}
    for result in made:
        counts[np.ascontiguousarray(result).tobytes()] += 1
    for key, count in counts.items():
        expected = 300 * keys.count(key)
        assert abs(count - expected) < 6 * expected**0.5


@pytest.mark.parametrize("name", RANDOM)
def test_the_same_generator_gives_the_same(name: str) -> None:
    transform, _ = RANDOM[name]
    images = tt.from_numpy(IMAGES)
    made = transform(images, tt.Generator(7))
    assert made.tolist() == transform(images, tt.Generator(7)).tolist()
    tt.manual_seed(7)
    assert made.tolist() == transform(images).tolist()
    assert transform.random
    assert Compose([ToFloat(), transform]).random
    assert not Compose([ToFloat(), Normalize(0.0, 1.0)]).random


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_flips_that_are_certain(p: float) -> None:
    made = RandomHorizontalFlip(p)(tt.from_numpy(IMAGES)).numpy()
    np.testing.assert_array_equal(made, IMAGES[..., ::-1] if p else IMAGES)


@pytest.mark.parametrize(
    ("transform", "dtype", "expected"),
    [
        (ToFloat(), np.uint8, IMAGES / 255),
        (ToFloat(16), np.uint8, IMAGES / 16),
        (ToFloat(16), np.int64, IMAGES / 16),
        (ToFloat(), np.float64, IMAGES),
        (ToFloat(dtype=tt.float64), np.uint8, IMAGES / 255),
        (Normalize(3.0, 2.0), np.float32, (IMAGES - 3.0) / 2.0),
        (
            Normalize([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
            np.float64,
            (IMAGES - np.array([1, 2, 3])[:, None, None]) / np.array([4, 5, 6])[:, None, None],
        ),
        (Normalize([1.0, 2.0, 3.0], 2.0), np.float32, (IMAGES - np.c_[1:4][:, None]) / 2.0),
    ],
)
def test_numbers(transform: Transform, dtype: Any, expected: Array) -> None:
    given_images = IMAGES.astype(dtype)
    before = given_images.copy()
    made = transform(tt.from_numpy(given_images)).numpy()
    np.testing.assert_array_equal(given_images, before)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-5)
    wanted = np.float32 if isinstance(transform, ToFloat) else dtype
    assert made.dtype == (getattr(transform, "dtype", None) or wanted)


def test_normalize_takes_features_as_channels() -> None:
    made = Normalize([1.0, 2.0], [1.0, 2.0])(tt.tensor([[1.0, 4.0], [2.0, 2.0]]))
    assert made.tolist() == [[0.0, 1.0], [1.0, 0.0]]


PIPELINES = st.lists(
    st.sampled_from(
        [
            Normalize([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
            Normalize(0.5, 0.5),
            ToFloat(),
            RandomHorizontalFlip(),
            RandomCrop((7, 9), padding=1),
            Cutout(2),
            lambda x: x * 2,
            lambda x: x,
        ]
    ),
    max_size=5,
)


@given(pipeline=PIPELINES, seed=st.integers(0, 3))
def test_compose_is_one_after_the_other(pipeline: list[Any], seed: int) -> None:
    images = tt.from_numpy(IMAGES.astype(np.float32))
    before = images.tolist()
    generator = tt.Generator(seed)
    expected = images
    for transform in pipeline:
        args = (generator,) if isinstance(transform, Transform) else ()
        expected = transform(expected, *args)
    composed = Compose(pipeline)
    assert composed(images, tt.Generator(seed)).tolist() == expected.tolist()
    nested = Compose([Compose(pipeline)])
    assert nested(images, tt.Generator(seed)).tolist() == expected.tolist()
    assert images.tolist() == before


@given(
    labels=st.lists(st.integers(0, 4), max_size=6),
    dtype=st.sampled_from([np.uint8, np.int64]),
)
def test_one_hot(labels: list[int], dtype: Any) -> None:
    made = OneHot(5)(tt.from_numpy(np.array(labels, dtype)))
    assert made.dtype == tt.float32
    np.testing.assert_array_equal(made.numpy(), np.eye(5)[labels].reshape(-1, 5))


@pytest.mark.parametrize("name", RANDOM)
def test_an_empty_batch_stays_empty(name: str) -> None:
    transform, _ = RANDOM[name]
    assert transform(tt.zeros(0, 3, 7, 9)).shape[0] == 0


def test_the_names_are_in_a_module_of_their_own_too() -> None:
    assert transforms.RandomCrop is RandomCrop


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


ONES = tt.ones(2, 3, 4, 4)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Compose([anything(np.asarray)])(ONES), TypeError, "asarray to return a tensor"),
        (lambda: ToFloat(0), ValueError, "maximum above 0"),
        (lambda: ToFloat(dtype=tt.int64), TypeError, "floating-point dtype, got int64"),
        (lambda: Normalize(0.0, 0.0), ValueError, "the std above 0"),
        (lambda: Normalize([0.0, 1.0], [1.0, 1.0, 1.0]), ValueError, "got 2 and 3"),
        (lambda: Normalize(anything([[0.0]]), 1.0), ValueError, "expected numbers"),
        (lambda: Normalize([0.0] * 2, 1.0)(ONES), ValueError, r"2 channels, got .*\(2, 3, 4, 4\)"),
        (lambda: Normalize(0.0, 1.0)(tt.tensor([1])), TypeError, "got int64; put ToFloat"),
        (lambda: RandomHorizontalFlip(1.5), ValueError, "p from 0 to 1"),
        (lambda: RandomHorizontalFlip()(tt.ones(2, 4)), ValueError, r"\(N, C, H, W\)"),
        (lambda: RandomCrop(0), ValueError, "size above 0"),
        (lambda: RandomCrop(2, padding=-1), ValueError, "padding of at least 0"),
        (lambda: RandomCrop(2, padding_mode="wrap"), ValueError, "one of constant, edge"),
        (lambda: RandomCrop(7, padding=1)(ONES), ValueError, r"\(7, 7\) does not fit"),
        (lambda: RandomTranslate(-1), ValueError, "at least 0"),
        (lambda: Cutout(0), ValueError, "at least 1"),
        (lambda: OneHot(0), ValueError, "at least one class"),
        (lambda: OneHot(3)(tt.tensor([1, 3])), ValueError, "from 0 to 2, got 3"),
        (lambda: OneHot(3)(tt.tensor([-1])), ValueError, "got -1"),
        (lambda: OneHot(3)(tt.tensor([1.0])), TypeError, "labels that are ints, got float32"),
        (
            lambda: ToFloat()(anything(np.ones(2))),
            TypeError,
            "ToFloat: expected a tensor, got ndarray",
        ),
    ],
)
def test_bad_arguments(make: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()

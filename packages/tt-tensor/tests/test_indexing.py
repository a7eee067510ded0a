"""Indexing and broadcasting, reading and writing, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tt_tensor as tt
from tt_tensor import ops

pytestmark = pytest.mark.module_02

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def arrays_and_indices(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], Any]:
    array = np.arange(float(np.prod(shape := draw(shapes)))).reshape(shape)
    basic = hnp.basic_indices(shape, allow_newaxis=True)
    masks = hnp.arrays(bool, st.just(shape))
    if not shape or 0 in shape:
        return array, draw(basic)
    advanced = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2))
    return array, draw(st.one_of(basic, advanced, masks))


@given(arrays_and_indices())
def test_reading_is_numpys(case: tuple[np.ndarray[Any, Any], Any]) -> None:
    array, index = case
    found = tt.from_numpy(array)[index]
    expected = np.asarray(array[index])
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.numpy(), expected)


@given(arrays_and_indices())
def test_writing_is_numpys(case: tuple[np.ndarray[Any, Any], Any]) -> None:
    array, index = case
    x = tt.tensor(array)
    x[index] = -1.0
    array[index] = -1.0
    np.testing.assert_array_equal(x.numpy(), array)
    # Where a place is named twice, which value stays is left open, here as in NumPy: write back.
    x[index] = x[index] + 2
    array[index] = array[index] + 2
    np.testing.assert_array_equal(x.numpy(), array)


@given(arrays_and_indices())
def test_unindexing_adds_at_every_place(case: tuple[np.ndarray[Any, Any], Any]) -> None:
    array, index = case
    values = np.asarray(array[index]) + 1.0
    expected = np.zeros(array.shape)
    np.add.at(expected, index, values)
    np.testing.assert_array_equal(ops.UNINDEX(values, index=index, shape=array.shape), expected)


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0))
def test_broadcasting_is_numpys(drawn: hnp.BroadcastableShapes) -> None:
    a, b = (np.arange(float(np.prod(shape))).reshape(shape) for shape in drawn.input_shapes)
    np.testing.assert_array_equal((tt.from_numpy(a) - tt.from_numpy(b)).numpy(), a - b)
    wide = tt.broadcast_to(tt.from_numpy(a), drawn.result_shape)
    np.testing.assert_array_equal(wide.numpy(), np.broadcast_to(a, drawn.result_shape))


@given(shapes, shapes)
def test_shapes_that_do_not_broadcast_are_named(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ValueError, match=r"^add: shapes .* do not broadcast"):
            tt.zeros(a) + tt.zeros(b)
    else:
        assert (tt.zeros(a) + tt.zeros(b)).shape == expected


@settings(max_examples=50)
@given(hnp.arrays(np.float64, shapes, elements=st.integers(-3, 3)), st.data())
def test_sorting_and_choosing_agree(array: np.ndarray[Any, Any], data: st.DataObject) -> None:
    if not array.ndim:
        return
    dim = data.draw(st.integers(-array.ndim, array.ndim - 1))
    k = data.draw(st.integers(0, array.shape[dim]))
    largest = data.draw(st.booleans())
    x = tt.from_numpy(array)
    ordered, places = tt.sort(x, dim, descending=largest)
    np.testing.assert_array_equal(ordered.numpy(), tt.gather(x, dim, places).numpy())
    chosen, where = tt.topk(x, k, dim, largest)
    np.testing.assert_array_equal(chosen.numpy(), ordered.numpy().take(range(k), dim))
    np.testing.assert_array_equal(chosen.numpy(), tt.gather(x, dim, where).numpy())


def test_negative_indices_count_from_the_end() -> None:
    x = tt.tensor([1.0, 2.0, 3.0])
    places = tt.tensor([-1, 0, -1])
    assert tt.gather(x, 0, places).tolist() == [3, 1, 3]
    assert tt.take(x, places).tolist() == [3, 1, 3]
    assert tt.index_select(x, 0, places).tolist() == [3, 1, 3]
    assert tt.scatter_add(tt.zeros(3), 0, places, x).tolist() == [2, 0, 4]


def test_nan_counts_as_largest() -> None:
    x = tt.tensor([1.0, float("nan"), 3.0, 2.0])
    assert tt.argsort(x).tolist() == [0, 3, 2, 1]
    assert tt.argsort(x, descending=True).tolist() == [1, 2, 3, 0]
    assert tt.topk(x, 2)[1].tolist() == [1, 2]
    assert tt.topk(x, 2, largest=False)[1].tolist() == [0, 3]


@pytest.mark.parametrize(
    "index",
    [1, -1, slice(1, None), (slice(None), 0), (..., None), None, tt.tensor(1), np.int64(1)],
    ids=str,
)
def test_basic_indexing_is_a_view(index: Any) -> None:
    x = tt.zeros(3, 4)
    view = x[index]
    view += 1
    assert x.sum().item() == view.numel()


@pytest.mark.parametrize("index", [[1], tt.tensor([1, 2]), tt.ones(3, 4, dtype="bool")], ids=str)
def test_advanced_indexing_is_a_copy(index: Any) -> None:
    x = tt.zeros(3, 4)
    copied = x[index]
    copied += 1
    assert x.sum().item() == 0


@pytest.mark.parametrize("name", ["reshape", "view", "permute", "transpose", "unsqueeze", "expand"])
def test_shapes_are_views(name: str) -> None:
    x = tt.zeros(2, 3)
    args = {
        "reshape": (3, 2), "view": (6,), "permute": (1, 0), "transpose": (0, 1),
        "unsqueeze": (0,), "expand": (4, 2, 3),
    }[name]  # fmt: skip
    assert np.shares_memory(getattr(x, name)(*args).numpy(), x.numpy())


def test_pieces_are_views() -> None:
    x = tt.zeros(4, 3)
    for pieces in (x.split(2), x.chunk(2, dim=1), x.unbind()):
        for piece in pieces:
            piece += 1
    assert (x == 3).all()


def test_sizes_as_ints_or_as_a_sequence() -> None:
    x = tt.arange(6)
    for shape in ((2, 3), [2, 3], np.array([2, 3])):
        assert x.reshape(shape).shape == (2, 3)  # type: ignore[arg-type]  # an array will do
    size: Any = np.int64(6)
    assert x.reshape(size).shape == x.reshape(-1).shape == (6,)
    assert x.reshape(2, 3).expand((2, 2, -1)).shape == (2, 2, 3)
    assert x.reshape(1, 6).repeat(2, 2).shape == (2, 12)


def test_writing_forms() -> None:
    x = tt.zeros(2, 3)
    x[0] = 1
    x[:, 1] = tt.tensor([5.0, 6.0])
    x[x == 0] = np.float32(9)
    x[..., -1] += 1
    x[[0, 1], [0, 0]] = tt.tensor([7.0, 8.0], dtype="float64")
    assert x.tolist() == [[7, 5, 2], [8, 6, 10]]
    assert x.dtype == np.float32


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_adding_to_repeated_places_is_exact_for_every_dtype(rows: int) -> None:
    places = np.random.default_rng(0).integers(0, 7, rows)
    for dtype in ("float16", "float32", "int8", "int64"):
        values = np.ones((rows, 3), dtype)
        found = ops.UNINDEX(values, index=places, shape=(7, 3))
        assert found.dtype == dtype
        expected = np.bincount(places, minlength=7)[:, None].astype(dtype).repeat(3, 1)
        np.testing.assert_array_equal(found, expected)


def test_bools_are_written_as_zero_and_one_and_as_nothing_else() -> None:
    mask = tt.tensor([True, False, True])
    mask[1] = 1
    mask[0] = 0
    assert mask.tolist() == [False, True, True]
    assert mask.zero_().tolist() == [False, False, False]
    with pytest.raises(TypeError, match=r"setitem: expected a value that bool can hold"):
        mask[0] = 2

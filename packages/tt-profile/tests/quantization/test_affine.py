"""Floats to integers and back: scales, rounding, gradients, packing."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

import tt_autograd as tt
from tt_profile.quantization import (
    MinMaxObserver,
    choose_qparams,
    dequantize_affine,
    fake_quantize,
    pack_int4,
    quantize_affine,
    unpack_int4,
)

pytestmark = pytest.mark.module_15

Array = NDArray[Any]

# Smallest and largest integer, and whether 0 stands for 0.
RANGES = [(-127, 127, True), (-128, 127, True), (-128, 127, False), (-7, 7, True), (-8, 7, False)]
ranges = pytest.mark.parametrize(("low", "high", "symmetric"), RANGES)

floats = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=2),
    elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False),
)


def chosen(x: Array, low: int, high: int, symmetric: bool) -> tuple[tt.Tensor, tt.Tensor]:
    found = choose_qparams(tt.tensor(x.min()), tt.tensor(x.max()), low, high, symmetric=symmetric)
    return found.scale, found.zero_point


@ranges
@given(x=floats)
def test_no_value_is_off_by_more_than_half_a_scale(
    low: int, high: int, symmetric: bool, x: Array
) -> None:
    scale, zero_point = chosen(x, low, high, symmetric)
    values = quantize_affine(tt.tensor(x), scale, zero_point, low, high)
    assert values.dtype == np.int8
    assert low <= values.numpy().min()
    assert values.numpy().max() <= high
    back = dequantize_affine(values, scale, zero_point)
    assert back.dtype == np.float32
    error = np.abs(back.numpy().astype(np.float64) - x)
    assert error.max() <= 0.5001 * scale.item()  # beyond a half by rounding of x / scale


@ranges
@given(x=floats)
def test_zero_stays_zero(low: int, high: int, symmetric: bool, x: Array) -> None:
    scale, zero_point = chosen(x, low, high, symmetric)
    zero = tt.zeros(3)
    back = dequantize_affine(quantize_affine(zero, scale, zero_point, low, high), scale, zero_point)
    assert back.tolist() == [0.0, 0.0, 0.0]


@ranges
@given(scale=st.floats(2.0**-20, 2.0**20, width=32), data=st.data())
def test_what_can_be_represented_is(
    low: int, high: int, symmetric: bool, scale: float, data: st.DataObject
) -> None:
    zero_point = tt.tensor(0 if symmetric else data.draw(st.integers(low, high)), dtype="int8")
    integers = tt.arange(low, high + 1, dtype="int8")
    step = tt.tensor(scale, dtype="float32")
    values = dequantize_affine(integers, step, zero_point)
    assert quantize_affine(values, step, zero_point, low, high).tolist() == integers.tolist()


@ranges
@given(x=floats)
def test_order_is_kept(low: int, high: int, symmetric: bool, x: Array) -> None:
    scale, zero_point = chosen(x, low, high, symmetric)
    ordered = tt.tensor(np.sort(x.reshape(-1)))
    values = quantize_affine(ordered, scale, zero_point, low, high).numpy()
    assert (np.diff(values.astype(int)) >= 0).all()


@given(x=hnp.arrays(np.float32, (4, 6), elements=st.floats(-100, 100, width=32)))
def test_a_scale_for_each_channel_is_never_larger_than_one_for_all(x: Array) -> None:
    whole = choose_qparams(tt.tensor(x.min()), tt.tensor(x.max()))
    each = choose_qparams(tt.tensor(x).amin(dim=1), tt.tensor(x).amax(dim=1))
    assert (each.scale.numpy() <= whole.scale.item()).all()


@ranges
@given(x=floats)
def test_fake_quantization_is_there_and_back_and_a_second_time_changes_nothing(
    low: int, high: int, symmetric: bool, x: Array
) -> None:
    scale, zero_point = chosen(x, low, high, symmetric)
    once = fake_quantize(tt.tensor(x), scale, zero_point, low, high)
    values = quantize_affine(tt.tensor(x), scale, zero_point, low, high)
    assert once.tolist() == dequantize_affine(values, scale, zero_point).tolist()
    assert fake_quantize(once, scale, zero_point, low, high).tolist() == once.tolist()


@ranges
@given(x=hnp.arrays(np.float64, (5, 3), elements=st.floats(-300, 300)), data=st.data())
def test_gradients_pass_straight_through_where_values_are_in_range(
    low: int, high: int, symmetric: bool, x: Array, data: st.DataObject
) -> None:
    zero = 0 if symmetric else data.draw(st.integers(low, high))
    scale = np.array([1.0, 2.0, 0.5])
    input = tt.tensor(x, requires_grad=True)
    weights = np.arange(15.0).reshape(5, 3)
    out = fake_quantize(input, tt.tensor(scale), tt.tensor(zero, dtype="int8"), low, high)
    (out * tt.tensor(weights)).sum().backward()
    steps = np.rint(x / scale) + zero
    expected = weights * ((steps >= low) & (steps <= high))
    assert input.grad is not None
    np.testing.assert_array_equal(input.grad.numpy(), expected)


def test_gradients_can_be_differentiated_again() -> None:
    x = tt.tensor([0.3, 99.0], dtype="float64", requires_grad=True)
    (slope,) = tt.grad((fake_quantize(x, tt.tensor(0.1)) ** 2).sum(), [x], create_graph=True)
    (curvature,) = tt.grad(slope.sum(), [x])
    np.testing.assert_allclose(curvature.numpy(), [2.0, 0.0])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes_stay(dtype: str) -> None:
    x = tt.tensor([-1.0, 0.0, 1.0], dtype=dtype)
    scale, zero_point = choose_qparams(x.amin(), x.amax(), -127, 127, symmetric=True)
    assert scale.dtype == np.dtype(dtype)
    assert fake_quantize(x, scale, zero_point).dtype == np.dtype(dtype)
    np.testing.assert_allclose(fake_quantize(x, scale, zero_point).numpy(), x.numpy(), rtol=2e-3)


def test_a_range_of_zeros_has_a_scale() -> None:
    scale, zero_point = choose_qparams(tt.tensor(0.0), tt.tensor(0.0))
    assert scale.item() > 0
    assert quantize_affine(tt.zeros(2), scale, zero_point).tolist() == [-128, -128]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: choose_qparams(x, x),
        lambda x: choose_qparams(tt.tensor(0.0), x.abs()),
        lambda x: quantize_affine(x, tt.tensor(1.0)),
        lambda x: MinMaxObserver()(x),
    ],
)
def test_what_is_not_finite_is_refused(call: Callable[[tt.Tensor], object], bad: float) -> None:
    with pytest.raises(ValueError, match="NaN"):
        call(tt.tensor(bad))


ERRORS: list[tuple[str, Callable[[], object], str]] = [
    ("range", lambda: choose_qparams(tt.tensor(0.0), tt.tensor(1.0), 0, 255), "quant_min"),
    ("empty", lambda: choose_qparams(tt.tensor(0.0), tt.tensor(1.0), 5, 5), "quant_min"),
    ("backwards", lambda: choose_qparams(tt.tensor(1.0), tt.tensor(-1.0)), "minimum"),
    ("scale", lambda: quantize_affine(tt.ones(2, 3), tt.ones(2)), "scale that broadcasts"),
    ("larger", lambda: fake_quantize(tt.ones(3), tt.ones(2, 3)), "scale that broadcasts"),
    ("odd", lambda: pack_int4(np.zeros(3, np.int8)), "even"),
    ("too large", lambda: pack_int4(np.array([8, 0], np.int8)), "-8 to 7"),
]


@pytest.mark.parametrize(("call", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS])
def test_errors_say_what_was_expected(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@given(
    hnp.arrays(
        np.int8,
        st.tuples(st.integers(0, 3), st.integers(0, 5).map(lambda n: 2 * n)),
        elements=st.integers(-8, 7),
    )
)
def test_packing_can_be_undone(values: Array) -> None:
    packed = pack_int4(values)
    assert packed.dtype == np.uint8
    assert packed.nbytes * 2 == values.size
    assert unpack_int4(packed).tolist() == values.tolist()
    assert unpack_int4(packed).shape == values.shape

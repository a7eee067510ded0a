from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_autograd as tt
import tt_optim as optim

pytestmark = pytest.mark.module_08

finite = st.floats(-1e3, 1e3, width=32)


def make_params(*grads: Any, dtype: Any = np.float64) -> list[tt.Tensor]:
    params = []
    for grad in grads:
        array = None if grad is None else np.asarray(grad, dtype)
        param = tt.zeros(*(array.shape if array is not None else (2,)), dtype=dtype)
        param.requires_grad_()
        param.grad = None if array is None else tt.tensor(array)
        params.append(param)
    return params


def gradients(params: list[tt.Tensor]) -> list[Any]:
    return [None if p.grad is None else p.grad.tolist() for p in params]


@given(
    grads=st.lists(st.lists(finite, min_size=1, max_size=4), min_size=1, max_size=4),
    max_norm=st.floats(0.01, 1e4),
    order=st.sampled_from([1.0, 2.0, 3.0, np.inf]),
)
def test_the_norm_is_bounded_and_the_direction_stays(
    grads: list[list[float]], max_norm: float, order: float
) -> None:
    params = make_params(*grads)
    whole = np.concatenate([np.asarray(grad) for grad in grads])
    norm = optim.clip_grad_norm_(params, max_norm, order)
    clipped = np.concatenate([np.asarray(grad) for grad in gradients(params)])
    assert norm.shape == ()
    assert norm.item() == pytest.approx(np.linalg.norm(whole, order), rel=1e-9, abs=1e-12)
    assert np.linalg.norm(clipped, order) <= max_norm * (1 + 1e-9)
    factor = min(1.0, max_norm / (norm.item() + 1e-6))
    np.testing.assert_allclose(clipped, whole * factor, rtol=1e-9, atol=1e-12)


def test_parameters_without_gradients_are_left_out_and_none_counts_twice() -> None:
    params = make_params([3.0, 4.0], None)
    assert optim.clip_grad_norm_([*params, params[0]], 1.0).item() == 5.0
    assert gradients(params)[1] is None
    assert optim.clip_grad_norm_([], 1.0).item() == 0.0
    assert optim.clip_grad_norm_(params[0], 100.0).item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_squares_that_overflow_still_have_a_norm(dtype: Any) -> None:
    large = float(np.finfo(dtype).max) / 4
    params = make_params([large, large], dtype=dtype)
    assert optim.clip_grad_norm_(params, 1.0).item() == pytest.approx(large * 2**0.5, rel=1e-3)
    assert gradients(params)[0] == pytest.approx([0.5**0.5] * 2, rel=1e-2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("order", [1.0, 2.0, np.inf])
def test_a_norm_that_is_not_finite(value: float, order: float) -> None:
    params = make_params([1.0, value])
    with pytest.raises(ValueError, match="clip_grad_norm_: the norm of the gradients is"):
        optim.clip_grad_norm_(params, 1.0, order, error_if_nonfinite=True)
    np.testing.assert_equal(gradients(params)[0], [1.0, value])
    assert not np.isfinite(optim.clip_grad_norm_(params, 1.0, order).item())
    assert not np.isfinite(gradients(params)[0][1])


def test_values_are_bounded() -> None:
    params = make_params([3.0, -0.5, np.nan, -7.0], None)
    optim.clip_grad_value_(params, 1.0)
    np.testing.assert_equal(gradients(params), [[1.0, -0.5, np.nan, -1.0], None])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m, p: m.clip_grad_norm_(p, -1.0), ValueError),
        (lambda m, p: m.clip_grad_norm_(p, "1"), TypeError),
        (lambda m, p: m.clip_grad_norm_(p, 1.0, 0), ValueError),
        (lambda m, p: m.clip_grad_value_(p, -1.0), ValueError),
    ],
)
def test_bounds_that_are_none_are_refused(call: Any, error: Any) -> None:
    with pytest.raises(error, match="clip_grad"):
        call(optim, make_params([1.0]))

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_autograd as tt
from tt_nn import init

pytestmark = pytest.mark.module_04

# name, fill, shape, mean, standard deviation, largest value: what each must come close to
DRAWS: list[tuple[str, Callable[..., tt.Tensor], tuple[int, ...], float, float]] = [
    ("uniform_", lambda x, **g: init.uniform_(x, 1, 3, **g), (200, 300), 2 / math.sqrt(12), 3.0),
    ("normal_", lambda x, **g: init.normal_(x, 2, 0.5, **g), (200, 300), 0.5, math.inf),
    ("trunc_normal_", lambda x, **g: init.trunc_normal_(x, **g), (200, 300), 0.8796, 2.0),
    (
        "trunc_normal_ (narrow)",
        lambda x, **g: init.trunc_normal_(x, 1.0, 2.0, 0.9, 1.1, **g),
        (200, 300),
        0.2 / math.sqrt(12),
        1.1,
    ),
    (
        "xavier_uniform_",
        lambda x, **g: init.xavier_uniform_(x, 2.0, **g),
        (200, 300),
        2 * math.sqrt(2 / 500),
        2 * math.sqrt(6 / 500),
    ),
    (
        "xavier_normal_",
        init.xavier_normal_,
        (40, 30, 5, 5),
        math.sqrt(2 / (70 * 25)),
        math.inf,
    ),
    (
        "kaiming_uniform_",
        lambda x, **g: init.kaiming_uniform_(x, nonlinearity="relu", **g),
        (200, 300),
        math.sqrt(2 / 300),
        math.sqrt(6 / 300),
    ),
    (
        "kaiming_uniform_ (leaky)",
        lambda x, **g: init.kaiming_uniform_(x, a=math.sqrt(5), **g),
        (200, 300),
        1 / math.sqrt(3 * 300),
        1 / math.sqrt(300),
    ),
    (
        "kaiming_normal_ (fan_out)",
        lambda x, **g: init.kaiming_normal_(x, mode="fan_out", nonlinearity="tanh", **g),
        (40, 30, 5, 5),
        5 / 3 / math.sqrt(40 * 25),
        math.inf,
    ),
    ("orthogonal_", init.orthogonal_, (100, 120), 1 / math.sqrt(120), 1.0),
]
draws = pytest.mark.parametrize(
    ("fill", "shape", "std", "largest"), [pytest.param(*d[1:], id=d[0]) for d in DRAWS]
)


@draws
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_are_spread_as_they_should(
    fill: Callable[..., tt.Tensor], shape: tuple[int, ...], std: float, largest: float, dtype: str
) -> None:
    tt.manual_seed(0)
    x = tt.full(shape, math.nan, dtype=dtype)
    assert fill(x) is x
    assert x.dtype == dtype
    values = x.numpy().astype(float)
    assert values.std() == pytest.approx(std, rel=0.02)
    assert np.abs(values).max() <= largest * (1 + float(np.finfo(dtype).eps))


@draws
def test_draws_follow_the_seed_or_a_generator(
    fill: Callable[..., tt.Tensor], shape: tuple[int, ...], std: float, largest: float
) -> None:
    tt.manual_seed(1)
    first = fill(tt.empty(*shape)).tolist()
    state = tt.default_generator().get_state()
    assert fill(tt.empty(*shape), generator=tt.Generator(1)).tolist() == first
    assert tt.default_generator().get_state() == state
    assert fill(tt.empty(*shape)).tolist() != first


@draws
def test_leaves_stay_leaves(
    fill: Callable[..., tt.Tensor], shape: tuple[int, ...], std: float, largest: float
) -> None:
    x = tt.zeros(*shape, requires_grad=True)
    fill(x)
    assert x.is_leaf
    assert x.requires_grad


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(1, 6), min_size=2, max_size=4), gain=st.floats(0.1, 3))
def test_orthogonal_rows_or_columns(shape: list[int], gain: float) -> None:
    q = init.orthogonal_(tt.empty(*shape, dtype="float64"), gain).numpy().reshape(shape[0], -1)
    q = q if q.shape[0] <= q.shape[1] else q.T
    np.testing.assert_allclose(q @ q.T, gain**2 * np.eye(len(q)), atol=1e-10)


def test_orthogonal_has_no_preferred_sign() -> None:
    tt.manual_seed(0)
    signs = [init.orthogonal_(tt.empty(2, 2))[0, 0].item() > 0 for _ in range(200)]
    assert 60 < sum(signs) < 140


def test_constants() -> None:
    assert init.zeros_(tt.empty(2)).tolist() == [0, 0]
    assert init.ones_(tt.empty(2)).tolist() == [1, 1]
    assert init.constant_(tt.empty(2), 0.25).tolist() == [0.25, 0.25]
    assert init.eye_(tt.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(
    ("nonlinearity", "param", "gain"),
    [
        ("linear", None, 1),
        ("conv_transpose2d", None, 1),
        ("sigmoid", None, 1),
        ("tanh", None, 5 / 3),
        ("relu", None, math.sqrt(2)),
        ("leaky_relu", None, math.sqrt(2 / (1 + 0.01**2))),
        ("leaky_relu", 0.5, math.sqrt(1.6)),
        ("selu", None, 0.75),
    ],
)
def test_gains(nonlinearity: str, param: float | None, gain: float) -> None:
    assert init.calculate_gain(nonlinearity, param) == pytest.approx(gain)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init.calculate_gain("rleu"), "calculate_gain: unknown 'rleu'; expected one of"),
        (lambda: init.kaiming_uniform_(tt.empty(3)), "kaiming_uniform_: expected at least two"),
        (lambda: init.xavier_normal_(tt.empty(3)), "xavier_normal_: expected at least two"),
        (lambda: init.orthogonal_(tt.empty(3)), "orthogonal_: expected at least two dimensions"),
        (lambda: init.eye_(tt.empty(3)), "eye_: expected a matrix"),
        (lambda: init.uniform_(tt.empty(3), 1, 0), "uniform_: expected a <= b"),
        (lambda: init.normal_(tt.empty(3), std=-1), "normal_: expected std of at least 0"),
        (lambda: init.trunc_normal_(tt.empty(3), a=9, b=10), "trunc_normal_: expected"),
        (lambda: init.trunc_normal_(tt.empty(3), a=2, b=-2), "trunc_normal_: expected"),
        (
            lambda: init.kaiming_normal_(tt.empty(3, 3), mode="fan"),  # type: ignore[arg-type]
            "kaiming_normal_: expected mode 'fan_in' or 'fan_out', got 'fan'",
        ),
    ],
)
def test_wrong_arguments_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

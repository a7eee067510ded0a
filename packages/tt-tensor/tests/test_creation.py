"""Making tensors out of numbers, arrays and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tt_tensor as tt

pytestmark = pytest.mark.module_02

DTYPES = [
    tt.float16, tt.float32, tt.float64, tt.int8, tt.int16, tt.int32, tt.int64, tt.uint8, tt.bool_,
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (3, "int64"),
        (True, "bool"),
        ([], "float32"),
        ([[], []], "float32"),
        ([1, 2], "int64"),
        ([1, 2.0], "float32"),
        ([True, False], "bool"),
        ([True, 2], "int64"),
        (range(3), "int64"),
        (np.float64(1), "float64"),
        ([np.float64(1)], "float64"),
        (np.arange(3, dtype=np.int8), "int8"),
        (np.zeros(2, ">f4"), "float32"),
        ([np.zeros(2), np.ones(2)], "float64"),
        (tt.tensor([1.0], dtype="float64"), "float64"),
        ([tt.tensor(1, dtype="int8"), tt.tensor(2, dtype="int8")], "int8"),
    ],
)
def test_the_data_decide_the_dtype(data: Any, dtype: str) -> None:
    for make in (tt.tensor, tt.Tensor):
        made = make(data)
        assert made.dtype == dtype
        assert made.dtype.isnative


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_can_be_asked_for(dtype: np.dtype[Any]) -> None:
    made: list[Callable[..., tt.Tensor]] = [tt.zeros, tt.ones, tt.empty]
    for make in made:
        assert make(2, 3, dtype=dtype).dtype == dtype
    for tensor in (
        tt.tensor([0, 1], dtype=dtype),
        tt.full((2,), 1, dtype=dtype),
        tt.arange(2, dtype=dtype),
        tt.linspace(0, 1, 2, dtype=dtype),
        tt.eye(2, dtype=dtype),
        tt.randint(2, (5,), dtype=dtype),
        tt.zeros_like(tt.zeros(2), dtype=dtype),
    ):
        assert tensor.dtype == dtype


def test_tensor_copies_and_from_numpy_shares() -> None:
    array = np.zeros(3)
    copied, shared = tt.tensor(array), tt.from_numpy(array)
    array[0] = 1
    assert copied[0] == 0
    assert shared[0] == 1
    shared[1] = 2
    assert array[1] == 2


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tt.zeros(2, 3), np.zeros((2, 3), np.float32)),
        (tt.zeros((2, 3)), np.zeros((2, 3), np.float32)),
        (tt.zeros([2]), np.zeros(2, np.float32)),
        (tt.zeros(()), np.zeros((), np.float32)),
        (tt.ones(0, 2), np.ones((0, 2), np.float32)),
        (tt.full(2, 7), np.full(2, 7)),
        (tt.full((1, 2), 0.5), np.full((1, 2), 0.5, np.float32)),
        (tt.arange(3), np.arange(3)),
        (tt.arange(1, 4), np.arange(1, 4)),
        (tt.arange(5, 0, -2), np.array([5, 3, 1])),
        (tt.arange(0.0, 1.0, 0.25), np.array([0, 0.25, 0.5, 0.75], np.float32)),
        (tt.arange(3, 1), np.arange(0)),
        (tt.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32)),
        (tt.linspace(0, 1, 0), np.zeros(0, np.float32)),
        (tt.eye(2, 3), np.eye(2, 3, dtype=np.float32)),
        (tt.zeros_like(tt.ones(2, dtype="int8")), np.zeros(2, np.int8)),
        (tt.ones_like(tt.zeros(2), dtype="bool"), np.ones(2, bool)),
        (tt.full_like(tt.zeros(1, 2), 3), np.full((1, 2), 3, np.float32)),
        (tt.empty_like(tt.zeros(0, 2)), np.zeros((0, 2), np.float32)),
    ],
)
def test_values(made: tt.Tensor, expected: np.ndarray[Any, Any]) -> None:
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made.numpy(), expected)


ARRAY = np.zeros(2)
loose: Any = tt  # untyped, to hand over what its annotations refuse


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: loose.tensor("abc"), TypeError, "tensor: expected real numbers, got str"),
        (lambda: loose.tensor(None), TypeError, "tensor: expected real numbers, got NoneType"),
        (lambda: loose.tensor([1j]), TypeError, "tensor: expected real numbers, got complex"),
        (
            lambda: loose.tensor([[1], [2, 3]]),
            ValueError,
            "tensor: expected nested sequences",
        ),
        (lambda: loose.tensor([2**63]), OverflowError, "tensor: an int among the values"),
        (lambda: loose.tensor([2**90]), OverflowError, "tensor: an int among the values"),
        (lambda: loose.tensor([300], dtype="int8"), OverflowError, "300 do not fit dtype int8"),
        (lambda: loose.tensor([-1], dtype="uint8"), OverflowError, "do not fit dtype uint8"),
        (lambda: loose.tensor([np.nan], dtype="int8"), OverflowError, "nan do not fit dtype int8"),
        (lambda: loose.tensor([1e30], dtype="int64"), OverflowError, "do not fit dtype int64"),
        (
            lambda: loose.tensor(1, dtype="uint64"),
            TypeError,
            "tensor: dtype uint64 is not",
        ),
        (lambda: loose.tensor(1, dtype="real"), TypeError, "tensor: 'real' is no dtype"),
        (lambda: loose.Tensor("abc"), TypeError, "Tensor: expected real numbers, got str"),
        (lambda: loose.from_numpy([1]), TypeError, "from_numpy: expected a NumPy array, got list"),
        (
            lambda: loose.from_numpy(ARRAY * 1j),
            TypeError,
            "from_numpy: dtype complex128",
        ),
        (lambda: loose.from_dlpack([1]), TypeError, "from_dlpack: list has no __dlpack__ method"),
        (lambda: loose.zeros(-1), ValueError, "zeros: expected sizes of at least 0, got (-1,)"),
        (lambda: loose.zeros(2.0), TypeError, "zeros: expected ints, got (2.0,)"),
        (lambda: loose.ones("ab"), TypeError, "ones: expected ints, got 'ab'"),
        (
            lambda: loose.ones(2, dtype="complex64"),
            TypeError,
            "ones: dtype complex64 is not",
        ),
        (lambda: loose.full((2,), [1, 2]), ValueError, "full: expected one number to fill with"),
        (lambda: loose.full((2,), "x"), TypeError, "full: expected real numbers, got str"),
        (lambda: loose.arange(0, 1, 0), ValueError, "arange: expected finite numbers"),
        (
            lambda: loose.arange(float("inf")),
            ValueError,
            "arange: expected finite numbers",
        ),
        (lambda: loose.arange("x"), TypeError, "arange: expected numbers"),
        (lambda: loose.arange(300, dtype="int8"), OverflowError, "arange: values from 0 to 299"),
        (lambda: loose.linspace(0, 1, -1), ValueError, "linspace: expected sizes of at least 0"),
        (lambda: loose.linspace(0, 1, 2.5), TypeError, "linspace: expected ints"),
        (lambda: loose.eye(-1), ValueError, "eye: expected sizes of at least 0"),
        (lambda: loose.zeros_like([1]), TypeError, "zeros_like: expected a Tensor, got list"),
        (lambda: loose.full_like(3, 1), TypeError, "full_like: expected a Tensor, got int"),
        (lambda: loose.rand(2, dtype="int8"), TypeError, "rand: expected a floating-point dtype"),
        (lambda: loose.randn(-2), ValueError, "randn: expected sizes of at least 0"),
        (lambda: loose.randint(3, 3), ValueError, "randint: expected low < high, got 3 and 3"),
        (lambda: loose.randint(0.5), TypeError, "randint: expected ints"),
        (
            lambda: loose.randint(300, (2,), dtype="int8"),
            OverflowError,
            "randint: values from 0",
        ),
        (lambda: loose.randperm(-1), ValueError, "randperm: expected sizes of at least 0"),
        (
            lambda: loose.randperm(200, dtype="int8"),
            OverflowError,
            "randperm: values from 0",
        ),
    ],
)
def test_errors(make: Callable[[], object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=re.escape(says)):
        make()


def test_numbers_are_cut_not_wrapped_on_the_way_to_integers() -> None:
    assert tt.tensor([1.9, -1.9], dtype="int64").tolist() == [1, -1]
    assert tt.tensor([255.9, -0.9], dtype="uint8").tolist() == [255, 0]

"""Between tensors, NumPy and Python."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tt_tensor as tt

pytestmark = pytest.mark.module_02

OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.matmul, operator.lt, operator.le, operator.gt, operator.ge,
    operator.eq, operator.ne,
]  # fmt: skip
loose: Any = tt  # untyped, to hand over what its annotations refuse
BITS = [operator.and_, operator.or_, operator.xor]


@pytest.mark.parametrize("act", OPERATORS)
def test_an_array_beside_a_tensor_gives_a_tensor(act: Callable[[Any, Any], Any]) -> None:
    array, other = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for found in (
        act(array, tt.tensor(other)),
        act(tt.tensor(array), other),
        act(tt.tensor(array), tt.tensor(other)),
    ):
        assert type(found) is tt.Tensor
        np.testing.assert_array_equal(found.numpy(), act(array, other))


@pytest.mark.parametrize("act", [*OPERATORS[:7], *BITS])
@pytest.mark.parametrize("number", [2, True])
def test_a_number_beside_a_tensor(act: Callable[[Any, Any], Any], number: int) -> None:
    array = np.array([1, 2, 3], np.int8)
    for kind in (number, np.int8(number)):
        left, right = act(kind, tt.tensor(array)), act(tt.tensor(array), kind)
        assert left.dtype == act(kind, array).dtype
        assert right.dtype == act(array, kind).dtype
        np.testing.assert_array_equal(left.numpy(), act(kind, array))
        np.testing.assert_array_equal(right.numpy(), act(array, kind))


@pytest.mark.parametrize("act", [*OPERATORS[:7], *BITS])
def test_in_place_operators_write_into_the_same_memory(act: Callable[[Any, Any], Any]) -> None:
    array = np.array([7, 5, 3], np.int64 if act in BITS else np.float64)
    x = tt.tensor(array)
    before = x
    written = getattr(operator, f"i{act.__name__.strip('_')}")(x, 2)
    assert written is before
    np.testing.assert_array_equal(before.numpy(), act(array, 2))


def test_unary_operators() -> None:
    x = tt.tensor([-1.0, 2.0])
    assert (-x).tolist() == [1.0, -2.0]
    assert (+x).tolist() == [-1.0, 2.0]
    assert abs(x).tolist() == [1.0, 2.0]
    assert (~tt.tensor([True, False])).tolist() == [False, True]


@pytest.mark.parametrize(
    ("start", "act", "other", "says"),
    [
        (tt.tensor([1, 2]), operator.iadd, 0.5, "add_: a result of dtype float64"),
        (tt.tensor([1, 2]), operator.itruediv, 2, "div_: a result of dtype float64"),
        (tt.tensor([True]), operator.iadd, 1, "add_: a result of dtype int64"),
        (tt.tensor([1.0]), operator.iand, 1, "bitwise_and: not defined for float32"),
        (
            tt.tensor([1, 2]),
            tt.Tensor.fill_,
            0.5,
            "setitem: expected a value that int64",
        ),
    ],
)
def test_in_place_keeps_the_dtype(
    start: tt.Tensor, act: Callable[[Any, Any], Any], other: float, says: str
) -> None:
    before = start.tolist()
    with pytest.raises(TypeError, match=says):
        act(start, other)
    assert start.tolist() == before


def test_in_place_keeps_the_shape() -> None:
    x = tt.ones(3)
    with pytest.raises(ValueError, match=r"add_: a result of shape \(2, 3\) cannot be stored"):
        x += tt.ones(2, 3)
    with pytest.raises(ValueError, match=r"add: .*do not broadcast"):
        x += tt.ones(2)
    with pytest.raises(OverflowError, match=r"add: .*uint8"):
        tt.zeros(1, dtype="uint8").add_(300)
    assert x.tolist() == [1, 1, 1]


def test_in_place_by_name() -> None:
    x = tt.ones(3)
    assert x.add_(1, alpha=2).sub_(tt.ones(3), alpha=0.5) is x
    assert x.tolist() == [2.5, 2.5, 2.5]
    assert x.mul_(2).div_(5).pow_(2).clip_(0, 0.5).tolist() == [0.5, 0.5, 0.5]
    assert x.clamp_(0.6).copy_(tt.tensor([1.0, 2.0, 3.0])).tolist() == [1, 2, 3]
    assert x.fill_(4).tolist() == [4, 4, 4]
    assert x.zero_().tolist() == [0, 0, 0]


def test_read_only_memory_is_not_written() -> None:
    x = tt.ones(1, 2).expand(3, 2)
    with pytest.raises(ValueError, match=r"add_: the tensor's memory is read-only.*clone\(\)"):
        x += 1
    with pytest.raises(ValueError, match="setitem_: the tensor's memory is read-only"):
        x[0] = 1.0
    y = x.clone()
    y += 1
    assert y.sum().item() == 12


def test_numpy_reads_tensors_without_a_copy() -> None:
    x = tt.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="becomes float64 only by a copy"):
        np.array(x, dtype=np.float64, copy=False)
    with pytest.raises(TypeError, match="__array_ufunc__"):
        np.exp(x)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "int64", "uint8", "bool"]
)
def test_dlpack_both_ways(dtype: str) -> None:
    x = tt.tensor([0, 1, 2], dtype=dtype)
    array = np.from_dlpack(x)
    assert array.dtype == dtype
    assert np.shares_memory(array, x.numpy())
    again = tt.from_dlpack(x)
    assert np.shares_memory(again.numpy(), x.numpy())
    assert again.tolist() == x.tolist()


@pytest.mark.parametrize(
    "x",
    [
        tt.tensor(1.5),
        tt.zeros(0, 2),
        tt.from_numpy(np.arange(6).reshape(2, 3).T),
        tt.tensor([True]),
    ],
    ids=repr,
)
def test_pickle_and_copy(x: tt.Tensor) -> None:
    for made in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), x.clone()):
        assert type(made) is tt.Tensor
        assert made.dtype == x.dtype
        assert made.shape == x.shape
        assert made.tolist() == x.tolist()
        assert not np.shares_memory(made.numpy(), x.numpy())
    assert np.shares_memory(copy.copy(x).numpy(), x.numpy()) or not x.numel()


def test_python_numbers() -> None:
    x = tt.tensor(2.5)
    assert (x.item(), float(x), int(x), bool(x), f"{x:.1f}") == (2.5, 2.5, 2, True, "2.5")
    assert [10, 20, 30][tt.tensor(1)] == 20
    assert f"{tt.tensor([1, 2])}" == "tensor([1, 2])"
    assert math.isclose(math.exp(x), math.exp(2.5))


@pytest.mark.parametrize(
    ("act", "kind", "says"),
    [
        (
            lambda: tt.ones(2).item(),
            ValueError,
            "item: expected one element, got a tensor",
        ),
        (lambda: float(tt.ones(2)), ValueError, "item: expected one element"),
        (lambda: bool(tt.ones(2)), ValueError, "bool: a tensor of shape .* use .any"),
        (lambda: [1][tt.tensor(0.0)], TypeError, "index: expected one integer, got float32"),
        (lambda: len(tt.tensor(1)), TypeError, "len: a tensor without dimensions"),
        (lambda: iter(tt.tensor(1)), TypeError, "iter: a tensor without dimensions"),
        (lambda: f"{tt.ones(2):.3f}", ValueError, "format: '.3f' formats one number"),
        (lambda: loose.ones(2) + "x", TypeError, "add: expected a tensor, an array or a number"),
        (lambda: [1.0] * tt.ones(1), TypeError, "mul: expected a tensor, .* got list"),
        (lambda: loose.ones(2) + None, TypeError, "add: not defined for float32 and NoneType"),
        (lambda: tt.ones(2) + np.ones(2) * 1j, TypeError, "add: dtype complex128 is not supported"),
        (lambda: -tt.tensor([True]), TypeError, "neg: not defined for bool"),
        (lambda: tt.tensor([1, 2]) ** -1, ValueError, "pow: integers have no negative powers"),
        (lambda: tt.ones(2).size(1), IndexError, "size: dim 1 is out of range"),
        (lambda: tt.tensor(1).size(-1), IndexError, "size: expected a tensor with at least one"),
        (lambda: tt.ones(3) in tt.ones(2), ValueError, "eq: shapes .* do not broadcast"),
        (lambda: "a" in tt.ones(2), TypeError, "eq: expected a tensor, an array or a number"),
        (lambda: tt.ones(2).fill_(10**30), OverflowError, "setitem: an int that does not fit"),
        (lambda: tt.ones(2).masked_fill(tt.ones(2), 0), TypeError, "where: expected a condition"),
        (lambda: tt.ones(2).to("f4,f"), TypeError, "to: dtype void64 is not supported"),
        (lambda: tt.ones(2).to("ij,jk"), TypeError, "to: 'ij,jk' is no dtype; expected one of"),
        (lambda: tt.ones(2).type_as(loose.ones), TypeError, "type_as: expected a Tensor, got "),
    ],
)
def test_errors(act: Callable[[], object], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        act()


def test_comparison_with_what_is_no_number() -> None:
    x = tt.ones(2)
    equal: Any = x == "a"
    differs: Any = x != None  # noqa: E711  # the operator is what is tested
    assert equal is False
    assert differs is True
    assert x in [x]
    assert {x: 1}[x] == 1
    assert 1.0 in x
    assert 2.0 not in x
    assert np.float32(1) in x
    seen: list[str] = []
    with tt.observe(lambda event: seen.append(event.op.name)):
        assert 1.0 in x
    assert seen == ["eq", "any"]


def test_what_a_tensor_says_of_itself() -> None:
    x = tt.zeros(2, 3, 4, dtype="float64")
    assert (x.shape, x.size(), x.size(-1), x.ndim, x.dim(), x.numel(), len(x), x.nbytes) == (
        (2, 3, 4), (2, 3, 4), 4, 3, 3, 24, 2, 192,
    )  # fmt: skip
    assert x.stride() == (12, 4, 1)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x.T.contiguous().is_contiguous()
    assert x.T.shape == (4, 3, 2)
    assert x.mT.shape == (2, 4, 3)
    assert x.is_floating_point()
    assert not tt.tensor(1).is_floating_point()
    assert [row.shape for row in x] == [(3, 4), (3, 4)]


def test_casts() -> None:
    x = tt.tensor([0.0, 1.7])
    assert x.to("float32") is x
    found = [
        x.double(),
        x.half(),
        x.long(),
        x.int(),
        x.bool(),
        x.long().float(),
        x.type_as(x.int()),
    ]
    assert [t.dtype.name for t in found] == [
        "float64", "float16", "int64", "int32", "bool", "float32", "int32",
    ]  # fmt: skip
    assert x.long().tolist() == [0, 1]
    assert x.masked_fill(x > 1, -1).tolist() == [0, -1]
    assert x.where(x > 1, 5.0).tolist()[0] == 5

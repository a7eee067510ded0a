"""What all else stands on, in small numbers: the seam, operators, shapes, products, sums."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tt_tensor as tt
from tt_tensor import ops

pytestmark = pytest.mark.module_02


def test_apply_runs_a_kernel_on_the_arrays_of_tensors() -> None:
    x = tt.tensor([[1.0, 2.0], [3.0, 4.0]])
    total = tt.Tensor._apply(ops.SUM, (x,), {"dim": (0,), "keepdim": True})
    assert type(total) is tt.Tensor
    assert total.tolist() == [[4.0, 6.0]]
    beside = tt.Tensor._apply(ops.MUL, (np.array([10.0, 100.0], np.float32), x))
    assert beside.tolist() == [[10.0, 200.0], [30.0, 400.0]]


SIGNS: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "__add__": (operator.add, [8.0, 10.0]),
    "__sub__": (operator.sub, [4.0, 6.0]),
    "__mul__": (operator.mul, [12.0, 16.0]),
    "__truediv__": (operator.truediv, [3.0, 4.0]),
    "__floordiv__": (operator.floordiv, [3.0, 4.0]),
    "__mod__": (operator.mod, [0.0, 0.0]),
    "__pow__": (operator.pow, [36.0, 64.0]),
    "__matmul__": (operator.matmul, 28.0),
}


@pytest.mark.parametrize("name", SIGNS)
def test_an_operator_is_an_op_by_its_sign(name: str) -> None:
    act, expected = SIGNS[name]
    x, y = tt.tensor([6.0, 8.0]), tt.tensor([2.0, 2.0])
    assert act(x, y).tolist() == expected, f"x.{name}(y) for {x=} and {y=}"
    if name != "__matmul__":
        assert act(x, 2).tolist() == expected, f"x.{name}(2) for {x=}"


ON_THE_RIGHT: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "__radd__": (operator.add, [11.0, 14.0]),
    "__rsub__": (operator.sub, [9.0, 6.0]),
    "__rmul__": (operator.mul, [10.0, 40.0]),
    "__rtruediv__": (operator.truediv, [10.0, 2.5]),
    "__rpow__": (operator.pow, [10.0, 10000.0]),
}


@pytest.mark.parametrize("name", ON_THE_RIGHT)
def test_a_number_may_stand_on_the_left(name: str) -> None:
    act, expected = ON_THE_RIGHT[name]
    x = tt.tensor([1.0, 4.0])
    assert act(10, x).tolist() == expected, f"x.{name}(10), which is 10 on the left, for {x=}"


class Spy(tt.Tensor):
    """A tensor that remembers which ops ran."""

    __slots__ = ()
    seen: list[str] = []  # noqa: RUF012  # shared on purpose, and emptied by each test

    @classmethod
    def _apply(cls, op: tt.Op, inputs: tuple[Any, ...], params: Any = None) -> Any:
        cls.seen.append(op.name)
        return super()._apply(op, inputs, params or {})


def test_apply_leaves_mixed_operands_to_the_class_that_knows_more() -> None:
    Spy.seen.clear()
    plain, spy = tt.tensor([1.0]), Spy([2.0])
    for made in (plain + spy, spy + plain, 1 + spy, tt.mul(plain, spy)):
        assert type(made) is Spy
    assert Spy.seen == ["add", "add", "add", "mul"]
    assert type(plain + plain) is tt.Tensor


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (((2, 3), (2, 3)), None),
        (((2, 3), (3,)), None),
        (((2, 1), (1, 3)), None),
        (((4, 1, 3), (5, 1), ()), None),
        (((0, 3), (1, 3)), None),
        (((2, 3), (2,)), r"dimension -1 is 2 and 3"),
        (((2, 3), (4, 3)), r"dimension -2 is 2 and 4"),
        (((5, 2, 3), (4, 1, 1)), r"dimension -3 is 4 and 5"),
        (((1, 2), (3, 1), (1, 4)), r"dimension -1 is 2 and 4"),
    ],
    ids=str,
)
def test_shapes_broadcast_or_the_dimension_that_does_not_is_named(
    shapes: tuple[tuple[int, ...], ...], says: str | None
) -> None:
    found = tt._op.explain_broadcast(*[np.zeros(shape) for shape in shapes])
    if says is None:
        assert found is None
    else:
        assert found is not None
        assert says in found
        assert " and ".join(map(str, shapes)) in found


@pytest.mark.parametrize(("dim", "found"), [(0, 0), (2, 2), (-1, 2), (-3, 0), (np.int64(-2), 1)])
def test_dimensions_count_from_either_end(dim: int, found: int) -> None:
    assert tt._dims.wrap_one_dim("name", dim, (4, 5, 6)) == found


@pytest.mark.parametrize("dim", [3, -4])
def test_a_dimension_out_of_range_is_named_with_what_is_in_range(dim: int) -> None:
    with pytest.raises(IndexError, match=rf"^sum: dim {dim} is out of range .* expected -3 to 2$"):
        tt._dims.wrap_one_dim("sum", dim, (4, 5, 6))
    assert tt.tensor(7.0).sum(dim=-1).item() == 7  # as torch's: no dimensions count as one


def test_transpose_swaps_two_dimensions_and_copies_nothing() -> None:
    x = tt.tensor(np.arange(24.0).reshape(2, 3, 4))
    swapped = x.transpose(0, -1)
    assert swapped.shape == (4, 3, 2)
    assert swapped[3, 1, 0] == x[0, 1, 3]
    assert np.shares_memory(swapped.numpy(), x.numpy())
    assert x.transpose(1, 1).shape == (2, 3, 4)


def test_flatten_joins_a_run_of_dimensions() -> None:
    x = tt.tensor(np.arange(24.0).reshape(2, 3, 4))
    assert x.flatten().tolist() == list(range(24))
    assert x.flatten(1).shape == (2, 12)
    assert x.flatten(0, 1).shape == (6, 4)
    assert x.flatten(-2, -1).shape == (2, 12)
    assert x.flatten(1, 1).shape == (2, 3, 4)
    with pytest.raises(ValueError, match="flatten: start_dim 2 comes after end_dim 1"):
        x.flatten(2, 1)


def test_matmul_is_the_sum_over_the_inner_dimension() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    found = tt.from_numpy(a) @ tt.from_numpy(b)
    for i in range(2):
        for j in range(4):
            assert found[i, j].item() == sum(a[i, k] * b[k, j] for k in range(3))
    batch = tt.ones(5, 1, 2, 3) @ tt.ones(7, 3, 4)
    assert batch.shape == (5, 7, 2, 4)
    assert (batch == 3).all()


ROWS = tt.tensor([[1.0, 2.0, 6.0], [3.0, 3.0, 3.0]])


@pytest.mark.parametrize(
    ("name", "whole", "columns", "rows"),
    [
        ("sum", 18.0, [4.0, 5.0, 9.0], [9.0, 9.0]),
        ("mean", 3.0, [2.0, 2.5, 4.5], [3.0, 3.0]),
        ("var", 2.8, [2.0, 0.5, 4.5], [7.0, 0.0]),
    ],
)
def test_reductions(name: str, whole: float, columns: list[float], rows: list[float]) -> None:
    reduce = getattr(ROWS, name)
    np.testing.assert_allclose(reduce().item(), whole, rtol=1e-6)
    np.testing.assert_allclose(reduce(dim=0).numpy(), columns, rtol=1e-6)
    np.testing.assert_allclose(reduce(dim=-1).numpy(), rows, rtol=1e-6)
    assert reduce(dim=1, keepdim=True).shape == (2, 1)
    assert reduce(dim=(0, 1)).shape == ()


def test_variance_divides_by_what_the_correction_leaves() -> None:
    x = tt.tensor([1.0, 2.0, 6.0])
    assert math.isclose(x.var().item(), 7.0, rel_tol=1e-6)
    assert math.isclose(x.var(correction=0).item(), 14 / 3, rel_tol=1e-6)
    assert math.isclose((x + 1e4).var().item(), 7.0, rel_tol=1e-4)  # not mean(x²) - mean(x)²


def test_logsumexp_takes_the_largest_value_out() -> None:
    x = tt.tensor([[0.0, math.log(3.0)], [1000.0, 1000.0], [-1000.0, -1000.0]])
    expected = [math.log(4), 1000 + math.log(2), -1000 + math.log(2)]
    np.testing.assert_allclose(x.logsumexp(dim=1).numpy(), expected, rtol=1e-6)

"""What all else stands on, in numbers that can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tt_autograd as tt

pytestmark = pytest.mark.module_06


def leaf(data: Any) -> tt.Tensor:
    return tt.tensor(data, dtype=tt.float64, requires_grad=True)


def given(x: tt.Tensor) -> Any:
    """Return the values of a leaf's gradient."""
    assert x.grad is not None
    return x.grad.tolist()


def test_an_op_gives_the_value_that_it_gives_on_plain_tensors() -> None:
    x, y = tt.tensor([1.0, 2.0]), tt.tensor([10.0, 20.0])
    for found, expected in [(x + y, [11.0, 22.0]), (x * 3, [3.0, 6.0]), (10 - x, [9.0, 8.0])]:
        assert type(found) is tt.Tensor
        assert found.tolist() == expected
        assert not found.requires_grad


def test_what_is_made_of_a_leaf_remembers_how() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    assert y.tolist() == [1.0, 4.0]
    assert y.requires_grad
    assert not y.is_leaf
    assert repr(y.grad_fn) == "<mul>"
    assert not (x > 1).requires_grad  # bools have no derivative
    with tt.no_grad():
        assert not (x * x).requires_grad


def test_the_slope_of_a_square_and_a_line() -> None:
    x = leaf(3.0)
    (x * x + x).backward()
    assert given(x) == 7.0  # 2 x + 1


def test_a_value_that_is_used_twice_gets_the_sum_of_both_gradients() -> None:
    x = leaf(2.0)
    y = x * 3
    (y + y * 10).backward()
    assert given(x) == 33.0


def test_a_second_backward_adds_to_the_gradient() -> None:
    x = leaf(3.0)
    for expected in (6.0, 12.0):
        (x * x).backward()
        assert given(x) == expected


def test_backward_starts_from_the_gradient_given() -> None:
    x = leaf([1.0, 2.0])
    (x * x).backward(tt.tensor([10.0, 100.0]))
    assert given(x) == [20.0, 400.0]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 3), [[1.0] * 3] * 5),
        ((3,), [5.0] * 3),
        ((1, 3), [[5.0] * 3]),
        ((5, 1), [[3.0]] * 5),
        ((1, 1, 1), [[[15.0]]]),
        ((), 15.0),
    ],
    ids=str,
)
def test_a_value_that_was_stretched_gets_the_sum(shape: tuple[int, ...], expected: Any) -> None:
    x = tt.zeros(shape, requires_grad=True)
    y = tt.ones(5, 3) + x
    y.backward(tt.ones(y.shape))
    assert given(x) == expected


SUMS: dict[str, tuple[Callable[[tt.Tensor], tt.Tensor], list[float], list[list[float]]]] = {
    "of columns": (lambda x: x.sum(dim=0), [1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]] * 2),
    "of rows": (lambda x: x.sum(dim=1), [1.0, 2.0], [[1.0] * 3, [2.0] * 3]),
    "of the last": (
        lambda x: x.sum(dim=-1, keepdim=True).flatten(),
        [1.0, 2.0],
        [[1.0] * 3, [2.0] * 3],
    ),
    "means of rows": (lambda x: x.mean(dim=1), [3.0, 6.0], [[1.0] * 3, [2.0] * 3]),
}


@pytest.mark.parametrize("name", SUMS)
def test_the_gradient_of_a_sum_is_spread_over_what_was_summed(name: str) -> None:
    reduce, g, expected = SUMS[name]
    x = leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    reduce(x).backward(tt.tensor(g))
    assert given(x) == expected


def test_the_gradients_of_a_product_of_matrices() -> None:
    a, b = leaf([[1.0, 2.0]]), leaf([[3.0, 4.0], [5.0, 6.0]])  # (1, 2), (2, 2)
    (a @ b).backward(tt.tensor([[1.0, 10.0]]))
    assert given(a) == [[1 * 3 + 10 * 4.0, 1 * 5 + 10 * 6.0]]  # G Bᵀ
    assert given(b) == [[1.0, 10.0], [2.0, 20.0]]  # Aᵀ G


def test_the_gradients_of_products_of_vectors() -> None:
    a, b, v = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([5.0, 6.0]), leaf([7.0, 8.0])
    (a @ b).backward(tt.tensor([1.0, 10.0]))
    assert given(a) == [[5.0, 6.0], [50.0, 60.0]]
    assert given(b) == [1 * 1 + 10 * 3.0, 1 * 2 + 10 * 4.0]
    (v @ tt.tensor([1.0, 2.0], dtype=tt.float64)).backward()
    assert given(v) == [1.0, 2.0]


def test_the_gradients_of_a_batch_of_products() -> None:
    a, b = tt.ones(5, 2, 3, requires_grad=True), tt.ones(3, 4, requires_grad=True)
    (a @ b).backward(tt.ones(5, 2, 4))
    assert given(a) == [[[4.0] * 3] * 2] * 5
    assert given(b) == [[10.0] * 4] * 3  # of 5 matrices with 2 rows each


def test_the_gradient_of_softmax() -> None:
    x = leaf([[0.0, 0.0], [0.0, 0.0]])
    x.softmax(dim=1).backward(tt.tensor([[1.0, 0.0], [8.0, 8.0]]))
    assert given(x) == [[0.25, -0.25], [0.0, 0.0]]  # y (g - sum(g y)), with y = 1/2


def test_grad_returns_gradients_and_leaves_those_of_tensors_alone() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    by_x, by_y = tt.grad(x * y, [x, y], tt.ones(2))
    assert (by_x.tolist(), by_y.tolist()) == ([3.0, 4.0], [1.0, 2.0])
    assert x.grad is y.grad is None


def test_a_gradient_can_be_differentiated() -> None:
    x = leaf([1.0, 2.0])
    (slope,) = tt.grad(x * x * x, x, tt.ones(2), create_graph=True)
    assert slope.tolist() == [3.0, 12.0]
    assert tt.grad(slope, x, tt.ones(2))[0].tolist() == [6.0, 12.0]


def test_a_jacobian_has_a_row_for_each_element_of_the_result() -> None:
    matrix = tt.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = tt.jacobian(lambda x: matrix @ x, tt.tensor([7.0, 8.0]))
    assert isinstance(found, tt.Tensor)
    assert found.tolist() == matrix.tolist()


def test_gradcheck_tells_a_right_gradient_from_a_wrong_one() -> None:
    x = leaf([1.0, 2.0])
    assert tt.gradcheck(lambda x: x * x, x)
    with pytest.raises(tt.GradcheckError):
        tt.gradcheck(lambda x: x * x.detach(), x)  # half of the slope is kept from it

"""Hooks on gradients: when they run, what they see, and what their results do."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import tt_autograd as tt
from tt_autograd.seam import prompt

pytestmark = pytest.mark.module_06


def leaf(data: Any) -> tt.Tensor:
    return tt.tensor(data, dtype=tt.float64, requires_grad=True)


def gradient(x: tt.Tensor) -> Any:
    assert x.grad is not None
    return x.grad.tolist()


def test_hooks_run_in_order_and_each_sees_what_the_one_before_left() -> None:
    x = leaf(3.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: g * 2.0)
    x.register_hook(lambda g: seen.append(g.item()))
    x.register_hook(lambda g: g + 1.0)
    (x * x).backward()
    assert seen == [6.0, 12.0]
    assert gradient(x) == 13.0


def test_a_hook_on_a_result_changes_what_flows_on() -> None:
    x = leaf([1.0, 2.0])
    y = x * 3.0
    y.retain_grad()
    y.register_hook(lambda g: g.clip(0.0, 0.5))
    (y * 10.0).sum().backward()
    assert gradient(y) == [0.5, 0.5]
    assert gradient(x) == [1.5, 1.5]


def test_a_removed_hook_is_gone_and_can_be_removed_twice_or_from_within() -> None:
    x = leaf(1.0)
    first = x.register_hook(lambda g: g * 10.0)
    second: list[Any] = []
    second.append(x.register_hook(lambda g: second[0].remove()))
    first.remove()
    first.remove()
    for _ in range(2):
        (x * 2.0).backward()
    assert gradient(x) == 4.0


def test_a_hook_may_change_its_gradient_in_place_and_changes_no_other() -> None:
    a, b, c = leaf([1.0]), leaf([1.0]), leaf([1.0])
    seed = tt.ones(1, dtype=tt.float64)
    a.register_hook(lambda g: g.mul_(2.0))

    def change(g: tt.Tensor) -> None:
        g.mul_(5.0)

    b.register_hook(change)
    (a + b + c).backward(seed)
    assert (gradient(a), gradient(b), gradient(c)) == ([2.0], [5.0], [1.0])
    assert seed.tolist() == [1.0]


def test_a_gradient_that_a_hook_keeps_never_changes_afterwards() -> None:
    x = leaf([1.0])
    kept: list[tt.Tensor] = []
    x.register_hook(kept.append)
    for _ in range(3):
        (x * 2.0).sum().backward()
    assert [g.tolist() for g in kept] == [[2.0]] * 3
    assert gradient(x) == [6.0]


def test_a_hook_sees_the_sum_of_all_contributions() -> None:
    x = leaf([1.0, 2.0])
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    (x + x * x + x[0]).sum().backward()
    assert seen == [[5.0, 5.0]]


def test_hooks_run_with_create_graph_and_are_differentiated() -> None:
    x = leaf(2.0)
    x.register_hook(lambda g: g * g)
    (g,) = tt.grad(x * x * x, x, create_graph=True)  # 3x^2, squared: 9x^4
    assert g.item() == 144.0
    (second,) = tt.grad(g, x)  # 36x^3 = 288, and the hook squares again
    assert second.item() == 288.0**2


def test_what_a_hook_returns_is_checked() -> None:
    for wrong, kind, says in [
        (lambda g: 2.0, TypeError, "hook: expected a tensor or None, got float"),
        (lambda g: g[:1], ValueError, r"hook: expected a gradient of shape \(2,\), got \(1,\)"),
    ]:
        x = leaf([1.0, 2.0])
        x.register_hook(wrong)
        with pytest.raises(kind, match=says):
            (x * 2.0).sum().backward()
        assert x.grad is None


def test_what_a_hook_returns_takes_the_dtype_of_the_tensor() -> None:
    x = tt.ones(2, requires_grad=True)
    x.register_hook(lambda g: g.double())
    (x * 2).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == tt.float32


def test_only_tensors_that_require_grad_take_hooks() -> None:
    constant, result = tt.ones(1), leaf([1.0]) * 2.0
    with pytest.raises(RuntimeError, match="register_hook"):
        constant.register_hook(lambda g: None)
    with pytest.raises(TypeError, match="hook: expected a function, got int"):
        result.register_hook(3)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(RuntimeError, match="retain_grad"):
        constant.retain_grad()
    with pytest.raises(RuntimeError, match="expected a leaf"):
        result.register_post_accumulate_grad_hook(lambda t: None)


def test_retain_grad_on_leaves_and_results() -> None:
    x = leaf([1.0])
    x.retain_grad()
    y = x * 2.0
    assert y.grad is None
    y.retain_grad()
    (y * y).sum().backward()
    assert gradient(y) == [4.0]
    assert gradient(x) == [8.0]


def test_post_accumulate_hooks_see_the_leaf_with_its_gradient() -> None:
    x, w = leaf([1.0]), leaf([2.0])
    seen = []

    def step(p: tt.Tensor) -> None:
        assert p is x
        seen.append(gradient(p))
        with tt.no_grad():
            assert p.grad is not None
            p -= p.grad
        p.grad = None

    handle = x.register_post_accumulate_grad_hook(step)
    (x * w + x).sum().backward()
    assert seen == [[3.0]]
    assert x.tolist() == [-2.0]
    assert x.grad is None
    handle.remove()
    (x * w).sum().backward(inputs=[x])
    assert len(seen) == 1
    x.register_post_accumulate_grad_hook(lambda p: seen.append(gradient(p)))
    (x * w).sum().backward(inputs=[x])
    assert seen[1:] == [[4.0]]
    tt.grad((x * w).sum(), x)
    assert len(seen) == 2


def test_grad_does_not_touch_gradients_but_runs_hooks() -> None:
    x = leaf(1.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    tt.grad(x * 5.0, x)
    assert x.grad is None
    assert seen == [5.0]


def test_hooks_of_leaves_can_run_as_soon_as_their_gradient_is_whole() -> None:
    first, second, third = leaf([1.0]), leaf([2.0]), leaf([3.0])
    order: list[str] = []
    seen: list[list[float]] = []

    def note(name: str, x: tt.Tensor) -> None:
        order.append(name)
        seen.append(gradient(x))

    for name, x in (("first", first), ("second", second), ("third", third)):
        x.register_post_accumulate_grad_hook(partial(note, name))
    hidden = first * second + first  # of the first, two uses
    hidden.register_hook(lambda g: order.append("backward goes on"))
    token = prompt.set(True)
    try:
        (hidden * third * second).sum().backward()  # of the second, an early one and a late one
    finally:
        prompt.reset(token)
    assert order == ["third", "backward goes on", "second", "first"]
    assert seen == [[6.0], [15.0], [18.0]]
    assert [gradient(x) for x in (first, second, third)] == [[18.0], [15.0], [6.0]]


def test_hooks_of_leaves_wait_for_the_end_where_a_checkpoint_hides_their_use() -> None:
    x = leaf([1.0, 2.0])
    seen: list[Any] = []
    x.register_post_accumulate_grad_hook(lambda x: seen.append(gradient(x)))
    token = prompt.set(True)
    try:
        (tt.checkpoint(lambda y: y * x, x * 2.0).sum() + (x * 3.0).sum()).backward()
    finally:
        prompt.reset(token)
    assert seen == [[7.0, 11.0]]

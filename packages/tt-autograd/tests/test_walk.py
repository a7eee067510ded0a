"""The walk back: chains, diamonds, memory, second walks, and what is refused."""

from __future__ import annotations

import gc
import operator
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_tensor

pytestmark = pytest.mark.module_06


def leaf(data: Any, dtype: Any = tt.float64) -> tt.Tensor:
    return tt.tensor(data, dtype=dtype, requires_grad=True)


def given(x: tt.Tensor) -> Any:
    """Return the values of a leaf's gradient."""
    assert x.grad is not None
    return x.grad.tolist()


@pytest.fixture
def counting_only() -> Iterator[None]:
    """Switch the cycle collector off: what is freed is freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


# Depth and width

CHAINS: dict[str, Callable[[tt.Tensor, tt.Tensor], tt.Tensor]] = {
    "adds": lambda y, x: y + 0.0,
    "residual additions": lambda y, x: y + x * 0.0,
    "products": lambda y, x: y * 1.0,
    "sines": lambda y, x: y.sin(),
    "changes in place": lambda y, x: y.add_(x * 0.0),
    "views": lambda y, x: y.reshape(1),
}


@pytest.mark.parametrize("step", CHAINS.values(), ids=CHAINS.keys())
@pytest.mark.parametrize("end", ["backward", "create_graph", "dropped"])
def test_a_chain_of_a_hundred_thousand_ops(
    step: Callable[[tt.Tensor, tt.Tensor], tt.Tensor], end: str, counting_only: None
) -> None:
    x = leaf([0.5])
    y = x * 1.0
    length = 100_000 if end == "backward" else 20_000
    for _ in range(length):
        y = step(y, x)
    first = weakref.ref(y.grad_fn)
    if end == "backward":
        y.backward()
        assert x.grad is not None
    elif end == "create_graph":
        (g,) = tt.grad(y, x, create_graph=True)
        del g
    del y
    assert first() is None


def test_a_chain_of_checkpoints_is_freed_without_recursion(counting_only: None) -> None:
    x = leaf([0.5])
    y = x * 1.0
    for _ in range(20_000):
        y = tt.checkpoint(lambda y: y + 1.0, y)
    first = weakref.ref(y.grad_fn)
    del y
    assert first() is None


def test_a_diamond_of_20_residual_additions_costs_20_visits() -> None:
    x = leaf([1.0, 2.0])
    y = x
    for _ in range(20):
        y = y + y
    visits: list[str] = []

    def watch(event: tt.OpEvent) -> None:
        if event.phase == "backward":
            visits.append(event.op.name)

    with tt.observe(watch):
        y.backward(tt.ones(2, dtype=tt.float64))
    assert visits == ["add"] * 20
    assert given(x) == [2.0**20] * 2


def test_hooks_of_a_diamond_run_once_each_with_the_whole_gradient() -> None:
    x = leaf(1.0)
    seen: list[float] = []
    y = x
    for _ in range(20):
        y = y + y
        y.register_hook(lambda g: seen.append(g.item()))
    y.backward()
    assert seen == [2.0**k for k in range(20)]


def test_nodes_are_visited_after_all_that_was_made_from_them() -> None:
    # A short and a long way to the same node, in both orders of making.
    for order in (0, 1):
        x = leaf(3.0)
        a = x * 2.0
        if order:
            short = a * 5.0
        long = a
        for _ in range(7):
            long = long * 1.5 + a
        if not order:
            short = a * 5.0
        (short * long).backward()
        check = leaf(3.0)
        assert tt.gradcheck(lambda x: _two_ways(x), check)
        (slope,) = tt.grad(_two_ways(check), check)
        assert given(x) == pytest.approx(slope.item())


def _two_ways(x: tt.Tensor) -> tt.Tensor:
    a = x * 2.0
    long = a
    for _ in range(7):
        long = long * 1.5 + a
    return a * 5.0 * long


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_agree_with_forward_differentiation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = leaf(rng.standard_normal(3))
    v = rng.standard_normal(3)
    values, slopes = [x], [v]  # each value, and its derivative along v
    for _ in range(25):
        i, j = rng.integers(0, len(values), 2)
        a, b, da, db = values[i], values[j], slopes[i], slopes[j]
        kind = rng.integers(0, 5)
        if kind == 0:
            values.append(a + b)
            slopes.append(da + db)
        elif kind == 1:
            values.append(a - b)
            slopes.append(da - db)
        elif kind == 2:
            out, wa, wb = a * b, b.detach().numpy(), a.detach().numpy()
            values.append(out.tanh())
            slopes.append((da * wa + db * wb) * (1 - np.tanh(out.detach().numpy()) ** 2))
        elif kind == 3:
            values.append(a.sin())
            slopes.append(da * np.cos(a.detach().numpy()))
        else:
            values.append(a.flip(0))
            slopes.append(da[::-1])
    w = rng.standard_normal(3)
    (g,) = tt.grad(values[-1], x, tt.tensor(w), allow_unused=True)
    np.testing.assert_allclose((g.numpy() * v).sum(), (w * slopes[-1]).sum(), rtol=1e-9, atol=1e-12)


# Nothing stays alive


def intermediates(x: tt.Tensor) -> tuple[tt.Tensor, list[weakref.ref[Any]]]:
    """Return a result and weak references to every tensor, array and node on the way."""
    refs: list[weakref.ref[Any]] = []
    y = x
    steps: list[Callable[[tt.Tensor], tt.Tensor]] = [
        tt.exp,
        tt.sin,
        lambda t: t * x,
        lambda t: t @ t,
        tt.tanh,
        lambda t: t[1:] * 2.0,
    ]
    for step in steps:
        y = step(y)
        with tt.no_grad():
            array = y.detach().numpy()
        refs += [weakref.ref(y), weakref.ref(array), weakref.ref(y.grad_fn)]
        del array
    return y.sum(), refs


@pytest.mark.parametrize("way", ["plain", "create_graph", "retain_graph", "grad", "dropped"])
def test_no_intermediate_survives(way: str, counting_only: None) -> None:
    x = leaf(np.linspace(0, 1, 9).reshape(3, 3))
    loss, refs = intermediates(x)
    assert any(ref() is not None for ref in refs)
    if way == "plain":
        loss.backward()
    elif way == "create_graph":
        (g,) = tt.grad(loss, x, create_graph=True)
        g.sum().backward()
        del g
    elif way == "retain_graph":
        loss.backward(retain_graph=True)
        loss.backward()
    elif way == "grad":
        tt.grad(loss, x)
    if way in ("create_graph", "dropped"):
        del loss
    assert [ref() for ref in refs] == [None] * len(refs)


def test_what_backward_passed_is_free_while_the_loss_is_held(counting_only: None) -> None:
    x = leaf(np.ones((3, 3)))
    loss, refs = intermediates(x)
    alive = []
    values = [ref for ref in refs if not isinstance(ref(), tt.Node)]
    x.register_hook(lambda g: alive.append(sum(ref() is not None for ref in values)))
    loss.backward()
    assert alive == [0]


def test_no_intermediate_survives_an_error_in_a_hook(counting_only: None) -> None:
    x = leaf(np.ones((3, 3)))
    loss, refs = intermediates(x)

    def stop(g: tt.Tensor) -> None:
        raise KeyError("stop")

    x.register_hook(stop)
    with pytest.raises(KeyError):
        loss.backward()
    assert x.grad is None
    del loss
    assert [ref() for ref in refs] == [None] * len(refs)


def test_no_intermediate_survives_with_hooks_and_kept_gradients(counting_only: None) -> None:
    x = leaf(np.ones((3, 3)))
    y = x * 2.0
    y.retain_grad()
    handle = y.register_hook(lambda g: g * 1.0)
    refs: list[weakref.ref[Any]] = [weakref.ref(y), weakref.ref(y.grad_fn)]
    y.sum().backward()
    handle.remove()
    del y
    assert [ref() for ref in refs] == [None, None]


def test_a_buffer_is_freed_as_soon_as_it_has_been_read() -> None:
    """The peak of backward stays near what forward kept, for each node frees as it goes."""
    import tracemalloc

    x = leaf(np.ones(100_000))
    y = x
    for _ in range(20):
        y = y.sin()
    loss = y.sum()
    del y
    tracemalloc.start()
    loss.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * x.nbytes


# Walking twice


def test_a_second_walk_is_refused_unless_the_graph_was_retained() -> None:
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert given(x) == 8.0
    with pytest.raises(RuntimeError, match=r"already passed mul .*retain_graph=True"):
        y.backward()
    assert given(x) == 8.0


def test_a_second_walk_through_a_shared_part_is_refused() -> None:
    x = leaf(2.0)
    shared = x * x
    (shared * 2.0).backward()
    with pytest.raises(RuntimeError, match="already passed mul"):
        (shared * 3.0).backward()


def test_gradients_add_up_over_walks_in_the_same_array_and_can_be_reset() -> None:
    x = leaf([1.0, 2.0])
    (x * 3.0).sum().backward()
    kept = x.grad
    (x * 4.0).sum().backward()
    assert x.grad is kept
    assert given(x) == [7.0, 7.0]
    x.grad = None
    (x * 4.0).sum().backward()
    assert given(x) == [4.0, 4.0]


def test_a_gradient_never_shares_memory_with_a_seed_or_another_gradient() -> None:
    a, b, v = leaf([1.0, 2.0]), leaf([1.0, 2.0]), tt.tensor([1.0, 1.0], dtype=tt.float64)
    (a + b).backward(v)
    assert a.grad is not None
    a.grad.mul_(100.0)
    assert given(b) == [1.0, 1.0]
    assert v.tolist() == [1.0, 1.0]
    (g,) = tt.grad(a + b, a, v)
    g.zero_()
    assert v.tolist() == [1.0, 1.0]


def test_backward_of_a_leaf_is_its_seed() -> None:
    x = leaf([1.0, 2.0])
    x.backward(tt.tensor([3.0, 4.0]))
    assert given(x) == [3.0, 4.0]


def test_backward_with_inputs_leaves_other_leaves_alone() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (x * w).backward(inputs=x, retain_graph=True)
    (x * w).backward(inputs=[x])
    assert given(x) == 6.0
    assert w.grad is None


def test_one_call_gives_one_gradient_to_a_leaf_used_in_many_places() -> None:
    x = leaf([1.0, 2.0, 3.0])
    calls: list[list[float]] = []
    x.register_hook(lambda g: calls.append(g.tolist()))
    ((x * x).sum() + x.sum() + x[0] + (2.0 * x)[1]).backward()
    assert calls == [[4.0, 7.0, 7.0]] == [given(x)]


# Broadcasting is undone in one place

SHAPES = [((), (3,)), ((1,), (3,)), ((2, 1), (3,)), ((1, 1, 1), (2, 3)), ((0,), (1,)), ((2, 0), ())]


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("op", [tt.add, tt.sub, tt.mul, tt.div, tt.maximum])
def test_a_stretched_input_gets_the_sum(op: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, y = leaf(rng.uniform(1, 2, a)), leaf(rng.uniform(3, 4, b))
    assert tt.gradcheck(op, [x, y])
    op(x, y).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.shape, y.grad.shape) == (a, b)


# What is refused


def test_backward_of_a_constant_is_refused() -> None:
    with pytest.raises(RuntimeError, match="does not require grad"):
        tt.ones(()).backward()


def test_more_than_one_element_needs_a_gradient_of_its_shape() -> None:
    y = leaf([1.0, 2.0]) * 2.0
    with pytest.raises(ValueError, match=r"expected a gradient for a tensor of shape \(2,\)"):
        y.backward()
    with pytest.raises(ValueError, match=r"expected a gradient of shape \(2,\), got shape \(3,\)"):
        y.backward(tt.ones(3))
    for wrong in ("up", np.ones(2) * 1j):
        with pytest.raises(TypeError, match=r"^backward: expected the gradient to be a tensor"):
            y.backward(wrong)  # type: ignore[arg-type]  # what is tested
    with pytest.raises(TypeError, match=r"^backward: expected inputs to be tensors, got int"):
        y.backward(tt.ones(2), inputs=[3])  # type: ignore[list-item]  # what is tested
    y.backward(np.ones(2))


def test_a_seed_takes_the_dtype_of_the_output() -> None:
    x = leaf([1.0, 2.0], tt.float32)
    (x * 2).backward(tt.ones(2, dtype=tt.float64))
    assert x.grad is not None
    assert x.grad.dtype == tt.float32


def test_integers_have_no_gradient() -> None:
    with pytest.raises(TypeError, match="floating-point dtype have gradients, got int64"):
        tt.tensor([1], requires_grad=True)
    with pytest.raises(TypeError, match="got bool"):
        tt.tensor([True]).requires_grad_()
    assert not leaf([1.5]).long().requires_grad
    assert not (leaf([1.5]) > 0).requires_grad


def test_a_derivative_of_the_wrong_shape_is_named() -> None:
    op = tt.Op("wrong", lambda input: input * 2)
    tt.defvjp(op, input=lambda g: np.ones((5, 5)))
    with pytest.raises(
        RuntimeError, match=r"derivative of wrong gave a gradient of shape \(5, 5\)"
    ):
        op(leaf([1.0, 2.0])).sum().backward()


def test_an_op_without_a_rule_says_what_to_do() -> None:
    op = tt.Op("novel", lambda input: input * 2)
    assert op(tt.ones(2)).tolist() == [2.0, 2.0]
    with tt.no_grad():
        assert op(leaf([1.0])).tolist() == [2.0]
    with pytest.raises(RuntimeError, match=r"novel: no derivative is declared.*defvjp.*defnograd"):
        op(leaf([1.0]))


# Mixing with plain tensors


@pytest.mark.parametrize("op", [lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a / b])
def test_a_plain_tensor_and_a_differentiable_one_make_a_differentiable_one(op: Any) -> None:
    plain = tt_tensor.tensor([2.0, 4.0], dtype=tt.float64)
    x = leaf([1.0, 2.0])
    for a, b in [(plain, x), (x, plain), (plain.numpy(), x), (x, plain.numpy())]:
        out = op(a, b)
        assert type(out) is tt.Tensor
        assert out.requires_grad
        out.sum().backward()
    assert plain.tolist() == [2.0, 4.0]
    assert type(tt_tensor.concat([plain, x])) is tt.Tensor
    assert tt_tensor.stack([plain, x]).requires_grad  # type: ignore[attr-defined]  # a subclass's


@pytest.mark.parametrize(
    "change",
    [
        lambda plain, x: plain.__iadd__(x),
        lambda plain, x: plain.mul_(x),
        lambda plain, x: operator.setitem(plain, 0, x[0]),
    ],
)
def test_a_plain_tensor_refuses_to_lose_the_history_of_what_is_written_into_it(change: Any) -> None:
    plain, x = tt_tensor.ones(2), tt.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="keeps no history"):
        change(plain, x)
    assert plain.tolist() == [1, 1]
    change(plain, x.detach() + 1)
    assert plain.tolist()[0] == pytest.approx(2, abs=1)


# Threads


def train(seed: int) -> list[float]:
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 1))
    w = leaf(rng.standard_normal((3, 1)))
    losses = []
    for _ in range(60):
        loss = ((tt.tensor(x) @ w - tt.tensor(y)) ** 2).mean()
        loss.backward()
        with tt.no_grad():
            assert w.grad is not None
            w -= 0.1 * w.grad
            w.grad.zero_()
        losses.append(loss.item())
    return losses


def test_threads_that_train_at_once_give_what_each_gives_alone() -> None:
    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(train, range(4))) == alone

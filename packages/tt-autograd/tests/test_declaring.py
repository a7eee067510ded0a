"""Derivatives of ops that others bring: every way to declare one."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
from tt_autograd import ops

pytestmark = pytest.mark.module_06


def leaf(data: Any) -> tt.Tensor:
    return tt.tensor(data, dtype=tt.float64, requires_grad=True)


def check(function: Any, *arrays: Any) -> None:
    leaves = [leaf(array) for array in arrays]
    assert tt.gradcheck(function, leaves)
    assert tt.gradgradcheck(function, leaves)


RNG = np.random.default_rng(0)
X, W, B = RNG.standard_normal((2, 3)), RNG.standard_normal((4, 3)), RNG.standard_normal(4)

# One product for each input; what they name is saved

WEIGHTED = tt.Op("weighted", lambda a, b, power: a**power * b, ("a", "b"))
tt.defvjp(
    WEIGHTED,
    a=lambda g, a, b, power: g * power * a ** (power - 1) * b,
    b=lambda g, out, b: g * out / b,
)


def test_products_by_name_with_a_parameter_and_the_output() -> None:
    check(lambda a, b: WEIGHTED(a, b, power=3), X + 5, X + 7)
    check(lambda a, b: WEIGHTED(a, b, power=2), X[:1] + 5, X + 7)


def test_only_what_a_product_names_is_kept() -> None:
    op = tt.Op("kept", lambda a, b: a * b, ("a", "b"))
    tt.defvjp(op, a=lambda g, b: g * b, b=lambda g, a: g * a)
    a, b = leaf([2.0]) * 1.0, tt.tensor([3.0])
    out = op(a, b)
    a.add_(1.0)  # only b is needed, for b is a constant
    out.backward()


def test_operators_go_by_what_was_declared_last(monkeypatch: pytest.MonkeyPatch) -> None:
    for op in (ops.ADD, ops.SUB, ops.MUL, ops.DIV):
        monkeypatch.setitem(tt.RULES, op, tt.RULES[op])  # put back afterwards
        tt.defvjp(op, input=lambda g: g * 7, other=lambda g: g * 11)
    for sign in (operator.add, operator.sub, operator.mul, operator.truediv):
        a, b = leaf([2.0]), leaf([3.0])
        sign(a, b).sum().backward()
        assert (a.grad.tolist(), b.grad.tolist()) == ([7.0], [11.0]), sign  # type: ignore[union-attr]  # set


# One product for any number of inputs

TOTAL = tt.Op("total", lambda *parts, scale: scale * sum(p * p for p in parts), ("*parts",))
tt.defvjp(TOTAL, each=lambda g, i, parts, scale: g * (2 * scale * parts[i]))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_product_for_any_number_of_inputs(count: int) -> None:
    check(lambda *xs: TOTAL(*xs, scale=0.5), *[X + i for i in range(count)])


CAT = tt.Op("cat", lambda *parts: np.concatenate(parts), ("*parts",))
tt.defvjp(
    CAT,
    each=lambda g, i, shapes, shape: ops.GETITEM(
        g,
        index=slice(sum(s[0] for s in shapes[:i]), sum(s[0] for s in shapes[:i]) + shape[0]),
    ),
)


def test_shapes_of_the_inputs() -> None:
    check(CAT, X, X[:1], W[:0])


# One product for all inputs, and a composite for derivatives of derivatives


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    out = input @ weight.T
    return out if bias is None else out + bias


def linear_back(g: Any, input: Any, weight: Any, needs: Any) -> Any:
    assert isinstance(g, np.ndarray)  # arrays only: the composite takes the second derivative
    return (
        g @ weight if needs[0] else None,
        g.T @ input if needs[1] else None,
        g.sum(0) if needs[2] else None,
    )


LINEAR = tt.Op("linear", linear, ("input", "weight", "bias"))
tt.defvjp(LINEAR, joint=linear_back, composite=linear)


def test_a_joint_product_with_a_composite() -> None:
    check(LINEAR, X, W, B)
    check(lambda x, b: LINEAR(x, tt.tensor(W), b), X, B)
    check(lambda x, w: LINEAR(x, w, None), X, W)
    check(lambda w: LINEAR(tt.tensor(X), w, None).tanh(), W)


def test_a_composite_is_differentiated_to_third_order() -> None:
    cube = tt.Op("cube", lambda x: x * x * x, ("x",))
    tt.defvjp(cube, x=lambda g, x: np.multiply(g, 3 * np.square(x)), composite=lambda x: x * x * x)
    x = leaf(2.0)
    (first,) = tt.grad(cube(x), x, create_graph=True)
    (second,) = tt.grad(first, x, create_graph=True)
    (third,) = tt.grad(second, x)
    assert (first.item(), second.item(), third.item()) == (12.0, 12.0, 6.0)


def test_a_composite_that_ignores_an_input_gives_zeros() -> None:
    first = tt.Op("first", lambda a, b: a * 1.0, ("a", "b"))
    tt.defvjp(
        first, joint=lambda g, b, needs: (g * 1.0, np.zeros_like(b)), composite=lambda a, b: a * 1.0
    )
    check(first, X, X)
    check(lambda b: first(tt.tensor(X), b), X)


def test_a_composite_with_parameters_reads_no_other_input() -> None:
    scaled = tt.Op("scaled", lambda x, factor: x * x * factor, ("x",))
    tt.defvjp(
        scaled,
        x=lambda g, x, factor: np.asarray(g) * 2 * factor * np.asarray(x),
        composite=lambda x, factor: x * x * factor,
    )
    check(lambda x: scaled(x, factor=3.0), X)


def test_a_joint_product_may_give_one_array_to_several_inputs() -> None:
    both = tt.Op("both", lambda a, b: 2 * (a + b), ("a", "b"))

    def back(g: Any) -> Any:
        piece = 2 * g
        return piece, piece

    tt.defvjp(both, joint=back)
    a, b = leaf([1.0]), leaf([1.0])
    c, d = a * 1.0, b * 1.0
    first = both(c, d)
    later = c * 3.0 + d * 5.0
    (first + later).sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    assert (a.grad.item(), b.grad.item()) == (5.0, 7.0)
    c, d = a * 1.0, b * 1.0
    later = c * 3.0 + d * 5.0
    (ga, gb) = tt.grad((later + both(c, d) * 1.0).sum(), [a, b])
    assert (ga.item(), gb.item()) == (5.0, 7.0)


def test_a_joint_product_that_returns_something_else_is_named() -> None:
    op = tt.Op("pairs", lambda a, b: a + b, ("a", "b"))
    for wrong, got in [(lambda g: (g,), "got 1"), (lambda g: g, "got ndarray")]:
        tt.defvjp(op, joint=wrong)
        with pytest.raises(RuntimeError, match=f"pairs: .* tuple of 2 gradients, {got}"):
            op(leaf([1.0]), leaf([1.0])).backward()


# What a kernel keeps beside its result

ROOT = tt.Op(
    "root",
    np.sqrt,
    ("x",),
    recorded=lambda x: (np.sqrt(x), 0.5 / np.sqrt(x)),
)
tt.defvjp(ROOT, x=lambda g, aux: g * aux, composite=lambda x: x.sqrt())


def test_a_recorded_kernel_keeps_a_value_for_the_derivative() -> None:
    check(ROOT, np.abs(X) + 1)
    assert ROOT(tt.tensor([4.0])).item() == 2.0
    seen: list[str] = []
    with tt.observe(lambda event: seen.append(f"{event.phase} {event.op.name}")):
        ROOT(leaf([4.0])).backward()
    assert seen == ["forward root", "backward root"]


# Ops without a derivative, or without one in some input


def test_an_op_declared_flat_gives_constants() -> None:
    flat = tt.Op("flat", lambda x: np.floor(x) * 1.0, ("x",))
    tt.defnograd(flat)
    assert not flat(leaf(X)).requires_grad
    tt.NON_DIFFERENTIABLE.discard(flat)


def test_an_input_without_a_product_is_refused_only_if_it_needs_one() -> None:
    op = tt.Op("one_sided", lambda a, b: a * b, ("a", "b"))
    tt.defvjp(op, a=lambda g, b: g * b)
    op(leaf([1.0]), tt.tensor([2.0])).backward()
    with pytest.raises(RuntimeError, match=r"one_sided: not differentiable in 'b'; detach\(\)"):
        op(leaf([1.0]), leaf([2.0]))


def test_declarations_are_checked() -> None:
    op = tt.Op("declared", lambda a: a, ("a",))
    with pytest.raises(TypeError, match="declared has no input 'c'"):
        tt.defvjp(op, c=lambda g: g)
    with pytest.raises(TypeError, match="takes g first"):
        tt.defvjp(op, a=lambda a, g: g)
    assert op not in tt.RULES


def test_an_op_runs_on_arrays_and_plain_tensors_as_well() -> None:
    import tt_tensor

    assert type(LINEAR(X, W, B)) is np.ndarray
    assert type(LINEAR(tt_tensor.tensor(X), tt_tensor.tensor(W), None)) is tt_tensor.Tensor

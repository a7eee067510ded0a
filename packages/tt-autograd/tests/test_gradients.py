"""Gradients of every op in the table: against differences, against HIPS autograd, by dtype."""

from __future__ import annotations

import itertools
from typing import Any

import autograd
import autograd.numpy
import numpy as np
import pytest

import tt_autograd as tt
from op_calls import DIFFERENTIABLE, OpCall
from op_table import CASES, KINKS, Kink, OpCase, convert
from tt_tensor import ops

pytestmark = pytest.mark.module_06

each_call = pytest.mark.parametrize("call", DIFFERENTIABLE, ids=str)
exact = [call for call in DIFFERENTIABLE if call.case.name != "cast"]  # its results are coarse


def leaf(array: Any) -> tt.Tensor:
    """Return a leaf in the array's own memory layout."""
    return tt.from_numpy(array.copy(order="K")).requires_grad_()


def floats(call: OpCall, *values: tt.Tensor) -> tuple[tt.Tensor, ...]:
    outs = call.run(values, tt.from_numpy)
    return tuple(out for out in outs if out.is_floating_point())


def directions(outs: tuple[tt.Tensor, ...]) -> list[tt.Tensor]:
    rng = np.random.default_rng(1)
    return [tt.tensor(rng.standard_normal(out.shape), dtype=out.dtype) for out in outs]


@pytest.mark.parametrize("call", exact, ids=str)
def test_the_gradient_is_the_limit_of_difference_quotients(call: OpCall) -> None:
    leaves = [leaf(array) for array in call.variables]
    assert tt.gradcheck(lambda *xs: floats(call, *xs), leaves)


@pytest.mark.parametrize("call", [c for c in exact if c.case.second_order], ids=str)
def test_so_is_the_second_derivative(call: OpCall) -> None:
    leaves = [leaf(array) for array in call.variables]
    assert tt.gradgradcheck(lambda *xs: floats(call, *xs), leaves)


@pytest.mark.parametrize("call", [c for c in exact if c.case.hips], ids=str)
def test_value_and_gradient_agree_with_hips_autograd(call: OpCall) -> None:
    arrays = call.variables
    leaves = [leaf(array) for array in arrays]
    outs = floats(call, *leaves)
    vs = directions(outs)
    ours = tt.grad(outs, leaves, vs, allow_unused=True)

    def reference(*args: Any, **kwargs: Any) -> Any:
        return call.case.reference(autograd.numpy, *args, **kwargs)

    def projected(values: tuple[Any, ...]) -> Any:
        results = call.run(values, lambda array: array, reference)
        return sum(
            autograd.numpy.sum(result * v.numpy()) for result, v in zip(results, vs, strict=True)
        )

    for out, value in zip(outs, call.run(arrays, lambda a: a, reference), strict=True):
        np.testing.assert_allclose(out.detach().numpy(), value, rtol=1e-12, atol=1e-12)
    theirs = autograd.grad(projected)(tuple(arrays))
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own.numpy(), other, rtol=1e-9, atol=1e-10)


@each_call
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_gradient_has_the_shape_and_dtype_of_its_input(call: OpCall, dtype: str) -> None:
    leaves = [leaf(array.astype(dtype)) for array in call.variables]
    outs = tuple(out for out in floats(call, *leaves) if out.requires_grad)
    assert outs
    for x, g in zip(
        leaves, tt.grad(outs, leaves, directions(outs), allow_unused=True), strict=True
    ):
        assert (g.shape, g.dtype) == (x.shape, x.dtype)
        assert np.isfinite(g.numpy()).all()


several = [c for c in exact if len(c.variables) > 1 and c.case.op is not ops.SETITEM]


@pytest.mark.parametrize("call", several, ids=str)
def test_inputs_of_several_dtypes_each_get_gradients_of_their_own(call: OpCall) -> None:
    for dtypes in itertools.permutations(["float16", "float32", "float64"], 2):
        leaves = [
            leaf(array.astype(dtype))
            for array, dtype in zip(call.variables, itertools.cycle(dtypes), strict=False)
        ]
        outs = floats(call, *leaves)
        for x, g in zip(leaves, tt.grad(outs, leaves, directions(outs)), strict=True):
            assert (g.shape, g.dtype) == (x.shape, x.dtype)


@each_call
def test_a_gradient_for_some_inputs_is_that_for_all(call: OpCall) -> None:
    leaves = [leaf(array) for array in call.variables]
    outs = floats(call, *leaves)
    whole = tt.grad(outs, leaves, directions(outs), allow_unused=True)
    for i, g in enumerate(whole):
        only = [leaf(a) if i == j else tt.from_numpy(a) for j, a in enumerate(call.variables)]
        outs = floats(call, *only)
        (alone,) = tt.grad(outs, only[i], directions(outs), allow_unused=True)
        np.testing.assert_array_equal(alone.numpy(), g.numpy())


@each_call
def test_recorded_derivatives_are_those_of_bare_arrays(call: OpCall) -> None:
    results = []
    for create_graph in (False, True):
        leaves = [leaf(array) for array in call.variables]
        outs = floats(call, *leaves)
        gradients = tt.grad(
            outs, leaves, directions(outs), create_graph=create_graph, allow_unused=True
        )
        results.append([g.detach().numpy() for g in gradients])
    for bare, recorded in zip(*results, strict=True):
        np.testing.assert_allclose(bare, recorded, rtol=1e-12, atol=1e-14)


@each_call
def test_a_result_in_place_of_its_input_never_changes_a_leaf_unseen(call: OpCall) -> None:
    leaves = [leaf(array) for array in call.variables]
    before = [x.tolist() for x in leaves]
    for out in floats(call, *leaves):
        try:
            out.mul_(2.0)
        except (RuntimeError, ValueError) as error:
            assert "clone()" in str(error)  # noqa: PT017  # either way the leaf stays
    assert [x.tolist() for x in leaves] == before


@pytest.mark.parametrize("kink", KINKS, ids=str)
def test_at_a_kink_the_gradient_is_the_documented_one(kink: Kink) -> None:
    leaves: list[tt.Tensor] = []

    def make(array: Any) -> tt.Tensor:
        if array.dtype.kind != "f":
            return tt.from_numpy(array)
        leaves.append(leaf(array))
        return leaves[-1]

    kink.function(*convert(kink.args, make)).sum().backward()
    for x, gradient in zip(leaves, kink.gradients, strict=True):
        assert x.grad is not None
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-12)


SPECIAL: list[tuple[Any, list[float], list[float]]] = [
    (lambda x: x**0, [0.0, np.inf, np.nan], [0.0, 0.0, 0.0]),
    (lambda x: x**1, [0.0, np.inf], [1.0, 1.0]),
    (lambda x: x.max(), [np.nan, 1.0, np.nan], [0.5, 0.0, 0.5]),
    (lambda x: x.min(), [1.0, np.nan], [0.0, 1.0]),
    (lambda x: x.softmax(0), [-np.inf, 1.0], [0.0, 0.0]),
    (lambda x: x.logsumexp(0), [-np.inf, 1.0], [0.0, 1.0]),
    (lambda x: x.sigmoid(), [-1000.0, 1000.0], [0.0, 0.0]),
    (lambda x: tt.softplus(x), [-1000.0, 1000.0], [0.0, 1.0]),
    (lambda x: tt.gelu(x), [-1e300, 1e300], [0.0, 1.0]),
    (lambda x: x.tanh(), [-1e300, np.inf], [0.0, 0.0]),
    (lambda x: x.sqrt(), [0.0, np.inf], [np.inf, 0.0]),
    (lambda x: x.clip(0.0, 1.0), [-np.inf, np.inf, 0.5], [0.0, 0.0, 1.0]),
]


@pytest.mark.parametrize(("function", "values", "slopes"), SPECIAL)
def test_slopes_at_the_ends_of_the_numbers(
    function: Any, values: list[float], slopes: list[float]
) -> None:
    x = leaf(np.array(values))
    function(x).sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), slopes)


# Completeness


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_an_op_has_a_derivative_or_a_place_among_those_without(op: tt.Op) -> None:
    assert (op in tt.RULES) != (op in tt.NON_DIFFERENTIABLE)


def test_only_ops_are_declared() -> None:
    assert all(isinstance(op, tt.Op) for op in tt.NON_DIFFERENTIABLE | tt.RULES.keys())


@pytest.mark.parametrize("op", ops.ALL, ids=lambda op: op.name)
def test_the_table_says_of_every_op_whether_it_is_differentiable(op: tt.Op) -> None:
    cases = [case for case in CASES if case.op is op]
    assert cases
    if op in tt.RULES:
        assert any(case.differentiable for case in cases)


@pytest.mark.parametrize("case", [c for c in CASES if not c.differentiable], ids=str)
def test_an_op_without_a_derivative_gives_a_constant(case: OpCase) -> None:
    for args, kwargs in case.samples(np.random.default_rng(0)):
        out = case.function(
            *convert(args, lambda a: leaf(a) if a.dtype.kind == "f" else tt.from_numpy(a)), **kwargs
        )
        for part in out if isinstance(out, tuple) else (out,):
            assert not part.requires_grad


# Mutation: a derivative that is off by one in a hundred is found, for every op and input


def is_caught(call: OpCall) -> bool:
    leaves = [leaf(array) for array in call.variables]
    try:
        if call.case.op is ops.CAST:
            tt.gradcheck(lambda x: tt.apply(ops.CAST, x, dtype=x.dtype), leaves)
        else:
            tt.gradcheck(lambda *xs: floats(call, *xs), leaves)
    except tt.GradcheckError:
        return True
    return False


PRODUCTS = [(op, name) for op in ops.ALL if op in tt.RULES for name in tt.RULES[op].vjps or [None]]


@pytest.mark.parametrize(("op", "name"), PRODUCTS, ids=lambda part: getattr(part, "name", part))
def test_gradcheck_finds_a_derivative_that_is_slightly_wrong(
    op: tt.Op, name: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = tt.RULES[op]

    def off(vjp: Any) -> Any:
        names = vjp.__code__.co_varnames[: vjp.__code__.co_argcount]
        namespace = {"vjp": vjp}
        source = f"lambda {', '.join(names)}: 1.01 * vjp({', '.join(names)})"
        return eval(source, namespace)  # the arguments' names are what a rule goes by

    mutant = tt.Op("mutant", op.forward, op.inputs)  # only to make a rule of its own
    if name is None:
        assert rule.each is not None
        tt.defvjp(mutant, each=off(rule.each))
    else:
        tt.defvjp(mutant, **{**rule.vjps, name: off(rule.vjps[name])})
    wrong = tt.RULES.pop(mutant)
    monkeypatch.setitem(tt.RULES, op, wrong)
    assert any(
        is_caught(call)
        for call in DIFFERENTIABLE
        if call.case.op is op and all(array.size for array in call.variables)
    )

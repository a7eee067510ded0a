"""Checkpoints and users' own functions."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
from tt_autograd.seam import visited

pytestmark = pytest.mark.module_06


def leaf(data: Any) -> tt.Tensor:
    return tt.tensor(data, dtype=tt.float64, requires_grad=True)


def gradient(x: tt.Tensor) -> Any:
    assert x.grad is not None
    return x.grad.tolist()


# Checkpoint


def block(x: tt.Tensor, w: tt.Tensor) -> tt.Tensor:
    out: tt.Tensor = tt.exp((x @ w).tanh() * x)
    return out


def test_a_checkpoint_gives_the_same_values_and_gradients() -> None:
    rng = np.random.default_rng(0)
    arrays = rng.standard_normal((3, 3)) * 0.1, rng.standard_normal((3, 3))
    x, w = map(leaf, arrays)
    plain = block(block(x, w), w)
    expected = tt.grad(plain.sum(), [x, w])
    out = tt.checkpoint(block, tt.checkpoint(block, x, w), w)
    assert out.tolist() == plain.tolist()
    for ours, theirs in zip(tt.grad(out.sum(), [x, w]), expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)


def test_checkpoints_are_differentiated_twice_and_nest() -> None:
    def nested(x: tt.Tensor) -> Any:
        return tt.checkpoint(lambda x: tt.checkpoint(tt.sin, x * x) * x, x)

    x = leaf([0.3, 0.7])
    assert tt.gradcheck(nested, x)
    assert tt.gradgradcheck(nested, x)


def test_a_checkpoint_with_several_outputs_constants_and_arguments_of_other_kinds() -> None:
    def several(x: tt.Tensor, n: int, c: tt.Tensor) -> tuple[tt.Tensor, ...]:
        return x * n, (x > 0).long(), x * x * c, x

    def run(x: tt.Tensor) -> Any:
        a, signs, b, same = tt.checkpoint(several, x, 3, tt.ones(2, dtype=tt.float64))
        assert not signs.requires_grad
        return a * b + same

    x = leaf([0.5, -0.7])
    assert tt.gradcheck(run, x)
    assert tt.gradgradcheck(run, x)
    a, _, _, _ = tt.checkpoint(several, x, 3, tt.ones(2, dtype=tt.float64))
    a.sum().backward()
    assert gradient(x) == [3.0, 3.0]


def test_a_checkpoint_reaches_what_its_function_closes_over() -> None:
    w, x = leaf([3.0]), leaf([2.0])
    tt.checkpoint(lambda x: x * w, x).sum().backward()
    assert (gradient(w), gradient(x)) == ([2.0], [3.0])


def test_a_checkpoint_draws_the_same_random_numbers_and_disturbs_no_others() -> None:
    tt.manual_seed(0)
    x = leaf(np.ones(100))

    def dropout(x: tt.Tensor) -> tt.Tensor:
        return x * (tt.rand(100) > 0.5).double()

    out = tt.checkpoint(dropout, x)
    after = tt.rand(3).tolist()
    tt.manual_seed(0)
    tt.rand(100)
    assert tt.rand(3).tolist() == after
    out.sum().backward()
    assert gradient(x) == out.tolist()
    following = tt.rand(3).tolist()
    tt.manual_seed(0)
    tt.rand(106)
    assert tt.rand(3).tolist() != after
    assert following != after


def peak_of(way: Any) -> int:
    x = leaf(np.ones(20_000))
    gc.collect()
    tracemalloc.start()
    y = x
    for _ in range(8):
        y = way(y)
    y.sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_checkpoint_keeps_less_in_memory() -> None:
    def deep(x: tt.Tensor) -> tt.Tensor:
        for _ in range(8):
            x = x.sin()
        return x

    assert peak_of(lambda x: tt.checkpoint(deep, x)) < 0.4 * peak_of(deep)


def test_a_checkpoint_refuses_values_that_changed_since() -> None:
    w, x = leaf([3.0]), leaf([2.0])
    h = x * 1.0
    out = tt.checkpoint(lambda h: h * h, h)
    h.mul_(2.0)
    with pytest.raises(RuntimeError, match=r"checkpoint needs an argument.* mul_ \(.*test_segm"):
        out.sum().backward()
    out = tt.checkpoint(lambda x: x * w, x)
    with tt.no_grad():
        w.mul_(2.0)
    with pytest.raises(RuntimeError, match=r"again and needs a value .* mul_ \(.*test_segm"):
        out.sum().backward()
    h = x * 1.0
    out = tt.checkpoint(lambda h: h.mul_(2.0), h)
    with pytest.raises(RuntimeError, match="checkpoint needs an argument"):
        out.sum().backward()


def test_a_checkpoint_refuses_a_function_that_returns_something_else_the_second_time() -> None:
    shapes = iter([2, 1])
    x = leaf([1.0, 2.0])
    out = tt.checkpoint(lambda x: (x * 2.0)[: next(shapes)], x)
    with pytest.raises(RuntimeError, match=r"returned shapes \[\(1,\)\], the first \[\(2,\)\]"):
        out.sum().backward()
    with pytest.raises(TypeError, match="checkpoint: expected a tensor or a tuple of tensors"):
        tt.checkpoint(lambda x: [x], x)


def test_a_checkpoint_backward_twice() -> None:
    x = leaf([2.0])
    out = tt.checkpoint(lambda x: x * x, x)
    out.sum().backward(retain_graph=True)
    out.sum().backward()
    assert gradient(x) == [8.0]
    with pytest.raises(RuntimeError, match="already passed checkpoint"):
        out.sum().backward()


def test_a_checkpoint_under_no_grad_is_a_call() -> None:
    with tt.no_grad():
        assert not tt.checkpoint(lambda x: x * 2.0, leaf([1.0])).requires_grad


# Functions


class Cube(tt.Function):
    @staticmethod
    def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> tt.Tensor:
        (x,) = ctx.saved_tensors
        result: tt.Tensor = g * 3.0 * x * x
        return result


class Exp(tt.Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> tt.Tensor:
        (out,) = ctx.saved_tensors
        result: tt.Tensor = g * out
        return result


class SumAndProduct(tt.Function):
    """Several arguments, of which one has no gradient, and several outputs."""

    @staticmethod
    def forward(
        ctx: tt.FunctionContext, a: tt.Tensor, b: tt.Tensor, scale: float
    ) -> tuple[tt.Tensor, ...]:
        ctx.save_for_backward(a, None, b)
        ctx.scale = scale  # type: ignore[attr-defined]  # a context takes any attribute
        return (a + b) * scale, (a > b).long(), a * b

    @staticmethod
    def backward(ctx: tt.FunctionContext, *gs: tt.Tensor) -> tuple[tt.Tensor | None, ...]:
        a, nothing, b = ctx.saved_tensors
        assert nothing is None
        scale = ctx.scale  # type: ignore[attr-defined]  # as above
        total, _, product = gs
        return (
            total * scale + product * b if ctx.needs_input_grad[0] else None,
            total * scale + product * a if ctx.needs_input_grad[1] else None,
            None,
        )


@pytest.mark.parametrize("function", [Cube, Exp])
def test_a_function_is_differentiated_to_third_order(function: type[tt.Function]) -> None:
    x = leaf([0.5, 1.5])
    assert tt.gradcheck(function.apply, x)
    assert tt.gradgradcheck(function.apply, x)

    def first(x: tt.Tensor) -> tt.Tensor:
        return tt.grad(function.apply(x).sum(), x, create_graph=True)[0]

    def second(x: tt.Tensor) -> tt.Tensor:
        return tt.grad(first(x).sum(), x, create_graph=True)[0]

    (third,) = tt.grad(second(x).sum(), x)
    expected = [6.0, 6.0] if function is Cube else np.exp([0.5, 1.5])
    np.testing.assert_allclose(third.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("used", ["both", "first", "second"])
def test_several_inputs_and_outputs(used: str) -> None:
    def run(a: tt.Tensor, b: tt.Tensor) -> tuple[tt.Tensor, ...]:
        total, larger, product = SumAndProduct.apply(a, b, 3.0)
        assert not larger.requires_grad
        return {"both": (total, product), "first": (total,), "second": (product,)}[used]

    a, b = leaf([1.0, 2.0]), leaf([3.0, 0.5])
    assert tt.gradcheck(run, [a, b])
    assert tt.gradgradcheck(run, [a, b])
    assert tt.gradcheck(run, [a, tt.tensor([3.0, 0.5], dtype=tt.float64)])


def test_a_function_refuses_saved_tensors_that_changed() -> None:
    for function, target in [(Cube, "input"), (Exp, "output")]:
        h = leaf([1.0]) * 1.0
        out = function.apply(h)
        loss = out * 1.0
        (h if target == "input" else out).add_(1.0)
        with pytest.raises(RuntimeError, match=rf"backward of {function.__name__} .*add_ \("):
            loss.sum().backward()


def test_what_backward_returns_is_checked() -> None:
    def make(result: Any) -> type[tt.Function]:
        class Wrong(tt.Function):
            @staticmethod
            def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
                return x * 1.0

            @staticmethod
            def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> Any:
                return result

        return Wrong

    for result, says in [
        (tt.ones(3), r"Wrong.backward: expected a gradient of shape \(2,\) for argument 0, got"),
        (2.0, "for argument 0, got float"),
        ((tt.ones(2), None), "Wrong.backward returned 2 gradients for 1 arguments"),
    ]:
        x = leaf([1.0, 2.0])
        with pytest.raises(RuntimeError, match=says):
            make(result).apply(x).sum().backward()
        assert x.grad is None
    x = leaf([1.0, 2.0])
    make(None).apply(x).sum().backward()
    assert x.grad is None
    y = tt.ones(2, requires_grad=True)
    make(tt.ones(2, dtype=tt.float64)).apply(y).sum().backward()
    assert y.grad is not None
    assert y.grad.dtype == tt.float32


def test_what_forward_returns_and_saves_is_checked() -> None:
    class Text(tt.Function):
        @staticmethod
        def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> Any:
            return "text"

    class Saves(tt.Function):
        @staticmethod
        def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
            ctx.save_for_backward(3)  # type: ignore[arg-type]  # the error under test
            return x

    with pytest.raises(TypeError, match="Text: expected a tensor or a tuple of tensors"):
        Text.apply(leaf([1.0]))
    with pytest.raises(TypeError, match="save_for_backward: expected tensors or None, got int"):
        Saves.apply(leaf([1.0]))
    with pytest.raises(NotImplementedError, match="forward"):
        tt.Function.apply(leaf([1.0]))


def test_a_function_of_constants_records_nothing() -> None:
    assert not Cube.apply(tt.ones(2)).requires_grad
    with tt.no_grad():
        assert not Cube.apply(leaf([1.0])).requires_grad


def test_a_function_that_returns_its_argument() -> None:
    class Reverse(tt.Function):
        @staticmethod
        def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
            return x

        @staticmethod
        def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> tt.Tensor:
            return -g

    x = leaf([1.0, 2.0])
    (Reverse.apply(x * 3.0) + x).sum().backward()
    assert gradient(x) == [-2.0, -2.0]


@pytest.mark.parametrize("make", [lambda x: tt.checkpoint(tt.exp, x), Cube.apply, Exp.apply])
def test_segments_are_freed_by_counting_references(make: Any) -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0])
        for end in ("dropped", "backward"):
            out = make(x)
            refs: list[weakref.ref[Any]] = [weakref.ref(out), weakref.ref(out.grad_fn)]
            if end == "backward":
                out.sum().backward()
            del out
            assert [ref() for ref in refs] == [None, None]
    finally:
        gc.enable()


# The clock


def test_a_clock_is_told_of_the_nodes_that_observers_see() -> None:
    def run() -> tt.Tensor:
        shared: tt.Tensor = Cube.apply(leaf([1.0, 2.0])).exp()
        ended: tt.Tensor = tt.checkpoint(lambda y: (y.tanh() * y).sin(), shared)
        return ended.sum() + shared.sum()

    told: list[int] = []
    seen: list[int] = []

    def see(event: tt.OpEvent) -> None:
        if event.phase == "backward":
            seen.append(event.number)

    loss = run()
    token = visited.set(told.append)
    try:
        with tt.observe(see):
            loss.backward()
    finally:
        visited.reset(token)
    assert told == seen
    assert len(told) == len(set(told)) == 9  # three are in the checkpoint, and it is one itself
    told.clear()
    run().backward()
    assert told == []

"""Modes hold where they are said to: blocks, functions, generators, coroutines, threads, tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
from tt_autograd.seam import next_number

pytestmark = pytest.mark.module_06


def recorded() -> bool:
    """Return whether an op is recorded here."""
    out = tt.ones(1, requires_grad=True) * 2
    assert out.requires_grad == tt.is_grad_enabled()
    return out.requires_grad


NESTED = [
    ([], True),
    ([tt.no_grad], False),
    ([tt.enable_grad], True),
    ([tt.inference_mode], False),
    ([tt.no_grad, tt.enable_grad], True),
    ([tt.no_grad, tt.enable_grad, tt.no_grad], False),
    ([tt.inference_mode, tt.enable_grad], False),
    ([tt.inference_mode, tt.no_grad, tt.enable_grad], False),
    ([tt.enable_grad, tt.inference_mode], False),
]


@pytest.mark.parametrize(("modes", "expected"), NESTED)
def test_nested_modes(modes: list[Any], expected: bool) -> None:
    def enter(rest: list[Any]) -> None:
        if not rest:
            assert recorded() is expected
            return
        with rest[0]():
            enter(rest[1:])

    enter(modes)
    assert recorded()


def test_a_mode_ends_with_an_error() -> None:
    with pytest.raises(KeyError), tt.no_grad():
        raise KeyError
    assert recorded()


def test_one_mode_can_be_entered_again_and_within_itself() -> None:
    mode = tt.no_grad()
    with mode:
        with mode:
            assert not recorded()
        assert not recorded()
    assert recorded()
    with mode:
        assert not recorded()


def test_decorated_functions_with_and_without_parentheses() -> None:
    @tt.no_grad()
    def one(depth: int) -> bool:
        """Say so."""
        return recorded() if depth == 0 else one(depth - 1)

    @tt.inference_mode
    def two() -> bool:
        return recorded()

    assert not one(0)
    assert not one(3)
    assert not two()
    assert one.__doc__ == "Say so."
    assert recorded()


def test_a_decorated_generator_has_the_mode_in_its_body_only() -> None:
    @tt.no_grad()
    def steps() -> Generator[bool, str, str]:
        sent = yield recorded()
        try:
            yield sent == "a" and recorded()
        except KeyError:
            yield recorded()
        return "end"

    body = steps()
    assert next(body) is False
    assert recorded()
    assert body.send("a") is False
    assert body.throw(KeyError()) is False
    with pytest.raises(StopIteration) as stop:
        next(body)
    assert stop.value.value == "end"
    assert recorded()


def test_a_decorated_generator_can_be_closed() -> None:
    closed = []

    @tt.no_grad
    def steps() -> Iterator[int]:
        try:
            yield 1
        finally:
            closed.append(recorded())

    body = steps()
    next(body)
    body.close()  # type: ignore[attr-defined]  # a generator has it
    assert closed == [False]


def test_tasks_have_modes_of_their_own() -> None:
    async def inside(start: asyncio.Event, stop: asyncio.Event) -> bool:
        with tt.no_grad():
            start.set()
            await stop.wait()
            return recorded()

    async def outside(start: asyncio.Event, stop: asyncio.Event) -> bool:
        await start.wait()
        result = recorded()
        stop.set()
        return result

    async def both() -> tuple[bool, bool]:
        start, stop = asyncio.Event(), asyncio.Event()
        first, second = await asyncio.gather(inside(start, stop), outside(start, stop))
        return first, second

    assert asyncio.run(both()) == (False, True)


def test_a_decorated_coroutine_has_the_mode_across_its_awaits() -> None:
    @tt.no_grad()
    async def work() -> tuple[bool, bool]:
        before = recorded()
        await asyncio.sleep(0)
        return before, recorded()

    async def run() -> None:
        assert await work() == (False, False)
        assert recorded()

    asyncio.run(run())


def test_a_decorated_asynchronous_generator_is_refused() -> None:
    with pytest.raises(TypeError, match="asynchronous generator"):

        @tt.no_grad()
        async def steps() -> AsyncIterator[int]:
            yield 1


def test_threads_have_modes_of_their_own() -> None:
    seen = []
    with tt.no_grad():
        thread = threading.Thread(target=lambda: seen.append(recorded()))
        thread.start()
        thread.join()
        assert not recorded()
    assert seen == [True]


def test_detach_under_any_mode_and_leaves_made_without_grad() -> None:
    with tt.no_grad():
        x = tt.ones(2, requires_grad=True)
        y = x * 2
    assert x.requires_grad
    assert y.is_leaf
    assert not y.requires_grad
    assert y.requires_grad_().requires_grad


def test_backward_runs_within_any_mode() -> None:
    for mode in (tt.no_grad, tt.inference_mode):
        x = tt.tensor(3.0, requires_grad=True)
        y = x * tt.checkpoint(lambda x: x * x, x)
        with mode():
            y.backward()
        assert x.grad is not None
        assert x.grad.item() == 27.0
        y = x * x * x
        with mode():
            (first,) = tt.grad(y, x, create_graph=True)
            (second,) = tt.grad(first, x)
        assert second.item() == 18.0


# Anomalies


def make_nan(x: tt.Tensor) -> tt.Tensor:
    return (x * 0.0).sqrt() * 0.0  # where the NaN comes from


def test_detect_anomaly_names_op_input_and_line() -> None:
    x = tt.zeros(1, requires_grad=True)
    with tt.detect_anomaly():
        y = make_nan(x)
        with pytest.raises(RuntimeError) as caught:
            y.sum().backward()
    message = str(caught.value)
    assert "backward of sqrt" in message
    assert "test_modes.py" in message
    assert "# where the NaN comes from" in message
    assert "'input'" in message
    assert x.grad is None


def test_detect_anomaly_names_one_of_several_inputs_and_an_op_that_saves_nothing() -> None:
    op = tt.Op("join", lambda *xs: np.stack(xs), ("*xs",))
    tt.defvjp(op, each=lambda g, i: g[i] * (np.nan if i else 1.0))
    x = tt.ones(1, requires_grad=True)
    with tt.detect_anomaly():
        out = op(x, x)
        with pytest.raises(RuntimeError, match=r"backward of join \(.*'xs\[1\]'"):
            out.sum().backward()


def test_detect_anomaly_names_a_function_of_the_users() -> None:
    class Broken(tt.Function):
        @staticmethod
        def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
            return x * 1.0

        @staticmethod
        def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> tt.Tensor:
            return g * float("nan")

    x = tt.ones(1, requires_grad=True)
    with tt.detect_anomaly():
        out = Broken.apply(x)  # here
        with pytest.raises(RuntimeError, match=r"backward of Broken .*# here"):
            out.sum().backward()


def test_detect_anomaly_lets_healthy_gradients_pass_and_ends() -> None:
    @tt.detect_anomaly()
    def run() -> float:
        x = tt.tensor(2.0, requires_grad=True)
        (x * x).backward()
        assert x.grad is not None
        return float(x.grad.item())

    assert run() == 4.0
    x = tt.zeros(1, requires_grad=True)
    make_nan(x).sum().backward()
    assert x.grad is not None
    assert np.isnan(x.grad.numpy()).all()


# Observers


def test_observers_see_each_node_of_backward_with_its_shapes() -> None:
    x = tt.ones(2, 3, requires_grad=True)
    w = tt.ones(3, 4, requires_grad=True)
    events: list[tt.OpEvent] = []
    with tt.observe(events.append):
        (x @ w).exp().sum().backward()
    forward = [e for e in events if e.phase == "forward"]
    backward = [e for e in events if e.phase == "backward"]
    assert [e.op.name for e in forward][:3] == ["matmul", "exp", "sum"]
    assert [e.op.name for e in backward] == ["sum", "exp", "matmul"]
    last = backward[-1]
    assert last.output is None
    assert last.shapes == ((2, 3), (3, 4))
    assert last.inputs[0].shape == (2, 4)
    assert [kept.shape for kept in last.inputs[1:]] == [(2, 3), (3, 4)]
    assert last.needs == (True, True)
    assert all(e.seconds >= 0 for e in events)
    events.clear()
    (x @ w).sum().backward()
    assert not events


def test_an_observer_knows_which_call_a_node_of_backward_is_of() -> None:
    x = tt.ones(2, requires_grad=True)
    calls: list[tuple[int, tt.OpEvent]] = []
    nodes: list[tt.OpEvent] = []

    def see(event: tt.OpEvent) -> None:
        if event.phase == "forward":
            calls.append((next_number(), event))
        else:
            nodes.append(event)

    with tt.observe(see):
        ((x * 2.0) * (x * 3.0)).sum().backward()
    found = []
    for node in nodes:
        _, call = max(entry for entry in calls if entry[0] < node.number)
        assert call.op is node.op
        found.append((call.op.name, call.inputs[1:], node.needs))
    left, right = (call.output for _, call in calls[:2])
    assert found[0] == ("sum", (), (True,))
    assert found[1][1][0] is right
    assert left is not None
    assert found[2:] == [("mul", (3.0,), (True, False)), ("mul", (2.0,), (True, False))]


def test_observers_see_the_end_of_what_goes_backward_by_itself() -> None:
    x = tt.ones(2, requires_grad=True)
    seen: list[str] = []
    with tt.observe(lambda event: seen.append(f"{event.phase} {event.op.name}")):
        y = tt.checkpoint(lambda x: x.exp(), x)
        seen.clear()
        y.backward(tt.ones(2))
    assert seen == ["forward exp", "backward checkpoint", "backward exp"]

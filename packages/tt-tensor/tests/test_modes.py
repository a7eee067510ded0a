"""Modes: the default dtype, and observers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tt_tensor as tt

pytestmark = pytest.mark.module_02


def test_the_default_dtype_is_what_python_floats_become() -> None:
    assert tt.get_default_dtype() == np.float32
    try:
        tt.set_default_dtype(tt.float64)
        made = [tt.tensor(1.0), tt.zeros(1), tt.rand(1), tt.arange(1.0), tt.tensor(1).to(float)]
        assert {tensor.dtype.name for tensor in made} == {"float64"}
        assert tt.tensor(1).dtype == np.int64
        assert repr(tt.tensor(0.5)) == "tensor(0.5000)"
    finally:
        tt.set_default_dtype("float32")


@pytest.mark.parametrize("dtype", ["int64", np.longdouble, "x", None, np.complex64])
def test_the_default_dtype_must_be_floating_point(dtype: str) -> None:
    with pytest.raises(TypeError, match="set_default_dtype: expected float16, float32 or float64"):
        tt.set_default_dtype(dtype)
    assert tt.get_default_dtype() == np.float32


def test_the_default_dtype_is_each_threads_own() -> None:
    def other() -> str:
        tt.set_default_dtype("float16")
        return tt.zeros(1).dtype.name

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(other).result() == "float16"
    assert tt.zeros(1).dtype == np.float32


def test_observers_nest_and_end() -> None:
    outer: list[str] = []
    inner: list[str] = []
    x = tt.ones(2)
    with tt.observe(lambda event: outer.append(event.op.name)):
        x.exp()
        with tt.observe(lambda event: inner.append(event.op.name)):
            x + 1
        x.sum()
    x.log()
    assert outer == ["exp", "add", "sum"]
    assert inner == ["add"]


def test_observers_end_after_an_error() -> None:
    seen: list[tt.OpEvent] = []
    x = tt.ones(2)

    def watch_and_fail() -> None:
        with tt.observe(seen.append):
            x + tt.ones(3)

    with pytest.raises(ValueError, match="do not broadcast"):
        watch_and_fail()
    x.exp()
    assert seen == []


def test_an_event_says_what_ran() -> None:
    seen: list[tt.OpEvent] = []
    x = tt.ones(2, 3)
    with tt.observe(seen.append):
        x.sum(dim=1, keepdim=True)
        x += 1
        x[0] = 5.0
    total, add, write = seen
    assert total.params == {"dim": (1,), "keepdim": True}
    assert total.shapes == ((2, 3),)
    assert add.op is tt.ops.ADD
    assert add.shapes == ((2, 3), ())
    assert add.inputs[1] == 1
    assert write.op is tt.ops.SETITEM
    assert np.shares_memory(write.output, x.numpy())


def test_observers_of_one_thread_do_not_see_another() -> None:
    seen: list[tt.OpEvent] = []
    with tt.observe(seen.append), ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: tt.ones(2).exp()).result()
    assert seen == []

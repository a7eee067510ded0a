"""The differentiable tensor itself: leaves and results, NumPy, copies, subclasses."""

from __future__ import annotations

import copy
import pickle
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_tensor

pytestmark = pytest.mark.module_06


def leaf(data: Any, dtype: Any = tt.float64) -> tt.Tensor:
    return tt.tensor(data, dtype=dtype, requires_grad=True)


CREATION: dict[str, Any] = {
    "tensor": lambda **kw: tt.tensor([1.0, 2.0], **kw),
    "Tensor": lambda **kw: tt.Tensor([1.0, 2.0], **kw),
    "zeros": lambda **kw: tt.zeros(2, **kw),
    "ones": lambda **kw: tt.ones((2,), **kw),
    "empty": lambda **kw: tt.empty(2, **kw),
    "full": lambda **kw: tt.full((2,), 7.0, **kw),
    "arange": lambda **kw: tt.arange(0.0, 2.0, 1.0, **kw),
    "linspace": lambda **kw: tt.linspace(0, 1, 2, **kw),
    "eye": lambda **kw: tt.eye(2, **kw),
    "zeros_like": lambda **kw: tt.zeros_like(tt.ones(2), **kw),
    "ones_like": lambda **kw: tt.ones_like(tt.ones(2), **kw),
    "empty_like": lambda **kw: tt.empty_like(tt.ones(2), **kw),
    "full_like": lambda **kw: tt.full_like(tt.ones(2), 3.0, **kw),
    "rand": lambda **kw: tt.rand(2, **kw),
    "randn": lambda **kw: tt.randn(2, **kw),
}


@pytest.mark.parametrize("create", CREATION.values(), ids=CREATION.keys())
def test_creation_gives_leaves_that_require_grad_on_request(create: Any) -> None:
    plain, asked = create(), create(requires_grad=True)
    assert type(plain) is type(asked) is tt.Tensor
    assert not plain.requires_grad
    assert asked.requires_grad
    assert asked.is_leaf
    (asked * 2.0).sum().backward()
    assert asked.grad is not None
    assert asked.grad.tolist() == np.full(asked.shape, 2.0).tolist()


@pytest.mark.parametrize("make", [lambda: tt.randint(0, 5, (3,)), lambda: tt.randperm(3)])
def test_integers_are_created_as_differentiable_tensors_too(make: Any) -> None:
    assert type(make()) is tt.Tensor


def test_every_function_of_tt_tensor_is_here() -> None:
    names = {name for name in vars(tt_tensor) if not name.startswith("_")}
    missing = {
        name for name in names - set(vars(tt)) if not isinstance(vars(tt_tensor)[name], ModuleType)
    }
    assert not missing


def test_leaves_results_and_constants() -> None:
    x = leaf([1.0])
    y = x * 2.0
    c = tt.ones(1)
    assert (x.requires_grad, x.is_leaf, x.grad_fn) == (True, True, None)
    assert (y.requires_grad, y.is_leaf) == (True, False)
    assert (c.requires_grad, c.is_leaf, c.grad_fn, c.grad) == (False, True, None, None)
    assert repr(y.grad_fn) == "<mul>"
    assert "requires_grad=True" in repr(x)
    assert "grad_fn=<mul>" in repr(y)
    assert "grad" not in repr(c)
    assert " · requires_grad=True</div>" in x._repr_html_()
    assert " · grad_fn=&lt;mul&gt;</div>" in y._repr_html_()
    assert "grad" not in c._repr_html_()


def test_requires_grad_can_be_switched_on_leaves_only() -> None:
    c = tt.ones(1)
    assert c.requires_grad_() is c
    assert c.requires_grad
    c.requires_grad = False
    assert not c.requires_grad
    y = leaf([1.0]) * 2.0
    assert y.requires_grad_() is y
    with pytest.raises(RuntimeError, match=r"result of mul; use detach\(\)"):
        y.requires_grad = False


def test_gradients_can_be_set_and_are_checked() -> None:
    x = leaf([1.0, 2.0])
    x.grad = tt_tensor.tensor([1.0, 1.0], dtype=tt.float64)
    (x * 2.0).sum().backward()
    assert x.grad is not None
    assert type(x.grad) is tt.Tensor
    assert x.grad.tolist() == [3.0, 3.0]
    for wrong, kind, says in [
        (np.ones(2), TypeError, "expected a tensor or None, got ndarray"),
        (tt.ones(3, dtype=tt.float64), ValueError, r"of shape \(2,\), got float64 of shape \(3,\)"),
        (tt.ones(2), ValueError, "expected float64 .* got float32"),
    ]:
        with pytest.raises(kind, match=says):
            x.grad = wrong  # type: ignore[assignment]  # the errors under test
    for other in (x * 2.0, tt.ones(2)):
        with pytest.raises(RuntimeError, match="only a leaf that requires grad takes"):
            other.grad = tt.ones(2)
    tt.ones(2).grad = None


def test_detach_and_data_share_memory_and_have_no_history() -> None:
    x = leaf([1.0, 2.0])
    for bare in (x.detach(), x.data, (x * 1.0).detach()):
        assert not bare.requires_grad
        assert bare.is_leaf
    with tt.no_grad():
        x.detach()[0] = 9.0
    assert x.tolist() == [9.0, 2.0]
    x.data = tt.tensor([3.0, 4.0], dtype=tt.float64)
    assert x.tolist() == [3.0, 4.0]
    with pytest.raises(TypeError, match="data: expected a tensor, got ndarray"):
        x.data = np.ones(2)  # type: ignore[assignment]  # what is tested
    with pytest.raises(ValueError, match=r"data: expected float64 of shape \(2,\)"):
        x.data = tt.ones(3)


@pytest.mark.parametrize("convert", [lambda t: t.numpy(), np.asarray, np.array, np.from_dlpack])
def test_numpy_gets_no_array_of_a_tensor_that_requires_grad(convert: Any) -> None:
    for x in (leaf([1.0]), leaf([1.0]) * 2.0):
        with pytest.raises(RuntimeError, match=r"use detach\(\)\.numpy\(\)"):
            convert(x)
        assert convert(x.detach()).tolist() == x.tolist()


def test_numbers_can_be_read_from_a_tensor_that_requires_grad() -> None:
    x = leaf([1.5])
    assert (x.item(), float(x), int(x), x.tolist(), bool(x > 1.0)) == (1.5, 1.5, 1, [1.5], True)


def test_leaves_are_pickled_and_copied_and_results_are_not() -> None:
    x = leaf([1.0, 2.0])
    (x * 3.0).sum().backward()
    loaded = pickle.loads(pickle.dumps(x))
    assert (loaded.tolist(), loaded.requires_grad, loaded.dtype) == ([1.0, 2.0], True, tt.float64)
    deep: Any = copy.deepcopy({"a": x, "b": x})
    assert deep["a"] is deep["b"]
    assert deep["a"].requires_grad
    assert deep["a"].grad.tolist() == [3.0, 3.0]
    deep["a"].grad.zero_()
    with tt.no_grad():
        deep["a"].zero_()
    assert x.grad is not None
    assert (x.tolist(), x.grad.tolist()) == ([1.0, 2.0], [3.0, 3.0])
    for function in (pickle.dumps, copy.deepcopy):
        with pytest.raises(RuntimeError, match=r"only leaves can be .*; detach\(\)"):
            function(x * 2.0)
    same = copy.copy(x)
    (same * 2.0).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    result = x * 2.0
    assert copy.copy(result).grad_fn is result.grad_fn


class Weight(tt.Tensor):
    """A leaf of a kind of its own, as a parameter is."""

    __slots__ = ()


def test_results_of_subclasses_are_plain_tensors() -> None:
    w = Weight([1.0, 2.0], requires_grad=True)
    results = [w + 1.0, 1.0 + w, w @ w, w[0], w.exp(), tt.stack([w, w]), w.detach(), w + w, -w]
    assert {type(out) for out in results} == {tt.Tensor}
    (w * w).sum().backward()
    assert type(w.grad) is tt.Tensor
    with tt.no_grad():
        w -= 0.5
    assert type(w) is Weight
    assert type(pickle.loads(pickle.dumps(w))) is Weight
    assert type(copy.deepcopy(w)) is Weight


OPERATORS: list[Any] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: a % b,
]


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("scalar", [2, 2.5, True, np.float32(1.5), np.int64(2)])
def test_operators_with_numbers_on_either_side(operate: Any, scalar: Any) -> None:
    for dtype in (tt.float32, tt.float64):
        for swap in (False, True):
            x = leaf([1.7, 3.2], dtype)
            out = operate(scalar, x) if swap else operate(x, scalar)
            value = operate(scalar, x.detach()) if swap else operate(x.detach(), scalar)
            assert out.requires_grad
            assert (out.tolist(), out.dtype) == (value.tolist(), value.dtype)
            out.sum().backward()
            assert x.grad is not None
            assert x.grad.dtype == dtype
    x = leaf([1.7, 3.2])
    number = float(scalar)
    assert tt.gradcheck(lambda x: operate(x, number), x)
    assert tt.gradcheck(lambda x: operate(number, x), x)


@pytest.mark.parametrize("operate", OPERATORS)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
def test_slopes_beside_integers_are_those_beside_floats(operate: Any, dtype: str) -> None:
    """No slope is computed in the integers' own dtype, where it might overflow."""
    least = max(np.iinfo(dtype).min, -1000) or 2
    for numbers, swap in (([least, 1, 5], False), ([3, 7, np.iinfo(dtype).max], True)):
        x, integers = leaf([1.01, 0.5, 1.02]), tt.tensor(numbers, dtype=dtype)
        own, other = (
            tt.grad((operate(n, x) if swap else operate(x, n)).sum(), x)[0].numpy()
            for n in (integers, integers.double())
        )
        np.testing.assert_allclose(own, other, rtol=1e-12)


@pytest.mark.parametrize("operate", OPERATORS)
def test_operators_agree_with_functions_recorded_or_not(operate: Any) -> None:
    a, b = leaf([[1.7], [3.2]]), leaf([0.6, 1.1, 2.3])
    assert tt.gradcheck(operate, [a, b])
    assert tt.gradgradcheck(operate, [a, b])
    with tt.no_grad():
        bare = operate(a, b)
    assert bare.tolist() == operate(a, b).tolist()


def test_a_negative_number_to_a_power_that_requires_grad_has_no_slope() -> None:
    x = leaf([2.0])
    with np.errstate(invalid="ignore"):
        out = (-2.0) ** x
    out.sum().backward()
    assert x.grad is not None
    assert np.isnan(x.grad.numpy()).all()


def test_errors_of_ops_are_those_of_plain_tensors() -> None:
    x = leaf(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"add: .*\(2, 3\) and \(4,\) do not broadcast"):
        x + leaf(np.ones(4))
    with pytest.raises(ValueError, match="matmul: "):
        x @ x
    with pytest.raises(TypeError, match="mul: expected a tensor, an array or a number, got str"):
        x * "a"
    with pytest.raises(IndexError, match="sum: dim 5 is out of range"):
        x.sum(5)


def test_operators_are_those_of_tt_tensor() -> None:
    signs = "add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv pow rpow matmul"
    for name in [*signs.split(), "rmatmul", "neg", "abs", "lt", "le", "gt", "ge", "eq", "ne"]:
        assert getattr(tt.Tensor, f"__{name}__") is getattr(tt_tensor.Tensor, f"__{name}__")

"""Every op of the table beside its counterpart in PyTorch: values, gradients and dtypes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any

import numpy as np
import pytest
import torch

import tt_autograd as tt
from op_calls import DIFFERENTIABLE, OpCall, calls_of
from op_table import CASES, OpCase
from tt_tensor import ops

# Ops for which PyTorch has no function that takes what ours takes.
WITHOUT_COUNTERPART = {
    "setitem": "indexed writing as a value; test_in_place compares indexed writing itself",
    "getitem.numpy": "indices that PyTorch refuses, or whose results it lays out in another order",
    "unindex": "the derivative of indexing, which getitem's gradients compare",
}


def counterpart(case: OpCase) -> Callable[..., Any]:
    """Return PyTorch's function."""
    if case.torch is None:
        return SPECIAL[case.name]
    if isinstance(case.torch, str):
        module: Any = torch
        function: Callable[..., Any] = reduce(getattr, case.torch.split("."), module)
        return function
    path = case.torch
    return lambda *args, **kwargs: path(torch, *args, **kwargs)


def prod(x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Multiply along several dimensions, which PyTorch does one by one."""
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    for d in sorted((d % max(x.ndim, 1) for d in dims), reverse=True):
        x = torch.prod(x, d, keepdim=True) if x.ndim else x
    return x if keepdim else x.reshape([n for d, n in enumerate(x.shape) if d not in {
        e % max(x.ndim, 1) for e in dims}])  # fmt: skip


SPECIAL: dict[str, Callable[..., Any]] = {
    "prod": prod,
    "norm.1": lambda x, p, **kw: torch.linalg.vector_norm(x, p, **kw),
    "norm.3": lambda x, p, **kw: torch.linalg.vector_norm(x, p, **kw),
    "norm.inf": lambda x, p, **kw: torch.linalg.vector_norm(x, p, **kw),
}

# Calls of which PyTorch has the value, but no derivative.
WITHOUT_DERIVATIVE = {"remainder-5": "PyTorch has none by a divisor that is a tensor"}

COMPARED = [case for case in CASES if case.name not in WITHOUT_COUNTERPART]


def test_every_op_has_a_counterpart_or_a_reason() -> None:
    names = {case.name for case in CASES}
    assert WITHOUT_COUNTERPART.keys() <= names
    missing = [c.name for c in COMPARED if c.torch is None and c.name not in SPECIAL]
    assert not missing
    assert WITHOUT_DERIVATIVE.keys() <= {str(call) for call in DIFFERENTIABLE}
    compared = {case.op for case in COMPARED}
    left = {op.name for op in ops.ALL if op in tt.RULES and op not in compared}
    assert left <= WITHOUT_COUNTERPART.keys()


def tensors(arrays: Iterable[Any], dtype: str) -> tuple[list[tt.Tensor], list[Any]]:
    ours, theirs = [], []
    for array in arrays:
        array = np.asarray(array.astype(dtype))
        ours.append(tt.from_numpy(array.copy(order="K")).requires_grad_())
        theirs.append(torch.from_numpy(array.copy()).requires_grad_())
    return ours, theirs


def plain(array: Any) -> Any:
    return torch.from_numpy(array.copy())


def close(ours: Any, theirs: Any, dtype: str, scale: float = 1.0) -> None:
    rtol = 1e-10 if dtype == "float64" else 2e-5
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=rtol, atol=rtol * scale)


def both(call: OpCall, dtype: str) -> Any:
    ours, theirs = tensors(call.variables, dtype)
    mine = call.run(ours, tt.from_numpy)
    other = call.run(theirs, plain, counterpart(call.case))
    return ours, theirs, mine, other


def each(calls: list[OpCall]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "call", [c for c in calls if c.case.name not in WITHOUT_COUNTERPART], ids=str
    )


@pytest.fixture(autouse=True)
def numbers_are_doubles() -> Iterator[None]:
    """Let a Python number lose no digits where PyTorch is given it as a tensor."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


differentiable = [call for call in DIFFERENTIABLE if str(call) not in WITHOUT_DERIVATIVE]
pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")


@each(calls_of())
def test_values(call: OpCall) -> None:
    for dtype in ("float32", "float64"):
        _, _, mine, other = both(call, dtype)
        assert len(mine) == len(other)
        for a, b in zip(mine, other, strict=True):
            close(a, b, dtype)


@each(differentiable)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients(call: OpCall, dtype: str) -> None:
    ours, theirs, mine, other = both(call, dtype)
    pairs = [(a, b) for a, b in zip(mine, other, strict=True) if a.requires_grad]
    assert all(b.requires_grad for _, b in pairs)
    rng = np.random.default_rng(1)
    seeds = [rng.standard_normal(a.shape).astype(a.dtype) for a, _ in pairs]
    g = tt.grad([a for a, _ in pairs], ours, [tt.tensor(s) for s in seeds], allow_unused=True)
    h = torch.autograd.grad(
        [b for _, b in pairs], theirs, [plain(np.asarray(s)) for s in seeds], allow_unused=True,
        materialize_grads=True,
    )  # fmt: skip
    for a, b in zip(g, h, strict=True):
        assert str(b.dtype) == f"torch.{a.dtype.name}"
        close(a, b, dtype, scale=10.0)


@each([call for call in differentiable if call.case.second_order and call.case.name != "cast"])
def test_second_derivatives(call: OpCall) -> None:
    ours, theirs, mine, other = both(call, "float64")
    a_loss: Any = sum((a * a * a).sum() for a in mine if a.requires_grad)
    b_loss: Any = sum((b * b * b).sum() for b in other if b.requires_grad)
    first = tt.grad(a_loss, ours, create_graph=True, allow_unused=True)
    second = torch.autograd.grad(b_loss, theirs, create_graph=True, materialize_grads=True)
    a_norm: Any = sum((g * g).sum() for g in first)
    b_norm: Any = sum((g * g).sum() for g in second)
    g = [tt.zeros_like(x) for x in ours]
    h = [torch.zeros_like(y) for y in theirs]
    if a_norm.requires_grad:
        g = list(tt.grad(a_norm, ours, allow_unused=True))
    if b_norm.requires_grad:
        h = torch.autograd.grad(b_norm, theirs, materialize_grads=True)
    for a, b in zip(g, h, strict=True):
        close(a, b, "float64", scale=100.0)


# Dtypes, where PyTorch's rules are promised


FLOATS = ["float16", "float32", "float64"]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(FLOATS, FLOATS)))
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "maximum", "pow"])
def test_floating_point_dtypes_promote_alike(name: str, a: str, b: str) -> None:
    x, y = np.array([1.5, 2.0]).astype(a), np.array([0.5, 3.0]).astype(b)
    ours = [tt.from_numpy(x.copy()).requires_grad_(), tt.from_numpy(y.copy()).requires_grad_()]
    theirs = [plain(x).requires_grad_(), plain(y).requires_grad_()]
    out, ref = getattr(tt, name)(*ours), getattr(torch, name)(*theirs)
    assert str(ref.dtype) == f"torch.{out.dtype.name}"
    out.sum().backward()
    ref.sum().backward()
    for own, other in zip(ours, theirs, strict=True):
        assert own.grad is not None
        assert str(other.grad.dtype) == f"torch.{own.grad.dtype.name}"


@pytest.mark.parametrize("scalar", [2, 2.5, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "int32"])
def test_a_python_number_leaves_the_dtype_as_pytorch_does(scalar: Any, dtype: str) -> None:
    x = np.array([1, 2]).astype(dtype)
    out, ref = tt.from_numpy(x) * scalar, plain(x) * scalar
    if dtype.startswith("int") and isinstance(scalar, float):
        assert out.dtype.kind == "f"  # NumPy's promotion: float64 where PyTorch has float32
    else:
        assert str(ref.dtype) == f"torch.{out.dtype.name}"

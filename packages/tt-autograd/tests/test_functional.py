"""grad, vjp, jvp, jacobian, hessian and the checks, against closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_tensor

pytestmark = pytest.mark.module_06

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 3))
X = RNG.standard_normal(3)


def leaf(data: Any) -> tt.Tensor:
    return tt.tensor(data, dtype=tt.float64, requires_grad=True)


def gradient(x: tt.Tensor) -> Any:
    assert x.grad is not None
    return x.grad.item()


def quadratic(x: tt.Tensor) -> tt.Tensor:
    return x @ tt.tensor(A) @ x


def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-10, atol=1e-12)


# grad


def test_grad_to_third_order() -> None:
    x = leaf([0.5, 2.0])
    y = (x**4).sum()
    (first,) = tt.grad(y, x, create_graph=True)
    (second,) = tt.grad(first.sum(), x, create_graph=True)
    (third,) = tt.grad(second.sum(), x)
    close(first, 4 * x.detach().numpy() ** 3)
    close(second, 12 * x.detach().numpy() ** 2)
    close(third, 24 * x.detach().numpy())
    assert not third.requires_grad


def test_grad_of_intermediates_and_of_the_output_itself() -> None:
    x = leaf(3.0)
    y = x * x
    z = y * y
    gz, gy, gx = tt.grad(z, [z, y, x])
    assert (gz.item(), gy.item(), gx.item()) == (1.0, 18.0, 108.0)
    (alone,) = tt.grad(x, x)
    assert alone.item() == 1.0
    assert x.grad is None


def test_grad_of_several_outputs_adds_them_up() -> None:
    x = leaf([1.0, 2.0])
    v = tt.tensor([10.0, 20.0], dtype=tt.float64)
    (g,) = tt.grad([x.sum(), x * x], x, [None, v])
    assert g.tolist() == [21.0, 81.0]
    (g,) = tt.grad((x * x, x * x), (x,), (v, v))
    assert g.tolist() == [40.0, 160.0]
    (g,) = tt.grad(x * 2.0, [x], tt_tensor.ones(2))
    assert g.tolist() == [2.0, 2.0]


def test_grad_walks_no_further_than_the_inputs_need() -> None:
    x = leaf(1.0)
    y = x * 2.0
    z = y * 3.0
    seen: list[str] = []
    x.register_hook(lambda g: seen.append("x"))
    tt.grad(z, y)
    assert not seen


def test_a_gradient_penalty_reaches_the_parameters() -> None:
    def penalty(w: tt.Tensor) -> tt.Tensor:
        x = leaf(X)
        (g,) = tt.grad(((w @ x).tanh()).sum(), x, create_graph=True)
        return (g * g).sum()

    w = leaf(A)
    assert tt.gradcheck(penalty, w)
    penalty(w).backward()
    assert w.grad is not None
    assert not w.grad.requires_grad


def test_backward_with_create_graph_leaves_gradients_with_history() -> None:
    x = leaf(2.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    assert first is not None
    assert first.requires_grad
    x.grad = None
    first.backward()
    assert gradient(x) == 12.0
    (x * x).backward(create_graph=True)  # adds to a gradient without history
    assert gradient(x) == 16.0


def test_unused_inputs() -> None:
    x, other = leaf([1.0]), leaf([[1.0, 2.0]])
    with pytest.raises(RuntimeError, match=r"no output depends on input 1, of shape \(1, 2\)"):
        tt.grad((x * 2.0).sum(), [x, other])
    for create_graph in (False, True):
        _, g = tt.grad((x * 2.0).sum(), [x, other], create_graph=create_graph, allow_unused=True)
        assert g.tolist() == [[0.0, 0.0]]
        assert g.dtype == tt.float64


def test_grad_says_what_is_wrong() -> None:
    x, c = leaf([1.0, 2.0]), tt.ones(2)
    y = x * 2.0
    calls: list[Any] = [
        (c, x, None, RuntimeError, "an output does not require grad"),
        (y.sum(), c, None, RuntimeError, "input 0 does not require grad"),
        (y, x, None, ValueError, "expected a gradient for a tensor of shape"),
        (y, x, tt.ones(3), ValueError, r"expected a gradient of shape \(2,\), got shape \(3,\)"),
        ([y, y], x, tt.ones(2), ValueError, "for each of 2 outputs, got 1"),
        (1.0, x, None, TypeError, "expected outputs to be tensors, got float"),
        (y.sum(), [x, 1.0], None, TypeError, "expected inputs to be tensors, got float"),
    ]
    for outputs, inputs, seeds, kind, says in calls:
        with pytest.raises(kind, match=says):
            tt.grad(outputs, inputs, seeds)


def test_a_graph_is_released_by_grad_unless_retained() -> None:
    x = leaf(2.0)
    y = x * x
    tt.grad(y, x, retain_graph=True)
    tt.grad(y, x)
    with pytest.raises(RuntimeError, match="already passed"):
        tt.grad(y, x)
    (g,) = tt.grad(x * x * x, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="already passed"):
        tt.grad(g, x)


# Products and matrices of derivatives


def test_closed_forms() -> None:
    x, v = tt.tensor(X), tt.tensor(RNG.standard_normal(3))
    out, (g,) = tt.vjp(quadratic, x)
    close(out, X @ A @ X)
    close(g, (A + A.T) @ X)
    _, slope = tt.jvp(quadratic, x, v)
    close(slope, v.numpy() @ (A + A.T) @ X)
    close(tt.hessian(quadratic, x), A + A.T)
    matrix = tt.jacobian(lambda x: tt.tensor(A) @ x.exp(), x)
    assert isinstance(matrix, tt.Tensor)
    close(matrix, A * np.exp(X))
    _, (g,) = tt.vjp(lambda x: tt.tensor(A) @ x.exp(), x, v)
    close(g, (A * np.exp(X)).T @ v.numpy())
    _, slope = tt.jvp(lambda x: tt.tensor(A) @ x.exp(), x, v)
    close(slope, A * np.exp(X) @ v.numpy())


def test_several_inputs_and_shapes() -> None:
    a, b = tt.tensor(A), tt.tensor(X)
    da, db = tt.jacobian(lambda a, b: a @ b, [a, b])
    assert (da.shape, db.shape) == ((3, 3, 3), (3, 3))
    close(da, np.einsum("ij,k->ijk", np.eye(3), X))
    close(db, A)
    _, (ga, gb) = tt.vjp(lambda a, b: a @ b, [a, b], tt.ones(3))
    close(ga, np.ones((3, 1)) * X)
    close(gb, A.sum(0))
    _, slope = tt.jvp(lambda a, b: a @ b, [a, b])
    close(slope, np.ones((3, 3)) @ X + A @ np.ones(3))
    assert tt.hessian(lambda a: (a * a).sum(), a).shape == (3, 3, 3, 3)


def test_constants_and_linear_functions_have_zeros() -> None:
    x = tt.tensor(X)
    close(tt.hessian(lambda x: (x * 3.0).sum(), x), np.zeros((3, 3)))
    close(tt.hessian(lambda x: tt.ones(()), x), np.zeros((3, 3)))
    for constant in (tt.ones(2), tt.ones(0)):
        matrix = tt.jacobian(lambda x, c=constant: c, x)
        assert isinstance(matrix, tt.Tensor)
        close(matrix, np.zeros((constant.numel(), 3)))
    _, (g,) = tt.vjp(lambda x: tt.ones(()), x)
    close(g, np.zeros(3))
    _, slope = tt.jvp(lambda x: tt.ones(2), x)
    close(slope, np.zeros(2))


def test_a_jacobian_can_be_differentiated() -> None:
    def trace(x: tt.Tensor) -> tt.Tensor:
        matrix = tt.jacobian(lambda x: x * x * x, x, create_graph=True)
        assert isinstance(matrix, tt.Tensor)
        return matrix.sum()

    x = leaf(X)
    assert tt.gradcheck(trace, x)
    close(tt.grad(trace(x), x)[0], 6 * X)


def test_they_work_under_no_grad_and_touch_nothing() -> None:
    x = leaf(X)
    with tt.no_grad():
        close(tt.hessian(quadratic, x), A + A.T)
        close(tt.vjp(quadratic, x)[1][0], (A + A.T) @ X)
        tt.jvp(quadratic, x)
        tt.jacobian(quadratic, x)
        assert tt.gradcheck(quadratic, x)
        assert tt.gradgradcheck(quadratic, x)
    assert x.grad is None
    assert x.tolist() == X.tolist()


def test_they_say_what_is_wrong() -> None:
    x = tt.tensor(X)
    number: Any = 3
    word: Any = "up"
    with pytest.raises(ValueError, match=r"hessian: .* one element, got shape \(3,\)"):
        tt.hessian(lambda x: x * x, x)
    with pytest.raises(ValueError, match=r"jvp: expected a direction of shape \(3,\) for input 0"):
        tt.jvp(quadratic, x, tt.ones(2))
    with pytest.raises(TypeError, match="jvp: expected directions to be tensors, got int"):
        tt.jvp(quadratic, x, number)
    with pytest.raises(TypeError, match=r"vjp: expected the gradient to be a tensor, .* got str"):
        tt.vjp(lambda x: x * x, x, word)
    with pytest.raises(ValueError, match="for each of 1 inputs, got 2"):
        tt.jvp(quadratic, x, [x, x])
    with pytest.raises(ValueError, match="vjp: expected a gradient for a tensor"):
        tt.vjp(lambda x: x * 2.0, x)
    functions: list[Any] = [tt.vjp, tt.jvp, tt.jacobian]
    for function in functions:
        with pytest.raises(TypeError, match="expected inputs to be tensors, got float"):
            function(quadratic, 1.0)
        with pytest.raises(TypeError, match="returns a tensor, got float"):
            function(lambda x: 1.0, x)
        with pytest.raises(TypeError, match="floating-point dtype"):
            function(quadratic, tt.ones(3, dtype=tt.int64))


# The checks


class Halved(tt.Function):
    """A derivative that is half of what it should be; its second derivative is right."""

    @staticmethod
    def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> tt.Tensor:
        (x,) = ctx.saved_tensors
        result: tt.Tensor = g * x
        return result


class WrongSecond(tt.Function):
    """A right derivative, of which the next one is wrong."""

    @staticmethod
    def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> tt.Tensor:
        (x,) = ctx.saved_tensors
        result: tt.Tensor = g * 2.0 * x.detach()
        return result


def test_the_checks_catch_what_is_wrong() -> None:
    x = leaf(X)
    with pytest.raises(tt.GradcheckError, match=r"for input 0, of shape \(3,\), backward gives"):
        tt.gradcheck(Halved.apply, x)
    with pytest.raises(tt.GradcheckError, match="for input 1"):
        tt.gradcheck(lambda a, b: a + Halved.apply(b), [x, x])
    with pytest.raises(tt.GradcheckError):
        tt.gradcheck(lambda x: x * x.detach(), x)
    with pytest.raises(tt.GradcheckError):
        tt.gradcheck(lambda x: tt.tensor(x.detach().numpy() ** 2), x)
    assert tt.gradcheck(WrongSecond.apply, x)
    with pytest.raises(tt.GradcheckError):
        tt.gradgradcheck(WrongSecond.apply, x)
    nan = tt.Op("nan", lambda input: input * 2)
    tt.defvjp(nan, input=lambda g: g * np.nan)
    with pytest.raises(tt.GradcheckError):
        tt.gradcheck(nan, x)


def test_the_checks_say_what_they_cannot_check() -> None:
    with pytest.raises(TypeError, match="expected float64 for input 0, got float32"):
        tt.gradcheck(quadratic, tt.ones(3, requires_grad=True))
    with pytest.raises(ValueError, match="at least one input that requires grad"):
        tt.gradcheck(quadratic, tt.tensor(X))


def test_the_checks_pass_over_integers_and_constants() -> None:
    index = tt.tensor([0, 2])

    def run(x: tt.Tensor, i: tt.Tensor, c: tt.Tensor) -> tuple[tt.Tensor, ...]:
        return x[i] * c[i], (x > 0).long(), tt.ones(2, dtype=tt.float64)

    inputs = [leaf(X), index, tt.tensor(X)]
    assert tt.gradcheck(run, inputs)
    assert tt.gradgradcheck(run, inputs)

"""Changes in place: where PyTorch refuses we refuse or are right, where it is right so are we."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import tt_autograd as tt

Case = Callable[[Any, Any, Any], Any]


def saved_by_mul(m: Any, x: Any, w: Any) -> Any:
    y = x * 2.0
    z = y * y
    y.add_(1.0)
    return z.sum()


def saved_output(m: Any, x: Any, w: Any) -> Any:
    y = x.exp()
    y.mul_(2.0)
    return y.sum()


def unsaved(m: Any, x: Any, w: Any) -> Any:
    y = x + 1.0
    z = y + 1.0
    y.mul_(w[0])
    return (z * y).sum()


def row_by_row(m: Any, x: Any, w: Any) -> Any:
    y = x * 1.0
    y[0] += 1.0
    y[:, 1] *= w
    y[1, 1:] = w[:1]
    return (y * y).sum()


def through_a_view(m: Any, x: Any, w: Any) -> Any:
    y = x * 1.0
    y[0].mul_(w[0])
    return (y * y).sum()


def into_a_constant(m: Any, x: Any, w: Any) -> Any:
    y = m.zeros(2, 3, dtype=m.float64)
    y[0] = x[1] * w[0]
    return (y * y).sum()


def view_of_a_constant(m: Any, x: Any, w: Any) -> Any:
    y = m.zeros(2, 3, dtype=m.float64)
    y[1:].add_(x[:1])
    return (y * w[0]).sum()


def a_leaf(m: Any, x: Any, w: Any) -> Any:
    x.mul_(2.0)
    return x.sum()


def a_view_of_a_leaf(m: Any, x: Any, w: Any) -> Any:
    x[0].mul_(2.0)
    return x.sum()


def a_leaf_without_grad(m: Any, x: Any, w: Any) -> Any:
    with m.no_grad():
        x.mul_(2.0)
    return (x * x).sum()


def a_leaf_after_use(m: Any, x: Any, w: Any) -> Any:
    y = (x * x).sum()
    with m.no_grad():
        x.mul_(2.0)
    return y


def detached(m: Any, x: Any, w: Any) -> Any:
    y = x * 1.0
    z = (y * y).sum()
    y.detach().mul_(3.0)
    return z


def masked(m: Any, x: Any, w: Any) -> Any:
    y = x * 1.0
    y[y > 0] = 0.0
    return (y * y).sum()


def view_made_without_grad(m: Any, x: Any, w: Any) -> Any:
    y = x * 1.0
    with m.no_grad():
        v = y[0]
    v.mul_(2.0)
    return (y * y).sum()


def copied(m: Any, x: Any, w: Any) -> Any:
    y = m.zeros(2, 3, dtype=m.float64)
    y.copy_(x)
    y.copy_(w[0] * x)
    return (y * y).sum()


def filled(m: Any, x: Any, w: Any) -> Any:
    y = x * 1.0
    z = y.sin()
    y.fill_(2.0)
    return (z * y).sum()


CASES: list[Case] = [
    saved_by_mul, saved_output, unsaved, row_by_row, through_a_view, into_a_constant,
    view_of_a_constant, a_leaf, a_view_of_a_leaf, a_leaf_without_grad, a_leaf_after_use, detached,
    masked, view_made_without_grad, copied, filled,
]  # fmt: skip


def outcome(module: Any, make: Callable[..., Any], case: Case) -> Any:
    """Return the gradients, or None where they are refused."""
    x = make(np.linspace(-1, 1, 6).reshape(2, 3))
    w = make(np.array([0.5, 1.5]))
    try:
        case(module, x, w).backward()
    except RuntimeError:
        return None
    grads = [leaf.grad for leaf in (x, w)]
    return [np.zeros(0) if g is None else g.detach().numpy() for g in grads]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_gradient_or_a_refusal(case: Case) -> None:
    theirs = outcome(torch, lambda a: torch.from_numpy(a.copy()).requires_grad_(), case)
    ours = outcome(tt, lambda a: tt.from_numpy(a.copy()).requires_grad_(), case)
    if theirs is None:
        # We may know more, as for what is saved as a copy; then finite differences decide.
        assert ours is None or case is view_made_without_grad
    elif ours is not None:
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)


# What PyTorch allows and we refuse: views whose base goes on being used.
REFUSED = {"through_a_view", "view_of_a_constant"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_we_refuse_little_that_pytorch_allows(case: Case) -> None:
    theirs = outcome(torch, lambda a: torch.from_numpy(a.copy()).requires_grad_(), case)
    ours = outcome(tt, lambda a: tt.from_numpy(a.copy()).requires_grad_(), case)
    if theirs is not None:
        assert (ours is None) == (case.__name__ in REFUSED | {"detached"})

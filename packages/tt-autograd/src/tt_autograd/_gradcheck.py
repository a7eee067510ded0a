"""Derivatives held against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor

from ._functional import grad
from ._modes import always_grad, no_grad
from ._tensor import Tensor

Array = NDArray[Any]
Outs = list[Tensor]


class GradcheckError(RuntimeError):
    """A derivative differs from the difference quotient."""


def gradcheck(
    func: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: tt_tensor.Tensor | Sequence[tt_tensor.Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    projections: int = 3,
) -> bool:
    r"""Compare the gradients of ``func`` with difference quotients, along random directions.

    For random ``u`` and ``v`` it compares :math:`v^T J u` from backward with
    :math:`v^T (f(x + \epsilon u) - f(x - \epsilon u)) / 2 \epsilon`, input by input.

    Args:
        func: Takes the inputs, returns a tensor or several.
        inputs: Tensors, of which those of dtype float64 that require grad are checked.
        eps: Half the distance of the difference quotient.
        atol: Allowed absolute difference.
        rtol: Allowed relative difference.
        projections: How many directions to try.

    Returns:
        True.

    Raises:
        GradcheckError: They differ; the message names the input and both values.
        TypeError: A checked input is not float64.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor([1.0, 2.0], dtype=tt.float64, requires_grad=True)
        >>> tt.gradcheck(lambda x: x.exp() * x, x)
        True
    """
    listed = [inputs] if isinstance(inputs, tt_tensor.Tensor) else list(inputs)
    checked = [i for i, t in enumerate(listed) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise ValueError("gradcheck: expected at least one input that requires grad")
    for i in checked:
        if listed[i].dtype != np.float64:
            raise TypeError(
                f"gradcheck: expected float64 for input {i}, got {listed[i].dtype.name}; "
                "differences are too coarse in less"
            )
    rng = np.random.default_rng(0)
    # Fresh leaves of the same layout, so that nothing the caller holds is changed.
    values = [t._array.copy(order="K") for t in listed]

    def run(arrays: Sequence[Array]) -> tuple[Outs, Outs]:
        leaves = [Tensor._wrap(a) for a in arrays]
        for i in checked:
            leaves[i].requires_grad_()
        with always_grad():  # also where only values are asked for: func may take gradients
            result = func(*leaves)
        return (list(result) if isinstance(result, tuple) else [result]), leaves

    for _ in range(projections):
        outs, leaves = run(values)
        tracked = [k for k, out in enumerate(outs) if out.requires_grad]
        vs = [rng.standard_normal(out.shape) for out in outs]
        if tracked:
            analytic = grad(
                [outs[k] for k in tracked],
                [leaves[i] for i in checked],
                [Tensor._wrap(np.asarray(vs[k], outs[k].dtype)) for k in tracked],
                allow_unused=True,
            )
        else:
            analytic = tuple(Tensor._wrap(np.zeros(values[i].shape)) for i in checked)
        for i, g in zip(checked, analytic, strict=True):
            u = rng.standard_normal(values[i].shape)
            u = np.asarray(u / max(float(np.sqrt((u * u).sum())), 1e-30))
            ends = []
            for sign in (1, -1):
                moved = list(values)
                moved[i] = np.asarray(values[i] + sign * eps * u)
                moved_outs, _ = run(moved)
                ends.append([out._array.astype(np.float64) for out in moved_outs])
            numeric = sum(
                float((v * (high - low)).sum()) / (2 * eps)
                for v, high, low in zip(vs, *ends, strict=True)
            )
            exact = float((g._array * u).sum())
            if not abs(numeric - exact) <= atol + rtol * abs(numeric):
                raise GradcheckError(
                    f"gradcheck: for input {i}, of shape {values[i].shape}, backward gives "
                    f"{exact:.8g} along a random direction, the difference quotient {numeric:.8g}"
                )
    return True


def gradgradcheck(
    func: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Tensor | Sequence[Tensor],
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    projections: int = 2,
) -> bool:
    """Compare second derivatives with difference quotients of the first, as `gradcheck` does.

    Raises:
        GradcheckError: They differ.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor([1.0, 2.0], dtype=tt.float64, requires_grad=True)
        >>> tt.gradgradcheck(lambda x: x.exp() * x, x)
        True
    """
    listed = [inputs] if isinstance(inputs, tt_tensor.Tensor) else list(inputs)
    rng = np.random.default_rng(1)
    with no_grad():
        result = func(*listed)
    outs = result if isinstance(result, tuple) else (result,)
    seeds = [
        Tensor._wrap(rng.standard_normal(out.shape)).requires_grad_()
        for out in outs
        if out.is_floating_point()
    ]
    count = len(listed)

    def slopes(*values: Tensor) -> tuple[Tensor, ...]:
        xs, vs = values[:count], values[count:]
        result = func(*xs)
        outs = result if isinstance(result, tuple) else (result,)
        pairs = [
            (out, v)
            for out, v in zip([o for o in outs if o.is_floating_point()], vs, strict=True)
            if out.requires_grad
        ]
        wanted = [x for x in xs if x.requires_grad]
        if not pairs:
            return tuple(x * 0 for x in wanted)
        return grad(
            [out for out, _ in pairs], wanted, [v for _, v in pairs],
            create_graph=True, allow_unused=True,
        )  # fmt: skip

    return gradcheck(slopes, [*listed, *seeds], eps, atol, rtol, projections)

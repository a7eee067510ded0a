"""Gradients kept within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

import tt_tensor
from tt_autograd import Tensor, no_grad

from ._checks import check_number


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    r"""Scale gradients in place so that their norm, taken over all of them, is bounded.

    .. math:: g \leftarrow g \min(1, \mathrm{max\_norm} / (\lVert g \rVert + 10^{-6}))

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013).

    Args:
        parameters: The parameters; those without a gradient are left out.
        max_norm: The largest norm.
        norm_type: The order of the norm, ``inf`` for the largest element.
        error_if_nonfinite: Refuse a norm that is infinite or NaN; otherwise the gradients
            become zero or NaN.

    Returns:
        The norm before scaling, a tensor of no dimensions.

    Raises:
        TypeError: ``max_norm`` or ``norm_type`` is no number.
        ValueError: One is negative, or the norm is not finite and must be.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.zeros(2, requires_grad=True)
        >>> x.grad = tt.tensor([3.0, 4.0])
        >>> clip_grad_norm_([x], max_norm=1.0)
        tensor(5.)
        >>> x.grad
        tensor([0.6000, 0.8000])
    """
    check_number("clip_grad_norm_", "max_norm", max_norm, below=math.nextafter(math.inf, 0))
    if norm_type != math.inf:
        check_number("clip_grad_norm_", "norm_type", norm_type, positive=True)
    grads = _gradients(parameters)
    parts = [grad._array for grad in grads]
    if norm_type == math.inf:
        norm = max((float(np.abs(part).max(initial=0)) for part in parts), default=0.0)
        if any(np.isnan(part).any() for part in parts):
            norm = math.nan
    elif norm_type == 2:
        # Of products that BLAS sums up; in double precision where those overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            squares = sum(float(np.vdot(part, part)) for part in parts if part.dtype.itemsize > 2)
            squares += sum(_sum_of_powers(part, 2.0) for part in parts if part.dtype.itemsize == 2)
            if not math.isfinite(squares):
                squares = sum(_sum_of_powers(part, 2.0) for part in parts)
        norm = math.sqrt(squares)
    else:
        norm = sum(_sum_of_powers(part, norm_type) for part in parts) ** (1.0 / norm_type)
    if error_if_nonfinite and not math.isfinite(norm):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {norm}")
    coefficient = max_norm / (norm + 1e-6)
    if not coefficient >= 1.0:  # NaN too is passed on to the gradients
        with no_grad(), np.errstate(invalid="ignore"):
            for grad in grads:
                grad.mul_(coefficient)
    dtype = np.result_type(*parts) if parts else tt_tensor.get_default_dtype()
    return Tensor._wrap(np.asarray(norm, dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Keep every element of the gradients between ``-clip_value`` and ``clip_value``, in place.

    Args:
        parameters: The parameters; those without a gradient are left out.
        clip_value: The largest absolute value.

    Raises:
        TypeError: ``clip_value`` is no number.
        ValueError: It is negative.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.zeros(2, requires_grad=True)
        >>> x.grad = tt.tensor([3.0, -0.5])
        >>> clip_grad_value_([x], clip_value=1.0)
        >>> x.grad
        tensor([ 1.0000, -0.5000])
    """
    check_number("clip_grad_value_", "clip_value", clip_value)
    with no_grad():
        for grad in _gradients(parameters):
            grad.clip_(-clip_value, clip_value)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Return every gradient once, also if a parameter is given twice."""
    listed = [parameters] if isinstance(parameters, Tensor) else parameters
    found = {id(parameter): parameter.grad for parameter in listed}
    return [grad for grad in found.values() if grad is not None]


def _sum_of_powers(array: np.ndarray, order: float) -> float:
    return float(np.sum(np.abs(array.astype(np.float64)) ** order))

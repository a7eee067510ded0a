"""Reductions: ops that fold dimensions away, and the running sum."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from ._dims import (
    AxisKeepdims,
    Dims,
    OneAxis,
    OneAxisKeepdims,
    choose_dim,
    choose_dim_keepdim,
    wrap_dims,
    wrap_one_dim,
)
from ._op import Array, Op, T, apply, shape_of

_Dims = tuple[int, ...] | None

# Of which NumPy's annotations know keepdims only as a literal.
_add_up: Any = np.add.reduce
_multiply_up: Any = np.multiply.reduce


def _reduce(function: Any) -> Any:
    return lambda input, dim, keepdim: function(input, axis=dim, keepdims=keepdim)


def _sum(input: Array, dim: _Dims, keepdim: bool) -> Any:
    """Add up along some dimensions, of narrow integers in int64."""
    # NumPy adds uint8 up in uint64, which is no dtype of ours.
    dtype = np.int64 if input.dtype == np.uint8 else None
    return _add_up(input, axis=dim, dtype=dtype, keepdims=keepdim)


def _prod(input: Array, dim: _Dims, keepdim: bool) -> Any:
    dtype = np.int64 if input.dtype == np.uint8 else None  # as in _sum
    return _multiply_up(input, axis=dim, dtype=dtype, keepdims=keepdim)


def _mean(input: Array, dim: _Dims, keepdim: bool) -> Any:
    """Average along some dimensions; integers give float64, float16 adds up in float32."""
    return np.mean(input, axis=dim, keepdims=keepdim)


def _cumsum(input: Array, dim: int) -> Array:
    dtype = np.int64 if input.dtype == np.uint8 else None
    return np.cumsum(input, axis=dim, dtype=dtype).reshape(input.shape)


def _index(function: Any) -> Any:
    def kernel(input: Array, dim: int | None, keepdim: bool) -> Array:
        if (input.size if dim is None else input.shape[dim] if input.ndim else 1) == 0:
            raise ValueError("expected at least one element to choose from")
        out: Array = function(input, axis=dim, keepdims=keepdim)
        return out

    return kernel


def _extreme(function: np.ufunc) -> Any:
    def kernel(input: Array, dim: _Dims, keepdim: bool) -> Array:
        sizes = input.shape if dim is None else [input.shape[d] for d in dim]
        if 0 in sizes:
            raise ValueError("expected at least one element along the reduced dimensions")
        return np.asarray(function.reduce(input, axis=dim, keepdims=keepdim))

    return kernel


def _var(input: Array, dim: _Dims, correction: float, keepdim: bool) -> Array:
    """Average the squared distances from the mean, over ``correction`` fewer than there are."""
    return np.asarray(np.var(input, axis=dim, ddof=correction, keepdims=keepdim))


def _std(input: Array, dim: _Dims, correction: float, keepdim: bool) -> Array:
    return np.asarray(np.sqrt(_var(input, dim, correction, keepdim)))


def _logsumexp(input: Array, dim: _Dims, keepdim: bool) -> Array:
    """Return ``log(sum(exp(input)))`` without overflow: the largest value is taken out first."""
    x = input if input.dtype.kind == "f" else input.astype(float)
    top = x.max(axis=dim, keepdims=True, initial=-np.inf)
    top = np.asarray(np.where(np.isfinite(top), top, 0), x.dtype)
    # All -inf gives log(0) = -inf, and inf gives inf; both are meant.
    with np.errstate(divide="ignore", over="ignore"):
        out = np.asarray(np.log(np.exp(x - top).sum(axis=dim, keepdims=True)) + top)
    return out if keepdim else np.squeeze(out, dim)


def _norm(input: Array, p: float, dim: _Dims, keepdim: bool) -> Array:
    x = input if input.dtype.kind == "f" else input.astype(float)
    if p == 2:
        return np.asarray(np.sqrt(np.square(x).sum(axis=dim, keepdims=keepdim)))
    size = np.abs(x)
    if p == 1:
        return np.asarray(size.sum(axis=dim, keepdims=keepdim))
    if p == np.inf:
        return np.asarray(size.max(axis=dim, keepdims=keepdim, initial=0))
    if p > 0:
        return np.asarray((size**p).sum(axis=dim, keepdims=keepdim) ** (1 / p))
    raise ValueError("expected p > 0")


SUM = Op("sum", _sum)
PROD = Op("prod", _prod)
MEAN = Op("mean", _mean)
VAR = Op("var", _var)
STD = Op("std", _std)
MAX = Op("max", _extreme(np.maximum))
MIN = Op("min", _extreme(np.minimum))
ANY = Op("any", _reduce(np.any))
EVERY = Op("all", _reduce(np.all))  # ops.ALL is the tuple of all ops
ARGMAX = Op("argmax", _index(np.argmax))
ARGMIN = Op("argmin", _index(np.argmin))
LOGSUMEXP = Op("logsumexp", _logsumexp)
NORM = Op("norm", _norm)
CUMSUM = Op("cumsum", _cumsum)


def _fold(op: Op, input: T, dim: Dims, keepdim: bool, alias: AxisKeepdims, **params: Any) -> T:
    dim, keepdim = choose_dim_keepdim(op.name, dim, keepdim, alias)
    dims = wrap_dims(op.name, dim, shape_of(op.name, input))
    return apply(op, input, dim=dims, keepdim=keepdim, **params)


def _pick(op: Op, input: T, dim: int | None, keepdim: bool, alias: OneAxisKeepdims) -> T:
    chosen, keepdim = choose_dim_keepdim(op.name, dim, keepdim, alias)
    shape = shape_of(op.name, input)
    at = None if chosen is None else wrap_one_dim(op.name, chosen, shape)
    return apply(op, input, dim=at, keepdim=keepdim)


def sum(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Add up the elements, over all dimensions or those of ``dim``.

    Args:
        input: The values. Integers narrower than int64 and bools add up in int64.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Raises:
        IndexError: A dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.sum(tt.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
        tensor([4., 6.])
    """
    return _fold(SUM, input, dim, keepdim, alias)


def prod(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Multiply the elements, over all dimensions or those of ``dim``.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.prod(tt.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1)
        tensor([ 2., 12.])
    """
    return _fold(PROD, input, dim, keepdim, alias)


def mean(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Average the elements, over all dimensions or those of ``dim``; integers give float64.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.mean(tt.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=1, keepdim=True)
        tensor([[1.5000],
                [3.5000]])
    """
    return _fold(MEAN, input, dim, keepdim, alias)


def var(
    input: T,
    dim: Dims = None,
    *,
    correction: float = 1,
    keepdim: bool = False,
    **alias: Unpack[AxisKeepdims],
) -> T:
    r"""Return the variance, :math:`\frac{1}{N - c} \sum_i (x_i - \bar x)^2`.

    Args:
        input: The values.
        dim: A dimension or several; None means all.
        correction: ``c``: 1 for the unbiased estimate (torch's default), 0 for NumPy's.
        keepdim: Keep reduced dimensions with size 1.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.var(tt.tensor([1.0, 2.0, 3.0]))
        tensor(1.)
    """
    return _fold(VAR, input, dim, keepdim, alias, correction=correction)


def std(
    input: T,
    dim: Dims = None,
    *,
    correction: float = 1,
    keepdim: bool = False,
    **alias: Unpack[AxisKeepdims],
) -> T:
    """Return the standard deviation, the square root of `var`.

    Args:
        input: The values.
        dim: A dimension or several; None means all.
        correction: What is taken off the number of elements: 1 (torch's default) or 0 (NumPy's).
        keepdim: Keep reduced dimensions with size 1.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Raises:
        IndexError: A dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.std(tt.tensor([1.0, 2.0, 3.0]), correction=0)
        tensor(0.8165)
    """
    return _fold(STD, input, dim, keepdim, alias, correction=correction)


def max(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Return the largest values (NumPy's meaning: values only; `argmax` gives the indices).

    Equal largest values share the gradient, as in ``torch.amax``.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Raises:
        ValueError: There is nothing to choose from.

    Example:
        >>> import tt_tensor as tt
        >>> tt.max(tt.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=1)
        tensor([5., 4.])
    """
    return _fold(MAX, input, dim, keepdim, alias)


def min(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Return the smallest values; equal ones share the gradient, as in ``torch.amin``.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.min(tt.tensor([[1.0, 5.0], [3.0, 4.0]]), dim=1)
        tensor([1., 3.])
    """
    return _fold(MIN, input, dim, keepdim, alias)


def any(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Return whether any element is non-zero.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.any(tt.tensor([[True, False], [False, False]]), dim=1)
        tensor([ True, False])
    """
    return _fold(ANY, input, dim, keepdim, alias)


def all(input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]) -> T:
    """Return whether all elements are non-zero.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.all(tt.tensor([[True, True], [False, True]]), dim=1)
        tensor([ True, False])
    """
    return _fold(EVERY, input, dim, keepdim, alias)


def argmax(
    input: T, dim: int | None = None, keepdim: bool = False, **alias: Unpack[OneAxisKeepdims]
) -> T:
    """Return the index of the first largest value, in the flattened tensor or along ``dim``.

    Args:
        input: The values.
        dim: A dimension; None means the flattened tensor. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.argmax(tt.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1)
        tensor([1, 0])
    """
    return _pick(ARGMAX, input, dim, keepdim, alias)


def argmin(
    input: T, dim: int | None = None, keepdim: bool = False, **alias: Unpack[OneAxisKeepdims]
) -> T:
    """Return the index of the first smallest value, in the flattened tensor or along ``dim``.

    Args:
        input: The values.
        dim: A dimension; None means the flattened tensor. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.argmin(tt.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=1)
        tensor([0, 1])
    """
    return _pick(ARGMIN, input, dim, keepdim, alias)


def logsumexp(
    input: T, dim: Dims = None, keepdim: bool = False, **alias: Unpack[AxisKeepdims]
) -> T:
    r"""Return :math:`\log \sum_i e^{x_i}` without overflow.

    Args:
        input: The values.
        dim: A dimension or several; None means all. NumPy's ``axis`` is accepted.
        keepdim: Keep reduced dimensions with size 1. NumPy's ``keepdims`` is accepted.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.logsumexp(tt.tensor([1000.0, 1000.0]), dim=0)
        tensor(1000.6932)
    """
    return _fold(LOGSUMEXP, input, dim, keepdim, alias)


def norm(
    input: T,
    p: float = 2,
    dim: Dims = None,
    keepdim: bool = False,
    **alias: Unpack[AxisKeepdims],
) -> T:
    r"""Return the vector norm :math:`(\sum_i |x_i|^p)^{1/p}`; its derivative at 0 is 0.

    Args:
        input: The values.
        p: Order, above 0; ``float("inf")`` gives the largest absolute value.
        dim: A dimension or several; None means all.
        keepdim: Keep reduced dimensions with size 1.
        **alias: NumPy's names ``axis`` and ``keepdims``.

    Raises:
        ValueError: ``p`` is not above 0.

    Example:
        >>> import tt_tensor as tt
        >>> tt.norm(tt.tensor([3.0, 4.0]))
        tensor(5.)
    """
    return _fold(NORM, input, dim, keepdim, alias, p=p)


def cumsum(input: T, dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    """Return running sums along ``dim``.

    Args:
        input: The values.
        dim: The dimension to run along. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        TypeError: No dimension was given.
        IndexError: The dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.cumsum(tt.tensor([1.0, 2.0, 3.0]), dim=0)
        tensor([1., 3., 6.])
    """
    chosen = choose_dim("cumsum", dim, alias)
    if chosen is None:
        raise TypeError("cumsum: expected dim, the dimension to sum along")
    return apply(CUMSUM, input, dim=wrap_one_dim("cumsum", chosen, shape_of("cumsum", input)))

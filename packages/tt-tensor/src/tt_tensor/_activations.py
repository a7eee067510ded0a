"""Activation functions, each one op that is stable for large values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Unpack

import numpy as np

from ._chunks import in_chunks
from ._dims import OneAxis, choose_dim, wrap_one_dim
from ._erf import erf
from ._op import Array, Op, T, apply, shape_of

_SQRT_HALF = 0.7071067811865476
_SQRT_2_OVER_PI = 0.7978845608028654
GELU_CUBIC = 0.044715
_SHORT = 32  # a last dimension up to this size is faster to reduce as the first one


def _real(input: Array) -> Array:
    return input if input.dtype.kind == "f" else input.astype(float)


def _relu(input: Array) -> Array:
    """Return ``max(x, 0)`` in the dtype of ``x``; bools count as int64. Of NaN, NaN."""
    return np.maximum(input, 0)


def _leaky_relu(input: Array, negative_slope: float) -> Array:
    """Return ``x`` above 0 and ``negative_slope * x`` below, for slopes of any size."""
    x = _real(input)
    if 0 <= negative_slope <= 1:
        return np.maximum(x, x * negative_slope)
    return np.asarray(np.maximum(x, 0) + np.minimum(x, 0) * negative_slope)


def _logistic(x: Array) -> Array:
    """Return ``1 / (1 + e^-x)`` for floats of any size, without a warning."""
    # exp(-x) may overflow to infinity, of which the reciprocal is the 0 that is wanted.
    out = np.asarray(np.negative(x))
    with np.errstate(over="ignore"):
        np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)
    return out


def _sigmoid(input: Array) -> Array:
    return _logistic(_real(input))


def _silu(input: Array) -> Array:
    """Return ``x / (1 + e^-x)``."""
    x = _real(input)
    out = _logistic(x)
    out *= x
    return out


def _gelu_exact(x: Array) -> Array:
    """Return ``x (1 + erf(x / √2)) / 2``."""
    out = np.asarray(erf(x * _SQRT_HALF))
    out += 1
    out *= x
    out *= 0.5
    return out


@cache
def _tanh_numbers(dtype: np.dtype[Any]) -> tuple[Array, ...]:
    """The numbers of the approximation, as arrays: as Python's they cost a small input a third."""
    return tuple(
        np.array(n, dtype) for n in (GELU_CUBIC * _SQRT_2_OVER_PI, _SQRT_2_OVER_PI, 1, 0.5)
    )


def _gelu_tanh(x: Array) -> Array:
    """Return ``x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2``."""
    # Products, not x**3: np.power costs over a hundred times as much.
    cubic, linear, one, half = _tanh_numbers(x.dtype)
    out = np.asarray(x * x)
    out *= cubic
    out += linear
    out *= x
    np.tanh(out, out=out)
    out += one
    out *= x
    out *= half
    return out


def _gelu(input: Array, approximate: str) -> Array:
    x = _real(input)
    if approximate == "none":
        return in_chunks(_gelu_exact, x, x.dtype)
    if approximate == "tanh":
        return in_chunks(_gelu_tanh, x, x.dtype)
    raise ValueError("expected approximate to be 'none' or 'tanh'")


def _softplus(input: Array, beta: float, threshold: float) -> Array:
    def kernel(x: Array) -> Array:
        scaled = np.asarray(x * beta)
        # log(1 + e^s) = max(s, 0) + log(1 + e^-|s|)
        out = np.asarray(np.abs(scaled))
        np.negative(out, out=out)
        np.exp(out, out=out)
        np.log1p(out, out=out)
        out += np.maximum(scaled, 0)
        out /= beta
        np.copyto(out, x, where=scaled > threshold)
        return out

    if not beta > 0:
        raise ValueError("expected beta > 0")
    x = _real(input)
    return in_chunks(kernel, x, x.dtype)


def _elu(input: Array, alpha: float) -> Array:
    def kernel(x: Array) -> Array:
        out = np.asarray(np.minimum(x, 0))
        np.expm1(out, out=out)
        out *= alpha
        out += np.maximum(x, 0)
        return out

    x = _real(input)
    return in_chunks(kernel, x, x.dtype)


def _normalised(kernel: Callable[[Array, int], Array], x: Array, dim: int) -> Array:
    """Run a kernel that reduces along ``dim``, where a short last dimension is made the first.

    NumPy reduces the last dimension row by row, which is slow for rows of a few elements.
    """
    if not x.size:
        return x.copy()
    if x.ndim > 1 and dim == x.ndim - 1 and x.shape[-1] <= _SHORT:
        columns = kernel(np.ascontiguousarray(np.moveaxis(x, -1, 0)), 0)  # (n, ...)
        return np.ascontiguousarray(np.moveaxis(columns, 0, -1))
    return kernel(x, dim)


def _shifted(x: Array, dim: int) -> Array:
    return np.asarray(x - x.max(axis=dim, keepdims=True, initial=-np.inf))


def _softmax_along(x: Array, dim: int) -> Array:
    """Return ``e^x / sum(e^x)`` along a dimension, for floats of any size."""
    out = _shifted(x, dim)
    np.exp(out, out=out)
    out /= out.sum(axis=dim, keepdims=True)
    return out


def _log_softmax_along(x: Array, dim: int) -> Array:
    """Return ``x - log(sum(e^x))`` along a dimension, for floats of any size."""
    out = _shifted(x, dim)
    out -= np.log(np.exp(out).sum(axis=dim, keepdims=True))
    return out


def _softmax(input: Array, dim: int) -> Array:
    return _normalised(_softmax_along, _real(input), dim)


def _log_softmax(input: Array, dim: int) -> Array:
    return _normalised(_log_softmax_along, _real(input), dim)


RELU = Op("relu", _relu)
LEAKY_RELU = Op("leaky_relu", _leaky_relu)
SIGMOID = Op("sigmoid", _sigmoid)
SILU = Op("silu", _silu)
GELU = Op("gelu", _gelu)
SOFTPLUS = Op("softplus", _softplus)
ELU = Op("elu", _elu)
SOFTMAX = Op("softmax", _softmax)
LOG_SOFTMAX = Op("log_softmax", _log_softmax)


def relu(input: T) -> T:
    """Return the positive part, ``max(x, 0)``; the derivative at 0 is 0.

    Example:
        >>> import tt_tensor as tt
        >>> tt.relu(tt.tensor([-1.0, 2.0]))
        tensor([0., 2.])

    References:
        Fukushima, "Visual feature extraction by a multilayered network of analog threshold
        elements", 1969; Nair and Hinton, 2010.
    """
    return apply(RELU, input)


def leaky_relu(input: T, negative_slope: float = 0.01) -> T:
    """Return ``x`` where positive and ``negative_slope * x`` elsewhere.

    Args:
        input: The values.
        negative_slope: The slope below 0.

    Example:
        >>> import tt_tensor as tt
        >>> tt.leaky_relu(tt.tensor([-1.0, 2.0]), 0.1)
        tensor([-0.1000,  2.0000])

    References:
        Maas et al., "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    return apply(LEAKY_RELU, input, negative_slope=negative_slope)


def sigmoid(input: T) -> T:
    """Return the logistic function, ``1 / (1 + e^-x)``, also called the sigmoid.

    Example:
        >>> import tt_tensor as tt
        >>> tt.sigmoid(tt.tensor([0.0, 100.0, -100.0]))
        tensor([0.5000, 1.0000, 0.0000])
    """
    return apply(SIGMOID, input)


def silu(input: T) -> T:
    """Return ``x * sigmoid(x)``, also called swish.

    Example:
        >>> import tt_tensor as tt
        >>> tt.silu(tt.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])

    References:
        Elfwing et al., "Sigmoid-weighted linear units for neural network function
        approximation in reinforcement learning", 2017.
    """
    return apply(SILU, input)


def gelu(input: T, approximate: Literal["none", "tanh"] = "none") -> T:
    r"""Return :math:`x \, \Phi(x)`, with the Gaussian distribution function.

    Args:
        input: The values.
        approximate: ``"none"`` for the exact function, ``"tanh"`` for
            :math:`\frac x 2 (1 + \tanh(\sqrt{2/\pi} (x + 0.044715 x^3)))`.

    Raises:
        ValueError: ``approximate`` is neither.

    Example:
        >>> import tt_tensor as tt
        >>> tt.gelu(tt.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1587,  0.0000,  0.8413])

    References:
        Hendrycks and Gimpel, "Gaussian error linear units", 2016.
    """
    return apply(GELU, input, approximate=approximate)


def softplus(input: T, beta: float = 1.0, threshold: float = 20.0) -> T:
    r"""Return :math:`\frac{1}{\beta} \log(1 + e^{\beta x})`, a smooth `relu`.

    Args:
        input: The values.
        beta: Sharpness.
        threshold: Where ``beta * x`` is above it, the result is ``x`` itself.

    Raises:
        ValueError: ``beta`` is not above 0.

    Example:
        >>> import tt_tensor as tt
        >>> tt.softplus(tt.tensor([0.0, 100.0]))
        tensor([  0.6931, 100.0000])

    References:
        Dugas et al., "Incorporating second-order functional knowledge for better option
        pricing", 2001.
    """
    return apply(SOFTPLUS, input, beta=beta, threshold=threshold)


def elu(input: T, alpha: float = 1.0) -> T:
    """Return ``x`` where positive and ``alpha * (e^x - 1)`` elsewhere.

    Args:
        input: The values.
        alpha: The depth: what is approached far below 0 is ``-alpha``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.elu(tt.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])

    References:
        Clevert et al., "Fast and accurate deep network learning by exponential linear units",
        2015.
    """
    return apply(ELU, input, alpha=alpha)


def _along(op: Op, input: T, dim: int | None, alias: OneAxis) -> T:
    chosen = choose_dim(op.name, dim, alias)
    if chosen is None:
        raise TypeError(f"{op.name}: expected dim, the dimension whose values are normalised")
    return apply(op, input, dim=wrap_one_dim(op.name, chosen, shape_of(op.name, input)))


def softmax(input: T, dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    r"""Return :math:`e^{x_i} / \sum_j e^{x_j}` along ``dim``: positive values that sum to 1.

    Args:
        input: Scores, of any shape.
        dim: The dimension that sums to 1. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        TypeError: No dimension was given.
        IndexError: The dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.softmax(tt.tensor([1000.0, 1000.0]), dim=0)
        tensor([0.5000, 0.5000])
    """
    return _along(SOFTMAX, input, dim, alias)


def log_softmax(input: T, dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    r"""Return :math:`x_i - \log \sum_j e^{x_j}` along ``dim``, the logarithm of `softmax`.

    Args:
        input: Scores, of any shape.
        dim: The dimension whose probabilities sum to 1. NumPy's ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        TypeError: No dimension was given.
        IndexError: The dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.log_softmax(tt.tensor([0.0, 0.0]), dim=0)
        tensor([-0.6931, -0.6931])
    """
    return _along(LOG_SOFTMAX, input, dim, alias)

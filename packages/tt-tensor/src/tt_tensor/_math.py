"""Mathematical functions, elementwise: exponentials, logarithms, roots, angles."""

from __future__ import annotations

import numpy as np

from ._erf import erf as erf_kernel
from ._op import Op, T, apply

EXP = Op("exp", np.exp)
EXPM1 = Op("expm1", np.expm1)
LOG = Op("log", np.log)
LOG1P = Op("log1p", np.log1p)
SQRT = Op("sqrt", np.sqrt)
RSQRT = Op("rsqrt", lambda input: np.true_divide(1, np.sqrt(input)))
SIN = Op("sin", np.sin)
COS = Op("cos", np.cos)
TANH = Op("tanh", np.tanh)
ERF = Op("erf", erf_kernel)


def exp(input: T) -> T:
    """Return e to the power of each element.

    Example:
        >>> import tt_tensor as tt
        >>> tt.exp(tt.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return apply(EXP, input)


def expm1(input: T) -> T:
    """Return ``exp(input) - 1``, exact where ``input`` is small.

    Example:
        >>> import tt_tensor as tt
        >>> tt.expm1(tt.tensor([0.0, 1.0]))
        tensor([0.0000, 1.7183])
    """
    return apply(EXPM1, input)


def log(input: T) -> T:
    """Return the natural logarithm; NaN below zero, -inf at zero, with NumPy's warning.

    Example:
        >>> import tt_tensor as tt
        >>> tt.log(tt.tensor([1.0, 10.0]))
        tensor([0.0000, 2.3026])
    """
    return apply(LOG, input)


def log1p(input: T) -> T:
    """Return ``log(1 + input)``, exact where ``input`` is small.

    Example:
        >>> import tt_tensor as tt
        >>> tt.log1p(tt.tensor([0.0, 1.0]))
        tensor([0.0000, 0.6931])
    """
    return apply(LOG1P, input)


def sqrt(input: T) -> T:
    """Return the square root.

    Example:
        >>> import tt_tensor as tt
        >>> tt.sqrt(tt.tensor([4.0, 9.0]))
        tensor([2., 3.])
    """
    return apply(SQRT, input)


def rsqrt(input: T) -> T:
    """Return the reciprocal of the square root, ``1 / sqrt(input)``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.rsqrt(tt.tensor([4.0, 16.0]))
        tensor([0.5000, 0.2500])
    """
    return apply(RSQRT, input)


def sin(input: T) -> T:
    """Return the sine of angles in radians.

    Example:
        >>> import tt_tensor as tt
        >>> tt.sin(tt.tensor([0.0, 1.5708]))
        tensor([0., 1.])
    """
    return apply(SIN, input)


def cos(input: T) -> T:
    """Return the cosine of angles in radians.

    Example:
        >>> import tt_tensor as tt
        >>> tt.cos(tt.tensor([0.0, 1.0]))
        tensor([1.0000, 0.5403])
    """
    return apply(COS, input)


def tanh(input: T) -> T:
    """Return the hyperbolic tangent, ``(e^x - e^-x) / (e^x + e^-x)``.

    Example:
        >>> import tt_tensor as tt
        >>> tt.tanh(tt.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    return apply(TANH, input)


def erf(input: T) -> T:
    r"""Return the error function, :math:`\frac{2}{\sqrt\pi} \int_0^x e^{-t^2} dt`.

    Example:
        >>> import tt_tensor as tt
        >>> tt.erf(tt.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8427])

    References:
        Cody, "Rational Chebyshev approximations for the error function", 1969.
    """
    return apply(ERF, input)

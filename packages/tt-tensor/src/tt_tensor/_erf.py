"""The error function, which NumPy lacks, to the rounding of float32 and of float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._chunks import in_chunks

Array = NDArray[Any]

# Rational approximations by interval, after W. J. Cody, "Rational Chebyshev approximations for the
# error function" (1969), with the coefficients of the widely used C library implementation.
_NEAR_P = (
    1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
    -5.77027029648944159157e-03, -2.37630166566501626084e-05,
)  # fmt: skip
_NEAR_Q = (
    1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
    1.32494738004321644526e-04, -3.96022827877536812320e-06,
)  # fmt: skip
_ERF_ONE = 8.45062911510467529297e-01
_MID_P = (
    -2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
    3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
    -2.16637559486879084300e-03,
)  # fmt: skip
_MID_Q = (
    1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
    1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02,
)  # fmt: skip
_FAR_P = (
    -9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e01,
    -6.23753324503260060396e01, -1.62396669462573470355e02, -1.84605092906711035994e02,
    -8.12874355063065934246e01, -9.81432934416914548592e00,
)  # fmt: skip
_FAR_Q = (
    1.0, 1.96512716674392571292e01, 1.37657754143519042600e02, 4.34565877475229228821e02,
    6.45387271733267880336e02, 4.29008140027567833386e02, 1.08635005541779435134e02,
    6.57024977031928170135e00, -6.04244152148580987438e-02,
)  # fmt: skip
_TAIL_P = (
    -9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e01,
    -1.60636384855821916062e02, -6.37566443368389627722e02, -1.02509513161107724954e03,
    -4.83519191608651397019e02,
)  # fmt: skip
_TAIL_Q = (
    1.0, 3.03380607434824582924e01, 3.25792512996573918826e02, 1.53672958608443695994e03,
    3.19985821950859553908e03, 2.55305040643316442583e03, 4.74528541206955367215e02,
    -2.24409524465858183362e01,
)  # fmt: skip

# One ratio of polynomials in x*x on [-4, 4] is enough for float32's 24 bits.
_SINGLE_P = (
    -1.60960333262415e-02, -2.95459980854025e-03, -7.34990630326855e-04, -5.69250639462346e-05,
    -2.10102402082508e-06, 2.77068142495902e-08, -2.72614225801306e-10,
)  # fmt: skip
_SINGLE_Q = (
    -1.42647390514189e-02, -7.37332916720468e-03, -1.68282697438203e-03, -2.13374055278905e-04,
    -1.45660718464996e-05,
)  # fmt: skip


def erf(x: Array) -> Array:
    """Return erf of an array of real numbers, in float64 for integers."""
    kind = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    if kind.itemsize > 4:
        return in_chunks(_erf_double, x, kind)
    return in_chunks(_erf_single, x, kind)


def _horner(t: Array, coefficients: tuple[float, ...]) -> Array:
    total = np.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total *= t
        total += coefficient
    return total


def _erf_single(x: Array) -> Array:
    x = np.clip(x, -4.0, 4.0, dtype=np.float32)
    square = x * x
    ratio: Array = _horner(square, _SINGLE_P)
    ratio *= x
    ratio /= _horner(square, _SINGLE_Q)
    return np.clip(ratio, -1.0, 1.0, out=ratio)


def _erf_double(x: Array) -> Array:
    x = x.astype(np.float64, copy=False)
    size = np.abs(x)
    out = np.where(np.isnan(x), np.nan, 1.0)  # |x| >= 6 rounds to 1
    near, mid, far = size < 0.84375, (size >= 0.84375) & (size < 1.25), (size >= 1.25) & (size < 6)
    if near.any():
        t = size[near]
        square = t * t
        out[near] = t + t * (_horner(square, _NEAR_P) / _horner(square, _NEAR_Q))
    if mid.any():
        s = size[mid] - 1.0
        out[mid] = _ERF_ONE + _horner(s, _MID_P) / _horner(s, _MID_Q)
    if far.any():
        t = size[far]
        s = 1.0 / (t * t)
        split = t < 1 / 0.35
        ratio = np.where(
            split,
            _horner(s, _FAR_P) / _horner(s, _FAR_Q),
            _horner(s, _TAIL_P) / _horner(s, _TAIL_Q),
        )
        out[far] = 1.0 - np.exp(-t * t - 0.5625 + ratio) / t
    return np.copysign(out, x)

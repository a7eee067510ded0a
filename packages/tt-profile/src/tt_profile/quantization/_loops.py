"""Products with weights of int8 as loops, for numba to compile.

They read a byte for each weight where a product of floats reads four, which is what a product of a
few rows with a large matrix waits for. With many rows BLAS, after a cast, is faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def float_product(x: Array, weight: Array, out: Array, lo: int, hi: int) -> None:
    """``out = x @ weight.T`` of float32 with int8."""
    for o in range(lo, hi):
        for n in range(x.shape[0]):
            s = np.float32(0)
            for k in range(weight.shape[1]):
                s += x[n, k] * np.float32(weight[o, k])
            out[n, o] = s


def integer_product(x: Array, weight: Array, out: Array, lo: int, hi: int) -> None:
    """``out = x @ weight.T`` of int16 with int8, in int32."""
    for o in range(lo, hi):
        for n in range(x.shape[0]):
            s = np.int32(0)
            for k in range(weight.shape[1]):
                s += np.int32(x[n, k]) * np.int32(weight[o, k])
            out[n, o] = s

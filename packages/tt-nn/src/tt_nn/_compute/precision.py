"""Which precisions kernels take, and compute in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def check_float(input: Array) -> None:
    """Refuse an input that is not floating-point."""
    if input.dtype.kind != "f":
        raise TypeError("expected a floating-point input")


def widen(x: Array) -> Array:
    """Return float16 as float32: sums and exponentials soon leave the range of float16."""
    return x.astype(np.float32) if x.dtype == np.float16 else x

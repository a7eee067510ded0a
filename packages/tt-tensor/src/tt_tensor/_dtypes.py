"""The dtypes of tensors, and how values become arrays of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._modes import get_default_dtype

DType = np.dtype[Any]
DTypeLike = type[np.generic] | type[bool] | type[int] | type[float] | np.dtype[Any] | str

float16: DType = np.dtype(np.float16)
float32: DType = np.dtype(np.float32)
float64: DType = np.dtype(np.float64)
int8: DType = np.dtype(np.int8)
int16: DType = np.dtype(np.int16)
int32: DType = np.dtype(np.int32)
int64: DType = np.dtype(np.int64)
uint8: DType = np.dtype(np.uint8)
bool_: DType = np.dtype(np.bool_)

DTYPES: tuple[DType, ...] = (
    float16, float32, float64, int8, int16, int32, int64, uint8, bool_,
)  # fmt: skip
_NAMES = ", ".join(d.name for d in DTYPES)


def check_dtype(name: str, dtype: DTypeLike) -> DType:
    """Return a dtype that tensors have, in native byte order.

    Raises:
        TypeError: It is none of them.
    """
    if dtype is float:
        return get_default_dtype()
    try:
        if dtype is None:  # which NumPy takes for float64
            raise TypeError
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: {dtype!r} is no dtype; expected one of {_NAMES}") from None
    native = found.newbyteorder("=")
    if native not in DTYPES:
        raise TypeError(f"{name}: dtype {found.name} is not supported; expected one of {_NAMES}")
    return native


def check_array(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in native byte order, sharing memory where it already is.

    Raises:
        TypeError: Its dtype is none that tensors have.
    """
    dtype = array.dtype
    if dtype in DTYPES and dtype.isnative:
        return array
    return array.astype(check_dtype(name, dtype))


def make_array(name: str, data: Any, dtype: DTypeLike | None) -> NDArray[Any]:
    """Copy numbers, nested lists, arrays or tensors into a new array.

    Python floats become the default dtype, ints int64, bools bool; arrays, NumPy scalars and
    tensors keep their dtype.

    Raises:
        TypeError: The data are not numbers, or the dtype is not supported.
        ValueError: Nested lists differ in length.
    """
    wanted = None if dtype is None else check_dtype(name, dtype)
    inner = data
    while isinstance(inner, list | tuple) and inner:
        inner = inner[0]
    if isinstance(data, list | tuple) and hasattr(inner, "_array"):
        data = _arrays_within(data)
    data, inner = getattr(data, "_array", data), getattr(inner, "_array", inner)
    try:
        array = np.array(data)
    except (ValueError, TypeError):
        raise ValueError(
            f"{name}: expected nested sequences of equal lengths, got lengths that differ"
        ) from None
    if isinstance(inner, int) and (array.dtype.kind == "O" or array.dtype == np.uint64):
        raise OverflowError(f"{name}: an int among the values does not fit dtype int64")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: expected real numbers, got {type(inner).__name__}")
    if wanted is None and not isinstance(inner, np.generic | np.ndarray):
        wanted = get_default_dtype() if array.dtype.kind == "f" or not array.size else None
    return check_array(name, array) if wanted is None else cast(name, array, wanted)


def _arrays_within(data: Any) -> Any:
    if isinstance(data, list | tuple):
        return [_arrays_within(part) for part in data]
    return getattr(data, "_array", data)


def cast(name: str, array: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """Return values in another dtype, refusing an integer dtype that does not hold them.

    Raises:
        OverflowError: A value lies outside the range of the integer dtype.
    """
    if dtype.kind in "iu" and array.dtype.kind in "iuf" and array.size:
        limits = np.iinfo(dtype)
        low, high = array.min().item(), array.max().item()
        if array.dtype.kind == "f" and np.isfinite([low, high]).all():
            low, high = int(low), int(high)  # cut, as the cast does
        if not (limits.min <= low and high <= limits.max):  # so that NaN is refused too
            raise OverflowError(
                f"{name}: values from {low} to {high} do not fit dtype {dtype.name} "
                f"({limits.min} to {limits.max})"
            )
    return array.astype(dtype, copy=False)

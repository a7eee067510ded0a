"""Dimensions as users name them: torch's ``dim`` and NumPy's ``axis``, negative or not."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

Dims = int | Sequence[int] | None
Size = int | Sequence[int]


class Axis(TypedDict, total=False):
    """NumPy's name for ``dim``."""

    axis: Dims


class OneAxis(TypedDict, total=False):
    """NumPy's name for a ``dim`` that is one dimension."""

    axis: int | None


class AxisKeepdims(TypedDict, total=False):
    """NumPy's names for ``dim`` and ``keepdim``."""

    axis: Dims
    keepdims: bool


class OneAxisKeepdims(TypedDict, total=False):
    """NumPy's names for a single ``dim`` and ``keepdim``."""

    axis: int | None
    keepdims: bool


def choose_dim(name: str, dim: Dims, alias: Axis | OneAxis) -> Dims:
    """Return ``dim`` or its alias ``axis``, whichever was given.

    Raises:
        TypeError: Both were given, or another keyword argument.
    """
    if not alias:
        return dim
    unknown = alias.keys() - {"axis"}
    if unknown:
        raise TypeError(f"{name}: unexpected keyword argument {min(unknown)!r}")
    if dim is not None:
        raise TypeError(f"{name}: dim and axis are two names of one argument; give one of them")
    return alias["axis"]


def choose_dim_keepdim(
    name: str, dim: Dims, keepdim: bool, alias: AxisKeepdims | OneAxisKeepdims
) -> tuple[Dims, bool]:
    """Return ``dim`` and ``keepdim``, given under their own names or as axis and keepdims."""
    if not alias:
        return dim, keepdim
    kept = alias.get("keepdims", keepdim)
    rest = {key: value for key, value in alias.items() if key != "keepdims"}
    return choose_dim(name, dim, rest), kept  # type: ignore[arg-type]  # its keys are checked


def as_int(name: str, what: str, value: object) -> int:
    """Return an argument that must be an integer.

    Raises:
        TypeError: It is none.
    """
    try:
        return operator.index(value)  # type: ignore[arg-type]  # refused just below
    except TypeError:
        raise TypeError(
            f"{name}: expected {what} to be an int, got {type(value).__name__} {value!r}"
        ) from None


def wrap_one_dim(name: str, dim: Dims, shape: tuple[int, ...]) -> int:
    """Return ``dim`` counted from the front.

    Of a shape without dimensions 0 and -1 are accepted, as if there were one.

    Args:
        name: The function's name, for errors.
        dim: The dimension, counted from either end.
        shape: The shape that it is one of.

    Raises:
        TypeError: ``dim`` is not an integer; `as_int` says so.
        IndexError: ``dim`` is out of range; the error says what is in range, as in ``"sum: dim 3 is
            out of range for shape (4, 5, 6); expected -3 to 2"``.

    Example:
        >>> wrap_one_dim("sum", -1, (4, 5, 6)), wrap_one_dim("sum", -1, ())
        (2, 0)
    """
    index = as_int(name, "dim", dim)
    ndim = len(shape)
    limit = ndim or 1  # a tensor without dimensions takes 0 and -1, as torch's does
    if not -limit <= index < limit:
        raise IndexError(
            f"{name}: dim {index} is out of range for shape {shape}; "
            f"expected {-limit} to {limit - 1}"
        )
    return index + limit if index < 0 else index


def wrap_dim_of_rows(name: str, dim: Dims, shape: tuple[int, ...]) -> int:
    """Return ``dim`` counted from the front, of a tensor that must have dimensions.

    Raises:
        IndexError: ``dim`` is out of range, or there are no dimensions.
    """
    if not shape:
        raise IndexError(f"{name}: expected a tensor with at least one dimension")
    return wrap_one_dim(name, dim, shape)


def wrap_dims(name: str, dim: Dims, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return dimensions counted from the front; None stays None and means all of them.

    Raises:
        TypeError: A dimension is not an integer.
        IndexError: A dimension is out of range.
        ValueError: A dimension is named twice.
    """
    if dim is None:
        return None
    wanted = dim if isinstance(dim, Sequence) else (dim,)
    dims = tuple(wrap_one_dim(name, d, shape) for d in wanted)
    if len(set(dims)) < len(dims):
        raise ValueError(f"{name}: dim {tuple(wanted)} names a dimension twice")
    return dims if shape else None


def sizes(name: str, shape: tuple[Size, ...]) -> tuple[int, ...]:
    """Return a shape given as separate ints or as one sequence.

    Raises:
        TypeError: A size is not an integer.
    """
    listed: Any = shape
    if len(shape) == 1 and type(shape[0]) is not int and isinstance(shape[0], Iterable):
        listed = shape[0]
    try:
        return tuple(operator.index(n) for n in listed)
    except TypeError:
        raise TypeError(f"{name}: expected ints, got {listed!r}") from None

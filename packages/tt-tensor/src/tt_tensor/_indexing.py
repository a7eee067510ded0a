"""Indexing: reading and writing places, gathering from them and adding to them."""

from __future__ import annotations

import math
import operator
from types import EllipsisType
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias, Unpack

import numpy as np
from numpy.typing import NDArray

from ._dims import OneAxis, choose_dim, wrap_dim_of_rows, wrap_one_dim
from ._dtypes import make_array
from ._op import Array, Op, T, apply, shape_of

if TYPE_CHECKING:
    from ._tensor import Tensor

_Part: TypeAlias = "SupportsIndex | slice | EllipsisType | Tensor | NDArray[Any] | list[Any] | None"
Index: TypeAlias = "_Part | tuple[_Part, ...]"
_RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def plain_index(index: Index, name: str = "getitem") -> Any:
    """Return an index as NumPy takes it: tensors and lists become arrays.

    Raises:
        IndexError: A part is no index.
    """
    if isinstance(index, tuple):
        return tuple([_plain_part(part, name) for part in index])
    return _plain_part(index, name)


def _plain_part(part: Any, name: str) -> Any:
    if part is None or part is Ellipsis or isinstance(part, slice | bool | np.bool_):
        return part
    if isinstance(part, list):
        part = make_array(name, part, None if part else np.int64)
    array = getattr(part, "_array", part)
    if isinstance(array, np.ndarray) and (array.ndim or array.dtype.kind not in "iu"):
        if array.dtype.kind not in "iub":
            raise IndexError(
                f"{name}: expected an index of integers or bools, got dtype {array.dtype.name}"
            )
        return array
    try:
        return operator.index(array)
    except TypeError:
        raise IndexError(
            f"{name}: expected ints, slices, None, ..., or tensors of integers or bools as an "
            f"index, got {type(part).__name__} {part!r}"
        ) from None


def is_basic(index: Any) -> bool:
    """Return whether an index selects a view: ints, slices, None and Ellipsis only."""
    parts = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(part, np.ndarray | bool | np.bool_) for part in parts)


def _explain_index(input: Array, index: Any) -> str | None:
    """Say which part of an index does not fit the array."""
    parts = list(index) if isinstance(index, tuple) else [index]
    used = [_width(part) for part in parts]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        return "'...' only once"
    if dots:
        used[dots[0]] = 0
        used[dots[0]] = max(input.ndim - sum(used), 0)
    if sum(used) > input.ndim:
        return f"{sum(used)} indices for {input.ndim} dimension{'s' * (input.ndim != 1)}"
    dim = 0
    for part, width in zip(parts, used, strict=True):
        if _is_mask(part) and part.shape != input.shape[dim : dim + width]:
            sizes = input.shape[dim : dim + width]
            return f"a mask of shape {part.shape} does not fit dimensions of sizes {sizes}"
        if width == 1 and isinstance(part, int | np.ndarray) and not _is_mask(part):
            try:
                _check_index(np.asarray(part), input.shape[dim], dim)
            except IndexError as error:
                return str(error)
        dim += width
    shapes = [part.shape for part in parts if isinstance(part, np.ndarray)]
    return f"index arrays of shapes {' and '.join(map(str, shapes))} do not broadcast"


def _getitem(input: Array, index: Any) -> Array:
    out: Array = input[index]
    return out


def _setitem(input: Array, value: Any, index: Any) -> Array:
    out = input.copy()
    store(out, value, index)
    return out


def store(target: Array, value: Any, index: Any) -> None:
    """Write ``value`` at ``index``, refusing casts that lose the kind of number."""
    if not isinstance(value, np.ndarray | bool | int | float):
        raise TypeError("expected a tensor, an array or a number as the value")
    dtype = value.dtype if isinstance(value, np.ndarray) else np.result_type(value)
    if type(value) is int and value in (0, 1):
        dtype = np.dtype(bool)  # 0 and 1 are what bools are written as
    if dtype.kind == "O":
        raise OverflowError("an int that does not fit int64")
    if _RANK[dtype.kind] > _RANK[target.dtype.kind]:
        raise TypeError(f"expected a value that {target.dtype.name} can hold; use .to(...) first")
    target[index] = value


def _explain_setitem(input: Array, value: Any, index: Any) -> str | None:
    try:
        place = input[index].shape
    except IndexError:
        return _explain_index(input, index)
    given = np.shape(value)
    try:
        np.broadcast_to(value, place)
    except ValueError:
        return f"a value of shape {given} does not broadcast to the indexed place of shape {place}"
    return None


def _unindex(input: Array, index: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, input.dtype)
    if is_basic(index):
        out[index] = input
    else:
        add_at(out, index, input)
    return out


def add_at(target: Array, index: Any, values: Array) -> None:
    """Add ``values`` at ``index`` of a contiguous array; places named twice receive both.

    ``np.add.at`` is fast on flat arrays only, so the index is turned into flat places: those of
    rows, the trailing dimensions that the index leaves whole, and of the elements within.
    """
    parts = index if isinstance(index, tuple) else (index,)
    whole = any(part is Ellipsis for part in parts)
    depth = target.ndim if whole else sum(map(_width, parts))
    rows, width = target.shape[:depth], math.prod(target.shape[depth:])
    places = np.arange(math.prod(rows)).reshape(rows)[index]
    if depth < target.ndim:
        places = places[..., None] * width + np.arange(width)  # (..., width)
    np.add.at(target.reshape(-1), places.reshape(-1), values.reshape(-1))


def _width(part: Any) -> int:
    """Return how many dimensions a part of an index speaks for."""
    if part is None or isinstance(part, bool | np.bool_):
        return 0
    return part.ndim if _is_mask(part) else 1


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == bool


def _check_index(index: Array, size: int, dim: int) -> None:
    if index.dtype.kind not in "iu":
        raise TypeError(f"expected an index of integers, got dtype {index.dtype.name}")
    if index.size and (index.min() < -size or index.max() >= size):
        worst = int(index.min() if index.min() < -size else index.max())
        raise IndexError(f"index {worst} is out of range for dimension {dim} of size {size}")


def _check_beside(input: Array, index: Array, dim: int) -> None:
    if index.ndim != input.ndim:
        raise ValueError("expected input and index with the same number of dimensions")
    for d, (n, most) in enumerate(zip(index.shape, input.shape, strict=True)):
        if d != dim and n > most:
            raise ValueError(f"index has size {n} in dimension {d}, input only {most}")


def _places(index: Array, dim: int) -> tuple[Array, ...]:
    """Return the index tuple that addresses ``index`` along ``dim`` and itself elsewhere."""
    places: list[Array] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    places[dim] = index
    return tuple(places)


def _gather(input: Array, index: Array, dim: int) -> Array:
    _check_beside(input, index, dim)
    _check_index(index, input.shape[dim] if input.ndim else 1, dim)
    return np.asarray(input[_places(index, dim)]) if input.ndim else input.copy()


def _scatter_add(input: Array, index: Array, src: Array, dim: int) -> Array:
    _check_beside(input, index, dim)
    _check_index(index, input.shape[dim] if input.ndim else 1, dim)
    if src.shape != index.shape:
        raise ValueError("expected src of the shape of index")
    out = input.astype(np.result_type(input, src), order="C")
    if input.ndim:
        add_at(out, _places(index, dim), src)
    else:
        out += src
    return out


def _take(input: Array, index: Array) -> Array:
    flat = input.reshape(-1)
    _check_index(index, flat.size, 0)
    return np.asarray(flat[index])


def _index_select(input: Array, index: Array, dim: int) -> Array:
    _check_index(index, input.shape[dim], dim)
    return np.take(input, index, axis=dim)


def _one_hot(input: Array, num_classes: int) -> Array:
    if input.dtype.kind not in "iu":
        raise TypeError("expected class indices of an integer dtype")
    low, high = (int(input.min()), int(input.max())) if input.size else (0, -1)
    classes = high + 1 if num_classes == -1 else num_classes
    if low < 0 or high >= classes:
        allowed = "of at least 0" if num_classes == -1 else f"from 0 to {classes - 1}"
        raise ValueError(f"expected classes {allowed}, got {low} to {high}")
    out = np.zeros((*input.shape, classes), np.int64)
    flat = input.reshape(-1).astype(np.int64)
    out.reshape(-1)[np.arange(flat.size) * classes + flat] = 1
    return out


GETITEM = Op("getitem", _getitem, explain=_explain_index)
SETITEM = Op("setitem", _setitem, ("input", "value"), into=store, explain=_explain_setitem)
UNINDEX = Op("unindex", _unindex)
GATHER = Op("gather", _gather, ("input", "index"))
SCATTER_ADD = Op("scatter_add", _scatter_add, ("input", "index", "src"))
TAKE = Op("take", _take, ("input", "index"))
INDEX_SELECT = Op("index_select", _index_select, ("input", "index"))
ONE_HOT = Op("one_hot", _one_hot)


def getitem(input: T, index: Index) -> T:
    """Read elements: ``input[index]``, with NumPy's basic, boolean and advanced indexing.

    Args:
        input: The values.
        index: Ints, slices, None, ``...``, tensors of integers or bools, or a tuple of these.

    Returns:
        A view for ints, slices, None and ``...``; else a copy.

    Raises:
        IndexError: The index is out of range, has too many parts, or is no index.

    Example:
        >>> import tt_tensor as tt
        >>> tt.getitem(tt.tensor([1, 2, 3]), slice(1, None))
        tensor([2, 3])
    """
    return apply(GETITEM, input, index=plain_index(index))


def gather(input: T, dim: int, index: T) -> T:
    """Pick elements along ``dim``: ``out[i][j] = input[index[i][j]][j]`` for ``dim`` 0.

    Args:
        input: The values.
        dim: The dimension to pick along.
        index: Integers; as many dimensions as ``input``.

    Raises:
        IndexError: An index is out of range.
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_tensor as tt
        >>> tt.gather(tt.tensor([[1, 2], [3, 4]]), 1, tt.tensor([[1], [0]]))
        tensor([[2],
                [3]])
    """
    return apply(GATHER, input, index, dim=wrap_one_dim("gather", dim, shape_of("gather", input)))


def scatter_add(input: T, dim: int, index: T, src: T) -> T:
    """Add ``src`` at places: ``out[index[i][j]][j] += src[i][j]`` for ``dim`` 0.

    Args:
        input: The values that are added to; they stay as they are.
        dim: The dimension that ``index`` is a place in.
        index: Integers; as many dimensions as ``input``.
        src: What is added, of the shape of ``index``.

    Raises:
        IndexError: An index is out of range.
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_tensor as tt
        >>> tt.scatter_add(tt.zeros(3), 0, tt.tensor([0, 2, 2]), tt.tensor([1.0, 2.0, 3.0]))
        tensor([1., 0., 5.])
    """
    at = wrap_one_dim("scatter_add", dim, shape_of("scatter_add", input))
    return apply(SCATTER_ADD, input, index, src, dim=at)


def take(input: T, index: T, dim: int | None = None, **alias: Unpack[OneAxis]) -> T:
    """Pick elements of the flattened tensor, or slices along ``dim``.

    Args:
        input: The values.
        index: Integers, of any shape.
        dim: The dimension that ``index`` takes the place of; None flattens the tensor. NumPy's
            ``axis`` is accepted.
        **alias: NumPy's name ``axis``.

    Raises:
        IndexError: An index or the dimension is out of range.

    Example:
        >>> import tt_tensor as tt
        >>> tt.take(tt.tensor([[1, 2], [3, 4]]), tt.tensor([0, 3]))
        tensor([1, 4])
    """
    chosen = choose_dim("take", dim, alias)
    if chosen is None:
        return apply(TAKE, input, index)
    at = wrap_dim_of_rows("take", chosen, shape_of("take", input))
    return apply(INDEX_SELECT, input, index, dim=at)


def index_select(input: T, dim: int, index: T) -> T:
    """Pick whole slices along ``dim``.

    Args:
        input: The values.
        dim: The dimension to pick along.
        index: Integers, one dimension.

    Raises:
        IndexError: An index is out of range.
        ValueError: The index has more than one dimension.

    Example:
        >>> import tt_tensor as tt
        >>> tt.index_select(tt.tensor([[1, 2], [3, 4]]), 0, tt.tensor([1, 1]))
        tensor([[3, 4],
                [3, 4]])
    """
    at = wrap_dim_of_rows("index_select", dim, shape_of("index_select", input))
    ndim = len(shape_of("index_select", index))
    if ndim != 1:
        raise ValueError(f"index_select: expected an index of one dimension, got {ndim}; see take")
    return apply(INDEX_SELECT, input, index, dim=at)


def one_hot(input: T, num_classes: int = -1) -> T:
    """Turn class indices into rows of int64 with a single one.

    Args:
        input: Integers from 0.
        num_classes: The length of a row; -1 means one more than the largest index.

    Raises:
        TypeError: The dtype is not an integer one.
        ValueError: An index is negative or too large.

    Example:
        >>> import tt_tensor as tt
        >>> tt.one_hot(tt.tensor([0, 2]))
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    return apply(ONE_HOT, input, num_classes=num_classes)

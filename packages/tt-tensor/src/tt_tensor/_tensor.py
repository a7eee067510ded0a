"""The tensor: an n-dimensional array of one dtype, whose every computation is an op."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from . import (
    _activations,
    _arithmetic,
    _arranging,
    _indexing,
    _linalg,
    _logic,
    _math,
    _reductions,
    _shaping,
    _sorting,
)
from ._dims import wrap_dim_of_rows
from ._dtypes import DTypeLike, check_array, check_dtype, make_array
from ._format import format_tensor
from ._op import Op, Operand, shape_of
from ._operators import Operators

_NO_PARAMS: dict[str, Any] = {}
Number = bool | int | float


class Tensor(Operators):
    """An n-dimensional array of numbers of one dtype.

    Values only: gradients are what ``tt_autograd.Tensor`` adds.

    Args:
        data: Numbers, nested lists, an array or a tensor; copied. Python floats become the
            default dtype (float32 unless set), ints int64, bools bool; arrays and tensors
            keep their dtype.
        dtype: Another dtype to hold them in: float16, float32, float64, int8 to int64,
            uint8 or bool.

    Raises:
        TypeError: The data are not numbers, or the dtype is not supported.
        ValueError: Nested lists differ in length.

    Example:
        >>> import tt_tensor as tt
        >>> tt.Tensor([[1.0, 2.0], [3.0, 4.0]]) @ tt.Tensor([1.0, 1.0])
        tensor([3., 7.])
    """

    __slots__ = ("_array",)
    __array_ufunc__ = None  # so that ndarray + Tensor asks the tensor
    __hash__ = object.__hash__  # == compares elementwise, so a tensor is found by identity

    _array: NDArray[Any]

    def __init__(self, data: Any, dtype: DTypeLike | None = None) -> None:
        self._array = make_array("Tensor", data, dtype)

    @classmethod
    def _wrap(cls, array: NDArray[Any]) -> Self:
        """Make a tensor around an array, without a copy or a check."""
        made = object.__new__(cls)
        made._array = array
        return made

    @classmethod
    def _apply(cls, op: Op, inputs: tuple[Any, ...], params: dict[str, Any] = _NO_PARAMS) -> Self:
        """Run ``op``: the one point through which everything that computes goes.

        A subclass overrides it to see, or to record, every op. If an input is of a subclass,
        that class's ``_apply`` runs.
        """
        arrays: list[Any] = []
        for value in inputs:
            kind = type(value)
            if kind is cls:
                arrays.append(value._array)
            elif isinstance(value, Tensor) and issubclass(kind, cls):
                return kind._apply(op, inputs, params)
            else:
                arrays.append(as_operand(op, value))
        return cls._wrap(op.run(tuple(arrays), params))

    def _apply_inplace(
        self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any] = _NO_PARAMS
    ) -> Self:
        """Run ``op`` on this tensor and ``inputs`` and keep the result in this tensor's memory."""
        for value in inputs:
            if isinstance(value, Tensor) and type(value) is not type(self):
                try:
                    value.numpy()  # a class that records refuses where that would lose history
                except RuntimeError:
                    raise RuntimeError(
                        f"{op.name}_: a plain tensor keeps no history, so it cannot take in the "
                        "values of one that requires grad; make a new tensor, or detach() them"
                    ) from None
        arrays = (self._array, *[as_operand(op, v) for v in inputs])
        op.run_into(self._array, arrays, params)
        return self

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self._array.shape

    @property
    def ndim(self) -> builtins.int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
        return self._array.dtype

    @property
    def nbytes(self) -> builtins.int:
        """Bytes that the elements take."""
        return self._array.nbytes

    def dim(self) -> builtins.int:
        """Return the number of dimensions."""
        return self._array.ndim

    def numel(self) -> builtins.int:
        """Return the number of elements."""
        return self._array.size

    @overload
    def size(self) -> tuple[builtins.int, ...]: ...
    @overload
    def size(self, dim: builtins.int) -> builtins.int: ...
    def size(self, dim: builtins.int | None = None) -> tuple[builtins.int, ...] | builtins.int:
        """Return the shape, or the size of dimension ``dim``."""
        if dim is None:
            return self._array.shape
        return self.shape[wrap_dim_of_rows("size", dim, self.shape)]

    def stride(self) -> tuple[builtins.int, ...]:
        """Return how many elements apart neighbours along each dimension lie in memory."""
        return tuple(s // self._array.itemsize for s in self._array.strides)

    def is_contiguous(self) -> builtins.bool:
        """Return whether the elements lie in memory in row-major order."""
        return self._array.flags.c_contiguous

    def is_floating_point(self) -> builtins.bool:
        """Return whether the dtype is float16, float32 or float64."""
        return self._array.dtype.kind == "f"

    def __len__(self) -> builtins.int:
        if not self._array.ndim:
            raise TypeError("len: a tensor without dimensions has no length")
        return len(self._array)

    def __repr__(self) -> str:
        return format_tensor(self._array, *self._notes())

    def _repr_html_(self) -> str:
        from ._html import html_of_tensor  # only notebooks ask for it

        return html_of_tensor(self._array, type(self).__name__, self._notes())

    def _notes(self) -> tuple[str, ...]:
        """Return what there is to say beside the values, for a subclass that has more to it."""
        return ()

    # Into Python and NumPy, and out again

    def numpy(self) -> NDArray[Any]:
        """Return the array that shares this tensor's memory."""
        return self._array

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers; a number without dimensions."""
        return self._array.tolist()

    def item(self) -> builtins.bool | builtins.int | builtins.float:
        """Return the only element as a Python number.

        Raises:
            ValueError: There is not exactly one element.
        """
        if self._array.size != 1:
            raise ValueError(f"item: expected one element, got a tensor of shape {self.shape}")
        value: builtins.bool | builtins.int | builtins.float = self._array.item()
        return value

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: builtins.bool | None = None
    ) -> NDArray[Any]:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: {array.dtype} becomes {dtype} only by a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        return self.numpy().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __bool__(self) -> builtins.bool:
        if self._array.size != 1:
            raise ValueError(
                f"bool: a tensor of shape {self.shape} is neither true nor false; "
                "use .any() or .all()"
            )
        return bool(self._array.item())

    def __int__(self) -> builtins.int:
        return int(self.item())

    def __float__(self) -> builtins.float:
        return float(self.item())

    def __index__(self) -> builtins.int:
        if self._array.dtype.kind not in "iu" or self._array.size != 1:
            raise TypeError(
                f"index: expected one integer, got {self._array.dtype.name} {self.shape}"
            )
        return int(self._array.item())

    def __format__(self, spec: str) -> str:
        if not spec:
            return repr(self)
        if self._array.size != 1:
            raise ValueError(
                f"format: {spec!r} formats one number, and the tensor has shape {self.shape}"
            )
        return format(self._array.item(), spec)

    def __iter__(self) -> Iterator[Self]:
        if not self._array.ndim:
            raise TypeError("iter: a tensor without dimensions has no rows to go over")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> builtins.bool:
        return bool(self.eq(value).any().item())

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self._array))

    def __copy__(self) -> Self:
        return self._wrap(self._array)

    def __deepcopy__(self, memo: dict[builtins.int, Any]) -> Self:
        return self._wrap(self._array.copy())

    # Indexing

    def __getitem__(self, index: _indexing.Index) -> Self:
        return self._apply(_indexing.GETITEM, (self,), {"index": _indexing.plain_index(index)})

    def __setitem__(self, index: _indexing.Index, value: Operand) -> None:
        plain = _indexing.plain_index(index, "setitem")
        self._apply_inplace(_indexing.SETITEM, (value,), {"index": plain})

    # In place, by torch's names

    def add_(self, other: Operand, *, alpha: Number = 1) -> Self:
        """Add ``alpha * other`` in place."""
        return self._apply_inplace(_arithmetic.ADD, (self._times(other, alpha),))

    def sub_(self, other: Operand, *, alpha: Number = 1) -> Self:
        """Subtract ``alpha * other`` in place."""
        return self._apply_inplace(_arithmetic.SUB, (self._times(other, alpha),))

    def _times(self, other: Operand, alpha: Number) -> Operand:
        if isinstance(other, bool | int | float):
            return other * alpha
        return other if alpha == 1 else self._apply(_arithmetic.MUL, (other, alpha))

    def mul_(self, other: Operand) -> Self:
        """Multiply by ``other`` in place."""
        return self._apply_inplace(_arithmetic.MUL, (other,))

    def div_(self, other: Operand) -> Self:
        """Divide by ``other`` in place."""
        return self._apply_inplace(_arithmetic.DIV, (other,))

    def pow_(self, exponent: Operand) -> Self:
        """Raise to a power in place."""
        return self._apply_inplace(_arithmetic.POW, (exponent,))

    def clip_(self, min: Operand | None = None, max: Operand | None = None) -> Self:
        """Limit values to a range in place."""
        return self._apply_inplace(_arithmetic.CLIP, (min, max))

    clamp_ = clip_

    def copy_(self, source: Operand) -> Self:
        """Overwrite the values with those of ``source``, which broadcasts."""
        return self._apply_inplace(_indexing.SETITEM, (source,), {"index": ...})

    def fill_(self, value: Number) -> Self:
        """Overwrite every value with one number."""
        return self._apply_inplace(_indexing.SETITEM, (value,), {"index": ...})

    def zero_(self) -> Self:
        """Overwrite every value with zero."""
        return self.fill_(0)

    # Conversion

    def to(self, dtype: DTypeLike) -> Self:
        """Return the values in another dtype; the tensor itself if it has that dtype."""
        chosen = check_dtype("to", dtype)
        if chosen == self._array.dtype:
            return self
        return self._apply(_arithmetic.CAST, (self,), {"dtype": chosen})

    def type_as(self, other: Tensor) -> Self:
        """Return the values in the dtype of another tensor."""
        shape_of("type_as", other)  # refuses what is no tensor
        return self.to(other.dtype)

    def contiguous(self) -> Self:
        """Return the values in row-major order: the tensor itself if they are, else a copy."""
        return self if self.is_contiguous() else self.clone()

    @property
    def T(self) -> Self:
        """The tensor with its dimensions in reverse order."""
        return self._apply(_shaping.PERMUTE, (self,), {"dims": tuple(range(self.ndim))[::-1]})

    @property
    def mT(self) -> Self:
        """The tensor with its last two dimensions swapped."""
        return _shaping.transpose(self, -2, -1)

    # The functions of this package as methods: x.exp() is exp(x)

    add = _arithmetic.add
    sub = _arithmetic.sub
    mul = _arithmetic.mul
    div = _arithmetic.div
    floor_divide = _arithmetic.floor_divide
    remainder = _arithmetic.remainder
    pow = _arithmetic.pow
    maximum = _arithmetic.maximum
    minimum = _arithmetic.minimum
    eq = _logic.eq
    ne = _logic.ne
    lt = _logic.lt
    le = _logic.le
    gt = _logic.gt
    ge = _logic.ge
    logical_and = _logic.logical_and
    logical_or = _logic.logical_or
    logical_xor = _logic.logical_xor
    logical_not = _logic.logical_not
    bitwise_and = _logic.bitwise_and
    bitwise_or = _logic.bitwise_or
    bitwise_xor = _logic.bitwise_xor
    bitwise_not = _logic.bitwise_not
    neg = _arithmetic.neg
    abs = _arithmetic.abs
    sign = _arithmetic.sign
    floor = _arithmetic.floor
    ceil = _arithmetic.ceil
    round = _arithmetic.round
    exp = _math.exp
    expm1 = _math.expm1
    log = _math.log
    log1p = _math.log1p
    sqrt = _math.sqrt
    rsqrt = _math.rsqrt
    square = _arithmetic.square
    reciprocal = _arithmetic.reciprocal
    sin = _math.sin
    cos = _math.cos
    tanh = _math.tanh
    erf = _math.erf
    isnan = _logic.isnan
    isinf = _logic.isinf
    isfinite = _logic.isfinite
    clip = _arithmetic.clip
    clone = _arithmetic.clone
    relu = _activations.relu
    leaky_relu = _activations.leaky_relu
    sigmoid = _activations.sigmoid
    silu = _activations.silu
    gelu = _activations.gelu
    softplus = _activations.softplus
    elu = _activations.elu
    softmax = _activations.softmax
    log_softmax = _activations.log_softmax
    sum = _reductions.sum
    prod = _reductions.prod
    mean = _reductions.mean
    var = _reductions.var
    std = _reductions.std
    max = _reductions.max
    min = _reductions.min
    any = _reductions.any
    all = _reductions.all
    argmax = _reductions.argmax
    argmin = _reductions.argmin
    logsumexp = _reductions.logsumexp
    norm = _reductions.norm
    cumsum = _reductions.cumsum
    reshape = _shaping.reshape
    view = _shaping.view
    flatten = _shaping.flatten
    unflatten = _shaping.unflatten
    permute = _shaping.permute
    transpose = _shaping.transpose
    swapaxes = _shaping.swapaxes
    squeeze = _shaping.squeeze
    unsqueeze = _shaping.unsqueeze
    expand = _shaping.expand
    broadcast_to = _shaping.broadcast_to
    split = _arranging.split
    chunk = _arranging.chunk
    unbind = _arranging.unbind
    pad = _arranging.pad
    flip = _arranging.flip
    roll = _arranging.roll
    tile = _arranging.tile
    repeat = _arranging.repeat
    gather = _indexing.gather
    scatter_add = _indexing.scatter_add
    take = _indexing.take
    index_select = _indexing.index_select
    one_hot = _indexing.one_hot
    argsort = _sorting.argsort
    sort = _sorting.sort
    topk = _sorting.topk
    tril = _linalg.tril
    triu = _linalg.triu
    matmul = _linalg.matmul
    dot = _linalg.dot
    outer = _linalg.outer
    clamp = _arithmetic.clip
    amax = _reductions.max
    amin = _reductions.min

    def where(self, condition: Tensor, other: Operand) -> Self:
        """Keep the values where ``condition`` holds and take ``other`` elsewhere."""
        return self._apply(_logic.WHERE, (condition, self, other))

    def masked_fill(self, mask: Tensor, value: Number) -> Self:
        """Return ``value`` where ``mask`` holds and the tensor's own values elsewhere."""
        return self._apply(_logic.WHERE, (mask, value, self))

    # Casts last: from here on these names of Python's mean the methods

    def double(self) -> Self:
        """Return the values as float64."""
        return self.to(np.float64)

    def half(self) -> Self:
        """Return the values as float16."""
        return self.to(np.float16)

    def long(self) -> Self:
        """Return the values as int64."""
        return self.to(np.int64)

    def float(self) -> Self:
        """Return the values as float32."""
        return self.to(np.float32)

    def int(self) -> Self:
        """Return the values as int32."""
        return self.to(np.int32)

    def bool(self) -> Self:
        """Return the values as bool: whether each is non-zero."""
        return self.to(np.bool_)


def as_operand(op: Op, value: object) -> object:
    """Return what a kernel takes in the place of ``value``: an array, or a Python scalar.

    Raises:
        TypeError: It is neither a tensor nor an array nor a number.
    """
    if isinstance(value, Tensor):
        return value._array
    if value is None or type(value) in (bool, int, float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return check_array(op.name, np.asarray(value))
    if isinstance(value, int | float):
        return value
    raise TypeError(
        f"{op.name}: expected a tensor, an array or a number, got {type(value).__name__}"
    )


def _rebuild(kind: type[Tensor], array: NDArray[np.generic]) -> Tensor:
    return kind._wrap(array)

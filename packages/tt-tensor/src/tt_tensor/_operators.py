"""Python's operators on tensors: each is an op by its sign."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import _arithmetic, _linalg, _logic
from ._op import Op, Operand

_COMPARABLE = (np.ndarray, bool, int, float, np.generic)


class Operators:
    """What a class of tensors is given by its operators, once it can run ops."""

    __slots__ = ()

    if TYPE_CHECKING:

        @classmethod
        def _apply(cls, op: Op, inputs: tuple[Any, ...], params: dict[str, Any] = ...) -> Self: ...

        def _apply_inplace(
            self, op: Op, inputs: tuple[Any, ...], params: dict[str, Any] = ...
        ) -> Self: ...

    def __add__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.ADD, (self, other))

    def __radd__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.ADD, (other, self))

    def __iadd__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.ADD, (other,))

    def __sub__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.SUB, (self, other))

    def __rsub__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.SUB, (other, self))

    def __isub__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.SUB, (other,))

    def __mul__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.MUL, (self, other))

    def __rmul__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.MUL, (other, self))

    def __imul__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.MUL, (other,))

    def __truediv__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.DIV, (self, other))

    def __rtruediv__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.DIV, (other, self))

    def __itruediv__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.DIV, (other,))

    def __floordiv__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.FLOOR_DIVIDE, (self, other))

    def __rfloordiv__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.FLOOR_DIVIDE, (other, self))

    def __ifloordiv__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.FLOOR_DIVIDE, (other,))

    def __mod__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.REMAINDER, (self, other))

    def __rmod__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.REMAINDER, (other, self))

    def __imod__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.REMAINDER, (other,))

    def __pow__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.POW, (self, other))

    def __rpow__(self, other: Operand) -> Self:
        return self._apply(_arithmetic.POW, (other, self))

    def __ipow__(self, other: Operand) -> Self:
        return self._apply_inplace(_arithmetic.POW, (other,))

    def __matmul__(self, other: Operand) -> Self:
        return self._apply(_linalg.MATMUL, (self, other))

    def __rmatmul__(self, other: Operand) -> Self:
        return self._apply(_linalg.MATMUL, (other, self))

    def __and__(self, other: Operand) -> Self:
        return self._apply(_logic.BITWISE_AND, (self, other))

    def __rand__(self, other: Operand) -> Self:
        return self._apply(_logic.BITWISE_AND, (other, self))

    def __iand__(self, other: Operand) -> Self:
        return self._apply_inplace(_logic.BITWISE_AND, (other,))

    def __or__(self, other: Operand) -> Self:
        return self._apply(_logic.BITWISE_OR, (self, other))

    def __ror__(self, other: Operand) -> Self:
        return self._apply(_logic.BITWISE_OR, (other, self))

    def __ior__(self, other: Operand) -> Self:
        return self._apply_inplace(_logic.BITWISE_OR, (other,))

    def __xor__(self, other: Operand) -> Self:
        return self._apply(_logic.BITWISE_XOR, (self, other))

    def __rxor__(self, other: Operand) -> Self:
        return self._apply(_logic.BITWISE_XOR, (other, self))

    def __ixor__(self, other: Operand) -> Self:
        return self._apply_inplace(_logic.BITWISE_XOR, (other,))

    def __neg__(self) -> Self:
        return self._apply(_arithmetic.NEG, (self,))

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._apply(_arithmetic.ABS, (self,))

    def __invert__(self) -> Self:
        return self._apply(_logic.BITWISE_NOT, (self,))

    def __lt__(self, other: Operand) -> Self:
        return self._apply(_logic.LT, (self, other))

    def __le__(self, other: Operand) -> Self:
        return self._apply(_logic.LE, (self, other))

    def __gt__(self, other: Operand) -> Self:
        return self._apply(_logic.GT, (self, other))

    def __ge__(self, other: Operand) -> Self:
        return self._apply(_logic.GE, (self, other))

    def __eq__(self, other: object) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        if not isinstance(other, (Operators, *_COMPARABLE)):
            return NotImplemented
        return self._apply(_logic.EQ, (self, other))

    def __ne__(self, other: object) -> Self:  # type: ignore[override]  # elementwise, as in NumPy
        if not isinstance(other, (Operators, *_COMPARABLE)):
            return NotImplemented
        return self._apply(_logic.NE, (self, other))

    __hash__ = object.__hash__  # == compares elementwise, so a tensor is found by identity

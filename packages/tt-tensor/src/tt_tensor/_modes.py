"""Modes that hold for the current thread or task: the default dtype and who is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ._op import Op

_FLOATS = tuple(np.dtype(name) for name in ("float16", "float32", "float64"))
_FLOAT32 = np.dtype(np.float32)
_default_dtype: ContextVar[np.dtype[Any]] = ContextVar("default_dtype", default=_FLOAT32)


def get_default_dtype() -> np.dtype[Any]:
    """Return the dtype that Python floats become, float32 unless set.

    Example:
        >>> import tt_tensor as tt
        >>> tt.get_default_dtype()
        dtype('float32')
    """
    return _default_dtype.get()


def set_default_dtype(dtype: type[np.generic] | np.dtype[Any] | str) -> None:
    """Set the dtype that Python floats become in this thread or task.

    Args:
        dtype: float16, float32 or float64.

    Raises:
        TypeError: The dtype is not a floating-point one.

    Example:
        >>> import tt_tensor as tt
        >>> tt.set_default_dtype("float64")
        >>> tt.get_default_dtype()
        dtype('float64')
        >>> tt.set_default_dtype("float32")
    """
    if not _is_float(dtype):
        raise TypeError(f"set_default_dtype: expected float16, float32 or float64, got {dtype!r}")
    _default_dtype.set(np.dtype(dtype))


def _is_float(dtype: object) -> bool:
    # A dtype equals its type and its name, and None too, which NumPy takes for float64.
    return dtype is not None and dtype in _FLOATS


class OpEvent(NamedTuple):
    """One op that ran, as an observer sees it.

    Attributes:
        op: The op; ``op.name`` is its name.
        inputs: Arrays and Python scalars the kernel was given; in the backward phase, the
            gradient of the op's output and then what the forward pass kept for its derivative.
        output: The array the kernel returned; None in the backward phase.
        params: The op's keyword parameters, such as ``dim``.
        phase: ``"forward"``, or ``"backward"`` for all vector-Jacobian products of one node.
        seconds: Wall time of the kernel.
        shapes: Shapes of the forward inputs; ``()`` for a scalar, and in the backward phase for an
            input that needs no gradient.
        needs: Which inputs were given a gradient, in the backward phase.
        number: The number of the node, in the backward phase: nodes are numbered as they are made.
    """

    op: Op
    inputs: tuple[Any, ...]
    output: NDArray[Any] | None
    params: dict[str, Any]
    phase: Literal["forward", "backward"]
    seconds: float
    shapes: tuple[tuple[int, ...], ...]
    needs: tuple[bool, ...] = ()
    number: int = 0


Observer = Callable[[OpEvent], None]

# None while no one watches, so that an op pays for one look-up only.
observers: ContextVar[tuple[Observer, ...] | None] = ContextVar("observers", default=None)


@contextmanager
def observe(callback: Observer) -> Iterator[None]:
    """Call ``callback`` with an `OpEvent` after every op that runs inside the block.

    Args:
        callback: Takes one `OpEvent`. It is called in the thread or task that entered the block.

    Example:
        >>> import tt_tensor as tt
        >>> names = []
        >>> with tt.observe(lambda event: names.append(event.op.name)):
        ...     _ = tt.ones(2).exp() + 1
        >>> names
        ['exp', 'add']
    """
    token = observers.set((*(observers.get() or ()), callback))
    try:
        yield
    finally:
        observers.reset(token)

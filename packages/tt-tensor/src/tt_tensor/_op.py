"""An op: a named kernel on NumPy arrays. Whatever computes on tensors is one of these."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._modes import OpEvent, observers

if TYPE_CHECKING:
    from ._tensor import Tensor

Array = NDArray[Any]
Scalar = bool | int | float
# What stands beside a tensor in arithmetic.
Operand: TypeAlias = "Tensor | NDArray[Any] | np.generic | bool | int | float"
T = TypeVar("T", bound="Tensor")

# What NumPy raises on arguments that do not fit (AxisError is an IndexError and a ValueError), and
# what a kernel does that was given a number where it takes an array.
_USER_ERRORS = (ValueError, TypeError, IndexError, OverflowError, AttributeError)


class Op:
    """A named forward kernel on arrays.

    Calling an op on arrays runs its kernel; calling it on tensors runs it through
    ``Tensor._apply``, so that a formula written with ops holds for both.

    Args:
        name: The name that errors, observers and derivative tables use.
        forward: Kernel: arrays (and Python scalars) in, keyword parameters, one array out.
        inputs: Names of the kernel's array arguments. A single name that starts with ``*``
            stands for any number of them.
        recorded: The kernel to run when the result will be differentiated. It returns the
            output and one more value, of any type, that is kept for the derivative under
            the name ``aux``. Without it, ``forward`` serves both.
        into: The kernel that leaves its result in the memory of its first argument, for an op
            that would be wasteful as a copy.
        explain: Says what was expected, from the same arguments as ``forward``, once the
            kernel has refused them; None leaves NumPy's own words.

    Example:
        >>> import tt_tensor as tt
        >>> import numpy as np
        >>> cube = tt.Op("cube", lambda input: input * input * input)
        >>> cube(np.array([1.0, 2.0]))
        array([1., 8.])
    """

    __slots__ = ("explain", "forward", "inputs", "into", "name", "recorded")

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        inputs: tuple[str, ...] = ("input",),
        *,
        recorded: Callable[..., tuple[Any, Any]] | None = None,
        into: Callable[..., None] | None = None,
        explain: Callable[..., str | None] | None = None,
    ) -> None:
        self.name = name
        self.forward = forward
        self.inputs = inputs
        self.recorded = recorded
        self.into = into
        self.explain = explain

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        for value in inputs:
            run = getattr(value, "_apply", None)
            if run is not None:
                return run(self, inputs, params)
        return self.forward(*inputs, **params)

    def run(self, arrays: tuple[Any, ...], params: dict[str, Any]) -> Array:
        """Run the kernel on arrays, tell observers, and word its errors."""
        watching = observers.get()
        start = perf_counter() if watching else 0.0
        try:
            out = self.forward(*arrays, **params)
        except _USER_ERRORS as error:
            raise self.error(error, arrays, params) from None
        if type(out) is not np.ndarray:
            out = np.asarray(out)
        if watching:
            self.announce(watching, arrays, out, params, perf_counter() - start)
        return out  # type: ignore[no-any-return]  # np.asarray of a kernel's Any

    def run_recorded(self, arrays: tuple[Any, ...], params: dict[str, Any]) -> tuple[Array, Any]:
        """Run the kernel that also keeps a value for the derivative."""
        if self.recorded is None:
            return self.run(arrays, params), None
        watching = observers.get()
        start = perf_counter() if watching else 0.0
        try:
            out, aux = self.recorded(*arrays, **params)
        except _USER_ERRORS as error:
            raise self.error(error, arrays, params) from None
        if type(out) is not np.ndarray:
            out = np.asarray(out)
        if watching:
            self.announce(watching, arrays, out, params, perf_counter() - start)
        return out, aux

    def run_into(self, target: Array, arrays: tuple[Any, ...], params: dict[str, Any]) -> None:
        """Run the kernel and leave its result in ``target``, whose shape and dtype stay."""
        if not target.flags.writeable:
            raise ValueError(
                f"{self.name}_: the tensor's memory is read-only (an expanded view, or an array "
                "that was handed in read-only); clone() it first"
            )
        if self.into is not None:
            watching = observers.get()
            start = perf_counter() if watching else 0.0
            try:
                self.into(*arrays, **params)
            except _USER_ERRORS as error:
                raise self.error(error, arrays, params) from None
            if watching:
                self.announce(watching, arrays, target, params, perf_counter() - start)
            return
        if type(self.forward) is np.ufunc and observers.get() is None:
            try:
                self.forward(*arrays, out=target)
            except _USER_ERRORS:
                pass  # worded below, by the step that fails
            else:
                return
        result = self.run(arrays, params)
        if result.shape != target.shape:
            raise ValueError(
                f"{self.name}_: a result of shape {result.shape} cannot be stored in place "
                f"in a tensor of shape {target.shape}"
            )
        if not np.can_cast(result.dtype, target.dtype, "same_kind"):
            raise TypeError(
                f"{self.name}_: a result of dtype {result.dtype.name} cannot be stored in place "
                f"in a tensor of dtype {target.dtype.name}; write x = x.to(...) first"
            )
        np.copyto(target, result, casting="same_kind")

    def announce(
        self,
        watching: tuple[Callable[[OpEvent], None], ...],
        arrays: tuple[Any, ...],
        out: Array,
        params: dict[str, Any],
        seconds: float,
    ) -> None:
        """Tell every observer that the kernel ran."""
        shapes = tuple(np.shape(value) for value in arrays)
        event = OpEvent(self, tuple(arrays), out, params, "forward", seconds, shapes)
        for callback in watching:
            callback(event)

    def error(self, error: Exception, arrays: tuple[Any, ...], params: dict[str, Any]) -> Exception:
        """Word ``error`` as this op's own: what was expected, and what it was given."""
        text = None
        if isinstance(error, AttributeError):
            if all(isinstance(value, np.ndarray) for value in arrays):
                return error
            error, text = TypeError(), "expected tensors only"
        elif type(self.forward) is np.ufunc and isinstance(error, TypeError):
            text = f"not defined for {' and '.join(map(_kind, arrays))}"
        elif self.explain is not None:
            with suppress(*_USER_ERRORS):  # of arguments too odd to explain
                text = self.explain(*arrays, **params)
        kind: type[Exception] = next(
            k for k in (IndexError, OverflowError, TypeError, ValueError) if isinstance(error, k)
        )
        return kind(f"{self.name}: {text or error}; got {self.describe(arrays, params)}")

    def describe(self, arrays: tuple[Any, ...], params: dict[str, Any]) -> str:
        """Name the arguments of a call with their dtypes, shapes and values."""
        names = self.inputs
        if names[0].startswith("*"):
            names = tuple(f"{names[0][1:]}[{i}]" for i in range(len(arrays)))
        parts = [f"{name} {_brief(value)}" for name, value in zip(names, arrays, strict=False)]
        parts += [f"{name}={_brief(value)}" for name, value in params.items()]
        return ", ".join(parts)


def _kind(value: Any) -> str:
    return value.dtype.name if isinstance(value, np.ndarray) else type(value).__name__


def _brief(value: Any) -> str:
    """Show an argument in an error: arrays by dtype and shape, also inside a tuple."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {value.shape}"
    if isinstance(value, tuple):
        parts = ", ".join(map(_brief, value))
        return f"({parts},)" if len(value) == 1 else f"({parts})"
    return value.name if isinstance(value, np.dtype) else repr(value)


def apply(op: Op, input: T, *others: Any, **params: Any) -> T:
    """Run ``op`` on tensors, scalars and arrays, in the class of the most derived tensor."""
    run: Callable[..., T]
    if hasattr(input, "_apply"):
        run = input._apply
    else:
        first = next((value for value in others if hasattr(value, "_apply")), None)
        if first is None:
            raise _not_a_tensor(op.name, input)
        run = first._apply
    return run(op, (input, *others), params)


def shape_of(name: str, input: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor, or refuse what is none in the name of a function."""
    if not hasattr(input, "_apply"):
        raise _not_a_tensor(name, input)
    return input.shape


def _not_a_tensor(name: str, value: Any) -> TypeError:
    kind = type(value).__name__
    return TypeError(f"{name}: expected a Tensor, got {kind}; wrap the value in tensor(...)")


def binary(name: str, forward: Callable[..., Any]) -> Op:
    """Make an op of two inputs that broadcast."""
    return Op(name, forward, ("input", "other"), explain=explain_broadcast)


def explain_broadcast(*inputs: Any, **_: Any) -> str | None:
    """Say which dimension keeps shapes from broadcasting; None if that is not the trouble.

    It is the first one, counted from the end; its sizes other than 1 are named in ascending order,
    the shapes in the order of the inputs. Of shapes (5, 2, 3) and (4, 1, 1) it says ``"shapes
    (5, 2, 3) and (4, 1, 1) do not broadcast: counted from the end, dimension -3 is 4 and 5, and
    only sizes of 1 stretch"``.

    Args:
        *inputs: Arrays or numbers, two or more.
        **_: Parameters of the op, which do not matter.
    """
    shapes = [np.shape(value) for value in inputs]
    for depth in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-depth] for shape in shapes if len(shape) >= depth} - {1}
        if len(sizes) > 1:
            listed = " and ".join(map(str, shapes))
            return (
                f"shapes {listed} do not broadcast: counted from the end, dimension -{depth} "
                f"is {' and '.join(map(str, sorted(sizes)))}, and only sizes of 1 stretch"
            )
    return None

"""Computation with a backward of its own: recomputed segments and users' functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ReferenceType, ref

import numpy as np

import tt_tensor
from tt_tensor import default_generator

from ._modes import always_grad, is_grad_enabled, no_grad, replaying
from ._tape import Segment, SegmentOutput, Value, changes, next_number
from ._tensor import Tensor


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """Run ``function`` without keeping what its backward needs, and run it again in backward.

    Memory for time: only the arguments are kept. The default generator is set back for the
    second run, so that dropout drops the same.

    Args:
        function: Takes the arguments; returns a tensor or a tuple of tensors.
        *args: Tensors and anything else.

    Returns:
        What ``function`` returns.

    Raises:
        RuntimeError: From backward, if the second run returns other shapes than the first, or
            would work with values that were changed in place since.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor(2.0, requires_grad=True)
        >>> tt.checkpoint(lambda x: x * x * x, x).backward()
        >>> x.grad
        tensor(12.)

    References:
        Chen et al., "Training deep nets with sublinear memory cost", 2016.
    """
    if not is_grad_enabled():
        return function(*args)
    nodes = [arg._node if isinstance(arg, Tensor) else None for arg in args]
    held = [arg.detach() if isinstance(arg, Tensor) else arg for arg in args]
    state = default_generator().get_state()
    started = next_number()
    with no_grad():
        result = function(*args)
    shapes = [out.shape for out in _as_tuple("checkpoint", result)]

    def expand(given: dict[int, Value], record: bool) -> Any:
        for value in held:
            if isinstance(value, Tensor):
                change = changes.find(value._array, started)
                if change is not None:
                    raise RuntimeError(
                        f"backward of checkpoint needs an argument of shape {value.shape} that "
                        f"{change} changed in place since; change a clone() instead, or run "
                        "backward first"
                    )
        again = []
        for value, node in zip(held, nodes, strict=True):
            if isinstance(value, Tensor):
                value = Tensor._wrap(value._array)
                value._node = node
            again.append(value)
        generator = default_generator()
        now = generator.get_state()
        generator.set_state(state)
        token = replaying.set((started, next_number()))
        try:
            with always_grad():
                outs = _as_tuple("checkpoint", function(*again))
        finally:
            replaying.reset(token)
            generator.set_state(now)
        if [out.shape for out in outs] != shapes:
            raise RuntimeError(
                f"checkpoint: the second run of {_name(function)} returned shapes "
                f"{[out.shape for out in outs]}, the first {shapes}"
            )
        return [(outs[k]._node, g) for k, g in given.items() if outs[k]._node is not None]

    return _attach(Segment("checkpoint", expand), result)


class FunctionContext:
    """What a `Function`'s forward leaves for its backward.

    Attributes:
        needs_input_grad: Which arguments need a gradient.
    """

    def __init__(self, name: str, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._name = name
        self._number = 0
        self._saved: tuple[Tensor | None, ...] = ()
        self._segment: ReferenceType[Segment] | None = None
        self._results: dict[int, int] = {}  # which output a saved tensor is

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, guarded against changes in place."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward: expected tensors or None, got {type(tensor).__name__}; "
                    "keep other values as attributes of ctx"
                )
        self._saved = tensors
        self._number = next_number()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were kept.

        Raises:
            RuntimeError: One of them was changed in place since.
        """
        for tensor in self._saved:
            if tensor is not None:
                change = changes.find(tensor._array, self._number)
                if change is not None:
                    raise RuntimeError(
                        f"backward of {self._name} needs a saved tensor of shape {tensor.shape} "
                        f"that {change} changed in place since; change a clone() instead, or run "
                        "backward first"
                    )
        return tuple(self._with_history(i, tensor) for i, tensor in enumerate(self._saved))

    def _with_history(self, i: int, tensor: Tensor | None) -> Tensor | None:
        """Return a saved tensor; if it is an output, as the result of this very function."""
        segment = self._segment() if self._segment is not None else None
        if tensor is None or segment is None or i not in self._results:
            return tensor
        made = Tensor._wrap(tensor._array)
        for alive in segment.outputs:
            output = alive()
            if output is not None and output.index == self._results[i]:
                made._node = output
        return made

    def _attached(self, segment: Segment, outs: tuple[Any, ...]) -> None:
        """Note which saved tensors are outputs, and of which segment."""
        self._segment = ref(segment)
        places = {id(out): k for k, out in enumerate(outs)}
        self._results = {
            i: places[id(tensor)] for i, tensor in enumerate(self._saved) if id(tensor) in places
        }


class Function:
    """An op of the user's own, with its backward.

    Subclasses define two static methods: ``forward(ctx, *args)``, which computes with tensors
    and may keep values in ``ctx``, and ``backward(ctx, *grad_outputs)``, which returns a gradient
    (or None) for each argument. Call ``apply``, not ``forward``. If backward is made of ops, it
    can itself be differentiated.

    Example:
        >>> import tt_autograd as tt
        >>> class Cube(tt.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         (x,) = ctx.saved_tensors
        ...         return g * 3 * x * x
        >>> x = tt.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor(12.)
    """

    @staticmethod
    def forward(ctx: FunctionContext, *args: Any) -> Any:
        """Compute the result from the arguments."""
        raise NotImplementedError("a Function defines forward(ctx, *args)")

    @staticmethod
    def backward(ctx: FunctionContext, *grad_outputs: Any) -> Any:
        """Return a gradient, or None, for each argument of forward."""
        raise NotImplementedError("a Function defines backward(ctx, *grad_outputs)")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run forward, recorded as one node."""
        nodes = [arg._node if isinstance(arg, Tensor) else None for arg in args]
        needs = tuple(node is not None for node in nodes)
        count = len(args)
        ctx = FunctionContext(cls.__name__, needs)
        with no_grad():
            result = cls.forward(ctx, *args)
        if not (is_grad_enabled() and any(needs)):
            return result
        outs = _as_tuple(cls.__name__, result)
        shapes = [(out.shape, out.dtype) for out in outs]

        def expand(given: dict[int, Value], record: bool) -> Any:
            gradients = [
                _as_tensor(given[k]) if k in given else Tensor._wrap(np.zeros(shape, dtype))
                for k, (shape, dtype) in enumerate(shapes)
            ]
            result = cls.backward(ctx, *gradients)
            pieces = result if isinstance(result, tuple) else (result,)
            if len(pieces) != count:
                raise RuntimeError(
                    f"{cls.__name__}.backward returned {len(pieces)} gradients for "
                    f"{count} arguments; return one, or None, for each"
                )
            for i, (node, piece) in enumerate(zip(nodes, pieces, strict=True)):
                if node is None or piece is None:
                    continue
                if not isinstance(piece, tt_tensor.Tensor) or piece.shape != node.shape:
                    got = getattr(piece, "shape", type(piece).__name__)
                    raise RuntimeError(
                        f"{cls.__name__}.backward: expected a gradient of shape {node.shape} for "
                        f"argument {i}, got {got}"
                    )
                array = piece._array.astype(node.dtype, copy=False)
                yield node, _as_tensor(piece).to(node.dtype) if record else array

        segment = Segment(cls.__name__, expand)
        ctx._attached(segment, outs)
        return _attach(segment, result)


def _as_tensor(value: Value) -> Tensor:
    if isinstance(value, Tensor):
        return value
    return Tensor._wrap(value._array if isinstance(value, tt_tensor.Tensor) else value)


def _as_tuple(name: str, result: Any) -> tuple[Any, ...]:
    values = result if isinstance(result, tuple) else (result,)
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}: expected a tensor or a tuple of tensors as the result, "
                f"got {type(value).__name__}"
            )
    return values


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _attach(segment: Segment, result: Any) -> Any:
    """Return the results as tensors whose nodes are the segment's outputs."""
    wrapped = []
    for k, out in enumerate(_as_tuple(segment.name, result)):
        made = Tensor._wrap(out._array)
        if out._array.dtype.kind == "f":
            made._node = SegmentOutput(segment, k, out._array)
        wrapped.append(made)
    return tuple(wrapped) if isinstance(result, tuple) else wrapped[0]

"""Computation with a backward of its own: recomputed segments and users' functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tt_tensor
from tt_tensor import default_generator

from ._modes import enable_grad, is_grad_enabled, no_grad
from ._tape import Leaf, Node, Segment, SegmentOutput, Value, changes
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
        RuntimeError: From backward, if the second run returns other shapes than the first.

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
    with no_grad():
        result = function(*args)
    shapes = [out.shape for out in _as_tuple(result)]
    segment_number = 0

    def expand(given: dict[int, Value], record: bool, retain: bool) -> Any:
        for value in held:
            if isinstance(value, Tensor):
                change = changes.find(value._array, segment_number)
                if change is not None:
                    raise RuntimeError(
                        f"backward of checkpoint needs an argument of shape {value.shape} that "
                        f"{change} changed in place since"
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
        try:
            with enable_grad():
                outs = _as_tuple(function(*again))
        finally:
            generator.set_state(now)
        if [out.shape for out in outs] != shapes:
            raise RuntimeError(
                f"checkpoint: the second run of {_name(function)} returned shapes "
                f"{[out.shape for out in outs]}, the first {shapes}"
            )
        return [(outs[k]._node, g) for k, g in given.items() if outs[k]._node is not None]

    segment = Segment("checkpoint", expand)
    wrapped = _attach(segment, result)
    segment_number = segment.outputs[0].number if segment.outputs else 0
    return wrapped


class FunctionContext:
    """What a `Function`'s forward leaves for its backward.

    Attributes:
        needs_input_grad: Which arguments need a gradient.
    """

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs
        self._saved: tuple[tuple[Any, Node | Leaf | None], ...] = ()
        self._number = 0

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for backward, guarded against changes in place."""
        self._tensors = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were kept.

        Raises:
            RuntimeError: One of them was changed in place since.
        """
        for tensor in self._tensors:
            if isinstance(tensor, Tensor):
                change = changes.find(tensor._array, self._number)
                if change is not None:
                    raise RuntimeError(
                        f"backward needs a saved tensor of shape {tensor.shape} that {change} "
                        "changed in place since"
                    )
        return self._tensors

    _tensors: tuple[Any, ...] = ()


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
        ctx = FunctionContext(needs)
        with no_grad():
            result = cls.forward(ctx, *args)
        if not (is_grad_enabled() and any(needs)):
            return result
        outs = _as_tuple(result)
        shapes = [(out.shape, out.dtype) for out in outs]

        def expand(given: dict[int, Value], record: bool, retain: bool) -> Any:
            gradients = [
                _as_tensor(given[k]) if k in given else Tensor._wrap(np.zeros(shape, dtype))
                for k, (shape, dtype) in enumerate(shapes)
            ]
            pieces = _as_tuple(cls.backward(ctx, *gradients), Any)
            if len(pieces) != len(args):
                raise RuntimeError(
                    f"{cls.__name__}.backward returned {len(pieces)} gradients for "
                    f"{len(args)} arguments"
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
                piece = piece.to(node.dtype)
                yield node, piece if record else piece._array

        segment = Segment(cls.__name__, expand)
        wrapped = _attach(segment, result)
        ctx._number = segment.outputs[0].number if segment.outputs else 0
        return wrapped


def _as_tensor(value: Value) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor._wrap(value)


def _as_tuple(result: Any, kind: Any = Tensor) -> tuple[Any, ...]:
    values = result if isinstance(result, tuple) else (result,)
    if kind is Tensor:
        for value in values:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"expected a tensor or a tuple of tensors, got {type(value).__name__}"
                )
    return values


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _attach(segment: Segment, result: Any) -> Any:
    """Return the results as tensors whose nodes are the segment's outputs."""
    wrapped = []
    for k, out in enumerate(_as_tuple(result)):
        made = Tensor._wrap(out._array)
        if out._array.dtype.kind == "f":
            made._node = SegmentOutput(segment, k, out._array)
        wrapped.append(made)
    return tuple(wrapped) if isinstance(result, tuple) else wrapped[0]

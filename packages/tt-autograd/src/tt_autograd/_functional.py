"""Derivatives as functions: gradients, products with Jacobians, Jacobians and Hessians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

import tt_tensor

from ._modes import always_grad
from ._tape import Leaf, Node
from ._tensor import Tensor, seed
from ._walk import walk

Tensors = Tensor | Sequence[Tensor]
Values = tt_tensor.Tensor | Sequence[tt_tensor.Tensor]  # of which fresh leaves are made


def grad(
    outputs: Tensors,
    inputs: Tensors,
    grad_outputs: tt_tensor.Tensor | Sequence[tt_tensor.Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]:
    """Return the gradients of the sum of ``outputs`` with respect to ``inputs``.

    No tensor's ``grad`` changes.

    Args:
        outputs: Tensors that were made from the inputs.
        inputs: Leaves or intermediate results that require grad.
        grad_outputs: Gradients of the outputs; 1 for outputs of one element.
        retain_graph: Keep what was saved; by default only with ``create_graph``.
        create_graph: Record the derivatives, so that they can be differentiated.
        allow_unused: Give zeros for an input that no output depends on, instead of an error.

    Returns:
        A gradient for each input, of its shape and dtype.

    Raises:
        RuntimeError: An input does not require grad or was not used.
        TypeError: An output or an input is not a tensor.
        ValueError: A gradient of an output is missing or has another shape.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor(3.0, requires_grad=True)
        >>> (first,) = tt.grad(x * x * x, x, create_graph=True)
        >>> (second,) = tt.grad(first, x)
        >>> first.item(), second.item()
        (27.0, 18.0)
    """
    outs, ins = _listed(outputs), _listed(inputs)
    given: Sequence[tt_tensor.Tensor | None]
    given = [None] * len(outs) if grad_outputs is None else _listed(grad_outputs)
    if len(given) != len(outs):
        raise ValueError(
            f"grad: expected a gradient for each of {len(outs)} outputs, got {len(given)}"
        )
    roots: list[tuple[Node | Leaf, object]] = []
    for out, g in zip(outs, given, strict=True):
        _check_tensor("grad", "outputs", out)
        if out._node is None:
            raise RuntimeError("grad: an output does not require grad and has no history")
        roots.append((out._node, seed("grad", out, g, create_graph)))
    targets = []
    for i, tensor in enumerate(ins):
        _check_tensor("grad", "inputs", tensor)
        if tensor._node is None:
            raise RuntimeError(f"grad: input {i} does not require grad")
        targets.append(tensor._node)
    retain = create_graph if retain_graph is None else retain_graph
    found = walk(roots, retain=retain, record=create_graph, wanted=targets)
    results: list[Tensor] = []
    for i, (tensor, target) in enumerate(zip(ins, targets, strict=True)):
        piece: Any = found.get(target)
        if piece is None:
            if not allow_unused:
                raise RuntimeError(
                    f"grad: no output depends on input {i}, of shape {tensor.shape}; "
                    "pass allow_unused=True for zeros"
                )
            piece = np.zeros(tensor.shape, tensor.dtype)
            piece = Tensor._wrap(piece) if create_graph else piece
        results.append(piece if create_graph else Tensor._wrap(piece.copy()))
    return tuple(results)


T = TypeVar("T")


def _listed(values: T | Sequence[T]) -> list[T]:
    return list(values) if isinstance(values, list | tuple) else [values]  # type: ignore[list-item]  # one T


def _check_tensor(
    name: str, role: str, value: object, kind: type[tt_tensor.Tensor] = Tensor
) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name}: expected {role} to be tensors, got {type(value).__name__}")


def _tracked(name: str, inputs: Values) -> list[Tensor]:
    """Return fresh leaves with the values of ``inputs``."""
    for value in _listed(inputs):
        _check_tensor(name, "inputs", value, tt_tensor.Tensor)
    return [Tensor._wrap(t._array).requires_grad_() for t in _listed(inputs)]


def _linked(name: str, inputs: Values) -> list[Tensor]:
    """Return stand-ins for ``inputs`` that keep their history, each a node of its own."""
    fresh = _tracked(name, inputs)
    return [
        t.clone() if isinstance(t, Tensor) and t.requires_grad else leaf
        for t, leaf in zip(_listed(inputs), fresh, strict=True)
    ]


def _run(name: str, func: Callable[..., Tensor], leaves: Sequence[Tensor]) -> Tensor:
    with always_grad():
        out = func(*leaves)
    if not isinstance(out, Tensor):
        raise TypeError(
            f"{name}: expected a function that returns a tensor, got {type(out).__name__}"
        )
    return out


def _pull(
    out: Tensor, leaves: Sequence[Tensor], v: Tensor | None, again: bool, record: bool
) -> tuple[Tensor, ...]:
    """Return the gradients of ``out``, zeros where it does not depend on a leaf."""
    if out.requires_grad:
        return grad(out, leaves, v, again, record, allow_unused=True)
    return tuple(Tensor._wrap(np.zeros(leaf.shape, leaf.dtype)) for leaf in leaves)


def vjp(
    func: Callable[..., Tensor], inputs: Values, v: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return ``func(*inputs)`` and the product of ``v`` with its Jacobian.

    Args:
        func: Takes the inputs, returns one tensor.
        inputs: A tensor or several.
        v: The vector, of the output's shape; 1 for an output of one element.

    Returns:
        The output, and for each input the product, of the input's shape.

    Example:
        >>> import tt_autograd as tt
        >>> _, (g,) = tt.vjp(lambda x: x * x, tt.tensor([1.0, 2.0]), tt.tensor([1.0, 10.0]))
        >>> g
        tensor([ 2., 40.])
    """
    leaves = _tracked("vjp", inputs)
    out = _run("vjp", func, leaves)
    seed("vjp", out, v, False)  # its errors, also where nothing is to be done
    return out.detach(), _pull(out, leaves, v, False, False)


def jvp(
    func: Callable[..., Tensor], inputs: Values, v: Tensors | None = None
) -> tuple[Tensor, Tensor]:
    """Return ``func(*inputs)`` and the product of its Jacobian with ``v``.

    Computed by differentiating a vector-Jacobian product with respect to its vector.

    Args:
        func: Takes the inputs, returns one tensor.
        inputs: A tensor or several.
        v: A direction for each input, of its shape; ones unless given.

    Example:
        >>> import tt_autograd as tt
        >>> _, slope = tt.jvp(lambda x: x * x, tt.tensor([1.0, 2.0]), tt.tensor([1.0, 10.0]))
        >>> slope
        tensor([ 2., 40.])
    """
    leaves = _tracked("jvp", inputs)
    if v is None:
        directions = [Tensor._wrap(np.ones(t.shape, t.dtype)) for t in leaves]
    else:
        directions = _listed(v)
    if len(directions) != len(leaves):
        raise ValueError(
            f"jvp: expected a direction for each of {len(leaves)} inputs, got {len(directions)}"
        )
    for i, (leaf, direction) in enumerate(zip(leaves, directions, strict=True)):
        _check_tensor("jvp", "directions", direction, tt_tensor.Tensor)
        if leaf.shape != direction.shape:
            raise ValueError(
                f"jvp: expected a direction of shape {leaf.shape} for input {i}, "
                f"got {direction.shape}"
            )
    out = _run("jvp", func, leaves)
    dummy = Tensor._wrap(np.ones(out.shape, out.dtype)).requires_grad_()
    back = _pull(out, leaves, dummy, True, True)
    used = [(g, d) for g, d in zip(back, directions, strict=True) if g.requires_grad]
    if not used:
        return out.detach(), Tensor._wrap(np.zeros(out.shape, out.dtype))
    (product,) = grad([g for g, _ in used], dummy, [d for _, d in used], allow_unused=True)
    return out.detach(), product


def jacobian(
    func: Callable[..., Tensor], inputs: Values, create_graph: bool = False
) -> Tensor | tuple[Tensor, ...]:
    """Return the Jacobian of ``func``: every output's derivative by every input.

    Args:
        func: Takes the inputs, returns one tensor.
        inputs: A tensor or several.
        create_graph: Record the derivatives, so that they can be differentiated.

    Returns:
        For each input a tensor of shape ``(*output shape, *input shape)``; a single one if
        ``inputs`` is a tensor.

    Example:
        >>> import tt_autograd as tt
        >>> tt.jacobian(lambda x: x * x, tt.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    single = isinstance(inputs, tt_tensor.Tensor)
    leaves = _linked("jacobian", inputs) if create_graph else _tracked("jacobian", inputs)
    out = _run("jacobian", func, leaves)
    rows: list[tuple[Tensor, ...]] = []
    for k in range(out.numel()):
        one = np.zeros(out.shape, out.dtype)
        one.reshape(-1)[k] = 1
        rows.append(_pull(out, leaves, Tensor._wrap(one), True, create_graph))
    results = []
    for i, leaf in enumerate(leaves):
        shape = (*out.shape, *leaf.shape)
        if rows:
            with always_grad():
                results.append(tt_tensor.stack([row[i] for row in rows]).reshape(shape))
        else:
            results.append(Tensor._wrap(np.zeros(shape, leaf.dtype)))
    return results[0] if single else tuple(results)


def hessian(func: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
    """Return the second derivatives of a function of one tensor that returns one element.

    Returns:
        A tensor of shape ``(*input shape, *input shape)``.

    Raises:
        ValueError: The function returns more than one element.

    Example:
        >>> import tt_autograd as tt
        >>> tt.hessian(lambda x: (x * x * x).sum(), tt.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """

    def slope(x: Tensor) -> Tensor:
        out = _run("hessian", func, [x])
        if out.numel() != 1:
            raise ValueError(
                f"hessian: expected a function that returns one element, got shape {out.shape}"
            )
        return _pull(out, [x], None, True, True)[0]

    result = jacobian(slope, input)
    assert isinstance(result, Tensor)
    return result

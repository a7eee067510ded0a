"""What a case of the table of ops is, and what recurs in cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tt_tensor as tt
from op_samples import Array, Sample, Samples
from tt_tensor import Op, ops


@dataclass(frozen=True)
class Refused:
    """Arguments that a function refuses: the kind of error and what its message says."""

    args: tuple[Any, ...]
    kind: type[Exception]
    says: str


@dataclass(frozen=True)
class OpCase:
    """One op or function.

    Attributes:
        name: The name that its errors start with, a variant after a dot.
        op: The op it runs; None for a function that is made of others.
        function: The public function: tensors and plain arguments in, a tensor or a tuple out.
        reference: The same in NumPy's terms, after the array module.
        samples: Makes calls; float64, and differentiable where the case is.
        refused: Calls that are errors.
        differentiable: Whether gradients reach its floating-point arguments.
        second_order: Whether gradients of gradients do.
        torch: PyTorch's function, as a path below ``torch`` or as a function of the module and
            the arguments; None where there is none.
        hips: Whether the reference also runs, with right gradients, on HIPS ``autograd.numpy``.
            (Its ``where`` and ``tile`` get some shapes wrong, ``transpose`` negative dimensions.)
    """

    name: str
    op: Op | None
    function: Callable[..., Any]
    reference: Callable[..., Any]
    samples: Samples
    refused: tuple[Refused, ...] = ()
    differentiable: bool = True
    second_order: bool = True
    torch: str | Callable[..., Any] | None = None
    hips: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Kink:
    """A point where a derivative is a convention: the arguments, and the gradient of the sum."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    gradients: tuple[Any, ...]

    def __str__(self) -> str:
        return self.name


def convert(value: Any, make: Callable[[Array], Any]) -> Any:
    """Return arguments with every array in them, also within lists and tuples, made a tensor."""
    if isinstance(value, np.ndarray):
        return make(value)
    if isinstance(value, list | tuple):
        return type(value)(convert(part, make) for part in value)
    return value


def run(case: OpCase, sample: Sample, make: Callable[[Array], Any]) -> Any:
    """Call a case's function on a sample whose arrays ``make`` turns into tensors."""
    args, kwargs = sample
    return case.function(*convert(args, make), **kwargs)


def case(
    name: str,
    reference: Callable[..., Any],
    samples: Samples,
    refused: tuple[Refused, ...] = (),
    **other: Any,
) -> OpCase:
    """Return the case of the function and the op that have this name, PyTorch's too."""
    own = name.partition(".")[0]
    defaults = {"op": getattr(ops, own.upper(), None), "function": getattr(tt, own, None)}
    fields = {**defaults, "torch": own, **other}
    return OpCase(name, reference=reference, samples=samples, refused=refused, **fields)


def flat(*args: Any, **other: Any) -> OpCase:
    """Return a case without derivatives: its result is no number, or the same all around."""
    return case(*args, differentiable=False, second_order=False, hips=False, **other)


# Arguments that are refused, as they recur.


def no_tensor(*rest: Any) -> Refused:
    return Refused(([1.0], *rest), TypeError, "expected a Tensor, got list")


A23, A43, A3 = np.ones((2, 3)), np.ones((4, 3)), np.ones(3)
I3 = np.array([0, 1, 2])
NO_BROADCAST = Refused((A23, A43), ValueError, r"\(2, 3\) and \(4, 3\) do not broadcast")
NO_OPERAND = Refused((A23, "x"), TypeError, "expected a tensor, an array or a number, got str")
NO_FLOATS = Refused((A23, A23), TypeError, "not defined for float64 and float64")
NO_SUCH_DIM = Refused((A23, 2), IndexError, r"dim 2 is out of range for shape \(2, 3\)")
NO_INT_DIM = Refused((A23, 0.5), TypeError, "expected dim to be an int, got float")
NO_DIM = Refused((A23,), TypeError, "expected dim")
TWICE = Refused((A23, (0, -2)), ValueError, "names a dimension twice")
EMPTY = Refused((np.ones((0, 2)), 0), ValueError, "at least one element")
NO_TENSOR = no_tensor()
UNARY, BINARY = (NO_TENSOR,), (NO_BROADCAST, NO_OPERAND)
BITS = (NO_OPERAND, NO_FLOATS)
REDUCED = (NO_TENSOR, NO_SUCH_DIM, NO_INT_DIM, TWICE)
ALONG = (no_tensor(0), NO_SUCH_DIM, NO_DIM)

# PyTorch's functions, where one takes other arguments than ours.


def pairs(torch_name: str) -> Callable[..., Any]:
    """Return PyTorch's function of two tensors, which takes no numbers."""

    def function(torch: Any, *values: Any) -> Any:
        return getattr(torch, torch_name)(*map(torch.as_tensor, values))

    return function


def over_all(name: str) -> Callable[..., Any]:
    """Return PyTorch's reduction, which takes keepdim only with dim."""

    def function(torch: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        return getattr(torch, name)(x, tuple(range(x.ndim)) if dim is None else dim, keepdim)

    return function


def torch_prod(torch: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    for d in dims:
        x = torch.prod(x, d, keepdim=True)
    return x if keepdim else x.squeeze(tuple(dims))


def torch_norm(torch: Any, x: Any, p: float = 2, dim: Any = None, keepdim: bool = False) -> Any:
    return torch.linalg.vector_norm(x, p, dim, keepdim)

"""Every op and function of tt_tensor, declared once: what tests of values and of gradients run over.

A case's function takes tensors of any class, so the same table serves tt_tensor, tt_autograd and
the comparison with PyTorch. Its reference is the same formula in NumPy's terms, written without
our kernels: it takes the array module first, which is ``numpy`` for values and
``autograd.numpy`` for an independent gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tt_tensor as tt
from op_samples import (
    INDICES,
    Array,
    Sample,
    Samples,
    along,
    apart,
    binary,
    call,
    calls,
    distinct,
    fraction,
    indexed,
    nonzero,
    positive,
    products,
    real,
    reduced,
    shaped,
    truth,
    unary,
    whole,
)
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
        hips: Whether the reference also runs, with gradients, on HIPS ``autograd.numpy``.
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


def flat(case: OpCase) -> OpCase:
    """Return a case without derivatives, here or in HIPS: its result is no number or is flat."""
    return OpCase(
        case.name, case.op, case.function, case.reference, case.samples, case.refused,
        differentiable=False, second_order=False, torch=case.torch, hips=False,
    )  # fmt: skip


# Arguments that are refused, as they recur.

A23, A43, A3 = np.ones((2, 3)), np.ones((4, 3)), np.ones(3)
I3 = np.array([0, 1, 2])
NO_BROADCAST = Refused((A23, A43), ValueError, r"do not broadcast.*\(2, 3\).*\(4, 3\)")
NO_TEXT = Refused((A23, "x"), TypeError, "expected a tensor, an array or a number, got str")
NO_TENSOR = Refused(([1.0],), TypeError, "expected a Tensor, got list")
NO_SUCH_DIM = Refused((A23, 2), IndexError, r"dim 2 is out of range for shape \(2, 3\)")
NO_INT_DIM = Refused((A23, 0.5), TypeError, "expected dim to be an int, got float")
NO_FLOATS = Refused((A23, 1), TypeError, "not defined for float64")
NO_DIM = Refused((A23,), TypeError, "expected dim")
TWICE = Refused((A23, (0, -2)), ValueError, "names a dimension twice")
EMPTY = Refused((np.ones((0, 2)), 0), ValueError, "at least one element")
BINARY, UNARY = (NO_BROADCAST, NO_TEXT), (NO_TENSOR,)
REDUCTION, ALONG = (NO_TENSOR, NO_SUCH_DIM, NO_INT_DIM, TWICE), (NO_TENSOR, NO_SUCH_DIM, NO_DIM)


# References that are more than one call of NumPy's.


def as_real(x: Any) -> Any:
    return x * 1.0  # bools and integers become float64


def erf(xp: Any, x: Any) -> Any:
    x = np.asarray(x)
    kind = x.dtype if x.dtype.kind == "f" else float
    return np.array([math.erf(v) for v in x.reshape(-1)], kind).reshape(x.shape)


def gelu(xp: Any, x: Any, approximate: str = "none") -> Any:
    x = as_real(x)
    if approximate == "none":
        return 0.5 * x * (1 + erf(xp, x * math.sqrt(0.5)))
    return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def softmax(xp: Any, x: Any, dim: int) -> Any:
    e = xp.exp(as_real(x) - xp.max(x, axis=dim, keepdims=True, initial=-1e9))
    return e / xp.sum(e, axis=dim, keepdims=True)


def log_softmax(xp: Any, x: Any, dim: int) -> Any:
    return as_real(x) - xp.log(xp.sum(xp.exp(as_real(x)), axis=dim, keepdims=True))


def reduction(name: str) -> Callable[..., Any]:
    def reference(xp: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        axis = tuple(dim) if isinstance(dim, list) else dim
        return getattr(xp, name)(x, axis=axis, keepdims=keepdim)

    return reference


def axes(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def var(xp: Any, x: Any, dim: Any = None, correction: int = 1, keepdim: bool = False) -> Any:
    x = as_real(x)
    n = xp.sum(xp.ones(x.shape), axis=axes(dim), keepdims=keepdim) - correction
    deviation = x - xp.mean(x, axis=axes(dim), keepdims=True)
    total = xp.sum(deviation * deviation, axis=axes(dim), keepdims=keepdim)
    return total / n if x.dtype == float else (total / n).astype(x.dtype)


def logsumexp(xp: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return xp.log(xp.sum(xp.exp(as_real(x)), axis=axes(dim), keepdims=keepdim))


def norm(xp: Any, x: Any, p: float = 2, dim: Any = None, keepdim: bool = False) -> Any:
    size = xp.abs(as_real(x))
    if p == math.inf:
        return xp.max(size, axis=axes(dim), keepdims=keepdim)
    return xp.sum(size**p, axis=axes(dim), keepdims=keepdim) ** (1 / p)


def flatten(xp: Any, x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    first, last = (d % max(x.ndim, 1) for d in (start_dim, end_dim))
    return xp.reshape(x, (*x.shape[:first], -1, *x.shape[last + 1 :]))


def unflatten(xp: Any, x: Any, dim: int, sizes: tuple[int, ...]) -> Any:
    at = dim % x.ndim
    return xp.reshape(x, (*x.shape[:at], *sizes, *x.shape[at + 1 :]))


def squeeze(xp: Any, x: Any, dim: Any = None) -> Any:
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {d % max(x.ndim, 1) for d in dims}
    return xp.reshape(x, [n for d, n in enumerate(x.shape) if d not in gone or n != 1])


def expand(xp: Any, x: Any, shape: tuple[int, ...]) -> Any:
    own = (1,) * (len(shape) - x.ndim) + x.shape
    sizes = tuple(a if n == -1 else n for n, a in zip(shape, own, strict=True))
    return x + xp.zeros(sizes, x.dtype) if x.dtype != bool else x | np.zeros(sizes, bool)


def split(xp: Any, x: Any, sizes: Any, dim: int = 0) -> Any:
    n = x.shape[dim]
    ends = range(sizes, n, sizes) if isinstance(sizes, int) else np.cumsum(sizes)[:-1]
    return tuple(xp.split(x, list(ends), dim))


def chunk(xp: Any, x: Any, chunks: int, dim: int = 0) -> Any:
    return split(xp, x, max(1, -(-x.shape[dim] // chunks)), dim)


def unbind(xp: Any, x: Any, dim: int = 0) -> Any:
    return tuple(xp.moveaxis(x, dim, 0)[i] for i in range(x.shape[dim]))


def pad(xp: Any, x: Any, pad: Any, mode: str = "constant", value: float = 0) -> Any:
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    x = x[tuple(slice(max(-a, 0), min(b, 0) or None) for a, b in widths)]
    widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    if mode == "constant":
        return xp.pad(x, widths, "constant", constant_values=value)
    return xp.pad(x, widths, {"replicate": "edge", "circular": "wrap"}.get(mode, mode))


def repeat(xp: Any, x: Any, *repeats: Any) -> Any:
    return xp.tile(x, repeats[0] if isinstance(repeats[0], tuple) else repeats)


def setitem(x: Any, value: Any, index: Any) -> Any:
    return tt.apply(ops.SETITEM, x, value, index=index)


def setitem_reference(xp: Any, x: Any, value: Any, index: Any) -> Any:
    out = x.copy()
    out[index] = value
    return out


def unindex(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    return tt.apply(ops.UNINDEX, x, index=index, shape=shape)


def unindex_reference(xp: Any, x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    np.add.at(out, index, x)
    return out


def scatter_add(xp: Any, x: Any, dim: int, index: Any, src: Any) -> Any:
    out = x.astype(np.result_type(x, src))
    for place in np.ndindex(index.shape):
        target = list(place)
        if target:
            target[dim] = index[place]
        out[tuple(target)] += src[place]
    return out


def take(xp: Any, x: Any, index: Any, dim: int | None = None) -> Any:
    return xp.reshape(x, -1)[index] if dim is None else x[(slice(None),) * (dim % x.ndim) + (index,)]


def gather(xp: Any, x: Any, dim: int, index: Any) -> Any:
    if not x.ndim:
        return x
    inner = tuple(slice(n) for d, n in enumerate(index.shape))
    cut = inner[: dim % x.ndim] + (slice(None),) + inner[dim % x.ndim + 1 :]
    return np.take_along_axis(x[cut], index, dim)


def order(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    return np.argsort(-x if descending else x, axis=dim, kind="stable")


def sort(xp: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    dim = kwargs.get("dim", args[0] if args else -1)
    indices = order(x, *args, **kwargs)
    return np.take_along_axis(x, indices, dim), indices


def topk(xp: Any, x: Any, k: int, dim: int = -1, largest: bool = True) -> Any:
    values, indices = sort(xp, x, dim, largest)
    return values.take(range(k), dim), indices.take(range(k), dim)


def inner(xp: Any, a: Any, b: Any) -> Any:
    return xp.sum(a * b)


# The table. Activations come last: they are a module of their own in the curriculum.

ELEMENTWISE = (
    OpCase("add", ops.ADD, tt.add, lambda xp, a, b: a + b, binary(real), BINARY, torch="add"),
    OpCase("sub", ops.SUB, tt.sub, lambda xp, a, b: xp.subtract(a, b), binary(real), BINARY, torch="sub"),
    OpCase("mul", ops.MUL, tt.mul, lambda xp, a, b: a * b, binary(real), BINARY, torch="mul"),
    OpCase("div", ops.DIV, tt.div, lambda xp, a, b: a / b, binary(real, nonzero), BINARY, torch="div"),
    OpCase("pow", ops.POW, tt.pow, lambda xp, a, b: xp.power(a, b), powers := lambda rng: [
        *binary(positive, real)(rng),
        *[call(nonzero(rng, (2, 3)), n) for n in (2, 3, 4, -1, 0)],
        *[call(positive(rng, (3,)), n) for n in (0.5, -0.5, 2.7, np.array(1.5))],
    ], BINARY, torch="pow"),
    OpCase("maximum", ops.MAXIMUM, tt.maximum, lambda xp, a, b: xp.maximum(a, b), apart, BINARY, torch=lambda torch, a, b: torch.maximum(*map(torch.as_tensor, (a, b)))),
    OpCase("minimum", ops.MINIMUM, tt.minimum, lambda xp, a, b: xp.minimum(a, b), apart, BINARY, torch=lambda torch, a, b: torch.minimum(*map(torch.as_tensor, (a, b)))),
)

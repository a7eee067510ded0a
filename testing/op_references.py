"""References for the table of ops that are more than one call of NumPy's.

Each takes the array module first (``numpy``, or ``autograd.numpy`` for gradients), then what the
function of the same name takes. They are written for clarity, apart from our kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


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
    e = xp.exp(as_real(x))
    return e / xp.sum(e, axis=dim, keepdims=True)


def log_softmax(xp: Any, x: Any, dim: int) -> Any:
    if not x.size:
        return as_real(x)
    return as_real(x) - xp.log(xp.sum(xp.exp(as_real(x)), axis=dim, keepdims=True))


def axes(dim: Any) -> Any:
    return tuple(dim) if isinstance(dim, list) else dim


def reduction(name: str) -> Callable[..., Any]:
    def reference(xp: Any, x: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if x.dtype == np.uint8 and name in ("sum", "prod"):
            x = x.astype(int)  # NumPy adds these up in uint64, which tensors do not have
        return getattr(xp, name)(x, axis=axes(dim), keepdims=keepdim)

    return reference


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
    if not pairs:
        return x
    x = x[tuple(slice(max(-a, 0), min(b, 0) or None) for a, b in widths)]
    widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    if mode == "constant":
        return xp.pad(x, widths, "constant", constant_values=value)
    return xp.pad(x, widths, {"replicate": "edge", "circular": "wrap"}.get(mode, mode))


def repeat(xp: Any, x: Any, *repeats: Any) -> Any:
    return xp.tile(x, repeats[0] if isinstance(repeats[0], tuple) else repeats)


def setitem(xp: Any, x: Any, value: Any, index: Any) -> Any:
    out = np.array(x)
    out[index] = value
    return out


def unindex(xp: Any, x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    out = np.zeros(shape, x.dtype)
    np.add.at(out, index, x)
    return out


def scatter_add(xp: Any, x: Any, dim: int, index: Any, src: Any) -> Any:
    out = np.array(x, np.result_type(x, src))
    for place in np.ndindex(index.shape):
        target = list(place)
        if target:
            target[dim] = index[place]
        out[tuple(target)] += src[place]
    return out


def take(xp: Any, x: Any, index: Any, dim: int | None = None) -> Any:
    if dim is None:
        return xp.reshape(x, -1)[index]
    return x[(slice(None),) * (dim % x.ndim) + (index,)]


def gather(xp: Any, x: Any, dim: int, index: Any) -> Any:
    if not x.ndim:
        return x
    inner = tuple(slice(n) for d, n in enumerate(index.shape))
    at = dim % x.ndim
    cut = (*inner[:at], slice(None), *inner[at + 1 :])
    return np.take_along_axis(x[cut], index, dim)


def order(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    if not x.ndim:
        return np.zeros((), np.int64)
    return np.argsort(-1.0 * x if descending else x, axis=dim, kind="stable")


def sort(xp: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    dim = kwargs.get("dim", args[0] if args else -1)
    indices = order(x, *args, **kwargs)
    return np.take_along_axis(x, indices, dim) if x.ndim else x, indices


def topk(xp: Any, x: Any, k: int, dim: int = -1, largest: bool = True) -> Any:
    values, indices = sort(xp, x, dim, largest)
    return values.take(range(k), dim), indices.take(range(k), dim)


def one_hot(xp: Any, x: Any, num_classes: int = -1) -> Any:
    classes = (int(x.max()) + 1 if x.size else 0) if num_classes == -1 else num_classes
    return np.eye(classes, dtype=np.int64)[x]


def softplus(xp: Any, x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return xp.where(x * beta > threshold, as_real(x), xp.logaddexp(0.0, x * beta) / beta)


def elu(xp: Any, x: Any, alpha: float = 1.0) -> Any:
    return xp.where(x > 0, as_real(x), alpha * (xp.exp(as_real(x)) - 1))


def cumsum(xp: Any, x: Any, dim: int) -> Any:
    if x.dtype.kind in "ub":
        x = x.astype(int)
    return xp.cumsum(x, dim) if x.ndim else x

"""The kernels of `tt_optim._kernels` as loops, for numba to compile to one pass over memory each.

Every operation stands in the order of its NumPy twin, and no fast-math is allowed, so that the
results agree to rounding, infinities and NaN included. The numbers have the arrays' dtype, for
with Python's numba would compute in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Number = np.floating[Any]


def sgd(p: Array, g: Array, lr: Number) -> None:
    for i in range(p.size):
        p[i] = p[i] - g[i] * lr


def momentum(p: Array, g: Array, buf: Array, lr: Number, mu: Number, share: Number) -> None:
    for i in range(p.size):
        b = buf[i] * mu + g[i] * share
        buf[i] = b
        p[i] = p[i] - b * lr


def nesterov(p: Array, g: Array, buf: Array, lr: Number, mu: Number, share: Number) -> None:
    for i in range(p.size):
        b = buf[i] * mu + g[i] * share
        buf[i] = b
        p[i] = p[i] - (b * mu + g[i]) * lr


def adam(
    p: Array, g: Array, m: Array, v: Array,
    lr: Number, first: Number, beta2: Number, second: Number, eps: Number, keep: Number,
) -> None:  # fmt: skip
    for i in range(p.size):
        a = m[i] + (g[i] - m[i]) * first
        b = v[i] * beta2 + g[i] * g[i] * second
        m[i] = a
        v[i] = b
        p[i] = p[i] * keep - a / (np.sqrt(b) + eps) * lr


def amsgrad(
    p: Array, g: Array, m: Array, v: Array, largest: Array,
    lr: Number, first: Number, beta2: Number, second: Number, eps: Number, keep: Number,
) -> None:  # fmt: skip
    for i in range(p.size):
        a = m[i] + (g[i] - m[i]) * first
        b = v[i] * beta2 + g[i] * g[i] * second
        m[i] = a
        v[i] = b
        c = largest[i]
        if b > c or b != b:  # NaN is passed on, as by np.maximum
            c = b
        largest[i] = c
        p[i] = p[i] * keep - a / (np.sqrt(c) + eps) * lr


def rmsprop(
    p: Array, g: Array, v: Array, lr: Number, alpha: Number, share: Number, eps: Number
) -> None:
    for i in range(p.size):
        a = v[i] * alpha + g[i] * g[i] * share
        v[i] = a
        p[i] = p[i] - g[i] / (np.sqrt(a) + eps) * lr


def rmsprop_momentum(
    p: Array, g: Array, v: Array, buf: Array,
    lr: Number, alpha: Number, share: Number, eps: Number, mu: Number,
) -> None:  # fmt: skip
    for i in range(p.size):
        a = v[i] * alpha + g[i] * g[i] * share
        v[i] = a
        b = buf[i] * mu + g[i] / (np.sqrt(a) + eps)
        buf[i] = b
        p[i] = p[i] - b * lr


def rmsprop_centered(
    p: Array, g: Array, v: Array, mean: Array,
    lr: Number, alpha: Number, share: Number, eps: Number,
) -> None:  # fmt: skip
    for i in range(p.size):
        a = v[i] * alpha + g[i] * g[i] * share
        v[i] = a
        c = mean[i] + (g[i] - mean[i]) * share
        mean[i] = c
        p[i] = p[i] - g[i] / (np.sqrt(a - c * c) + eps) * lr


def rmsprop_centered_momentum(
    p: Array, g: Array, v: Array, mean: Array, buf: Array,
    lr: Number, alpha: Number, share: Number, eps: Number, mu: Number,
) -> None:  # fmt: skip
    for i in range(p.size):
        a = v[i] * alpha + g[i] * g[i] * share
        v[i] = a
        c = mean[i] + (g[i] - mean[i]) * share
        mean[i] = c
        b = buf[i] * mu + g[i] / (np.sqrt(a - c * c) + eps)
        buf[i] = b
        p[i] = p[i] - b * lr


def adagrad(p: Array, g: Array, total: Array, lr: Number, eps: Number) -> None:
    for i in range(p.size):
        a = total[i] + g[i] * g[i]
        total[i] = a
        p[i] = p[i] - g[i] / (np.sqrt(a) + eps) * lr


def lion(
    p: Array, g: Array, m: Array, lr: Number, first: Number, second: Number, keep: Number
) -> None:
    for i in range(p.size):
        d = g[i] - m[i]
        p[i] = p[i] * keep - np.sign(d * first + m[i]) * lr
        m[i] = m[i] + d * second

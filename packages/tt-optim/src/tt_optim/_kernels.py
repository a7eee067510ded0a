"""The elementwise update rules, in NumPy: in place, and without temporaries.

A kernel takes flat arrays of equal length: the parameter and its gradient, then the rule's state,
then the rule's numbers, and last two arrays for intermediate results. It changes the parameter
and the state, never the gradient. `tt_optim._loops` has the same kernels in one pass.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CHUNK = 32768  # elements: five arrays of them stay in 1 MiB of cache, which measures best


def sgd(p: Array, g: Array, lr: float, t: Array, u: Array) -> None:
    """``p -= lr g``."""
    np.multiply(g, lr, out=t)
    np.subtract(p, t, out=p)


def momentum(
    p: Array, g: Array, buf: Array, lr: float, mu: float, share: float, t: Array, u: Array
) -> None:
    """``buf = mu buf + share g;  p -= lr buf``."""
    np.multiply(buf, mu, out=buf)
    if share == 1.0:
        np.add(buf, g, out=buf)
    else:
        np.multiply(g, share, out=t)
        np.add(buf, t, out=buf)
    np.multiply(buf, lr, out=t)
    np.subtract(p, t, out=p)


def nesterov(
    p: Array, g: Array, buf: Array, lr: float, mu: float, share: float, t: Array, u: Array
) -> None:
    """``buf = mu buf + share g;  p -= lr (g + mu buf)``."""
    np.multiply(buf, mu, out=buf)
    np.multiply(g, share, out=t)
    np.add(buf, t, out=buf)
    np.multiply(buf, mu, out=t)
    np.add(t, g, out=t)
    np.multiply(t, lr, out=t)
    np.subtract(p, t, out=p)


def adam(
    p: Array, g: Array, m: Array, v: Array,
    lr: float, first: float, beta2: float, second: float, eps: float, keep: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """``m += first (g - m);  v = beta2 v + second g²;  p = keep p - lr m / (√v + eps)``."""
    _moments(g, m, v, first, beta2, second, t)
    np.sqrt(v, out=t)
    _adam_step(p, m, lr, eps, keep, t)


def amsgrad(
    p: Array, g: Array, m: Array, v: Array, largest: Array,
    lr: float, first: float, beta2: float, second: float, eps: float, keep: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """As `adam`, with the largest ``v`` so far in the place of ``v``."""
    _moments(g, m, v, first, beta2, second, t)
    np.maximum(largest, v, out=largest)
    np.sqrt(largest, out=t)
    _adam_step(p, m, lr, eps, keep, t)


def _moments(
    g: Array, m: Array, v: Array, first: float, beta2: float, second: float, t: Array
) -> None:
    np.subtract(g, m, out=t)
    np.multiply(t, first, out=t)
    np.add(m, t, out=m)
    np.multiply(v, beta2, out=v)
    np.multiply(g, g, out=t)
    np.multiply(t, second, out=t)
    np.add(v, t, out=v)


def _adam_step(p: Array, m: Array, lr: float, eps: float, keep: float, t: Array) -> None:
    np.add(t, eps, out=t)
    np.divide(m, t, out=t)
    np.multiply(t, lr, out=t)
    if keep != 1.0:
        np.multiply(p, keep, out=p)
    np.subtract(p, t, out=p)


def rmsprop(
    p: Array, g: Array, v: Array, lr: float, alpha: float, share: float, eps: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """``v = alpha v + share g²;  p -= lr g / (√v + eps)``."""
    _squares(g, v, alpha, share, t)
    np.sqrt(v, out=t)
    np.add(t, eps, out=t)
    np.divide(g, t, out=t)
    np.multiply(t, lr, out=t)
    np.subtract(p, t, out=p)


def rmsprop_momentum(
    p: Array, g: Array, v: Array, buf: Array,
    lr: float, alpha: float, share: float, eps: float, mu: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """``v = alpha v + share g²;  buf = mu buf + g / (√v + eps);  p -= lr buf``."""
    _squares(g, v, alpha, share, t)
    np.sqrt(v, out=t)
    np.add(t, eps, out=t)
    np.divide(g, t, out=t)
    momentum(p, t, buf, lr, mu, 1.0, u, t)


def rmsprop_centered(
    p: Array, g: Array, v: Array, mean: Array,
    lr: float, alpha: float, share: float, eps: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """As `rmsprop`, with the variance ``v - mean²`` in the place of ``v``."""
    _deviation(g, v, mean, alpha, share, eps, t, u)
    np.divide(g, t, out=t)
    np.multiply(t, lr, out=t)
    np.subtract(p, t, out=p)


def rmsprop_centered_momentum(
    p: Array, g: Array, v: Array, mean: Array, buf: Array,
    lr: float, alpha: float, share: float, eps: float, mu: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """As `rmsprop_momentum`, with the variance ``v - mean²`` in the place of ``v``."""
    _deviation(g, v, mean, alpha, share, eps, t, u)
    np.divide(g, t, out=t)
    momentum(p, t, buf, lr, mu, 1.0, u, t)


def _squares(g: Array, v: Array, alpha: float, share: float, t: Array) -> None:
    np.multiply(v, alpha, out=v)
    np.multiply(g, g, out=t)
    np.multiply(t, share, out=t)
    np.add(v, t, out=v)


def _deviation(
    g: Array, v: Array, mean: Array, alpha: float, share: float, eps: float, t: Array, u: Array
) -> None:
    _squares(g, v, alpha, share, t)
    np.subtract(g, mean, out=t)
    np.multiply(t, share, out=t)
    np.add(mean, t, out=mean)
    np.multiply(mean, mean, out=u)
    np.subtract(v, u, out=t)
    np.sqrt(t, out=t)
    np.add(t, eps, out=t)


def adagrad(p: Array, g: Array, total: Array, lr: float, eps: float, t: Array, u: Array) -> None:
    """``total += g²;  p -= lr g / (√total + eps)``."""
    np.multiply(g, g, out=t)
    np.add(total, t, out=total)
    np.sqrt(total, out=t)
    np.add(t, eps, out=t)
    np.divide(g, t, out=t)
    np.multiply(t, lr, out=t)
    np.subtract(p, t, out=p)


def lion(
    p: Array, g: Array, m: Array, lr: float, first: float, second: float, keep: float,
    t: Array, u: Array,
) -> None:  # fmt: skip
    """``p = keep p - lr sign(m + first (g - m));  m += second (g - m)``."""
    np.subtract(g, m, out=t)
    np.multiply(t, first, out=u)
    np.add(u, m, out=u)
    np.sign(u, out=u)
    np.multiply(u, lr, out=u)
    if keep != 1.0:
        np.multiply(p, keep, out=p)
    np.subtract(p, u, out=p)
    np.multiply(t, second, out=t)
    np.add(m, t, out=m)

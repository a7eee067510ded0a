"""The kernels of `kernels` as loops, for numba to compile to one pass over memory each.

The innermost loops go over a whole dimension, from 0: what lets the compiler prove that they may be
vectorised. Numbers are in the arrays' own precision: with Python's, numba would compute in double.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


# Rows, of any length


def relu(x: Array, out: Array, lo: int, hi: int) -> None:
    zero = x.dtype.type(0)
    for i in range(lo, hi):
        for k in range(x.shape[1]):
            v = x[i, k]
            out[i, k] = zero if v <= zero else v  # NaN stays NaN


def relu_slope(g: Array, y: Array, out: Array, lo: int, hi: int) -> None:
    zero, one = y.dtype.type(0), y.dtype.type(1)
    for i in range(lo, hi):
        for k in range(y.shape[1]):
            out[i, k] = g[i, k] * (one if y[i, k] > zero else zero)


def gelu_tanh(x: Array, out: Array, slope: Array, lo: int, hi: int) -> None:
    """The slopes are left out where there is no room for them."""
    f = np.float32
    keep = slope.shape[1] > 0
    a, b, one, half, zero = f(0.7978845608028654), f(0.035677408136300125), f(1), f(0.5), f(0)
    for i in range(lo, hi):
        for k in range(x.shape[1]):
            v = x[i, k]
            square = v * v
            u = (b * square + a) * v
            # tanh(u) = u p(u^2) / q(u^2) to 3 units in the last place, as in Eigen's ptanh: what
            # the C library's tanh is, but for rounding, and a loop of it can be vectorised
            c = f(-9) if u < f(-9) else (f(9) if u > f(9) else u)
            w = c * c
            p = w * f(-2.76076847742355e-16) + f(2.00018790482477e-13)
            p = p * w + f(-8.60467152213735e-11)
            p = p * w + f(5.12229709037114e-08)
            p = p * w + f(1.48572235717979e-05)
            p = p * w + f(6.37261928875436e-04)
            p = p * w + f(4.89352455891786e-03)
            q = w * f(1.19825839466702e-06) + f(1.18534705686654e-04)
            q = q * w + f(2.26843463243900e-03)
            q = q * w + f(4.89352518554385e-03)
            h = (c * p / q + one) * half
            h = zero if u < f(-9) else (one if u > f(9) else h)
            y = v * h
            if keep:
                slope[i, k] = h + f(2) * (one - h) * (f(3) * b * square + a) * y
            out[i, k] = y


def normalise_rows(
    x: Array, weight: Array, bias: Array, eps: Any, centre: bool,
    mean: Array, scale: Array, out: Array, lo: int, hi: int,
) -> None:  # fmt: skip
    zero, one, count = x.dtype.type(0), x.dtype.type(1), x.dtype.type(x.shape[1])
    for i in range(lo, hi):
        m = zero
        if centre:
            for k in range(x.shape[1]):
                m += x[i, k]
            m /= count
        square = zero
        for k in range(x.shape[1]):
            d = x[i, k] - m
            square += d * d
        s = one / np.sqrt(square / count + eps)
        mean[i, 0], scale[i, 0] = m, s
        for k in range(x.shape[1]):
            out[i, k] = (x[i, k] - m) * s * weight[k] + bias[k]


def softmax_rows(
    x: Array, start: int, keys: int, first: int, floor: Any, tops: Array, shares: Array
) -> None:
    """Turn scores into exponentials, those of the keys that are not seen into 0.

    Row ``start`` sees ``first`` keys, each row one more than that before it, none over ``keys``.

    Shape:
        ``(M, T, S)``; ``tops`` and ``shares`` are ``(M, rows)``. Single precision.
    """
    f = np.float32
    i4 = np.int32
    zero, one, low, sign = f(0), f(1), f(-87), i4(0x7FFFFFFF)
    for m in range(x.shape[0]):
        for i in range(tops.shape[1]):
            row = x[m, start + i]
            seen = min(first + i, keys)
            # Numbers in the order of the integers that their bits are, but for the negative: a
            # maximum of integers can be vectorised, and NaN is above all
            most = i4(-0x80000000)
            for k in range(seen):
                bits = np.float32(row[k]).view(i4)
                bits = i4(bits ^ ((bits >> i4(31)) & sign))
                most = bits if bits > most else most
            most = i4(most ^ ((most >> i4(31)) & sign))
            top = np.int32(most).view(f)
            top = floor if top < floor else top
            total = zero
            for k in range(seen):
                # exp(v) = 2^n exp(z) to a unit in the last place, as in Cephes' expf
                v = row[k] - top
                c = low if v < low else v
                n = np.floor(c * f(1.44269504088896341) + f(0.5))
                z = c - n * f(0.693359375) - n * f(-2.12194440e-4)
                p = z * f(1.9875691500e-4) + f(1.3981999507e-3)
                p = p * z + f(8.3334519073e-3)
                p = p * z + f(4.1665795894e-2)
                p = p * z + f(1.6666665459e-1)
                p = p * z + f(5.0000001201e-1)
                y = (p * z * z + z + one) * np.int32((i4(n) + i4(127)) << i4(23)).view(f)
                y = zero if v < low else y
                row[k] = y
                total += y
            for k in range(seen, keys):
                row[k] = zero
            tops[m, i] = top
            shares[m, i] = zero if total == zero else one / total


def softmax_rows_slope(g: Array, dots: Array, weights: Array, start: int) -> None:
    """``g = (g - dots) weights``, with the rows of the weights from ``start`` on.

    Shape:
        ``(M, rows, keys), (M, rows), (M, T, S)``
    """
    for m in range(g.shape[0]):
        for i in range(g.shape[1]):
            row, dot = weights[m, start + i], dots[m, i]
            for k in range(g.shape[2]):
                g[m, i, k] = (g[m, i, k] - dot) * row[k]


def attend_one(
    query: Array, keys: Array, values: Array, length: int, scale: Any, out: Array
) -> None:
    """Attend from one position of each sample to the first ``length`` of those in the cache.

    Shape:
        ``(N, heads, D), (N, kv_heads, room, D), (N, kv_heads, room, D) -> (N, heads, D)``
    """
    zero = query.dtype.type(0)
    weights = np.empty(length, query.dtype)
    for n in range(query.shape[0]):
        for head in range(query.shape[1]):
            shared = head * keys.shape[1] // query.shape[1]  # keys that heads have in common
            most = query.dtype.type(-np.inf)
            for i in range(length):
                dot = zero
                for k in range(query.shape[2]):
                    dot += query[n, head, k] * keys[n, shared, i, k]
                dot *= scale
                weights[i] = dot
                most = dot if dot > most or dot != dot else most  # NaN stays NaN
            total = zero
            for i in range(length):
                weights[i] = np.exp(weights[i] - most)
                total += weights[i]
            for k in range(query.shape[2]):
                out[n, head, k] = zero
            for i in range(length):
                for k in range(query.shape[2]):
                    out[n, head, k] += weights[i] * values[n, shared, i, k]
            for k in range(query.shape[2]):
                out[n, head, k] /= total


def normalise_rows_slope(
    g: Array, x: Array, weight: Array, mean: Array, scale: Array, centre: bool, dx: Array,
    lo: int, hi: int,
) -> tuple[Array, Array]:  # fmt: skip
    zero, count = x.dtype.type(0), x.dtype.type(x.shape[1])
    dweight, dbias = np.zeros(x.shape[1], x.dtype), np.zeros(x.shape[1], x.dtype)
    for i in range(lo, hi):
        m, s = mean[i, 0], scale[i, 0]
        total, dot = zero, zero
        for k in range(x.shape[1]):
            v = g[i, k] * weight[k]
            total += v
            dot += v * ((x[i, k] - m) * s)
        total = total / count if centre else zero
        dot /= count
        for k in range(x.shape[1]):
            h = (x[i, k] - m) * s
            dweight[k] += g[i, k] * h
            dbias[k] += g[i, k]
            dx[i, k] = s * (g[i, k] * weight[k] - total - h * dot)
    return dweight, dbias


# Channels, (outer, C, inner)


def moments(x: Array, lo: int, hi: int) -> tuple[int, Array, Array]:
    zero, inner = x.dtype.type(0), x.dtype.type(x.shape[2])
    mean, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for o in range(lo, hi):
        done = o - lo
        for c in range(x.shape[1]):
            total = zero
            for k in range(x.shape[2]):
                total += x[o, c, k]
            centre = total / inner
            square = zero
            for k in range(x.shape[2]):
                d = x[o, c, k] - centre
                square += d * d
            # One more group of values among those before it (Chan et al., 1979)
            apart = centre - mean[c]
            mean[c] += apart / (done + 1)
            squares[c] += square + apart * apart * (x.shape[2] * done / (done + 1))
    return (hi - lo) * x.shape[2], mean, squares


def standardise(
    x: Array, mean: Array, scale: Array, shift: Array, out: Array, lo: int, hi: int
) -> None:
    for o in range(lo, hi):
        for c in range(x.shape[1]):
            m, a, b = mean[c], scale[c], shift[c]
            for k in range(x.shape[2]):
                out[o, c, k] = (x[o, c, k] - m) * a + b


def products(g: Array, x: Array, mean: Array, lo: int, hi: int) -> tuple[Array, Array]:
    zero = x.dtype.type(0)
    sums, dots = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for o in range(lo, hi):
        for c in range(x.shape[1]):
            m = mean[c]
            total, dot = zero, zero
            for k in range(x.shape[2]):
                total += g[o, c, k]
                dot += g[o, c, k] * (x[o, c, k] - m)
            sums[c] += total
            dots[c] += dot
    return sums, dots


def standardise_slope(
    g: Array, x: Array, mean: Array, scale: Array, tilt: Array, shift: Array, out: Array,
    lo: int, hi: int,
) -> None:  # fmt: skip
    for o in range(lo, hi):
        for c in range(x.shape[1]):
            m, a, t, b = mean[c], scale[c], tilt[c], shift[c]
            for k in range(x.shape[2]):
                out[o, c, k] = g[o, c, k] * a + (x[o, c, k] - m) * t + b


# Images, (H, W, C, N)


def max_pool(
    x: Array, out: Array, taps: Array,
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    lo: int, hi: int,
) -> None:  # fmt: skip
    height, width, channels, count = x.shape
    for y in range(lo, hi):
        top = y * stride[0] - padding[0]
        for u in range(out.shape[1]):
            left = u * stride[1] - padding[1]
            for c in range(channels):
                first = True
                for i in range(max(0, -top), min(kernel[0], height - top)):
                    for j in range(max(0, -left), min(kernel[1], width - left)):
                        tap = taps.dtype.type(i * kernel[1] + j)
                        h, w = top + i, left + j
                        if first:
                            first = False
                            for n in range(count):
                                out[y, u, c, n] = x[h, w, c, n]
                                taps[y, u, c, n] = tap
                            continue
                        for n in range(count):
                            v, best = x[h, w, c, n], out[y, u, c, n]
                            better = v > best or v != v  # NaN wins
                            out[y, u, c, n] = v if better else best
                            taps[y, u, c, n] = tap if better else taps[y, u, c, n]


def max_pool_slope(
    g: Array, taps: Array, out: Array,
    kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int],
    lo: int, hi: int,
) -> None:  # fmt: skip
    zero = g.dtype.type(0)
    for h in range(lo, hi):
        # the windows that this pixel is in
        y0 = max(0, (h + padding[0] - kernel[0]) // stride[0] + 1)
        y1 = min(g.shape[0], (h + padding[0]) // stride[0] + 1)
        for w in range(out.shape[1]):
            u0 = max(0, (w + padding[1] - kernel[1]) // stride[1] + 1)
            u1 = min(g.shape[1], (w + padding[1]) // stride[1] + 1)
            for c in range(out.shape[2]):
                if y0 >= y1 or u0 >= u1:
                    for n in range(out.shape[3]):
                        out[h, w, c, n] = zero
                    continue
                first = True
                for y in range(y0, y1):
                    for u in range(u0, u1):
                        i, j = h + padding[0] - y * stride[0], w + padding[1] - u * stride[1]
                        tap = taps.dtype.type(i * kernel[1] + j)
                        if first:
                            first = False
                            for n in range(out.shape[3]):
                                hit = taps[y, u, c, n] == tap
                                out[h, w, c, n] = g[y, u, c, n] if hit else zero
                            continue
                        for n in range(out.shape[3]):
                            hit = taps[y, u, c, n] == tap
                            out[h, w, c, n] += g[y, u, c, n] if hit else zero

"""Convolution on arrays: the values, and the gradients of input and weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from .convolution_products import Geometry, Padding, correlate, multiply
from .layout import Array, empty_images
from .sizes import Pair


def output_size(size: int, kernel: int, stride: int, padding: Pair, dilation: int) -> int:
    """Return how many positions a kernel has along a dimension; below 1 if it is too large."""
    return (size + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def output_shape(
    image: tuple[int, ...], kernel: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair
) -> Pair:
    """Return the height and width of a convolution's output."""
    height, width = (
        output_size(*sizes) for sizes in zip(image, kernel, stride, padding, dilation, strict=True)
    )
    return height, width


def convolve(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """Return the convolution: (N, C, H, W), (O, C/groups, kh, kw) -> (N, O, Ho, Wo).

    Output channels come in as many groups as input channels, and each group reads its own; of
    half precision the sums are made in single.

    Args:
        input: The images.
        weight: The kernels.
        bias: One number for each output channel, or None.
        stride: Steps of the kernel, down and across.
        padding: Zeros before and after, down and across; a negative number cuts, which the
            phases of a transposed convolution ask for.
        dilation: Steps between the weights of a kernel, down and across.
        groups: How many there are.
    """
    kernel: Any = weight.shape[2:]
    shape = output_shape(input.shape[2:], kernel, stride, padding, dilation)
    dtype = np.result_type(input, weight)
    kind = _exact(dtype)
    out = empty_images((len(input), len(weight), *shape), kind)
    if out.size:
        geometry = Geometry(kernel, shape, stride, padding, dilation, groups)
        multiply(
            input.astype(kind, copy=False), weight.astype(kind, copy=False), bias, out, geometry
        )
    return out.astype(dtype, copy=False)


def convolve_weight(
    grad: Array,
    input: Array,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """Return the gradient of the weight of a convolution: (O, C/groups, kh, kw).

    Args:
        grad: That of the output: (N, O, Ho, Wo).
        input: What was convolved: (N, C, H, W).
        kernel: Height and width of the kernel.
        stride: As in `convolve`, and so are the rest.
        padding: Margins, which may be negative.
        dilation: Steps between weights.
        groups: How many there are.
    """
    shape = (grad.shape[1], input.shape[1] // groups, *kernel)
    dtype = np.result_type(grad, input)
    kind = _exact(dtype)
    if not grad.size:
        return np.zeros(shape, dtype)
    geometry = Geometry(kernel, grad.shape[2:], stride, padding, dilation, groups)
    sums = correlate(grad.astype(kind, copy=False), input.astype(kind, copy=False), geometry)
    return sums.reshape(shape).astype(dtype, copy=False)


def convolve_input(
    grad: Array,
    weight: Array,
    size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """Return the gradient of the input of a convolution, whose height and width are ``size``.

    Pixels whose coordinates leave the same remainders when divided by the stride meet the same
    weights: each such phase is a convolution of the gradient, with a stride of 1.
    """
    out_channels, each, *kernel = weight.shape
    turned = weight.reshape((groups, out_channels // groups, each, *kernel)).swapaxes(1, 2)
    turned = turned.reshape((groups * each, out_channels // groups, *kernel))
    phases = [
        _phases(*sizes)
        for sizes in zip(size, grad.shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    out = None
    if stride != (1, 1):
        out = empty_images((len(grad), groups * each, *size), np.result_type(grad, weight))
    for (rows, ky, top, dy), (columns, kx, left, dx) in product(*phases):
        if out is None:
            return convolve(grad, turned[:, :, ky, kx], None, (1, 1), (top, left), (dy, dx), groups)
        taps = turned[:, :, ky, kx]
        part = out[:, :, rows, columns]
        if not taps.size:
            part[...] = 0
        elif part.size:
            part[...] = convolve(grad, taps, None, (1, 1), (top, left), (dy, dx), groups)
    assert out is not None
    return out


def _phases(
    size: int, out: int, kernel: int, stride: int, padding: Pair, dilation: int
) -> Iterator[tuple[slice, slice, Pair, int]]:
    """Yield the pixels, weights, padding and dilation of every phase along one dimension.

    Pixel i = phase + t * stride is met by weight k at position (i + padding - k * dilation) /
    stride, wherever that is whole: by every step-th weight from the first on.
    """
    common = math.gcd(dilation, stride)
    step, spread = stride // common, dilation // common
    for phase in range(stride):
        many = len(range(phase, size, stride))
        offset = phase + padding[0]
        first = next((k for k in range(step) if (offset - k * dilation) % stride == 0), kernel)
        count = len(range(first, kernel, step))
        if count:
            last = first + (count - 1) * step
            weights = slice(last, None if first < step else first - 1, -step)
            reach = spread * (count - 1)
            before = reach - (offset - first * dilation) // stride
        else:
            weights, before, reach = slice(0, 0), 0, 0
        yield slice(phase, None, stride), weights, (before, many + reach - before - out), spread


def _exact(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype to compute in: BLAS has no products of half precision."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype

"""Pooling as ops: maxima and means of windows, each with its derivative, and their functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import tt_tensor
from tt_autograd import Op, Tensor, defvjp
from tt_nn._apply import apply
from tt_nn._compute.precision import widen

from .layout import Array
from .pooling_kernels import Windows, gather, maxima, scatter, spread, sums, winners
from .sizes import Pair, Sizes, check_input, check_window_padding, pair, single

Value = Any  # an array, or a tensor when the derivative is itself to be differentiated


def _windows(
    size: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Windows:
    """Return where windows lie on an image of height and width ``size``."""
    shape = []
    for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        if room < 0 or n < 1:
            reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel_size, dilation, strict=True))
            padded = tuple(n + 2 * p for n, p in zip(size, padding, strict=True))
            raise ValueError(
                f"expected a padded input of at least {reach[0]}x{reach[1]}, the size of the "
                f"window, but it is {padded[0]}x{padded[1]}"
            )
        count = -(-room // s) if ceil_mode else room // s
        if ceil_mode and count * s >= n + p:
            count -= 1  # a window must not begin beyond the image
        shape.append(count + 1)
    image = (size[0], size[1])
    return Windows(image, (shape[0], shape[1]), kernel_size, stride, padding, dilation)


def _check_dtype(input: Array, kinds: str) -> None:
    if input.dtype.kind not in kinds:
        raise TypeError(f"not defined for {input.dtype.name}")


# Maxima


def _max_pool2d(
    input: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Array:
    _check_dtype(input, "fiu")
    windows = _windows(input.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    return maxima(input, windows)


def _max_pool2d_recorded(
    input: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Array, tuple[Array, Windows]]:
    _check_dtype(input, "fiu")
    windows = _windows(input.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    out, places = winners(input, windows)
    return out, (places, windows)


MAX_POOL2D = Op("max_pool2d", _max_pool2d, recorded=_max_pool2d_recorded)
# The two carry values to the winners and back: each is the other's derivative.
SCATTER = Op("max_pool2d_scatter", lambda input, places, windows: scatter(input, places, windows))
GATHER = Op("max_pool2d_gather", lambda input, places, windows: gather(input, places, windows))
defvjp(MAX_POOL2D, input=lambda g, aux: SCATTER(g, places=aux[0], windows=aux[1]))
defvjp(SCATTER, input=lambda g, places, windows: GATHER(g, places=places, windows=windows))
defvjp(GATHER, input=lambda g, places, windows: SCATTER(g, places=places, windows=windows))


def max_pool2d(
    input: tt_tensor.Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest value of every window.

    Of equal values the first in the window receives the gradient. A window with a NaN is NaN.

    Args:
        input: The images.
        kernel_size: Height and width of a window.
        stride: Steps between windows, ``kernel_size`` unless given.
        padding: How far windows reach over the edge, at most half of ``kernel_size``.
        dilation: Steps between the values of a window.
        ceil_mode: Whether a last window may reach beyond the padded image.

    Shape:
        ``(N, C, H, W) -> (N, C, Ho, Wo)`` with
        ``Ho = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``

    Raises:
        ValueError: The window is larger than the padded image, or an argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> max_pool2d(tt.arange(16.0).reshape(1, 1, 4, 4), 2)
        tensor([[[[ 5.,  7.],
                  [13., 15.]]]])
    """
    op = "max_pool2d"
    size = pair(op, "kernel_size", kernel_size)
    edge = pair(op, "padding", padding, 0)
    check_window_padding(op, size, edge)
    params = {
        "kernel_size": size,
        "stride": size if stride is None else pair(op, "stride", stride),
        "padding": edge,
        "dilation": pair(op, "dilation", dilation),
        "ceil_mode": bool(ceil_mode),
    }
    check_input(op, input, 4)
    return apply(MAX_POOL2D, input, **params)


# Means


def _divisor(windows: Windows, count_include_pad: bool, override: int | None) -> Any:
    """Return what sums of windows are divided by, one number if that is the same for all."""
    if override is not None:
        return override
    sizes = windows.sizes(count_include_pad=count_include_pad)
    return int(sizes[0, 0]) if (sizes == sizes[0, 0]).all() else sizes


def _avg_pool2d(
    input: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    _check_dtype(input, "f")
    windows = _windows(input.shape[2:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    out = sums(widen(input), windows)
    divisor = _divisor(windows, count_include_pad, divisor_override)
    np.divide(out, divisor, out=out, casting="same_kind")
    return out.astype(input.dtype, copy=False)


def _avg_pool2d_input(
    grad: Array,
    size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    windows = _windows(size, kernel_size, stride, padding, ceil_mode=ceil_mode)
    divisor = _divisor(windows, count_include_pad, divisor_override)
    wide = widen(grad)
    out = spread((wide / divisor).astype(wide.dtype, copy=False), windows)
    return out.astype(grad.dtype, copy=False)


AVG_POOL2D = Op("avg_pool2d", _avg_pool2d)
AVG_POOL2D_INPUT = Op("avg_pool2d_input", _avg_pool2d_input, ("grad",))


def _avg_values(
    g: Value,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Value:
    return AVG_POOL2D(
        g,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )


def _avg_slope(
    g: Value,
    shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Value:
    return AVG_POOL2D_INPUT(
        g,
        size=shape[2:],
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )


defvjp(AVG_POOL2D, input=_avg_slope)
defvjp(AVG_POOL2D_INPUT, grad=_avg_values)


def avg_pool2d(
    input: tt_tensor.Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of every window.

    Args:
        input: The images.
        kernel_size: Height and width of a window.
        stride: Steps between windows, ``kernel_size`` unless given.
        padding: How far windows reach over the edge, at most half of ``kernel_size``.
        ceil_mode: Whether a last window may reach beyond the padded image.
        count_include_pad: Whether the zeros of the padding count.
        divisor_override: What to divide the sums by, in place of their numbers of values.

    Shape:
        ``(N, C, H, W) -> (N, C, Ho, Wo)`` with ``Ho = (H + 2 * padding - kernel_size) // stride
        + 1``

    Raises:
        ValueError: The window is larger than the padded image, or an argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> avg_pool2d(tt.arange(16.0).reshape(1, 1, 4, 4), 2)
        tensor([[[[ 2.5000,  4.5000],
                  [10.5000, 12.5000]]]])
    """
    op = "avg_pool2d"
    size = pair(op, "kernel_size", kernel_size)
    if divisor_override == 0 or type(divisor_override) not in (int, type(None)):
        raise ValueError(
            f"{op}: expected divisor_override to be an int other than 0, got {divisor_override!r}"
        )
    edge = pair(op, "padding", padding, 0)
    check_window_padding(op, size, edge)
    params = {
        "kernel_size": size,
        "stride": size if stride is None else pair(op, "stride", stride),
        "padding": edge,
        "ceil_mode": bool(ceil_mode),
        "count_include_pad": bool(count_include_pad),
        "divisor_override": divisor_override,
    }
    check_input(op, input, 4)
    return apply(AVG_POOL2D, input, **params)


def max_pool1d(
    input: tt_tensor.Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    dilation: int | tuple[int] = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """Return the largest value of every stretch of sequences; `max_pool2d` in one dimension.

    Args:
        input: The sequences.
        kernel_size: Length of a stretch.
        stride: Steps between stretches, ``kernel_size`` unless given.
        padding: How far they reach over the ends, at most half of ``kernel_size``.
        dilation: Steps between the values of a stretch.
        ceil_mode: Whether a last one may reach beyond the padded sequence.

    Shape:
        ``(N, C, L) -> (N, C, Lo)`` with
        ``Lo = (L + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``

    Raises:
        ValueError: The stretch is longer than the padded sequence, or an argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> max_pool1d(tt.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
        tensor([[[3., 2.]]])
    """
    op = "max_pool1d"
    size = single(op, "kernel_size", kernel_size)
    edge = (0, single(op, "padding", padding, 0))
    check_window_padding(op, (1, size), edge)
    params = {
        "kernel_size": (1, size),
        "stride": (1, size if stride is None else single(op, "stride", stride)),
        "padding": edge,
        "dilation": (1, single(op, "dilation", dilation)),
        "ceil_mode": bool(ceil_mode),
    }
    check_input(op, input, 3)
    return apply(MAX_POOL2D, input.unsqueeze(2), **params).squeeze(2)


def avg_pool1d(
    input: tt_tensor.Tensor,
    kernel_size: int | tuple[int],
    stride: int | tuple[int] | None = None,
    padding: int | tuple[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of every stretch of sequences; `avg_pool2d` in one dimension.

    Args:
        input: The sequences.
        kernel_size: Length of a stretch.
        stride: Steps between stretches, ``kernel_size`` unless given.
        padding: How far they reach over the ends, at most half of ``kernel_size``.
        ceil_mode: Whether a last one may reach beyond the padded sequence.
        count_include_pad: Whether the zeros of the padding count.

    Shape:
        ``(N, C, L) -> (N, C, Lo)`` with ``Lo = (L + 2 * padding - kernel_size) // stride + 1``

    Raises:
        ValueError: The stretch is longer than the padded sequence, or an argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> avg_pool1d(tt.tensor([[[1.0, 3.0, 2.0, 0.0]]]), 2)
        tensor([[[2., 1.]]])
    """
    op = "avg_pool1d"
    size = single(op, "kernel_size", kernel_size)
    edge = (0, single(op, "padding", padding, 0))
    check_window_padding(op, (1, size), edge)
    params = {
        "kernel_size": (1, size),
        "stride": (1, size if stride is None else single(op, "stride", stride)),
        "padding": edge,
        "ceil_mode": bool(ceil_mode),
        "count_include_pad": bool(count_include_pad),
        "divisor_override": None,
    }
    check_input(op, input, 3)
    return apply(AVG_POOL2D, input.unsqueeze(2), **params).squeeze(2)

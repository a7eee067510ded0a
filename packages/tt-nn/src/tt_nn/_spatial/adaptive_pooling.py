"""Pooling to a given size, whatever the size of the images."""

from __future__ import annotations

from typing import Any

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor, ops
from tt_nn._apply import apply

from .layout import Array
from .pooling import avg_pool2d, max_pool2d
from .sizes import Pair, check_input, pair


def check_output_size(op: str, output_size: object) -> tuple[int | None, int | None]:
    """Return the height and width to pool to, None where it is the input's own.

    Raises:
        ValueError: They are no positive ints.
    """
    both = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(both) == 2:
        pair(op, "output_size", tuple(1 if v is None else v for v in both))
        return both[0], both[1]
    raise ValueError(f"{op}: expected output_size to be an int or a pair, got {output_size!r}")


def _sizes(op: str, input: tt_tensor.Tensor, output_size: object) -> tuple[Pair, Pair]:
    """Return height and width of the input, and those to pool to."""
    wanted = check_output_size(op, output_size)
    check_input(op, input, 4)
    height, width = input.shape[2:]
    if not height or not width:
        raise ValueError(f"{op}: expected images of at least 1x1, got {input.shape}")
    return (height, width), (wanted[0] or height, wanted[1] or width)


def _bounds(size: int, out: int) -> list[tuple[int, int]]:
    """Return where each of ``out`` nearly equal parts of a dimension begins and ends."""
    return [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]


def adaptive_avg_pool2d(
    input: tt_tensor.Tensor, output_size: int | tuple[int | None, int | None] | None
) -> Tensor:
    """Return means of nearly equal windows, as many as it takes for an output of a given size.

    Window i of a dimension goes from ``floor(i * H / Ho)`` to ``ceil((i + 1) * H / Ho)``.

    Args:
        input: The images.
        output_size: Height and width of the output, None for the input's own; 1 for one mean of
            all pixels (global pooling).

    Shape:
        ``(N, C, H, W) -> (N, C, *output_size)``

    Raises:
        ValueError: ``output_size`` is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> adaptive_avg_pool2d(tt.arange(16.0).reshape(1, 1, 4, 4), 1)
        tensor([[[[7.5000]]]])

    References:
        Lin et al., "Network in network", 2013 (the mean of all pixels).
    """
    (height, width), (high, wide) = _sizes("adaptive_avg_pool2d", input, output_size)
    if height % high == 0 and width % wide == 0:
        return avg_pool2d(input, (height // high, width // wide))
    # Means along one dimension, then the other, as products with the shares of pixels
    rows = tt_tensor.from_numpy(_shares(height, high, input.dtype))  # (Ho, H)
    columns = tt_tensor.from_numpy(_shares(width, wide, input.dtype).T.copy())  # (W, Wo)
    return apply(ops.MATMUL, apply(ops.MATMUL, rows, input), columns)


def _shares(size: int, out: int, dtype: np.dtype[Any]) -> Array:
    """Return the share of every pixel in every mean along a dimension: (out, size)."""
    shares = np.zeros((out, size), dtype)
    for i, (start, stop) in enumerate(_bounds(size, out)):
        shares[i, start:stop] = 1 / (stop - start)
    return shares


def adaptive_max_pool2d(
    input: tt_tensor.Tensor, output_size: int | tuple[int | None, int | None] | None
) -> Tensor:
    """Return maxima of nearly equal windows, as many as it takes for an output of a given size.

    Window i of a dimension goes from ``floor(i * H / Ho)`` to ``ceil((i + 1) * H / Ho)``.

    Args:
        input: The images.
        output_size: Height and width of the output, None for the input's own; 1 for the largest
            of all pixels (global pooling).

    Shape:
        ``(N, C, H, W) -> (N, C, *output_size)``

    Raises:
        ValueError: ``output_size`` is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> adaptive_max_pool2d(tt.arange(16.0).reshape(1, 1, 4, 4), 1)
        tensor([[[[15.]]]])
    """
    (height, width), (high, wide) = _sizes("adaptive_max_pool2d", input, output_size)
    if height % high == 0 and width % wide == 0:
        return max_pool2d(input, (height // high, width // wide))
    rows = [
        tt.cat(
            [
                max_pool2d(input[:, :, top:bottom, left:right], (bottom - top, right - left))
                for left, right in _bounds(width, wide)
            ],
            3,
        )
        for top, bottom in _bounds(height, high)
    ]
    return tt.cat(rows, 2)

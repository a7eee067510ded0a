"""Layers that only rearrange or frame values, or do nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import tt_autograd as tt
import tt_tensor
from tt_autograd import Op, defvjp

from ._module import Module
from ._spatial.layout import batch_first

T = TypeVar("T", bound=tt_tensor.Tensor)

# Copies to C order: the values stay where they are, and so do their gradients.
BATCH_FIRST = Op("batch_first", batch_first)
defvjp(BATCH_FIRST, input=lambda g: g)


class Identity(Module):
    """Returns its input.

    Args:
        *args: Ignored, so that it can stand in for any layer.
        **kwargs: Ignored.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Identity()(tt.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def forward(self, input: T) -> T:
        """Return the input."""
        return input


class Flatten(Module):
    """Joins the dimensions from ``start_dim`` to ``end_dim``, by default all but the batch's.

    Args:
        start_dim: The first dimension to join.
        end_dim: The last one.

    Shape:
        ``(N, d1, d2, ...) -> (N, d1 * d2 * ...)``

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Flatten()(tt.ones(64, 1, 28, 28)).shape
        (64, 784)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: T) -> T:
        """Join the dimensions."""
        if getattr(input, "ndim", 0) == 4 and hasattr(input, "_apply"):
            input = tt_tensor.apply(BATCH_FIRST, input)  # then no copy is left to be made
        return tt.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        """Return the dimensions."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits dimension ``dim`` into several.

    Args:
        dim: The dimension to split.
        unflattened_size: The sizes of the new dimensions, one of which may be -1.

    Shape:
        ``(..., d1 * d2 * ..., ...) -> (..., d1, d2, ..., ...)``

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Unflatten(1, (1, 28, 28))(tt.ones(64, 784)).shape
        (64, 1, 28, 28)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: T) -> T:
        """Split the dimension."""
        return tt.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        """Return the dimension and its sizes."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class ZeroPad2d(Module):
    """Puts zeros around images; see `functional.pad`.

    Args:
        padding: How many, on all sides alike or ``(left, right, top, bottom)``. Negative numbers
            cut.

    Shape:
        ``(..., H, W) -> (..., top + H + bottom, left + W + right)``

    Raises:
        ValueError: There are not one or four ints.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.ZeroPad2d(1)(tt.ones(1, 1))
        tensor([[0., 0., 0.],
                [0., 1., 0.],
                [0., 0., 0.]])
    """

    def __init__(self, padding: int | Sequence[int]) -> None:
        super().__init__()
        sides = tuple(padding) if isinstance(padding, Sequence) else (padding,) * 4
        if len(sides) != 4 or not all(isinstance(n, int) for n in sides):
            raise ValueError(f"ZeroPad2d: expected one int or four, got {padding!r}")
        self.padding = sides

    def forward(self, input: T) -> T:
        """Put zeros around."""
        return tt.pad(input, self.padding)

    def extra_repr(self) -> str:
        """Return the numbers of zeros."""
        return f"{self.padding}"

"""Dropout: its op, its derivative, and its layer."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

import tt_tensor
from tt_autograd import Op, default_generator, defvjp
from tt_tensor import apply

from ._module import Module

T = TypeVar("T", bound=tt_tensor.Tensor)

DROPOUT = Op("dropout", np.multiply, ("input", "mask"))
defvjp(DROPOUT, input=lambda g, mask: g * mask)


def dropout(input: T, p: float = 0.5, training: bool = True) -> T:
    """Set each element to zero with probability ``p`` and divide the others by ``1 - p``.

    The random numbers are the default generator's, so that `tt_autograd.manual_seed` makes them
    come again.

    Args:
        input: The values, of a floating-point dtype.
        p: The probability, from 0 to 1.
        training: Whether to do it at all; the input comes back as it is otherwise.

    Raises:
        ValueError: ``p`` is no probability.
        TypeError: The input is no tensor of floating-point numbers.

    Example:
        >>> import tt_autograd as tt
        >>> _ = tt.manual_seed(0)
        >>> bool((dropout(tt.ones(1000), 0.2) > 0).sum() > 700)
        True

    References:
        Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
        2014.
    """
    _check_probability("dropout", p)
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(f"dropout: expected a Tensor, got {type(input).__name__}")
    if not input.is_floating_point():
        raise TypeError(f"dropout: expected a floating-point dtype, got {input.dtype.name}")
    if not training or p == 0:
        return input
    keep = default_generator().numpy.random(input.shape, dtype=np.float32) >= p
    scale = 1 / (1 - p) if p < 1 else 0.0
    return apply(DROPOUT, input, np.multiply(keep, input.dtype.type(scale)))


class Dropout(Module):
    """Sets each element to zero with probability ``p`` in training; see `functional.dropout`.

    Args:
        p: The probability, from 0 to 1.

    Shape:
        Any; the output's is the input's.

    Raises:
        ValueError: ``p`` is no probability.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Dropout(0.5).eval()(tt.ones(3))
        tensor([1., 1., 1.])
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        _check_probability("Dropout", p)
        self.p = p

    def forward(self, input: T) -> T:
        """Drop elements in training mode."""
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"


def _check_probability(name: str, p: object) -> None:
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ValueError(f"{name}: expected p from 0 to 1, got {p!r}")

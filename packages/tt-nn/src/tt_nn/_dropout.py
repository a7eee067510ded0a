"""Dropout of elements and of channels: one op, its derivative, and its layers."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

import tt_tensor
from tt_autograd import Op, default_generator, defvjp
from tt_tensor import apply
from tt_tensor.seam import random_for_rows

from ._module import Module
from ._parameter import Parameter

T = TypeVar("T", bound=tt_tensor.Tensor)

DROPOUT = Op("dropout", np.multiply, ("input", "mask"))
defvjp(DROPOUT, input=lambda g, mask: g * mask)


def dropout(input: T, p: float = 0.5, training: bool = True) -> T:
    """Set each element to zero with probability ``p`` and divide the others by ``1 - p``.

    The random numbers are the default generator's, so that `tt_autograd.manual_seed` makes them
    come again. Where several processes share a batch, each draws what one would draw for its rows:
    those of a `Parameter` belong to all of them, and of any other input the first dimension is
    taken to run over rows of the batch, or over as many for each, if it is a multiple of theirs. So
    of an input of shape (T, N, …), or of one that is made of parameters alone, the processes may
    drop other elements than one would.

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
    _check("dropout", input, p)
    return _drop(input, input.shape, p) if training and p else input


def dropout1d(input: T, p: float = 0.5, training: bool = True) -> T:
    """Set each channel of a sequence to zero with probability ``p``; see `dropout`.

    Args:
        input: The values, of a floating-point dtype.
        p: The probability, from 0 to 1.
        training: Whether to do it at all; the input comes back as it is otherwise.

    Shape:
        ``(N, C, L)``; the output's is the input's.

    Raises:
        ValueError: ``p`` is no probability, or the shape does not fit.
        TypeError: The input is no tensor of floating-point numbers.

    Example:
        >>> import tt_autograd as tt
        >>> out = dropout1d(tt.ones(10, 20, 3))
        >>> bool(((out.sum(dim=2) == 0) | (out.sum(dim=2) == 6)).all())
        True
    """
    _check("dropout1d", input, p)
    if input.ndim != 3:
        raise ValueError(f"dropout1d: expected an input of shape (N, C, L), got {input.shape}")
    return _drop(input, (*input.shape[:2], 1), p) if training and p else input


def dropout2d(input: T, p: float = 0.5, training: bool = True) -> T:
    """Set each channel of an image to zero with probability ``p``; see `dropout`.

    Args:
        input: The values, of a floating-point dtype.
        p: The probability, from 0 to 1.
        training: Whether to do it at all; the input comes back as it is otherwise.

    Shape:
        ``(N, C, H, W)``; the output's is the input's.

    Raises:
        ValueError: ``p`` is no probability, or the shape does not fit.
        TypeError: The input is no tensor of floating-point numbers.

    Example:
        >>> import tt_autograd as tt
        >>> out = dropout2d(tt.ones(10, 20, 2, 2)).sum(dim=(2, 3))
        >>> bool(((out == 0) | (out == 8)).all())
        True

    References:
        Tompson et al., "Efficient object localization using convolutional networks", 2014.
    """
    _check("dropout2d", input, p)
    if input.ndim != 4:
        raise ValueError(
            f"dropout2d: expected an input of shape (N, C, H, W), got {input.shape}; "
            "dropout1d takes (N, C, L)"
        )
    return _drop(input, (*input.shape[:2], 1, 1), p) if training and p else input


def _drop(input: T, shape: tuple[int, ...], p: float) -> T:
    """Multiply with a random mask: 0 with probability ``p``, and ``1 / (1 - p)`` otherwise.

    The random numbers are the default generator's, and the product is one op, `DROPOUT`, of the
    input and an array of its dtype.

    Args:
        input: The values.
        shape: The shape of the mask, which broadcasts to the input's.
        p: The probability, from 0 to 1; at 1 nothing is left.
    """
    random = default_generator().numpy
    learned = isinstance(input, Parameter)  # which no row of a batch has for itself
    drawn = random.random(shape, np.float32) if learned else random_for_rows(random, shape)
    keep = drawn >= p
    scale = 1 / (1 - p) if p < 1 else 0.0
    return apply(DROPOUT, input, np.multiply(keep, input.dtype.type(scale)))


class Dropout(Module):
    """Sets each element to zero with probability ``p`` in training; see `functional.dropout`.

    Where processes share a batch, the first dimension is to run over its rows, unless the input is
    a `Parameter`.

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
        _check_probability(type(self).__name__, p)
        self.p = p

    def forward(self, input: T) -> T:
        """Drop elements in training mode."""
        if not self.training and isinstance(input, tt_tensor.Tensor):
            return input  # at once, for the sake of models that generate a token at a time
        return dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """Return the probability."""
        return f"p={self.p}"


class Dropout1d(Dropout):
    """Sets whole channels of sequences to zero in training; see `functional.dropout1d`.

    Args:
        p: The probability, from 0 to 1.

    Shape:
        ``(N, C, L)``; the output's is the input's.

    Raises:
        ValueError: ``p`` is no probability.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Dropout1d(1.0)(tt.ones(1, 2, 2))
        tensor([[[0., 0.],
                 [0., 0.]]])
    """

    def forward(self, input: T) -> T:
        """Drop channels in training mode."""
        return dropout1d(input, self.p, self.training)


class Dropout2d(Dropout):
    """Sets whole channels of images to zero in training; see `functional.dropout2d`.

    Args:
        p: The probability, from 0 to 1.

    Shape:
        ``(N, C, H, W)``; the output's is the input's.

    Raises:
        ValueError: ``p`` is no probability.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Dropout2d(0.5).eval()(tt.ones(1, 1, 1, 2))
        tensor([[[[1., 1.]]]])
    """

    def forward(self, input: T) -> T:
        """Drop channels in training mode."""
        return dropout2d(input, self.p, self.training)


def _check(name: str, input: tt_tensor.Tensor, p: float) -> None:
    _check_probability(name, p)
    if not isinstance(input, tt_tensor.Tensor):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
    if not input.is_floating_point():
        raise TypeError(f"{name}: expected a floating-point dtype, got {input.dtype.name}")


def _check_probability(name: str, p: object) -> None:
    if not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ValueError(f"{name}: expected p from 0 to 1, got {p!r}")

"""The tensor that a module learns."""

from __future__ import annotations

from typing import Any

import numpy as np

import tt_tensor
from tt_autograd import Leaf, Tensor


class Parameter(Tensor):
    """A tensor that a `Module` counts among its parameters once it is set as an attribute.

    Args:
        data: A tensor, whose memory is shared, or whatever `tt_autograd.tensor` takes.
        requires_grad: Whether a gradient is collected for it.

    Raises:
        TypeError: The data are not floating-point numbers, and a gradient is asked for.

    Example:
        >>> import tt_nn as nn
        >>> nn.Parameter([1.0, 2.0])
        Parameter containing:
        tensor([1., 2.], requires_grad=True)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        if isinstance(data, tt_tensor.Tensor):
            self._hold(data._array)
        else:
            super().__init__(data)
        if requires_grad:
            self.requires_grad_()

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"

    def _become(self, dtype: np.dtype[Any]) -> None:
        """Change the dtype of this very object and of its gradient, for whoever holds it."""
        self._array = self._array.astype(dtype, copy=False)
        leaf = self._node
        if isinstance(leaf, Leaf):
            leaf.dtype = self._array.dtype
            if leaf.grad is not None:
                leaf.grad = leaf.grad.detach().to(dtype)

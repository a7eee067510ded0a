"""Activation functions as layers; the functions are tt_tensor's."""

from __future__ import annotations

from typing import Literal, TypeVar

import tt_autograd as tt
import tt_tensor
from tt_nn._module import Module

from .gelu import gelu
from .relu import relu

T = TypeVar("T", bound=tt_tensor.Tensor)


class ReLU(Module):
    r"""The positive part, :math:`\max(x, 0)`.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.ReLU()(tt.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return relu(input)


class LeakyReLU(Module):
    r""":math:`x` where positive, :math:`\text{negative\_slope} \cdot x` elsewhere.

    Args:
        negative_slope: The slope below 0.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.LeakyReLU(0.1)(tt.tensor([-1.0, 2.0]))
        tensor([-0.1000,  2.0000])
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return tt.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        """Return the slope."""
        return f"negative_slope={self.negative_slope}"


class Sigmoid(Module):
    r"""The logistic function, :math:`1 / (1 + e^{-x})`.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Sigmoid()(tt.tensor([0.0, 100.0]))
        tensor([0.5000, 1.0000])
    """

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return tt.sigmoid(input)


class Tanh(Module):
    r"""The hyperbolic tangent, :math:`(e^x - e^{-x}) / (e^x + e^{-x})`.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Tanh()(tt.tensor([0.0, 100.0]))
        tensor([0., 1.])
    """

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return tt.tanh(input)


class GELU(Module):
    r""":math:`x \, \Phi(x)`, with the Gaussian distribution function.

    Args:
        approximate: ``"none"`` for the exact function, ``"tanh"`` for its approximation.

    Raises:
        ValueError: ``approximate`` is neither.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.GELU()(tt.tensor([-1.0, 1.0]))
        tensor([-0.1587,  0.8413])
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: expected approximate 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """Return the kind of approximation."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    r""":math:`x \, \sigma(x)`, also known as swish.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.SiLU()(tt.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return tt.silu(input)


class Softplus(Module):
    r""":math:`\frac 1 \beta \log(1 + e^{\beta x})`, a smooth `ReLU`.

    Args:
        beta: Sharpness.
        threshold: Where ``beta * x`` is above it, the result is ``x`` itself.

    Raises:
        ValueError: ``beta`` is not above 0.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Softplus()(tt.tensor([0.0, 100.0]))
        tensor([  0.6931, 100.0000])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        if not beta > 0:
            raise ValueError(f"Softplus: expected beta above 0, got {beta!r}")
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return tt.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """Return sharpness and threshold."""
        return f"beta={self.beta}, threshold={self.threshold}"


class ELU(Module):
    r""":math:`x` where positive, :math:`\alpha (e^x - 1)` elsewhere.

    Args:
        alpha: What the function tends to on the left, negated.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.ELU()(tt.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, input: T) -> T:
        """Apply the function elementwise."""
        return tt.elu(input, self.alpha)

    def extra_repr(self) -> str:
        """Return alpha."""
        return f"alpha={self.alpha}"


class Softmax(Module):
    r""":math:`e^{x_i} / \sum_j e^{x_j}` along ``dim``: positive values that sum to 1.

    Args:
        dim: The dimension that sums to 1.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Softmax(dim=1)(tt.zeros(1, 4))
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: T) -> T:
        """Normalise along the dimension."""
        return tt.softmax(input, self.dim)

    def extra_repr(self) -> str:
        """Return the dimension."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    r""":math:`x_i - \log \sum_j e^{x_j}` along ``dim``, the logarithm of `Softmax`.

    Args:
        dim: The dimension whose probabilities sum to 1.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.LogSoftmax(dim=1)(tt.zeros(1, 2))
        tensor([[-0.6931, -0.6931]])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: T) -> T:
        """Normalise along the dimension."""
        return tt.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        """Return the dimension."""
        return f"dim={self.dim}"

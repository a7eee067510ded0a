"""Normalisation of each image by itself, over groups of channels: one op and its layers."""

from __future__ import annotations

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Op, Tensor, defvjp
from tt_nn._apply import apply
from tt_nn._arguments import check_sizes
from tt_nn._compute.precision import check_float
from tt_nn._module import Module
from tt_nn._parameter import Parameter

from .moments import Array, Axes, Moments, Value, normalise, of_plain_ops, slopes, working


def _grouped(x: Value, num_groups: int) -> tuple[Value, Axes]:
    """Split the channels, which never copies: (N, C, ...) -> (N, groups, C / groups, ...)."""
    split = x.reshape((x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:]))
    return split, tuple(range(2, split.ndim))


def _beside(parameter: Value, x: Value) -> Value:
    """Return a parameter in the shape in which it stands beside grouped values."""
    if parameter is None:
        return None
    return parameter.reshape((1, *x.shape[1:3], *(1,) * (x.ndim - 3)))


def _group_norm(
    input: Array, weight: Array | None, bias: Array | None, num_groups: int, eps: float
) -> tuple[Array, Moments]:
    check_float(input)
    if input.ndim < 2:
        raise ValueError("expected an input of shape (N, C, ...)")
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"expected num_groups to divide the {channels} channels")
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and parameter.shape != (channels,):
            raise ValueError(f"expected a {name} of shape ({channels},)")
    if 0 in input.shape[1:]:
        raise ValueError("expected at least one value for each channel of an image")
    dtype, wide = working(input, weight, bias)
    values = input.astype(wide, copy=False)
    out = np.empty_like(values)
    x, axes = _grouped(values, num_groups)
    w, b = _beside(weight, x), _beside(bias, x)
    moments = normalise(x, w, b, axes, eps, True, out.reshape(x.shape))
    return out.astype(dtype, copy=False), moments


def _slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    num_groups: int,
    moments: Moments,
    needs: tuple[bool, ...],
) -> tuple[Array, Array | None, Array | None]:
    wide = moments.scale.dtype
    values = input.astype(wide, copy=False)
    dx = np.empty_like(values)
    x, axes = _grouped(values, num_groups)
    shape = (1, *x.shape[1:3], *(1,) * (x.ndim - 3))
    g, back = g.astype(wide, copy=False).reshape(x.shape), dx.reshape(x.shape)
    w = _beside(weight, x)
    dweight, dbias = slopes(g, x, w, shape, moments, axes, True, needs, back)
    return (
        dx,
        None if dweight is None else dweight.reshape(-1),
        None if dbias is None else dbias.reshape(-1),
    )


def _group_norm_of_plain_ops(
    input: Value, weight: Value, bias: Value, num_groups: int, eps: float
) -> Value:
    x, axes = _grouped(input, num_groups)
    out = of_plain_ops(x, _beside(weight, x), _beside(bias, x), axes, eps, centre=True)
    return out.reshape(input.shape)


GROUP_NORM = Op(
    "group_norm",
    lambda *inputs, **params: _group_norm(*inputs, **params)[0],
    ("input", "weight", "bias"),
    recorded=_group_norm,
)
defvjp(
    GROUP_NORM,
    joint=lambda g, input, weight, num_groups, aux, needs: _slopes(
        g, input, weight, num_groups, aux, needs
    ),
    composite=_group_norm_of_plain_ops,
)


def group_norm(
    input: tt_tensor.Tensor,
    num_groups: int,
    weight: tt_tensor.Tensor | None = None,
    bias: tt_tensor.Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    r"""Return :math:`w_c (x - \mu) / \sqrt{\sigma^2 + \epsilon} + b_c` of groups of channels.

    Mean and variance are those of one image's channels of one group.

    Args:
        input: The values.
        num_groups: How many groups the channels are divided into.
        weight: A factor for each channel.
        bias: A number for each channel.
        eps: Keeps the divisor from 0.

    Shape:
        ``(N, C, ...)``; the output's is the input's.

    Raises:
        ValueError: The shapes do not fit, or ``num_groups`` does not divide the channels.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> group_norm(tt.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])

    References:
        Wu and He, "Group normalization", 2018.
    """
    return apply(GROUP_NORM, input, weight, bias, num_groups=num_groups, eps=eps)


class GroupNorm(Module):
    """Normalises groups of channels of each image; see `functional.group_norm`.

    Args:
        num_groups: How many groups the channels are divided into.
        num_channels: Number of channels, ``C``.
        eps: Keeps the divisor from 0.
        affine: Whether there are a weight and a bias for each channel.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, C, ...)``; the output's is the input's.

    Attributes:
        weight: ``(C,)``, initially 1; None with ``affine=False``.
        bias: ``(C,)``, initially 0; None with ``affine=False``.

    Raises:
        ValueError: A number is not a positive int, or ``num_groups`` does not divide
            ``num_channels``.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.GroupNorm(2, 4)(tt.tensor([[1.0, 3.0, 10.0, 30.0]])).detach()
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        check_sizes("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: expected num_groups to divide the {num_channels} channels, "
                f"got {num_groups}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        ones, zeros = (make(num_channels, dtype=dtype) for make in (tt.ones, tt.zeros))
        self.register_parameter("weight", Parameter(ones) if affine else None)
        self.register_parameter("bias", Parameter(zeros) if affine else None)

    def reset_parameters(self) -> None:
        """Set weights to 1 and biases to 0."""
        with tt.no_grad():
            if self.weight is not None:
                self.weight.fill_(1)
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Normalise the groups of each image."""
        shape = getattr(input, "shape", None)  # the op refuses what is no tensor
        if shape is not None and shape[1:2] != (self.num_channels,):
            raise ValueError(
                f"GroupNorm: expected an input of shape (N, {self.num_channels}, ...), got {shape}"
            )
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"

"""Normalisation over the last dimensions: LayerNorm and RMSNorm, each one op and its layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Op, Tensor, defvjp
from tt_nn._apply import apply
from tt_nn._compute.backend import loop
from tt_nn._compute.precision import check_float
from tt_nn._module import Module
from tt_nn._parameter import Parameter

from .moments import Array, Axes, Moments, normalise, of_plain_ops, slopes, working

Sizes = int | Sequence[int]


def _view(x: Array, count: int) -> tuple[Array, Axes]:
    """Return values as the kernel takes them, and which dimensions are the last ``count``.

    They become (rows, elements) where that is a view; others keep their dimensions, after a new
    first one, and so their order in memory.
    """
    leading = x.ndim - count
    if x.flags.c_contiguous:
        shape = (math.prod(x.shape[:leading]), math.prod(x.shape[leading:]))
        return x.reshape(shape), (1,)
    return x[None], tuple(range(leading + 1, x.ndim + 1))


def _beside(x: Array, axes: Axes) -> tuple[int, ...]:
    """Return the shape in which a parameter stands beside the values."""
    return (1,) * axes[0] + x.shape[axes[0] :]


def _check(input: Array, size: tuple[int, ...], **parameters: Array | None) -> None:
    if input.ndim < len(size) or input.shape[input.ndim - len(size) :] != size:
        raise ValueError(f"expected an input of shape ({', '.join(['...', *map(str, size)])})")
    for name, parameter in parameters.items():
        if parameter is not None and parameter.shape != size:
            raise ValueError(f"expected a {name} of shape {size}")


def _normalise(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    size: tuple[int, ...],
    eps: float,
    centre: bool,
) -> tuple[Array, Moments]:
    check_float(input)
    _check(input, size, weight=weight, bias=bias)
    dtype, wide = working(input, weight, bias)
    values = input.astype(wide, copy=False)
    out = np.empty_like(values)
    x, axes = _view(values, len(size))
    w, b = (None if each is None else each.reshape(_beside(x, axes)) for each in (weight, bias))
    moments = normalise(x, w, b, axes, eps, centre, out.reshape(x.shape))
    return out.astype(dtype, copy=False), moments


def _normalised(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    size: tuple[int, ...],
    eps: float,
    centre: bool,
) -> Array:
    """Return the result alone; for a single row, as in generation, in a third of the time."""
    count = input.size
    if (
        (count,) != size
        or input.shape[-1] != count
        or input.dtype.char not in "fd"
        or not eps  # without it, NumPy is to divide by zero
        or (weight is not None and weight.shape != size)
        or (bias is not None and bias.shape != size)
    ):
        return _normalise(input, weight, bias, size, eps, centre)[0]
    return normalised_row(input.reshape(-1), weight, bias, eps, centre).reshape(input.shape)


def normalised_row(
    row: Array, weight: Array | None, bias: Array | None, eps: float, centre: bool = True
) -> Array:
    """Return a single row normalised, in single or double precision; ``eps`` is above 0."""
    count = row.size
    if weight is not None and bias is not None and weight.dtype == bias.dtype == row.dtype:
        compiled = loop("normalise_rows")
        if compiled is not None:
            x, eps = row.reshape((1, count)), row.dtype.type(eps)
            out = np.empty_like(x)
            mean, scale = np.empty((2, 1, 1), row.dtype)
            compiled(x, weight, bias, eps, centre, mean, scale, out, 0, 1)
            return out.reshape(-1)
    if centre:
        row = row - np.add.reduce(row) / count
    out = row * (1 / math.sqrt(float(row.dot(row)) / count + eps))
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def _slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    size: tuple[int, ...],
    moments: Moments,
    centre: bool,
    needs: tuple[bool, ...],
) -> tuple[Array, Array | None, Array | None]:
    wide = moments.scale.dtype
    values = input.astype(wide, copy=False)
    dx = np.empty_like(values)
    x, axes = _view(values, len(size))
    shape = _beside(x, axes)
    w = None if weight is None else weight.reshape(shape)
    g = g.astype(wide, copy=False).reshape(x.shape)
    back = dx.reshape(x.shape)
    dweight, dbias = slopes(g, x, w, shape, moments, axes, centre, needs, back)
    return (
        dx,
        None if dweight is None else dweight.reshape(size),
        None if dbias is None else dbias.reshape(size),
    )


def _last(size: tuple[int, ...]) -> Axes:
    return tuple(range(-len(size), 0))


LAYER_NORM = Op(
    "layer_norm",
    lambda input, weight, bias, size, eps: _normalised(input, weight, bias, size, eps, True),
    ("input", "weight", "bias"),
    recorded=lambda input, weight, bias, size, eps: _normalise(
        input, weight, bias, size, eps, True
    ),
)
defvjp(
    LAYER_NORM,
    joint=lambda g, input, weight, size, aux, needs: _slopes(
        g, input, weight, size, aux, True, needs
    ),
    composite=lambda input, weight, bias, size, eps: of_plain_ops(
        input, weight, bias, _last(size), eps, True
    ),
)

RMS_NORM = Op(
    "rms_norm",
    lambda input, weight, size, eps: _normalised(input, weight, None, size, eps, False),
    ("input", "weight"),
    recorded=lambda input, weight, size, eps: _normalise(input, weight, None, size, eps, False),
)
defvjp(
    RMS_NORM,
    joint=lambda g, input, weight, size, aux, needs: _slopes(
        g, input, weight, size, aux, False, (*needs, False)
    )[:2],
    composite=lambda input, weight, size, eps: of_plain_ops(
        input, weight, None, _last(size), eps, False
    ),
)


def layer_norm(
    input: tt_tensor.Tensor,
    normalized_shape: Sizes,
    weight: tt_tensor.Tensor | None = None,
    bias: tt_tensor.Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    r"""Return :math:`w (x - \mu) / \sqrt{\sigma^2 + \epsilon} + b` over the last dimensions.

    Args:
        input: The values.
        normalized_shape: The sizes of the dimensions that mean and variance are taken over.
        weight: A factor for each element of ``normalized_shape``.
        bias: A number for each element of ``normalized_shape``.
        eps: Keeps the divisor from 0.

    Shape:
        ``(..., *normalized_shape)``; the output's is the input's.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> layer_norm(tt.tensor([[1.0, 3.0], [10.0, 30.0]]), 2)
        tensor([[-1.0000,  1.0000],
                [-1.0000,  1.0000]])

    References:
        Ba, Kiros and Hinton, "Layer normalization", 2016.
    """
    return apply(
        LAYER_NORM, input, weight, bias, size=_sizes("layer_norm", normalized_shape), eps=eps
    )


def rms_norm(
    input: tt_tensor.Tensor,
    normalized_shape: Sizes,
    weight: tt_tensor.Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    r"""Return :math:`w x / \sqrt{\text{mean}(x^2) + \epsilon}` over the last dimensions.

    Args:
        input: The values.
        normalized_shape: The sizes of the dimensions that the mean is taken over.
        weight: A factor for each element of ``normalized_shape``.
        eps: Keeps the divisor from 0; None for the distance from 1 to the next number of the
            input's dtype.

    Shape:
        ``(..., *normalized_shape)``; the output's is the input's.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The input is not floating-point.

    Example:
        >>> import tt_autograd as tt
        >>> rms_norm(tt.tensor([3.0, 4.0]), 2)
        tensor([0.8485, 1.1314])

    References:
        Zhang and Sennrich, "Root mean square layer normalization", 2019.
    """
    if eps is None:
        dtype = getattr(input, "dtype", None)  # the op refuses what has none that will do
        eps = float(np.finfo(dtype).eps) if dtype is not None and dtype.kind == "f" else 0.0
    return apply(RMS_NORM, input, weight, size=_sizes("rms_norm", normalized_shape), eps=eps)


class LayerNorm(Module):
    """Normalises over the last dimensions; see `functional.layer_norm`.

    Args:
        normalized_shape: The sizes of those dimensions, or the size of the last.
        eps: Keeps the divisor from 0.
        elementwise_affine: Whether there are a weight and a bias.
        bias: Whether there is a bias beside the weight.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(..., *normalized_shape)``; the output's is the input's.

    Attributes:
        weight: ``normalized_shape``, initially 1; None with ``elementwise_affine=False``.
        bias: ``normalized_shape``, initially 0; None with ``elementwise_affine=False`` or
            ``bias=False``.

    Raises:
        ValueError: A size is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.LayerNorm(2)(tt.tensor([[1.0, 3.0]])).detach()
        tensor([[-1.0000,  1.0000]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Sizes,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("LayerNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        shape = self.normalized_shape
        self.register_parameter(
            "weight", Parameter(tt.ones(shape, dtype=dtype)) if elementwise_affine else None
        )
        self.register_parameter(
            "bias", Parameter(tt.zeros(shape, dtype=dtype)) if elementwise_affine and bias else None
        )

    def reset_parameters(self) -> None:
        """Set the weight to 1 and the bias to 0."""
        with tt.no_grad():
            if self.weight is not None:
                self.weight.fill_(1)
            if self.bias is not None:
                self.bias.zero_()

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Normalise over the last dimensions."""
        return apply(
            LAYER_NORM, input, self.weight, self.bias, size=self.normalized_shape, eps=self.eps
        )

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divides by the root mean square over the last dimensions; see `functional.rms_norm`.

    Args:
        normalized_shape: The sizes of those dimensions, or the size of the last.
        eps: Keeps the divisor from 0; None for the distance from 1 to the next number of the
            input's dtype.
        elementwise_affine: Whether there is a weight.
        dtype: The dtype of the weight, the default one unless given.

    Shape:
        ``(..., *normalized_shape)``; the output's is the input's.

    Attributes:
        weight: ``normalized_shape``, initially 1; None with ``elementwise_affine=False``.

    Raises:
        ValueError: A size is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.RMSNorm(2)(tt.tensor([3.0, 4.0])).detach()
        tensor([0.8485, 1.1314])
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Sizes,
        eps: float | None = None,
        elementwise_affine: bool = True,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes("RMSNorm", normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter(
            "weight",
            Parameter(tt.ones(self.normalized_shape, dtype=dtype)) if elementwise_affine else None,
        )

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            with tt.no_grad():
                self.weight.fill_(1)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Divide by the root mean square over the last dimensions."""
        return rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


def _sizes(name: str, shape: object) -> tuple[int, ...]:
    """Return the sizes of the normalised dimensions, of which there is at least one."""
    sizes = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    if not sizes or any(not isinstance(n, int | np.integer) or n < 1 for n in sizes):
        raise ValueError(
            f"{name}: expected normalized_shape to be one or more positive ints, got {shape!r}"
        )
    return tuple(map(int, sizes))

"""Convolutions as ops, and their functions.

Three ops are closed under differentiation: the convolution, its transpose (the gradient of its
input) and the gradient of its weight. Each one's derivatives are the other two, so derivatives of
every order come of a few lines.
"""

from __future__ import annotations

from typing import Any, Literal

import tt_tensor
from tt_autograd import Op, Tensor, defvjp
from tt_nn._apply import apply

from .convolution_kernels import convolve, convolve_input, convolve_weight, output_shape
from .convolution_products import Padding
from .layout import Array
from .sizes import Pair, Sizes, check_input, pair, single

Value = Any  # an array, or a tensor when the derivative is itself to be differentiated
PaddingMode = Literal["same", "valid"]


def _check_sizes(weight: Array) -> None:
    if not weight.size:
        raise ValueError("expected a weight of at least one channel and one pixel each way")


def _conv2d(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    if weight.ndim != 4:
        raise ValueError(
            "expected a weight of shape (out_channels, in_channels / groups, height, width)"
        )
    _check_sizes(weight)
    out_channels, each, *kernel = weight.shape
    if groups < 1 or out_channels % groups:
        raise ValueError(f"expected groups to divide the {out_channels} output channels")
    if input.ndim != 4 or input.shape[1] != each * groups:
        raise ValueError(f"expected an input of shape (N, {each * groups}, H, W)")
    if bias is not None and bias.shape != (out_channels,):
        raise ValueError(f"expected a bias of shape ({out_channels},)")
    if min(output_shape(input.shape[2:], weight.shape[2:], stride, padding, dilation)) < 1:
        high, wide = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        height, width = (n + sum(p) for n, p in zip(input.shape[2:], padding, strict=True))
        raise ValueError(
            f"expected a padded input of at least {high}x{wide}, the size of the (dilated) kernel, "
            f"but it is {height}x{width}"
        )
    return convolve(input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array | None,
    size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    if weight.ndim != 4:
        raise ValueError(
            "expected a weight of shape (in_channels, out_channels / groups, height, width)"
        )
    _check_sizes(weight)
    in_channels, each = weight.shape[:2]
    if groups < 1 or in_channels % groups:
        raise ValueError(f"expected groups to divide the {in_channels} input channels")
    if input.ndim != 4 or input.shape[1] != in_channels:
        raise ValueError(f"expected an input of shape (N, {in_channels}, H, W)")
    if bias is not None and bias.shape != (each * groups,):
        raise ValueError(f"expected a bias of shape ({each * groups},)")
    if min(size) < 1:
        raise ValueError(f"expected an output of at least 1x1, but it would be {size[0]}x{size[1]}")
    out = convolve_input(input, weight, size, stride, padding, dilation, groups)
    if bias is not None:
        out += bias[:, None, None]
    return out


CONV2D = Op("conv2d", _conv2d, ("input", "weight", "bias"))
CONV_TRANSPOSE2D = Op("conv_transpose2d", _conv_transpose2d, ("input", "weight", "bias"))
CONV2D_WEIGHT = Op("conv2d_weight", convolve_weight, ("grad", "input"))


def _forward(
    input: Value, weight: Value, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Value:
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return CONV2D(input, weight, None, **how)


def _transposed(
    grad: Value,
    weight: Value,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Value:
    """Return the gradient of the input of a convolution, which has the given shape."""
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return CONV_TRANSPOSE2D(grad, weight, None, size=shape[2:], **how)


def _weight(
    grad: Value,
    input: Value,
    shape: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Value:
    """Return the gradient of the weight of a convolution, which has the given shape."""
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return CONV2D_WEIGHT(grad, input, kernel=shape[2:], **how)


# In all three: what the convolution takes, what it gives, and its weight.
defvjp(
    CONV2D,
    input=lambda g, weight, shape, stride, padding, dilation, groups: _transposed(
        g, weight, shape, stride, padding, dilation, groups
    ),
    weight=lambda g, input, shape, stride, padding, dilation, groups: _weight(
        g, input, shape, stride, padding, dilation, groups
    ),
    bias=lambda g: g.sum(axis=(0, 2, 3)),
)
defvjp(
    CONV_TRANSPOSE2D,
    input=lambda g, weight, stride, padding, dilation, groups: _forward(
        g, weight, stride, padding, dilation, groups
    ),
    weight=lambda g, input, shape, stride, padding, dilation, groups: _weight(
        input, g, shape, stride, padding, dilation, groups
    ),
    bias=lambda g: g.sum(axis=(0, 2, 3)),
)
defvjp(
    CONV2D_WEIGHT,
    grad=lambda g, input, stride, padding, dilation, groups: _forward(
        input, g, stride, padding, dilation, groups
    ),
    input=lambda g, grad, shape, stride, padding, dilation, groups: _transposed(
        grad, g, shape, stride, padding, dilation, groups
    ),
)


def margins(
    op: str, padding: object, kernel: tuple[int, ...], stride: Pair, dilation: Pair
) -> Padding:
    """Return how many zeros to put before and after each dimension.

    Raises:
        ValueError: ``padding`` is none that there is.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError(f"{op}: padding='same' needs a stride of 1, got {stride}")
        high, wide = (d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
        return (high // 2, high - high // 2), (wide // 2, wide - wide // 2)
    if isinstance(padding, str):
        raise ValueError(f"{op}: expected padding to be 'same', 'valid' or ints, got {padding!r}")
    height, width = pair(op, "padding", padding, 0)
    return (height, height), (width, width)


def check_output_padding(op: str, output_padding: Pair, stride: Pair, dilation: Pair) -> None:
    """Refuse a transposed convolution's output that a convolution would not lead back from.

    Raises:
        ValueError: ``output_padding`` is too large.
    """
    if any(m >= max(s, d) for m, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ValueError(
            f"{op}: expected output_padding below the stride or the dilation, got "
            f"{output_padding} with stride {stride} and dilation {dilation}"
        )


def _check_weight(op: str, weight: object, *shape: str) -> None:
    if not isinstance(weight, tt_tensor.Tensor):
        raise TypeError(f"{op}: expected a Tensor as weight, got {type(weight).__name__}")
    if weight.ndim != len(shape):
        raise ValueError(
            f"{op}: expected a weight of shape ({', '.join(shape)}), got {weight.shape}"
        )


def conv2d(
    input: tt_tensor.Tensor,
    weight: tt_tensor.Tensor,
    bias: tt_tensor.Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | PaddingMode = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    r"""Return the convolution (in the terms of mathematics, the cross-correlation) of images.

    :math:`y_{n,o,i,j} = b_o + \sum_{c,u,v} w_{o,c,u,v}\, x_{n,c,\,s i + d u - p,\,s j + d v - p}`

    No im2col matrix of more than 0.5 MiB (float32) is made, unless one position of the kernel
    needs more. Results of 16 images or more lie in memory as (H, W, C, N), of fewer as
    (N, C, H, W); their shape is the same.

    Args:
        input: The images.
        weight: The kernels.
        bias: One number for each output channel.
        stride: Steps of the kernel.
        padding: Zeros on each side; ``"same"`` for as many as keep height and width (with a
            stride of 1), ``"valid"`` for none.
        dilation: Steps between the weights of a kernel.
        groups: In how many groups the channels are convolved apart; ``in_channels`` for a
            depthwise convolution.

    Shape:
        ``(N, in_channels, H, W), (out_channels, in_channels / groups, kh, kw), (out_channels,) ->
        (N, out_channels, Ho, Wo)`` with
        ``Ho = (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1``

    Raises:
        ValueError: The shapes do not fit, or the kernel is larger than the padded image.

    Example:
        >>> import tt_autograd as tt
        >>> conv2d(tt.arange(9.0).reshape(1, 1, 3, 3), tt.ones(1, 1, 2, 2))
        tensor([[[[ 8., 12.],
                  [20., 24.]]]])

    References:
        LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """
    op = "conv2d"
    _check_weight(op, weight, "out_channels", "in_channels / groups", "kh", "kw")
    steps, spread = pair(op, "stride", stride), pair(op, "dilation", dilation)
    how = {
        "stride": steps,
        "padding": margins(op, padding, weight.shape[2:], steps, spread),
        "dilation": spread,
        "groups": single(op, "groups", groups),
    }
    return apply(CONV2D, input, weight, bias, **how)


def conv1d(
    input: tt_tensor.Tensor,
    weight: tt_tensor.Tensor,
    bias: tt_tensor.Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | PaddingMode = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Tensor:
    r"""Return the convolution (cross-correlation) of sequences.

    :math:`y_{n,o,i} = b_o + \sum_{c,u} w_{o,c,u}\, x_{n,c,\,s i + d u - p}`

    Args:
        input: The sequences.
        weight: The kernels.
        bias: One number for each output channel.
        stride: Steps of the kernel.
        padding: Zeros on each side; ``"same"`` for as many as keep the length (with a stride of
            1), ``"valid"`` for none.
        dilation: Steps between the weights of a kernel.
        groups: In how many groups the channels are convolved apart.

    Shape:
        ``(N, in_channels, L), (out_channels, in_channels / groups, k), (out_channels,) ->
        (N, out_channels, Lo)`` with
        ``Lo = (L + 2 * padding - dilation * (k - 1) - 1) // stride + 1``

    Raises:
        ValueError: The shapes do not fit, or the kernel is longer than the padded sequence.

    Example:
        >>> import tt_autograd as tt
        >>> conv1d(tt.tensor([[[1.0, 2.0, 4.0]]]), tt.tensor([[[-1.0, 1.0]]]))
        tensor([[[1., 2.]]])
    """
    op = "conv1d"
    check_input(op, input, 3)
    _check_weight(op, weight, "out_channels", "in_channels / groups", "k")
    steps, spread = (1, single(op, "stride", stride)), (1, single(op, "dilation", dilation))
    either = padding if isinstance(padding, str) else (0, single(op, "padding", padding, 0))
    rows = weight.unsqueeze(2)  # (out_channels, in_channels / groups, 1, k)
    margin = margins(op, either, rows.shape[2:], steps, spread)
    parts = single(op, "groups", groups)
    channels = weight.shape[1] * parts
    if input.shape[1] != channels:
        raise ValueError(f"{op}: expected an input of shape (N, {channels}, L), got {input.shape}")
    reach, length = spread[1] * (weight.shape[2] - 1) + 1, input.shape[2] + sum(margin[1])
    if reach > length:
        raise ValueError(
            f"{op}: expected a padded input of at least {reach} values, the length of the "
            f"(dilated) kernel, but it has {length}; got input {input.shape}"
        )
    how = {"stride": steps, "padding": margin, "dilation": spread, "groups": parts}
    return apply(CONV2D, input.unsqueeze(2), rows, bias, **how).squeeze(2)


def conv_transpose2d(
    input: tt_tensor.Tensor,
    weight: tt_tensor.Tensor,
    bias: tt_tensor.Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """Return the transposed convolution of images: each of their pixels paints a kernel.

    It is the gradient of the input of `conv2d`, and with a stride it enlarges images.

    Args:
        input: The images.
        weight: The kernels.
        bias: One number for each output channel.
        stride: Steps between kernels in the output.
        padding: What is cut off on each side of the output.
        output_padding: Rows and columns that are added at the end, less than ``stride`` or
            ``dilation``: which of the sizes that a convolution reduces to the input's is meant.
        groups: In how many groups the channels are convolved apart.
        dilation: Steps between the weights of a kernel.

    Shape:
        ``(N, in_channels, H, W), (in_channels, out_channels / groups, kh, kw), (out_channels,) ->
        (N, out_channels, Ho, Wo)`` with ``Ho = (H - 1) * stride - 2 * padding
        + dilation * (kh - 1) + output_padding + 1``

    Raises:
        ValueError: The shapes do not fit, or nothing would be left of the output.

    Example:
        >>> import tt_autograd as tt
        >>> conv_transpose2d(tt.tensor([[[[1.0, 2.0]]]]), tt.ones(1, 1, 1, 2), stride=(1, 2))
        tensor([[[[1., 1., 2., 2.]]]])

    References:
        Zeiler et al., "Deconvolutional networks", 2010.
    """
    op = "conv_transpose2d"
    _check_weight(op, weight, "in_channels", "out_channels / groups", "kh", "kw")
    steps, spread = pair(op, "stride", stride), pair(op, "dilation", dilation)
    edge, more = pair(op, "padding", padding, 0), pair(op, "output_padding", output_padding, 0)
    check_output_padding(op, more, steps, spread)
    # What exceeds a step lies beyond the convolution's last position
    (top, bottom), (left, right) = (
        (p, p - m // s * s) for p, m, s in zip(edge, more, steps, strict=True)
    )

    check_input(op, input, 4)
    height, width = (
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(
            input.shape[2:], steps, edge, spread, weight.shape[2:], more, strict=True
        )
    )
    return apply(
        CONV_TRANSPOSE2D,
        input,
        weight,
        bias,
        size=(height, width),
        stride=steps,
        padding=((top, bottom), (left, right)),
        dilation=spread,
        groups=single(op, "groups", groups),
    )

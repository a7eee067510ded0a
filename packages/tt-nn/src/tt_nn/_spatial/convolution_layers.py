"""Convolutions as layers."""

from __future__ import annotations

import math
from typing import Literal

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Tensor
from tt_nn import init
from tt_nn._arguments import check_sizes
from tt_nn._module import Module
from tt_nn._parameter import Parameter

from .convolution import (
    PaddingMode,
    check_output_padding,
    conv1d,
    conv2d,
    conv_transpose2d,
    margins,
)
from .sizes import Pair, Sizes, pair, single


class _Convolution(Module):
    """What convolutions share: checks, parameters and their first values."""

    weight: Parameter
    bias: Parameter

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        groups: int,
        bias: bool,
        dtype: DTypeLike | None,
        *,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_sizes(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        for argument, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"{name}: expected groups to divide {argument}={channels}, got {groups}"
                )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.groups = groups
        ends = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        shape = (ends[0], ends[1] // groups, *kernel_size)
        self.weight = Parameter(tt.empty(*shape, dtype=dtype))
        self.register_parameter(
            "bias", Parameter(tt.empty(out_channels, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if _has_bias(self):
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def _describe(self, **arguments: object) -> str:
        """Return the sizes, and the arguments that are not what they are by default."""
        usual = {"padding": 0, "dilation": 1, "groups": 1, "output_padding": 0}
        parts = [str(self.in_channels), str(self.out_channels)]
        for name, value in {**arguments, "groups": self.groups}.items():
            default = usual.get(name)
            if value not in (default, (default, default)):
                parts.append(f"{name}={value}")
        if not _has_bias(self):
            parts.append("bias=False")
        return ", ".join(parts)


def _has_bias(layer: _Convolution) -> bool:
    return isinstance(layer.bias, Parameter)


def _check_mode(name: str, padding_mode: str) -> None:
    if padding_mode != "zeros":
        raise ValueError(
            f"{name}: expected padding_mode='zeros', got {padding_mode!r}; "
            "pad the input with functional.pad for other modes"
        )


class Conv1d(_Convolution):
    r"""A convolution of sequences: :math:`y_{n,o} = b_o + \sum_c w_{o,c} \star x_{n,c}`.

    Weight and bias start uniform in :math:`\pm 1 / \sqrt{\text{fan\_in}}`, as torch's do, where
    fan_in is ``in_channels / groups * kernel_size``.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Length of the kernels.
        stride: Steps of the kernel.
        padding: Zeros on each side, or ``"same"``, or ``"valid"``.
        dilation: Steps between the weights of a kernel.
        groups: In how many groups the channels are convolved apart.
        bias: Whether there is a bias.
        padding_mode: ``"zeros"``.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, in_channels, L) -> (N, out_channels, Lo)`` with
        ``Lo = (L + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``

    Attributes:
        weight: ``(out_channels, in_channels / groups, kernel_size)``.
        bias: ``(out_channels,)``; None with ``bias=False``.

    Raises:
        ValueError: A size is out of range, or ``groups`` does not divide both numbers of channels.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Conv1d(4, 8, 3, padding="same")(tt.ones(2, 4, 10)).shape
        (2, 8, 10)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | PaddingMode = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros"] = "zeros",
        dtype: DTypeLike | None = None,
    ) -> None:
        size = single("Conv1d", "kernel_size", kernel_size)
        super().__init__(in_channels, out_channels, (size,), groups, bias, dtype)
        _check_mode("Conv1d", padding_mode)
        self.kernel_size = size
        self.stride = single("Conv1d", "stride", stride)
        self.dilation = single("Conv1d", "dilation", dilation)
        self.padding: int | PaddingMode
        if isinstance(padding, str):
            margins("Conv1d", padding, (1, size), (1, self.stride), (1, self.dilation))
            self.padding = padding
        else:
            self.padding = single("Conv1d", "padding", padding, 0)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the convolution of ``input``."""
        return conv1d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return self._describe(
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


class Conv2d(_Convolution):
    r"""A convolution of images: :math:`y_{n,o} = b_o + \sum_c w_{o,c} \star x_{n,c}`.

    Weight and bias start uniform in :math:`\pm 1 / \sqrt{\text{fan\_in}}`, as torch's do, where
    fan_in is ``in_channels / groups`` times the size of the kernel.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the kernels.
        stride: Steps of the kernel.
        padding: Zeros on each side, or ``"same"``, or ``"valid"``.
        dilation: Steps between the weights of a kernel.
        groups: In how many groups the channels are convolved apart; ``in_channels`` for a
            depthwise convolution.
        bias: Whether there is a bias.
        padding_mode: ``"zeros"``.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, in_channels, H, W) -> (N, out_channels, Ho, Wo)`` with
        ``Ho = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``

    Attributes:
        weight: ``(out_channels, in_channels / groups, height, width)``.
        bias: ``(out_channels,)``; None with ``bias=False``.

    Raises:
        ValueError: A size is out of range, or ``groups`` does not divide both numbers of channels.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Conv2d(3, 32, 3, padding=1)(tt.ones(8, 3, 32, 32)).shape
        (8, 32, 32, 32)

    References:
        LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | PaddingMode = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros"] = "zeros",
        dtype: DTypeLike | None = None,
    ) -> None:
        size = pair("Conv2d", "kernel_size", kernel_size)
        super().__init__(in_channels, out_channels, size, groups, bias, dtype)
        _check_mode("Conv2d", padding_mode)
        self.kernel_size = size
        self.stride = pair("Conv2d", "stride", stride)
        self.dilation = pair("Conv2d", "dilation", dilation)
        self.padding: Pair | PaddingMode
        if isinstance(padding, str):
            margins("Conv2d", padding, size, self.stride, self.dilation)
            self.padding = padding
        else:
            self.padding = pair("Conv2d", "padding", padding, 0)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the convolution of ``input``."""
        return conv2d(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return self._describe(
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )


class ConvTranspose2d(_Convolution):
    r"""A transposed convolution of images: each pixel paints a kernel, weighed by its value.

    Weight and bias start uniform in :math:`\pm 1 / \sqrt{\text{fan\_in}}`, as torch's do, where
    fan_in is counted as ``out_channels / groups`` times the size of the kernel.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Height and width of the kernels.
        stride: Steps between kernels in the output.
        padding: What is cut off on each side of the output.
        output_padding: Rows and columns that are added at the end, less than ``stride`` or
            ``dilation``.
        groups: In how many groups the channels are convolved apart.
        bias: Whether there is a bias.
        dilation: Steps between the weights of a kernel.
        padding_mode: ``"zeros"``.
        dtype: The dtype of the parameters, the default one unless given.

    Shape:
        ``(N, in_channels, H, W) -> (N, out_channels, Ho, Wo)`` with ``Ho = (H - 1) * stride
        - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1``

    Attributes:
        weight: ``(in_channels, out_channels / groups, height, width)``.
        bias: ``(out_channels,)``; None with ``bias=False``.

    Raises:
        ValueError: A size is out of range, or ``groups`` does not divide both numbers of channels.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.ConvTranspose2d(8, 4, 2, stride=2)(tt.ones(1, 8, 7, 7)).shape
        (1, 4, 14, 14)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: Literal["zeros"] = "zeros",
        dtype: DTypeLike | None = None,
    ) -> None:
        name = "ConvTranspose2d"
        size = pair(name, "kernel_size", kernel_size)
        super().__init__(in_channels, out_channels, size, groups, bias, dtype, transposed=True)
        _check_mode(name, padding_mode)
        self.kernel_size = size
        self.stride = pair(name, "stride", stride)
        self.padding = pair(name, "padding", padding, 0)
        self.output_padding = pair(name, "output_padding", output_padding, 0)
        self.dilation = pair(name, "dilation", dilation)
        check_output_padding(name, self.output_padding, self.stride, self.dilation)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the transposed convolution of ``input``."""
        return conv_transpose2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return self._describe(
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
        )

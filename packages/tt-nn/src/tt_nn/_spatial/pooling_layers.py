"""Pooling as layers."""

from __future__ import annotations

import tt_tensor
from tt_autograd import Tensor
from tt_nn._module import Module

from .adaptive_pooling import adaptive_avg_pool2d, adaptive_max_pool2d, check_output_size
from .pooling import avg_pool1d, avg_pool2d, max_pool1d, max_pool2d
from .sizes import Sizes, check_window_padding, pair, single


class MaxPool1d(Module):
    """The largest value of every stretch of sequences.

    Of equal values the first receives the gradient. Where there is a NaN, the result is NaN.

    Args:
        kernel_size: Length of a stretch.
        stride: Steps between stretches, ``kernel_size`` unless given.
        padding: How far they reach over the ends, at most half of ``kernel_size``.
        dilation: Steps between the values of a stretch.
        ceil_mode: Whether a last one may reach beyond what is padded.

    Shape:
        ``(N, C, L) -> (N, C, Lo)`` with
        ``Lo = (L + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.MaxPool1d(2)(tt.ones(8, 16, 10)).shape
        (8, 16, 5)
    """

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        dilation: int | tuple[int] = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        name = "MaxPool1d"
        self.kernel_size = single(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else single(name, "stride", stride)
        self.padding = single(name, "padding", padding, 0)
        check_window_padding(name, (self.kernel_size,), (self.padding,))
        self.dilation = single(name, "dilation", dilation)
        self.ceil_mode = ceil_mode

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the largest values."""
        return max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool2d(Module):
    """The largest value of every window.

    Of equal values the first receives the gradient. Where there is a NaN, the result is NaN.

    Args:
        kernel_size: Height and width of a window.
        stride: Steps between windows, ``kernel_size`` unless given.
        padding: How far they reach over the edge, at most half of ``kernel_size``.
        dilation: Steps between the values of a window.
        ceil_mode: Whether a last one may reach beyond what is padded.

    Shape:
        ``(N, C, H, W) -> (N, C, Ho, Wo)`` with
        ``Ho = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1``

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.MaxPool2d(2)(tt.ones(8, 16, 32, 32)).shape
        (8, 16, 16, 16)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        name = "MaxPool2d"
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride)
        self.padding = pair(name, "padding", padding, 0)
        check_window_padding(name, self.kernel_size, self.padding)
        self.dilation = pair(name, "dilation", dilation)
        self.ceil_mode = ceil_mode

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the largest values."""
        return max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class AvgPool1d(Module):
    """The mean of every stretch of sequences.

    Args:
        kernel_size: Length of a stretch.
        stride: Steps between stretches, ``kernel_size`` unless given.
        padding: How far they reach over the ends, at most half of ``kernel_size``.
        ceil_mode: Whether a last one may reach beyond what is padded.
        count_include_pad: Whether the zeros of the padding count.

    Shape:
        ``(N, C, L) -> (N, C, Lo)`` with ``Lo = (L + 2 * padding - kernel_size) // stride
        + 1``

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.AvgPool1d(2)(tt.ones(8, 16, 10)).shape
        (8, 16, 5)
    """

    def __init__(
        self,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] | None = None,
        padding: int | tuple[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        name = "AvgPool1d"
        self.kernel_size = single(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else single(name, "stride", stride)
        self.padding = single(name, "padding", padding, 0)
        check_window_padding(name, (self.kernel_size,), (self.padding,))
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the means."""
        return avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"
        )


class AvgPool2d(Module):
    """The mean of every window.

    Args:
        kernel_size: Height and width of a window.
        stride: Steps between windows, ``kernel_size`` unless given.
        padding: How far they reach over the edge, at most half of ``kernel_size``.
        ceil_mode: Whether a last one may reach beyond what is padded.
        count_include_pad: Whether the zeros of the padding count.
        divisor_override: What to divide sums by, in place of their numbers of values.

    Shape:
        ``(N, C, H, W) -> (N, C, Ho, Wo)`` with ``Ho = (H + 2 * padding - kernel_size) // stride
        + 1``

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.AvgPool2d(2)(tt.ones(8, 16, 32, 32)).shape
        (8, 16, 16, 16)
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        name = "AvgPool2d"
        self.kernel_size = pair(name, "kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride)
        self.padding = pair(name, "padding", padding, 0)
        check_window_padding(name, self.kernel_size, self.padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the means."""
        return avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """Return the sizes and steps."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"ceil_mode={self.ceil_mode}, count_include_pad={self.count_include_pad}"
        )


class AdaptiveAvgPool2d(Module):
    """Means of nearly equal windows, as many as give an output of a certain size.

    Window i of a dimension goes from ``floor(i * H / Ho)`` to ``ceil((i + 1) * H / Ho)``.

    Args:
        output_size: Height and width of the output, None for the input's own; 1 for one mean of
            all pixels (global pooling).

    Shape:
        ``(N, C, H, W) -> (N, C, *output_size)``

    Raises:
        ValueError: ``output_size`` is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.AdaptiveAvgPool2d(1)(tt.ones(8, 16, 7, 7)).shape
        (8, 16, 1, 1)

    References:
        Lin et al., "Network in network", 2013 (the mean of all pixels).
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.output_size = check_output_size(type(self).__name__, output_size)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the pooled images."""
        return adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """Return the size of the output."""
        return f"output_size={self.output_size}"


class AdaptiveMaxPool2d(Module):
    """Maxima of nearly equal windows, as many as give an output of a certain size.

    Window i of a dimension goes from ``floor(i * H / Ho)`` to ``ceil((i + 1) * H / Ho)``.

    Args:
        output_size: Height and width of the output, None for the input's own; 1 for the largest of
            all pixels (global pooling).

    Shape:
        ``(N, C, H, W) -> (N, C, *output_size)``

    Raises:
        ValueError: ``output_size`` is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.AdaptiveMaxPool2d(1)(tt.ones(8, 16, 7, 7)).shape
        (8, 16, 1, 1)
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        super().__init__()
        self.output_size = check_output_size(type(self).__name__, output_size)

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the pooled images."""
        return adaptive_max_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """Return the size of the output."""
        return f"output_size={self.output_size}"

"""Residual networks for small images."""

from __future__ import annotations

from collections.abc import Sequence

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import init
from tt_nn._activations.layers import ReLU
from tt_nn._activations.relu import relu
from tt_nn._containers import Sequential
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._normalisation.batch_norm import BatchNorm2d
from tt_nn._shapes import Flatten
from tt_nn._spatial.convolution_layers import Conv2d
from tt_nn._spatial.pooling_layers import AdaptiveAvgPool2d


class ResidualBlock(Module):
    """Two convolutions whose result is added to their input: ``relu(x + f(x))``.

    Where the block makes images smaller, or channels more, the shortcut takes every
    ``stride``-th pixel and adds channels of zeros (option A of the paper).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, no fewer.
        stride: Step of the first convolution.

    Shape:
        ``(N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))``

    Raises:
        ValueError: There are fewer channels in the output than in the input.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        if out_channels < in_channels:
            raise ValueError(
                f"ResidualBlock: expected at least as many output channels as the {in_channels} "
                f"of the input, got {out_channels}"
            )
        self.stride = stride
        self.more = out_channels - in_channels
        self.body = Sequential(
            Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            BatchNorm2d(out_channels),
            ReLU(),
            Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            BatchNorm2d(out_channels),
        )

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the sum of shortcut and body, without what is negative."""
        shortcut = input
        if self.stride > 1:
            shortcut = shortcut[:, :, :: self.stride, :: self.stride]
        if self.more:
            low = self.more // 2
            shortcut = tt.pad(shortcut, (0, 0, 0, 0, low, self.more - low))
        return relu(self.body(input) + shortcut)


class ResNet(Module):
    """The residual network of 6n + 2 layers for images such as CIFAR's.

    A convolution, three stages of n blocks each (the second and third halve the image), the mean
    over the image, and a linear map.

    Args:
        depth: Number of layers, 6n + 2: 8, 14, 20, 32, 44, 56 or 110.
        in_channels: Channels of the images.
        num_classes: How many scores there are.
        widths: Channels of each stage.

    Shape:
        ``(N, in_channels, H, W) -> (N, num_classes)``

    Raises:
        ValueError: The depth is not 6n + 2, or the widths fall.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import ResNet
        >>> model = ResNet(20)
        >>> sum(p.numel() for p in model.parameters())
        269722
        >>> ResNet(8).eval()(tt.ones(2, 3, 32, 32)).shape
        (2, 10)

    References:
        He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, section 4.2.
    """

    def __init__(
        self,
        depth: int = 20,
        in_channels: int = 3,
        num_classes: int = 10,
        widths: Sequence[int] = (16, 32, 64),
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"ResNet: expected a depth of 6n + 2 (8, 14, 20, ...), got {depth}")
        if not widths:
            raise ValueError("ResNet: expected the width of at least one stage, got none")
        self.stem = Sequential(
            Conv2d(in_channels, widths[0], 3, padding=1, bias=False),
            BatchNorm2d(widths[0]),
            ReLU(),
        )
        self.blocks = Sequential()
        before = widths[0]
        for stage, width in enumerate(widths):
            for block in range((depth - 2) // 6):
                stride = 2 if stage and not block else 1
                self.blocks.append(ResidualBlock(before, width, stride))
                before = width
        self.head = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(before, num_classes))
        for module in self.modules():
            if isinstance(module, Conv2d):
                init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return scores of the classes."""
        return self.head(self.blocks(self.stem(input)))

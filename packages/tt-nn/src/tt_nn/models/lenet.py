"""LeNet-5, the network that read cheques."""

from __future__ import annotations

import tt_tensor
from tt_autograd import Tensor
from tt_nn._activations.layers import Tanh
from tt_nn._containers import Sequential
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._shapes import Flatten
from tt_nn._spatial.convolution_layers import Conv2d
from tt_nn._spatial.pooling_layers import AvgPool2d


class LeNet5(Module):
    """LeNet-5: convolutions with tanh and average pooling, for images of 32x32 pixels.

    What differs from the paper: each map of the second convolution sees all six maps of the
    first, not a chosen few; pooling has no factor and bias to learn; the activation is tanh
    rather than 1.7159 tanh(2/3 x); and the last layer is linear, where the paper measures
    distances to drawings of the characters.

    Args:
        in_channels: Channels of the images: 1 for grey, 3 for colour.
        num_classes: How many scores there are.

    Shape:
        ``(N, in_channels, 32, 32) -> (N, num_classes)``. Images of 28x28 are padded first, by
        ``ZeroPad2d(2)``, as the paper pads them.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import LeNet5
        >>> model = LeNet5()
        >>> model(tt.ones(2, 1, 32, 32)).shape
        (2, 10)
        >>> sum(p.numel() for p in model.parameters())
        61706

    References:
        LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
        recognition", 1998.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.features = Sequential(
            Conv2d(in_channels, 6, 5),  # C1: (N, 6, 28, 28)
            Tanh(),
            AvgPool2d(2),  # S2: (N, 6, 14, 14)
            Conv2d(6, 16, 5),  # C3: (N, 16, 10, 10)
            Tanh(),
            AvgPool2d(2),  # S4: (N, 16, 5, 5)
            Conv2d(16, 120, 5),  # C5: (N, 120, 1, 1)
            Tanh(),
            Flatten(),
        )
        self.classifier = Sequential(Linear(120, 84), Tanh(), Linear(84, num_classes))

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return scores of the classes."""
        shape = getattr(input, "shape", (0, 0, 32, 32))  # the convolution refuses what is no tensor
        if shape[2:] != (32, 32):
            raise ValueError(f"LeNet5: expected images of shape (N, C, 32, 32), got {shape}")
        return self.classifier(self.features(input))

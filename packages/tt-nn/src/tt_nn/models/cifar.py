"""The fast network for CIFAR-10."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn._activations.layers import GELU
from tt_nn._containers import Sequential
from tt_nn._linear import Linear
from tt_nn._module import Module
from tt_nn._normalisation.batch_norm import BatchNorm2d
from tt_nn._spatial.convolution_layers import Conv2d
from tt_nn._spatial.pooling_layers import MaxPool2d

_PATCH = 2  # height and width of the stem's filters
_IMAGES = 500  # that are whitened at a time: their patches take 23 MB


class CifarNet(Module):
    """A convolutional network made to learn CIFAR-10 in as little work as possible.

    Its first convolution is not learned: `whiten` sets it from training images, so that its
    outputs are uncorrelated and of equal size. Then follow three pairs of convolutions, each with
    batch normalisation (whose factors stay 1) and GELU (by its faster approximation); the first
    and second pair pool between their convolutions, the third before them. The largest value of
    each channel goes through a linear map, whose scores are divided by the number of channels.

    Filters start as the identity as far as there are as many inputs, and random beyond.

    Args:
        widths: Channels of the three pairs.
        in_channels: Channels of the images.
        num_classes: How many scores there are.

    Shape:
        ``(N, in_channels, H, W) -> (N, num_classes)``, with images of at least 9x9 pixels.

    Raises:
        ValueError: There are not three widths.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import CifarNet
        >>> images = tt.randn(50, 3, 32, 32)
        >>> model = CifarNet((24, 96, 192)).whiten(images)
        >>> model(images[:4]).shape
        (4, 10)
        >>> sum(p.numel() for p in model.parameters() if p.requires_grad)
        614256

    References:
        Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024; Page, "How to train your
        ResNet" and his DAWNBench entry, 2018 and 2019.
    """

    def __init__(
        self, widths: tuple[int, int, int] = (24, 96, 192), in_channels: int = 3,
        num_classes: int = 10,
    ) -> None:  # fmt: skip
        super().__init__()
        if len(widths) != 3:
            raise ValueError(f"CifarNet: expected three widths, got {widths!r}")
        self.widths = tuple(widths)
        small, middle, large = widths
        patch = in_channels * _PATCH * _PATCH
        self.stem = Conv2d(in_channels, 2 * patch, _PATCH, bias=False)
        self.stem.requires_grad_(False)
        self.layers = Sequential(
            GELU("tanh"),
            *_convolution(2 * patch, small, MaxPool2d(2)),
            *_convolution(small, small),
            *_convolution(small, middle, MaxPool2d(2)),
            *_convolution(middle, middle),
            MaxPool2d(2),
            *_convolution(middle, large),
            *_convolution(large, large),
        )
        self.head = Linear(large, num_classes, bias=False)
        with tt.no_grad():
            self.head.weight /= self.head.weight.std()

    def whiten(self, images: tt_tensor.Tensor, eps: float = 5e-4) -> CifarNet:
        r"""Set the first convolution from training images, and return the model.

        Its filters are the eigenvectors of the patches' covariance (not centred), each divided by
        :math:`\sqrt{\lambda + \epsilon}`, and their negatives.

        Args:
            images: Some thousand images, normalised as they will be in training.
            eps: Keeps eigenvectors of small eigenvalues from being blown up.

        Raises:
            ValueError: The images do not have the network's channels, are smaller than a filter,
                or there are none.
        """
        channels = self.stem.in_channels
        fits = images.ndim == 4 and images.shape[1] == channels and images.numel()
        if not fits or min(images.shape[2:]) < _PATCH:
            raise ValueError(
                f"whiten: expected images of shape (N, {channels}, H, W), of at least "
                f"{_PATCH}x{_PATCH} pixels, got {images.shape}"
            )
        values, vectors = np.linalg.eigh(_covariance(images._array))
        filters = (vectors / np.sqrt(values + eps)).T[::-1]  # the largest eigenvalue first
        # An eigenvector's sign is open: its largest entry shall be positive.
        largest = np.take_along_axis(filters, abs(filters).argmax(axis=1)[:, None], 1)
        filters = (filters * np.sign(largest)).reshape((-1, channels, _PATCH, _PATCH))
        with tt.no_grad():
            self.stem.weight.copy_(tt.from_numpy(np.concatenate([filters, -filters])))
        return self

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return scores of the classes."""
        features = self.layers(self.stem(input))  # (N, large, H, W)
        return self.head(features.amax(dim=(2, 3))) / self.widths[-1]


def _convolution(in_channels: int, out_channels: int, *pool: Module) -> list[Module]:
    """Return a convolution that starts as the identity, with what follows it."""
    convolution = Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    same = min(in_channels, out_channels)
    with tt.no_grad():
        convolution.weight[:same] = 0
        for channel in range(same):
            convolution.weight[channel, channel, 1, 1] = 1
    norm = BatchNorm2d(out_channels, momentum=0.4)
    assert norm.weight is not None
    norm.weight.requires_grad_(False)
    return [convolution, *pool, norm, GELU("tanh")]


def _covariance(images: NDArray[Any]) -> NDArray[Any]:
    """Return the mean product of all pairs of pixels in a patch, not centred."""
    size = images.shape[1] * _PATCH * _PATCH
    total, count = np.zeros((size, size)), 0
    for start in range(0, len(images), _IMAGES):
        part = np.asarray(images[start : start + _IMAGES], np.float64)
        windows = sliding_window_view(part, (_PATCH, _PATCH), axis=(2, 3))
        patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape((-1, size))  # (patches, C * 2 * 2)
        total += patches.T @ patches
        count += len(patches)
    return total / count

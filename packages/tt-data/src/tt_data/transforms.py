"""Transforms of whole batches: what is done to the images of a batch, or to its labels.

A transform takes a tensor whose first dimension runs over the items of a batch and returns a new
one; images are (N, C, H, W). The random ones draw for every item of the batch on its own, from the
generator that the loader gives them: one for each batch, so that a batch comes out the same
whichever worker makes it and when. They draw by ``tt_tensor.seam.for_rows``: where several
processes share a batch, each draws for all of it and keeps the numbers of its own rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tt_tensor import (
    DTypeLike,
    Generator,
    Tensor,
    default_generator,
    from_numpy,
    get_default_dtype,
)
from tt_tensor.seam import for_rows

Array = NDArray[Any]


class Transform(ABC):
    """What is done to a tensor of a batch.

    A subclass defines `apply`, and sets ``random`` if that draws random numbers. Where a loader or
    `Compose` asks for a transform, a function of one tensor does as well.

    Attributes:
        random: Whether it draws random numbers.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> class Negative(tt_data.Transform):
        ...     def apply(self, batch, random):
        ...         return 255 - batch
        >>> Negative()(tt.zeros(1, 1, 1, 2, dtype=tt.uint8)).tolist()
        [[[[255, 255]]]]
    """

    random: bool = False

    @abstractmethod
    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Return a new array; the given one must stay as it is.

        Args:
            batch: The items, (N, ...).
            random: The source of random numbers, to draw from by ``tt_tensor.seam.for_rows`` what
                each item gets, so that processes that share a batch draw the same.
        """

    def __call__(self, batch: Tensor, generator: Generator | None = None) -> Tensor:
        """Transform a batch.

        Args:
            batch: The items, (N, ...).
            generator: The source of random numbers; the default one unless given.

        Returns:
            A new tensor.

        Raises:
            TypeError: It is no tensor.
        """
        if not isinstance(batch, Tensor):
            raise TypeError(f"{self}: expected a tensor, got {type(batch).__name__}")
        random = (generator or default_generator()).numpy
        return from_numpy(self.apply(batch.numpy(), random))

    def __str__(self) -> str:
        return type(self).__name__


TransformLike = Transform | Callable[[Tensor], Tensor]


def is_random(transform: TransformLike | None) -> bool:
    """Whether a transform draws random numbers; a function of the user's may."""
    return transform is not None and (not isinstance(transform, Transform) or transform.random)


def call(
    transform: TransformLike | None, batch: Tensor, generator: Generator | None = None
) -> Tensor:
    """Return what a transform makes of a batch; without one, the batch itself.

    Raises:
        TypeError: A function of the user's returns no tensor.
    """
    if transform is None:
        return batch
    if isinstance(transform, Transform):
        return transform(batch, generator)
    made: object = transform(batch)
    if not isinstance(made, Tensor):
        name = getattr(transform, "__name__", repr(transform))
        raise TypeError(f"transform: expected {name} to return a tensor, got {type(made).__name__}")
    return made


class Compose(Transform):
    """Transforms one after the other.

    Args:
        transforms: Transforms, or functions of one tensor.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> prepare = tt_data.Compose([tt_data.ToFloat(), tt_data.Normalize(0.5, 0.5)])
        >>> prepare(tt.tensor([[0, 255]], dtype=tt.uint8))
        tensor([[-1.,  1.]])
    """

    def __init__(self, transforms: Sequence[TransformLike]) -> None:
        self.transforms = list(transforms)
        self.random = any(map(is_random, self.transforms))

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Do each transform to what the one before it gave."""
        made, is_new = batch, False
        for transform in self.transforms:
            if not isinstance(transform, Transform):
                made, is_new = call(transform, from_numpy(made)).numpy(), False
            elif is_new and isinstance(transform, Normalize):
                transform.write(made, made)  # no other array of this size is needed
            else:
                made = transform.apply(made, random)
                is_new = not np.may_share_memory(made, batch)
        return made


class ToFloat(Transform):
    r"""Whole numbers from 0 to a maximum as floats from 0 to 1.

    .. math:: y = x / \text{maximum}

    Floats are only cast.

    Args:
        maximum: What becomes 1: 255 for images of bytes, 16 for `Digits`.
        dtype: A floating-point dtype; the default one unless given.

    Raises:
        TypeError: The dtype is not a floating-point one.
        ValueError: The maximum is not positive.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> tt_data.ToFloat()(tt.tensor([0, 51, 255], dtype=tt.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """

    def __init__(self, maximum: float = 255.0, dtype: DTypeLike | None = None) -> None:
        if not maximum > 0:
            raise ValueError(f"ToFloat: expected a maximum above 0, got {maximum}")
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise TypeError(f"ToFloat: expected a floating-point dtype, got {np.dtype(dtype).name}")
        self.maximum = maximum
        self.dtype = dtype

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Cast and divide."""
        dtype = get_default_dtype() if self.dtype is None else np.dtype(self.dtype)
        converted = batch.astype(dtype)
        if batch.dtype.kind != "f":
            converted *= dtype.type(1 / self.maximum)
        return converted


class Normalize(Transform):
    r"""Subtract a mean and divide by a standard deviation, channel by channel.

    .. math:: y = (x - \text{mean}) / \text{std}

    Args:
        mean: One number for all channels, or one for each.
        std: The same, positive.

    Shape:
        (N, C, ...) to the same.

    Raises:
        TypeError: The batch is not of floats.
        ValueError: A standard deviation is not positive, or the number of channels differs.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> tt_data.Normalize([0.0, 1.0], [1.0, 2.0])(tt.tensor([[3.0, 3.0]]))
        tensor([[3., 1.]])
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean = np.array(mean, dtype=np.float64)
        self.std = np.array(std, dtype=np.float64)
        if self.mean.ndim > 1 or self.std.ndim > 1 or not (self.std > 0).all():
            raise ValueError(
                f"Normalize: expected numbers, the std above 0, got mean {mean} and std {std}"
            )
        try:
            self._scale, self._shift = np.broadcast_arrays(1 / self.std, -self.mean / self.std)
        except ValueError:
            raise ValueError(
                f"Normalize: expected as many means as stds, got {self.mean.size} and "
                f"{self.std.size}"
            ) from None

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Write into a new array."""
        return self.write(batch, np.empty_like(batch))

    def write(self, batch: Array, out: Array) -> Array:
        """Write the result into ``out``, which may be the batch itself."""
        if batch.dtype.kind != "f":
            raise TypeError(
                f"Normalize: expected floats, got {batch.dtype.name}; put ToFloat() before it"
            )
        scale, shift = self._scale.astype(batch.dtype), self._shift.astype(batch.dtype)
        if scale.ndim:
            if batch.ndim < 2 or batch.shape[1] != len(scale):
                raise ValueError(
                    f"Normalize: expected {len(scale)} channels, got a batch of shape {batch.shape}"
                )
            shape = (-1, *[1] * (batch.ndim - 2))  # (C, 1, 1) for images
            scale, shift = scale.reshape(shape), shift.reshape(shape)
        np.multiply(batch, scale, out)  # and add: the same as subtract and divide, and faster
        out += shift
        return out


class RandomHorizontalFlip(Transform):
    """Mirror each image left to right with some probability.

    Args:
        p: The probability.

    Shape:
        (N, C, H, W) to the same.

    Raises:
        ValueError: The probability is not between 0 and 1.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> tt_data.RandomHorizontalFlip(p=1.0)(tt.tensor([[[[1, 2, 3]]]])).tolist()
        [[[[3, 2, 1]]]]
    """

    random = True

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: expected p from 0 to 1, got {p}")
        self.p = p

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Mirror those images for which a number below ``p`` is drawn."""
        _check_images(self, batch)
        chosen = for_rows(len(batch), random.random) < self.p
        flipped = batch.copy()
        flipped[chosen] = batch[chosen][..., ::-1]
        return flipped


class RandomCrop(Transform):
    """Cut a window at a random place out of each image, after padding it.

    Args:
        size: Height and width of the window; one number for both.
        padding: Pixels added on each side before.
        padding_mode: What they hold: ``"constant"`` 0, ``"edge"`` the nearest pixel of the image,
            ``"reflect"`` the image mirrored without its edge, ``"symmetric"`` with it.

    Shape:
        (N, C, H, W) to (N, C, size[0], size[1]).

    Raises:
        ValueError: The window is larger than the padded image, or an argument is out of range.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> images = tt.zeros(8, 3, 32, 32, dtype=tt.uint8)
        >>> tt_data.RandomCrop(28, padding=4)(images).shape
        (8, 3, 28, 28)
    """

    random = True
    MODES = ("constant", "edge", "reflect", "symmetric")

    def __init__(
        self, size: int | tuple[int, int], padding: int = 0, padding_mode: str = "constant"
    ) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        if min(self.size) < 1 or padding < 0:
            raise ValueError(
                f"RandomCrop: expected a size above 0 and a padding of at least 0, got {size} and "
                f"{padding}"
            )
        if padding_mode not in self.MODES:
            raise ValueError(
                f"RandomCrop: expected padding_mode to be one of {', '.join(self.MODES)}, got "
                f"{padding_mode!r}"
            )
        self.padding = padding
        self.padding_mode = padding_mode

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Pad all images, then cut out of each."""
        _check_images(self, batch)
        padded = _pad(batch, (self.padding, self.padding), self.padding_mode)
        height, width = padded.shape[2] - self.size[0], padded.shape[3] - self.size[1]
        if height < 0 or width < 0:
            raise ValueError(
                f"RandomCrop: a window of {self.size} does not fit into images of "
                f"{batch.shape[2:]} with a padding of {self.padding}"
            )
        top = _offsets(height, len(batch), random)
        left = _offsets(width, len(batch), random)
        return _windows(padded, top, left, self.size)


class RandomTranslate(Transform):
    """Shift each image by a random whole number of pixels; what comes in from outside is 0.

    Args:
        shift: The most pixels up or down and left or right; one number for both.

    Shape:
        (N, C, H, W) to the same.

    Raises:
        ValueError: A shift is negative.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> tt_data.RandomTranslate(2)(tt.ones(4, 1, 8, 8)).shape
        (4, 1, 8, 8)
    """

    random = True

    def __init__(self, shift: int | tuple[int, int]) -> None:
        self.shift = (shift, shift) if isinstance(shift, int) else shift
        if min(self.shift) < 0:
            raise ValueError(f"RandomTranslate: expected a shift of at least 0, got {shift}")

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Pad all images, then cut a window of the old size out of each."""
        _check_images(self, batch)
        down, right = self.shift
        top = _offsets(2 * down, len(batch), random)
        left = _offsets(2 * right, len(batch), random)
        height, width = batch.shape[2:]
        return _windows(_pad(batch, self.shift, "constant"), top, left, (height, width))


class Cutout(Transform):
    """Set a square at a random place of each image to 0; its centre lies in the image.

    DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
    2017.

    Args:
        size: The square's side.

    Shape:
        (N, C, H, W) to the same.

    Raises:
        ValueError: The side is less than 1.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> float(tt_data.Cutout(1)(tt.ones(1, 1, 4, 4)).sum())
        15.0
    """

    random = True

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"Cutout: expected a size of at least 1, got {size}")
        self.size = size

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Multiply by a mask."""
        _check_images(self, batch)
        rows = self._inside(batch.shape[2], len(batch), random)[:, :, None]  # (N, H, 1)
        columns = self._inside(batch.shape[3], len(batch), random)[:, None, :]  # (N, 1, W)
        keep = ~(rows & columns)
        kept: Array = batch * keep[:, None].astype(batch.dtype)  # (N, 1, H, W)
        return kept

    def _inside(self, length: int, count: int, random: np.random.Generator) -> Array:
        """Draw for each image which of ``length`` rows or columns the square covers."""
        start = _offsets(length - 1, count, random) - self.size // 2
        distance = np.arange(length) - start[:, None]  # (N, length)
        covered: Array = (distance >= 0) & (distance < self.size)
        return covered


class OneHot(Transform):
    """Labels as rows with a 1 in the column of the label.

    Args:
        num_classes: The number of columns.
        dtype: The dtype of the rows; the default floating-point one unless given.

    Shape:
        (N,) to (N, num_classes).

    Raises:
        ValueError: A label is negative or not below ``num_classes``.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> tt_data.OneHot(3)(tt.tensor([2, 0]))
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """

    def __init__(self, num_classes: int, dtype: DTypeLike | None = None) -> None:
        if num_classes < 1:
            raise ValueError(f"OneHot: expected at least one class, got {num_classes}")
        self.num_classes = num_classes
        self.dtype = dtype

    def apply(self, batch: Array, random: np.random.Generator) -> Array:
        """Write a 1 into each row."""
        if batch.dtype.kind not in "iu":
            raise TypeError(f"OneHot: expected labels that are ints, got {batch.dtype.name}")
        wrong = batch[(batch < 0) | (batch >= self.num_classes)]
        if wrong.size:
            raise ValueError(
                f"OneHot: expected labels from 0 to {self.num_classes - 1}, got {wrong[0]}"
            )
        dtype = get_default_dtype() if self.dtype is None else np.dtype(self.dtype)
        rows: Array = np.zeros((*batch.shape, self.num_classes), dtype)
        np.put_along_axis(rows, batch.astype(np.int64)[..., None], 1, -1)
        return rows


def _check_images(transform: Transform, batch: Array) -> None:
    if batch.ndim != 4:
        raise ValueError(f"{transform}: expected images (N, C, H, W), got shape {batch.shape}")


def _offsets(most: int, count: int, random: np.random.Generator) -> Array:
    """Draw a whole number from 0 to ``most`` for each of ``count`` images."""
    return for_rows(count, lambda rows: random.integers(most, size=rows, endpoint=True))


def _pad(images: Array, padding: tuple[int, int], mode: str) -> Array:
    """Add rows above and below, and columns left and right."""
    rows, columns = padding
    if not rows and not columns:
        return images
    if mode != "constant":
        sides = ((0, 0), (0, 0), (rows, rows), (columns, columns))
        return np.pad(images, sides, mode=mode)  # type: ignore[call-overload,no-any-return]  # one of MODES
    n, channels, height, width = images.shape
    padded = np.zeros((n, channels, height + 2 * rows, width + 2 * columns), images.dtype)
    padded[:, :, rows : rows + height, columns : columns + width] = images
    return padded


def _windows(images: Array, top: Array, left: Array, size: tuple[int, int]) -> Array:
    """Cut a window of one size out of each image."""
    windows = sliding_window_view(images, size, axis=(2, 3))  # (N, C, tops, lefts, height, width)
    return windows[np.arange(len(images)), :, top, left]  # (N, C, height, width)

"""Two problems in the plane that made history."""

from __future__ import annotations

import math

import numpy as np

from tt_tensor import Generator, default_generator

from ._dataset import TensorDataset


class Perceptron(TensorDataset):
    """Two clouds of points that a straight line separates, with a margin.

    What the perceptron learns in a number of steps that the margin bounds: Rosenblatt, "The
    Perceptron", 1958; Novikoff, "On Convergence Proofs for Perceptrons", 1962. An item is a point,
    float32 of shape (2,), and its label, int64: 1 on the side that ``normal`` points to, else 0.

    Args:
        size: How many points.
        margin: The least distance of a point from the line.
        generator: The source of the line and the points; the default one unless given.

    Attributes:
        normal: The line's unit normal.
        offset: The line's distance from the origin along it.

    Raises:
        ValueError: The size is less than 1 or the margin negative.

    Example:
        >>> import tt_data, tt_tensor as tt
        >>> problem = tt_data.Perceptron(100, generator=tt.Generator(0))
        >>> points, labels = problem.tensors
        >>> side = points.numpy() @ problem.normal > problem.offset
        >>> bool((side == labels.numpy()).all())
        True
    """

    def __init__(
        self, size: int = 200, margin: float = 0.1, generator: Generator | None = None
    ) -> None:
        if size < 1 or not margin >= 0:
            raise ValueError(
                f"Perceptron: expected a size of at least 1 and a margin of at least 0, got {size} "
                f"and {margin}"
            )
        random = (generator or default_generator()).numpy
        angle = random.uniform(0, 2 * math.pi)
        self.normal = np.array([math.cos(angle), math.sin(angle)])
        self.offset = float(random.uniform(-0.5, 0.5))
        labels = random.integers(0, 2, size)
        # A little more than the margin, so that rounding to float32 keeps it.
        away = 1.001 * margin + np.abs(random.normal(0, 1, size))
        along = random.normal(0, 1, size)
        beside = np.array([-self.normal[1], self.normal[0]])
        points = np.outer(self.offset + np.where(labels, away, -away), self.normal)
        points += np.outer(along, beside)  # (size, 2)
        super().__init__(points.astype(np.float32), labels)


class XOR(TensorDataset):
    """Points around the corners of the unit square, labelled by the exclusive or of the corner.

    What no straight line separates: Minsky and Papert, "Perceptrons", 1969. An item is a point,
    float32 of shape (2,), and its label, int64.

    Args:
        size: How many points, as many at each corner as at any other, give or take one.
        noise: The standard deviation of their distance from the corner along each axis.
        generator: The source of the noise; the default one unless given.

    Raises:
        ValueError: The size is less than 1 or the noise negative.

    Example:
        >>> import tt_data
        >>> tt_data.XOR(4, noise=0.0).tensors
        (tensor([[0., 0.],
                [0., 1.],
                [1., 0.],
                [1., 1.]]), tensor([0, 1, 1, 0]))
    """

    def __init__(
        self, size: int = 200, noise: float = 0.1, generator: Generator | None = None
    ) -> None:
        if size < 1 or not noise >= 0:
            raise ValueError(
                f"XOR: expected a size of at least 1 and noise of at least 0, got {size} and "
                f"{noise}"
            )
        random = (generator or default_generator()).numpy
        corners = np.arange(size) % 4
        bits = np.stack([corners // 2, corners % 2], axis=1)  # (size, 2)
        points = bits + random.normal(0, noise, bits.shape)
        super().__init__(points.astype(np.float32), bits[:, 0] ^ bits[:, 1])

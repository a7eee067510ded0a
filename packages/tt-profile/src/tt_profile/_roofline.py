"""What this machine can do, measured, and how near to it each layer comes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

import tt_autograd as tt
from tt_nn import get_num_threads
from tt_nn.functional import linear

from ._format import format_count, format_rate
from ._measure import time_it
from ._passes import Cost, Direction
from ._report import Report, Table, label_layers

if TYPE_CHECKING:
    from ._profile import LayerCost

_PRODUCT = 1536  # rows and columns: large enough for BLAS at its best
_COPIED = 1 << 27  # bytes: more than caches hold


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine did when it was measured.

    Attributes:
        peak_flops: FLOPs a second of the best float32 matrix product (sgemm).
        bandwidth: Bytes a second read and written by the best copy of an array.
        threads: Threads that both had.
    """

    peak_flops: float
    bandwidth: float
    threads: int

    @property
    def ridge(self) -> float:
        """The arithmetic intensity from which on the peak is in reach: peak / bandwidth."""
        return self.peak_flops / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Return the most FLOPs a second at an arithmetic intensity: the roof."""
        return min(self.peak_flops, self.bandwidth * intensity)


def measure_machine(*, repeats: int = 7) -> Machine:
    """Measure this machine's peak and bandwidth, with the threads that layers have.

    Takes about half a second and 256 MiB. The figures are the best of several samples, for a roof
    is what can be reached; they are of the moment, so other work on the machine lowers them.

    Args:
        repeats: Number of samples of each.

    Returns:
        The figures.

    Example:
        >>> machine = measure_machine(repeats=2)
        >>> machine.peak_flops > machine.bandwidth > 0
        True
    """
    threads = get_num_threads()
    with tt.no_grad():
        left, right = tt.rand(_PRODUCT, _PRODUCT), tt.rand(_PRODUCT, _PRODUCT)
        product = time_it(lambda: linear(left, right), repeats=repeats)
    source = np.ones(_COPIED, np.uint8)
    target = np.zeros_like(source)
    cuts = [_COPIED * i // threads for i in range(threads + 1)]
    parts = [slice(*pair) for pair in pairwise(cuts)]

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    with ThreadPoolExecutor(threads) as pool:
        copied = time_it(lambda: list(pool.map(copy, parts)), repeats=repeats)
    return Machine(
        peak_flops=2 * _PRODUCT**3 / min(product.samples),
        bandwidth=2 * _COPIED / min(copied.samples),
        threads=threads,
    )


@dataclass(frozen=True, slots=True)
class Point:
    """One layer in one direction below the roof.

    Attributes:
        name: The layer's name in the model; empty for the model itself.
        label: The name and class, indented as a tree.
        direction: ``"forward"`` or ``"backward"``.
        cost: What it costs.
        attainable: FLOPs a second that the machine allows at the layer's arithmetic intensity.
        bound: What the roof is there: ``"memory"`` left of the ridge, ``"compute"`` right of it.
    """

    name: str
    label: str
    direction: Direction
    cost: Cost
    attainable: float
    bound: Literal["memory", "compute"]

    @property
    def share(self) -> float:
        """How much of the attainable the layer reaches; above 1 if it works out of caches."""
        return self.cost.flops_per_second / self.attainable


@dataclass(frozen=True, slots=True)
class Roofline(Report):
    r"""The layers of a model against what a machine can do. Printed, it is a table.

    A layer can do no more FLOPs a second than the machine's peak, nor more than it gets bytes for:
    :math:`\min(\text{peak}, \text{bandwidth} \cdot \text{intensity})`.

    Attributes:
        machine: What the machine did.
        points: One for each layer and direction that has FLOPs, in the order of the layers.

    References:
        Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for
        multicore architectures", 2009.
    """

    machine: Machine
    points: tuple[Point, ...]

    @classmethod
    def of_layers(cls, layers: Sequence[LayerCost], machine: Machine) -> Self:
        """Set layers against a machine."""
        points = []
        for label, layer in zip(label_layers(layers), layers, strict=True):
            directions: tuple[tuple[Direction, Cost], ...] = (
                ("forward", layer.forward),
                ("backward", layer.backward),
            )
            for direction, cost in directions:
                if cost.flops_per_second and cost.bytes:
                    roof = machine.attainable(cost.intensity)
                    bound: Literal["memory", "compute"] = (
                        "memory" if cost.intensity < machine.ridge else "compute"
                    )
                    points.append(Point(layer.name, label, direction, cost, roof, bound))
        return cls(machine, tuple(points))

    def _tables(self) -> list[Table]:
        machine = self.machine
        table = Table(
            "Roofline",
            ("layer", "pass", "FLOP/byte", "FLOP/s", "roof", "of roof", "bound by"),
            [
                (
                    point.label,
                    point.direction,
                    f"{point.cost.intensity:.2f}",
                    format_count(point.cost.flops_per_second),
                    format_count(point.attainable),
                    f"{point.share:.0%}",
                    point.bound,
                )
                for point in self.points
            ],
            notes=(
                f"Measured here, with {machine.threads} thread{'s' * (machine.threads > 1)}: "
                f"peak {format_rate(machine.peak_flops, 'FLOP')}, "
                f"bandwidth {format_rate(machine.bandwidth, 'B')}, "
                f"ridge at {machine.ridge:.1f} FLOP/byte. "
                "A layer above its roof works out of the caches, which the bandwidth is not of.",
            ),
        )
        return [table]

    def save_picture(self, path: str | os.PathLike[str]) -> None:
        """Draw the roof and the layers below it.

        Args:
            path: The file; its ending says the format, such as ``.png`` or ``.svg``.

        Raises:
            ModuleNotFoundError: matplotlib is not there: ``pip install "tt-profile[plot]"``.
        """
        from ._pictures import save_roofline

        save_roofline(self, path)

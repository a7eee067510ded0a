"""Sizes that follow the batch, found by comparing two passes of different batch sizes."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import ExportError


@dataclass(frozen=True, slots=True)
class Batch:
    """A size that is a multiple of the batch size.

    Attributes:
        factor: The multiple.
    """

    factor: int

    def __str__(self) -> str:
        return "batch" if self.factor == 1 else f"{self.factor}*batch"


Size = int | Batch
Sizes = tuple[Size, ...]

FIRST, SECOND = 2, 3  # the batch sizes that are compared: both above 1, which would stretch


def size_of(first: int, second: int, place: str) -> Size:
    """Return what a number is, given its values at both batch sizes.

    Raises:
        ExportError: It is neither the same nor a multiple of the batch size.
    """
    if first == second:
        return first
    factor, rest = divmod(first, FIRST)
    if rest or second != factor * SECOND:
        raise ExportError(
            f"export: {place}: a size is {first}, and {second} for other inputs (batches of "
            f"{FIRST} and {SECOND} with dynamic_batch); only multiples of the batch size can be "
            "said. Keep sizes apart from values, or pass dynamic_batch=False"
        )
    return Batch(factor)


def sizes_of(first: tuple[int, ...], second: tuple[int, ...], place: str) -> Sizes:
    """Return what a shape is, given the shapes at both batch sizes.

    Raises:
        ExportError: The number of dimensions depends on the batch size, or a size does in a way
            that cannot be said.
    """
    if len(first) != len(second):
        raise ExportError(
            f"export: {place}: the shape is {first}, and {second} for other inputs: the number of "
            "dimensions must not depend on the input"
        )
    return tuple(size_of(a, b, place) for a, b in zip(first, second, strict=True))

"""The bar of a milestone: what a metric must reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Bound:
    """A minimum or a maximum, itself allowed.

    Attributes:
        kind: Which of the two it is.
        value: The limit.
    """

    kind: Literal["minimum", "maximum"]
    value: float

    def met_by(self, measured: float) -> bool:
        """Whether a measured value keeps the bound. NaN never does."""
        if self.kind == "minimum":
            return measured >= self.value
        return measured <= self.value

    def __str__(self) -> str:
        return f"at {'least' if self.kind == 'minimum' else 'most'} {self.value:g}"


def at_least(value: float) -> Bound:
    """The bar for a metric that should be high.

    Example:
        >>> at_least(0.95).met_by(0.97), str(at_least(0.95))
        (True, 'at least 0.95')
    """
    return Bound("minimum", value)


def at_most(value: float) -> Bound:
    """The bar for a metric that should be low.

    Example:
        >>> at_most(0.75).met_by(0.8)
        False
    """
    return Bound("maximum", value)

"""Where a loader is in an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

State = dict[str, Any]


@dataclass
class Epoch:
    """One pass over the data: what its randomness follows from, and how far it is.

    Attributes:
        seed: The seed of everything that draws from no generator of its own.
        sampler: The state of the sampler's own generator, if it has one, before the order is drawn.
        batches: How many batches have been handed out.
    """

    seed: int
    sampler: State | None
    batches: int = 0

    def batch_seed(self, number: int) -> int:
        """Return the seed of one batch."""
        return self.seed << 32 | number


@dataclass
class Position:
    """Where a loader is, together with those that `DataLoader.split` made of it.

    Attributes:
        epoch: The epoch under way, if one is.
        resumes: Whether the next iteration goes on with it.
    """

    epoch: Epoch | None = None
    resumes: bool = False

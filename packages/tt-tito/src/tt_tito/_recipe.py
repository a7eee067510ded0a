"""What a run is judged by, and what its flags start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ._bar import Bound


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to run a script: how much it learns, and what it must reach.

    Attributes:
        bar: For each metric that is judged, what it must reach.
        epochs: Epochs of a full run.
        demo_epochs: Epochs under ``--demo-mode``.
        batch_size: Examples in a batch.
        demo_bar: The bar of a demo, where less than a minute cannot reach that of a full run; the
            same bar if None.
    """

    bar: Mapping[str, Bound]
    epochs: int
    demo_epochs: int
    batch_size: int
    demo_bar: Mapping[str, Bound] | None = None

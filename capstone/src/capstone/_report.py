"""What a run found, as a page to read and as a record for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ._costs import Costs
from ._training import Epoch

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found; every figure was measured in it.

    Attributes:
        model: The model's name.
        seed: The seed of its weights and of the order of the images.
        parameters: How many numbers it learned.
        history: Its epochs.
        accuracy: On the held-out images.
        costs: What it costs.
        way: How it was made small.
        small_accuracy: The small model's accuracy on the held-out images.
        small_costs: What the small model costs.
    """

    model: str
    seed: int
    parameters: int
    history: tuple[Epoch, ...]
    accuracy: float
    costs: Costs
    way: str
    small_accuracy: float
    small_costs: Costs

    def as_json(self) -> str:
        """Return the record."""
        record: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        return json.dumps(record, indent=2) + "\n"

    def as_markdown(self) -> str:
        """Return the page: a title, a table of both models, and a table of the epochs.

        The first table has a row for each figure, with a column for the model and one for the
        small one: accuracy in percent with one decimal; memory and peak memory in kB of 1000 bytes
        with one decimal; FLOPs with commas; time in microseconds with one decimal. The second has
        a row for each epoch.
        """
        both = (self.accuracy, self.costs), (self.small_accuracy, self.small_costs)
        figures = {
            "accuracy on held-out digits": [f"{100 * score:.1f}%" for score, _ in both],
            "memory of the model": [f"{costs.memory_bytes / 1000:.1f} kB" for _, costs in both],
            "peak memory of a pass": [
                f"{costs.peak_memory_bytes / 1000:.1f} kB" for _, costs in both
            ],
            "FLOPs for an image": [f"{costs.flops:,}" for _, costs in both],
            "time for an image": [f"{1e6 * costs.seconds:.1f} µs" for _, costs in both],
        }
        lines = [
            f"# {self.model}, seed {self.seed}",
            "",
            f"{self.parameters:,} parameters, {len(self.history)} epochs.",
            "",
            f"| | as trained | {self.way} |",
            "| --- | --- | --- |",
            *(f"| {name} | {' | '.join(cells)} |" for name, cells in figures.items()),
            "",
            "| epoch | loss | validation accuracy |",
            "| --- | --- | --- |",
            *(f"| {e.number} | {e.loss:.4f} | {100 * e.accuracy:.1f}% |" for e in self.history),
        ]
        return "\n".join(lines) + "\n"

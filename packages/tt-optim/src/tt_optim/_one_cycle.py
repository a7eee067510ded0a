"""One cycle of the learning rate, up and down, with the momentum against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from ._checks import check_count, check_number
from ._optimizer import Optimizer
from ._schedulers import LRScheduler, check_optimizer

Span = tuple[float, float]  # from, to


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down to almost nothing, while the momentum goes down and up.

    Smith and Topin, "Super-convergence: very fast training of neural networks using large
    learning rates" (2018).

    Args:
        optimizer: Whose learning rates to set.
        max_lr: The highest learning rate, or one for each group.
        total_steps: Steps in the cycle; or give ``epochs`` and ``steps_per_epoch``.
        epochs: Epochs in the cycle.
        steps_per_epoch: Steps in an epoch.
        pct_start: The share of the cycle that goes up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: Whether to move ``momentum``, or the first of ``betas``.
        base_momentum: The momentum at the highest learning rate.
        max_momentum: The momentum at both ends.
        div_factor: The first learning rate is ``max_lr`` divided by this.
        final_div_factor: The last is the first divided by this.
        three_phase: Come down as steeply as up, and only then to the last.

    Raises:
        TypeError: A number is of the wrong type.
        ValueError: A number is out of range, the length is not given, or momentum is to be
            cycled and the optimizer has none.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0, momentum=0.9)
        >>> scheduler = OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.5)
        >>> [round(scheduler.lrs(step)[0], 2) for step in range(5)]
        [0.04, 0.76, 0.9, 0.35, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "OneCycleLR: expected total_steps, or both epochs and steps_per_epoch"
                )
            check_count("OneCycleLR", "epochs", epochs)
            check_count("OneCycleLR", "steps_per_epoch", steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_count("OneCycleLR", "total_steps", total_steps)
        check_number("OneCycleLR", "pct_start", pct_start, below=math.nextafter(1.0, 2.0))
        for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            check_number("OneCycleLR", name, value, positive=True)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"OneCycleLR: anneal_strategy: expected 'cos' or 'linear', got {anneal_strategy!r}"
            )
        check_optimizer("OneCycleLR", optimizer)
        groups = len(optimizer.param_groups)
        peaks = [max_lr] * groups if isinstance(max_lr, int | float) else list(max_lr)
        if len(peaks) != groups:
            raise ValueError(
                f"OneCycleLR: expected {groups} of max_lr, one for each group, got {len(peaks)}"
            )
        for peak in peaks:
            check_number("OneCycleLR", "max_lr", peak)
        self.total_steps = total_steps
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            check_number("OneCycleLR", "base_momentum", base_momentum, below=1.0)
            check_number("OneCycleLR", "max_momentum", max_momentum, below=1.0)
            if not all("momentum" in g or "betas" in g for g in optimizer.param_groups):
                raise ValueError(
                    "OneCycleLR: cycle_momentum: the optimizer has neither momentum nor betas; "
                    "give cycle_momentum=False"
                )
        ends = [pct_start * total_steps - 1]
        moves: list[Span] = [(max_momentum, base_momentum), (base_momentum, max_momentum)]
        if three_phase:
            ends.append(2 * pct_start * total_steps - 2)
            moves.append((max_momentum, max_momentum))
        self._ends = [*ends, total_steps - 1.0]
        self._moves = moves
        self._spans: list[list[Span]] = []
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            first = peak / div_factor
            group["initial_lr"] = first
            last = first / final_div_factor
            down = [(peak, first), (first, last)] if three_phase else [(peak, last)]
            self._spans.append([(first, peak), *down])
        super().__init__(optimizer)

    def _at(self, step: int, spans: Sequence[Span]) -> float:
        """Return the value at a step, given its span in each phase."""
        start = 0.0
        k = 0
        while step > self._ends[k] and k < len(spans) - 1:
            start = self._ends[k]
            k += 1
        end, (low, high) = self._ends[k], spans[k]
        share = (step - start) / (end - start) if end > start else 1.0
        if self.anneal_strategy == "linear":
            return low + (high - low) * share
        return high + (low - high) / 2.0 * (1.0 + math.cos(math.pi * share))

    def lrs(self, step: int) -> list[float]:
        """Return the learning rate of each group at a step.

        Raises:
            ValueError: The cycle has fewer steps.
        """
        if step > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step {step} is beyond the cycle's {self.total_steps} steps"
            )
        return [self._at(step, spans) for spans in self._spans]

    def _set(self, step: int) -> None:
        super()._set(step)
        if self.cycle_momentum:
            momentum = self._at(step, self._moves)
            for group in self.optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                if "momentum" in group:
                    group["momentum"] = momentum

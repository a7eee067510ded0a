"""Gradual pruning: a little at a time, while the model is trained."""

from __future__ import annotations

from collections.abc import Collection

from tt_nn import Module

from ._masks import Scope, magnitude_masks


def gradual_sparsity(
    step: int, *, final: float, steps: int, initial: float = 0.0, begin: int = 0
) -> float:
    r"""Return the sparsity :math:`s_f + (s_i - s_f) (1 - (t - t_0) / n)^3` at a step.

    Most is pruned early, while much is superfluous, and little at the end.

    Args:
        step: The step :math:`t`.
        final: The sparsity :math:`s_f` that is reached ``steps`` steps after ``begin``, and kept.
        steps: How many steps it takes, :math:`n`.
        initial: The sparsity :math:`s_i` at ``begin``.
        begin: The first step :math:`t_0` of pruning, before which the sparsity is 0.

    Raises:
        ValueError: A sparsity is not from 0 to 1, it falls, or ``steps`` is not positive.

    Example:
        >>> [round(gradual_sparsity(step, final=0.8, steps=4), 3) for step in range(6)]
        [0.0, 0.463, 0.7, 0.788, 0.8, 0.8]

    References:
        Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
        compression", 2017.
    """
    if not 0 <= initial <= final <= 1:
        raise ValueError(
            "gradual_sparsity: expected 0 <= initial <= final <= 1, got "
            f"initial={initial!r}, final={final!r}"
        )
    if steps < 1:
        raise ValueError(f"gradual_sparsity: expected steps of at least 1, got {steps!r}")
    if step < begin:
        return 0.0
    left = max(0.0, 1 - (step - begin) / steps)
    return final + (initial - final) * left**3


class GradualPruning:
    """Prunes more and more of a model while it is trained, as `gradual_sparsity` says.

    Call `step` after each step of the optimizer. Weights that are zero stay zero.

    Args:
        model: The model.
        final: The share of weights that are zero at the end.
        steps: How many steps it takes to get there.
        initial: The share at step ``begin``.
        begin: The step at which pruning begins, counted from 0.
        every: How many steps there are from one choice of weights to the next.
        scope: As in `magnitude_masks`.
        names: As in `magnitude_masks`.

    Attributes:
        masks: Which weights stay now, held by `Masks.hold`.
        count: How many steps there have been.

    Raises:
        ValueError: A share or a number of steps is out of range.

    Example:
        >>> import tt_nn as nn
        >>> model = nn.Linear(10, 10)
        >>> pruning = GradualPruning(model, final=0.9, steps=3)
        >>> for _ in range(4):
        ...     # here an optimizer makes a step
        ...     pruning.step()
        >>> round(pruning.masks.sparsity, 2)
        0.9

    References:
        Zhu and Gupta, 2017.
    """

    def __init__(
        self,
        model: Module,
        final: float,
        steps: int,
        *,
        initial: float = 0.0,
        begin: int = 0,
        every: int = 1,
        scope: Scope = "layer",
        names: Collection[str] | None = None,
    ) -> None:
        gradual_sparsity(0, final=final, steps=steps, initial=initial, begin=begin)  # checks
        if every < 1:
            raise ValueError(f"GradualPruning: expected every to be at least 1, got {every!r}")
        self.model = model
        self.final = final
        self.steps = steps
        self.initial = initial
        self.begin = begin
        self.every = every
        self.scope = scope
        self.count = 0
        self.masks = magnitude_masks(model, 0.0, scope=scope, names=names)

    def step(self) -> None:
        """Prune as much as there should be by now."""
        since = self.count - self.begin
        due = since >= 0 and (since % self.every == 0 or since == self.steps)
        if due and since <= self.steps:
            amount = gradual_sparsity(
                self.count,
                final=self.final, steps=self.steps, initial=self.initial, begin=self.begin,
            )  # fmt: skip
            self.masks.release()
            self.masks = magnitude_masks(
                self.model, amount, scope=self.scope, previous=self.masks
            ).hold()
        else:
            self.masks.apply()
        self.count += 1

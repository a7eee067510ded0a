"""The learning rate that falls when a metric no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ._checks import check_count, check_number, has_keys
from ._optimizer import Optimizer, StateDict
from ._schedulers import check_optimizer


class ReduceLROnPlateau:
    """Multiplies the learning rates by ``factor`` when a metric has stopped to improve.

    Args:
        optimizer: Whose learning rates to set.
        mode: ``"min"`` if less is better, ``"max"`` if more is.
        factor: What is multiplied by.
        patience: How many steps without improvement are let pass.
        threshold: How much counts as an improvement.
        threshold_mode: Whether that is ``"rel"``, a share of the best, or ``"abs"``.
        cooldown: Steps after a reduction in which none counts as bad.
        min_lr: The lowest learning rate, or one for each group.
        eps: Changes that are smaller are left out.

    Attributes:
        best: The best metric so far.
        num_bad_epochs: Steps since then.

    Raises:
        TypeError: A number is of the wrong type.
        ValueError: A number or a mode is none that is known.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> scheduler = ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> for loss in (3.0, 2.0, 2.0, 2.0):
        ...     scheduler.step(loss)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        if mode not in ("min", "max"):
            raise ValueError(f"{name}: mode: expected 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(
                f"{name}: threshold_mode: expected 'rel' or 'abs', got {threshold_mode!r}"
            )
        check_number(name, "factor", factor, below=1.0)
        check_number(name, "threshold", threshold)
        check_number(name, "eps", eps)
        check_count(name, "patience", patience, low=0)
        check_count(name, "cooldown", cooldown, low=0)
        check_optimizer(name, optimizer)
        groups = len(optimizer.param_groups)
        self.min_lrs = [min_lr] * groups if isinstance(min_lr, int | float) else list(min_lr)
        if len(self.min_lrs) != groups:
            raise ValueError(
                f"{name}: expected {groups} of min_lr, one for each group, got {len(self.min_lrs)}"
            )
        self.optimizer = optimizer
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0

    def _improves(self, metric: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 - sign * self.threshold)
        else:
            bound = self.best - sign * self.threshold
        return sign * metric < sign * bound

    def step(self, metrics: Any) -> None:
        """Take note of a metric, and reduce the learning rates if it is time.

        Args:
            metrics: A number, or a tensor of one element.
        """
        metric = float(metrics)
        self.last_epoch += 1
        if self._improves(metric):
            self.best = metric
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=False):
                lr = max(group["lr"] * self.factor, low)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> StateDict:
        """Return the position in plain numbers."""
        return {
            "best": self.best,
            "num_bad_epochs": self.num_bad_epochs,
            "cooldown_counter": self.cooldown_counter,
            "last_epoch": self.last_epoch,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a position that `state_dict` returned.

        The learning rates themselves are part of the optimizer's state.

        Raises:
            ValueError: It is no such position.
        """
        own = self.state_dict()
        if not has_keys(state_dict, own) or not all(
            isinstance(value, int | float) for value in state_dict.values()
        ):
            raise ValueError(
                f"ReduceLROnPlateau.load_state_dict: expected numbers named {', '.join(own)}, "
                f"got {state_dict!r}"
            )
        for name, value in state_dict.items():
            setattr(self, name, value)

"""Learning rates as functions of the step: each a closed form, so that nothing drifts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._checks import check_count, check_number, has_keys
from ._optimizer import Optimizer, StateDict

Factor = Callable[[int], float]


class LRScheduler:
    """The base of schedulers that set each group's ``lr`` from the number of steps taken.

    A subclass defines ``factor(step)``, what the group's first learning rate is multiplied by.
    The learning rate of step 0 is set at construction; ``step()`` goes on by one. The unit is
    the caller's: batches or epochs.

    Args:
        optimizer: Whose learning rates to set.

    Attributes:
        base_lrs: The first learning rate of each group (``initial_lr`` of the group).
        last_epoch: The number of steps taken.

    Raises:
        TypeError: ``optimizer`` is none.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> class Halve(optim.LRScheduler):
        ...     def factor(self, step: int) -> float:
        ...         return 0.5**step
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> scheduler = Halve(optimizer)
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer) -> None:
        check_optimizer(type(self).__name__, optimizer)
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set(0)

    def factor(self, step: int) -> float:
        """Return what the first learning rates are multiplied by at a step."""
        raise NotImplementedError(f"{type(self).__name__} defines factor(step)")

    def lrs(self, step: int) -> list[float]:
        """Return the learning rate of each group at a step."""
        factor = self.factor(step)
        return [lr * factor for lr in self.base_lrs]

    def _set(self, step: int) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.lrs(step), strict=False):
            group["lr"] = lr

    def step(self) -> None:
        """Go on by one step and set the learning rates."""
        self.last_epoch += 1
        self._set(self.last_epoch)

    def get_last_lr(self) -> list[float]:
        """Return the learning rate of each group as it was last set."""
        return self.lrs(self.last_epoch)

    def state_dict(self) -> StateDict:
        """Return the position in plain numbers; functions are not part of it."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a position that `state_dict` returned.

        Raises:
            ValueError: It is no such position, or one for another number of groups; nothing has
                been changed then.
        """
        name = f"{type(self).__name__}.load_state_dict"
        if not has_keys(state_dict, self.state_dict()):
            keys = ", ".join(self.state_dict())
            raise ValueError(f"{name}: expected a dict of {keys}, got {state_dict!r}")
        step, lrs = state_dict["last_epoch"], state_dict["base_lrs"]
        if not isinstance(step, int) or step < 0:
            raise ValueError(f"{name}: last_epoch: expected an int of at least 0, got {step!r}")
        if not isinstance(lrs, list) or len(lrs) != len(self.base_lrs):
            raise ValueError(f"{name}: base_lrs: expected {len(self.base_lrs)}, got {lrs!r}")
        for lr in lrs:
            if not isinstance(lr, int | float):
                raise ValueError(f"{name}: base_lrs: expected numbers, got {lr!r}")
        before = self.last_epoch, self.base_lrs
        self.last_epoch, self.base_lrs = step, list(lrs)
        try:
            self._set(step)
        except ValueError:
            self.last_epoch, self.base_lrs = before
            raise


class LambdaLR(LRScheduler):
    """The first learning rate times a function of the step.

    Args:
        optimizer: Whose learning rates to set.
        lr_lambda: The function, or one for each group.

    Raises:
        ValueError: There are not as many functions as groups.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> scheduler = LambdaLR(optimizer, lambda step: 1 / (1 + step))
        >>> scheduler.step()
        >>> optimizer.param_groups[0]["lr"]
        0.5
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor]) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"LambdaLR: expected {groups} functions, one for each group, "
                f"got {len(self.lr_lambdas)}"
            )
        super().__init__(optimizer)

    def lrs(self, step: int) -> list[float]:
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [lr * factor(step) for lr, factor in pairs]


class StepLR(LRScheduler):
    r"""Multiplied by gamma every ``step_size`` steps: :math:`\gamma^{\lfloor t / s \rfloor}`.

    Args:
        optimizer: Whose learning rates to set.
        step_size: Steps between changes.
        gamma: What is multiplied by.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> StepLR(optimizer, step_size=3, gamma=0.5).lrs(7)
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        check_count("StepLR", "step_size", step_size)
        check_number("StepLR", "gamma", gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return float(self.gamma ** (step // self.step_size))


class MultiStepLR(LRScheduler):
    """Multiplied by gamma at every milestone.

    Args:
        optimizer: Whose learning rates to set.
        milestones: Steps, in rising order.
        gamma: What is multiplied by.

    Raises:
        ValueError: The milestones do not rise.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> MultiStepLR(optimizer, [3, 5], gamma=0.5).lrs(4)
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        check_number("MultiStepLR", "gamma", gamma)
        self.milestones, self.gamma = _rising("MultiStepLR", milestones), gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return float(self.gamma ** bisect_right(self.milestones, step))


class ExponentialLR(LRScheduler):
    r"""Multiplied by gamma every step: :math:`\gamma^t`.

    Args:
        optimizer: Whose learning rates to set.
        gamma: What is multiplied by.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> ExponentialLR(optimizer, gamma=0.5).lrs(3)
        [0.125]
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        check_number("ExponentialLR", "gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        return float(self.gamma**step)


class LinearLR(LRScheduler):
    """From one factor to another in a straight line: the usual warm-up.

    Args:
        optimizer: Whose learning rates to set.
        start_factor: The factor at step 0.
        end_factor: The factor from ``total_iters`` on.
        total_iters: How many steps the line takes.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> scheduler = LinearLR(optimizer, start_factor=0.5, total_iters=4)
        >>> [scheduler.lrs(step)[0] for step in range(6)]
        [0.5, 0.625, 0.75, 0.875, 1.0, 1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        check_number("LinearLR", "start_factor", start_factor)
        check_number("LinearLR", "end_factor", end_factor)
        check_count("LinearLR", "total_iters", total_iters)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def factor(self, step: int) -> float:
        share = min(step, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share


class CosineAnnealingLR(LRScheduler):
    r"""Along half a cosine, from the first learning rate to ``eta_min`` in ``T_max`` steps.

    .. math:: \eta_t = \eta_\min + (\eta_0 - \eta_\min) (1 + \cos(\pi t / T_\max)) / 2

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017).

    Args:
        optimizer: Whose learning rates to set.
        T_max: Steps to the lowest learning rate; after it they rise again.
        eta_min: The lowest learning rate.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> scheduler = CosineAnnealingLR(optimizer, T_max=4)
        >>> [round(scheduler.lrs(step)[0], 3) for step in range(5)]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
    ) -> None:
        check_count("CosineAnnealingLR", "T_max", T_max)
        check_number("CosineAnnealingLR", "eta_min", eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def lrs(self, step: int) -> list[float]:
        share = (1.0 + math.cos(math.pi * step / self.T_max)) / 2
        return [self.eta_min + (lr - self.eta_min) * share for lr in self.base_lrs]


class SequentialLR(LRScheduler):
    """One scheduler after another, each counting from its own 0.

    Args:
        optimizer: Whose learning rates to set.
        schedulers: The schedulers, of the same optimizer.
        milestones: The steps at which the second and later ones take over.

    Raises:
        ValueError: The milestones do not rise, or are not one fewer than the schedulers, or a
            scheduler is of another optimizer.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> decay = ExponentialLR(optimizer, gamma=0.5)
        >>> scheduler = SequentialLR(optimizer, [warm_up, decay], milestones=[2])
        >>> [scheduler.lrs(step)[0] for step in range(5)]
        [0.5, 0.75, 1.0, 0.5, 0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
    ) -> None:
        self.schedulers = list(schedulers)
        self.milestones = _rising("SequentialLR", milestones)
        if len(self.schedulers) != len(self.milestones) + 1:
            raise ValueError(
                f"SequentialLR: expected {len(self.milestones) + 1} schedulers for "
                f"{len(self.milestones)} milestones, got {len(self.schedulers)}"
            )
        if any(scheduler.optimizer is not optimizer for scheduler in self.schedulers):
            raise ValueError("SequentialLR: expected schedulers of the same optimizer")
        super().__init__(optimizer)

    def _now(self, step: int) -> tuple[LRScheduler, int]:
        k = bisect_right(self.milestones, step)
        return self.schedulers[k], step - (self.milestones[k - 1] if k else 0)

    def lrs(self, step: int) -> list[float]:
        scheduler, own = self._now(step)
        return scheduler.lrs(own)

    def _set(self, step: int) -> None:
        scheduler, own = self._now(step)
        scheduler.last_epoch = own
        scheduler._set(own)

    def state_dict(self) -> StateDict:
        """Return the position, and those of the schedulers."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a position that `state_dict` returned.

        Raises:
            ValueError: It is no such position, or one for other schedulers.
        """
        saved = state_dict["schedulers"] if has_keys(state_dict, self.state_dict()) else None
        if not isinstance(saved, list) or len(saved) != len(self.schedulers):
            raise ValueError(
                "SequentialLR.load_state_dict: expected a dict of "
                f"{', '.join(self.state_dict())} with {len(self.schedulers)} schedulers"
            )
        before = [scheduler.state_dict() for scheduler in self.schedulers]
        try:
            for scheduler, own in zip(self.schedulers, saved, strict=True):
                scheduler.load_state_dict(own)
            super().load_state_dict(state_dict)
        except ValueError:
            for scheduler, own in zip(self.schedulers, before, strict=True):
                scheduler.load_state_dict(own)
            self._set(self.last_epoch)
            raise


class WarmupLR(SequentialLR):
    """A straight line up from ``lr / warmup_steps``, then another scheduler from its own start.

    Args:
        optimizer: Whose learning rates to set.
        warmup_steps: How many steps the learning rate rises; step ``warmup_steps - 1`` is the
            first at its full height.
        after: What follows; a constant learning rate unless given.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_optim as optim
        >>> optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=1.0)
        >>> scheduler = WarmupLR(optimizer, 4, after=optim.ExponentialLR(optimizer, gamma=0.5))
        >>> [scheduler.lrs(step)[0] for step in range(7)]
        [0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, after: LRScheduler | None = None
    ) -> None:
        check_count("WarmupLR", "warmup_steps", warmup_steps)

        def rise(step: int) -> float:
            return (step + 1) / warmup_steps

        after = LambdaLR(optimizer, lambda step: 1.0) if after is None else after
        super().__init__(optimizer, [LambdaLR(optimizer, rise), after], [warmup_steps])


def check_optimizer(owner: str, optimizer: object) -> None:
    """Refuse what is no optimizer.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{owner}: expected an optimizer, got {type(optimizer).__name__}")


def _rising(owner: str, milestones: Sequence[int]) -> list[int]:
    listed = list(milestones)
    for milestone in listed:
        check_count(owner, "milestones", milestone)
    if sorted(set(listed)) != listed:
        raise ValueError(f"{owner}: milestones: expected rising steps, got {listed}")
    return listed

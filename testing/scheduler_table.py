"""Every scheduler in its variants, for the property tests and the comparison with PyTorch.

A case makes the scheduler from the module that has the classes, ours or
``torch.optim.lr_scheduler``, and an optimizer of two groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Make = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class SchedulerCase:
    """One scheduler with some arguments.

    Attributes:
        name: The name of the class, a variant after a dot.
        make: Takes the module and the optimizer, returns the scheduler.
        steps: How many steps it is good for.
    """

    name: str
    make: Make
    steps: int = 40

    def __str__(self) -> str:
        return self.name


def _sequence(module: Any, optimizer: Any) -> Any:
    parts = [
        module.LinearLR(optimizer, start_factor=0.1, total_iters=5),
        module.CosineAnnealingLR(optimizer, T_max=20, eta_min=0.001),
        module.ExponentialLR(optimizer, gamma=0.8),
    ]
    return module.SequentialLR(optimizer, parts, milestones=[5, 25])


def _one_cycle(**arguments: Any) -> Make:
    return lambda module, optimizer: module.OneCycleLR(optimizer, **arguments)


CASES = [
    SchedulerCase("LambdaLR", lambda m, o: m.LambdaLR(o, lambda t: 1 / (1 + t))),
    SchedulerCase("LambdaLR.each", lambda m, o: m.LambdaLR(o, [lambda t: 0.9**t, lambda t: t])),
    SchedulerCase("StepLR", lambda m, o: m.StepLR(o, step_size=7, gamma=0.5)),
    SchedulerCase("MultiStepLR", lambda m, o: m.MultiStepLR(o, [3, 9, 30], gamma=0.3)),
    SchedulerCase("ExponentialLR", lambda m, o: m.ExponentialLR(o, gamma=0.9)),
    SchedulerCase("LinearLR", lambda m, o: m.LinearLR(o)),
    SchedulerCase("LinearLR.down", lambda m, o: m.LinearLR(o, 1.0, 0.0, total_iters=30)),
    SchedulerCase("CosineAnnealingLR", lambda m, o: m.CosineAnnealingLR(o, T_max=12)),
    SchedulerCase("CosineAnnealingLR.least", lambda m, o: m.CosineAnnealingLR(o, 40, 0.01)),
    SchedulerCase("OneCycleLR", _one_cycle(max_lr=0.5, total_steps=41)),
    SchedulerCase(
        "OneCycleLR.linear",
        _one_cycle(max_lr=[0.5, 0.1], epochs=4, steps_per_epoch=12, anneal_strategy="linear"),
    ),
    SchedulerCase(
        "OneCycleLR.phases",
        _one_cycle(max_lr=0.5, total_steps=50, three_phase=True, pct_start=0.4, div_factor=10),
    ),
    SchedulerCase("OneCycleLR.still", _one_cycle(max_lr=1, total_steps=50, cycle_momentum=False)),
    SchedulerCase("SequentialLR", _sequence),
]

# Metrics of 40 epochs: they fall, stand still, rise, and fall again.
METRICS = [*(1.0 / (1 + t) for t in range(8)), *[0.125] * 12, 0.3, 0.2, *[0.1] * 18]

PLATEAUS: list[dict[str, Any]] = [
    {},
    {"factor": 0.5, "patience": 2},
    {"factor": 0.5, "patience": 1, "cooldown": 3, "min_lr": [0.05, 0.01]},
    {"mode": "max", "patience": 3},
    {"patience": 0, "threshold": 0.05, "threshold_mode": "abs", "eps": 1e-3},
    {"mode": "max", "patience": 1, "threshold": 0.1, "threshold_mode": "abs"},
]

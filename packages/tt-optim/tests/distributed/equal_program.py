"""Trains small models for 50 steps in every way, alone or under ``mpiexec``, and saves them.

Run as a program, with the file to save to. Each way is an optimizer, a dtype and a model with
dropout, on batches of which some are uneven and one has fewer rows than there are processes.
No parameter has a gradient that is 0 but for rounding, as a bias before a normalisation does:
AdamW and Muon make full steps of what the rounding leaves.
"""

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim
from tt_nn.seam import launched

STEPS = 50
SIZES = (13, 12, 5, 3, 1)  # of batches

Model = Callable[[], nn.Module]
MODELS: dict[str, tuple[Model, tuple[int, ...]]] = {
    "mlp": (
        lambda: nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Dropout(0.3), nn.Linear(9, 3)),
        (6,),
    ),
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout2d(0.2),
            nn.Flatten(),
            nn.Linear(4 * 16, 3),
        ),
        (2, 4, 4),
    ),
    "attention": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.2, batch_first=True, bias=False),
            nn.Flatten(),
            nn.Linear(5 * 8, 3),
        ),
        (5, 8),
    ),
}
OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "SGD": lambda params: optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "AdamW": lambda params: optim.AdamW(params, lr=3e-3),
    "Muon": lambda params: muon(list(params)),
}


def muon(params: list[tt.Tensor]) -> optim.Optimizer:
    """Return Muon as it is used: for the matrices but the last, with AdamW for the rest."""
    *hidden, head = [param for param in params if param.ndim > 1]
    others = [*(param for param in params if param.ndim < 2), head]
    rest: dict[str, Any] = {"params": others, "use_muon": False, "lr": 3e-3}
    return optim.Muon([{"params": hidden}, rest], lr=0.02, momentum=0.9)


def accuracy(output: tt.Tensor, target: tt.Tensor) -> tt.Tensor:
    """Return the share of samples whose class has the highest score."""
    return (output.argmax(dim=1) == target).double().mean()


def train(model: nn.Module, optimizer: optim.Optimizer, shape: tuple[int, ...]) -> dict[str, Any]:
    """Train a model, and return its parameters, its buffers and what was recorded."""
    x = tt.randn(sum(SIZES), *shape)
    y = tt.randint(0, 3, (sum(SIZES),))
    cuts = np.cumsum([0, *SIZES]).tolist()
    batches = [(x[i:j], y[i:j]) for i, j in pairwise(cuts)]
    trainer = optim.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        accumulate=3,
        max_norm=5.0,
        average=optim.ExponentialMovingAverage(model, decay=0.9),
        metrics={
            "accuracy": lambda output, target: (output.argmax(dim=1) == target).double().mean()
        },
        progress=False,
    )
    history = trainer.fit(batches, steps=STEPS, evaluation=batches)
    record = np.array([list(line.values()) for line in history])
    return {**{k: v.numpy() for k, v in model.state_dict().items()}, "history": record}


def main() -> None:
    """Train in every way; rank 0 saves."""
    found: dict[str, Any] = {}
    for dtype in ("float64", "float32"):
        tt.set_default_dtype(dtype)
        for name, (make, shape) in MODELS.items():
            for rule, build in OPTIMIZERS.items():
                tt.manual_seed(0)
                model = make()
                trained = train(model, build(model.parameters()), shape)
                found.update({f"{dtype}/{name}/{rule}/{k}": v for k, v in trained.items()})
    if (launched() or (0, 1))[0] == 0:
        np.savez(Path(sys.argv[1]), allow_pickle=False, **found)


if __name__ == "__main__":
    main()

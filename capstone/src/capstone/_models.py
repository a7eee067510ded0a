"""The models, by name: add yours here, and the command knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tt_autograd as tt
import tt_nn as nn


def mlp() -> nn.Sequential:
    """Return two layers of hidden units between the 64 pixels and the ten scores."""
    return nn.Sequential(
        nn.Flatten(),  # (N, 1, 8, 8) -> (N, 64)
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def cnn() -> nn.Sequential:
    """Return a convolutional network of at most 20,000 parameters.

    Shape:
        ``(N, 1, 8, 8) -> (N, 10)``

    Example:
        >>> import tt_autograd as tt
        >>> cnn()(tt.zeros(5, 1, 8, 8)).shape
        (5, 10)
    """
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (N, 16, 4, 4)
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),  # (N, 32, 2, 2)
        nn.Flatten(),  # (N, 128)
        nn.Linear(128, 10),
    )


MODELS: Mapping[str, Callable[[], nn.Module]] = {"mlp": mlp, "cnn": cnn}


def make_model(name: str, seed: int) -> nn.Module:
    """Return a model with the weights that a seed draws.

    Args:
        name: One of `MODELS`.
        seed: The seed.

    Raises:
        ValueError: There is no model of that name.
    """
    if name not in MODELS:
        raise ValueError(f"there is no model {name!r}; there are {', '.join(MODELS)}")
    tt.manual_seed(seed)
    return MODELS[name]()

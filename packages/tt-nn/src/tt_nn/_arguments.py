"""Checks of the arguments that layers are made with."""

from __future__ import annotations

import numpy as np


def check_sizes(name: str, **sizes: object) -> None:
    """Refuse what is not a positive int, in the name of a layer.

    Raises:
        ValueError: One of the sizes is no positive int.
    """
    for argument, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"{name}: expected {argument} to be a positive int, got {size!r}")

"""How much each layer loses, and which of its channels or heads that is."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from ._resizing import Index


def shares_by_name(
    function: str, what: str, names: Collection[str], amount: float | Mapping[str, float]
) -> dict[str, float]:
    """Return the share that each layer loses.

    Args:
        function: Who asks, for errors.
        what: What has those names.
        names: The layers that can lose something.
        amount: The same share for all, or the share of each.

    Raises:
        ValueError: A name is none of those, or a share is not from 0 to less than 1.
    """
    shares = dict(amount) if isinstance(amount, Mapping) else dict.fromkeys(names, amount)
    for name, share in shares.items():
        if name not in names:
            raise ValueError(
                f"{function}: {name!r} is no {what}; these are: {', '.join(names) or 'none'}"
            )
        if not 0 <= share < 1:
            raise ValueError(f"{function}: expected amount from 0 to less than 1, got {share!r}")
    return shares


def strongest(scores: NDArray[np.floating], share: float) -> Index:
    """Return, in order, the places of what stays when a share with the lowest scores goes.

    Example:
        >>> strongest(np.array([3.0, 1.0, 2.0, 0.0]), 0.5)
        array([0, 2])
    """
    gone = min(round(share * len(scores)), len(scores) - 1)
    return np.sort(np.argsort(scores, kind="stable")[gone:])

"""What channels contribute to the layer that reads them, and how others take over from them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_nn import Conv2d, Linear

from ._resizing import Index, set_parameter

Array = NDArray[Any]

_RIDGE = 1e-3  # of the channels' mean square: keeps factors small where channels are alike


def contributions(layer: Linear | Conv2d, gram: Array) -> Array:
    r"""Return :math:`E[a_c^2] \, \|W_c\|^2` of each channel: what the layer loses with it.

    Args:
        layer: What reads the channels.
        gram: Their mean products, ``(C, C)``.
    """
    weight = _by_channel(layer, len(gram))
    result: Array = np.diagonal(gram) * np.square(weight).sum(axis=(0, 2))
    return result


def take_over(layer: Linear | Conv2d, gram: Array, kept: Index) -> None:
    r"""Change the weights of kept channels so that they stand in for those that will go.

    What goes is replaced by its best linear prediction from what stays, of all numbers at the
    same place: :math:`W_k \leftarrow W_k + W_r G_{rk} G_{kk}^{-1}`.

    Args:
        layer: What reads the channels, all of them as yet.
        gram: Their mean products :math:`G`, ``(C, C)``.
        kept: The channels that stay.
    """
    weight = _by_channel(layer, len(gram))
    gone = np.setdiff1d(np.arange(len(gram)), kept)
    among = gram[np.ix_(kept, kept)]
    ridge = _RIDGE * np.diagonal(among).mean()
    if not ridge > 0:
        return  # nothing is known: all that stays was zero
    factors = np.linalg.solve(among + ridge * np.eye(len(kept)), gram[np.ix_(kept, gone)])
    weight[:, kept] += np.einsum("ogn,kg->okn", weight[:, gone], factors)
    set_parameter(layer, "weight", weight.reshape(layer.weight.shape))


def _by_channel(layer: Linear | Conv2d, count: int) -> Array:
    """Return a copy of the weight as (outputs, channels, numbers of each channel)."""
    weight = layer.weight.detach().numpy().astype(np.float64, order="C")
    return weight.reshape((len(weight), count, -1))

"""Structured pruning of channels and hidden units: they are removed, not set to zero."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tt_nn import Module

from ._choosing import shares_by_name, strongest
from ._flow import Channels, trace_channels
from ._importance import contributions, take_over
from ._resizing import Index, expand, keep_features, keep_inputs, keep_outputs

M = TypeVar("M", bound=Module)
Importance = Literal["contribution", "magnitude"]


def removable_channels(model: Module, *inputs: object) -> dict[str, int]:
    """Return how many channels or units there are in each layer that could lose some.

    Args:
        model: The model.
        *inputs: What it is called with, once, to see which layers read what others put out.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import LeNet5
        >>> removable_channels(LeNet5(), tt.ones(1, 1, 32, 32))
        {'features.0': 6, 'features.3': 16, 'features.6': 120, 'classifier.0': 84}
    """
    found = trace_channels(model, inputs)
    return {name: channels.count for name, channels in found.items()}


def prune_channels(
    model: M,
    *inputs: object,
    amount: float | Mapping[str, float] = 0.5,
    by: Importance = "contribution",
    compensate: bool = True,
) -> M:
    r"""Return a model without the least important channels of its layers.

    A channel of a `Conv2d` or a unit of a `Linear` goes together with what depends on it: its
    entries in normalisations and depthwise convolutions, and the weights of the layers that read
    it, also behind pooling, `Flatten` and activations. What reads what is seen by running the
    model, so models of any kind will do. A layer keeps its channels where something else reads
    them, such as a sum with another layer's, attention, or who called the model.

    Args:
        model: The model; it stays as it is.
        *inputs: What it is called with. With ``by="contribution"`` or ``compensate`` they are what
            importance is judged by: some dozen samples of what it was trained on.
        amount: The share of channels to remove from each layer (rounded to whole ones; one always
            stays), or the share by layer, whose names `removable_channels` lists.
        by: ``"contribution"``, the mean square of what a channel adds to the next layer,
            :math:`E[a_c^2] \|W_c\|^2`; or ``"magnitude"``, the sum :math:`|w|` of its filter, for
            which no data is needed.
        compensate: Whether the weights of the channels that stay take over as much as they can
            from those that go, by least squares.

    Returns:
        The smaller model.

    Raises:
        ValueError: A share is not from 0 to less than 1, a layer cannot lose channels, or no
            layer can.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> model = nn.Sequential(
        ...     nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10)
        ... )
        >>> smaller = prune_channels(model, tt.rand(16, 1, 8, 8), amount=0.75)
        >>> smaller[0].weight.shape, smaller[1].num_features, smaller[4].weight.shape
        ((2, 1, 3, 3), 2, (10, 72))

    References:
        Li et al., "Pruning filters for efficient ConvNets", 2016 (by magnitude). He et al.,
        "Channel pruning for accelerating very deep neural networks", 2017 (least squares).
    """
    if by not in ("contribution", "magnitude"):
        raise ValueError(f"prune_channels: expected by 'contribution' or 'magnitude', got {by!r}")
    smaller = copy.deepcopy(model)
    found = trace_channels(smaller, inputs)
    if not found:
        raise ValueError(
            f"prune_channels: no layer of this {type(model).__name__} has channels that only "
            "layers after it read, so none can be removed"
        )
    shares = shares_by_name("prune_channels", "layer that can lose channels", found, amount)
    kept = {name: _most_important(found[name], share, by) for name, share in shares.items()}
    for name, index in kept.items():
        _remove(found[name], index, compensate)
    return smaller


def _most_important(channels: Channels, share: float, by: Importance) -> Index:
    """Return the channels that stay, in order."""
    if by == "magnitude":
        weight = channels.layer.weight.detach().numpy()
        scores: NDArray[np.floating] = abs(weight).sum(axis=tuple(range(1, weight.ndim)))
    else:
        scores = sum(
            (contributions(reader.layer, reader.gram) for reader in channels.readers),
            start=np.zeros(channels.count),
        )
    return strongest(scores, share)


def _remove(channels: Channels, kept: Index, compensate: bool) -> None:
    """Cut the channels that are not kept out of all modules that depend on them."""
    count = channels.count
    if len(kept) == count:
        return
    for reader in channels.readers:
        if compensate:
            take_over(reader.layer, reader.gram, kept)
        each = reader.layer.weight.shape[1] // count
        keep_inputs(reader.layer, expand(kept, each))
    for module, each in channels.followers:
        keep_features(module, expand(kept, each))
    keep_outputs(channels.layer, kept)

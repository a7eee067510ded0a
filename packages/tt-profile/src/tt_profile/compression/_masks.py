"""Magnitude pruning: which weights are small enough to be zero, and how they stay zero."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
from tt_autograd import RemovableHandle
from tt_nn import Embedding, LearnedPositions, Module, Parameter

Kept = NDArray[np.bool_]
Scope = Literal["global", "layer"]


class Masks:
    """Which weights of a model stay, and which are zero.

    Args:
        model: The model.
        kept: For each parameter that is pruned, by its name in the model: True where a weight
            stays.

    Raises:
        ValueError: The model has no such parameter, or one of another shape.

    Example:
        >>> import numpy as np
        >>> import tt_nn as nn
        >>> layer = nn.Linear(2, 1)
        >>> masks = Masks(layer, {"weight": np.array([[True, False]])}).apply()
        >>> layer.weight[0, 1].item(), masks.sparsity
        (0.0, 0.5)
    """

    def __init__(self, model: Module, kept: Mapping[str, Kept]) -> None:
        parameters = dict(model.named_parameters())
        for name, mask in kept.items():
            if name not in parameters:
                raise ValueError(
                    f"Masks: {type(model).__name__} has no parameter {name!r}; "
                    f"there are: {', '.join(parameters)}"
                )
            if mask.shape != parameters[name].shape or mask.dtype != np.bool_:
                raise ValueError(
                    f"Masks: expected bools of shape {parameters[name].shape} for {name!r}, "
                    f"got {mask.dtype.name} of shape {mask.shape}"
                )
        self._model = model
        self._kept = dict(kept)
        self._handles: list[RemovableHandle] = []

    @property
    def kept(self) -> Mapping[str, Kept]:
        """The masks by the names of their parameters: True where a weight stays."""
        return MappingProxyType(self._kept)

    @property
    def sparsity(self) -> float:
        """The share of the masked parameters' weights that are zero."""
        total = sum(mask.size for mask in self._kept.values())
        return 1 - sum(int(mask.sum()) for mask in self._kept.values()) / total if total else 0.0

    def apply(self) -> Masks:
        """Set the weights that do not stay to zero, and return the masks."""
        _zero(self._model, self._kept)
        return self

    def hold(self) -> Masks:
        """Set weights to zero and keep them there while the model is trained.

        They get no gradient from now on. Should an optimizer move them all the same (by momentum
        from before, or because it mixes the entries of a matrix, as Muon does), then the model
        sets them back whenever it is called; call `apply` before saving it.

        Returns:
            The masks.
        """
        self.release()
        parameters = dict(self._model.named_parameters())
        for name, mask in self._kept.items():
            if parameters[name].requires_grad:
                self._handles.append(parameters[name].register_hook(tt.from_numpy(mask).mul))
        self._handles.append(self._model.register_forward_pre_hook(self._before))
        return self.apply()

    def release(self) -> Masks:
        """Let all weights learn again, and return the masks."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        return self

    def _before(self, model: Module, args: tuple[Any, ...]) -> None:
        _zero(model, self._kept)  # the model that is called: it may be a copy of the one held

    def __repr__(self) -> str:
        return f"Masks({len(self._kept)} parameters, {self.sparsity:.1%} of their weights zero)"


def _zero(model: Module, kept: Mapping[str, Kept]) -> None:
    parameters = dict(model.named_parameters())
    with tt.no_grad():
        for name, mask in kept.items():
            parameter = parameters[name]
            if parameter.shape != mask.shape:
                raise ValueError(
                    f"Masks: {name!r} had shape {mask.shape} and now has {parameter.shape}; "
                    "release() the masks before a layer changes its size"
                )
            # Only where there is something to do: a change in place between a forward pass and
            # its backward pass would be refused.
            if parameter.detach().numpy()[~mask].any():
                parameter.copy_(tt.where(tt.from_numpy(mask), parameter, 0.0))


def magnitude_masks(
    model: Module,
    amount: float,
    *,
    scope: Scope = "global",
    previous: Masks | None = None,
    names: Collection[str] | None = None,
) -> Masks:
    r"""Choose the weights of the smallest magnitude :math:`|w|` for pruning.

    Nothing in the model changes until `Masks.apply` or `Masks.hold` is called.

    Args:
        model: The model.
        amount: The share of all weights that become zero, those of ``previous`` included.
        scope: Whether weights compete with those of all layers (``"global"``) or each layer loses
            the same share (``"layer"``).
        previous: Masks whose zeros stay zero, whatever their weights are now.
        names: The parameters to prune; unless given all matrices and filters but embeddings,
            whose rows are looked up rather than multiplied.

    Returns:
        The masks.

    Raises:
        ValueError: ``amount`` is not from 0 to 1, or so small that weights of ``previous`` would
            come back; a name is not one of the model's, the scope is none of the two, or there is
            nothing to prune, as in a quantized model.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
        >>> with tt.no_grad():
        ...     _ = model[0].weight.copy_(tt.tensor([[0.1, -3.0], [2.0, -0.3]]))
        ...     _ = model[2].weight.copy_(tt.tensor([[0.2, 4.0]]))
        >>> _ = magnitude_masks(model, 0.5).apply()
        >>> model[0].weight.detach()
        tensor([[ 0., -3.],
                [ 2.,  0.]])

    References:
        Han et al., "Learning both weights and connections for efficient neural networks", 2015.
    """
    if not 0 <= amount <= 1:
        raise ValueError(f"magnitude_masks: expected amount from 0 to 1, got {amount!r}")
    if scope not in ("global", "layer"):
        raise ValueError(f"magnitude_masks: expected scope 'global' or 'layer', got {scope!r}")
    if names is None and previous is not None:
        names = list(previous.kept)
    parameters = dict(_chosen(model, names))
    magnitudes = {name: abs(p.detach().numpy()) for name, p in parameters.items()}
    if previous is not None:
        for name, mask in previous.kept.items():
            if name in magnitudes:
                magnitudes[name] = np.where(mask, magnitudes[name], -1)  # first to go
    groups = [list(magnitudes)] if scope == "global" else [[name] for name in magnitudes]
    kept: dict[str, Kept] = {}
    for group in groups:
        if group:
            flat = np.concatenate([magnitudes[name].reshape(-1) for name in group])
            mask = _largest(flat, round(amount * flat.size))
            ends = np.cumsum([magnitudes[name].size for name in group])
            for name, part in zip(group, np.split(mask, ends[:-1]), strict=True):
                kept[name] = part.reshape(magnitudes[name].shape)
    if previous is not None:
        for name, before in previous.kept.items():
            if name in kept and (kept[name] & ~before).any():
                raise ValueError(
                    f"magnitude_masks: an amount of {amount!r} would bring back weights of "
                    f"{name!r} that are zero in previous, of sparsity {previous.sparsity:.4g}"
                )
    return Masks(model, kept)


def _largest(values: NDArray[Any], pruned: int) -> Kept:
    """Return where values are not among the ``pruned`` smallest ones: exactly so many."""
    mask = np.ones(values.size, np.bool_)
    if pruned:
        mask[np.argpartition(values, pruned - 1)[:pruned]] = False
    return mask


def _chosen(model: Module, names: Collection[str] | None) -> Iterator[tuple[str, Parameter]]:
    if names is None:
        found = list(_prunable(model))
        if not found:
            raise ValueError(
                f"magnitude_masks: {type(model).__name__} has no weights to prune; matrices and "
                "filters can be, unless they are quantized: prune first, then quantize"
            )
        yield from found
        return
    parameters = dict(model.named_parameters())
    for name in names:
        if name not in parameters:
            raise ValueError(
                f"magnitude_masks: {type(model).__name__} has no parameter {name!r}; "
                f"there are: {', '.join(parameters)}"
            )
        yield name, parameters[name]


def _prunable(model: Module) -> Iterator[tuple[str, Parameter]]:
    """Go over what is multiplied with inputs: matrices and filters, but no tables of vectors."""
    tables = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, Embedding | LearnedPositions)
        for parameter in module.parameters()
    }
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and id(parameter) not in tables:
            yield name, parameter


def sparsity(model: Module) -> float:
    """Return the share of zeros among the weights that `magnitude_masks` would prune.

    Args:
        model: The model.

    Example:
        >>> import tt_nn as nn
        >>> model = nn.Linear(10, 10)
        >>> _ = magnitude_masks(model, 0.75).apply()
        >>> sparsity(model)
        0.75
    """
    weights = [parameter.detach().numpy() for _, parameter in _prunable(model)]
    total = sum(weight.size for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / total if total else 0.0

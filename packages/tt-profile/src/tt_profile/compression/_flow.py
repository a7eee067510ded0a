"""Which layers read the channels that a layer puts out, seen by running the model once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
from tt_autograd import OpEvent
from tt_nn import BatchNorm1d, BatchNorm2d, Conv2d, Linear, Module

from ._watching import run_watched

Array = NDArray[Any]
Map = Linear | Conv2d

# Ops that treat every number by itself, as far as their other inputs are single numbers.
_ELEMENTWISE = frozenset(
    {
        *("relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", "softplus"),
        *("relu_squared", "clip", "abs", "neg", "square", "exp", "sqrt", "pow", "dropout"),
        *("add", "sub", "mul", "div", "maximum", "minimum", "clone", "cast", "batch_first"),
    }
)
_POOLS = frozenset({"max_pool2d", "avg_pool2d", "interpolate"})  # over places, not channels
_REDUCTIONS = frozenset({"sum", "mean", "max", "min"})


@dataclass(slots=True)
class Reader:
    """A layer that reads channels.

    Attributes:
        layer: The layer.
        gram: Mean products of all pairs of channels as it reads them, ``(C, C)``.
    """

    layer: Map
    gram: Array


@dataclass(slots=True)
class Channels:
    """The channels that a layer puts out, and every module that depends on their number.

    Attributes:
        layer: The layer whose outputs they are: a convolution's channels, a linear map's units.
        followers: Modules with a few parameters for each channel (normalisations, depthwise
            convolutions), with the number of their features for each.
        readers: The layers that mix them.
    """

    layer: Map
    followers: list[tuple[Module, int]] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many channels there are."""
        return len(self.layer.weight)

    @property
    def modules(self) -> list[Module]:
        """All modules that depend on the channels."""
        return [self.layer, *(m for m, _ in self.followers), *(r.layer for r in self.readers)]


def trace_channels(model: Module, inputs: tuple[object, ...]) -> dict[str, Channels]:
    """Run a model and find the channels that could be removed, by the names of their layers.

    Left out are those that something else than a `Linear`, a `Conv2d` without groups, or what
    treats each channel by itself depends on: sums of two layers, softmax, attention, the output.

    Args:
        model: The model, which runs in evaluation mode and without gradients.
        inputs: What it is called with.
    """
    trace = _Trace(model)
    output = run_watched(model, inputs, trace.see)
    for array in _arrays(output):
        trace.lock(array)
    names = {id(module): name for name, module in model.named_modules()}
    return {names[id(c.layer)]: c for c in trace.removable()}


@dataclass(slots=True)
class _Carrier:
    """Where in an array channels are.

    Attributes:
        channels: The channels.
        at: The dimension they are in.
        each: How many numbers in it, one after the other, belong to each channel.
        array: The array, kept alive so that no other has its identity.
    """

    channels: Channels
    at: int
    each: int
    array: Array


class _Trace:
    """Follows channels from op to op."""

    def __init__(self, model: Module) -> None:
        self.found: dict[int, Channels] = {}
        self.carriers: dict[int, _Carrier] = {}
        self.locked: set[int] = set()  # layers whose channels have to stay
        self.runs: Counter[int] = Counter()  # of modules
        self.owners: dict[int, Module] = {}
        shared: set[int] = set()
        for module in model.modules():
            for tensor in (*module.parameters(recurse=False), *_own_buffers(module)):
                key = id(tensor.detach().numpy())
                if key in self.owners:
                    shared.add(id(self.owners[key]))
                    shared.add(id(module))
                self.owners[key] = module
        self.owners = {key: m for key, m in self.owners.items() if id(m) not in shared}

    def see(self, event: OpEvent) -> None:
        """Follow the channels that an op reads to its output, or note that they have to stay."""
        if event.phase == "backward" or event.output is None:
            return
        read = [value for value in event.inputs if id(value) in self.carriers]
        source = self.carriers[id(read[0])] if len(read) == 1 else None
        owner = self._owner(event)
        if not self._goes_on(event, source, owner):
            for value in read:
                self.lock(value)
        if owner is not None:
            self.runs[id(owner)] += 1
            if event.op.name not in ("linear", "conv2d", "batch_norm"):
                self.runs[id(owner)] += 1  # used otherwise than a layer uses its parameters

    def _owner(self, event: OpEvent) -> Module | None:
        """Return the module whose parameters an op reads."""
        owners = (self.owners.get(id(value)) for value in event.inputs)
        return next((owner for owner in owners if owner is not None), None)

    def _goes_on(self, event: OpEvent, source: _Carrier | None, owner: Module | None) -> bool:
        """Follow channels through an op; return whether it is one that can do with fewer."""
        name, output = event.op.name, event.output
        assert output is not None
        if source is not None and name not in _ELEMENTWISE and source.array is not event.inputs[0]:
            return False
        if name in ("linear", "conv2d"):
            if not isinstance(owner, Linear | Conv2d) or not self._has_weight(owner, event):
                return False  # a weight of its own, or one computed from a parameter
            at = 1 if name == "conv2d" else output.ndim - 1
            if isinstance(owner, Conv2d) and owner.groups > 1:
                one_each = owner.weight.shape[:2] == (owner.groups, 1)
                if source is None or source.at != 1 or source.each != 1 or not one_each:
                    return False
                source.channels.followers.append((owner, 1))
                self._carry(source.channels, 1, 1, output)
                return True
            self._carry(self.found.setdefault(id(owner), Channels(owner)), at, 1, output)
            if source is None or source.at != at or (name == "conv2d" and source.each != 1):
                return False
            source.channels.readers.append(Reader(owner, _gram(source)))
            return True
        if source is None:
            return False
        if name == "batch_norm" and isinstance(owner, BatchNorm1d | BatchNorm2d):
            if source.at != 1:
                return False
            source.channels.followers.append((owner, source.each))
            self._carry(source.channels, source.at, source.each, output)
            return True
        place = _place_after(event, source) if owner is None else None
        if place is not None:
            self._carry(source.channels, *place, output)
        return place is not None

    def _has_weight(self, owner: Module, event: OpEvent) -> bool:
        return self.owners.get(id(event.inputs[1])) is owner

    def _carry(self, channels: Channels, at: int, each: int, array: Array) -> None:
        self.carriers[id(array)] = _Carrier(channels, at, each, array)

    def lock(self, array: Array) -> None:
        """Note that the channels in an array have to stay."""
        if id(array) in self.carriers:
            self.locked.add(id(self.carriers[id(array)].channels.layer))

    def removable(self) -> Iterator[Channels]:
        """Go over the channels that can be removed, in the order in which their layers ran."""
        for key, channels in self.found.items():
            once = all(self.runs[id(module)] == 1 for module in channels.modules)
            if channels.readers and once and key not in self.locked:
                yield channels


def _place_after(event: OpEvent, source: _Carrier) -> tuple[int, int] | None:
    """Return the dimension of the channels, and their size, in the output of an op without weights.

    None if the op does more than treat each channel by itself.
    """
    name, params, at, each = event.op.name, event.params, source.at, source.each
    before, output = source.array.shape, event.output
    assert output is not None
    if name in _ELEMENTWISE:
        alone = all(np.ndim(value) == 0 for value in event.inputs if value is not source.array)
        return (at, each) if alone and output.shape == before else None
    if name in _POOLS:
        return (at, each) if at == 1 else None
    if name == "pad":
        return (at, each) if tuple(params["widths"][at]) == (0, 0) else None
    if name == "permute":
        return list(params["dims"]).index(at), each
    if name in ("reshape", "view") and output.shape[:at] == before[:at]:
        if output.shape[at : at + 1] == (before[at],):
            return at, each
        if output.ndim == at + 1:  # what follows the channels is joined to them
            return at, each * int(np.prod(before[at + 1 :], dtype=int))
    if name in _REDUCTIONS:
        dims = params["dim"]
        dims = tuple(range(len(before))) if dims is None else np.atleast_1d(dims).tolist()
        if at not in dims:
            return (at if params["keepdim"] else at - sum(dim < at for dim in dims)), each
    return None


def _gram(source: _Carrier) -> Array:
    """Return the mean products of all pairs of channels: (C, C)."""
    rows = np.moveaxis(source.array, source.at, 0)
    rows = rows.reshape((source.channels.count, -1))  # (C, numbers of each channel)
    rows = rows.astype(np.promote_types(rows.dtype, np.float32), copy=False)
    gram: Array = (rows @ rows.T).astype(np.float64)
    gram /= max(rows.shape[1], 1)
    return gram


def _own_buffers(module: Module) -> list[tt.Tensor]:
    return [buffer for _, buffer in module.named_buffers(recurse=False)]


def _arrays(output: object) -> Iterator[Array]:
    """Go over the arrays in what a model returns."""
    if isinstance(output, tt.Tensor):
        yield output.detach().numpy()
    elif isinstance(output, dict):
        yield from _arrays(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from _arrays(part)

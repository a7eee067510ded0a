"""Which weights of a model are quantized, and the copy of the model in which they will be."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from tt_nn import Module, Parameter

from ._layers import KINDS, Kind
from ._weights import DType, Scheme

M = TypeVar("M", bound=Module)


class Slot(NamedTuple):
    """The place of a weight in a model.

    Attributes:
        path: The dotted name of the layer; empty for the model itself.
        name: The weight's name in the layer.
        weight: The weight.
        kind: How layers of this kind are quantized.
    """

    path: str
    name: str
    weight: Parameter
    kind: Kind

    @property
    def full_name(self) -> str:
        """The weight's name in the model."""
        return f"{self.path}.{self.name}" if self.path else self.name


def scheme_of(
    function: str,
    dtype: DType,
    per_channel: bool,
    symmetric: bool,
    group_size: int,
    activations: bool,
) -> Scheme:
    """Return what the arguments of a function ask for, once they have been checked."""
    if dtype not in ("int8", "int4"):
        raise ValueError(f"{function}: expected dtype 'int8' or 'int4', got {dtype!r}")
    if dtype == "int4" and not per_channel:
        raise ValueError(
            f"{function}: expected per_channel=True with dtype='int4', whose groups each have a "
            "scale; make group_size larger for fewer scales"
        )
    if group_size < 2 or group_size % 2:
        raise ValueError(
            f"{function}: expected an even group_size, two to a byte, got {group_size!r}"
        )
    if activations and dtype != "int8":
        raise ValueError(f"{function}: expected dtype='int8' with activations=True")
    return Scheme(dtype, per_channel, symmetric, group_size)


def find_slots(function: str, model: Module, exclude: Collection[str]) -> list[Slot]:
    """Return where the weights are that can be quantized.

    Args:
        function: The name for errors.
        model: The model.
        exclude: Names of modules that stay as they are, with all below them.

    Raises:
        TypeError: The model is none, or ``exclude`` is a single name.
        ValueError: There is no such weight, or no module of an excluded name; or a weight has NaN
            or infinity in it.
    """
    if not isinstance(model, Module):
        raise TypeError(f"{function}: expected a Module, got {type(model).__name__}")
    if isinstance(exclude, str):
        raise TypeError(f"{function}: expected exclude to be a list of names, got {exclude!r}")
    modules = dict(model.named_modules())
    unknown = [name for name in exclude if name not in modules]
    if unknown:
        raise ValueError(f"{function}: the model has no module {unknown[0]!r} to exclude")
    found, kept = [], set()
    for path, layer in modules.items():
        kind = KINDS.get(type(layer))
        out = any(path == name or path.startswith(f"{name}.") for name in exclude)
        for name, parameter in layer.named_parameters(recurse=False, remove_duplicate=False):
            if kind is not None and name in kind.weights and not out:
                found.append(Slot(path, name, parameter, kind))
            else:
                kept.add(id(parameter))
    # A weight that is shared with what keeps its floats would only become more memory.
    slots = [slot for slot in found if id(slot.weight) not in kept]
    if not slots:
        known = ", ".join(kind.__name__ for kind in KINDS)
        raise ValueError(
            f"{function}: {type(model).__name__} has no weights to quantize; those of {known} "
            "can be, unless they are excluded or quantized already"
        )
    for slot in slots:
        if not np.isfinite(slot.weight._array).all():
            raise ValueError(f"{function}: {slot.full_name!r} has NaN or infinity in it")
    return slots


def copy_but(model: M, slots: Collection[Slot]) -> M:
    """Return a copy of a model that shares the weights of the slots, which will be replaced."""
    memo: dict[int, object] = {id(slot.weight): slot.weight for slot in slots}
    return copy.deepcopy(model, memo)


def layers_of(model: Module, slots: Collection[Slot]) -> Iterator[tuple[Slot, Module]]:
    """Go over the slots and the layers of a copy that they are in."""
    for slot in slots:
        yield slot, model.get_submodule(slot.path)

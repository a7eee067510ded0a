"""Where parameters and their state lie in memory: side by side, so that steps are few and long.

The parameters of a group become views of one flat array, and so does each part of their state.
Small ones that lie next to each other are then updated together, as one: measured 3 to 4 times as
fast for 200 small tensors, and large ones need no more than one note of the change. A parameter
whose memory someone else refers to stays where it is and is updated there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Tensor
from tt_autograd.seam import layout

from ._kernels import CHUNK

Array = NDArray[Any]

_SMALL = 16384  # elements; from here on a kernel's calls cost little beside its work
_PAGE, _LINE = 4096, 64  # bytes: what addresses are told apart by, and a line of the cache


class Slot:
    """One parameter of an optimizer, with its state.

    Attributes:
        param: The parameter.
        label: How errors name it.
        home: The view of the arena that was the parameter's array when it was laid out; None
            if the parameter kept its own.
        order: ``"F"`` if the parameter lies in memory by columns, as the weight of `tt_nn.Linear`
            does, else ``"C"``; in this order it is flat.
        step: How often it was updated.
        state: Its part of each state array, flat.
    """

    __slots__ = ("home", "label", "order", "param", "state", "step")

    def __init__(self, param: Tensor, label: str) -> None:
        self.param = param
        self.label = label
        self.home: Array | None = None
        self.order: Literal["C", "F"] = "F" if param._array.flags.fnc else "C"
        self.step = 0
        self.state: dict[str, Array] = {}

    def gradient(self) -> Array | None:
        """Return the gradient, flat and of the parameter's dtype, or None."""
        grad = self.param.grad
        if grad is None:
            return None
        array, dtype = grad._array, self.param._array.dtype
        return (array if array.dtype == dtype else array.astype(dtype)).ravel(self.order)


@dataclass
class Block:
    """Neighbours that are updated together: several small parameters or a large one.

    Attributes:
        slots: The parameters.
        start: Where they begin in the arena.
        stop: Where they end.
        values: Their part of the arena's values.
        state: Their part of each of its state arrays.
    """

    slots: tuple[Slot, ...]
    start: int
    stop: int
    values: Array = field(init=False)
    state: dict[str, Array] = field(default_factory=dict)


@dataclass(slots=True)
class Piece:
    """One update to make: flat arrays of equal length, and the shape where it is one tensor's.

    Attributes:
        slots: The parameters in it.
        values: Their values.
        gradients: Their gradients, flat, which follow one another.
        state: Their state, by name.
        step: Which update of theirs this is, from 1.
        target: The array to copy the values back to, if they could not be changed in place.
    """

    slots: tuple[Slot, ...]
    values: Array
    gradients: list[Array]
    state: dict[str, Array]
    step: int
    target: Array | None = None

    @property
    def memory(self) -> Array:
        """The memory that the update changes."""
        return self.values if self.target is None else self.target

    def gradient(self) -> Array:
        """Return the gradients in one array."""
        return self.gradients[0] if len(self.gradients) == 1 else np.concatenate(self.gradients)


class Arena:
    """The parameters of one group and dtype, laid out one after another.

    Args:
        slots: The parameters.
        dtype: Their dtype.
        together: Whether small ones may be updated together.
    """

    def __init__(self, slots: Sequence[Slot], dtype: np.dtype[Any], together: bool) -> None:
        self.dtype = dtype
        large: list[Slot] = []
        small: list[Slot] = []
        for slot in slots:
            merge = together and slot.param.numel() <= _SMALL and slot.param.requires_grad
            (small if merge else large).append(slot)
        self.slots = tuple(large + small)
        ends = np.cumsum([0] + [slot.param.numel() for slot in self.slots]).tolist()
        self.size: int = ends[-1]
        self.spans = {id(slot): (ends[i], ends[i + 1]) for i, slot in enumerate(self.slots)}
        self.blocks = [Block((slot,), *self.spans[id(slot)]) for slot in large]
        self.blocks += self._packs(small)
        self.values = _room(self.size, dtype, 1)
        self.place = layout(self.values)
        for block in self.blocks:
            block.values = self.values[block.start : block.stop]
        self.state: dict[str, Array] = {}
        for slot in self.slots:
            self._move_in(slot)
        for name in dict.fromkeys(name for slot in slots for name in slot.state):
            self._add_state(name, 0.0)

    def _packs(self, small: Sequence[Slot]) -> list[Block]:
        packs: list[Block] = []
        for slot in small:
            start, stop = self.spans[id(slot)]
            last = packs[-1] if packs else None
            if last is not None and stop - last.start <= CHUNK:
                packs[-1] = Block((*last.slots, slot), last.start, stop)
            else:
                packs.append(Block((slot,), start, stop))
        return packs

    def _move_in(self, slot: Slot) -> None:
        slot.home = None
        if _is_alone(slot.param):
            start, stop = self.spans[id(slot)]
            home = self.values[start:stop].reshape(slot.param.shape, order=slot.order)
            home[...] = slot.param._array
            slot.param._array = slot.home = home

    def _add_state(self, name: str, fill: float) -> None:
        flat = _room(self.size, self.dtype, 2 + len(self.state))
        if fill:
            flat.fill(fill)
        self.state[name] = flat
        for block in self.blocks:
            block.state[name] = flat[block.start : block.stop]
        for slot in self.slots:
            start, stop = self.spans[id(slot)]
            if name in slot.state:
                flat[start:stop] = slot.state[name]
            slot.state[name] = flat[start:stop]

    def require(self, names: Mapping[str, float]) -> None:
        """Make the state arrays that are not there yet, each with what it starts from."""
        for name, fill in names.items():
            if name not in self.state:
                self._add_state(name, fill)

    def fits(self) -> bool:
        """Return whether every parameter still has the dtype that it had."""
        for slot in self.slots:
            array = slot.param._array
            if array is not slot.home and array.dtype != self.dtype:
                return False
        return True

    def pieces(self, names: Iterable[str]) -> tuple[list[Piece], bool]:
        """Return the updates to make: of all parameters that have a gradient, and no others.

        Returns:
            The updates, and whether they change all of the arena's memory and no other.
        """
        pieces = []
        whole = True
        for block in self.blocks:
            step = block.slots[0].step
            gradients = []
            for slot in block.slots:
                gradient = slot.gradient()
                if gradient is None or slot.param._array is not slot.home or slot.step != step:
                    break
                gradients.append(gradient)
            else:
                state = {name: block.state[name] for name in names}
                pieces.append(Piece(block.slots, block.values, gradients, state, step + 1))
                continue
            ready = [slot for slot in block.slots if slot.param.grad is not None]
            pieces += [_alone(slot, names) for slot in ready]
            at_home = all(slot.param._array is slot.home for slot in ready)
            whole = whole and at_home and len(ready) == len(block.slots)
        return pieces, whole


def _room(size: int, dtype: np.dtype[Any], place: int) -> Array:
    """Return zeros whose address is the ``place``-th fifth of a page, at a line of the cache.

    A kernel walks through several arrays side by side. Where all begin at the same place of a
    page, as NumPy's large arrays do, processors take a load from one for a load of what was just
    stored in another; and an access that crosses a line is two. A step of Adam is a fifth slower.
    """
    memory = np.zeros(size * dtype.itemsize + _PAGE, np.uint8)  # untouched pages cost nothing
    offset = place * (_PAGE // 5 // _LINE * _LINE)
    start = (offset - memory.ctypes.data) % _PAGE
    return memory[start : start + size * dtype.itemsize].view(dtype)


def _alone(slot: Slot, names: Iterable[str]) -> Piece:
    """Return the update of one parameter in the memory that it has now."""
    array, gradient = slot.param._array, slot.gradient()
    assert gradient is not None
    if not array.flags.writeable:
        raise ValueError(f"{slot.label}: its memory is read-only; clone() it into data first")
    target = None
    if array.flags.c_contiguous if slot.order == "C" else array.flags.f_contiguous:
        values = array.reshape(-1, order=slot.order)
    else:
        values, target = array.flatten(slot.order), array
    state = {name: slot.state[name] for name in names}
    return Piece((slot,), values, [gradient], state, slot.step + 1, target)


def arrange(slots: Iterable[Slot], together: bool) -> list[Arena]:
    """Lay parameters out, those of each dtype in an arena; state that they have is kept."""
    by_dtype: dict[np.dtype[Any], list[Slot]] = {}
    for slot in slots:
        by_dtype.setdefault(slot.param.dtype, []).append(slot)
    return [Arena(group, dtype, together) for dtype, group in by_dtype.items()]


def _references(tensor: Tensor) -> int:
    return sys.getrefcount(tensor._array)


_REFERENCES = _references(Tensor._wrap(np.zeros(0)))  # to an array that only its tensor refers to


def _is_alone(param: Tensor) -> bool:
    """Return whether nothing but the tensor itself sees its memory, so that it may move."""
    return (
        _references(param) <= _REFERENCES
        and param._array.base is None
        and param._array.flags.forc
        and param._array.flags.writeable
    )

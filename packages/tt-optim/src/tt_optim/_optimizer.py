"""What all optimizers share: parameter groups, the step, and the state that can be saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar, overload

import numpy as np

import tt_tensor
from tt_autograd import Tensor, enable_grad
from tt_autograd.seam import Layout, changes
from tt_nn.seam import parallel

from ._arena import Arena, Array, Piece, Slot, arrange
from ._backend import Kernel, kernel, of_changed_gradient
from ._checks import has_keys

ParamGroup = dict[str, Any]
Params = Iterable[Tensor | tuple[str, Tensor] | ParamGroup]
StateDict = dict[str, Any]
R = TypeVar("R")

# What a group may hold beside the hyperparameters of its optimizer.
_ALWAYS = ("params", "param_names", "name", "initial_lr")
# Elements of a group, and for each kernel's call, from which on threads share its update: short
# calls get in each other's way, for all of them need the interpreter's lock.
_LARGE, _LONG = 1 << 19, 1 << 17


class Optimizer:
    """The base of all optimizers: changes parameters in place, by their gradients.

    A subclass says what its hyperparameters may be (``check``), what state a parameter has
    (``buffers``) and which numbers its elementwise rule takes (``rule``). At construction
    parameters move into one flat buffer, their values unchanged; see `tt_optim._arena`.

    Args:
        params: Parameters, pairs of names and parameters (``model.named_parameters()``: the
            state then says which is whose), or groups: dictionaries with ``params`` and the
            hyperparameters that differ from the defaults.
        defaults: The hyperparameters of groups that do not give their own.

    Attributes:
        param_groups: The groups, each a dictionary of ``params`` and hyperparameters that can
            be changed between steps.
        defaults: The hyperparameters' defaults.

    Raises:
        TypeError: Something is no parameter, or a hyperparameter is of the wrong type.
        ValueError: There are no parameters, one stands in two places or is the result of an
            op, or a hyperparameter is unknown or out of range.
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[ParamGroup] = []
        self._slots: list[list[Slot]] = []
        self._arenas: list[list[Arena]] = []
        for group in self._as_groups(params):
            self.add_param_group(group)

    # What a subclass fills in

    def check(self, group: ParamGroup) -> None:
        """Refuse hyperparameters that are of the wrong type or out of range."""

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        """Return the names of the state arrays of a parameter, and what they start from."""
        return {}

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        """Return the kernel of `tt_optim._kernels` for a step, and its numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines rule(group, step)")

    def decays_gradient(self, group: ParamGroup) -> bool:
        """Return whether ``weight_decay`` times the parameter is added to the gradient."""
        return bool(group.get("weight_decay", 0.0))

    # Groups

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _as_groups(self, params: Params) -> list[ParamGroup]:
        if isinstance(params, tt_tensor.Tensor | Mapping | str):
            raise TypeError(
                f"{self._name}: expected an iterable of parameters or of groups, got "
                f"{type(params).__name__}; put it in a list"
            )
        listed: list[Any] = list(params)
        if not listed:
            raise ValueError(
                f"{self._name}: expected at least one parameter, got none (a generator such as "
                "model.parameters() can be used only once)"
            )
        if isinstance(listed[0], dict):
            return listed
        return [{"params": listed}]

    def add_param_group(self, param_group: ParamGroup) -> None:
        """Add a group of parameters, with hyperparameters of its own.

        Args:
            param_group: ``params``, and the hyperparameters that differ from the defaults.

        Raises:
            TypeError: As of the optimizer itself.
            ValueError: As of the optimizer itself; nothing has been added then.
        """
        check_group(self._name, param_group)
        group = {**self.defaults, **param_group}
        if unknown := sorted(set(param_group) - set(self.defaults) - set(_ALWAYS)):
            raise ValueError(
                f"{self._name}: unknown hyperparameter {', '.join(map(repr, unknown))}; there "
                f"are: {', '.join(self.defaults)}"
            )
        given = param_group["params"]
        listed = [given] if isinstance(given, tt_tensor.Tensor) else list(given)
        pairs = [entry if isinstance(entry, tuple) else (None, entry) for entry in listed]
        slots = []
        known = {id(slot.param): slot.label for held in self._slots for slot in held}
        for i, (name, param) in enumerate(pairs):
            place = f"parameter {i} of group {len(self.param_groups)}"
            label = f"{self._name}: {place if name is None else f'parameter {name!r}'}"
            if not isinstance(param, Tensor):
                raise TypeError(f"{label}: expected a Tensor, got {type(param).__name__}")
            if not param.is_leaf:
                raise ValueError(
                    f"{label}: it is the result of {param.grad_fn!r}; only leaves are optimized"
                )
            if not param.is_floating_point():
                raise TypeError(f"{label}: expected floating-point values, got {param.dtype.name}")
            if id(param) in known:
                raise ValueError(f"{label}: it is also {known[id(param)].partition(': ')[2]}")
            known[id(param)] = label
            slots.append(Slot(param, label))
        names = [name for name, _ in pairs if name is not None]
        if names and len(names) < len(pairs):
            raise TypeError(f"{self._name}: expected names for all parameters of a group or none")
        group["params"] = [param for _, param in pairs]
        if names:
            group["param_names"] = names
        self.check(group)
        self.param_groups.append(group)
        self._slots.append(slots)
        self._arenas.append(arrange(slots, self._together(group)))

    def _together(self, group: ParamGroup) -> bool:
        return True

    # Steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: Let go of their memory; otherwise fill it with zeros.
        """
        for slots in self._slots:
            for slot in slots:
                grad = slot.param.grad
                if grad is None:
                    continue
                if set_to_none or grad.requires_grad:
                    slot.param.grad = None
                else:
                    grad._array.fill(0)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], R]) -> R: ...
    def step(self, closure: Callable[[], R] | None = None) -> R | None:
        """Update every parameter that has a gradient.

        Args:
            closure: Called first, to compute the gradients; what it returns is returned.

        Raises:
            ValueError: A parameter's memory is read-only, or its shape has changed; nothing
                has been updated then.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        work: list[tuple[ParamGroup, list[Piece]]] = []
        changed: list[tuple[Array, Layout | None]] = []
        for k, group in enumerate(self.param_groups):
            if not all(arena.fits() for arena in self._arenas[k]):
                self._arenas[k] = arrange(self._slots[k], self._together(group))
            names = self.buffers(group)
            for arena in self._arenas[k]:
                arena.require(names)
                pieces, whole = arena.pieces(names)
                work.append((group, pieces))
                if whole:
                    changed.append((arena.values, arena.place))
                else:
                    changed += [(piece.memory, None) for piece in pieces]
        # Noted before it is done: values that a graph has saved are stale from here on.
        for memory, place in changed:
            changes.note(memory, "step", tracked=False, at=place)
        with np.errstate(all="ignore"):  # what overflows shows in the loss
            for group, pieces in work:
                self._update(group, pieces)
                for piece in pieces:
                    if piece.target is not None:
                        (slot,) = piece.slots
                        shape = piece.target.shape
                        piece.target[...] = piece.values.reshape(shape, order=slot.order)
                    for slot in piece.slots:
                        slot.step = piece.step
        return loss

    def _update(self, group: ParamGroup, pieces: Sequence[Piece]) -> None:
        """Run the elementwise rule over pieces; threads share it if that is worth while."""
        decay = group["weight_decay"] if self.decays_gradient(group) else 0.0
        maximize = group.get("maximize", False)
        rules: dict[int, tuple[str, tuple[float, ...]]] = {}
        jobs: list[_Job] = []
        total = 0
        for piece in pieces:
            if piece.step not in rules:
                rules[piece.step] = self.rule(group, piece.step)
            name, numbers = rules[piece.step]
            run = kernel(name, piece.values.dtype)
            if decay or maximize:
                run = of_changed_gradient(run, decay, maximize)
            jobs.append((run, [piece.values, piece.gradient(), *piece.state.values()], numbers))
            total += piece.values.size
        if total < max(_LARGE, _LONG * len(jobs)):
            _run(jobs, 0, total)
        else:
            parallel(partial(_run, jobs), total)

    # State

    @property
    def state(self) -> dict[Tensor, dict[str, Any]]:
        """What the optimizer remembers of each parameter: ``step``, and tensors by name."""
        return {
            slot.param: self._state_of(slot) for slots in self._slots for slot in slots if slot.step
        }

    def _state_of(self, slot: Slot) -> dict[str, Any]:
        state: dict[str, Any] = {"step": slot.step}
        for name, flat in slot.state.items():
            state[name] = Tensor._wrap(flat.reshape(slot.param.shape, order=slot.order))
        return state

    def state_dict(self) -> StateDict:
        """Return the state in plain dictionaries, of torch's form; tensors share memory.

        Returns:
            ``state``: by the parameter's number, ``step`` and tensors by name;
            ``param_groups``: the hyperparameters, and in ``params`` the parameters' numbers.
        """
        numbered = [slot for slots in self._slots for slot in slots]
        number = {id(slot.param): i for i, slot in enumerate(numbered)}
        groups = [
            {**group, "params": [number[id(param)] for param in group["params"]]}
            for group in self.param_groups
        ]
        state = {i: self._state_of(slot) for i, slot in enumerate(numbered) if slot.step}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned, all of it or nothing.

        Args:
            state_dict: The state of an optimizer of the same class for parameters of the same
                shapes (and names, where both have them) in the same groups.

        Raises:
            ValueError: It does not fit; the message lists everything that does not.
        """
        problems, groups, states = self._compare(state_dict)
        if problems:
            listed = "".join(f"\n  {problem}" for problem in problems)
            raise ValueError(f"{self._name}.load_state_dict: the state does not fit:{listed}")
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update(saved)
        i = 0
        for group, slots, arenas in zip(self.param_groups, self._slots, self._arenas, strict=True):
            for arena in arenas:
                arena.require(self.buffers(group))
            for slot in slots:
                held = states.get(i, {"step": 0})
                slot.step = held["step"]
                for name, flat in slot.state.items():
                    flat[...] = held[name].reshape(-1, order=slot.order) if name in held else 0
                i += 1

    def _compare(
        self, given: Mapping[str, Any]
    ) -> tuple[list[str], list[ParamGroup], dict[int, dict[str, Any]]]:
        """Return what of a state does not fit, its hyperparameters, and its arrays by number."""
        if not has_keys(given, ("state", "param_groups")):
            return ["expected a dict of 'state' and 'param_groups'"], [], {}
        saved_groups, saved_states = given["param_groups"], given["state"]
        if not isinstance(saved_groups, list) or not isinstance(saved_states, Mapping):
            return ["expected 'param_groups' to be a list and 'state' a dict"], [], {}
        if len(saved_groups) != len(self.param_groups):
            counts = f"{len(self.param_groups)} groups, the state {len(saved_groups)}"
            return [f"the optimizer has {counts}"], [], {}
        problems: list[str] = []
        groups: list[ParamGroup] = []
        states: dict[int, dict[str, Any]] = {}
        first = 0
        for k, (own, saved) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            slots = self._slots[k]
            numbers = list(range(first, first + len(slots)))
            first += len(slots)
            if not isinstance(saved, Mapping):
                problems.append(f"group {k}: expected a dict, got {type(saved).__name__}")
                continue
            if saved.get("params") != numbers:
                problems.append(
                    f"group {k}: expected parameters {numbers}, got {saved.get('params')!r}"
                )
                continue
            group = self._compare_group(k, own, saved, problems)
            if group is None:
                continue
            groups.append(group)
            names = self.buffers({**own, **group})
            for number, slot in zip(numbers, slots, strict=True):
                if number in saved_states:
                    states[number] = _compare_state(slot, names, saved_states[number], problems)
        if not problems and (extra := sorted(map(str, set(saved_states) - set(range(first))))):
            problems.append(f"state of parameters that there are not: {', '.join(extra)}")
        return problems, groups, states

    def _compare_group(
        self, k: int, own: ParamGroup, saved: Mapping[str, Any], problems: list[str]
    ) -> ParamGroup | None:
        before = len(problems)
        expected = set(self.defaults)
        if missing := sorted(expected - saved.keys()):
            problems.append(f"group {k}: missing {', '.join(missing)}")
        if unexpected := sorted(map(str, saved.keys() - expected - set(_ALWAYS) - own.keys())):
            problems.append(f"group {k}: unexpected {', '.join(unexpected)}")
        names, saved_names = own.get("param_names"), saved.get("param_names")
        if names is not None and saved_names is not None and names != saved_names:
            problems.append(f"group {k}: expected parameters named {names}, got {saved_names!r}")
        if len(problems) > before:
            return None
        group = {
            name: tuple(value) if isinstance(own.get(name), tuple) and isinstance(value, list)
            else value
            for name, value in saved.items() if name not in ("params", "param_names")
        }  # fmt: skip
        try:
            self.check({**own, **group})
        except (TypeError, ValueError) as error:
            problems.append(f"group {k}: {error}")
            return None
        return group


_Job = tuple[Kernel, list[Array], tuple[float, ...]]  # what to run, its arrays and its numbers


def _run(jobs: Sequence[_Job], start: int, stop: int) -> None:
    """Do what there is to do from one element to another, counted over the jobs' arrays."""
    for run, arrays, numbers in jobs:
        size = arrays[0].size
        if start <= 0 and size <= stop:
            run(arrays, numbers)
        elif start < size and 0 < stop:
            run([array[max(start, 0) : stop] for array in arrays], numbers)
        start -= size
        stop -= size


def check_group(owner: str, group: object) -> None:
    """Refuse what is no group of parameters.

    Raises:
        TypeError: It is no dictionary, or has no ``params``.
    """
    if not isinstance(group, dict) or "params" not in group:
        raise TypeError(f"{owner}: expected a group to be a dict that has 'params'")


def _compare_state(
    slot: Slot, names: Mapping[str, float], saved: Any, problems: list[str]
) -> dict[str, Any]:
    """Return a parameter's saved state as arrays; what does not fit goes to ``problems``."""
    label = slot.label.partition(": ")[2]
    if not isinstance(saved, Mapping):
        problems.append(f"{label}: expected a dict, got {type(saved).__name__}")
        return {}
    expected = {"step", *names}
    if missing := sorted(expected - saved.keys()):
        problems.append(f"{label}: missing {', '.join(missing)}")
    if unexpected := sorted(map(str, saved.keys() - expected - slot.state.keys())):
        problems.append(f"{label}: unexpected {', '.join(unexpected)}")
    step = saved.get("step", 0)
    if not isinstance(step, int) or step < 0:
        problems.append(f"{label}: step: expected an int of at least 0, got {step!r}")
    found: dict[str, Any] = {"step": step}
    for name in saved.keys() & (names.keys() | slot.state.keys()):
        value = saved[name]
        array = np.asarray(value._array if isinstance(value, tt_tensor.Tensor) else value)
        wanted = slot.param
        if array.shape != wanted.shape or array.dtype != wanted.dtype:
            problems.append(
                f"{label}: {name}: expected {wanted.dtype.name} of shape {wanted.shape}, "
                f"got {array.dtype.name} of shape {array.shape}"
            )
        found[name] = array
    return found

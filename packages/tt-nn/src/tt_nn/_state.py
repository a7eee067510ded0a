"""Copying a state dict into a module: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Tensor, no_grad


class IncompatibleKeys(NamedTuple):
    """The names in which a state dict and a module differ.

    Attributes:
        missing_keys: What the module has and the state dict has not.
        unexpected_keys: What the state dict has and the module has not.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def load_state(
    name: str, targets: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool
) -> IncompatibleKeys:
    """Copy ``state`` into ``targets``, after everything that could fail has been checked.

    Raises:
        ValueError: Names or shapes do not fit.
        TypeError: ``state`` is no mapping, a value is no tensor, or a dtype does not fit.
    """
    if not isinstance(state, Mapping):
        raise TypeError(
            f"load_state_dict: expected a mapping of names to tensors, got {type(state).__name__}"
        )
    missing = [key for key in targets if key not in state]
    unexpected = [key for key in state if key not in targets]
    values: dict[str, NDArray[Any]] = {}
    not_tensors, dtypes, shapes, frozen = [], [], [], []
    for key, target in targets.items():
        if key not in state:
            continue
        value = _as_array(state[key])
        if isinstance(value, str):
            not_tensors.append(f"{key!r} is a {value}")
        elif value.shape != target.shape:
            shapes.append(f"{key!r} is {target.shape} in the model, {value.shape} in the state")
        elif not _fits(value, target.dtype):
            dtypes.append(
                f"{key!r} is {target.dtype.name} in the model, {value.dtype.name} in the state"
            )
        elif not target._array.flags.writeable:
            frozen.append(repr(key))
        else:
            # A copy: the state may be made of the very memory that is about to be written.
            values[key] = value.astype(target.dtype)
    lists = {
        "missing": list(map(repr, missing)) if strict else [],
        "unexpected": list(map(repr, unexpected)) if strict else [],
        "shapes differ": shapes,
        "no tensors": not_tensors,
        "dtypes that cannot be held": dtypes,
        "read-only in the model": frozen,
    }
    problems = [f"\n  {what}: {', '.join(which)}" for what, which in lists.items() if which]
    if problems:
        kind = TypeError if (not_tensors or dtypes) else ValueError
        raise kind(f"load_state_dict: the state does not fit {name}:{''.join(problems)}")
    with no_grad():
        for key, value in values.items():
            targets[key].copy_(value)
    return IncompatibleKeys(missing, unexpected)


def _fits(value: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype can hold values: floats as well as it may, integers exactly."""
    if not np.can_cast(value.dtype, dtype, "same_kind"):
        return False
    return dtype.kind == "f" or bool((value.astype(dtype) == value).all())


def _as_array(value: object) -> NDArray[Any] | str:
    """Return the array of a tensor, ours or any that NumPy can read; else what it is instead."""
    if isinstance(value, tt_tensor.Tensor):
        return value._array
    kind = type(value).__name__
    if not hasattr(value, "__array__"):
        return kind
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        return f"{kind}: {error}"
    return array if array.dtype.kind in "biuf" else f"{kind} of {array.dtype.name}"

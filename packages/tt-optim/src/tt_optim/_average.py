"""A running average of a model's parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tt_autograd import Tensor
from tt_autograd.seam import changes
from tt_nn import Module

from ._checks import check_flags, check_number, has_keys
from ._optimizer import StateDict


class ExponentialMovingAverage:
    r"""Keeps a running average of parameters, which often does better than the last ones.

    .. math:: \bar\theta_t = d\, \bar\theta_{t-1} + (1 - d)\, \theta_t

    With ``warm_up`` the decay begins low, :math:`\min(d, (1 + t) / (10 + t))`, so that the
    average soon forgets where training began.

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992).

    Args:
        parameters: A model, whose floating-point buffers are averaged too, or parameters.
        decay: The decay, d.
        warm_up: Whether it begins low.

    Raises:
        TypeError: ``decay`` is no number, or something is no tensor.
        ValueError: ``decay`` is not from 0 to 1, or there is nothing to average.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.zeros(1, requires_grad=True)
        >>> average = ExponentialMovingAverage([x], decay=0.5)
        >>> x.data = tt.ones(1)
        >>> average.update()
        >>> with average.applied():
        ...     print(x.detach())
        tensor([0.5000])
        >>> x.detach()
        tensor([1.])
    """

    def __init__(
        self,
        parameters: Module | Iterable[Tensor],
        decay: float = 0.999,
        warm_up: bool = False,
    ) -> None:
        check_number("ExponentialMovingAverage", "decay", decay, below=float(np.nextafter(1, 2)))
        check_flags("ExponentialMovingAverage", {"warm_up": warm_up}, "warm_up")
        listed: list[Any]
        if isinstance(parameters, Module):
            listed = [*parameters.parameters(), *parameters.buffers()]
            listed = [tensor for tensor in listed if tensor.is_floating_point()]
        else:
            listed = list(parameters)
        if not listed:
            raise ValueError("ExponentialMovingAverage: expected at least one parameter, got none")
        for tensor in listed:
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"ExponentialMovingAverage: expected tensors, got {type(tensor).__name__}"
                )
        self.decay, self.warm_up = decay, warm_up
        self.num_updates = 0
        self._tensors: list[Tensor] = listed
        self._averages: list[NDArray[Any]] = [tensor._array.copy() for tensor in listed]

    def update(self) -> None:
        """Take the present parameters into the average; call it after every optimizer step."""
        self.num_updates += 1
        decay = self.decay
        if self.warm_up:
            decay = min(decay, (1 + self.num_updates) / (10 + self.num_updates))
        for average, tensor in zip(self._averages, self._tensors, strict=True):
            difference = tensor._array - average
            difference *= 1.0 - decay
            average += difference

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averages inside a ``with`` block, to evaluate or save it."""
        kept = [tensor._array.copy() for tensor in self._tensors]
        self.copy_to()
        try:
            yield
        finally:
            _write(self._tensors, kept)

    def copy_to(self) -> None:
        """Give the model the averages for good."""
        _write(self._tensors, self._averages)

    def state_dict(self) -> StateDict:
        """Return the averages and their number of updates; tensors share memory."""
        return {
            "num_updates": self.num_updates,
            "averages": [Tensor._wrap(average) for average in self._averages],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` returned, all of it or nothing.

        Raises:
            ValueError: It does not fit; the message lists everything that does not.
        """
        name = "ExponentialMovingAverage.load_state_dict"
        if not has_keys(state_dict, ("num_updates", "averages")):
            raise ValueError(f"{name}: expected a dict of num_updates and averages")
        count, averages = state_dict["num_updates"], state_dict["averages"]
        problems = []
        if not isinstance(count, int) or count < 0:
            problems.append(f"num_updates: expected an int of at least 0, got {count!r}")
        if not isinstance(averages, list) or len(averages) != len(self._averages):
            problems.append(f"averages: expected a list of {len(self._averages)}")
            averages = []
        arrays = [np.asarray(getattr(value, "_array", value)) for value in averages]
        for i, (own, given) in enumerate(zip(self._averages, arrays, strict=False)):
            if (own.shape, own.dtype) != (given.shape, given.dtype):
                problems.append(
                    f"averages[{i}]: expected {own.dtype.name} of shape {own.shape}, "
                    f"got {given.dtype.name} of shape {given.shape}"
                )
        if problems:
            raise ValueError(f"{name}: " + "".join(f"\n  {problem}" for problem in problems))
        self.num_updates = count
        for own, given in zip(self._averages, arrays, strict=True):
            own[...] = given


def _write(tensors: list[Tensor], values: list[NDArray[Any]]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        changes.note(tensor._array, "copy", tracked=False)
        tensor._array[...] = value

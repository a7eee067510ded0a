"""Where training is, in its data and in its random numbers, and how it goes on from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol, TypeVar, runtime_checkable

from tt_tensor import Generator, default_generator

from ._checkpoint import State

T = TypeVar("T")


@runtime_checkable
class Resumable(Protocol):
    """What has a position that can be saved, such as a loader in the middle of an epoch.

    The state of a loader between two batches makes the next ``iter(loader)`` go on with the
    batches that were not given out yet; its state after the last batch makes it begin a new
    epoch. The state is made of plain dictionaries, lists, strings, numbers, None and arrays.
    """

    def state_dict(self) -> Any:
        """Return the position."""

    def load_state_dict(self, state_dict: Any, /) -> Any:
        """Go on from a position."""


def position_of(loader: object) -> Any:
    """Return the position of a loader; None if it has none that can be saved."""
    return loader.state_dict() if isinstance(loader, Resumable) else None


def rest_of_epoch(
    loader: Iterable[T], position: Any, used: int, generators: Mapping[str, Generator]
) -> Iterator[T]:
    """Return the batches of an epoch that are still to come.

    Args:
        loader: Gives the batches.
        position: Where it is, if it has yet to be told.
        used: How many batches have been used, which a loader that has no position gives again.
        generators: Beside the default one, what the loader draws from while it does.

    Raises:
        ValueError: There is a position, and the loader cannot take it.
    """
    if position is not None:
        if not isinstance(loader, Resumable):
            raise ValueError(
                "fit: this epoch was begun with a loader that has a position; go on with that"
            )
        loader.load_state_dict(position)
    if isinstance(loader, Resumable) or not used:
        return iter(loader)
    states = generator_states(generators)
    batches = iter(loader)
    for _ in islice(batches, used):
        pass  # used before the run was stopped
    set_generators(generators, states)
    return batches


def generator_states(generators: Mapping[str, Generator]) -> State:
    """Return the states of the default generator, named ``""``, and of others."""
    states = {"": default_generator().get_state()}
    return {**states, **{name: generator.get_state() for name, generator in generators.items()}}


def set_generators(generators: Mapping[str, Generator], states: State) -> None:
    """Set the default generator and others to states of theirs."""
    default_generator().set_state(states[""])
    for name, generator in generators.items():
        generator.set_state(states[name])

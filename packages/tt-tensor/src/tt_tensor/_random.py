"""Random numbers from seedable generators."""

from __future__ import annotations

import operator
from contextvars import ContextVar
from typing import Any

import numpy as np

State = dict[str, Any]


class Generator:
    """A source of random numbers with a seed and a state that can be saved.

    Args:
        seed: Non-negative; the same seed gives the same numbers. None asks the system.

    Raises:
        TypeError: The seed is not an integer.
        ValueError: The seed is negative.

    Example:
        >>> import tt_tensor as tt
        >>> first = tt.rand(2, generator=tt.Generator(0))
        >>> bool((tt.rand(2, generator=tt.Generator(0)) == first).all())
        True
    """

    __slots__ = ("numpy",)

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None and not hasattr(seed, "__index__"):
            raise TypeError(f"Generator: expected an int as the seed, got {type(seed).__name__}")
        if seed is not None and operator.index(seed) < 0:
            raise ValueError(f"Generator: expected a seed of at least 0, got {seed}")
        self.numpy = np.random.Generator(np.random.PCG64(seed))

    def manual_seed(self, seed: int) -> Generator:
        """Start again from ``seed``.

        Returns:
            The generator itself.
        """
        self.numpy.bit_generator.state = Generator(seed).numpy.bit_generator.state
        return self

    def get_state(self) -> State:
        """Return the state as plain numbers and strings, which JSON can hold."""
        return dict(self.numpy.bit_generator.state)

    def set_state(self, state: State) -> None:
        """Go on from a state that `get_state` returned.

        Raises:
            ValueError: It is no such state.
        """
        try:
            # A state that is refused halfway must do no harm.
            np.random.PCG64(0).state = state  # type: ignore[assignment]  # refused if it is none
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"set_state: expected what get_state of a PCG64 generator returned: {error!r}"
            ) from None
        self.numpy.bit_generator.state = state

    def __repr__(self) -> str:
        return "Generator(PCG64)"


# Each thread has its own default generator, so that none disturbs another's numbers.
_default: ContextVar[Generator | None] = ContextVar("generator", default=None)


def default_generator() -> Generator:
    """Return the generator that is used where none is given; each thread has its own.

    It starts from a seed of the system's until `manual_seed` gives one.

    Example:
        >>> import tt_tensor as tt
        >>> tt.default_generator()
        Generator(PCG64)
    """
    generator = _default.get()
    if generator is None:
        generator = Generator()
        _default.set(generator)
    return generator


def manual_seed(seed: int) -> Generator:
    """Seed the default generator of this thread.

    Returns:
        That generator.

    Example:
        >>> import tt_tensor as tt
        >>> _ = tt.manual_seed(0)
        >>> first = tt.rand(2)
        >>> _ = tt.manual_seed(0)
        >>> bool((tt.rand(2) == first).all())
        True
    """
    return default_generator().manual_seed(seed)


def numpy_generator(generator: Generator | None) -> np.random.Generator:
    """Return the NumPy generator behind ``generator`` or behind the default one."""
    return (generator or default_generator()).numpy

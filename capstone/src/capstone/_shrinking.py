"""Making a model small, and what that costs of what it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tt_nn as nn
from tt_profile import model_bytes
from tt_profile.quantization import quantize

from ._digits import Images
from ._training import accuracy

# Add yours: pruning and some epochs more, low-rank factors, a student of this teacher.
WAYS: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "int8 weights": lambda model: quantize(model, "int8"),
    "int4 weights": lambda model: quantize(model, "int4"),
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A model made small in some way.

    Attributes:
        way: The way; ``"as trained"`` for the model itself.
        model: The model.
        accuracy: On the images that it was chosen by.
        memory_bytes: Memory of all arrays that it holds.
    """

    way: str
    model: nn.Module
    accuracy: float
    memory_bytes: int


def shrink(
    model: nn.Module,
    validation: Images,
    ways: Mapping[str, Callable[[nn.Module], nn.Module]] = WAYS,
    *,
    most_lost: float = 0.01,
) -> tuple[Attempt, list[Attempt]]:
    """Make a model small in several ways, and choose the smallest that is still good enough.

    Args:
        model: The model; it stays as it is.
        validation: What the attempts are judged by: never what the result will be judged by.
        ways: What to try: each returns a smaller copy of the model.
        most_lost: How much accuracy the chosen one may have lost, at most.

    Returns:
        The attempt that needs least memory of those that have not lost more, and all of them. The
        first one is the model as it was trained, so that there is always one to choose.

    Example:
        >>> from capstone import make_model, read_digits
        >>> best, attempts = shrink(make_model("mlp", 0), read_digits().validation, most_lost=1.0)
        >>> [attempt.way for attempt in attempts], best.way
        (['as trained', 'int8 weights', 'int4 weights'], 'int4 weights')
    """
    made = {"as trained": model, **{way: change(model) for way, change in ways.items()}}
    attempts = [
        Attempt(way, each, accuracy(each, validation), model_bytes(each))
        for way, each in made.items()
    ]
    enough = attempts[0].accuracy - most_lost
    good = [attempt for attempt in attempts if attempt.accuracy >= enough]
    return min(good, key=lambda attempt: attempt.memory_bytes), attempts

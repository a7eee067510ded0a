"""The sample calls of the table of ops, each as a function of its floating-point arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from op_samples import Array, Sample
from op_table import CASES, OpCase, convert


@dataclass(frozen=True)
class OpCall:
    """One sample call of a case.

    Attributes:
        case: The case.
        number: Which of its samples.
        sample: The arguments.
    """

    case: OpCase
    number: int
    sample: Sample

    def __str__(self) -> str:
        return f"{self.case.name}-{self.number}"

    @property
    def variables(self) -> list[Array]:
        """The floating-point arrays among the arguments, in order."""
        found: list[Array] = []
        convert(self.sample[0], found.append)
        return [array for array in found if array.dtype.kind == "f"]

    def arguments(self, values: Iterable[Any], constant: Callable[[Array], Any]) -> Sample:
        """Return the arguments with ``values`` in the place of the variables."""
        rest = iter(values)
        args, kwargs = self.sample
        return convert(args, lambda a: next(rest) if a.dtype.kind == "f" else constant(a)), kwargs

    def run(
        self,
        values: Iterable[Any],
        constant: Callable[[Array], Any],
        function: Callable[..., Any] | None = None,
    ) -> tuple[Any, ...]:
        """Return the results as a tuple, of the case's function or of another like it."""
        args, kwargs = self.arguments(values, constant)
        out = (function or self.case.function)(*args, **kwargs)
        return tuple(out) if isinstance(out, tuple | list) else (out,)


def calls_of(cases: Sequence[OpCase] = CASES) -> list[OpCall]:
    """Return every sample call of some cases, drawn from the same seed each time."""
    return [
        OpCall(case, number, sample)
        for case in cases
        for number, sample in enumerate(case.samples(np.random.default_rng(0)))
    ]


DIFFERENTIABLE = [call for call in calls_of() if call.case.differentiable and call.variables]

"""The table that `Module.summary` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import tt_tensor
from tt_autograd import no_grad

if TYPE_CHECKING:
    from ._module import Module


class Row(NamedTuple):
    """What a summary says of one module.

    Attributes:
        name: Its dotted name in the model; empty for the model itself.
        kind: Its class.
        output_shape: The shape of its output when it was last called; None if it was not, or
            gave something else than a tensor.
        parameters: How many numbers it learns, its submodules' and those named in a row above
            left out.
        extra: What its `Module.extra_repr` says of it.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    parameters: int
    extra: str


class Summary:
    """A table of a model's modules, printed as text or, in a notebook, as HTML.

    Attributes:
        rows: One `Row` for each module.
    """

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @property
    def parameters(self) -> int:
        """How many numbers the whole model learns."""
        return sum(row.parameters for row in self.rows)

    def _cells(self) -> list[tuple[str, str, str, str]]:
        table = [("layer", "kind", "output", "parameters")]
        for name, kind, shape, parameters, _ in self.rows:
            table.append((name, kind, "" if shape is None else str(shape), f"{parameters:,}"))
        return [*table, ("total", "", "", f"{self.parameters:,}")]

    def __repr__(self) -> str:
        table = self._cells()
        a, b, c, d = (max(map(len, column)) for column in zip(*table, strict=True))
        return "\n".join(f"{w:{a}}  {x:{b}}  {y:{c}}  {z:>{d}}" for w, x, y, z in table)

    def _repr_html_(self) -> str:
        from ._html import html_of_rows  # only notebooks ask for it

        return html_of_rows(self.rows, self.parameters)


def summarise(model: Module, inputs: tuple[object, ...]) -> Summary:
    """Run the model once on ``inputs``, if there are any, and note what each module puts out.

    The modules' modes are put back as they were.
    """
    named = list(model.named_modules())
    shapes: dict[int, tuple[int, ...] | None] = {}

    def note(module: Module, args: tuple[Any, ...], output: object) -> None:
        shapes[id(module)] = output.shape if isinstance(output, tt_tensor.Tensor) else None

    if inputs:
        modes = [module.training for _, module in named]
        handles = [module.register_forward_hook(note) for _, module in named]
        try:
            with no_grad():
                model.eval()(*inputs)
        finally:
            for handle in handles:
                handle.remove()
            for (_, module), mode in zip(named, modes, strict=True):
                module.training = mode
    seen: set[int] = set()
    rows = []
    for name, module in named:
        own = {id(p): p.numel() for p in module.parameters(recurse=False) if id(p) not in seen}
        seen |= own.keys()
        kind, shape = type(module).__name__, shapes.get(id(module))
        rows.append(Row(name, kind, shape, sum(own.values()), module.extra_repr()))
    return Summary(rows)

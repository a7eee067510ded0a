"""The systems section: what the model costs, and how that grows. Every figure is measured here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from tt_nn import Module
from tt_profile import (
    LayerProfile,
    Scaling,
    count_flops,
    count_parameters,
    peak_memory,
    profile_layers,
    scaling,
)

from ._format import format_bytes, format_seconds
from ._report import Cell, Note, Picture, Table, make_table
from .pictures import draw_picture

Call = Callable[[], object]
Growth = tuple[Callable[[int], Call], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Systems:
    """What the systems section measured.

    Attributes:
        parameters: Parameters of the model.
        flops_forward: FLOPs of one forward pass.
        peak_memory_bytes: Peak memory of one training step.
        layers: The forward pass, layer by layer.
        growth: For each size that was varied, how time and memory of a step grow with it.
    """

    parameters: int
    flops_forward: int
    peak_memory_bytes: int
    layers: list[LayerProfile]
    growth: dict[str, Scaling]

    @property
    def rows(self) -> list[dict[str, Cell]]:
        """The growth as the rows of `report.json`."""
        return [
            {
                "axis": axis,
                "size": row.size,
                "seconds": row.seconds,
                "peak_memory_bytes": row.peak_memory_bytes,
            }
            for axis, grown in self.growth.items()
            for row in grown.rows
        ]


def measure(
    model: Module,
    inputs: tuple[object, ...],
    step: Call,
    growth: Mapping[str, Growth],
    repeats: int,
) -> Systems:
    """Measure a model: see `Lab.systems`."""
    return Systems(
        parameters=count_parameters(model),
        flops_forward=count_flops(model, *inputs).total,
        peak_memory_bytes=peak_memory(step),
        layers=profile_layers(model, *inputs, repeats=repeats),
        growth={axis: scaling(make, sizes) for axis, (make, sizes) in growth.items()},
    )


def describe(systems: Systems) -> list[Table | Note]:
    """Say in tables and notes what was measured."""
    seconds = sum(layer.seconds for layer in systems.layers)
    blocks: list[Table | Note] = [
        make_table(
            "The model",
            ("What", "Measured"),
            (
                ("Parameters", systems.parameters),
                ("FLOPs of a forward pass", systems.flops_forward),
                ("Time of a forward pass", format_seconds(seconds)),
                ("Peak memory of a training step", format_bytes(systems.peak_memory_bytes)),
            ),
        ),
        make_table(
            "A forward pass, layer by layer",
            ("Layer", "Output", "Parameters", "FLOPs", "Time", "Share"),
            [
                (
                    f"{layer.name} {layer.kind}" if layer.name else f"{layer.kind} itself",
                    " x ".join(map(str, layer.output_shape)),
                    layer.parameters,
                    layer.flops,
                    format_seconds(layer.seconds),
                    f"{layer.seconds / seconds:.0%}",
                )
                for layer in systems.layers
            ],
        ),
    ]
    for axis, grown in systems.growth.items():
        blocks += [
            make_table(
                f"A training step as the {axis} grows",
                (axis.capitalize(), "Time", "Peak memory"),
                [
                    (row.size, format_seconds(row.seconds), format_bytes(row.peak_memory_bytes))
                    for row in grown.rows
                ],
            ),
            Note(
                f"Fitted over these sizes, time grows as the {axis} to the power "
                f"{grown.time_exponent:.2f}, memory to the power {grown.memory_exponent:.2f}. "
                "A power of 1 is linear; below 1, a cost that does not depend on the size "
                "still has a share."
            ),
        ]
    return blocks


def picture(systems: Systems) -> Picture:
    """Draw time and memory of a step against size."""
    sizes = " and ".join(systems.growth)
    return draw_picture(
        "scaling",
        partial(_draw_growth, systems.growth),
        alt=f"Two plots on logarithmic axes: time and peak memory of a training step rise with the "
        f"{sizes}.",
        caption="How time and memory of a training step grow. Both axes are logarithmic, so a "
        "power law is a straight line and its slope is the power.",
        size=(5.6, 3.0),
    )


def _draw_growth(growth: Mapping[str, Scaling], figure: Figure) -> None:
    panels: tuple[tuple[str, str, Callable[[float], str]], ...] = (
        ("Time of a step", "seconds", format_seconds),
        ("Peak memory", "peak_memory_bytes", format_bytes),
    )
    for axes, (title, attribute, unit) in zip(figure.subplots(1, 2), panels, strict=True):
        for index, (axis, grown) in enumerate(growth.items()):
            sizes = [row.size for row in grown.rows]
            values = [getattr(row, attribute) for row in grown.rows]
            axes.plot(sizes, values, "o-", color=f"C{index}", label=axis, markersize=5)
        axes.set(xscale="log", yscale="log", title=title, xlabel="size")
        axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
        axes.yaxis.set_major_formatter(lambda value, _, unit=unit: unit(value))
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 50 * low else (1,)))
        axes.minorticks_off()
    handles = figure.axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper left", ncols=len(growth))

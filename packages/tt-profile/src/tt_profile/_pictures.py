"""Pictures of profiles, drawn with matplotlib where it is installed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._format import format_bytes, format_count, format_rate, format_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ._profile import LayerCost, Profile
    from ._roofline import Point, Roofline

_Unit = Callable[[float], str]

_COLOURS = {"forward": "#2f6fde", "backward": "#e0701a"}
_MOST_LAYERS = 16  # that bars are drawn of
_MOST_NAMES = 6  # that stand beside points
_CLOSE = 0.25  # decades
_STYLE: Mapping[str, object] = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e6e9ef",
    "legend.frameon": False,
}


def save_layers(profile: Profile, path: str | os.PathLike[str]) -> None:
    """Draw what each layer takes; see `Profile.save_picture`."""
    costly = sorted(profile.layers, key=lambda layer: -layer.total.seconds)[:_MOST_LAYERS]
    chosen = {layer.name for layer in costly}
    rows = [layer for layer in profile.layers if layer.name in chosen]
    with _figure(path, (10, 1.2 + 0.34 * len(rows))) as figure:
        panels: tuple[tuple[str, Callable[[LayerCost], tuple[float, float]], _Unit], ...] = (
            ("Time", lambda of: (of.forward.seconds, of.backward.seconds), format_seconds),
            ("FLOPs", lambda of: (of.forward.flops, of.backward.flops), format_count),
            ("Kept for backward", lambda of: (of.activation_bytes, 0), format_bytes),
        )
        every = figure.subplots(1, len(panels), sharey=True)
        for axes, (title, values, unit) in zip(every, panels, strict=True):
            _draw_bars(axes, [values(layer) for layer in rows], unit)
            axes.set_title(title)
        every[0].set_yticks(range(len(rows)), [_name(layer) for layer in rows])
        every[0].invert_yaxis()
        handles, names = every[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=2)
        if len(rows) < len(profile.layers):
            figure.suptitle(
                f"The {len(rows)} of {len(profile.layers)} layers that take longest",
                x=0.01, ha="left", fontsize=10,
            )  # fmt: skip


def _name(layer: LayerCost) -> str:
    """Return a layer's name; one that is a number says little without the class."""
    return layer.name if "." in layer.name else f"{layer.name} {layer.kind}".strip()


def _draw_bars(axes: Axes, values: list[tuple[float, float]], unit: _Unit) -> None:
    """Draw for each layer a bar of two parts, forward and backward."""
    from matplotlib.ticker import MaxNLocator

    places = range(len(values))
    first, second = ([value[i] for value in values] for i in (0, 1))
    axes.barh(places, first, color=_COLOURS["forward"], label="forward")
    if any(second):
        axes.barh(places, second, left=first, color=_COLOURS["backward"], label="backward")
    axes.xaxis.set_major_formatter(lambda value, _: unit(value))
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0)


def save_roofline(roofline: Roofline, path: str | os.PathLike[str]) -> None:
    """Draw the roof and the layers below it; see `Roofline.save_picture`."""
    machine, points = roofline.machine, roofline.points
    with _figure(path, (8, 5)) as figure:
        from matplotlib.collections import PathCollection

        axes = figure.subplots()
        intensities = [machine.ridge, *(point.cost.intensity for point in points)]
        low, high = min(intensities) / 3, max(intensities) * 3
        ridge = machine.ridge
        axes.plot(
            [low, ridge, high], [machine.attainable(x) for x in (low, ridge, high)],
            color="#1b2230", linewidth=2,
        )  # fmt: skip
        whole = sum(point.cost.seconds for point in points)
        for direction in ("forward", "backward"):
            chosen = [point for point in points if point.direction == direction]
            axes.scatter(
                [point.cost.intensity for point in chosen],
                [point.cost.flops_per_second for point in chosen],
                s=[20 + 600 * point.cost.seconds / whole for point in chosen],
                color=_COLOURS[direction], alpha=0.65, linewidths=0, label=direction,
            )  # fmt: skip
        for point in _apart(points):
            inner = point.cost.intensity < math.sqrt(low * high)
            axes.annotate(
                point.name or point.label,
                (point.cost.intensity, point.cost.flops_per_second),
                xytext=(10 if inner else -10, -3), textcoords="offset points",
                ha="left" if inner else "right", fontsize=8,
            )  # fmt: skip
        axes.set(
            xscale="log", yscale="log", xlabel="FLOPs for each byte moved", ylabel="FLOPs a second",
            title=f"Peak {format_rate(machine.peak_flops, 'FLOP')}, "
            f"bandwidth {format_rate(machine.bandwidth, 'B')}",
        )  # fmt: skip
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_major_formatter(lambda value, _: format_count(value))
        axes.minorticks_off()
        legend = axes.legend(loc="upper left", title="area: time")
        for handle in legend.legend_handles:
            if isinstance(handle, PathCollection):
                handle.set_sizes([50])


def _apart(points: Sequence[Point]) -> list[Point]:
    """Return the points that take longest, of those that lie together only one."""
    chosen: list[Point] = []
    for point in sorted(points, key=lambda point: -point.cost.seconds):
        distances = (
            math.log10(point.cost.intensity / other.cost.intensity) ** 2
            + math.log10(point.cost.flops_per_second / other.cost.flops_per_second) ** 2
            for other in chosen
        )
        if len(chosen) < _MOST_NAMES and min(distances, default=math.inf) > _CLOSE**2:
            chosen.append(point)
    return chosen


@contextmanager
def _figure(path: str | os.PathLike[str], size: tuple[float, float]) -> Iterator[Figure]:
    """Give an empty figure, and write it to a file once it is drawn."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'pictures need matplotlib: pip install "tt-profile[plot]"', name="matplotlib"
        ) from None
    with style.context(dict(_STYLE)):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.savefig(path, dpi=150)

"""One look for all pictures, on light and on dark pages.

A picture is drawn by a function of a `Figure`, called once for each theme. It draws with
matplotlib's own defaults and the colours ``C0`` to ``C4``; the theme says what those are.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ._report import Picture

Draw = Callable[[Figure], None]
RGB = tuple[float, float, float]
Curve = Sequence[tuple[float, float]]  # points


def _theme(paper: str, ink: str, muted: str, grid: str, *cycle: str) -> dict[str, object]:
    return {
        "figure.facecolor": paper,
        "savefig.facecolor": paper,
        "axes.facecolor": paper,
        "axes.edgecolor": muted,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "text.color": ink,
        "xtick.color": muted,
        "ytick.color": muted,
        "grid.color": grid,
        "lines.color": ink,
        "patch.edgecolor": paper,
        "legend.labelcolor": ink,
        "axes.prop_cycle": f"cycler(color={list(cycle)})",
    }


SHAPE: dict[str, object] = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.2,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 11,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}

# Five colours that people with any of the common colour vision deficiencies tell apart.
LIGHT = SHAPE | _theme(
    *("#ffffff", "#1b2230", "#667085", "#e6e9ef"),
    *("#2f6fde", "#e0701a", "#12927f", "#b4419a", "#7a869a"),
)
DARK = SHAPE | _theme(
    *("#151922", "#e8ebf1", "#98a2b3", "#2a303c"),
    *("#79a8ff", "#ffa65a", "#45cdb8", "#e88fd3", "#98a2b3"),
)


def draw_picture(
    name: str, draw: Draw, *, alt: str, caption: str, size: tuple[float, float]
) -> Picture:
    """Draw a picture for light and for dark pages.

    Args:
        name: Its file name without the ending: lower-case letters, digits and underscores.
        draw: Draws on an empty figure. Called twice, it must do the same each time.
        alt: What the picture shows, for who cannot see it.
        caption: What it means.
        size: Width and height in inches, at 200 dots each.

    Raises:
        ValueError: If the name is not of that form, or the alternative text is empty.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"picture: the name must be lower-case letters, digits, _; got {name!r}")
    if not alt.strip():
        raise ValueError(f"picture {name!r}: say in alt what it shows, for who cannot see it")
    light, dark = (_render(draw, theme, size) for theme in (LIGHT, DARK))
    return Picture(name, alt, caption, light, dark)


def _render(draw: Draw, theme: Mapping[str, object], size: tuple[float, float]) -> bytes:
    with style.context(dict(theme)):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def class_colours(strength: float = 0.45) -> LinearSegmentedColormap:
    """A colour map from one class (``C1``) over the page's colour to the other (``C0``).

    Called inside a drawing function, it follows the theme: 0 is tinted like ``C1``, 1 like ``C0``,
    and one half is the page.

    Args:
        strength: How far from the page's colour it goes, from 0 to 1.
    """
    page = to_rgb(mpl.rcParams["axes.facecolor"])
    ends = [to_rgb("C1"), page, to_rgb("C0")]
    return LinearSegmentedColormap.from_list("classes", [_mix(page, end, strength) for end in ends])


def tint(colour: str, strength: float = 1.0) -> LinearSegmentedColormap:
    """A colour map from the page's colour to another, or part of the way.

    Called inside a drawing function, it follows the theme.

    Args:
        colour: A colour as matplotlib knows it, such as ``"C1"``.
        strength: How far it goes, from 0 to 1.
    """
    page, end = to_rgb(mpl.rcParams["axes.facecolor"]), to_rgb(colour)
    return LinearSegmentedColormap.from_list("tint", [page, _mix(page, end, strength)])


def _mix(page: RGB, colour: RGB, share: float) -> RGB:
    red, green, blue = ((1 - share) * p + share * c for p, c in zip(page, colour, strict=True))
    return red, green, blue


def draw_curves(
    figure: Figure,
    panels: Mapping[str, Mapping[str, Curve]],
    xlabel: str,
    levels: Mapping[str, float] | None = None,
) -> None:
    """Draw curves that fall towards 0, such as losses, in panels side by side.

    Args:
        figure: An empty figure.
        panels: For each panel's title, its curves by name. A name keeps its colour.
        xlabel: What x is.
        levels: Values to compare with by name, lines across every panel.
    """
    names = dict.fromkeys(name for curves in panels.values() for name in curves)
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, curves) in zip(every, panels.items(), strict=True):
        for name, curve in curves.items():
            axes.plot(*zip(*curve, strict=True), color=colours[name], label=name)
        for name, level in (levels or {}).items():
            axes.axhline(level, color="C4", linewidth=1.4, linestyle=(0, (5, 3)))
            axes.annotate(
                name,
                xy=(1, level),
                xycoords=axes.get_yaxis_transform(),  # x as a share of the panel, y as a value
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                color=mpl.rcParams["xtick.color"],
                fontsize=10,
            )
        axes.set(title=title, xlabel=xlabel, ylim=(0, None))
        axes.legend(loc="best")


def draw_confusion(figure: Figure, counts: NDArray[np.integer[Any]], names: Sequence[str]) -> None:
    """Draw a confusion matrix, its mistakes the stronger the more there are.

    Args:
        figure: An empty figure.
        counts: How often what a row names was taken for what a column names.
        names: The classes.
    """
    axes = figure.subplots()
    right = np.eye(len(names), dtype=bool)
    mistakes = np.where(right, 0, counts)
    grid: dict[str, Any] = {"edgecolors": mpl.rcParams["grid.color"], "linewidth": 0.8}
    axes.pcolormesh(mistakes, cmap=tint("C1", 0.75), vmin=0, vmax=max(1, mistakes.max()), **grid)
    axes.pcolormesh(np.ma.masked_array(right, ~right), cmap=tint("C0", 0.2), vmin=0, vmax=1, **grid)
    for row, column in np.argwhere(counts):
        text = f"{counts[row, column]:,}"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)
    places = np.arange(len(names)) + 0.5
    slanted: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(places, names, **slanted if max(map(len, names)) > 2 else {})
    axes.set_yticks(places, names)
    axes.set(xlabel="taken for", ylabel="what it is", aspect="equal")
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def draw_images(
    figure: Figure,
    images: Sequence[NDArray[np.floating[Any]]] | NDArray[np.floating[Any]],
    titles: Sequence[str] = (),
    *,
    columns: int = 6,
    signed: bool = False,
) -> None:
    """Draw images in rows: in colour; or in grey, ink on the page; or signed, ``C1`` to ``C0``.

    Args:
        figure: An empty figure.
        images: The images: in grey, (H, W), each scaled by itself, or in colour, (H, W, 3), with
            red, green and blue from 0 to 1.
        titles: A line or two above each; none if empty.
        columns: How many stand in a row.
        signed: Whether they are weights, which have a sign: ``C1`` below 0 and ``C0`` above.
    """
    axes = figure.subplots()
    axes.set_axis_off()
    cell, line = 1.15, 0.62 if titles else 0.15  # one image is 1 wide and 1 high
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        left, top = cell * column, (1 + line) * row
        low, high = image.min(), image.max()
        if signed:
            high = np.abs(image).max()
            low = -high
        axes.imshow(
            image,
            cmap=class_colours(0.9) if signed else tint(mpl.rcParams["text.color"]),
            vmin=low,
            vmax=high if high > low else low + 1,
            extent=(left, left + 1, top + 1, top),
            interpolation="nearest",
        )
        axes.add_patch(Rectangle((left, top), 1, 1, fill=False, ec=mpl.rcParams["grid.color"]))
        if titles:
            axes.text(left + 0.5, top - 0.06, titles[number], ha="center", va="bottom", fontsize=9)
    rows = -(-len(images) // columns)
    axes.set(xlim=(-0.05, cell * columns - 0.1), ylim=((1 + line) * rows - line + 0.05, 0.1 - line))


def draw_attention(
    figure: Figure, maps: NDArray[np.floating[Any]], labels: Sequence[str], columns: int = 2
) -> None:
    """Draw how much each position takes of which, head by head.

    Args:
        figure: An empty figure.
        maps: The weights of each head, (heads, positions, positions), a row for the one that looks.
        labels: What stands at each position: a character, or a short text.
        columns: How many maps stand in a row.
    """
    every = figure.subplots(-(-len(maps) // columns), columns, squeeze=False).ravel()
    places = range(len(labels))
    wide = max(map(len, labels)) > 1
    for number, axes in enumerate(every):
        if number >= len(maps):
            axes.set_axis_off()
            continue
        # Weights spread over many positions are small: a root keeps them visible.
        axes.imshow(np.sqrt(maps[number]), cmap=tint("C0"), vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks(places, labels, fontsize=7.5, rotation=90 if wide else 0)
        axes.set_yticks(places, labels, fontsize=7.5)
        axes.tick_params(pad=2, colors=mpl.rcParams["text.color"])
        axes.set_title(f"head {number + 1}", pad=5)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)

"""One look for all pictures, on light and on dark pages.

A picture is drawn by a function of a `Figure`, called once for each theme. It draws with
matplotlib's own defaults and the colours ``C0`` to ``C4``; the theme says what those are.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping

import matplotlib as mpl
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from ._report import Picture

Draw = Callable[[Figure], None]


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


def class_colours() -> LinearSegmentedColormap:
    """A colour map from one class (``C1``) over the page's colour to the other (``C0``).

    Called inside a drawing function, it follows the theme: 0 is tinted like ``C1``, 1 like ``C0``,
    and one half is the page.
    """
    page = to_rgb(mpl.rcParams["axes.facecolor"])
    ends = [to_rgb("C1"), page, to_rgb("C0")]
    tints = [tuple(0.55 * p + 0.45 * c for p, c in zip(page, end, strict=True)) for end in ends]
    return LinearSegmentedColormap.from_list("classes", tints)

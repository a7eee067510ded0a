"""The pictures that milestones share: what is drawn, and that it follows the theme."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tt_tito.pictures import (
    DARK,
    LIGHT,
    Curve,
    Draw,
    class_colours,
    draw_attention,
    draw_confusion,
    draw_curves,
    draw_images,
    draw_picture,
    tint,
)

COUNTS = np.array([[1200, 3, 0], [0, 9, 1], [2, 0, 7]])
IMAGES = np.random.default_rng(0).normal(size=(5, 4, 4))
CURVES: dict[str, dict[str, Curve]] = {
    "Loss": {"one": [(0.0, 2.0), (1.0, 1.0)]},
    "Error": {"two": [(0.0, 9.0)], "one": [(0.0, 8.0)]},
}


@pytest.fixture
def figure() -> Figure:
    """An empty figure that can be drawn."""
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@pytest.mark.parametrize(
    "draw",
    [
        lambda figure: draw_curves(figure, CURVES, "epoch"),
        lambda figure: draw_curves(figure, CURVES, "epoch", {"chance": 4.0}),
        lambda figure: draw_attention(figure, np.tri(3)[None], "abc"),
        lambda figure: draw_attention(figure, np.stack([np.tri(2)] * 3), ["to", "be"]),
        lambda figure: draw_confusion(figure, COUNTS, ["aeroplane", "cat", "dog"]),
        lambda figure: draw_confusion(figure, np.diag([3, 4]), "01"),
        lambda figure: draw_images(figure, IMAGES, ["title"] * 5, columns=3),
        lambda figure: draw_images(figure, IMAGES, signed=True),
        lambda figure: draw_images(figure, [np.full((2, 2, 3), 0.5), *IMAGES]),
        lambda figure: draw_images(figure, np.zeros((1, 2, 2))),
        lambda figure: draw_images(figure, np.zeros((1, 2, 2)), signed=True),
    ],
    ids=[
        "curves",
        "levels",
        "one head",
        "three heads",
        "confusion",
        "no mistake",
        "titles",
        "signed",
        "colour",
        "blank",
        "no weights",
    ],
)
def test_it_draws_on_light_and_on_dark_pages(draw: Draw) -> None:
    picture = draw_picture("name", draw, alt="A picture.", caption="", size=(3, 3))
    assert picture.light.startswith(b"\x89PNG")
    assert picture.dark.startswith(b"\x89PNG")
    assert picture.light != picture.dark


def test_curves_keep_their_colour_across_panels(figure: Figure) -> None:
    draw_curves(figure, CURVES, "epoch")
    left, right = figure.axes
    colours = [[line.get_color() for line in axes.get_lines()] for axes in (left, right)]
    assert colours == [["C0"], ["C1", "C0"]]
    assert left.get_lines()[0].get_xydata() == pytest.approx(np.array([(0, 2), (1, 1)]))
    assert [axes.get_title(loc="left") or axes.get_title() for axes in (left, right)] == [
        "Loss",
        "Error",
    ]


def test_levels_are_named_lines_across_every_panel(figure: Figure) -> None:
    draw_curves(figure, CURVES, "epoch", {"chance": 4.0, "best": 0.5})
    for axes, curves in zip(figure.axes, CURVES.values(), strict=True):
        levels = axes.get_lines()[len(curves) :]
        assert [np.asarray(line.get_ydata()).tolist() for line in levels] == [
            [4.0, 4.0],
            [0.5, 0.5],
        ]
        assert [text.get_text() for text in axes.texts] == ["chance", "best"]


def test_attention_has_a_map_for_each_head_with_the_text_on_both_axes(figure: Figure) -> None:
    maps = np.stack([np.tri(3), np.eye(3), np.tri(3).T])
    draw_attention(figure, maps, "to!", columns=2)
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 3
    for axes, weights in zip(shown, maps, strict=True):
        (image,) = axes.get_images()
        assert np.asarray(image.get_array()) == pytest.approx(np.sqrt(weights))
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            assert [label.get_text() for label in labels] == ["t", "o", "!"]


def test_confusion_says_every_count_but_zero_where_it_belongs(figure: Figure) -> None:
    draw_confusion(figure, COUNTS, ["a", "b", "c"])
    (axes,) = figure.axes
    shown = {text.get_position(): text.get_text() for text in axes.texts}
    assert shown == {  # column and row, from the upper left
        (0.5, 0.5): "1,200",
        (1.5, 0.5): "3",
        (1.5, 1.5): "9",
        (2.5, 1.5): "1",
        (0.5, 2.5): "2",
        (2.5, 2.5): "7",
    }
    assert axes.yaxis_inverted()


def test_images_stand_in_rows_with_their_titles(figure: Figure) -> None:
    draw_images(figure, IMAGES, list("abcde"), columns=2)
    (axes,) = figure.axes
    places = [tuple(image.get_extent()) for image in axes.get_images()]
    assert len({left for left, *_ in places}) == 2
    assert len({top for *_, top in places}) == 3
    assert [text.get_text() for text in axes.texts] == list("abcde")
    for image, expected in zip(axes.get_images(), IMAGES, strict=True):
        assert np.asarray(image.get_array()) == pytest.approx(expected)


def test_an_image_in_colour_is_shown_as_it_is(figure: Figure) -> None:
    colours = np.linspace(0.25, 0.75, 12).reshape(2, 2, 3)
    draw_images(figure, [colours, IMAGES[0]])
    shown, _ = figure.axes[0].get_images()
    assert np.asarray(shown.get_array()) == pytest.approx(colours)


def test_a_weight_of_zero_has_the_colour_of_the_page(figure: Figure) -> None:
    draw_images(figure, IMAGES, signed=True)
    for image, weights in zip(figure.axes[0].get_images(), IMAGES, strict=True):
        most = np.abs(weights).max()
        assert image.get_clim() == pytest.approx((-most, most))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_colour_maps_follow_the_theme(theme: dict[str, object]) -> None:
    with style.context(dict(theme)):
        page = mpl.colors.to_rgb(mpl.rcParams["axes.facecolor"])
        assert tint("C1")(0.0)[:3] == pytest.approx(page)
        assert tint("C1")(1.0)[:3] == pytest.approx(mpl.colors.to_rgb("C1"))
        assert tint("C1", 0.0)(1.0)[:3] == pytest.approx(page)
        assert class_colours(1.0)(1.0)[:3] == pytest.approx(mpl.colors.to_rgb("C0"))
        assert class_colours(1.0)(0.0)[:3] == pytest.approx(mpl.colors.to_rgb("C1"))
        assert class_colours()(0.5)[:3] == pytest.approx(page, abs=0.01)

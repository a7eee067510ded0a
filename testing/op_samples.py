"""Sample arguments for the table of ops: every awkward shape, layout and argument, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rng = np.random.Generator
Draw = Callable[[Rng, tuple[int, ...]], Array]
Sample = tuple[tuple[Any, ...], dict[str, Any]]
Samples = Callable[[Rng], list[Sample]]


def call(*args: Any, **kwargs: Any) -> Sample:
    """Return the arguments of one call; arrays stand for tensors."""
    return args, kwargs


# How values are drawn: float64, and away from where a function has a kink or a pole.


def real(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.standard_normal(shape))


def positive(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.uniform(0.3, 3.0, shape))


def nonzero(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.uniform(0.3, 3.0, shape) * rng.choice([-1.0, 1.0], shape))


def fraction(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Numbers that keep 0.1 away from whole and half ones."""
    tenths = rng.integers(-3, 3, shape) + rng.choice([0.0, 0.5], shape)
    return np.asarray(tenths + rng.uniform(0.1, 0.4, shape))


def distinct(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Numbers of which no two are closer than 0.1."""
    size = int(np.prod(shape))
    return np.asarray((rng.permutation(size) - size / 2 + 0.3) * 0.37).reshape(shape)


def spread(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Numbers on both sides of where formulas for small and large arguments meet."""
    return np.asarray(rng.uniform(-7.0, 7.0, shape))


def odd(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.choice([0.0, 1.5, np.nan, np.inf, -np.inf], shape))


def truth(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.random(shape) < 0.5)


def whole(rng: Rng, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.integers(-9, 10, shape))


# Which calls are made of them.


def unary(draw: Draw) -> Samples:
    """One argument: 0-d, a vector, a matrix, a transposed and a strided view, nothing at all."""

    def samples(rng: Rng) -> list[Sample]:
        strided = draw(rng, (6, 3))[::-2, 1:]
        return [
            *[call(draw(rng, shape)) for shape in [(), (4,), (2, 3), (2, 1, 3), (0,), (2, 0)]],
            call(draw(rng, (3, 2)).T),
            call(strided),
        ]

    return samples


SHAPES_THAT_BROADCAST: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (2, 3)),
    ((2, 1), (1, 3)),
    ((2, 1, 3), (4, 1)),
    ((), (2, 2)),
    ((2, 2), ()),
    ((1,), (0,)),
]


def binary(draw: Draw, other: Draw | None = None, scalar: float | int = 2.5) -> Samples:
    """Two arguments: broadcasting both ways, a Python number on either side, views."""
    second = other or draw

    def samples(rng: Rng) -> list[Sample]:
        pairs = [(draw(rng, a), second(rng, b)) for a, b in SHAPES_THAT_BROADCAST]
        return [
            *[call(a, b) for a, b in pairs],
            call(draw(rng, (2, 3)), scalar),
            call(scalar, second(rng, (2, 3))),
            call(draw(rng, (3, 2)).T, second(rng, (4, 3))[::2]),
        ]

    return samples


def apart(rng: Rng) -> list[Sample]:
    """Two arguments that are nowhere closer than 0.1."""
    made = []
    for a, b in SHAPES_THAT_BROADCAST:
        first, second = int(np.prod(a)), int(np.prod(b))
        values = distinct(rng, (first + second,))
        made.append(call(values[:first].reshape(a), values[first:].reshape(b)))
    return [*made, call(distinct(rng, (2, 3)), 0.05), call(0.05, distinct(rng, (3, 2)).T)]


def reduced(draw: Draw, least: int = 0, **more: Any) -> Samples:
    """A reduction over all, one or several dimensions, negative ones, keeping them or not.

    Args:
        draw: How values are drawn.
        least: How many elements each result must be made of.
        **more: Keyword arguments of every call.
    """
    ways: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((4,), {}),
        ((2, 3), {}),
        ((2, 3), {"dim": 0}),
        ((2, 3), {"dim": -1, "keepdim": True}),
        ((2, 3, 4), {"dim": (0, 2)}),
        ((2, 3, 4), {"dim": (-1, 0), "keepdim": True}),
        ((2, 3, 4), {"dim": [1]}),
        ((2, 3), {"keepdim": True}),
        ((2, 0, 3), {"dim": 0}),
    ]
    if least < 2:
        ways += [((), {}), ((1,), {"dim": 0})]
    if least < 1:
        ways += [((0,), {}), ((2, 0), {"dim": 1})]

    def samples(rng: Rng) -> list[Sample]:
        made = [call(draw(rng, shape), **kwargs, **more) for shape, kwargs in ways]
        return [*made, call(draw(rng, (4, 3)).T, dim=1, **more)]

    return samples


def along(draw: Draw) -> Samples:
    """An op along one dimension: each of them, a long one, a view, 0-d."""
    shapes = [(), (4,), (2, 3), (2, 3), (2, 3, 4), (2, 40), (2, 0)]
    dims = [0, 0, 0, -1, 1, 1, 1]

    def samples(rng: Rng) -> list[Sample]:
        made = [call(draw(rng, n), dim=dim) for n, dim in zip(shapes, dims, strict=True)]
        return [*made, call(draw(rng, (4, 3)).T, dim=-1)]

    return samples


def with_kwargs(draw: Draw, **kwargs: Any) -> Samples:
    """One argument, and the same keyword arguments beside it each time."""
    return lambda rng: [call(*args, **kwargs) for args, _ in unary(draw)(rng)]


def shaped(draw: Draw, *rows: tuple[Any, ...]) -> Samples:
    """One argument of the shape that comes first in each row, then the row's other arguments."""

    def samples(rng: Rng) -> list[Sample]:
        made = [call(draw(rng, shape), *rest) for shape, *rest in rows]
        shape, *rest = next(row for row in rows if len(row[0]) > 1)
        view = draw(rng, shape[::-1]).T
        return [*made, call(view, *rest)]

    return samples


def products(*shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> Samples:
    """Two arguments of given shapes, and once as views."""

    def samples(rng: Rng) -> list[Sample]:
        made = [call(real(rng, a), real(rng, b)) for a, b in shapes]
        a, b = shapes[0]
        return [*made, call(real(rng, a[::-1]).T, real(rng, (*b, 2))[..., 0])]

    return samples


def indexed(*rows: tuple[tuple[int, ...], Any]) -> Samples:
    """A tensor of the given shape and an index into it."""
    return lambda rng: [call(real(rng, shape), index) for shape, index in rows]


# Indices that only NumPy takes, or takes in another way than PyTorch.
NUMPY_INDICES: Sequence[tuple[tuple[int, ...], Any]] = (
    ((4,), slice(None, None, -2)),
    ((2, 3, 4), (1, None, np.array([2, 2, 0]))),
)
# Basic, boolean and advanced indexing, with repeated places.
INDICES: Sequence[tuple[tuple[int, ...], Any]] = (
    ((), ()),
    ((), None),
    ((4,), 2),
    ((4,), -1),
    ((3, 4), (slice(1, None), 0)),
    ((3, 4), (..., None, slice(2))),
    ((2, 3, 4), (0, ..., -1)),
    ((3, 4), slice(0, 0)),
    ((4,), np.array([0, 2, 2, -1])),
    ((4, 3), np.array([[0, 1], [1, 1]])),
    ((4, 3), [3, 0, 3]),
    ((3, 4), (slice(None), np.array([1, 1, 3]))),
    ((3, 4), (np.array([0, 2, 0]), np.array([1, 1, 1]))),
    ((3, 4), (np.array([[0], [2]]), np.array([1, 1, 3]))),
    ((2, 3, 4), (np.array([0, 0]), slice(None), np.array([3, 3]))),
    ((2, 3, 4), (..., np.array([1, 1]))),
    ((2, 3), np.array([[True, False, True], [False, False, True]])),
    ((2, 3), (slice(None), np.array([True, False, True]))),
    ((3, 2), np.array([False, False, False])),
    ((3, 2), (np.array([True, False, True]), np.array([0, 0]))),
    ((4,), np.array([], dtype=np.int64)),
    ((3, 4), np.array(1)),
    ((3,), True),
    ((2, 3), (False, 1)),
)


# Calls of single ops.


def powers(rng: Rng) -> list[Sample]:
    return [
        *binary(positive, real)(rng),
        *[call(nonzero(rng, (2, 3)), n) for n in (2, 3, 4, -1, 0, 1.0)],
        *[call(positive(rng, (3,)), n) for n in (0.5, -0.5, 2.7, np.array(1.5))],
    ]


def remainders(rng: Rng) -> list[Sample]:
    """Dividends that keep away from the multiples of their divisors."""
    divisors = [rng.choice([-2.0, 2.0, 3.0], shape) for shape in [(), (3,), (2, 3), (2, 1)]]
    made = [call(_between(rng, (2, 3), d), d) for d in divisors]
    return [*made, call(fraction(rng, (3, 2)).T, 0.5), call(7.3, np.array([2.0, -3.0]))]


def _between(rng: Rng, shape: tuple[int, ...], divisor: Array) -> Array:
    return np.asarray((rng.integers(-3, 3, shape) + rng.uniform(0.2, 0.8, shape)) * divisor)


def limits(rng: Rng) -> list[Sample]:
    values = fraction(rng, (2, 3))
    return [
        call(values, -1.0, 1.0),
        call(values, 0),
        call(values, None, 0.5),
        call(values.T, -1.0, None),
        call(np.array(0.3), 0.0, 1.0),
        call(np.zeros((0, 2)), 0.0, 1.0),
    ]


def casts(rng: Rng) -> list[Sample]:
    return [call(real(rng, shape), np.dtype(np.float32)) for shape in [(), (3,), (2, 0), (2, 3)]]


def rounded(rng: Rng) -> list[Sample]:
    more = [call(fraction(rng, (2, 3)), decimals=n) for n in (1, 2, -1)]
    return [*unary(fraction)(rng), call(np.array([0.5, 1.5, 2.5, -0.5])), *more]


def chosen(rng: Rng) -> list[Sample]:
    return [
        call(truth(rng, (2, 3)), real(rng, (2, 3)), real(rng, (2, 3))),
        call(truth(rng, (3,)), real(rng, (2, 1)), real(rng, ())),
        call(truth(rng, (2, 1)), real(rng, (3,)), 0.5),
        call(truth(rng, ()), 0.5, real(rng, (2, 3)).T),
        call(truth(rng, (0,)), real(rng, (1,)), 0.0),
    ]


def slopes(rng: Rng) -> list[Sample]:
    more = [call(nonzero(rng, (2, 3)), slope) for slope in (0.1, -0.5, 2.0, 0.0)]
    return [*unary(nonzero)(rng), *more]


def picked(rng: Rng) -> list[Sample]:
    """One dimension at most, and equal values, of which the first counts."""
    return [
        call(distinct(rng, (2, 3))),
        call(distinct(rng, (2, 3)), 0),
        call(distinct(rng, (2, 3)), dim=-1, keepdim=True),
        call(np.array(1.0)),
        call(np.array(1.0), 0),
        call(np.array([1.0, 3.0, 3.0, 1.0]), 0),
        call(np.zeros((0, 3)), 1),
        call(distinct(rng, (3, 2)).T, 1),
    ]


def views(rng: Rng) -> list[Sample]:
    return [
        call(real(rng, (6,)), (2, 3)),
        call(real(rng, (2, 3)), (-1,)),
        call(real(rng, ()), (1, 1)),
        call(real(rng, (4, 3))[::2], (2, 1, 3)),
        call(real(rng, (0, 3)), (3, 0)),
    ]


def joined(*shapes: list[tuple[int, ...]], **kwargs: Any) -> Samples:
    """Lists of tensors of given shapes, the last of each list a view."""

    def samples(rng: Rng) -> list[Sample]:
        return [
            call([*[real(rng, n) for n in row[:-1]], real(rng, row[-1][::-1]).T], **kwargs)
            for row in shapes
        ]

    return samples


def written(rng: Rng) -> list[Sample]:
    once = [row for row in (*INDICES, *NUMPY_INDICES) if not _repeats(*row)]
    rows = [(real(rng, shape), index) for shape, index in once]
    return [
        *[call(x, real(rng, x[index].shape), index) for x, index in rows],
        *[call(x, 0.5, index) for x, index in rows],
        call(real(rng, (2, 3)), real(rng, (1,)), slice(None)),
        call(real(rng, (2, 3)), np.array(2.0), ...),
    ]


def _repeats(shape: tuple[int, ...], index: Any) -> bool:
    places = np.arange(int(np.prod(shape))).reshape(shape)[index]
    return bool(np.unique(places).size < places.size)


def unindexed(rng: Rng) -> list[Sample]:
    rows = [
        (np.zeros(shape)[index].shape, index, shape) for shape, index in (*INDICES, *NUMPY_INDICES)
    ]
    return [call(real(rng, own), index, shape) for own, index, shape in rows]


def gathered(rng: Rng) -> list[Sample]:
    return [
        call(real(rng, (4,)), 0, np.array([3, 0, 0, 1])),
        call(real(rng, (3, 4)), 0, rng.integers(0, 3, (2, 4))),
        call(real(rng, (3, 4)), -1, rng.integers(0, 4, (2, 7))),
        call(real(rng, (2, 3, 2)), 1, rng.integers(0, 3, (2, 2, 1))),
        call(real(rng, (4, 3)).T, 1, rng.integers(0, 4, (3, 2))),
        call(real(rng, ()), 0, np.array(0)),
        call(real(rng, (2, 3)), 1, np.zeros((2, 0), int)),
    ]


def scattered(rng: Rng) -> list[Sample]:
    return [call(*args, real(rng, args[-1].shape)) for args, _ in gathered(rng)]


def taken(rng: Rng) -> list[Sample]:
    return [
        call(real(rng, (2, 3)), np.array([0, 5, 5, -1])),
        call(real(rng, (3, 2)).T, np.array([[0, 1], [1, 4]])),
        call(real(rng, ()), np.array(0)),
        call(real(rng, (2, 3)), np.array([], dtype=np.int64)),
        call(real(rng, (4, 3)), np.array([[0, 1], [1, 3]]), dim=0),
        call(real(rng, (2, 4)), np.array([3, 3]), dim=-1),
    ]


def selected(rng: Rng) -> list[Sample]:
    return [
        call(real(rng, (4, 3)), 0, np.array([0, 3, 3])),
        call(real(rng, (2, 3, 4)), -2, np.array([2, 0])),
        call(real(rng, (2, 3)).T, 1, np.array([1])),
        call(real(rng, (2, 3)), 0, np.array([], dtype=np.int64)),
    ]


def matrices(rng: Rng) -> list[Sample]:
    shapes = [(3, 3), (2, 4), (2, 3, 3), (0, 2)]
    more = [call(real(rng, (4, 3)).T, k) for k in (-1, 1, 7)]
    return [*[call(real(rng, shape)) for shape in shapes], *more]


def sorted_ways(rng: Rng) -> list[Sample]:
    return [
        call(distinct(rng, (5,))),
        call(distinct(rng, (2, 3)), 0),
        call(distinct(rng, (2, 3, 2)), dim=1, descending=True),
        call(distinct(rng, (4, 3)).T, -1, True),
        call(distinct(rng, ())),
        call(np.zeros((2, 0))),
    ]


def sorted_with_equals(rng: Rng) -> list[Sample]:
    """Equal elements keep their order where that is asked for."""
    equals = [np.array([2.0, 1.0, 2.0, 1.0]), rng.integers(0, 3, 40) * 1.0]
    ways = [{"stable": True}, {"stable": True, "descending": True}]
    return [*sorted_ways(rng), *[call(x, **way) for x in equals for way in ways]]


def topped(rng: Rng) -> list[Sample]:
    return [
        call(distinct(rng, (5,)), 2),
        call(distinct(rng, (5,)), 5),
        call(distinct(rng, (5,)), 0),
        call(distinct(rng, (4, 3)), 2, 0),
        call(distinct(rng, (2, 40)), 3, dim=-1, largest=False),
        call(distinct(rng, (4, 30)).T, 1, 0),
    ]


def classes(rng: Rng) -> list[Sample]:
    return [
        call(rng.integers(0, 4, (5,))),
        call(rng.integers(0, 4, (2, 3)), 6),
        call(np.array(2)),
        call(np.zeros((0,), int), 3),
    ]


def equations(rng: Rng) -> list[Sample]:
    """Products, letters summed alone, ellipses, implicit outputs, sizes of 1 that stretch."""
    rows: list[tuple[str, list[tuple[int, ...]]]] = [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("i,i", [(3,), (3,)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij,k->i", [(2, 3), (4,)]),
        ("bij,bjk->bik", [(2, 2, 3), (2, 3, 4)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 2), (2, 2, 4, 2)]),
        ("...ij,...jk->...ik", [(2, 2, 3), (3, 4)]),
        ("...i->...", [(2, 3)]),
        ("i...,i...->...", [(3, 2), (3, 1)]),
        ("...,...->...", [(2, 3), ()]),
        ("ij,jk,kl->il", [(2, 3), (3, 2), (2, 4)]),
        ("ij,ij->ij", [(2, 3), (1, 3)]),
        (",i->i", [(), (3,)]),
        ("ij,jk->ik", [(0, 3), (3, 2)]),
    ]
    made = [call(equation, *[real(rng, n) for n in shapes]) for equation, shapes in rows]
    return [*made, call("ij,jk->ik", real(rng, (3, 2)).T, real(rng, (6, 2))[::2])]


def diagonals(rng: Rng) -> list[Sample]:
    """Letters that one operand repeats."""
    return [
        call("ii->i", real(rng, (3, 3))),
        call("ii", real(rng, (3, 3))),
        call("iij->j", real(rng, (2, 2, 3))),
        call("ii,ij->j", real(rng, (2, 2)), real(rng, (2, 3))),
        call("...ii->...i", real(rng, (2, 3, 3))),
    ]

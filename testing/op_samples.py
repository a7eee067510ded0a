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
Call = Callable[..., Sample]


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


def each_way(draw: Draw, *rows: tuple[tuple[int, ...], dict[str, Any]]) -> Samples:
    """One argument of each shape, with the keyword arguments beside it."""

    def samples(rng: Rng) -> list[Sample]:
        return [call(draw(rng, shape), **kwargs) for shape, kwargs in rows]

    return samples


def reduced(draw: Draw, **more: Any) -> Samples:
    """A reduction over all, one or several dimensions, negative ones, keeping them or not."""
    ways: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((), {}),
        ((4,), {}),
        ((2, 3), {}),
        ((2, 3), {"dim": 0}),
        ((2, 3), {"dim": -1, "keepdim": True}),
        ((2, 3, 4), {"dim": (0, 2)}),
        ((2, 3, 4), {"dim": (-1, 0), "keepdim": True}),
        ((2, 3, 4), {"dim": [1]}),
        ((2, 3), {"keepdim": True}),
        ((3, 0, 2), {"dim": 0}),
    ]
    rows = each_way(draw, *[(shape, {**kwargs, **more}) for shape, kwargs in ways])

    def samples(rng: Rng) -> list[Sample]:
        view = draw(rng, (4, 3)).T
        return [*rows(rng), call(view, dim=1, **more)]

    return samples


def along(draw: Draw, **more: Any) -> Samples:
    """An op along one dimension: each of them, a long one, a view, 0-d."""
    rows = each_way(
        draw,
        ((), {"dim": 0, **more}),
        ((4,), {"dim": 0, **more}),
        ((2, 3), {"dim": 0, **more}),
        ((2, 3), {"dim": -1, **more}),
        ((2, 3, 4), {"dim": 1, **more}),
        ((2, 40), {"dim": 1, **more}),
        ((2, 0), {"dim": 1, **more}),
    )

    def samples(rng: Rng) -> list[Sample]:
        view = draw(rng, (4, 3)).T
        return [*rows(rng), call(view, dim=-1, **more)]

    return samples


def calls(*makers: Callable[[Rng], Sample]) -> Samples:
    """Calls made one by one."""
    return lambda rng: [make(rng) for make in makers]


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


# Basic, boolean and advanced indexing, with repeated places.
INDICES: Sequence[tuple[tuple[int, ...], Any]] = (
    ((), ()),
    ((), None),
    ((4,), 2),
    ((4,), -1),
    ((4,), slice(None, None, -2)),
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
    ((2, 3, 4), (1, None, np.array([2, 2, 0]))),
    ((2, 3), np.array([[True, False, True], [False, False, True]])),
    ((2, 3), (slice(None), np.array([True, False, True]))),
    ((3, 2), np.array([False, False, False])),
    ((3, 2), (np.array([True, False, True]), np.array([0, 0]))),
    ((4,), np.array([], dtype=np.int64)),
    ((3, 4), np.array(1)),
)

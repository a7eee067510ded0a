"""Random numbers: seeds, states, threads, distributions."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tt_tensor as tt

pytestmark = pytest.mark.module_02

DRAWS: dict[str, Callable[[tt.Generator | None], tt.Tensor]] = {
    "rand": lambda g: tt.rand(20, generator=g),
    "randn": lambda g: tt.randn(4, 5, generator=g),
    "randint": lambda g: tt.randint(0, 1000, (20,), generator=g),
    "randperm": lambda g: tt.randperm(20, generator=g),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)


def same(a: tt.Tensor, b: tt.Tensor) -> bool:
    return bool((a == b).all())


@every_draw
def test_a_seed_gives_the_same_numbers_again(
    draw: Callable[[tt.Generator | None], tt.Tensor],
) -> None:
    assert same(draw(tt.Generator(3)), draw(tt.Generator(3)))
    assert not same(draw(tt.Generator(3)), draw(tt.Generator(4)))
    assert tt.manual_seed(3) is tt.default_generator()
    first = draw(None)
    assert not same(draw(None), first)
    tt.manual_seed(3)
    assert same(draw(None), first)
    assert same(draw(tt.Generator(3)), first)


@every_draw
def test_a_state_goes_through_json(draw: Callable[[tt.Generator | None], tt.Tensor]) -> None:
    generator = tt.Generator(7)
    draw(generator)
    saved = json.loads(json.dumps(generator.get_state()))
    expected = draw(generator)
    other = tt.Generator(0)
    other.set_state(saved)
    assert same(draw(other), expected)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))])
def test_a_copy_goes_on_alike_and_apart(again: Callable[[tt.Generator], tt.Generator]) -> None:
    generator = tt.Generator(1)
    copied = again(generator)
    expected = tt.rand(3, generator=generator)
    tt.rand(3, generator=generator)
    assert same(tt.rand(3, generator=copied), expected)


@pytest.mark.parametrize(
    "state",
    [None, {}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64", "state": {"state": -1}}],
)
def test_a_bad_state_is_refused_and_does_no_harm(state: tt._random.State) -> None:
    generator = tt.Generator(5)
    before = generator.get_state()
    with pytest.raises(ValueError, match="set_state: expected what get_state"):
        generator.set_state(state)
    assert generator.get_state() == before


def test_bad_seeds() -> None:
    with pytest.raises(ValueError, match="Generator: expected a seed of at least 0, got -1"):
        tt.Generator(-1)
    with pytest.raises(TypeError, match="Generator: expected an int as the seed, got str"):
        tt.manual_seed("x")  # type: ignore[arg-type]  # the point of the test


def test_threads_have_generators_of_their_own() -> None:
    def draw(seed: int) -> list[list[float]]:
        tt.manual_seed(seed)
        return [tt.rand(3).tolist() for _ in range(50)]

    alone = [draw(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(4))) == alone


def test_a_thread_leaves_the_main_one_alone() -> None:
    tt.manual_seed(0)
    expected = tt.rand(3)
    tt.manual_seed(0)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: tt.rand(10, generator=tt.manual_seed(9))).result()
    assert same(tt.rand(3), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_distributions(dtype: str) -> None:
    g = tt.Generator(0)
    even, normal = (
        tt.rand(20_000, generator=g, dtype=dtype),
        tt.randn(20_000, generator=g, dtype=dtype),
    )
    assert even.dtype == normal.dtype == dtype
    assert 0 <= even.min().item()
    assert even.max().item() < 1
    for values, mean, std in ((even, 0.5, 12**-0.5), (normal, 0.0, 1.0)):
        wide = values.to("float64")
        assert abs(wide.mean().item() - mean) < 0.03
        assert abs(wide.std().item() - std) < 0.03


def test_integers_fill_their_range() -> None:
    g = tt.Generator(0)
    assert set(tt.randint(-2, 3, (500,), generator=g).tolist()) == {-2, -1, 0, 1, 2}
    assert set(tt.randint(3, (500,), generator=g).tolist()) == {0, 1, 2}
    assert tt.randint(5).shape == ()
    assert sorted(tt.randperm(50, generator=g).tolist()) == list(range(50))
    assert tt.randperm(0).shape == (0,)


def test_the_numpy_generator_is_the_same_stream() -> None:
    g = tt.Generator(2)
    expected = np.random.Generator(np.random.PCG64(2)).random(4, np.float32)
    np.testing.assert_array_equal(tt.rand(4, generator=g).numpy(), expected)
    assert repr(g) == "Generator(PCG64)"

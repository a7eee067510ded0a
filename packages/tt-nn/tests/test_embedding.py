"""Embedding and positions."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from tt_nn import functional as F

pytestmark = pytest.mark.module_12


def normal(*shape: int) -> tt.Tensor:
    return tt.tensor(np.random.default_rng(0).standard_normal(shape), requires_grad=True)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_picks_rows(shape: tuple[int, ...], dtype: str) -> None:
    layer = nn.Embedding(5, 4)
    index = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    expected = layer.weight.detach().numpy()[index]
    for kind in (tt.tensor, tt_tensor.tensor):
        out = layer(kind(index))
        assert out.shape == (*shape, 4)
        np.testing.assert_array_equal(out.detach().numpy(), expected)


@given(st.lists(st.integers(0, 4), max_size=12))
def test_rows_named_twice_receive_both_gradients(index: list[int]) -> None:
    layer = nn.Embedding(5, 2).double()
    g = np.random.default_rng(0).standard_normal((len(index), 2))
    layer(tt.tensor(np.array(index, np.int64))).backward(tt.tensor(g))
    expected = np.zeros((5, 2))
    for place, row in enumerate(index):
        expected[row] += g[place]
    assert layer.weight.grad is not None
    np.testing.assert_allclose(layer.weight.grad.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("dim", [1, 200, 300])
@pytest.mark.parametrize("padding_idx", [None, 40, 299])
def test_rows_are_found_by_integers_of_any_size(
    dtype: str, dim: int, padding_idx: int | None
) -> None:
    layer = nn.Embedding(300, dim, padding_idx)
    index = [0, 1, 40, min(np.iinfo(dtype).max, 299)]
    layer(tt.tensor(index, dtype=dtype)).sum().backward()
    assert layer.weight.grad is not None
    reached = np.flatnonzero(layer.weight.grad.numpy().all(axis=1))
    assert reached.tolist() == [i for i in index if i != padding_idx]


@pytest.mark.parametrize("padding_idx", [None, 1, -1])
def test_gradients_agree_with_differences(padding_idx: int | None) -> None:
    index = tt.tensor([[0, 1, 3], [3, 3, 0]])
    weight = normal(4, 3)
    if padding_idx is None:
        assert tt.gradcheck(lambda w: F.embedding(index, w), [weight])
    assert tt.gradgradcheck(lambda w: F.embedding(index, w, padding_idx) ** 2, [weight])


def test_padding_starts_at_zero_and_stays_there() -> None:
    layer = nn.Embedding(4, 3, padding_idx=-1)
    layer(tt.tensor([3, 1, 3])).sum().backward()
    assert layer.padding_idx == 3
    assert not layer.weight[3].detach().numpy().any()
    assert layer.weight.grad is not None
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [0, 1, 0, 0])


def test_starts_normal() -> None:
    tt.manual_seed(0)
    weight = nn.Embedding(300, 100).weight.detach().numpy()
    assert abs(weight.mean()) < 0.02
    assert abs(weight.std() - 1) < 0.02


def test_a_table_that_is_there() -> None:
    table = tt.tensor([[1.0, 2.0], [3.0, 4.0]])
    frozen = nn.Embedding.from_pretrained(table)
    assert not frozen.weight.requires_grad
    np.testing.assert_array_equal(frozen(tt.tensor([1])).numpy(), [[3.0, 4.0]])
    assert not np.shares_memory(frozen.weight.numpy(), table.numpy())
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: nn.Embedding(4, 2)(tt.tensor([[0, 1], [4, 9]])),
            IndexError,
            r"embedding: index 4 at position \(1, 0\) of the input is out of range for 4 emb",
        ),
        (lambda: nn.Embedding(4, 2)(tt.tensor(-1)), IndexError, r"index -1 at position \(\)"),
        (
            lambda: nn.Embedding(4, 2)(tt.tensor([1.0])),
            TypeError,
            "embedding: expected an input of integers; got input float32",
        ),
        (lambda: F.embedding(tt.tensor([0]), tt.ones(3)), ValueError, "expected a weight of shape"),
        (lambda: nn.Embedding(0, 2), ValueError, "expected num_embeddings to be a positive int"),
        (lambda: nn.Embedding(2, 2, padding_idx=2), ValueError, "one of 2 rows, got 2"),
        (lambda: nn.Embedding.from_pretrained(tt.ones(3)), ValueError, "expected a table of shape"),
        (lambda: nn.RotaryPositions(3), ValueError, "RotaryPositions: expected an even dim, got 3"),
        (lambda: nn.RotaryPositions(2)(tt.ones(4, 3)), ValueError, "rotary_embedding: expected a"),
        (lambda: F.rotary_embedding(tt.ones(4, 2), -1), ValueError, "offset of at least 0, got -1"),
        (lambda: nn.LearnedPositions(4, 0), ValueError, "expected dim to be a positive int, got 0"),
        (
            lambda: nn.LearnedPositions(4, 2)(tt.ones(3, 2), 2),
            ValueError,
            "positions 2 to 4 do not exist; there are 4",
        ),
        (
            lambda: nn.SinusoidalPositions(4)(tt.ones(2, 3)),
            ValueError,
            r"expected an input of shape \(\.\.\., length, 4\), got \(2, 3\)",
        ),
        (
            lambda: nn.SinusoidalPositions(4)(tt.ones(2, 4, dtype="int64")),
            TypeError,
            "SinusoidalPositions: expected a floating-point input, got int64",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


# Positions


def test_rotation_depends_on_distance_only() -> None:
    rng = np.random.default_rng(0)
    q, k = (tt.tensor(np.tile(rng.standard_normal(8), (10, 1))) for _ in range(2))
    products = (F.rotary_embedding(q) @ F.rotary_embedding(k).swapaxes(0, 1)).numpy()
    for offset in range(-9, 10):
        diagonal = np.diagonal(products, offset)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-12)
    assert abs(products[0, 0] - products[0, 1]) > 1e-3


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 4, 6), (1, 200, 2)], ids=str)
def test_rotation(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape)
    half = shape[-1] // 2
    angle = np.arange(shape[-2])[:, None] * 100.0 ** (-np.arange(half) / half)
    pairs = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
    out = nn.RotaryPositions(shape[-1], base=100.0)(tt.tensor(x))
    np.testing.assert_allclose(out.numpy(), np.concatenate([pairs.real, pairs.imag], -1))


@pytest.mark.parametrize(
    "layer",
    [nn.RotaryPositions(6), nn.SinusoidalPositions(6), nn.LearnedPositions(100, 6)],
    ids=str,
)
def test_positions(layer: nn.Module) -> None:
    layer.double()
    x = normal(2, 5, 6)
    whole = layer(x).detach().numpy()
    later = layer(x[:, 3:], 3).detach().numpy()
    np.testing.assert_allclose(later, whole[:, 3:], atol=1e-12)
    assert tt.gradcheck(lambda x: layer(x, 7), [x])
    assert tt.gradgradcheck(lambda x: layer(x, 7) ** 2, [x])
    assert layer.to("float32")(x.to("float32")).dtype == np.float32
    y = tt.ones(1, 2, 6)
    assert (layer(y)[0, 0] != layer(y)[0, 1]).any()


def test_sinusoids() -> None:
    table = nn.SinusoidalPositions(5)(tt.zeros(3, 5, dtype="float64")).numpy()
    for t in range(3):
        for i in range(5):
            angle = t / 10000 ** (2 * (i // 2) / 5)
            assert table[t, i] == pytest.approx(np.cos(angle) if i % 2 else np.sin(angle))


def test_learned_positions_learn() -> None:
    layer = nn.LearnedPositions(6, 2)
    layer(tt.zeros(3, 2, 2), 1).sum().backward()
    assert layer.weight.grad is not None
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [0, 3, 3, 0, 0, 0])

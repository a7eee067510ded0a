"""Scaled dot-product attention."""

import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from tt_nn import functional as F

pytestmark = pytest.mark.module_13

Array = NDArray[Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def reference(q: Array, k: Array, v: Array, seen: Array, bias: Array) -> Array:
    """Attention as its definition says, one query at a time."""
    out = np.zeros((*np.broadcast_shapes(q.shape[:-2], v.shape[:-2]), q.shape[-2], v.shape[-1]))
    shape = (*out.shape[:-1], k.shape[-2])
    seen, bias = np.broadcast_to(seen, shape), np.broadcast_to(bias, shape)
    k = np.broadcast_to(k, (*out.shape[:-2], *k.shape[-2:]))
    v = np.broadcast_to(v, (*out.shape[:-2], *v.shape[-2:]))
    q = np.broadcast_to(q, (*out.shape[:-2], *q.shape[-2:]))
    for place in np.ndindex(out.shape[:-1]):
        *lead, _ = place
        at = tuple(lead)
        if not seen[place].any():
            continue
        keys = k[at][seen[place]]
        scores = keys @ q[place] / np.sqrt(q.shape[-1]) + bias[place][seen[place]]
        weights = np.exp(scores - scores.max())
        out[place] = weights @ v[at][seen[place]] / weights.sum()
    return out


lengths = st.integers(1, 9)


@settings(deadline=None)
@given(
    length=lengths,
    keys=lengths,
    lead=st.sampled_from([(), (2,), (2, 3), (2, 1, 2)]),
    kind=st.sampled_from(["", "causal", "bool", "float"]),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_agrees_with_the_definition(
    length: int, keys: int, lead: tuple[int, ...], kind: str, dtype: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    q, k, v = (
        rng.standard_normal((*lead, *shape)).astype(dtype)
        for shape in ((length, 4), (keys, 4), (keys, 3))
    )
    seen, bias = np.ones((length, keys), bool), np.zeros((length, keys))
    mask = None
    if kind == "causal":
        seen = np.tri(length, keys, dtype=bool)
    if kind == "bool":
        seen = rng.random((length, keys)) < 0.5
        mask = tt.tensor(seen)
    if kind == "float":
        bias = rng.standard_normal((length, keys)).astype(dtype)
        mask = tt.tensor(bias)
    out = F.scaled_dot_product_attention(
        tt.tensor(q), tt.tensor(k), tt.tensor(v), mask, is_causal=kind == "causal"
    )
    tolerance = {"float32": 2e-6, "float64": 1e-12}[dtype]
    np.testing.assert_allclose(out.numpy(), reference(q, k, v, seen, bias), atol=tolerance)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["", "causal", "blind", "learned"])
def test_single_precision_agrees_with_double(kind: str, dropout: float) -> None:
    parts = [4 * normal(2, 3, 100, 8, seed=i) for i in range(3)]
    bias = normal(100, 100, seed=3)
    if kind == "blind":
        bias = np.where(bias > 0, 0, -np.inf)
        bias[7] = -np.inf
    found = {}
    for dtype in ("float32", "float64"):
        tt.manual_seed(0)
        inputs = [tt.tensor(x.astype(dtype), requires_grad=True) for x in parts]
        mask = None
        if kind in ("blind", "learned"):
            mask = tt.tensor(bias.astype(dtype), requires_grad=kind == "learned")
        out = attend(inputs, attn_mask=mask, dropout_p=dropout, is_causal=kind == "causal")
        (out * out).sum().backward()
        of = [*inputs, *([mask] if kind == "learned" and mask is not None else [])]
        found[dtype] = [out.detach().numpy(), *(x.grad.numpy() for x in of if x.grad is not None)]
    assert len(found["float32"]) == (5 if kind == "learned" else 4)
    for single, double in zip(found["float32"], found["float64"], strict=True):
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, double, atol=2e-5 * abs(double).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_is_not_lost(dtype: str) -> None:
    q, k, v = (normal(2, 100, 4, seed=i).astype(dtype) for i in range(3))
    k[0, 30, 1] = np.nan
    out = attend(map(tt.tensor, (q, k, v)), is_causal=True).numpy()
    assert np.isnan(out[0, 30:]).all()
    assert np.isfinite(out[1]).all()


def attend(inputs: Iterable[tt.Tensor], **options: Any) -> tt.Tensor:
    query, key, value = inputs
    return F.scaled_dot_product_attention(query, key, value, **options)


def together(*shape: int) -> list[tt.Tensor]:
    return [tt.tensor(normal(*shape, seed=i), requires_grad=True) for i in range(3)]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(5, 3), (2, 2, 70, 2)], ids=str)
def test_gradients_agree_with_differences(
    causal: bool, dropout: float, shape: tuple[int, ...]
) -> None:
    def seeded(*inputs: tt.Tensor) -> tt.Tensor:
        tt.manual_seed(0)
        return attend(inputs, dropout_p=dropout, is_causal=causal)

    inputs = together(*shape)
    assert tt.gradcheck(seeded, inputs)
    assert tt.gradgradcheck(seeded, inputs)


def test_a_mask_may_be_learned() -> None:
    mask = tt.tensor(normal(2, 1, 4, 4), requires_grad=True)
    assert tt.gradcheck(F.scaled_dot_product_attention, [*together(2, 3, 4, 2), mask])
    assert tt.gradgradcheck(F.scaled_dot_product_attention, [*together(2, 3, 4, 2), mask])


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_long_sequences_are_as_short_ones(dropout: float) -> None:
    """Whether exponentials are kept or made again, and how rows are cut, makes no difference."""
    length = 1100  # above which nothing is kept
    inputs = together(1, 1, length, 4)
    tt.manual_seed(0)
    out = attend(inputs, dropout_p=dropout, is_causal=True)
    g = tt.tensor(normal(1, 1, length, 4, seed=9))
    first = tt.grad(out, inputs, g, create_graph=True)  # through plain ops, all at once
    tt.manual_seed(0)
    again = attend(inputs, dropout_p=dropout, is_causal=True)
    np.testing.assert_array_equal(out.detach().numpy(), again.detach().numpy())
    for a, b in zip(first, tt.grad(again, inputs, g), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.numpy(), atol=1e-10)


def test_memory_grows_with_length_not_its_square() -> None:
    """4,096 positions, forward and backward: their weights alone would take 268 MB and more."""
    inputs = [tt.tensor(x.detach().numpy().astype("float32")) for x in together(1, 4, 4096, 32)]
    for x in inputs:
        x.requires_grad_()
    tracemalloc.start()
    attend(inputs, is_causal=True).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize("seen", [(3, 1, 1, 90), (3, 2, 1, 90), (1, 1, 80, 90), (80, 1)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mask_that_repeats_is_as_one_written_out(seen: tuple[int, ...], dtype: str) -> None:
    mask = tt.tensor(np.random.default_rng(0).random(seen) < 0.7)
    repeated = mask.expand(3, 2, 80, 90)
    found = []
    for each in (mask, repeated, repeated.clone(), tt.where(repeated, 0.0, -np.inf).to(dtype)):
        q, k, v = (
            tt.tensor(normal(3, 2, n, 4, seed=i).astype(dtype), requires_grad=True)
            for i, n in enumerate((80, 90, 90))
        )
        out = attend([q, k, v], attn_mask=each)
        found.append([out.detach(), *tt.grad((out * out).sum(), [q, k, v])])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(
    ("queries", "keys"), [((2, 0), (2, 50)), ((2, 50), (2, 0)), ((2, 0), (2, 0)), ((0, 5), (1, 5))]
)
def test_without_queries_or_keys_nothing_is_gathered(
    queries: tuple[int, int], keys: tuple[int, int], causal: bool
) -> None:
    q, k, v = (tt.ones(*shape, 64, requires_grad=True) for shape in (queries, keys, keys))
    out = attend([q, k, v], is_causal=causal)
    assert not out.detach().numpy().any()
    g = tt.ones(*out.shape)
    np.empty(v.shape, "float32").fill(7)  # what memory holds when it is used again
    for x, slope in zip((q, k, v), tt.grad(out, [q, k, v], g), strict=True):
        assert slope.shape == x.shape
        assert not slope.numpy().any()


def test_attention_is_causal() -> None:
    q, k, v = (normal(1, 2, 150, 4, seed=i) for i in range(3))
    before = attend(map(tt.tensor, (q, k, v)), is_causal=True).numpy()
    k[..., 70:, :] += 1
    v[..., 70:, :] -= 1
    after = attend(map(tt.tensor, (q, k, v)), is_causal=True).numpy()
    np.testing.assert_array_equal(before[..., :70, :], after[..., :70, :])
    assert (before[..., 70:, :] != after[..., 70:, :]).all()


def test_large_scores_do_not_overflow() -> None:
    x = tt.tensor(np.float32(1e3) * normal(3, 4).astype("float32"), requires_grad=True)
    out = F.scaled_dot_product_attention(x, x, x)
    out.sum().backward()
    assert x.grad is not None
    assert np.isfinite(out.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("blind", [np.array(False), np.array(-np.inf)], ids=str)
def test_a_query_that_sees_nothing_gets_zeros_and_no_gradient(blind: Array) -> None:
    inputs = together(3, 4)
    mask = np.broadcast_to(blind, (1, 3)).repeat(3, 0).copy()
    mask[0] = True if mask.dtype == bool else 0.0
    out = attend(inputs, attn_mask=tt.tensor(mask))
    out.sum().backward()
    assert not out[1:].detach().numpy().any()
    assert inputs[0].grad is not None
    assert not inputs[0].grad[1:].numpy().any()
    for x in inputs:
        assert x.grad is not None
        assert np.isfinite(x.grad.numpy()).all()
    weights = F.attention_weights(inputs[0], inputs[1], tt.tensor(mask)).detach().numpy()
    np.testing.assert_allclose(weights.sum(-1), [1, 0, 0])


def test_dropout_keeps_the_mean() -> None:
    tt.manual_seed(0)
    q = tt.zeros(1, 200, 2)
    out = F.scaled_dot_product_attention(q, q, tt.ones(1, 200, 1), dropout_p=0.25).numpy()
    assert abs(out.mean() - 1) < 0.01
    assert out.std() > 0.01
    assert not F.scaled_dot_product_attention(q, q, tt.ones(1, 200, 1), dropout_p=1.0).numpy().any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", [tt.Tensor, tt_tensor.Tensor])
def test_dtype_is_kept(dtype: str, kind: type[Any]) -> None:
    x = kind(normal(2, 5, 4), dtype)
    out = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    assert out.dtype == dtype
    assert out.shape == (2, 5, 4)


def test_grouped_heads_are_repeated_ones() -> None:
    q, k, v = (tt.tensor(normal(2, heads, 5, 4, seed=heads)) for heads in (6, 2, 2))
    repeated = [tt.tensor(np.repeat(x.numpy(), 3, axis=1)) for x in (k, v)]
    out = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    np.testing.assert_allclose(out.numpy(), attend([q, *repeated]).numpy(), atol=1e-12)


def test_weights_sum_to_one() -> None:
    q, k = (tt.tensor(normal(2, 3, 5, 4, seed=i)) for i in range(2))
    weights = F.attention_weights(q, k, is_causal=True).numpy()
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    assert (np.triu(weights, 1) == 0).all()
    v = tt.tensor(normal(2, 3, 5, 4, seed=2))
    np.testing.assert_allclose(
        weights @ v.numpy(), F.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    )


x24 = tt.ones(2, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.scaled_dot_product_attention(x24, tt.ones(2, 3), x24), ValueError, "same size"),
        (lambda: F.scaled_dot_product_attention(x24, x24, tt.ones(3, 4)), ValueError, "as many"),
        (lambda: F.scaled_dot_product_attention(tt.ones(4), x24, x24), ValueError, "of shapes"),
        (
            lambda: F.scaled_dot_product_attention(tt.ones(3, 2, 4), tt.ones(2, 2, 4), x24),
            ValueError,
            "leading dimensions that broadcast",
        ),
        (
            lambda: F.scaled_dot_product_attention(x24, x24, x24, tt.ones(3, 3)),
            ValueError,
            r"expected a mask that broadcasts to \(2, 2\); got .*attn_mask float32 \(3, 3\)",
        ),
        (
            lambda: F.scaled_dot_product_attention(x24, x24, x24, tt.ones(2, 2), is_causal=True),
            ValueError,
            "not both",
        ),
        (
            lambda: F.scaled_dot_product_attention(x24, x24, x24, dropout_p=1.5),
            ValueError,
            "dropout_p from 0 to 1, got 1.5",
        ),
        (
            lambda: F.scaled_dot_product_attention(x24, x24.double(), x24),
            TypeError,
            "one floating-point dtype",
        ),
        (
            lambda: F.scaled_dot_product_attention(x24, x24, x24, tt.ones(2, 2).to("int64")),
            TypeError,
            "a mask of bools or floating-point",
        ),
        (
            lambda: F.attention_weights(x24, x24, tt.ones(2, 2, dtype="uint8")),
            TypeError,
            "attention_weights: expected attn_mask of bools or floating-point numbers, got uint8",
        ),
        (
            lambda: F.scaled_dot_product_attention(
                tt.ones(3, 2, 4), tt.ones(2, 2, 4), tt.ones(2, 2, 4), enable_gqa=True
            ),
            ValueError,
            "a multiple of those of key and value",
        ),
        (
            lambda: F.attention_weights(x24, x24, tt.ones(2, 2), is_causal=True),
            ValueError,
            "not both",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()


def test_causal_mask() -> None:
    np.testing.assert_array_equal(nn.causal_mask(3).numpy(), np.tri(3, dtype=bool))
    np.testing.assert_array_equal(
        nn.causal_mask(2, 4).numpy(), [[True, True, True, False], [True, True, True, True]]
    )

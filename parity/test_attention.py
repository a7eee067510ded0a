"""Attention, its layers and embeddings beside PyTorch's: values, gradients, and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F

dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def plain(array: Any) -> Any:
    return torch.from_numpy(np.asarray(array).copy())


def close(ours: Any, theirs: Any, dtype: str) -> None:
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def inputs(dtype: str, *shapes: tuple[int, ...]) -> tuple[list[tt.Tensor], list[Any]]:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    ours = [tt.tensor(array, requires_grad=True) for array in arrays]
    return ours, [plain(array).requires_grad_() for array in arrays]


def backward(out: Any, ref: Any, dtype: str) -> None:
    """Start from the same gradient on both sides."""
    seed = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    out.backward(tt.tensor(seed))
    ref.backward(plain(seed))


# The function


def mask(kind: str | None, scores: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(2)
    if kind == "bool":
        seen = rng.random((scores[0], 1, *scores[2:])) < 0.6
        seen[0, 0, 1] = False  # a query that sees nothing
        return seen
    if kind == "float":
        return rng.standard_normal(scores[1:]).astype(dtype)
    return None


@pytest.mark.parametrize("kind", [None, "causal", "bool", "float"])
@pytest.mark.parametrize(
    ("heads", "kv_heads", "length", "keys"),
    [(2, 2, 5, 5), (4, 2, 7, 3), (4, 1, 3, 9), (2, 2, 300, 300), (2, 1, 130, 1100)],
    ids=str,
)
@dtypes
def test_scaled_dot_product_attention(
    kind: str | None, heads: int, kv_heads: int, length: int, keys: int, dtype: str
) -> None:
    xs, ys = inputs(dtype, (2, heads, length, 4), (2, kv_heads, keys, 4), (2, kv_heads, keys, 4))
    seen = mask(kind, (2, heads, length, keys), dtype)
    ours = None if seen is None else tt.tensor(seen, requires_grad=kind == "float")
    theirs = None if seen is None else plain(seen).requires_grad_(kind == "float")
    options = {"is_causal": kind == "causal", "enable_gqa": heads != kv_heads}
    out = F.scaled_dot_product_attention(xs[0], xs[1], xs[2], ours, **options)
    ref = torch.nn.functional.scaled_dot_product_attention(*ys, attn_mask=theirs, **options)
    close(out, ref, dtype)
    backward(out, ref, dtype)
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, dtype)
    if kind == "float":
        assert ours is not None
        assert theirs is not None
        close(ours.grad, theirs.grad, dtype)


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (2, 2, 2, 3, 4)], ids=str)
def test_any_leading_dimensions(shape: tuple[int, ...]) -> None:
    xs, ys = inputs("float64", shape, shape, (*shape[:-1], 6))
    out = F.scaled_dot_product_attention(xs[0], xs[1], xs[2], scale=0.3)
    ref = torch.nn.functional.scaled_dot_product_attention(*ys, scale=0.3)
    close(out, ref, "float64")
    backward(out, ref, "float64")
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, "float64")


# The layers


def same_weights(ours: nn.Module, theirs: Any, folder: Path) -> None:
    """Load PyTorch's own weights, through a file."""
    path = folder / "theirs.safetensors"
    state = {name: value.clone() for name, value in theirs.state_dict().items()}
    safetensors.torch.save_file(state, path)
    assert ours.load_state_dict(nn.load(path)) == ([], [])
    assert list(ours.state_dict()) == list(state)


def compare_parameters(ours: nn.Module, theirs: Any, dtype: str) -> None:
    for (name, p), (other, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == other
        close(p.grad, q.grad, dtype)


@pytest.mark.parametrize("masked", ["", "attn", "attn by head", "padding", "both", "floats"])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("kind", ["self", "cross", "sizes"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_multihead_attention(
    masked: str, need_weights: bool, kind: str, batch_first: bool, tmp_path: Path
) -> None:
    sizes: dict[str, Any] = {"kdim": 6, "vdim": 10} if kind == "sizes" else {}
    ours = nn.MultiheadAttention(8, 2, batch_first=batch_first, **sizes).double()
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=batch_first, **sizes).double()
    with torch.no_grad():
        theirs.in_proj_bias.normal_()
    same_weights(ours, theirs, tmp_path)

    def shape(length: int, size: int) -> tuple[int, int, int]:
        return (3, length, size) if batch_first else (length, 3, size)

    length, keys = 4, 4 if kind == "self" else 5
    shapes = [shape(length, 8)]
    if kind != "self":
        shapes += [shape(keys, sizes.get("kdim", 8)), shape(keys, sizes.get("vdim", 8))]
    xs, ys = inputs("float64", *shapes)
    rng = np.random.default_rng(3)
    masks: dict[str, Any] = {}
    if masked in ("attn", "both"):
        masks["attn_mask"] = np.triu(np.ones((length, keys), bool), 1)
    if masked == "attn by head":
        masks["attn_mask"] = rng.random((6, length, keys)) < 0.3
        masks["attn_mask"][..., 0] = False
    if masked in ("padding", "both"):
        masks["key_padding_mask"] = np.arange(keys) >= np.array([[keys], [keys - 1], [2]])
    if masked == "floats":
        masks["attn_mask"] = rng.standard_normal((length, keys))
        masks["key_padding_mask"] = rng.standard_normal((3, keys))
    triples = [values * 3 if kind == "self" else values for values in (xs, ys)]
    for average in (True, False) if need_weights else (True,):
        out, weights = ours(
            triples[0][0], triples[0][1], triples[0][2], need_weights=need_weights,
            average_attn_weights=average, **{name: tt.tensor(m) for name, m in masks.items()},  # type: ignore[arg-type]  # masks only
        )  # fmt: skip
        ref, their_weights = theirs(
            *triples[1], need_weights=need_weights, average_attn_weights=average,
            **{name: plain(m) for name, m in masks.items()},
        )  # fmt: skip
        close(out, ref, "float64")
        if need_weights:
            close(weights, their_weights, "float64")
        else:
            assert weights is None
    backward(out, ref, "float64")
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, "float64")
    compare_parameters(ours, theirs, "float64")


def test_a_single_sample_needs_no_batch(tmp_path: Path) -> None:
    ours, theirs = nn.MultiheadAttention(8, 2), torch.nn.MultiheadAttention(8, 2)
    same_weights(ours, theirs, tmp_path)
    (x,), (y,) = inputs("float32", (5, 8))
    padding = np.array([False, False, True, False, True])
    out, weights = ours(x, x, x, tt.tensor(padding))
    ref, their_weights = theirs(y, y, y, plain(padding))
    close(out, ref, "float32")
    close(weights, their_weights, "float32")


OPTIONS = [
    {},
    {"norm_first": True},
    {"activation": "gelu"},
    {"bias": False},
    {"batch_first": True, "layer_norm_eps": 1e-3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("causal", [True, False])
@dtypes
def test_encoder_layer(options: dict[str, Any], causal: bool, dtype: str, tmp_path: Path) -> None:
    ours = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, **options).to(dtype)
    theirs = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, **options)
    theirs = theirs.to(getattr(torch, dtype))
    same_weights(ours, theirs, tmp_path)
    (x,), (y,) = inputs(dtype, (5, 5, 8))
    padding = np.zeros((5, 5), bool)
    padding[:, 4] = True
    hidden = np.triu(np.ones((5, 5), bool), 1)
    out = ours(x, tt.tensor(hidden) if causal else None, tt.tensor(padding))
    ref = theirs(y, plain(hidden) if causal else None, plain(padding))
    close(out, ref, dtype)
    backward(out, ref, dtype)
    close(x.grad, y.grad, dtype)
    compare_parameters(ours, theirs, dtype)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@dtypes
def test_decoder_layer(options: dict[str, Any], dtype: str, tmp_path: Path) -> None:
    ours = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, **options).to(dtype)
    theirs = torch.nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, **options)
    theirs = theirs.to(getattr(torch, dtype))
    same_weights(ours, theirs, tmp_path)
    batch_first = options.get("batch_first", False)
    shapes = ((3, 5, 8), (3, 7, 8)) if batch_first else ((5, 3, 8), (7, 3, 8))
    xs, ys = inputs(dtype, *shapes)
    hidden = nn.Transformer.generate_square_subsequent_mask(5).to(dtype)
    padding = np.arange(7) >= np.array([[7], [5], [3]])
    out = ours(xs[0], xs[1], tgt_mask=hidden, memory_key_padding_mask=tt.tensor(padding))
    ref = theirs(*ys, tgt_mask=plain(hidden.numpy()), memory_key_padding_mask=plain(padding))
    close(out, ref, dtype)
    backward(out, ref, dtype)
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, dtype)
    compare_parameters(ours, theirs, dtype)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")
@dtypes
def test_transformer(dtype: str, tmp_path: Path) -> None:
    sizes = (8, 2, 2, 3, 16, 0.0)
    ours = nn.Transformer(*sizes).to(dtype)
    theirs = torch.nn.Transformer(*sizes).to(getattr(torch, dtype))
    same_weights(ours, theirs, tmp_path)
    xs, ys = inputs(dtype, (7, 3, 8), (5, 3, 8))
    hidden = nn.Transformer.generate_square_subsequent_mask(5).to(dtype)
    np.testing.assert_array_equal(
        hidden.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(5).numpy()
    )
    out = ours(xs[0], xs[1], tgt_mask=hidden)
    ref = theirs(*ys, tgt_mask=plain(hidden.numpy()))
    close(out, ref, dtype)
    backward(out, ref, dtype)
    for x, y in zip(xs, ys, strict=True):
        close(x.grad, y.grad, dtype)
    compare_parameters(ours, theirs, dtype)


# Embeddings


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@dtypes
def test_embedding(padding_idx: int | None, dtype: str, tmp_path: Path) -> None:
    ours = nn.Embedding(7, 3, padding_idx).to(dtype)
    theirs = torch.nn.Embedding(7, 3, padding_idx).to(getattr(torch, dtype))
    same_weights(ours, theirs, tmp_path)
    index = np.random.default_rng(0).integers(0, 7, (4, 5))
    out, ref = ours(tt.tensor(index)), theirs(plain(index))
    close(out, ref, dtype)
    backward(out, ref, dtype)
    compare_parameters(ours, theirs, dtype)

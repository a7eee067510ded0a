"""Multi-head attention: the layer, and the masks that it makes one of."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F

pytestmark = pytest.mark.module_13

Array = NDArray[Any]


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def self_attend(x: tt.Tensor, **options: Any) -> tt.Tensor:
    return nn.MultiheadAttention(32, 1, batch_first=True)(x, x, x, need_weights=False, **options)[0]


def attend(x: tt.Tensor, mask: tt.Tensor) -> tt.Tensor:
    head = x.unsqueeze(1)
    return F.scaled_dot_product_attention(head, head, head, mask)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("mask", [None, "seen by head", "causal"])
def test_with_and_without_weights_is_the_same(kv_heads: int, mask: str | None) -> None:
    """Two ways lead to the output: one product with one op, and one for each part."""
    layer = nn.MultiheadAttention(8, 4, batch_first=True, num_kv_heads=kv_heads).double()
    x = tt.tensor(normal(3, 5, 8), requires_grad=True)
    masks: dict[str, Any] = {"key_padding_mask": tt.tensor(np.arange(5) >= [[5], [4], [3]])}
    if mask == "seen by head":
        hidden = np.random.default_rng(1).random((12, 5, 5)) < 0.4
        masks["attn_mask"] = tt.tensor(hidden)
    if mask == "causal":
        masks["is_causal"] = True
    values = []
    for need_weights in (True, False):
        out, weights = layer(x, x, x, need_weights=need_weights, **masks)
        assert (weights is not None) == need_weights
        values.append([out, *tt.grad((out * out).sum(), [x, *layer.parameters()])])
    for a, b in zip(*values, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("kv_heads", [1, 2])
@pytest.mark.parametrize("kind", ["bools", "numbers"])
@pytest.mark.parametrize("keys", [3, 5, 7, None], ids=lambda keys: keys or "itself")
def test_causal_and_padding_together_are_a_mask_of_both(
    keys: int | None, kind: str, kv_heads: int
) -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True, num_kv_heads=kv_heads).double()
    x = tt.tensor(normal(3, 5, 4), requires_grad=True)
    y = x if keys is None else tt.tensor(normal(3, keys, 4, seed=1), requires_grad=True)
    size = y.shape[1]
    padding = np.arange(size) >= [[size], [size - 2], [0]]
    padding[1, 0] = True  # so that the first query sees nothing
    hidden, later = tt.tensor(padding), tt.tensor(~np.tri(5, size, dtype=bool))
    if kind == "numbers":
        hidden, later = (tt.where(mask, -np.inf, 0.0).double() for mask in (hidden, later))
    by_mask: dict[str, Any] = {"attn_mask": later}
    by_word: dict[str, Any] = {"is_causal": True}
    values = []
    for need_weights in (True, False):
        for causal in (by_mask, by_word):
            out, weights = layer(x, y, y, hidden, need_weights, **causal)
            slopes = tt.grad((out * out).sum(), [x, *layer.parameters()])
            values.append([out, *slopes, *([] if weights is None else [weights])])
    for other in values[1:]:
        for a, b in zip(values[0], other, strict=False):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-12)


@pytest.mark.parametrize("causal", [True, False])
def test_self_attention_has_second_derivatives(causal: bool) -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True, num_kv_heads=1).double()
    x = tt.tensor(normal(2, 3, 4), requires_grad=True)
    padding = tt.tensor([[False, False, False], [True, False, True]])

    def square(x: tt.Tensor) -> tt.Tensor:
        return layer(x, x, x, padding, need_weights=False, is_causal=causal)[0] ** 2

    assert tt.gradgradcheck(square, [x])


def test_order_matters_only_by_positions() -> None:
    layer = nn.MultiheadAttention(8, 2, batch_first=True).double()
    x = normal(1, 6, 8)
    order = np.random.default_rng(1).permutation(6)
    straight, mixed = (
        layer(each, each, each, need_weights=False)[0].detach().numpy()
        for each in map(tt.tensor, (x, x[:, order]))
    )
    np.testing.assert_allclose(straight[:, order], mixed, atol=1e-12)


def test_starts_as_torch_does() -> None:
    tt.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4)
    bound = np.sqrt(6 / (64 + 3 * 64))
    weight = layer.in_proj_weight.detach().numpy()
    assert weight.max() <= bound
    assert weight.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)
    assert layer.in_proj_bias is not None
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
    assert nn.MultiheadAttention(8, 2, bias=False).in_proj_bias is None


def test_dropout_is_for_training() -> None:
    layer = nn.MultiheadAttention(8, 2, dropout=0.5)
    x = tt.tensor(normal(5, 2, 8).astype("float32"))
    first, second = (layer(x, x, x, need_weights=False)[0].detach().numpy() for _ in range(2))
    assert (first != second).any()
    layer.eval()
    first, second = (layer(x, x, x, need_weights=False)[0].detach().numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_prints_its_sizes() -> None:
    assert repr(nn.MultiheadAttention(8, 4, num_kv_heads=2)).startswith(
        "MultiheadAttention(\n  embed_dim=8, num_heads=4, num_kv_heads=2\n"
    )


SEEN, HIDDEN = tt.ones(2, 1, 1, 1500, dtype="bool"), tt.zeros(2, 1500, dtype="bool")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: attend(x, SEEN),
        lambda x: attend(x, SEEN.expand(2, 1, 1500, 1500)),
        lambda x: self_attend(x, key_padding_mask=HIDDEN),
        lambda x: self_attend(x, is_causal=True, key_padding_mask=HIDDEN),
        lambda x: self_attend(x, is_causal=True, key_padding_mask=HIDDEN.float()),
    ],
    ids=["mask", "expanded mask", "padding", "causal, padding", "causal, numbers as padding"],
)
def test_masks_take_no_memory_that_they_do_not_bring(
    call: Callable[[tt.Tensor], tt.Tensor],
) -> None:
    """1,500 positions of 2 samples, of which a mask of numbers for each pair would take 18 MB."""
    x = tt.tensor(normal(2, 1500, 32).astype("float32"), requires_grad=True)
    tracemalloc.start()
    call(x).sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * 2**20


x24 = tt.ones(2, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.MultiheadAttention(6, 4), ValueError, "embed_dim to be a multiple of 4, got 6"),
        (
            lambda: nn.MultiheadAttention(6, 3, num_kv_heads=2),
            ValueError,
            "num_heads to be a multiple of 2, got 3",
        ),
        (lambda: nn.MultiheadAttention(6, 3, 2.0), ValueError, "dropout from 0 to 1, got 2.0"),
        (
            lambda: nn.MultiheadAttention(6, 3)(tt.ones(2, 5), tt.ones(2, 5), tt.ones(2, 5)),
            ValueError,
            r"expected query of shape \(length, N, 6\) or \(length, 6\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(x24, x24, x24, attn_mask=tt.ones(3, 3)),
            ValueError,
            r"attn_mask of shape \(2, 2\) or \(2, 2, 2\), got \(3, 3\)",
        ),
        (
            lambda: nn.MultiheadAttention(4, 2)(x24, x24, x24, tt.ones(3)),
            ValueError,
            r"key_padding_mask of shape \(1, 2\), got \(1, 3\)",
        ),
        (
            lambda: self_attend(tt.ones(1, 2, 32), attn_mask=tt.ones(2, 2, dtype="uint8")),
            TypeError,
            "MultiheadAttention: expected attn_mask of bools or floating-point numbers, got uint8",
        ),
        (
            lambda: self_attend(tt.ones(1, 2, 32), key_padding_mask=tt.ones(1, 2, dtype="int64")),
            TypeError,
            "MultiheadAttention: expected key_padding_mask of bools or floating-point numbers",
        ),
        *(
            (
                lambda n=n: nn.MultiheadAttention(4, 2)(
                    tt.ones(3, n[0], 4), tt.ones(3, n[1], 4), tt.ones(3, n[2], 4)
                ),
                ValueError,
                "of equally many samples, got {}, {}, {}".format(*n),
            )
            for n in ((2, 1, 1), (1, 2, 2), (2, 2, 1))
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        call()

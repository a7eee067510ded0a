"""FLOPs against closed forms, op by op and layer by layer."""

from collections.abc import Callable

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, GPTConfig
from tt_profile import count_flops, count_parameters, estimate_flops

pytestmark = pytest.mark.module_14

B, IN, OUT = 5, 7, 3

OPS: list[tuple[str, Callable[[], object], int]] = [
    ("matmul", lambda: tt.ones(B, IN) @ tt.ones(IN, OUT), 2 * B * IN * OUT),
    ("batched matmul", lambda: tt.ones(4, B, IN) @ tt.ones(4, IN, OUT), 4 * 2 * B * IN * OUT),
    ("broadcast matmul", lambda: tt.ones(4, B, IN) @ tt.ones(IN, OUT), 4 * 2 * B * IN * OUT),
    ("vector matmul", lambda: tt.ones(IN) @ tt.ones(IN), 2 * IN),
    ("matrix-vector", lambda: tt.ones(B, IN) @ tt.ones(IN), 2 * B * IN),
    ("dot", lambda: tt.dot(tt.ones(IN), tt.ones(IN)), 2 * IN),
    ("outer", lambda: tt.outer(tt.ones(B), tt.ones(IN)), B * IN),
    (
        "einsum product",
        lambda: tt.einsum("bi,io->bo", tt.ones(B, IN), tt.ones(IN, OUT)),
        2 * B * IN * OUT,
    ),
    ("einsum sum", lambda: tt.einsum("bi->b", tt.ones(B, IN)), B * IN),
    (
        "einsum of three",
        lambda: tt.einsum("bi,io,b->o", tt.ones(B, IN), tt.ones(IN, OUT), tt.ones(B)),
        3 * B * IN * OUT,
    ),
    (
        "einsum with dots",
        lambda: tt.einsum("...bi,io->...bo", tt.ones(4, B, IN), tt.ones(IN, OUT)),
        4 * 2 * B * IN * OUT,
    ),
    ("add", lambda: tt.ones(B, IN) + tt.ones(IN), B * IN),
    ("scalar", lambda: tt.ones(B, IN) * 2.0, B * IN),
    ("exp", lambda: tt.ones(B, IN).exp(), B * IN),
    ("sum", lambda: tt.ones(B, IN).sum(), B * IN),
    ("mean over a dimension", lambda: tt.ones(B, IN).mean(dim=1), B * IN),
    ("sigmoid", lambda: tt.sigmoid(tt.ones(B, IN)), 3 * B * IN),
    ("softmax", lambda: tt.softmax(tt.ones(B, IN), dim=1), 5 * B * IN),
    ("leaky relu", lambda: tt.leaky_relu(tt.ones(B, IN)), 2 * B * IN),
    ("elu", lambda: tt.elu(tt.ones(B, IN)), 5 * B * IN),
    ("softplus", lambda: tt.softplus(tt.ones(B, IN)), 8 * B * IN),
    ("sorting", lambda: tt.ones(B, IN).argsort(dim=1), 3 * B * IN),  # 7 numbers: 3 comparisons
    ("the largest", lambda: tt.ones(B, IN).topk(4, dim=1), B * IN + 2 * B * 4),
    ("sorting one", lambda: tt.ones(B, 1).argsort(dim=1), 0),
    ("variance", lambda: tt.ones(B, IN).var(dim=0), 4 * B * IN),
    ("mse_loss", lambda: nn.MSELoss()(tt.ones(B, IN), tt.zeros(B, IN)), 3 * B * IN),
    (
        "cross_entropy",
        lambda: nn.CrossEntropyLoss()(tt.ones(B, IN), tt.zeros(B, dtype="int64")),
        5 * B * IN,
    ),
    ("reshape", lambda: tt.ones(B, IN).reshape(IN, B), 0),
    ("transpose", lambda: tt.ones(B, IN).T, 0),
    ("indexing", lambda: tt.ones(B, IN)[1:, 0], 0),
    ("concat", lambda: tt.concat([tt.ones(B, IN), tt.ones(B, IN)]), 0),
    ("nothing", lambda: None, 0),
]


@pytest.mark.parametrize(("name", "call", "flops"), OPS, ids=[name for name, _, _ in OPS])
def test_an_op_costs_its_closed_form(name: str, call: Callable[[], object], flops: int) -> None:
    assert count_flops(call).total == flops


MLP = 2 * B * IN * OUT + B * OUT + B * OUT + 2 * B * OUT * 2 + B * 2

LAYERS: list[tuple[str, Callable[[], nn.Module], int, int]] = [
    ("linear", lambda: nn.Linear(IN, OUT), 2 * B * IN * OUT + B * OUT, IN * OUT + OUT),
    ("linear without bias", lambda: nn.Linear(IN, OUT, bias=False), 2 * B * IN * OUT, IN * OUT),
    ("identity", lambda: nn.Identity(), 0, 0),
    ("relu", lambda: nn.ReLU(), B * IN, 0),
    (
        "network",
        lambda: nn.Sequential(nn.Linear(IN, OUT), nn.Tanh(), nn.Linear(OUT, 2)),
        MLP,
        IN * OUT + OUT + OUT * 2 + 2,
    ),
]


@pytest.mark.parametrize(
    ("name", "make", "flops", "parameters"), LAYERS, ids=[name for name, *_ in LAYERS]
)
def test_a_layer_costs_its_closed_form(
    name: str, make: Callable[[], nn.Module], flops: int, parameters: int
) -> None:
    model = make()
    assert count_flops(model, tt.ones(B, IN)).total == flops
    assert count_parameters(model) == parameters


IMAGES = (B, 4, 9, 8)
# Outputs have 9x8, 9x8, 4x4, 19x17, 4x3 and 4x4 pixels.
SPATIAL: list[tuple[str, Callable[[], nn.Module], int]] = [
    ("convolution", lambda: nn.Conv2d(4, 6, 3, padding=1), B * 6 * 72 * (2 * 4 * 9 + 1)),
    ("groups", lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), B * 6 * 72 * 2 * 18),
    ("strides", lambda: nn.Conv2d(4, 6, (3, 1), stride=2, bias=False), B * 6 * 16 * 2 * 12),
    (
        "transposed convolution",
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2),
        B * (4 * 72 * 2 * 6 * 9 + 6 * 19 * 17),
    ),
    ("maximum", lambda: nn.MaxPool2d(3, stride=2), B * 4 * 12 * 9),
    ("average", lambda: nn.AvgPool2d(2), B * 4 * 16 * 4),
    ("nearest", lambda: nn.Upsample(scale_factor=2), 0),
    (
        "bilinear",  # along the height, then along the width: two products and their sum
        lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        B * 4 * (18 * 8 + 18 * 16) * 3,
    ),
]


@pytest.mark.parametrize(("name", "make", "flops"), SPATIAL, ids=[name for name, *_ in SPATIAL])
def test_a_spatial_layer_costs_its_closed_form(
    name: str, make: Callable[[], nn.Module], flops: int
) -> None:
    assert count_flops(make(), tt.ones(*IMAGES)).total == flops


# A query and a key that it sees: a product of 6, scaled; softmax, of 5 steps; a value of 6.
PAIR = 2 * 6 + 1 + 5 + 2 * 6


@pytest.mark.parametrize(("causal", "pairs"), [(False, 5 * 7), (True, 1 + 2 + 3 + 4 + 5)])
def test_attention_costs_its_closed_form(causal: bool, pairs: int) -> None:
    query, key = tt.ones(B, 2, 5, 6), tt.ones(B, 2, 7, 6)
    count = count_flops(
        lambda: nn.functional.scaled_dot_product_attention(query, key, key, is_causal=causal)
    )
    assert count.total == B * 2 * pairs * PAIR


def test_bilinear_costs_its_closed_form() -> None:
    layer = nn.Bilinear(4, 6, OUT)
    products = B * OUT * (2 * 4 * 6 + 2 * 6)
    assert count_flops(layer, tt.ones(B, 4), tt.ones(B, 6)).total == products + B * OUT
    assert count_parameters(layer) == OUT * 4 * 6 + OUT


def test_a_layer_of_ones_own_counts() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(tt.ones(IN))

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return x * self.scale

    assert count_flops(Scale(), tt.ones(B, IN)).total == B * IN
    assert count_parameters(Scale()) == IN


def test_the_count_is_told_by_op() -> None:
    count = count_flops(lambda: (tt.ones(B, IN) + 1).exp() + 1)
    assert count.by_op == {"add": 2 * B * IN, "exp": B * IN}
    assert count.calls == {"add": 2, "exp": 1}
    assert count.total == 3 * B * IN


def test_only_the_forward_pass_is_counted() -> None:
    weight = tt.ones(IN, OUT, requires_grad=True)
    forward = count_flops(lambda: (tt.ones(B, IN) @ weight).sum()).total
    both = count_flops(lambda: (tt.ones(B, IN) @ weight).sum().backward()).total
    assert both == forward


def test_a_shared_parameter_counts_once() -> None:
    first, second = nn.Linear(IN, IN), nn.Linear(IN, IN)
    second.weight = first.weight
    assert count_parameters(nn.Sequential(first, second)) == IN * IN + 2 * IN


def test_frozen_parameters_can_be_left_out() -> None:
    model = nn.Linear(IN, OUT)
    model.weight.requires_grad_(False)
    assert count_parameters(model) == IN * OUT + OUT
    assert count_parameters(model, trainable_only=True) == OUT


@pytest.mark.parametrize("batch", [1, 64])
def test_flops_are_told_before_there_are_inputs(batch: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
    model[2].eval()
    modes = [module.training for module in model.modules()]
    expected = batch * 4 * 36 * (2 * 27 + 1 + 3)  # with the running statistics: three steps
    assert estimate_flops(model, (batch, 3, 8, 8)) == expected
    assert [module.training for module in model.modules()] == modes


def test_flops_of_tokens_are_told() -> None:
    model = GPT(GPTConfig(vocab_size=7, block_size=5, n_layer=1, n_head=2, n_embd=12))
    tokens = tt.zeros(3, 5, dtype="int64")
    assert estimate_flops(model, (3, 5), dtype="int64") == count_flops(model, tokens).total


def test_multiply_accumulates_are_told_by_op() -> None:
    count = count_flops(nn.Sequential(nn.Linear(IN, OUT), nn.ReLU()), tt.ones(B, IN))
    assert count.macs_by_op == {"linear": B * IN * OUT}
    assert count.macs == B * IN * OUT

"""FLOPs against closed forms, op by op and layer by layer."""

from collections.abc import Callable

import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile import count_flops, count_parameters

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

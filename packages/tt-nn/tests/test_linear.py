"""Linear: how its weight starts and lies in memory, and the inputs it takes."""

import copy
import typing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F


@pytest.mark.module_04
def test_linear_starts_as_wide_as_torch_does() -> None:
    tt.manual_seed(0)
    layer = nn.Linear(100, 2000)
    for tensor in (layer.weight, layer.bias):
        values = tensor.detach().numpy()
        assert np.abs(values).max() <= 0.1
        assert abs(values.std() - 0.1 / np.sqrt(3)) < 0.002
        assert abs(values.mean()) < 0.005


@pytest.mark.module_04
@settings(max_examples=25, deadline=None)
@given(
    leading=st.lists(st.integers(0, 3), max_size=3),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_linear_takes_any_leading_dimensions(leading: list[int], sizes: tuple[int, int]) -> None:
    layer = nn.Linear(*sizes)
    x = np.random.default_rng(0).normal(size=(*leading, sizes[0])).astype(np.float32)
    expected = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    out = layer(tt.from_numpy(x)).detach().numpy()
    assert out.shape == (*leading, sizes[1])
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.module_04
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("rows", [5, 600])
def test_gradient_of_a_weight_lies_in_memory_as_the_weight(
    order: typing.Literal["C", "F"], rows: int
) -> None:
    x = np.random.default_rng(0).normal(size=(rows, 300))
    weight = nn.Parameter(tt.from_numpy(np.ones((200, 300), order=order)))
    F.linear(tt.from_numpy(x), weight).sum().backward()
    assert weight.grad is not None
    gradient = weight.grad.numpy()
    assert gradient.flags.fnc == (order == "F")
    np.testing.assert_allclose(gradient, np.tile(x.sum(0), (200, 1)), atol=1e-10)


@pytest.mark.module_04
def test_weight_of_linear_lies_by_columns() -> None:
    layer = nn.Linear(3, 4)
    assert layer.weight.detach().numpy().flags.fnc
    assert copy.deepcopy(layer).weight.detach().numpy().flags.fnc

"""Convolution and pooling in both orders of memory: of small batches and of large ones.

What they compute is tested over the table in testing/spatial_table.py (test_spatial.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F

pytestmark = pytest.mark.module_09

SMALL, LARGE = 3, 16  # batches: in C order, and with the batch last
Run = Callable[[tt.Tensor], tt.Tensor]


def plain_conv2d(
    x: Any, w: Any, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> Any:
    """The definition, for one group: each output is a sum of products."""
    x = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    high, wide = (d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(x, (high, wide), (2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    return np.einsum("nchwij,ocij->nohw", windows, w)


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=60, deadline=None)
@given(
    n=st.sampled_from([1, SMALL, LARGE, LARGE + 1]),
    channels=st.integers(1, 30),
    out_channels=st.integers(1, 5),
    groups=st.integers(1, 3),
    kernel=pairs,
    stride=pairs,
    padding=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    dilation=pairs,
    size=st.tuples(st.integers(7, 11), st.integers(7, 11)),
)
def test_any_convolution_agrees_with_its_definition(
    n: int,
    channels: int,
    out_channels: int,
    groups: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    size: tuple[int, int],
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, channels * groups, *size))
    w = rng.normal(size=(out_channels * groups, channels, *kernel))
    input, weight = tt.tensor(x, requires_grad=True), tt.tensor(w, requires_grad=True)
    out = F.conv2d(input, weight, None, stride, padding, dilation, groups)
    parts = zip(np.split(x, groups, axis=1), np.split(w, groups), strict=True)
    expected = np.concatenate(
        [plain_conv2d(a, b, stride, padding, dilation) for a, b in parts], axis=1
    )
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-10, atol=1e-10)

    # The map is linear in each argument: its transposes are its derivatives.
    g, dx, dw = (rng.normal(size=shape) for shape in (out.shape, x.shape, w.shape))
    out.backward(tt.tensor(g))
    assert input.grad is not None
    assert weight.grad is not None
    with tt.no_grad():
        along_x = F.conv2d(tt.tensor(dx), weight, None, stride, padding, dilation, groups)
        along_w = F.conv2d(input, tt.tensor(dw), None, stride, padding, dilation, groups)
    assert np.vdot(input.grad.numpy(), dx) == pytest.approx(np.vdot(g, along_x.numpy()))
    assert np.vdot(weight.grad.numpy(), dw) == pytest.approx(np.vdot(g, along_w.numpy()))


FUNCTIONS: dict[str, Run] = {
    "conv1d": lambda x: F.conv1d(x.flatten(2), tt.ones(4, 2, 3, dtype=tt.float64), padding="same"),
    "conv2d": lambda x: F.conv2d(x, tt.ones(4, 2, 3, 2, dtype=tt.float64), padding="same"),
    "depthwise": lambda x: F.conv2d(x, tt.ones(4, 1, 3, 3, dtype=tt.float64), groups=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(
        x, tt.ones(2, 3, 3, 3, dtype=tt.float64), stride=2, output_padding=1
    ),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (2, None)),
    "max_pool1d": lambda x: F.max_pool1d(x.flatten(2), 2, ceil_mode=True),
    "avg_pool1d": lambda x: F.avg_pool1d(x.flatten(2), 4, 3, 1),
}
functions = pytest.mark.parametrize("run", FUNCTIONS.values(), ids=FUNCTIONS)


@functions
def test_large_batches_give_what_small_ones_give(run: Run) -> None:
    x = np.random.default_rng(0).normal(size=(LARGE, 2, 5, 7))
    large = tt.tensor(x, requires_grad=True)
    out = run(large)
    g = np.random.default_rng(1).normal(size=out.shape)
    out.backward(tt.tensor(g))
    assert large.grad is not None
    for i in range(0, LARGE, 4):
        small = tt.tensor(x[i : i + 4], requires_grad=True)
        part = run(small)
        part.backward(tt.tensor(g[i : i + 4]))
        assert small.grad is not None
        np.testing.assert_allclose(out.detach().numpy()[i : i + 4], part.detach().numpy())
        np.testing.assert_allclose(large.grad.numpy()[i : i + 4], small.grad.numpy(), atol=1e-12)


@functions
@pytest.mark.parametrize("n", [2, LARGE])
def test_derivatives_of_derivatives(run: Run, n: int) -> None:
    x = tt.tensor(np.random.default_rng(0).permutation(n * 40).reshape(n, 2, 4, 5) / 7.0)
    assert tt.gradcheck(run, (x.requires_grad_(),), atol=1e-4)
    assert tt.gradgradcheck(lambda x: run(x * x), (x,), atol=1e-3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("n", [1, LARGE])
def test_second_derivatives_in_input_and_weight(n: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (
        tt.tensor(rng.normal(size=shape), requires_grad=True)
        for shape in ((n, 2, 4, 3), (2, 2, 3, 2), (2,))
    )
    run: Callable[..., tt.Tensor] = lambda x, w, b: F.conv2d(x, w, b, stride, (1, 1))  # noqa: E731
    assert tt.gradcheck(run, (x, w, b))
    assert tt.gradgradcheck(run, (x, w, b))


@functions
def test_an_empty_batch_gives_an_empty_result(run: Run) -> None:
    x = tt.zeros(0, 2, 5, 7, dtype=tt.float64, requires_grad=True)
    out = run(x)
    assert out.shape == (0, *run(tt.zeros(1, 2, 5, 7, dtype=tt.float64)).shape[1:])
    out.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == x.shape


def test_an_empty_batch_gives_parameters_gradients_of_zero() -> None:
    conv = nn.Conv2d(2, 3, 3)
    conv(tt.zeros(0, 2, 5, 5)).sum().backward()
    for parameter in conv.parameters():
        assert parameter.grad is not None
        assert not parameter.grad.numpy().any()


@pytest.mark.parametrize("n", [1, LARGE])
@pytest.mark.parametrize(
    ("values", "winner"),
    [
        ([1.0, 2.0, 2.0, 0.0], 1),  # of equal ones the first
        ([-np.inf] * 4, 0),
        ([1.0, np.nan, 2.0, np.nan], 3),  # of NaNs the last
        ([np.nan, 5.0, np.inf, 1.0], 0),
    ],
)
def test_who_receives_the_gradient_of_a_maximum(values: list[float], winner: int, n: int) -> None:
    x = tt.tensor(np.tile(np.reshape(values, (1, 1, 2, 2)), (n, 1, 1, 1)), requires_grad=True)
    out = F.max_pool2d(x, 2)
    np.testing.assert_array_equal(out.detach().numpy().ravel(), [np.max(values)] * n)
    out.backward(tt.full((n, 1, 1, 1), np.inf, dtype=tt.float64))
    assert x.grad is not None
    expected = np.where(np.arange(4) == winner, np.inf, 0.0)
    np.testing.assert_array_equal(x.grad.numpy().reshape(n, 4), np.tile(expected, (n, 1)))


def test_half_precision_is_computed_in_single() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 64, 6, 6)), rng.normal(size=(4, 64, 3, 3))
    out = F.conv2d(tt.tensor(x.astype(np.float16)), tt.tensor(w.astype(np.float16)))
    assert out.dtype == np.float16
    expected = plain_conv2d(
        x.astype(np.float16).astype(float),
        w.astype(np.float16).astype(float),
        (1, 1),
        (0, 0),
        (1, 1),
    )
    np.testing.assert_allclose(out.numpy().astype(float), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("n", [2, LARGE])
def test_means_of_half_precision_are_computed_in_single(n: int) -> None:
    x = tt.full((n, 1, 8, 8), 2000, dtype=tt.float16, requires_grad=True)  # whose sum is too large
    out = F.avg_pool2d(x, 8)
    assert out.dtype == np.float16
    np.testing.assert_array_equal(out.detach().numpy(), 2000)
    (grad,) = tt.grad(F.avg_pool2d(x, 3, 1), x, tt.full((n, 1, 6, 6), 0.5, dtype=tt.float16))
    assert grad.dtype == np.float16
    np.testing.assert_allclose(grad.numpy()[:, :, 2:-2, 2:-2], 0.5, rtol=1e-3)


@pytest.mark.parametrize("padding", [40, (0, 40)])
def test_padding_that_whole_kernels_lie_on(padding: int | tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(LARGE, 30, 3, 4)), rng.normal(size=(2, 30, 2, 3))
    margins = (padding, padding) if isinstance(padding, int) else padding
    out = F.conv2d(tt.tensor(x), tt.tensor(w), None, 2, padding, 2)
    np.testing.assert_allclose(out.numpy(), plain_conv2d(x, w, (2, 2), margins, (2, 2)), atol=1e-10)


@pytest.mark.parametrize("n", [2, LARGE])
def test_observers_see_what_counts_the_work(n: int) -> None:
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    seen = []
    with tt.observe(lambda event: seen.append(event)):
        conv(tt.ones(n, 4, 5, 5)).sum().backward()
    event = next(e for e in seen if e.op.name == "conv2d" and e.phase == "forward")
    assert event.shapes == ((n, 4, 5, 5), (6, 2, 3, 3), (6,))
    assert event.output is not None
    assert event.output.shape == (n, 6, 5, 5)
    assert event.params["groups"] == 2
    assert any(e.op.name == "conv2d" and e.phase == "backward" for e in seen)

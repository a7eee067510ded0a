"""Convolutions and poolings, over the table in testing/spatial_table.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from spatial_table import SPATIAL, Spatial
from tt_nn import functional as F

pytestmark = pytest.mark.module_09

configurations = pytest.mark.parametrize("spatial", SPATIAL, ids=str)


def parameters(module: nn.Module) -> dict[str, Any]:
    return {name: p.detach().numpy() for name, p in module.named_parameters()}


def gradients(
    spatial: Spatial, arrays: dict[str, Any], x: Any, g: Any
) -> tuple[dict[str, Any], Any]:
    """Return the gradients of parameters and input by HIPS autograd, of the reference."""

    def weighed(arrays: dict[str, Any], x: Any) -> Any:
        return anp.sum(g * spatial.reference(arrays, x, anp))

    return (autograd.grad(weighed, 0)(arrays, x) if arrays else {}), autograd.grad(weighed, 1)(
        arrays, x
    )


@configurations
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_agree_with_the_reference(spatial: Spatial, dtype: str) -> None:
    tt.manual_seed(0)
    module = spatial.make().to(dtype)
    x = tt.tensor(spatial.input().astype(dtype), requires_grad=True)
    out = module(x)
    arrays = {name: value.astype(float) for name, value in parameters(module).items()}
    input = x.detach().numpy().astype(float)
    expected = spatial.reference(arrays, input)
    tolerance: Any = {"rtol": 1e-10, "atol": 1e-11}
    if dtype == "float32":
        tolerance = {"rtol": 0, "atol": 2e-5}
    assert (out.shape, out.dtype) == (expected.shape, dtype)
    np.testing.assert_allclose(out.detach().numpy(), expected, **tolerance)

    g = np.random.default_rng(1).standard_normal(out.shape).astype(dtype)
    out.backward(tt.tensor(g))
    assert x.grad is not None
    if not x.numel():
        assert x.grad.shape == x.shape
        assert all(p.grad is not None and not p.grad.numpy().any() for p in module.parameters())
        return
    of_parameters, of_input = gradients(spatial, arrays, input, g.astype(float))
    np.testing.assert_allclose(x.grad.numpy(), of_input, **tolerance)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        np.testing.assert_allclose(
            parameter.grad.numpy(), of_parameters[name], err_msg=name, **tolerance
        )


ORDERS: dict[str, Callable[[Any], Any]] = {
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "batch last": lambda x: np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2),
    "reversed": lambda x: np.ascontiguousarray(x[..., ::-1])[..., ::-1],
    "every other": lambda x: np.repeat(np.repeat(x, 2, 0), 2, 3)[::2, :, :, ::2],
    "read-only": lambda x: np.broadcast_to(x, (2, *x.shape))[1],
}
ONE_OF_EACH = [
    next(s for s in SPATIAL if s.layer == layer and 0 not in s.shape and len(s.shape) == 4)
    for layer in ("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d")
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("spatial", ONE_OF_EACH, ids=lambda spatial: spatial.layer)
def test_the_order_of_memory_does_not_matter(spatial: Spatial, order: str) -> None:
    module, x = spatial.make().double(), spatial.input()
    results = []
    for array in (x, ORDERS[order](x)):
        np.testing.assert_array_equal(array, x)
        leaf = tt.from_numpy(array).requires_grad_()
        out = module(leaf)
        g = np.random.default_rng(1).standard_normal(out.shape)
        module.zero_grad()
        out.backward(tt.from_numpy(g if array is x else ORDERS[order](g)))
        assert leaf.grad is not None
        owned = [p.grad.numpy() for p in module.parameters() if p.grad is not None]
        results.append([out.detach().numpy(), leaf.grad.numpy(), *owned])
        np.testing.assert_array_equal(array, x)  # nothing has written to it
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "spatial",
    [s for s in SPATIAL if 0 not in s.shape and np.prod(s.shape) <= 150],
    ids=str,
)
def test_second_derivatives(spatial: Spatial) -> None:
    module = spatial.make().double()
    x = tt.tensor(spatial.input(), requires_grad=True)
    assert tt.gradgradcheck(lambda x: module(x), [x])


@pytest.mark.parametrize("spatial", [s for s in SPATIAL if 0 not in s.shape][::4], ids=str)
def test_each_image_by_itself(spatial: Spatial) -> None:
    """What a batch gives is what its images give: work is cut up by images."""
    module, x = spatial.make().double(), np.concatenate([spatial.input()] * 9)
    with tt.no_grad():
        together = module(tt.tensor(x)).numpy()
        apart = [module(tt.tensor(x[i : i + 1])).numpy() for i in range(len(x))]
    np.testing.assert_allclose(together, np.concatenate(apart), rtol=1e-12, atol=1e-13)


# What does not fit


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.Conv2d(3, 8, 5)(tt.ones(2, 3, 4, 4)),
            r"conv2d: expected .*at least 5x5.*4x4.*input float32 \(2, 3, 4, 4\)",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, dilation=3, padding=1)(tt.ones(2, 3, 4, 4)),
            r"conv2d: expected .*at least 7x7.*6x6",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3)(tt.ones(3, 8, 8)),
            r"conv2d: expected an input of shape \(N, 3, H, W\).*\(3, 8, 8\)",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3)(tt.ones(2, 4, 8, 8)),
            r"conv2d: expected an input of shape \(N, 3, H, W\).*\(2, 4, 8, 8\)",
        ),
        (
            lambda: nn.Conv1d(3, 8, 3)(tt.ones(2, 4, 8)),
            r"conv1d: expected an input of shape \(N, 3, L\).*\(2, 4, 8\)",
        ),
        (lambda: nn.Conv1d(3, 8, 9)(tt.ones(2, 3, 8)), r"conv1d: expected .*at least 9.* 8"),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3)(tt.ones(2, 4, 8, 8)),
            r"conv_transpose2d: expected an input of shape \(N, 3, H, W\).*\(2, 4, 8, 8\)",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, groups=2),
            "Conv2d: expected .*groups.*3.*2",
        ),
        (
            lambda: nn.Conv2d(4, 7, 3, groups=2),
            "Conv2d: expected .*groups.*7.*2",
        ),
        (lambda: nn.Conv2d(4, 8, 3, groups=0), "Conv2d: expected groups.*0"),
        (lambda: nn.Conv2d(0, 8, 3), "Conv2d: expected in_channels.* 0"),
        (lambda: nn.Conv2d(3, 8, 0), "Conv2d: expected kernel_size.* 0"),
        (lambda: nn.Conv2d(3, 8, 3, stride=0), "Conv2d: expected stride.* 0"),
        (lambda: nn.Conv2d(3, 8, 3, padding=-1), "Conv2d: expected padding.* -1"),
        (lambda: nn.Conv2d(3, 8, 3, dilation=0), "Conv2d: expected dilation.* 0"),
        (
            lambda: nn.Conv2d(3, 8, cast(Any, (3, 3, 3))),
            r"Conv2d: expected kernel_size.*\(3, 3, 3\)",
        ),
        (
            lambda: nn.Conv2d(3, 8, 3, stride=2, padding="same"),
            r"Conv2d: .*padding.*'same'.*stride",
        ),
        (
            lambda: nn.ConvTranspose2d(3, 8, 3, output_padding=1)(tt.ones(1, 3, 4, 4)),
            "ConvTranspose2d: expected output_padding below the stride",
        ),
        (
            lambda: F.conv2d(tt.ones(1, 3, 8, 8), tt.ones(4, 3, 3)),
            r"conv2d: expected a weight of shape \(out_channels, in_channels",
        ),
        (
            lambda: F.conv2d(tt.ones(1, 3, 8, 8), tt.ones(4, 3, 3, 3), tt.ones(3)),
            r"conv2d: expected a bias of shape \(4,\)",
        ),
        (lambda: nn.MaxPool2d(5)(tt.ones(2, 3, 4, 4)), r"max_pool2d: expected .*5x5.*4x4"),
        (lambda: nn.AvgPool2d(5)(tt.ones(2, 3, 4, 4)), r"avg_pool2d: expected .*5x5.*4x4"),
        (lambda: nn.MaxPool2d(2)(tt.ones(4, 4)), r"max_pool2d: expected an input of shape \(N, C"),
        (
            lambda: nn.MaxPool2d(2, padding=2)(tt.ones(1, 1, 4, 4)),
            "(?i)max_?pool2d: expected padding.* 2",
        ),
        (
            lambda: nn.AvgPool2d(2, padding=2)(tt.ones(1, 1, 4, 4)),
            "(?i)avg_?pool2d: expected padding.* 2",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d(2)(tt.ones(4, 4)),
            r"adaptive_avg_pool2d: expected an input of shape \(N, C",
        ),
        (
            lambda: nn.AdaptiveAvgPool2d(0)(tt.ones(1, 1, 4, 4)),
            "(?i)adaptive_?avg_?pool2d: expected output_size.* 0",
        ),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: expected kernel_size.* 0"),
        *(
            (
                lambda shape=shape: F.conv2d(tt.ones(1, shape[1], 3, 3), tt.ones(*shape)),
                "conv2d: expected a weight of at least one",
            )
            for shape in ((0, 1, 2, 2), (1, 0, 2, 2), (1, 1, 0, 2))
        ),
        (
            lambda: F.conv_transpose2d(tt.ones(1, 1, 3, 3), tt.ones(1, 1, 2, 0)),
            "conv_transpose2d: expected a weight of at least one",
        ),
    ],
)
def test_wrong_shapes_and_values_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("spatial", ONE_OF_EACH, ids=lambda spatial: spatial.layer)
def test_what_is_no_tensor_is_refused(spatial: Spatial) -> None:
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        spatial.make()([[[[1.0]]]])


def test_nan_goes_through_the_maximum() -> None:
    x = tt.tensor([[[[1.0, np.nan], [0.0, -np.inf]]]])
    assert np.isnan(nn.MaxPool2d(2)(x).item())
    x = tt.full((1, 1, 2, 2), -np.inf)
    assert nn.MaxPool2d(2)(x).item() == -np.inf

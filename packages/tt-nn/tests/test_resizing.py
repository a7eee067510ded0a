"""Layers that change the size of images, and the shapes that they refuse."""

import typing

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F


@pytest.mark.module_09
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.Dropout2d()(tt.ones(2, 3, 4)),
            r"dropout2d: expected an input of shape \(N, C, H, W\), got \(2, 3, 4\)",
        ),
        (lambda: nn.Dropout1d()(tt.ones(3, 4)), r"dropout1d: expected .* \(N, C, L\)"),
        (lambda: nn.Dropout2d(-1), "Dropout2d: expected p from 0 to 1, got -1"),
        (lambda: nn.ZeroPad2d((1, 2)), r"ZeroPad2d: expected one int or four, got \(1, 2\)"),
        (lambda: nn.ZeroPad2d(-2)(tt.ones(1, 1, 3, 3)), "pad: widths .* cut more than shape"),
        (lambda: nn.Upsample(), "Upsample: expected either size or scale_factor"),
        (lambda: nn.Upsample(4, 2.0), "Upsample: expected either size or scale_factor"),
        (lambda: nn.Upsample(0), "Upsample: expected size to be positive, got 0"),
        (lambda: nn.Upsample(scale_factor=-1), "Upsample: expected scale_factor to be positive"),
        (
            lambda: nn.Upsample(2, mode=typing.cast(typing.Any, "cubic")),
            "Upsample: expected mode 'nearest', 'linear' or 'bilinear', got 'cubic'",
        ),
        (lambda: nn.Upsample(2, align_corners=True), "Upsample: align_corners is for modes"),
        (
            lambda: F.interpolate(tt.ones(2, 3, 4), 2, mode="bilinear"),
            r"interpolate: expected an input of shape \(N, C, H, W\) for mode 'bilinear', got",
        ),
        (
            lambda: F.interpolate(tt.ones(2, 3, 4, 4), (2, 2, 2)),
            r"interpolate: expected one size or 2, got \(2, 2, 2\)",
        ),
        (
            lambda: F.interpolate(tt.ones(2, 3, 4, 4), scale_factor=0.1),
            r"interpolate: expected positive ints as sizes, got \(0, 0\) from \(4, 4\)",
        ),
    ],
)
def test_wrong_shapes_of_images_are_refused(call: typing.Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.module_09
def test_flattening_and_resizing_take_any_order_of_memory() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    last = np.ascontiguousarray(x.transpose(2, 1, 3, 0)).transpose(3, 1, 0, 2)
    for layer in (
        nn.Flatten(),
        nn.Flatten(2),
        nn.Unflatten(1, (3, 1)),
        nn.ZeroPad2d((1, 0, 2, -1)),
        nn.Upsample(scale_factor=(2, 1.5)),
        nn.Upsample(size=(3, 7), mode="bilinear"),
    ):
        results = []
        for array in (x, last):
            leaf = tt.from_numpy(array).requires_grad_()
            out = layer(leaf)
            (out * out).sum().backward()
            assert leaf.grad is not None
            results.append((out.detach().numpy(), leaf.grad.numpy()))
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13)


@pytest.mark.module_09
def test_upsampling_keeps_infinities_where_they_are() -> None:
    x = tt.tensor([[[[np.inf, 1.0], [np.nan, 2.0]]]])
    out = nn.Upsample(scale_factor=2)(x).numpy()
    np.testing.assert_array_equal(out, x.numpy().repeat(2, 2).repeat(2, 3))

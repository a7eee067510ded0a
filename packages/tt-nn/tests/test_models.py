"""The models of module 09: MLP, LeNet-5, ResNet and the fast network for CIFAR-10."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import MLP, CifarNet, LeNet5, ResNet

pytestmark = pytest.mark.module_09

# name: how it is made, the shape of its input, its number of parameters
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "MLP": (lambda: MLP(12, 8, 4, 3), (5, 12), 13 * 8 + 9 * 4 + 5 * 3),
    "MLP of one map": (lambda: MLP(12, 3), (5, 12), 13 * 3),
    "LeNet5": (LeNet5, (2, 1, 32, 32), 61_706),
    "LeNet5 in colour": (lambda: LeNet5(3, 7), (2, 3, 32, 32), 61_706 + 2 * 150 - 3 * 85),
    "ResNet(8)": (lambda: ResNet(8), (2, 3, 32, 32), 75_290),
    "ResNet(20)": (lambda: ResNet(20), (2, 3, 16, 15), 269_722),
    "ResNet of two stages": (lambda: ResNet(8, 1, 5, widths=(4, 6)), (2, 1, 8, 8), 947),
    "CifarNet": (CifarNet, (2, 3, 32, 32), 614_256 + 624 + 24 * 12),
    "CifarNet of other sizes": (
        lambda: CifarNet((4, 6, 8), in_channels=1, num_classes=5),
        (2, 1, 9, 10),
        8 * 4 + 9 * (8 * 4 + 4 * 4 + 4 * 6 + 6 * 6 + 6 * 8 + 8 * 8) + 2 * 2 * 18 + 5 * 8,
    ),
}
models = pytest.mark.parametrize("name", MODELS)


@models
def test_scores_and_gradients_have_their_shapes(name: str) -> None:
    make, shape, parameters = MODELS[name]
    tt.manual_seed(0)
    model = make()
    assert sum(p.numel() for p in model.parameters()) == parameters
    out = model(tt.randn(*shape))
    assert out.shape[0] == shape[0]
    assert out.ndim == 2
    nn.CrossEntropyLoss()(out, tt.zeros(shape[0], dtype="int64")).backward()
    for path, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, path
            assert np.isfinite(parameter.grad.numpy()).all(), path
            assert parameter.grad.numpy().any(), path


@models
def test_state_goes_through_a_file(name: str, tmp_path: Path) -> None:
    make, shape, _ = MODELS[name]
    tt.manual_seed(0)
    first, second = make(), make()
    x = tt.randn(*shape)
    first(x)  # moves running statistics
    nn.save(first.state_dict(), tmp_path / "model.safetensors")
    assert second.load_state_dict(nn.load(tmp_path / "model.safetensors")) == ([], [])
    np.testing.assert_array_equal(
        first.eval()(x).detach().numpy(), second.eval()(x).detach().numpy()
    )


@models
def test_images_do_not_look_at_each_other_in_evaluation(name: str) -> None:
    make, shape, _ = MODELS[name]
    tt.manual_seed(0)
    model, x = make().eval(), tt.randn(*shape)
    with tt.no_grad():
        whole = model(x).numpy()
        apart = np.concatenate([model(x[i : i + 1]).numpy() for i in range(len(x))])
    np.testing.assert_allclose(whole, apart, rtol=1e-4, atol=1e-5 * abs(whole).max())


def test_a_residual_block_of_nothing_is_its_shortcut() -> None:
    model = ResNet(8, widths=(4, 6)).eval()
    for block in model.blocks:
        last = block.get_submodule("body.4")
        assert isinstance(last, nn.BatchNorm2d)
        assert last.weight is not None
        with tt.no_grad():
            last.weight.zero_()
    x = tt.rand(2, 4, 6, 6)
    np.testing.assert_array_equal(model.blocks[0](x).detach().numpy(), x.numpy())
    out = model.blocks[1](x).detach().numpy()
    np.testing.assert_array_equal(out[:, 1:5], x.numpy()[:, :, ::2, ::2])
    assert not out[:, 0].any()
    assert not out[:, 5].any()


# The fast network


def images(count: int) -> tt.Tensor:
    """Return images whose neighbouring pixels are alike, as those of photographs are."""
    rng = np.random.default_rng(0)
    fine, coarse = rng.normal(size=(count, 3, 16, 16)), rng.normal(size=(count, 1, 4, 4))
    x = 0.3 * fine + coarse.repeat(4, 2).repeat(4, 3) + 0.2
    return tt.tensor(x.astype(np.float32))


def test_the_stem_whitens() -> None:
    x = images(1100)  # more than are worked on at a time
    model = CifarNet((4, 4, 4)).whiten(x, eps=0.0)
    out = model.stem(x).numpy()  # (N, 24, 15, 15)
    np.testing.assert_array_equal(out[:, 12:], -out[:, :12])
    rows = out[:, :12].transpose(1, 0, 2, 3).reshape(12, -1)
    np.testing.assert_allclose(rows @ rows.T / rows.shape[1], np.eye(12), atol=2e-3)
    assert not any(p.requires_grad for p in model.stem.parameters())


def test_the_stem_does_not_blow_up_what_is_small() -> None:
    x = images(20)
    x[:, 1] = x[:, 0]  # two channels alike: some eigenvalues are 0
    model = CifarNet((4, 4, 4)).whiten(x)
    weight = model.stem.weight.detach().numpy()
    assert np.isfinite(weight).all()
    norms = np.linalg.norm(weight.reshape(24, -1), axis=1)
    assert norms.max() <= 1 / np.sqrt(5e-4) * 1.001
    assert (np.diff(norms[:12]) >= 0).all()  # the largest eigenvalue first


def test_filters_start_as_the_identity() -> None:
    model = CifarNet((24, 32, 8))
    convolutions = [m for m in model.layers.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [
        (24, 24), (24, 24), (24, 32), (32, 32), (32, 8), (8, 8),
    ]  # fmt: skip
    for convolution in convolutions:
        same = min(convolution.in_channels, convolution.out_channels)
        x = tt.randn(2, convolution.in_channels, 5, 5)
        out = convolution(x).detach().numpy()
        np.testing.assert_allclose(out[:, :same], x.numpy()[:, :same], atol=1e-6)
        rest = convolution.weight.detach().numpy()[same:]
        bound = 1 / np.sqrt(9 * convolution.in_channels)
        assert (abs(rest) <= bound).all()
        assert not rest.size or abs(rest).max() > 0.9 * bound


def test_what_is_learned_and_what_is_not() -> None:
    model = CifarNet()
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all(bn.momentum == 0.4 and bn.eps == 1e-5 for bn in norms)
    assert {name for name in frozen if name.startswith("layers")} == {
        f"layers.{i}.weight" for i, m in enumerate(model.layers) if isinstance(m, nn.BatchNorm2d)
    }
    assert frozen - {name for name in frozen if name.startswith("layers")} == {"stem.weight"}
    assert model.head.weight.detach().numpy().std(ddof=1) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MLP(3), r"MLP: expected the sizes of at least input and output, got \(3,\)"),
        (lambda: MLP(3, 0), "Linear: expected out_features to be a positive int, got 0"),
        (
            lambda: LeNet5()(tt.ones(1, 1, 28, 28)),
            r"LeNet5: expected images of shape \(N, C, 32, 32\), got \(1, 1, 28, 28\)",
        ),
        (lambda: ResNet(18), r"ResNet: expected a depth of 6n \+ 2 .*, got 18"),
        (lambda: ResNet(8, widths=()), "ResNet: expected the width of at least one stage"),
        (lambda: ResNet(8, widths=(8, 4)), "ResidualBlock: expected at least as many output"),
        (lambda: CifarNet(cast(Any, (1, 2))), r"CifarNet: expected three widths, got \(1, 2\)"),
        (
            lambda: CifarNet().whiten(tt.ones(2, 1, 4, 4)),
            r"whiten: expected images of shape \(N, 3, H, W\), .* got \(2, 1, 4, 4\)",
        ),
        (lambda: CifarNet().whiten(tt.ones(0, 3, 4, 4)), "whiten: expected images"),
        (lambda: CifarNet().whiten(tt.ones(5, 3, 1, 4)), "whiten: expected images.* at least 2x2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

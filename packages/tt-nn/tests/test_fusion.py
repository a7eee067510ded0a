"""Folding of batch normalisation into what stands before it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import ResNet

pytestmark = pytest.mark.module_09


def trained(model: nn.Module, *shape: int) -> nn.Module:
    """Give normalisations statistics and parameters that are not those that they start with."""
    tt.manual_seed(0)
    with tt.no_grad():
        for _ in range(3):
            model(1 + 2 * tt.randn(*shape))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.weight is not None:
                assert module.bias is not None
                nn.init.uniform_(module.weight, -2, 2)
                nn.init.normal_(module.bias)
    return model.eval()


def agree(a: nn.Module, b: nn.Module, *shape: int) -> None:
    x = tt.randn(*shape)
    with tt.no_grad():
        expected = a(x).numpy()
        np.testing.assert_allclose(
            b(x).numpy(), expected, rtol=1e-4, atol=1e-5 * float(abs(expected).max())
        )


PAIRS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv2d": (lambda: nn.Conv2d(3, 4, 3), lambda: nn.BatchNorm2d(4), (5, 3, 6, 7)),
    "Conv2d without bias": (
        lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1, bias=False),
        lambda: nn.BatchNorm2d(6, eps=0.1),
        (5, 4, 6, 7),
    ),
    "Conv2d, BatchNorm2d without parameters": (
        lambda: nn.Conv2d(3, 4, 1),
        lambda: nn.BatchNorm2d(4, affine=False),
        (5, 3, 6, 7),
    ),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 3), lambda: nn.BatchNorm1d(4), (5, 3, 9)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(3, 4, 3, stride=2),
        lambda: nn.BatchNorm2d(4),
        (5, 3, 6, 7),
    ),
    "ConvTranspose2d in groups": (
        lambda: nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False),
        lambda: nn.BatchNorm2d(6),
        (5, 4, 6, 7),
    ),
    "Linear": (lambda: nn.Linear(3, 4), lambda: nn.BatchNorm1d(4), (9, 3)),
    "Linear without bias": (
        lambda: nn.Linear(3, 4, bias=False),
        lambda: nn.BatchNorm1d(4),
        (9, 3),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_one_layer_does_what_two_did(name: str) -> None:
    make, make_bn, shape = PAIRS[name]
    model = trained(nn.Sequential(make(), make_bn()), *shape)
    layer, bn = model.get_submodule("0"), model.get_submodule("1")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    if isinstance(layer, nn.Linear):
        assert isinstance(bn, nn.BatchNorm1d)
        fused: nn.Module = nn.fuse_linear_bn_eval(layer, bn)
    else:
        assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d)
        assert isinstance(bn, nn.BatchNorm1d | nn.BatchNorm2d)
        fused = nn.fuse_conv_bn_eval(layer, bn)
    agree(model, fused, *shape)
    agree(model, nn.fuse_bn_eval(model), *shape)
    assert type(fused) is type(layer)
    assert not fused.training
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key].numpy(), err_msg=key)


def test_all_pairs_of_a_model() -> None:
    model = trained(ResNet(8), 4, 3, 16, 16)
    fused = nn.fuse_bn_eval(model)
    agree(model, fused, 4, 3, 16, 16)
    kinds = [type(module).__name__ for module in fused.modules()]
    assert "BatchNorm2d" not in kinds
    assert [type(module).__name__ for module in model.modules()].count("BatchNorm2d") == 7
    assert kinds.count("Identity") == 7


class Net(nn.Module):
    """Pairs that are no neighbours in a Sequential, and some that cannot be folded."""

    def __init__(self) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(4)
        self.bn2 = nn.BatchNorm2d(4)
        self.bn3 = nn.BatchNorm2d(4)
        self.bn4 = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.conv3 = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        x = tt.relu(self.bn1(self.conv1(x)))
        raw = self.conv2(x)
        x = self.bn2(raw) + raw  # whose output something else reads
        x = self.bn3(self.conv3(x)) + self.conv3(x)  # which runs twice
        return self.bn4(tt.relu(x))


def test_pairs_as_a_call_shows_them() -> None:
    model = trained(Net(), 4, 4, 5, 5)
    fused = nn.fuse_bn_eval(model, tt.ones(1, 4, 5, 5))
    agree(model, fused, 4, 4, 5, 5)
    assert isinstance(fused, Net)
    kinds = {name: type(child).__name__ for name, child in fused.named_children()}
    assert [name for name, kind in kinds.items() if kind == "Identity"] == ["bn1"]
    handle = fused.conv1.register_forward_hook(lambda *_: None)
    handle.remove()
    unchanged = nn.fuse_bn_eval(model)
    assert not any(isinstance(module, nn.Identity) for module in unchanged.modules())


def test_what_stands_twice_stays() -> None:
    conv, bn = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)
    model = trained(nn.Sequential(conv, bn, conv), 4, 2, 3, 3)
    fused = nn.fuse_bn_eval(model)
    agree(model, fused, 4, 2, 3, 3)
    assert isinstance(fused.get_submodule("1"), nn.BatchNorm2d)


class Ones(nn.Conv2d):
    """A convolution that makes its weight at each reading, as quantized ones do."""

    weight = property(lambda layer: tt.ones(layer.out_channels, layer.in_channels, 1, 1))


def ones() -> nn.Conv2d:
    layer = nn.Conv2d(1, 2, 1)
    del layer.weight
    layer.__class__ = Ones
    return layer.eval()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: nn.fuse_conv_bn_eval(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2).eval()),
            r"fuse_conv_bn_eval: expected evaluation mode.*call eval\(\) on the Conv2d first",
        ),
        (
            lambda: nn.fuse_conv_bn_eval(nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(2)),
            r"fuse_conv_bn_eval: expected evaluation mode.*call eval\(\) on the BatchNorm2d first",
        ),
        (
            lambda: nn.fuse_bn_eval(nn.Sequential(nn.Linear(1, 2))),
            r"fuse_bn_eval: expected evaluation mode.*call eval\(\) on the Sequential first",
        ),
        (
            lambda: nn.fuse_conv_bn_eval(nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(3).eval()),
            "expected a normalisation of the 2 channels that Conv2d puts out, got 3",
        ),
        (
            lambda: nn.fuse_conv_bn_eval(
                nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(2, track_running_stats=False).eval()
            ),
            "fuse_conv_bn_eval: expected running statistics",
        ),
        (
            lambda: nn.fuse_linear_bn_eval(nn.Linear(1, 2), nn.BatchNorm1d(2).eval()),
            "fuse_linear_bn_eval: expected evaluation mode",
        ),
        (
            lambda: nn.fuse_bn_eval(nn.Sequential(ones(), nn.BatchNorm2d(2)).eval()),
            "fuse_bn_eval: expected layer '0' to keep its weight; Ones.*fold before quantizing",
        ),
        (
            lambda: nn.fuse_conv_bn_eval(ones(), nn.BatchNorm2d(2).eval()),
            "fuse_conv_bn_eval: expected the layer to keep its weight",
        ),
    ],
)
def test_what_cannot_be_folded_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

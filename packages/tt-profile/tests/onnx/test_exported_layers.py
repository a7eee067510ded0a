"""Every layer of tt-nn, exported and run by onnxruntime."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from layer_table import LAYERS, Layer
from spatial_table import SPATIAL, Spatial
from tt_nn.models import (
    GPT,
    MLP,
    CifarNet,
    GPTConfig,
    LeNet5,
    ModernGPT,
    ModernGPTConfig,
    ResNet,
)
from tt_profile.onnx import check, export

onnx: Any = pytest.importorskip("onnx", reason="needs onnx: tt-profile[onnx]")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: tt-profile[onnx]")
pytestmark = pytest.mark.module_18

BATCH_SIZES = (1, 2, 3, 7)


def randomised(model: nn.Module) -> nn.Module:
    """Give every parameter and statistic a value of its own, so that nothing is just 0 or 1."""
    rng = np.random.default_rng(0)
    with tt.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor += tt.from_numpy(rng.normal(0, 0.05, tensor.shape).astype(np.float32))
    return model


def normal(*shape: int) -> tt.Tensor:
    return tt.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def tokens(*shape: int) -> tt.Tensor:
    return tt.from_numpy(np.random.default_rng(0).integers(0, 11, shape))


def agree(path: Path, model: nn.Module, inputs: Any, **how: Any) -> None:
    randomised(model)
    export(model, inputs, path, **how)
    assert check(path, model, inputs, BATCH_SIZES) < 1e-4


def of_table(layer: Layer) -> list[tt.Tensor]:
    """Return the inputs of a row, with samples also where the row has none."""
    if 0 in layer.shapes[0]:
        return [normal(*[n or 2 for n in shape]) for shape in layer.shapes]
    return [tt.from_numpy(np.asarray(x, np.float32)) for x in layer.inputs()]


def batch_dim(layer: Layer) -> int | None:
    """Return the dimension of the samples; None for a single one."""
    if not layer.shapes[0] or layer.name.endswith("of a vector"):
        return None
    return 1 if layer.kind == "transformer" and layer.name != "Transformer" else 0


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_a_layer_agrees(layer: Layer, tmp_path: Path) -> None:
    dim = batch_dim(layer)
    agree(
        tmp_path / "model.onnx", layer.make(), of_table(layer),
        dynamic_batch=dim is not None, batch_dim=dim or 0,
    )  # fmt: skip


@pytest.mark.parametrize("spatial", SPATIAL, ids=str)
def test_a_convolution_or_a_pool_agrees(spatial: Spatial, tmp_path: Path) -> None:
    shape = [n or 2 for n in spatial.shape]
    agree(tmp_path / "model.onnx", spatial.make(), normal(*shape))


@dataclass(frozen=True)
class Case:
    """A model, how it is called, and how it is exported."""

    name: str
    make: Callable[[], nn.Module]
    inputs: Any
    how: dict[str, Any] = field(default_factory=dict)


def attention(**more: Any) -> Callable[[], nn.Module]:
    return lambda: nn.MultiheadAttention(8, 4, **{"batch_first": True, **more})


class Words(nn.Module):
    """Embeds tokens and hides the padding from an encoder, by a mask that it makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 8, padding_idx=0)
        self.places = nn.SinusoidalPositions(8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
        self.start = nn.Parameter(tt.ones(1, 1, 8))

    def forward(self, words: tt.Tensor) -> dict[str, tt.Tensor]:
        x = self.places(self.table(words))
        x = tt.concat([self.start.expand(x.shape[0], -1, -1), x], 1)
        padding = tt.concat([tt.zeros(x.shape[0], 1, dtype="bool"), words == 0], 1)
        encoded = self.encoder(x, src_key_padding_mask=padding)
        return {"first": encoded[:, 0], "rest": encoded[:, 1:]}


class Padded(nn.Module):
    """Attends from every position to itself and those before, but for padding that it knows."""

    def __init__(self, padding: tt.Tensor) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 4, batch_first=True)
        self.padding = padding.numpy()

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        padding = tt.tensor(self.padding)
        return self.attention(x, x, x, padding, need_weights=False, is_causal=True)[0]


X, MEMORY = normal(3, 5, 8), normal(3, 6, 8)
HIDDEN = tt.tensor([[False] * 5, [False] * 3 + [True] * 2, [False, True] * 2 + [False]])
NUMBERS = tt.where(HIDDEN, -math.inf, normal(3, 5))
LATER = tt.tensor(np.triu(np.full((5, 5), -np.inf, np.float32), 1))
GROUPED = attention(num_kv_heads=2)

CASES = [
    Case("attention with weights", attention(), (X, X, X)),
    Case("attention to itself", attention(), (X, X, X, None, False)),
    Case("attention to another", attention(), (X, MEMORY, MEMORY)),
    Case("attention without bias", attention(bias=False), (X, X, X, None, False)),
    Case(
        "attention of other sizes",
        attention(kdim=6, vdim=4),
        (X, normal(3, 7, 6), normal(3, 7, 4)),
    ),
    Case("grouped heads", GROUPED, (X, X, X, None, False)),
    Case("grouped heads, causal, with weights", GROUPED, (X, X, X, None, True, None, False, True)),
    Case("grouped heads to another", GROUPED, (X, MEMORY, MEMORY, None, False)),
    Case("grouped heads, padding", GROUPED, (X, X, X, HIDDEN, False)),
    Case("causal attention", attention(), (X, X, X, None, False, None, True, True)),
    Case("padding", attention(), (X, X, X, HIDDEN, False)),
    Case("padding, with weights", attention(), (X, X, X, HIDDEN, True)),
    Case("padding, causal", attention(), (X, X, X, HIDDEN, False, None, True, True)),
    Case("numbers as padding, causal", attention(), (X, X, X, NUMBERS, False, None, True, True)),
    Case("grouped heads, padding, causal", GROUPED, (X, X, X, HIDDEN, False, None, True, True)),
    Case("padding that is fixed, causal", lambda: Padded(HIDDEN), X, {"dynamic_batch": False}),
    Case("numbers that are fixed, causal", lambda: Padded(NUMBERS), X, {"dynamic_batch": False}),
    Case(
        "a mask that samples share",
        attention(),
        (X, X, X, None, False, LATER),
        {"batch_dim": (0, None)},
    ),
    Case("length first", attention(batch_first=False), (X, X, X), {"batch_dim": 1}),
    Case("a single sample", attention(), (X[0],) * 3, {"dynamic_batch": False}),
    Case("embedding", lambda: nn.Embedding(11, 4, padding_idx=0), tokens(2, 5)),
    Case("learned positions", lambda: nn.LearnedPositions(8, 4), normal(2, 5, 4)),
    Case("sinusoidal positions", lambda: nn.SinusoidalPositions(4), normal(2, 5, 4)),
    Case("rotary positions", lambda: nn.RotaryPositions(4), normal(2, 3, 5, 4)),
    Case("ModuleList", lambda: Each(nn.ModuleList([nn.Linear(3, 3), nn.Tanh()])), normal(2, 3)),
    Case("ModuleDict", lambda: Each(nn.ModuleDict({"a": nn.Linear(3, 3)})), normal(2, 3)),
    Case("words", Words, tokens(3, 5)),
    Case("MLP", lambda: MLP(8, 16, 4), normal(2, 8)),
    Case("LeNet5", LeNet5, normal(1, 1, 32, 32)),
    Case("ResNet", lambda: ResNet(8, widths=(4, 8, 8)), normal(1, 3, 16, 16)),
    Case("CifarNet", lambda: CifarNet((8, 12, 16)), normal(1, 3, 16, 16)),
    Case("GPT", lambda: GPT(GPTConfig(11, 8, 2, 2, 16)), tokens(1, 8)),
    Case(
        "GPT of another kind",
        lambda: GPT(
            GPTConfig(11, 8, 1, 2, 16, 0.1, bias=False, tie_weights=False, positions="sinusoidal")
        ),
        tokens(2, 7),
    ),
    Case("ModernGPT", lambda: ModernGPT(ModernGPTConfig(11, 8, 2, 2, 16)), tokens(1, 8)),
]


class Each(nn.Module):
    """Runs the members of a container one after another."""

    def __init__(self, members: nn.Module) -> None:
        super().__init__()
        self.members = members

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        for member in self.members.children():
            x = member(x)
        return x


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_model_agrees(case: Case, tmp_path: Path) -> None:
    agree(tmp_path / "model.onnx", case.make(), case.inputs, **case.how)


def test_every_layer_is_among_these() -> None:
    made = [layer.make() for layer in LAYERS] + [case.make() for case in CASES]
    tested = {type(module) for model in made for module in model.modules()}
    public = [getattr(nn, name) for name in vars(nn)]
    layers = {x for x in public if isinstance(x, type) and issubclass(x, nn.Module)}
    losses = {layer for layer in layers if layer.__name__.endswith("Loss")}
    assert layers - losses - tested == {nn.Module}


@pytest.mark.parametrize("opset", [20, 21, 23])
@pytest.mark.parametrize("name", ["GPT", "CifarNet", "words"])
def test_opsets_agree(opset: int, name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    agree(tmp_path / "model.onnx", case.make(), case.inputs, opset=opset)
    versions = {
        each.domain: each.version for each in onnx.load(tmp_path / "model.onnx").opset_import
    }
    assert versions == {"": opset}


def test_a_batch_that_is_empty_agrees(tmp_path: Path) -> None:
    model, x = MLP(8, 16, 4), normal(2, 8)
    export(model, x, tmp_path / "model.onnx")
    assert check(tmp_path / "model.onnx", model, x, batch_sizes=(0,)) < 1e-4

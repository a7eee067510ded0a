"""Which ops can be exported: known without onnx."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from layer_table import LAYERS, Layer
from spatial_table import SPATIAL
from tt_profile.onnx import EXPORTED, check, export
from tt_tensor import observe, ops

pytestmark = pytest.mark.module_18

# What writes in place, and what only backward passes run
NOT_EXPORTED = {"setitem", "unindex"}


def test_every_op_of_tensors_is_exported_or_said_not_to_be() -> None:
    assert {op.name for op in ops.ALL} - EXPORTED == NOT_EXPORTED


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_every_op_that_a_layer_runs_is_exported(layer: Layer) -> None:
    model, ran = layer.make().eval(), set()
    with observe(lambda event: ran.add(event.op.name)):
        model(*[tt.from_numpy(x) for x in layer.inputs()])
    assert ran <= EXPORTED


def test_every_op_that_a_convolution_or_a_pool_runs_is_exported() -> None:
    layers, ran = [spatial.make().eval() for spatial in SPATIAL], set()
    with observe(lambda event: ran.add(event.op.name)):
        for spatial, layer in zip(SPATIAL, layers, strict=True):
            layer(tt.from_numpy(spatial.input().astype(np.float32)))
    assert ran <= EXPORTED


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_the_error_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    function = {"onnx": export, "onnxruntime": check}[missing]
    arguments = (nn.Linear(2, 2), tt.ones(1, 2))
    ordered = (*arguments, "model.onnx") if function is export else ("model.onnx", *arguments)
    with pytest.raises(ImportError, match=rf'needs {missing}.*pip install "tt-profile\[onnx\]"'):
        function(*ordered)  # type: ignore[operator]  # two functions of unlike arguments

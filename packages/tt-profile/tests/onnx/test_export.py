"""What is in an exported file, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from op_calls import OpCall, calls_of
from op_table import convert
from tt_nn.models import GPT, GPTConfig
from tt_profile.onnx import ExportError, check, export

onnx: Any = pytest.importorskip("onnx", reason="needs onnx: tt-profile[onnx]")
runtime: Any = pytest.importorskip("onnxruntime", reason="needs onnxruntime: tt-profile[onnx]")
pytestmark = pytest.mark.module_18

X = tt.from_numpy(np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))


class Formula(nn.Module):
    """A layer that a user writes as a formula."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def weights(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays that are stored in a file, by name."""
    stored = onnx.load(path).graph.initializer
    return {each.name: onnx.numpy_helper.to_array(each) for each in stored}


# The ops, as a user's layer calls them


def refused(call: OpCall) -> str | None:
    """Return what the error of a call says that no graph can hold; None for the others."""
    args, kwargs = call.sample
    if call.case.name in ("setitem", "unindex"):
        return "cannot be exported"
    if call.case.name == "one_hot" and kwargs.get("num_classes", args[1:] or -1) == -1:
        return "pass num_classes"
    if call.case.name.startswith("getitem"):
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        arrays = [np.asarray(part) for part in index if isinstance(part, np.ndarray | list)]
        if any(each.dtype == bool for each in arrays) or any(
            isinstance(part, bool) for part in index
        ):
            return "a mask of bools"
        if len(arrays) > 1:
            return "at most one tensor"
        if arrays and any(isinstance(part, int) for part in index):
            return "no ints beside a tensor"
    return None


def with_values(calls: list[OpCall]) -> list[OpCall]:
    """Leave out calls without a tensor, and of tensors without values, which have no samples."""
    kept = []
    for call in calls:
        arrays: list[Any] = []
        convert(call.sample[0], arrays.append)
        if arrays and all(array.size for array in arrays):
            kept.append(call)
    return kept


CALLS = with_values(calls_of())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, on what is asked of it here
@pytest.mark.parametrize("name", sorted({call.case.name for call in CALLS}))
def test_an_op_agrees_or_is_refused(name: str, tmp_path: Path) -> None:
    for call in [call for call in CALLS if call.case.name == name]:
        arrays: list[Any] = []
        convert(call.sample[0], arrays.append)
        singles = [a.astype(np.float32) if a.dtype.kind == "f" else a.copy() for a in arrays]
        inputs = [tt.from_numpy(each) for each in singles]

        def run(*tensors: Any, call: OpCall = call) -> Any:
            rest = iter(tensors)
            args, kwargs = call.sample
            return call.case.function(*convert(args, lambda _: next(rest)), **kwargs)

        path, model = tmp_path / "model.onnx", Formula(run)
        says = refused(call)
        if says is not None:
            with pytest.raises(ExportError, match=says):
                export(model, inputs, path, dynamic_batch=False)
            continue
        export(model, inputs, path, dynamic_batch=False)
        assert check(path, model, inputs) < 1e-4, str(call)


# Sizes that follow the batch

FOLLOWING: dict[str, Callable[[tt.Tensor], Any]] = {
    "mean over the batch": lambda x: x - x.mean(dim=0),
    "variance over the batch": lambda x: x.var(dim=0, correction=0),
    "variance of all": lambda x: x.var(correction=0),
    "divided by its size": lambda x: x.sum(0) / x.shape[0],
    "joined with another dimension": lambda x: x.reshape(-1),
    "and taken apart": lambda x: x.reshape(2 * x.shape[0], 2).sum(1).reshape(x.shape[0], 2),
    "in two dimensions": lambda x: (x @ x.T).reshape(1, x.shape[0], x.shape[0]).exp() * 0.1,
    "twice": lambda x: tt.concat([x, x]),
    "as zeros beside": lambda x: tt.concat([tt.zeros_like(x[:, :1]), x[:, :-1]], 1),
    "as a constant row for each": lambda x: tt.tensor([1.0, 2.0]).expand(x.shape[0], 2) + x[:, :2],
    "turned round": lambda x: x.flip(0),
    "rolled": lambda x: x.roll((1, 2), (0, 1)),
    "rolled as a whole": lambda x: x.roll(5),
    "the last": lambda x: x[-1],
    "up to its size": lambda x: x[: x.shape[0]],
    "sorted": lambda x: x.sort(0)[0],
    "the largest": lambda x: x.argmax(0),
    "the largest of all": lambda x: x.argmax(),
    "summed up": lambda x: x.cumsum(0),
    "tiled": lambda x: x.tile(2, 1),
    "tiled by its size": lambda x: x[:1].tile(x.shape[0], 1),
    "its triangle": lambda x: (x @ x.T).tril(),
    "of integers": lambda x: (x > 0).sum(0) + x.shape[0],
    "nothing happens": lambda x: x,
    "several results": lambda x: {"a": x + 1, "b": [x, (x * 2, None)]},
    "the same twice": lambda x: (x, x),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", FOLLOWING)
def test_sizes_follow_the_batch(name: str, tmp_path: Path) -> None:
    path, model = tmp_path / "model.onnx", Formula(FOLLOWING[name])
    export(model, X, path)
    assert check(path, model, X, batch_sizes=(1, 2, 3, 8)) < 1e-4


# What is refused

CUBE = tt.Op("cube", lambda input: input**3)


def changed(x: tt.Tensor) -> tt.Tensor:
    y = x * 1
    y += 1
    return y


def filled(x: tt.Tensor) -> tt.Tensor:
    y = tt.zeros(x.shape[0], 5)
    y[:, :4] = x
    return y


def lossy(x: tt.Tensor) -> tt.Tensor:
    return nn.functional.cross_entropy(x, tt.zeros(x.shape[0], dtype="int64"))


REFUSED: dict[str, tuple[Callable[[tt.Tensor], Any], str]] = {
    "an op of one's own": (
        lambda x: tt.Tensor._apply(CUBE, (x,)),
        r"op 'cube' in layer '0' \(Formula\) cannot be exported.*write the layer with other ops",
    ),
    "a loss": (lossy, "op 'cross_entropy' in layer '0'"),
    "dropout all the same": (
        lambda x: nn.functional.dropout(x, 0.5, training=True),
        "op 'dropout'.*pass training=self.training",
    ),
    "a change in place": (changed, "op 'mul' in layer '0'.*changed in place"),
    "writing into zeros": (filled, "op 'setitem' in layer '0'.*changed in place"),
    "numbers up to the batch size": (
        lambda x: x * tt.arange(x.shape[0]).reshape(-1, 1),
        "op 'mul' in layer '0'.*depends on the batch size",
    ),
    "chance": (lambda x: x * tt.rand(4), "op 'mul'.*on chance"),
    "a number taken out of a tensor": (lambda x: x * float(x.sum()), "op 'mul'.*values the input"),
    "an array taken out of a tensor": (
        lambda x: x * tt.from_numpy(x.numpy() * 2),
        "op 'mul'.*on the input by other means than ops",
    ),
    "a result that no op makes": (
        lambda x: tt.from_numpy(x.numpy() * 2),
        "'output' of what the model returns is computed by no op",
    ),
    "a part of the batch size": (lambda x: x * (1 / x.shape[0]), "is given 0.5, and 0.333"),
    "half of the batch": (lambda x: x[: x.shape[0] // 2], r"shape \(0, 4\) by the model and \(1"),
    "a quarter of the batch": (
        lambda x: x[: 1 + x.shape[0] // 4],
        r"for inputs of shape \(5, 4\) the graph does not do what the model does",
    ),
    "one more than the batch": (
        lambda x: tt.concat([x, tt.ones(1, 4)]),
        "op 'concat'.*a size is 3, and 4 for other inputs.*multiples of the batch size",
    ),
    "another way for a size": (
        lambda x: x.exp() if x.shape[0] == 2 else x.sin(),
        "op 'exp'.*for other inputs op 'sin'.*depends on its input",
    ),
    "more steps for a size": (
        lambda x: sum((x * 2 for _ in range(x.shape[0] - 1)), x),
        "depends on its input",
    ),
    "what is no tensor": (lambda x: "yes", "expected the model to return tensors.*got str"),
    "nothing at all": (lambda x: None, "returns no tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_no_graph_can_say_is_refused(name: str, tmp_path: Path) -> None:
    function, says = REFUSED[name]
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(ExportError, match=f"(?s)^export: .*{says}"):
        export(nn.Sequential(Formula(function)), X, path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["model.onnx"]


SIGNS: dict[str, tuple[Callable[[tt.Tensor], Any], str]] = {
    "another way": (
        lambda x: x if x.sum().item() > 0 else -x,
        "runs 1 ops, and 2 for other inputs: what it computes depends on its input",
    ),
    "another number": (
        lambda x: x * (1.0 if x.sum().item() > 0 else -1.0),
        r"op 'mul' .* is given 1\.0, and -1\.0 for other inputs",
    ),
}


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("name", SIGNS)
def test_a_choice_by_the_sign_is_refused(name: str, dynamic: bool, tmp_path: Path) -> None:
    function, says = SIGNS[name]
    with pytest.raises(ExportError, match=says):
        export(Formula(function), X.abs(), tmp_path / "model.onnx", dynamic)


def test_generation_with_a_cache_is_refused(tmp_path: Path) -> None:
    model = GPT(GPTConfig(11, 8, 1, 2, 16))
    cached = Formula(lambda tokens: model(tokens, model.new_cache()))
    with pytest.raises(ExportError, match=r"op 'cached_attention'.*call the model without one"):
        export(cached, tt.zeros(1, 8, dtype="int64"), tmp_path / "model.onnx")


INPUTS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no tensor": ((1, None), {}, "expected a tensor among them"),
    "no such dimension": (X, {"batch_dim": 2}, r"of shape \(3, 4\), has no dimension 2"),
    "no dimensions": (tt.tensor(1.0), {}, "pass dynamic_batch=False"),
    "too many": (X, {"batch_dim": (0, 0)}, "one for each of the 1 tensors"),
    "no samples": (tt.ones(0, 4), {}, "at least one"),
    "unlike numbers": ((X, tt.ones(2, 4)), {}, "the same number of samples"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_without_a_batch_are_refused(name: str, tmp_path: Path) -> None:
    inputs, how, says = INPUTS[name]
    with pytest.raises(ExportError, match=says):
        export(Formula(lambda *x: x[0]), inputs, tmp_path / "model.onnx", **how)


def test_a_folder_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"export: there is no folder '.*models'"):
        export(nn.ReLU(), X, tmp_path / "models" / "model.onnx")


@pytest.mark.parametrize("opset", [0, 19, 1000])
def test_an_opset_is_one_of_those_there_are(opset: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"export: expected an opset from 20 to .*got {opset}"):
        export(nn.ReLU(), X, tmp_path / "model.onnx", opset=opset)


def positive(x: tt.Tensor) -> tt.Tensor:
    if (x < 0).any():
        raise ValueError("expected no negative numbers")
    return x * 2


NOT_FOR_ALL: dict[str, tuple[Callable[..., Any], Any]] = {
    "a logarithm": (lambda x: x.log(), X.abs() + 1),
    "refused by the model": (positive, X.abs()),
    "places in a table": (
        lambda x: nn.functional.embedding(x.to("int64"), tt.arange(8.0).reshape(4, 2)),
        X.abs(),
    ),
    "a mask to be added": (
        lambda x, mask: x * 2 if (mask == float("-inf")).any() else x,
        (X, tt.where(X > 0, 0.0, float("-inf"))),
    ),
    "places and numbers": (
        lambda tokens, x: nn.functional.embedding(tokens, tt.arange(8.0).reshape(4, 2)) * x[:, :2],
        (tt.tensor([0, 3, 1]), X),
    ),
}


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("name", NOT_FOR_ALL)
def test_a_model_need_not_be_made_for_all_numbers(name: str, dynamic: bool, tmp_path: Path) -> None:
    function, inputs = NOT_FOR_ALL[name]
    export(Formula(function), inputs, tmp_path / "model.onnx", dynamic)
    assert check(tmp_path / "model.onnx", Formula(function), inputs) < 1e-5


# What is in the file


def test_weights_have_their_names_and_shared_ones_are_stored_once(tmp_path: Path) -> None:
    model, path = GPT(GPTConfig(11, 8, 2, 2, 16)), tmp_path / "model.onnx"
    export(model, tt.zeros(1, 8, dtype="int64"), path)
    stored, state = weights(path), model.state_dict()
    named = {name: array for name, array in stored.items() if not name.startswith("constant")}
    assert set(state) - set(named) == {"head.weight"}
    for name, array in named.items():
        np.testing.assert_array_equal(array, state[name].numpy())
        assert array.dtype == np.float32
    parameters = sum(p.numel() for p in model.parameters())
    others = sum(array.nbytes for name, array in stored.items() if name not in named)
    assert path.stat().st_size < 4 * parameters + others + 40_000


def test_buffers_have_their_names_too(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    export(model, X, tmp_path / "model.onnx")
    used = set(model.state_dict()) - {"1.num_batches_tracked"}
    assert set(weights(tmp_path / "model.onnx")) == used


def test_inputs_and_outputs_are_named_and_the_batch_is_left_open(tmp_path: Path) -> None:
    class Pair(nn.Module):
        def forward(self, left: tt.Tensor, right: tt.Tensor) -> dict[str, tt.Tensor]:
            return {"sum": left + right, "joined": tt.concat([left, right])}

    export(Pair(), (X, X * 2), tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    assert {x.name: x.shape for x in session.get_inputs()} == {
        "left": ["batch", 4],
        "right": ["batch", 4],
    }
    assert {x.name: x.shape for x in session.get_outputs()} == {
        "sum": ["batch", 4],
        "joined": ["2*batch", 4],
    }


def test_without_a_dynamic_batch_all_sizes_are_fixed(tmp_path: Path) -> None:
    export(nn.ReLU(), X, tmp_path / "model.onnx", dynamic_batch=False)
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_inputs()[0].shape == [3, 4]


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_every_float_is_single_in_the_file(dtype: str, tmp_path: Path) -> None:
    model, x = nn.Sequential(nn.Linear(4, 3, dtype=dtype), nn.Softmax(-1)), X.to(dtype)
    export(model, x, tmp_path / "model.onnx")
    assert {array.dtype.name for array in weights(tmp_path / "model.onnx").values()} == {"float32"}
    assert check(tmp_path / "model.onnx", model, x) < 1e-2


def test_the_model_is_exported_as_in_evaluation_and_left_as_it_was(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export(model, X, tmp_path / "model.onnx")
    assert [module.training for module in model] == [True, False, True]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    model.eval()
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {"input": X.numpy()})
    np.testing.assert_allclose(found, model(X).detach().numpy(), atol=1e-5)


def test_a_layer_that_is_used_twice_is_stored_once(tmp_path: Path) -> None:
    shared = nn.Linear(4, 4)
    export(nn.Sequential(shared, nn.Tanh(), shared), X, tmp_path / "model.onnx")
    assert set(weights(tmp_path / "model.onnx")) == {"0.weight", "0.bias"}


def test_check_tells_a_file_of_other_weights(tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    export(model, X, tmp_path / "model.onnx")
    with tt.no_grad():
        model.bias += 1
    assert check(tmp_path / "model.onnx", model, X) == pytest.approx(1, abs=1e-4)


def test_check_refuses_a_file_of_another_model(tmp_path: Path) -> None:
    export(nn.Linear(4, 3), X, tmp_path / "model.onnx")
    with pytest.raises(ExportError, match=r"check: 'output' has shape \(3, 4\) by the model and"):
        check(tmp_path / "model.onnx", nn.ReLU(), X)
    with pytest.raises(ExportError, match="expected 1 tensors, for the file's input; got 2"):
        check(tmp_path / "model.onnx", nn.ReLU(), (X, X * 2))

"""What `profile` counts against closed forms and independent counts, and what it leaves behind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from op_calls import DIFFERENTIABLE, OpCall
from tt_nn.models import GPT, GPTConfig
from tt_profile import Cost, Profile, count_flops, count_parameters, memory, profile

pytestmark = pytest.mark.module_14


def once(model: nn.Module, *inputs: object, backward: bool = True) -> Profile:
    return profile(model, *inputs, backward=backward, repeats=1)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2), nn.Sigmoid()))


# FLOPs against closed forms

N, IN, OUT = 5, 7, 3


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_linear(bias: bool, frozen: bool, first: bool) -> None:
    layer = nn.Linear(IN, OUT, bias=bias)
    layer.weight.requires_grad_(not frozen)
    x = tt.ones(N, IN, requires_grad=not first)
    if frozen and first and not bias:
        with pytest.raises(ValueError, match="requires grad; pass backward=False"):
            once(layer, x)
        return
    report = once(layer, x)
    product = 2 * N * IN * OUT
    assert report.forward.flops == product + bias * N * OUT
    assert report.backward.flops == product * (not frozen) + product * (not first) + bias * N * OUT
    assert report.forward.macs == N * IN * OUT
    assert report.parameters == IN * OUT + bias * OUT


CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"stride": 2},
    {"stride": (2, 1), "padding": (1, 2)},
    {"padding": 1},
    {"padding": "same"},
    {"dilation": 2},
    {"groups": 2},
    {"groups": 4},
    {"stride": 2, "padding": 2, "dilation": (1, 2), "groups": 2, "bias": False},
]


@pytest.mark.parametrize("kernel", [3, (2, 1)], ids=str)
@pytest.mark.parametrize("options", CONVOLUTIONS, ids=str)
def test_conv2d(kernel: Any, options: dict[str, Any]) -> None:
    height, width, channels, filters = 9, 8, 4, 8
    layer = nn.Conv2d(channels, filters, kernel, **options)
    report = once(layer, tt.ones(N, channels, height, width, requires_grad=True))

    def pair(value: Any) -> tuple[int, int]:
        return value if isinstance(value, tuple) else (value, value)

    sizes = pair(kernel)
    stride, dilation = pair(options.get("stride", 1)), pair(options.get("dilation", 1))
    if options.get("padding") == "same":
        pixels = height * width
    else:
        padding = pair(options.get("padding", 0))
        pixels = math.prod(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip((height, width), padding, dilation, sizes, stride, strict=True)
        )
    groups, bias = options.get("groups", 1), options.get("bias", True)
    outputs = N * filters * pixels
    product = 2 * outputs * (channels // groups) * math.prod(sizes)
    assert report.forward.flops == product + bias * outputs
    assert report.backward.flops == 2 * product + bias * outputs
    assert report.parameters == filters * (channels // groups) * math.prod(sizes) + bias * filters


class Attention(nn.Module):
    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal

    def forward(self, query: tt.Tensor, key: tt.Tensor, value: tt.Tensor) -> tt.Tensor:
        return nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=self.is_causal
        )


@pytest.mark.parametrize(("causal", "pairs"), [(False, 5 * 7), (True, 1 + 2 + 3 + 4 + 5)])
def test_attention(causal: bool, pairs: int) -> None:
    heads, dim, value_dim = 2, 6, 4
    shapes = (5, dim), (7, dim), (7, value_dim)
    inputs = [tt.ones(N, heads, *shape, requires_grad=True) for shape in shapes]
    report = once(Attention(causal), *inputs)
    seen = N * heads * pairs
    assert report.forward.flops == seen * (2 * dim + 2 * value_dim + 1 + 5)
    assert report.backward.flops == seen * (2 * 2 * dim + 2 * 2 * value_dim + 2)


def test_gpt() -> None:
    n, length, d, heads, layers, vocabulary = 2, 6, 8, 2, 3, 11
    config = GPTConfig(
        vocab_size=vocabulary, block_size=length, n_layer=layers, n_head=heads, n_embd=d
    )
    report = once(GPT(config), tt.zeros(n, length, dtype="int64"))
    rows = n * length
    elements = rows * d
    pairs = n * heads * length * (length + 1) // 2
    products = layers * 2 * rows * 12 * d * d + 2 * rows * d * vocabulary
    biases = layers * rows * (3 * d + d + 4 * d + d)
    norms = 2 * layers + 1
    # attention, two residuals, GELU of 4 d; then the norms, and the positions that are added
    forward = layers * (pairs * (4 * d // heads + 6) + 2 * elements + 5 * 4 * elements)
    assert report.forward.flops == products + biases + forward + norms * 7 * elements + elements
    backward = layers * (pairs * (8 * d // heads + 2) + 18 * 4 * elements)
    # gradients of the norms; of the positions, summed over samples; of the rows of the table
    backward += norms * 12 * elements + elements + elements
    assert report.backward.flops == 2 * products + biases + backward
    # the table is the head's weight too
    assert report.parameters == vocabulary * d + length * d + layers * (12 * d * d + 13 * d) + 2 * d
    assert sum(layer.parameters for layer in report.layers) == report.parameters


# Derivatives against an independent count: the plain ops that create_graph=True runs


class One(nn.Module):
    def __init__(self, call: OpCall) -> None:
        super().__init__()
        self.call = call
        for i, array in enumerate(call.variables):
            self.register_parameter(f"input{i}", nn.Parameter(tt.tensor(array)))

    def forward(self) -> tuple[Any, ...]:
        return self.call.run(self.parameters(), tt.from_numpy)


class Every(nn.Module):
    def __init__(self, calls: list[OpCall]) -> None:
        super().__init__()
        self.calls = nn.ModuleList(map(One, calls))

    def forward(self) -> list[Any]:
        return [call() for call in self.calls]


# Gradients of several parts are added up, which is no op; an index decides what setitem sums.
UNEQUAL = {"split", "chunk", "unbind", "setitem"}
COUNTED = [call for call in DIFFERENTIABLE if call.case.name not in UNEQUAL]


@pytest.fixture(scope="module")
def derivatives() -> dict[str, int]:
    _, *layers = once(Every(COUNTED)).layers
    return {str(call): layer.backward.flops for call, layer in zip(COUNTED, layers, strict=True)}


@pytest.mark.parametrize("call", COUNTED, ids=str)
def test_a_derivative_costs_what_its_steps_do(call: OpCall, derivatives: dict[str, int]) -> None:
    values = [tt.tensor(array, requires_grad=True) for array in call.variables]
    outs = [out for out in call.run(values, tt.from_numpy) if out.requires_grad]
    seeds = [tt.ones_like(out) for out in outs]

    def differentiate() -> None:
        tt.grad(outs, values, seeds, create_graph=True, allow_unused=True)

    assert derivatives[str(call)] == count_flops(differentiate).total


SPATIAL: dict[str, Callable[[], nn.Module]] = {
    "nearest": lambda: nn.Upsample(scale_factor=2),
    "bilinear": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "maximum": lambda: nn.MaxPool2d(3, stride=2),
    "average": lambda: nn.AvgPool2d((3, 2), stride=2),
}


@pytest.mark.parametrize("name", SPATIAL)
def test_a_spatial_derivative_costs_what_its_steps_do(name: str) -> None:
    model, x = SPATIAL[name](), tt.rand(2, 3, 6, 5, requires_grad=True)
    out = model(x)
    g = tt.ones_like(out).requires_grad_()
    first = count_flops(lambda: tt.grad(out, x, g, create_graph=True)).total
    assert once(model, x).backward.flops == first > 0
    # The derivative by g of what is linear in it is the op itself; that of a maximum only gathers.
    (slope,) = tt.grad(out, x, g, create_graph=True)
    back = count_flops(lambda: tt.grad(slope, g, tt.ones_like(slope), create_graph=True)).total
    assert back == (0 if name == "maximum" else count_flops(model, x).total)


# Layers


def test_layers_stand_in_order_and_add_up() -> None:
    model, x = network(), tt.ones(5, 4)
    report = once(model, x)
    assert [(layer.name, layer.kind, layer.output_shape) for layer in report.layers] == [
        ("", "Sequential", (5, 2)),
        ("0", "Linear", (5, 8)),
        ("1", "ReLU", (5, 8)),
        ("2", "Sequential", (5, 2)),
        ("2.0", "Linear", (5, 2)),
        ("2.1", "Sigmoid", (5, 2)),
    ]
    first, relu, last, sigmoid = 5 * 4 * 8, 5 * 8, 5 * 8 * 2, 5 * 2
    assert [layer.backward.flops for layer in report.layers] == [
        *(0, 2 * first + relu, 2 * relu, 0, 4 * last + 5 * 2, 3 * sigmoid)
    ]
    assert report.forward.flops == count_flops(model, x).total
    assert report.parameters == count_parameters(model)
    assert report.total == report.forward + report.backward
    by_op = sum((op.forward + op.backward for op in report.ops), Cost())
    assert (by_op.flops, by_op.bytes) == (report.total.flops, report.total.bytes)
    assert all(layer.calls == 1 for layer in report.layers)


class Cube(tt.Function):
    @staticmethod
    def forward(ctx: tt.FunctionContext, x: tt.Tensor) -> tt.Tensor:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: tt.FunctionContext, g: tt.Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class OfOnesOwn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(tt.ones(4))

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return Cube.apply(x * self.scale)  # type: ignore[no-any-return]  # a tensor, as forward's


def test_a_layer_of_ones_own_counts_backward_too() -> None:
    report = once(nn.Sequential(OfOnesOwn(), nn.ReLU()), tt.ones(5, 4))
    _, own, relu = report.layers
    assert own.forward.flops == 20 + 2 * 20
    # three products of Cube; one with x for the scale, whose gradient is summed over the rows
    assert own.backward.flops == 3 * 20 + 20 + 20
    assert relu.backward.flops == 2 * 20


class Checkpointed(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: tt.Tensor) -> Any:
        return tt.checkpoint(self.inner, x)


def test_what_a_checkpoint_runs_again_belongs_to_backward() -> None:
    x = tt.ones(5, 4, requires_grad=True)
    plain, again = once(network(), x), once(Checkpointed(network()), x)
    assert again.forward.flops == plain.forward.flops
    assert again.backward.flops == plain.backward.flops + plain.forward.flops
    assert again.activation_bytes == 0 < plain.activation_bytes
    assert {layer.name: layer.calls for layer in again.layers}["inner.0"] == 1


def test_a_layer_that_runs_twice_counts_twice() -> None:
    shared = nn.Linear(4, 4)
    report = once(nn.Sequential(shared, nn.ReLU(), shared), tt.ones(3, 4))
    (linear,) = [layer for layer in report.layers if layer.kind == "Linear"]
    assert (linear.calls, linear.parameters) == (2, 20)
    assert linear.forward.flops == 2 * 3 * 4 * 9
    assert linear.backward.macs == 3 * (3 * 4 * 4)  # the first call's input needs no gradient


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 3)

    def forward(self, x: tt.Tensor) -> dict[str, Any]:
        h = self.trunk(x)
        return {"heads": (self.a(h), [self.b(h)]), "classes": h.argmax(dim=1)}


def test_all_outputs_go_backward_in_one_walk() -> None:
    report = once(Several(), tt.ones(5, 4))
    costs = {layer.name: layer.backward.macs for layer in report.layers}
    assert costs == {"": 0, "trunk": 5 * 4 * 4, "a": 2 * 5 * 4 * 2, "b": 2 * 5 * 4 * 3}


def test_the_forward_pass_alone() -> None:
    model = network().requires_grad_(False)
    report = once(model, tt.ones(5, 4), backward=False)
    assert report.backward == Cost()
    assert report.activation_bytes == 0
    assert report.forward.flops == count_flops(model, tt.ones(5, 4)).total


# Bytes

F = 4  # bytes of a float32


def test_bytes_of_a_linear_layer() -> None:
    report = once(nn.Linear(IN, OUT), tt.ones(N, IN))
    x, weight, bias, out = N * IN, IN * OUT, OUT, N * OUT
    assert report.forward.bytes == F * (x + weight + bias + out)
    assert report.backward.bytes == F * (out + x + weight + bias)  # g and x in, two gradients out
    assert report.forward.intensity == report.forward.flops / report.forward.bytes


def written(x: tt.Tensor, index: Any, value: Any) -> tuple[tt.Tensor, tt.Tensor]:
    """Write into a copy; of ``x`` a view is returned, so that there is something to go back to."""
    copied = x.detach().clone()
    copied[index] = value
    return copied, x.view(-1)


BYTES: list[tuple[str, Callable[[Any], Any], int, int]] = [
    ("relu", lambda x: tt.relu(x), 2 * 20, 3 * 20),
    ("a view moves nothing", lambda x: x.reshape(4, 5).T, 0, 0),
    ("a sum is spread as a view", lambda x: x.sum(), 20 + 1, 0),
    ("both gradients of a sum of two are passed on", lambda x: x + x, 2 * 20, 0),
    ("what is given twice is read once", lambda x: x * x, 2 * 20, 4 * 20),
    ("a number in a part", lambda x: written(x, (slice(None), 0), 1.0), 2 * 20 + 5, 0),
    (
        "a row that is stretched",
        lambda x: written(x, slice(1, 4), tt.ones(4)),
        2 * 20 + 4 + 12,
        0,
    ),
    ("in rows that are named", lambda x: written(x, tt.tensor([0, 0]), 1.0), 2 * 20 + 8 + 2 * 2, 0),
    ("rows that are picked", lambda x: x[tt.tensor([0, 0])], 2 * 8 + 2 * 2, 8 + 20),
    ("what is stretched is read once", lambda x: x + x[:1].expand(5, 4), 20 + 4 + 20, 20 + 4 + 24),
]


@pytest.mark.parametrize(("name", "call", "forward", "backward"), BYTES, ids=[b[0] for b in BYTES])
def test_bytes(name: str, call: Callable[[Any], Any], forward: int, backward: int) -> None:
    class Layer(nn.Module):
        def forward(self, x: tt.Tensor) -> Any:
            return call(x)

    report = once(Layer(), tt.ones(5, 4, requires_grad=True))
    assert (report.forward.bytes, report.backward.bytes) == (F * forward, F * backward)


# Memory


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "network": (lambda: nn.Sequential(nn.Linear(64, 256), nn.Tanh(), nn.Linear(256, 64)), (99, 64)),
    "images": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        ),
        (20, 3, 34, 34),
    ),
    "attention": (lambda: nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0), (40, 20, 32)),
}


@pytest.mark.parametrize("name", MODELS)
def test_activations_are_what_the_graph_holds(name: str) -> None:
    make, shape = MODELS[name]
    model, x = make(), tt.rand(*shape)
    model(x)  # what is made once and kept, such as cached tables
    report = once(model, x)
    outs: list[Any] = []
    held = memory(lambda: outs.append(model(x))).held
    (out,) = outs
    saved = report.activation_bytes
    # The output is held by whoever asked for it, unless backward needs it as well.
    assert saved <= held * 1.02
    assert held <= (saved + out.nbytes) * 1.05 + 20_000


def test_each_activation_is_of_the_layer_that_made_it() -> None:
    report = once(network(), tt.ones(5, 4))
    kept = {layer.name: layer.activation_bytes for layer in report.layers}
    # the output of ReLU, which it and the second layer need, and that of the sigmoid
    assert kept == {"": 0, "0": 0, "1": F * 5 * 8, "2": 0, "2.0": 0, "2.1": F * 5 * 2}


# What is left behind


def test_a_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
    x = tt.rand(8, 4, requires_grad=True)
    model(x).sum().backward()
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    tensors = [x, *model.parameters()]
    grads = [tensor.grad for tensor in tensors]
    tt.manual_seed(1)
    expected = tt.rand(3).numpy()
    tt.manual_seed(1)
    once(model, x)
    np.testing.assert_array_equal(tt.rand(3).numpy(), expected)
    assert all(a is tensor.grad for a, tensor in zip(grads, tensors, strict=True))
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key])
    assert model.training


def test_a_model_that_fails_is_left_without_hooks() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(4, 8))
    with pytest.raises(ValueError, match="linear"):
        once(model, tt.ones(5, 4))
    assert once(model[0], tt.ones(5, 4)).layers[0].calls == 1


def test_repeats_must_be_positive() -> None:
    with pytest.raises(ValueError, match="profile: repeats must be at least 1, got 0"):
        profile(network(), tt.ones(5, 4), repeats=0)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match="profile: expected a Module, got function"):
        profile(lambda x: x, tt.ones(2))  # type: ignore[arg-type]  # what is tested


# Time


def test_time_is_measured_in_turn_with_passes_that_nothing_watches() -> None:
    report = profile(network(), tt.ones(5, 4), repeats=3)
    assert len(report.timing.function.samples) == len(report.timing.baseline.samples) == 3
    assert report.overhead == report.timing.ratio - 1
    assert all(layer.forward.seconds > 0 for layer in report.layers)
    assert report.total.seconds == pytest.approx(
        sum(layer.total.seconds for layer in report.layers)
    )
    assert report.total.flops_per_second == report.total.flops / report.total.seconds


# Reports


def test_the_trace_is_one_that_viewers_read(tmp_path: Path) -> None:
    report = once(network(), tt.ones(5, 4))
    path = tmp_path / "trace.json"
    path.write_text("old")
    report.save_trace(path)
    events = json.loads(path.read_text())["traceEvents"]
    complete = [event for event in events if event["ph"] == "X"]
    assert {event["ph"] for event in events} == {"X", "M"}
    names = [event["name"] for event in complete]
    assert names[0] == "Sequential"
    assert {"0 Linear", "2.1 Sigmoid", "linear", "linear backward", "backward"} <= set(names)
    assert sum(event["args"].get("flops", 0) for event in complete) == report.total.flops
    # Each stands within what it is a part of, so that viewers can nest them.
    open_until: list[float] = []
    for event in complete:
        start, end = event["ts"], event["ts"] + event["dur"]
        while open_until and open_until[-1] <= start + 1e-6:
            open_until.pop()
        assert not open_until or end <= open_until[-1] + 1e-6
        open_until.append(end)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.json"]


def test_a_trace_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "trace.json"
    folder.mkdir()
    with pytest.raises(OSError, match="trace"):
        once(network(), tt.ones(5, 4)).save_trace(folder)
    assert [file.name for file in tmp_path.iterdir()] == ["trace.json"]


def test_the_tables_name_every_layer() -> None:
    report = once(network(), tt.ones(5, 4))
    text = str(report)
    assert text.count("\n 0 Linear ") == 3  # in the model, forward and backward
    assert text.count("\n  1 Sigmoid ") == 3
    assert f"{report.parameters:,}" in text


def test_a_report_is_shown_in_the_width_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    model = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16))
    once(model, tt.ones(3, 2, 8)).show()
    lines = capsys.readouterr().out.splitlines()
    assert any("TransformerEnc" in line for line in lines)
    table = [line for line in lines if "%" in line and "unwatched" not in line]
    assert table
    assert max(map(len, table)) <= 80

import copy
import subprocess
import sys
from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_tensor

pytestmark = pytest.mark.module_04


class Block(nn.Module):
    """A module with parameters, a child, a buffer and a scratch buffer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.scale = nn.Parameter(tt.ones(3))
        self.register_buffer("seen", tt.tensor(0))
        self.register_buffer("scratch", tt.zeros(2), persistent=False)
        self.register_buffer("unused", None)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return self.inner(x) * self.scale

    @property
    def width(self) -> int:
        return self.inner.widht  # type: ignore[attr-defined, no-any-return]  # a typo, on purpose


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.again = self.first


def state_of(module: nn.Module) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in module.state_dict().items()}


def test_calls_are_typed_as_forward_is() -> None:
    x = tt.ones(1, 2)
    assert_type(nn.Linear(2, 3)(x), tt.Tensor)
    assert_type(nn.Linear(2, 3)(tt_tensor.ones(1, 2)), tt.Tensor)
    assert_type(nn.ReLU()(tt_tensor.ones(1)), tt_tensor.Tensor)
    assert_type(nn.ModuleList([nn.ReLU()])[0], nn.ReLU)
    with pytest.raises(TypeError, match="forward"):
        nn.Bilinear(2, 2, 3)(x)  # type: ignore[call-arg]


def test_importing_leaves_the_rest_for_later() -> None:
    script = "import sys, tt_nn; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "tt_nn" in loaded
    assert not loaded & {"safetensors", "json", "difflib", "html", "secrets", "tempfile"}


# What it owns


def test_names_come_in_torch_s_order() -> None:
    model = nn.Sequential(Block(), nn.ReLU())
    names = ["0.scale", "0.inner.weight", "0.inner.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [name for name, _ in model.named_buffers()] == ["0.seen", "0.scratch"]
    assert list(model.state_dict()) == ["0.scale", "0.seen", "0.inner.weight", "0.inner.bias"]
    assert [name for name, _ in model.named_modules("model")] == [
        "model", "model.0", "model.0.inner", "model.1",
    ]  # fmt: skip
    assert [name for name, _ in model.named_children()] == ["0", "1"]
    assert [name for name, _ in Block().named_parameters(recurse=False)] == ["scale"]


def test_what_is_shared_comes_once_but_stands_in_the_state_under_each_name() -> None:
    model = Tied()
    assert [name for name, _ in model.named_parameters()] == [
        "first.weight", "first.bias", "second.bias",
    ]  # fmt: skip
    assert len(list(model.children())) == 2
    assert len(list(model.modules())) == 3
    assert list(model.state_dict()) == [
        "first.weight", "first.bias", "second.weight", "second.bias",
        "again.weight", "again.bias",
    ]  # fmt: skip
    twin = copy.deepcopy(model)
    assert twin.second.weight is twin.first.weight is not model.first.weight


def test_submodules_are_found_by_name() -> None:
    model = nn.Sequential(Block())
    assert model.get_submodule("") is model
    assert isinstance(model.get_submodule("0.inner"), nn.Linear)
    with pytest.raises(AttributeError, match="Block has no attribute 'iner'; did you mean 'inner'"):
        model.get_submodule("0.iner")
    with pytest.raises(AttributeError, match=r"'scale' in '0\.scale' is no module"):
        model.get_submodule("0.scale")


def test_attributes_come_and_go() -> None:
    block = Block()
    del block.scale
    assert "scale" not in dict(block.named_parameters())
    delattr(block, "seen")
    assert "seen" not in block.state_dict()
    block.register_buffer("seen", tt.tensor(5))
    assert block.state_dict()["seen"].item() == 5
    block.inner = nn.Linear(2, 4)
    assert block.inner.weight.shape == (4, 2)


def test_buffers_of_the_base_kind_become_differentiable_tensors() -> None:
    module = nn.Module()
    module.register_buffer("values", tt_tensor.ones(2))
    assert isinstance(dict(module.named_buffers())["values"], tt.Tensor)


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        (lambda m: setattr(m, "scale", tt.ones(3)), TypeError, "'scale' is a Parameter; expected"),
        (lambda m: setattr(m, "inner", 3), TypeError, "'inner' is a Module; expected a Module"),
        (lambda m: setattr(m, "seen", 3), TypeError, "expected buffer 'seen' to be a Tensor"),
        (lambda m: m.register_buffer("x", 3), TypeError, "expected buffer 'x' to be a Tensor"),
        (lambda m: m.register_buffer("scale", None), ValueError, "already has a 'scale'"),
        (lambda m: m.register_buffer("a.b", None), ValueError, "expected a name without dots"),
        (lambda m: m.register_parameter("forward", None), ValueError, "already has a 'forward'"),
        (lambda m: m.register_parameter("x", tt.ones(1)), TypeError, "to be a Parameter or None"),
        (lambda m: m.add_module("", nn.ReLU()), ValueError, "expected a name without dots"),
        (lambda m: m.add_module("x", "relu"), TypeError, "to be a Module or None, got str"),
        (lambda m: m.train("yes"), TypeError, "train: expected mode to be a bool"),
        (lambda m: m.to("int64"), TypeError, "to: expected float16, float32 or float64"),
        (lambda m: m.to(None), TypeError, "to: expected float16, float32 or float64, got None"),
        (lambda m: m.to("cpu"), TypeError, "to: expected float16, float32 or float64"),
        (lambda m: nn.Parameter([1, 2]), TypeError, "requires_grad: only tensors of a floating"),
        (lambda m: nn.Module()(3), NotImplementedError, "Module defines no forward"),
    ],
)
def test_wrong_attributes_are_refused(
    do: Callable[[Block], object], error: type[Exception], words: str
) -> None:
    block = Block()
    before = state_of(block)
    with pytest.raises(error, match=words):
        do(block)
    assert state_of(block) == before


def test_a_typo_is_told_what_was_meant() -> None:
    with pytest.raises(AttributeError, match="Linear has no attribute 'wieght'; did you mean 'wei"):
        nn.Linear(2, 3).wieght  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(AttributeError, match=r"^Linear has no attribute '_private'$"):
        nn.Linear(2, 3)._private  # type: ignore[attr-defined]  # noqa: B018


def test_an_error_inside_a_property_is_not_hidden() -> None:
    with pytest.raises(AttributeError, match="Linear has no attribute 'widht'"):
        Block().width  # noqa: B018


def test_a_subclass_may_forget_to_call_init() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(2, 1)

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            return self.layer(x)

    model = Careless()
    assert model(tt.ones(3, 2)).shape == (3, 1)
    assert len(list(model.eval().parameters())) == 2
    assert not model.layer.training


# Parameters


def test_a_parameter_shares_a_tensor_s_memory_and_is_a_leaf() -> None:
    values = tt.ones(2)
    parameter = nn.Parameter(values)
    values[0] = 5
    assert parameter.tolist() == [5, 1]
    assert parameter.is_leaf
    assert parameter.requires_grad
    assert type(parameter * 2) is tt.Tensor
    assert not nn.Parameter(values, requires_grad=False).requires_grad
    assert copy.copy(parameter).tolist() == parameter.tolist()
    assert repr(parameter) == "Parameter containing:\ntensor([5., 1.], requires_grad=True)"


@pytest.mark.parametrize("requires_grad", [True, False])
def test_a_parameter_takes_values_as_they_are_now(requires_grad: bool) -> None:
    values = tt.ones(2)
    values.mul_(tt.full((2,), 3.0).requires_grad_())  # a recorded change, before the parameter
    parameter = nn.Parameter(values.detach(), requires_grad=requires_grad)
    assert (parameter + 1).tolist() == [4.0, 4.0]


# Modes


def test_train_and_eval_reach_every_module() -> None:
    model = nn.Sequential(Block(), nn.Sequential(nn.Dropout()))
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    model.train()
    assert all(module.training for module in model.modules())


def test_apply_goes_from_the_leaves_up() -> None:
    kinds: list[str] = []
    model = nn.Sequential(Block(), nn.ReLU())
    assert model.apply(lambda module: kinds.append(type(module).__name__)) is model
    assert kinds == ["Linear", "Block", "ReLU", "Sequential"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_to_changes_dtypes_but_not_objects(dtype: str) -> None:
    block = Block()
    parameters = list(block.parameters())
    assert block.to(dtype) is block
    assert all(a is b for a, b in zip(parameters, block.parameters(), strict=True))
    assert {p.dtype.name for p in parameters} == {dtype}
    assert dict(block.named_buffers())["scratch"].dtype == dtype
    assert dict(block.named_buffers())["seen"].dtype == tt.int64


def test_to_takes_gradients_and_hooks_along() -> None:
    layer = nn.Linear(2, 1)
    seen = []
    layer.weight.register_hook(lambda g: seen.append(g.dtype.name))
    layer(tt.ones(1, 2)).sum().backward()
    layer.double()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == tt.float64
    layer(tt.ones(1, 2, dtype="float64")).sum().backward()
    assert layer.weight.grad.tolist() == [[2, 2]]
    assert seen == ["float32", "float64"]


@pytest.mark.parametrize(
    ("method", "dtype"), [("half", "float16"), ("float", "float32"), ("double", "float64")]
)
def test_dtypes_by_name(method: str, dtype: str) -> None:
    assert getattr(nn.Linear(2, 3), method)().weight.dtype == dtype


def test_zero_grad() -> None:
    block = Block()
    block.inner.bias.requires_grad_(False)
    for set_to_none in (True, False):
        block(tt.ones(4, 2)).sum().backward()
        held = block.scale.grad
        assert held is not None
        block.zero_grad(set_to_none=set_to_none)
        assert (block.scale.grad is None) == set_to_none
        assert held.numpy().any() == set_to_none
    assert block.inner.bias.grad is None


def test_requires_grad_freezes_and_thaws() -> None:
    block = Block().requires_grad_(False)
    assert not block(tt.ones(1, 2)).requires_grad
    assert block.requires_grad_()(tt.ones(1, 2)).requires_grad


# Hooks


def test_hooks_run_in_order_and_can_be_removed() -> None:
    layer, calls = nn.Identity(), []
    handles = [
        layer.register_forward_pre_hook(lambda m, args: calls.append("before")),
        layer.register_forward_hook(lambda m, args, out: calls.append("after")),
        layer.register_forward_hook(lambda m, args, out: calls.append("last")),
    ]
    layer(tt.ones(1))
    assert calls == ["before", "after", "last"]
    for handle in handles:
        handle.remove()
        handle.remove()
    layer(tt.ones(1))
    assert len(calls) == 3


def test_hooks_may_change_what_goes_in_and_comes_out() -> None:
    layer = nn.Identity()
    with_one = layer.register_forward_pre_hook(lambda m, args: args[0] + 1)
    layer.register_forward_pre_hook(lambda m, args: (args[0] * 10,))
    layer.register_forward_hook(lambda m, args, out: out - args[0] / 2)
    assert layer(tt.tensor([1.0])).tolist() == [10]
    with_one.remove()
    assert layer(tt.tensor([1.0])).tolist() == [5]


def test_a_hook_can_remove_itself() -> None:
    layer, calls = nn.Identity(), []

    def once(module: nn.Module, args: tuple[Any, ...], out: object) -> None:
        calls.append(1)
        handle.remove()

    handle = layer.register_forward_hook(once)
    layer(tt.ones(1))
    layer(tt.ones(1))
    assert calls == [1]


# State dicts


def test_a_state_shares_memory_and_has_no_history() -> None:
    layer = nn.Linear(2, 1)
    state = layer.state_dict()
    assert not state["weight"].requires_grad
    assert np.shares_memory(state["weight"].numpy(), layer.weight.detach().numpy())


def test_loading_copies_in_place_and_casts() -> None:
    layer = nn.Linear(2, 1)
    weight, memory = layer.weight, layer.weight.detach().numpy()
    result = layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": tt.tensor([3])})
    assert result.missing_keys == result.unexpected_keys == []
    assert layer.weight is weight
    assert memory.tolist() == [[1, 2]]
    assert weight.dtype == tt.float32
    assert weight.requires_grad


def test_whatever_numpy_reads_can_be_loaded() -> None:
    class Foreign:
        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.full(1, 7.0)

    layer = nn.Linear(2, 1)
    layer.load_state_dict({"bias": Foreign()}, strict=False)
    assert layer.bias.tolist() == [7]


def test_not_strict_loads_what_there_is_and_says_the_rest() -> None:
    layer = nn.Linear(2, 1)
    result = layer.load_state_dict({"bias": tt.ones(1), "other": tt.ones(1)}, strict=False)
    assert result == (["weight"], ["other"])
    assert layer.bias.tolist() == [1]


class Frozen:
    """Something that has no array after all."""

    def __array__(self) -> np.ndarray:
        raise TypeError("unsupported dtype")


GOOD = {"weight": tt.zeros(1, 2), "bias": tt.zeros(1)}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"weight": tt.zeros(2, 2), "bias": tt.zeros(3)},
            ValueError,
            r"shapes differ: 'weight' is \(1, 2\) in the model, \(2, 2\) in the state, "
            r"'bias' is \(1,\) in the model, \(3,\)",
        ),
        ({"bias": "zero"}, TypeError, "no tensors: 'bias' is a str"),
        ({"bias": [0.0]}, TypeError, "no tensors: 'bias' is a list"),
        ({"bias": Frozen()}, TypeError, "no tensors: 'bias' is a Frozen: unsupported dtype"),
        ({"bias": np.array(["a"])}, TypeError, "no tensors: 'bias' is a ndarray of str"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(
    change: dict[str, Any], error: type[Exception], words: str, strict: bool
) -> None:
    layer = nn.Linear(2, 1)
    before = state_of(layer)
    with pytest.raises(error, match=f"load_state_dict: the state does not fit Linear:\n  {words}"):
        layer.load_state_dict({**GOOD, **change}, strict=strict)
    assert state_of(layer) == before


def test_all_that_does_not_fit_is_listed_at_once() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    state = model.state_dict()
    del state["0.bias"], state["1.bias"]
    state |= {"2.bias": tt.ones(1), "0.weight": tt.ones(3, 9)}
    before = state_of(model)
    with pytest.raises(ValueError, match="does not fit Sequential") as caught:
        model.load_state_dict(state)
    assert str(caught.value).split("\n")[1:] == [
        "  missing: '0.bias', '1.bias'",
        "  unexpected: '2.bias'",
        "  shapes differ: '0.weight' is (3, 2) in the model, (3, 9) in the state",
    ]
    assert state_of(model) == before


def test_floats_are_not_squeezed_into_integers() -> None:
    block = Block()
    with pytest.raises(TypeError, match="dtypes that cannot be held: 'seen' is int64 in the model"):
        block.load_state_dict({"seen": tt.tensor(1.5)}, strict=False)


def test_integers_that_are_too_large_are_refused() -> None:
    module = nn.Module()
    module.register_buffer("small", tt.zeros(2, dtype="int8"))
    module.load_state_dict({"small": tt.tensor([-128, 127])})
    with pytest.raises(TypeError, match="cannot be held: 'small' is int8 in the model, int64 in"):
        module.load_state_dict({"small": tt.tensor([0, 128])})
    assert module.state_dict()["small"].tolist() == [-128, 127]


def test_a_state_made_of_the_model_s_own_memory_is_not_overwritten_while_it_is_read() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    state = model.state_dict()
    first, second = state["0.weight"].item(), state["1.weight"].item()
    model.load_state_dict({"0.weight": state["1.weight"], "1.weight": state["0.weight"]})
    assert [p.item() for p in model.parameters()] == [second, first]


def test_read_only_memory_is_refused_before_anything_is_copied() -> None:
    layer = nn.Linear(2, 1)
    layer.bias = nn.Parameter(tt.from_numpy(np.broadcast_to(np.float32(1), (1,))))
    before = state_of(layer)
    with pytest.raises(ValueError, match="read-only in the model: 'bias'"):
        layer.load_state_dict(GOOD)
    assert state_of(layer) == before


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match="load_state_dict: expected a mapping of names to tensors"):
        nn.Linear(2, 1).load_state_dict("model.safetensors")  # type: ignore[arg-type]


def test_loading_between_forward_and_backward_is_noticed() -> None:
    layer = nn.Linear(2, 1)
    loss = (layer(tt.ones(1, 2, requires_grad=True)) ** 2).sum()
    layer.load_state_dict(GOOD)
    with pytest.raises(RuntimeError, match="changed"):
        loss.backward()


# Printing


def test_repr_of_a_nest() -> None:
    assert repr(nn.Sequential(Block(), nn.ReLU())) == (
        "Sequential(\n"
        "  (0): Block(\n"
        "    (inner): Linear(in_features=2, out_features=3, bias=True)\n"
        "  )\n"
        "  (1): ReLU()\n"
        ")"
    )


def test_summary_counts_and_shows_shapes() -> None:
    model = nn.Sequential(Block(), nn.Dropout(), nn.ModuleList([nn.ReLU()])[0])
    model.train()
    before = tt.default_generator().get_state()
    summary = model.summary(tt.ones(5, 2))
    assert tt.default_generator().get_state() == before
    assert all(module.training for module in model.modules())
    assert [(row.name, row.kind, row.output_shape, row.parameters) for row in summary.rows] == [
        ("", "Sequential", (5, 3), 0),
        ("0", "Block", (5, 3), 3),
        ("0.inner", "Linear", (5, 3), 9),
        ("1", "Dropout", (5, 3), 0),
        ("2", "ReLU", (5, 3), 0),
    ]
    assert summary.parameters == 12
    assert repr(summary).splitlines()[-1].split() == ["total", "12"]


def test_summary_counts_what_is_shared_once_and_needs_no_input() -> None:
    summary = Tied().summary()
    assert summary.parameters == 15
    assert all(row.output_shape is None for row in summary.rows)


def test_summary_leaves_nothing_behind_when_the_model_fails() -> None:
    model = nn.Sequential(nn.Linear(2, 3))
    with pytest.raises(ValueError, match="linear: expected an input"):
        model.summary(tt.ones(1, 5))
    assert model.training
    with pytest.raises(ValueError, match="linear: expected an input"):
        model(tt.ones(1, 5))
    assert model(tt.ones(1, 2)).shape == (1, 3)


def test_summary_escapes_names() -> None:
    model = nn.ModuleDict({"<b>": nn.ReLU()})
    assert "&lt;b&gt;" in model.summary()._repr_html_()

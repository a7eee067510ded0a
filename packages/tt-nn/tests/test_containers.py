from collections import OrderedDict
from collections.abc import Callable

import pytest

import tt_autograd as tt
import tt_nn as nn

pytestmark = pytest.mark.module_04


def three() -> list[nn.Linear]:
    return [nn.Linear(2, 2) for _ in range(3)]


@pytest.mark.parametrize("make", [lambda x: nn.Sequential(*x), nn.ModuleList], ids=["seq", "list"])
def test_sequences_behave_like_lists(
    make: Callable[[list[nn.Linear]], nn.Sequential | nn.ModuleList[nn.Linear]],
) -> None:
    layers = three()
    held = make(layers)
    assert len(held) == 3
    assert list(held) == layers
    assert held[1] is held[-2] is layers[1]
    assert list(held[1:]) == layers[1:]
    assert type(held[1:]) is type(held)
    new = nn.Linear(2, 2)
    held[-1] = new
    assert held[2] is new
    held.append(layers[2])
    assert list(held) == [layers[0], layers[1], new, layers[2]]
    del held[0]
    assert list(held) == [layers[1], new, layers[2]]
    held.insert(1, layers[0])
    held.extend([new])
    assert list(held) == [layers[1], layers[0], new, layers[2], new]
    assert [name for name, _ in held.named_children()] == ["0", "1", "2", "3"]  # new comes once
    assert list(held.state_dict())[-1] == "4.bias"


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range_is_named(index: int) -> None:
    held = nn.Sequential(*three())
    for use in (held.__getitem__, held.__delitem__, lambda i: held.__setitem__(i, nn.ReLU())):
        with pytest.raises(IndexError, match=f"Sequential: index {index} is out of range for 3"):
            use(index)


def test_a_sequential_runs_in_order() -> None:
    calls = []

    class Note(nn.Module):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, x: tt.Tensor) -> tt.Tensor:
            calls.append(self.name)
            return x + 1

    model = nn.Sequential(OrderedDict(first=Note("first"), second=Note("second")))
    assert model(tt.zeros(1)).tolist() == [2]
    assert calls == ["first", "second"]
    assert list(dict(model.named_children())) == ["first", "second"]
    assert repr(model[1:]) == "Sequential(\n  (second): Note()\n)"
    assert model.get_submodule("second") is model[1]


def test_an_empty_sequential_gives_back_its_input() -> None:
    x = tt.ones(2)
    assert nn.Sequential()(x) is x


@pytest.mark.parametrize("wrong", [3, "relu", nn.ReLU, [nn.ReLU()]])
def test_what_is_no_module_is_refused(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"Sequential: expected modules, got .* at place 1"):
        nn.Sequential(nn.ReLU(), wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="to be a Module or None"):
        nn.ModuleList([wrong])  # type: ignore[type-var]


def test_a_dictionary_of_modules() -> None:
    a, b, c = three()
    held = nn.ModuleDict({"a": a, "b": b})
    assert list(held) == list(held.keys()) == ["a", "b"]
    assert list(held.values()) == [a, b]
    assert list(held.items()) == [("a", a), ("b", b)]
    assert held["a"] is a
    assert "b" in held
    assert "c" not in held
    held["a"] = c
    held.update([("c", a)])
    del held["b"]
    assert dict(held.items()) == {"a": c, "c": a}
    assert list(held.state_dict()) == ["a.weight", "a.bias", "c.weight", "c.bias"]
    assert len(held) == 2


def test_names_that_a_dictionary_cannot_have() -> None:
    held = nn.ModuleDict({"a": nn.ReLU()})
    with pytest.raises(KeyError, match="ModuleDict: no module 'b'; there are: a"):
        held["b"]
    with pytest.raises(KeyError, match="no module 'b'"):
        del held["b"]
    for name in ("items", "x.y", ""):
        with pytest.raises(ValueError, match="add_module: "):
            held[name] = nn.ReLU()
    with pytest.raises(TypeError, match="'a' is a Module; expected a Module"):
        held["a"] = 3  # type: ignore[assignment]

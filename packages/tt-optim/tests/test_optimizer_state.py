"""The state of an optimizer: loaded, it goes on; what does not fit is refused."""

import copy
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim
from optimizer_table import CLASSES, OptimizerCase, assert_same, give_gradients, make_params, values

pytestmark = pytest.mark.module_07

each_class = pytest.mark.parametrize("case", CLASSES, ids=lambda case: case.kind.__name__)


@each_class
def test_a_state_goes_on_bit_for_bit(case: OptimizerCase) -> None:
    params = make_params(dtype=np.float32)
    optimizer = case.make(params)
    rng = np.random.default_rng(3)
    for _ in range(3):
        give_gradients(params, rng)
        optimizer.step()
    again = [nn.Parameter(param.detach().numpy().copy()) for param in params]
    resumed = case.make(again)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(3):
        for both in (params, again):
            give_gradients(both, np.random.default_rng(step))
        optimizer.step()
        resumed.step()
    assert_same(values(params), values(again))
    assert optimizer.state_dict()["param_groups"] == resumed.state_dict()["param_groups"]


def test_loading_brings_hyperparameters_and_forgets_the_old_state() -> None:
    source, target = make_params(shapes=[(2,)]), make_params(shapes=[(2,)])
    first = optim.SGD(source, lr=0.5, momentum=0.9)
    second = optim.SGD(target, lr=0.1, momentum=0.5)
    give_gradients(target, np.random.default_rng(0))
    second.step()
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["lr"] == 0.5
    assert second.state == {}
    for params, optimizer in ((source, first), (target, second)):
        params[0].data = tt.ones(2, dtype=tt.float64)
        params[0].grad = tt.ones(2, dtype=tt.float64)
        optimizer.step()
    assert_same(values(source), values(target))


def trained(shapes: Any, **arguments: Any) -> optim.Adam:
    params = make_params(shapes=shapes)
    named = [(f"layer{k}.weight", param) for k, param in enumerate(params)]
    optimizer = optim.Adam(named, **arguments)
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    return optimizer


def change(state: dict[str, Any], path: str, value: Any = None) -> dict[str, Any]:
    """Return a copy with the entry at a dotted path replaced, or removed by None."""
    state = copy.deepcopy(state)
    at: Any = state
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        at = at[part]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return state


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("state", None, "expected a dict of 'state' and 'param_groups'"),
        ("param_groups", [], "the optimizer has 1 groups, the state 0"),
        ("param_groups.0.params", [0], r"expected parameters \[0, 1\], got \[0\]"),
        ("param_groups.0.eps", None, "group 0: missing eps"),
        ("param_groups.0.colour", "red", "group 0: unexpected colour"),
        ("param_groups.0.lr", "fast", "lr: expected a number of at least 0, got 'fast'"),
        ("param_groups.0.betas", [0.9], "betas: expected 2 numbers"),
        ("param_groups.0.param_names", ["a", "b"], "expected parameters named"),
        ("state.0.exp_avg", None, "parameter 'layer0.weight': missing exp_avg"),
        ("state.0.momentum_buffer", tt.ones(2), "'layer0.weight': unexpected momentum_buffer"),
        ("state.1.exp_avg", tt.ones(4), r"'layer1.weight': exp_avg: expected float64 of shape"),
        ("state.1.step", -1, "step: expected an int of at least 0, got -1"),
        ("state.1.step", 1.5, "step: expected an int"),
        ("state.7", {"step": 1}, "state of parameters that there are not: 7"),
        ("state.1", 3, "parameter 'layer1.weight': expected a dict, got int"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(path: str, value: Any, says: str) -> None:
    optimizer = trained([(2, 3), (3,)])
    before = copy.deepcopy(optimizer.state_dict())
    other = trained([(2, 3), (3,)], lr=0.7).state_dict()
    with pytest.raises(ValueError, match=says) as caught:
        optimizer.load_state_dict(change(other, path, value))
    assert str(caught.value).startswith("Adam.load_state_dict: the state does not fit:")
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for number, held in before["state"].items():
        assert after["state"][number]["step"] == held["step"]
        assert_same([held["exp_avg"].numpy()], [after["state"][number]["exp_avg"].numpy()])


def test_all_that_does_not_fit_is_listed() -> None:
    optimizer = trained([(2, 3), (3,)])
    other = trained([(3, 2), (4,)]).state_dict()
    with pytest.raises(ValueError, match="does not fit") as caught:
        optimizer.load_state_dict(other)
    assert str(caught.value).count("expected float64 of shape") == 4

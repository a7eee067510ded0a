import copy
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

pytestmark = pytest.mark.module_08


def moved(param: nn.Parameter, steps: int, **arguments: Any) -> optim.ExponentialMovingAverage:
    average = optim.ExponentialMovingAverage([param], **arguments)
    for step in range(1, steps + 1):
        param.data = tt.full((2,), float(step), dtype=tt.float64)
        average.update()
    return average


def averaged(average: optim.ExponentialMovingAverage) -> Any:
    return average.state_dict()["averages"][0].tolist()[0]


def test_the_average_follows_its_rule() -> None:
    expected = 0.0
    for step in range(1, 6):
        expected = 0.8 * expected + 0.2 * step
    assert averaged(moved(nn.Parameter(np.zeros(2)), 5, decay=0.8)) == pytest.approx(expected)


def test_with_warm_up_it_begins_low() -> None:
    expected = 0.0
    for step in range(1, 6):
        decay = min(0.99, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    average = moved(nn.Parameter(np.zeros(2)), 5, decay=0.99, warm_up=True)
    assert averaged(average) == pytest.approx(expected)


def test_it_is_applied_inside_the_block_only_also_after_an_error() -> None:
    param = nn.Parameter(np.zeros(2))
    average = moved(param, 3, decay=0.5)
    with average.applied():
        assert param.tolist()[0] == averaged(average)
    assert param.tolist() == [3.0, 3.0]
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    assert param.tolist() == [3.0, 3.0]
    average.copy_to()
    assert param.tolist()[0] == averaged(average)


def test_values_that_a_graph_saved_are_stale_once_it_is_applied() -> None:
    param = nn.Parameter(np.ones(2))
    average = optim.ExponentialMovingAverage([param], decay=0.5)
    loss = (param * param).sum()
    average.copy_to()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_of_a_model_buffers_are_averaged_too() -> None:
    model = nn.Linear(2, 2)
    model.register_buffer("mean", tt.zeros(1))
    model.register_buffer("count", tt.tensor(0))
    average = optim.ExponentialMovingAverage(model)
    assert len(average.state_dict()["averages"]) == 3


def test_it_goes_on_from_its_state() -> None:
    first = moved(nn.Parameter(np.zeros(2)), 3, decay=0.5)
    param = nn.Parameter(np.zeros(2))
    second = optim.ExponentialMovingAverage([param], decay=0.5)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert second.num_updates == 3
    assert averaged(second) == averaged(first)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({}, "expected a dict of num_updates and averages"),
        ({"num_updates": -1, "averages": [tt.ones(2)]}, "num_updates: expected an int"),
        ({"num_updates": 1, "averages": []}, "averages: expected a list of 1"),
        ({"num_updates": 1, "averages": [tt.ones(3)]}, "expected float64 of shape"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(state: Any, says: str) -> None:
    average = moved(nn.Parameter(np.zeros(2)), 3, decay=0.5)
    before = averaged(average)
    with pytest.raises(ValueError, match=says):
        average.load_state_dict(state)
    assert (averaged(average), average.num_updates) == (before, 3)


@pytest.mark.parametrize(
    ("parameters", "arguments", "error"),
    [
        ([], {}, ValueError),
        ([3], {}, TypeError),
        ([tt.ones(2)], {"decay": 1.5}, ValueError),
        ([tt.ones(2)], {"decay": "x"}, TypeError),
        ([tt.ones(2)], {"warm_up": 1}, TypeError),
    ],
)
def test_arguments_that_do_not_fit(parameters: Any, arguments: Any, error: Any) -> None:
    with pytest.raises(error, match="ExponentialMovingAverage"):
        optim.ExponentialMovingAverage(parameters, **arguments)

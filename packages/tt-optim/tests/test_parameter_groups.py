"""Groups of parameters: hyperparameters of their own, and what is refused."""

from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim
from optimizer_table import assert_same, make_params, values

pytestmark = pytest.mark.module_07


def test_groups_have_hyperparameters_of_their_own() -> None:
    first, second, third = make_params(shapes=[(2,), (2,), (2,)])
    before = values([first, second, third])
    optimizer = optim.SGD(
        [{"params": [first]}, {"params": second, "lr": 0.1, "name": "head"}], lr=1.0
    )
    optimizer.add_param_group({"params": [third], "lr": 0.0})
    for param in (first, second, third):
        param.grad = tt.ones(2, dtype=tt.float64)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    expected = [before[0] - 1.0, before[1] - 0.1 - 0.1, before[2]]
    assert_same(expected, values([first, second, third]))
    assert [group.get("name") for group in optimizer.param_groups] == [None, "head", None]


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ([], ValueError, "SGD: expected at least one parameter, got none"),
        (nn.Parameter(np.ones(2)), TypeError, "put it in a list"),
        ([np.ones(2)], TypeError, "parameter 0 of group 0: expected a Tensor, got ndarray"),
        ([("w", 3)], TypeError, "SGD: parameter 'w': expected a Tensor, got int"),
        ([nn.Parameter(np.ones(2)) * 2], ValueError, "only leaves are optimized"),
        ([tt.tensor([1, 2])], TypeError, "expected floating-point values, got int64"),
        ([{"lr": 0.1}], TypeError, "expected a group to be a dict that has 'params'"),
        (
            [{"params": [nn.Parameter(np.ones(2))], "weight_deacy": 0.1}],
            ValueError,
            "unknown hyperparameter 'weight_deacy'; there are: lr, momentum",
        ),
        (
            [("w", nn.Parameter(np.ones(2))), nn.Parameter(np.ones(2))],
            TypeError,
            "names for all parameters of a group or none",
        ),
    ],
)
def test_what_is_no_parameter_is_refused(params: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        optim.SGD(params)


def test_a_parameter_in_two_places_is_refused() -> None:
    param = nn.Parameter(np.ones(2))
    with pytest.raises(ValueError, match="parameter 1 of group 0: it is also parameter 0 of"):
        optim.SGD([param, param])
    optimizer = optim.SGD([param])
    with pytest.raises(ValueError, match="parameter 0 of group 1: it is also parameter 0 of"):
        optimizer.add_param_group({"params": [param]})
    assert len(optimizer.param_groups) == 1


def test_muon_splits_a_group_and_takes_a_choice() -> None:
    matrix, vector, embedding = make_params(shapes=[(2, 3), (3,), (5, 3)])
    optimizer = optim.Muon(
        [{"params": [matrix, vector]}, {"params": [embedding], "use_muon": False, "lr": 0.5}],
        lr=0.1,
        adamw_lr=0.2,
    )
    split = [(g["use_muon"], g["lr"], len(g["params"])) for g in optimizer.param_groups]
    assert split == [(True, 0.1, 1), (False, 0.2, 1), (False, 0.5, 1)]
    with pytest.raises(ValueError, match="two or more dimensions, got one of shape"):
        optimizer.add_param_group({"params": make_params(shapes=[(3,)]), "use_muon": True})
    assert len(optimizer.param_groups) == 3

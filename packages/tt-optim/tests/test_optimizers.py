"""Every optimizer, over the table in testing/optimizer_table.py: its rule, what it leaves alone."""

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim
from optimizer_table import (
    CASES,
    CLASSES,
    REFUSED,
    SHAPES,
    OptimizerCase,
    Refused,
    assert_same,
    give_gradients,
    make_params,
    values,
)

pytestmark = pytest.mark.module_07

each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_class = pytest.mark.parametrize("case", CLASSES, ids=lambda case: case.kind.__name__)


@each_case
def test_threads_share_a_large_step_and_change_no_bit(case: OptimizerCase) -> None:
    shapes = [(300_001,), (290_000,), (200, 500), (30, 10, 5, 5), (3,)]
    found = []
    for threads in (1, 2):
        nn.set_num_threads(threads)
        try:
            params = make_params(dtype=np.float32, shapes=shapes)
            optimizer = case.make(params)
            rng = np.random.default_rng(1)
            for _ in range(2):
                give_gradients(params, rng)
                optimizer.step()
        finally:
            nn.set_num_threads(1)
        found.append(values(params))
    assert_same(*found)


@each_case
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-11), (np.float32, 3e-4)])
def test_steps_follow_the_rule_of_the_paper(
    case: OptimizerCase, dtype: Any, tolerance: float
) -> None:
    params = make_params(dtype=dtype, shapes=case.shapes)
    optimizer = case.make(params)
    rng = np.random.default_rng(1)
    expected = {id(p): p.detach().numpy().astype(np.float64) for p in params}
    states: dict[int, dict[str, Any]] = {id(p): {} for p in params}
    updates = {id(p): 0 for p in params}
    steps = 50 if dtype == np.float64 else 10
    for step in range(steps):
        give_gradients(params, rng)
        for k, param in enumerate(params):
            if (step + k) % 5 == 0:
                param.grad = None  # as of a parameter that a pass did not use
        optimizer.step()
        for group in optimizer.param_groups:
            for param in group["params"]:
                if param.grad is None or not param.numel():
                    continue
                key, g = id(param), param.grad.numpy().astype(np.float64)
                updates[key] += 1
                expected[key] = case.reference(expected[key], g, states[key], updates[key], group)
    for param in params:
        np.testing.assert_allclose(
            param.detach().numpy(), expected[id(param)], rtol=tolerance, atol=tolerance
        )


@each_case
def test_state_has_the_names_and_shapes_of_the_parameters(case: OptimizerCase) -> None:
    params = make_params()
    optimizer = case.make(params)
    assert optimizer.state == {}
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    for param in params:
        state = optimizer.state[param]
        assert state.pop("step") == 1
        if case.state:
            assert tuple(state) == case.state
        assert {tensor.shape for tensor in state.values()} <= {param.shape}
        assert {tensor.dtype for tensor in state.values()} <= {param.dtype}


@pytest.mark.parametrize("refused", REFUSED, ids=str)
def test_hyperparameters_out_of_range_are_refused(refused: Refused) -> None:
    kind: Any = refused.kind
    params = make_params()
    with pytest.raises(refused.error, match=refused.says.replace("(", r"\(")):
        kind(params, **refused.arguments)
    optimizer = kind(params)
    with pytest.raises(refused.error):
        optimizer.add_param_group({"params": make_params(1), **refused.arguments})
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(params)


@each_class
def test_parameters_stay_the_same_objects_with_the_same_values(case: OptimizerCase) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    params = list(model.parameters())
    before = values(params)
    case.make(params)
    assert_same(before, values(params))
    assert [id(p) for p in model.parameters()] == [id(p) for p in params]


@each_class
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_is_beside_a_parameter_changes_nothing(case: OptimizerCase, data: Any) -> None:
    """Together in any order, with any gaps, as each parameter alone."""
    shapes = data.draw(st.lists(st.sampled_from([*SHAPES[:5], (64, 3)]), min_size=1, max_size=6))
    frozen = data.draw(st.sets(st.integers(0, len(shapes) - 1)))
    together = make_params(shapes=shapes, dtype=np.float32)
    alone = make_params(shapes=shapes, dtype=np.float32)
    for k in frozen:
        together[k].requires_grad_(False)
    one = case.make(together)
    many = [case.make([param]) for param in alone]
    for step in range(4):
        missing = data.draw(st.sets(st.integers(0, len(shapes) - 1)))
        give_gradients(alone, np.random.default_rng(step))
        for k, (a, b) in enumerate(zip(together, alone, strict=True)):
            if k in frozen or k in missing:
                b.grad = None
            if k not in frozen:
                a.grad = b.grad
        one.step()
        for optimizer in many:
            optimizer.step()
    assert_same(values(together), values(alone))


@each_class
def test_steps_are_right_after_values_are_assigned(case: OptimizerCase) -> None:
    plain, moved = make_params(), make_params()
    first, second = case.make(plain), case.make(moved)
    for step in range(4):
        for params, optimizer in ((plain, first), (moved, second)):
            give_gradients(params, np.random.default_rng(step))
            optimizer.step()
        if step == 1:
            outside = tt.Tensor(moved[0].detach().numpy())
            moved[0].data = outside
            moved[5].data = tt.from_numpy(moved[5].detach().numpy().T.copy().T)  # columns first
    assert_same(values(plain), values(moved))
    np.testing.assert_array_equal(outside.numpy(), moved[0].detach().numpy())


@each_class
def test_parameters_by_columns_take_the_same_steps(case: OptimizerCase) -> None:
    rows, columns = make_params(), make_params()
    for param in columns:
        param.data = tt.from_numpy(np.array(param.detach().numpy(), order="F"))
    first, second, resumed = case.make(rows), case.make(columns), case.make(make_params())
    for step in range(3):
        for params, optimizer in ((rows, first), (columns, second)):
            give_gradients(params, np.random.default_rng(step))
            optimizer.step()
    for one, other in zip(rows, columns, strict=True):
        pairs = [(one, other)]
        pairs += [(first.state[one][name], second.state[other][name]) for name in case.state]
        for a, b in pairs:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)
        assert other.detach().numpy().flags.f_contiguous
    resumed.load_state_dict(second.state_dict())
    for loaded, state in zip(resumed.state.values(), second.state.values(), strict=True):
        for name in case.state:
            np.testing.assert_array_equal(loaded[name].numpy(), state[name].numpy())


@each_class
def test_steps_are_right_after_a_change_of_dtype(case: OptimizerCase) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer = case.make(model.parameters())
    x = tt.ones(5, 3)
    for dtype in (tt.float32, tt.float64, tt.float64):
        model.to(dtype)
        optimizer.zero_grad()
        (model(x.to(dtype)) ** 2).sum().backward()
        optimizer.step()
    for param in model.parameters():
        assert param.dtype == tt.float64
        for tensor in optimizer.state[param].values():
            assert tensor == 3 if isinstance(tensor, int) else tensor.dtype == tt.float64


def test_memory_that_others_see_stays_where_it_is() -> None:
    array = np.ones(4)
    shared = nn.Parameter(tt.from_numpy(array))
    seen = nn.Parameter(np.ones(3))
    view = seen.detach()
    optimizer = optim.SGD([shared, seen], lr=0.5)
    for param in (shared, seen):
        param.grad = tt.ones(*param.shape, dtype=tt.float64)
    optimizer.step()
    np.testing.assert_array_equal(array, 0.5)
    np.testing.assert_array_equal(view.numpy(), 0.5)


def test_two_optimizers_can_share_parameters() -> None:
    params = make_params(shapes=[(3,), (2, 2)])
    first, second = optim.SGD(params, lr=1.0), optim.SGD(params, lr=1.0)
    before = values(params)
    for param in params:
        param.grad = tt.ones(*param.shape, dtype=tt.float64)
    first.step()
    second.step()
    assert_same([value - 1.0 - 1.0 for value in before], values(params))


def test_a_shared_parameter_of_a_model_is_updated_once() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, layer)
    optimizer = optim.SGD(model.parameters(), lr=1.0)
    before = layer.weight.detach().numpy().copy()
    model(tt.ones(1, 2)).sum().backward()
    grad = layer.weight.grad
    assert grad is not None
    optimizer.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), before - grad.numpy(), rtol=1e-6)


def test_read_only_memory_is_an_error_before_anything_changes() -> None:
    frozen = np.ones(3)
    frozen.flags.writeable = False
    params = [nn.Parameter(np.ones(2)), nn.Parameter(tt.from_numpy(frozen))]
    optimizer = optim.SGD(params, lr=1.0)
    for param in params:
        param.grad = tt.ones(*param.shape, dtype=tt.float64)
    with pytest.raises(ValueError, match="SGD: parameter 1 of group 0: its memory is read-only"):
        optimizer.step()
    np.testing.assert_array_equal(params[0].detach().numpy(), 1.0)


@each_class
def test_values_that_a_graph_saved_are_stale_after_a_step(case: OptimizerCase) -> None:
    weight = nn.Parameter(np.ones((3, 3)))
    optimizer = case.make([weight])
    x = tt.ones(1, 3, dtype=tt.float64, requires_grad=True)
    loss = (x @ weight).sum()
    weight.grad = tt.ones(3, 3, dtype=tt.float64)
    optimizer.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


def test_a_step_that_leaves_a_parameter_alone_does_not_make_it_stale() -> None:
    used, unused = nn.Parameter(np.ones((3, 3))), nn.Parameter(np.ones((3, 3)))
    optimizer = optim.SGD([used, unused], lr=0.1)
    x = tt.ones(1, 3, dtype=tt.float64, requires_grad=True)
    loss = (x @ unused).sum()
    used.grad = tt.ones(3, 3, dtype=tt.float64)
    optimizer.step()
    loss.backward()
    assert x.grad is not None


def test_infinite_and_nan_gradients_reach_the_parameter() -> None:
    param = nn.Parameter(np.zeros(4))
    optimizer = optim.Adam([param], amsgrad=True)
    for _ in range(2):
        param.grad = tt.tensor([np.nan, np.inf, 1.0, 0.0], dtype=tt.float64)
        optimizer.step()
    result = param.detach().numpy()
    assert np.isnan(result[:2]).all()
    assert np.isfinite(result[2:]).all()


# Gradients


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad(set_to_none: bool) -> None:
    params = make_params(shapes=[(2,), (3,)])
    optimizer = optim.SGD(params)
    give_gradients(params[:1], np.random.default_rng(0))
    optimizer.zero_grad(set_to_none=set_to_none)
    grad = params[0].grad
    assert grad is None if set_to_none else (grad is not None and not grad.any())
    assert params[1].grad is None


def test_a_closure_computes_the_loss_even_under_no_grad() -> None:
    param = nn.Parameter(np.array([3.0]))
    optimizer = optim.SGD([param], lr=0.1)

    def closure() -> tt.Tensor:
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with tt.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == 9.0
    assert param.item() == pytest.approx(2.4)


def test_an_optimizer_lets_go_of_its_memory() -> None:
    params = make_params(shapes=[(64, 64)])
    optimizer = optim.Adam(params)
    give_gradients(params, np.random.default_rng(0))
    optimizer.step()
    state = optimizer.state[params[0]]["exp_avg"].numpy()
    before = len(gc.get_referrers(state))
    del optimizer
    gc.collect()
    assert len(gc.get_referrers(state)) <= before


def test_a_subclass_brings_its_own_check() -> None:
    class Careful(optim.SGD):
        def check(self, group: dict[str, Any]) -> None:
            super().check(group)
            if group["lr"] > 1:
                raise ValueError("Careful: lr: expected at most 1")

    with pytest.raises(ValueError, match="at most 1"):
        Careful(make_params(shapes=[(2,)]), lr=2.0)

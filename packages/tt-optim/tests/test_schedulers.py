import json
import math
from typing import Any

import pytest

import tt_autograd as tt
import tt_optim as optim
from scheduler_table import CASES, METRICS, PLATEAUS, SchedulerCase

pytestmark = pytest.mark.module_08

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def make_optimizer() -> optim.Adam:
    x, y = tt.ones(1, requires_grad=True), tt.ones(1, requires_grad=True)
    return optim.Adam([{"params": [x]}, {"params": [y], "lr": 0.02}], lr=0.1)


def rates(optimizer: optim.Optimizer) -> list[Any]:
    return [(group["lr"], group["betas"]) for group in optimizer.param_groups]


@each_case
def test_learning_rates_are_set_step_by_step(case: SchedulerCase) -> None:
    optimizer = make_optimizer()
    scheduler = case.make(optim, optimizer)
    for step in range(case.steps):
        assert scheduler.last_epoch == step
        lrs = [group["lr"] for group in optimizer.param_groups]
        assert lrs == scheduler.get_last_lr() == scheduler.lrs(step)
        scheduler.step()


@each_case
def test_a_scheduler_goes_on_from_its_state(case: SchedulerCase) -> None:
    optimizer, again = make_optimizer(), make_optimizer()
    scheduler = case.make(optim, optimizer)
    for _ in range(7):
        scheduler.step()
    resumed = case.make(optim, again)
    resumed.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert rates(again) == rates(optimizer)
    for _ in range(20):
        scheduler.step()
        resumed.step()
        assert rates(again) == rates(optimizer)


@each_case
@pytest.mark.parametrize(
    "changed",
    [{"last_epoch": -1}, {"last_epoch": "3"}, {"base_lrs": [0.1]}, {"base_lrs": 3}, {"more": 1}],
    ids=str,
)
def test_a_state_that_does_not_fit_is_refused(case: SchedulerCase, changed: Any) -> None:
    optimizer = make_optimizer()
    scheduler = case.make(optim, optimizer)
    scheduler.step()
    before = rates(optimizer), scheduler.state_dict()
    with pytest.raises(ValueError, match="load_state_dict"):
        scheduler.load_state_dict({**scheduler.state_dict(), **changed})
    assert (rates(optimizer), scheduler.state_dict()) == before


def test_cosine_and_line_reach_their_ends() -> None:
    optimizer = make_optimizer()
    cosine = optim.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.01)
    assert cosine.lrs(0) == [0.1, 0.02]
    assert cosine.lrs(10) == [0.01, 0.01]
    line = optim.LinearLR(make_optimizer(), 1.0, 0.0, total_iters=4)
    assert [line.lrs(step)[0] for step in (0, 2, 4, 9)] == [0.1, 0.05, 0.0, 0.0]


def test_one_cycle_goes_up_and_down_and_ends() -> None:
    optimizer = make_optimizer()
    scheduler = optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=11, pct_start=0.5)
    lrs = [scheduler.lrs(step)[0] for step in range(11)]
    assert lrs[0] == pytest.approx(1 / 25)
    assert max(lrs) < 1.0  # the peak lies between two steps
    assert lrs[-1] == pytest.approx(1 / 25 / 1e4)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    for _ in range(11):
        scheduler.step()
    with pytest.raises(ValueError, match="step 12 is beyond the cycle's 11 steps"):
        scheduler.step()


def test_one_cycle_moves_momentum() -> None:
    optimizer = optim.SGD([tt.ones(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = optim.OneCycleLR(optimizer, max_lr=1.0, total_steps=21, pct_start=0.5)
    momenta = []
    for _ in range(21):
        momenta.append(optimizer.param_groups[0]["momentum"])
        scheduler.step()
    assert momenta[0] == 0.95
    assert min(momenta) == pytest.approx(0.85, abs=0.001)
    assert momenta[-1] == pytest.approx(0.95)


def test_warm_up_then_another() -> None:
    optimizer = make_optimizer()
    after = optim.CosineAnnealingLR(optimizer, T_max=10)
    scheduler = optim.WarmupLR(optimizer, 5, after=after)
    lrs = [scheduler.lrs(step)[0] for step in range(16)]
    assert lrs[:6] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1])
    assert lrs[10] == pytest.approx(0.05)
    assert lrs[15] == pytest.approx(0.0)


@pytest.mark.parametrize("arguments", PLATEAUS, ids=str)
def test_a_plateau_goes_on_from_its_state(arguments: dict[str, Any]) -> None:
    optimizer, again = make_optimizer(), make_optimizer()
    first = optim.ReduceLROnPlateau(optimizer, **arguments)
    second = optim.ReduceLROnPlateau(again, **arguments)
    for step, metric in enumerate(METRICS):
        first.step(tt.tensor(metric))
        if step == 10:
            again.load_state_dict(optimizer.state_dict())
            second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        elif step > 10:
            second.step(metric)
            assert first.get_last_lr() == second.get_last_lr()


def test_a_plateau_reduces_down_to_the_least() -> None:
    optimizer = make_optimizer()
    scheduler = optim.ReduceLROnPlateau(optimizer, patience=0, factor=0.5, min_lr=0.015)
    for _ in range(10):
        scheduler.step(math.nan)
    assert scheduler.get_last_lr() == [0.015, 0.015]
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau.load_state_dict: expected numbers"):
        scheduler.load_state_dict({"best": "x"})


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda m, o: m.StepLR(o, 0), ValueError, "StepLR: step_size: expected at least 1"),
        (lambda m, o: m.StepLR(o, 1.5), TypeError, "StepLR: step_size: expected an int, got 1.5"),
        (lambda m, o: m.ExponentialLR(o, -1), ValueError, "ExponentialLR: gamma"),
        (
            lambda m, o: m.MultiStepLR(o, [5, 3]),
            ValueError,
            "expected rising steps",
        ),
        (lambda m, o: m.LambdaLR(o, [abs]), ValueError, "LambdaLR: expected 2 functions"),
        (lambda m, o: m.CosineAnnealingLR(o, 0), ValueError, "T_max: expected at least 1"),
        (lambda m, o: m.LinearLR(o, total_iters=0), ValueError, "LinearLR: total_iters"),
        (lambda m, o: m.OneCycleLR(o, 1.0), ValueError, "expected total_steps, or both"),
        (lambda m, o: m.OneCycleLR(o, [1.0], 5), ValueError, "expected 2 of max_lr"),
        (lambda m, o: m.OneCycleLR(o, 1.0, 5, pct_start=2), ValueError, "pct_start"),
        (
            lambda m, o: m.OneCycleLR(o, 1.0, 5, anneal_strategy="sin"),
            ValueError,
            "expected 'cos' or 'linear', got 'sin'",
        ),
        (
            lambda m, o: m.OneCycleLR(m.Adagrad(o.param_groups[0]["params"]), 1.0, 5),
            ValueError,
            "neither momentum nor betas",
        ),
        (lambda m, o: m.SequentialLR(o, [], [3]), ValueError, "expected 2 schedulers for 1"),
        (
            lambda m, o: m.SequentialLR(o, [m.StepLR(make_optimizer(), 1)], []),
            ValueError,
            "expected schedulers of the same optimizer",
        ),
        (lambda m, o: m.StepLR(3, 1), TypeError, "StepLR: expected an optimizer, got int"),
        (lambda m, o: m.ReduceLROnPlateau(3), TypeError, "expected an optimizer, got int"),
        (lambda m, o: m.ReduceLROnPlateau(o, "low"), ValueError, "expected 'min' or 'max'"),
        (lambda m, o: m.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor"),
        (lambda m, o: m.ReduceLROnPlateau(o, min_lr=[0.1]), ValueError, "expected 2 of min_lr"),
        (
            lambda m, o: m.ReduceLROnPlateau(o, threshold_mode="x"),
            ValueError,
            "expected 'rel' or 'abs'",
        ),
    ],
)
def test_arguments_that_do_not_fit(make: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        make(optim, make_optimizer())

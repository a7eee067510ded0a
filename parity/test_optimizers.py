from typing import Any

import numpy as np
import pytest
import torch

import tt_autograd as tt
import tt_optim as optim
from optimizer_table import CASES, OptimizerCase
from scheduler_table import CASES as SCHEDULERS
from scheduler_table import METRICS, PLATEAUS, SchedulerCase

WITH_TORCH = [case for case in CASES if case.torch]
MUON = [case for case in CASES if case.kind is optim.Muon]


def pairs(shapes: Any, dtype: Any) -> tuple[list[tt.Tensor], list[Any]]:
    """Return the same parameters, ours and torch's."""
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]
    return (
        [tt.tensor(array, requires_grad=True) for array in arrays],
        [torch.tensor(array, requires_grad=True) for array in arrays],
    )


def step_both(ours: list[tt.Tensor], theirs: list[Any], rng: np.random.Generator) -> None:
    """Give both sides the same gradients, and none where a pass did not use a parameter."""
    for mine, other in zip(ours, theirs, strict=True):
        if rng.random() < 0.15:
            mine.grad = other.grad = None
            continue
        g = np.asarray(rng.standard_normal(mine.shape), mine.dtype)
        mine.grad, other.grad = tt.tensor(g), torch.tensor(g)


@pytest.mark.parametrize("case", WITH_TORCH, ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 5e-5)])
def test_fifty_steps_agree_one_by_one(case: OptimizerCase, dtype: Any, tolerance: float) -> None:
    ours, theirs = pairs(case.shapes, dtype)
    mine = case.make(ours)
    other = getattr(torch.optim, case.kind.__name__)(theirs, **case.arguments)
    rng = np.random.default_rng(1)
    for step in range(50):
        step_both(ours, theirs, rng)
        mine.step()
        other.step()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(
                a.detach().numpy(),
                b.detach().numpy(),
                rtol=tolerance,
                atol=tolerance,
                err_msg=f"step {step}",
            )


@pytest.mark.parametrize("case", WITH_TORCH, ids=str)
def test_defaults_and_state_have_torchs_names(case: OptimizerCase) -> None:
    ours, theirs = pairs([(2, 3)], np.float64)
    mine = case.make(ours)
    other = getattr(torch.optim, case.kind.__name__)(theirs, **case.arguments)
    # Those that choose among torch's implementations have no meaning here.
    for name in mine.defaults:
        assert mine.defaults[name] == other.defaults[name], name
    step_both(ours, theirs, np.random.default_rng(1))
    mine.step()
    other.step()
    held = other.state.get(theirs[0], {})
    found = mine.state[ours[0]]
    for name in held.keys() - {"step"}:
        if held[name] is not None:
            np.testing.assert_allclose(found[name].numpy(), held[name].numpy(), rtol=1e-12)


@pytest.mark.parametrize("case", MUON, ids=str)
def test_muon_agrees_but_for_torchs_bfloat16(
    case: OptimizerCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # torch rounds the matrix that it makes orthogonal to bfloat16; here it does not.
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())
    ours, theirs = pairs([(6, 4), (4, 6), (5, 5)], np.float64)
    mine = case.make(ours)
    arguments = {k: v for k, v in case.arguments.items() if not k.startswith("adamw")}
    other: Any = torch.optim.Muon(theirs, **arguments)
    rng = np.random.default_rng(1)
    for _ in range(50):
        step_both(ours, theirs, rng)
        mine.step()
        other.step()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(
                a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-11
            )


def both_optimizers() -> tuple[optim.Optimizer, Any]:
    def groups(params: list[Any]) -> Any:
        return [{"params": params[:1]}, {"params": params[1:], "lr": 0.02}]

    ours, theirs = pairs([(2,), (3,)], np.float64)
    settings: dict[str, Any] = {"lr": 0.1, "betas": (0.9, 0.99)}
    return (
        optim.Adam(groups(ours), **settings),
        torch.optim.Adam(groups(theirs), **settings),
    )


def compare(ours: optim.Optimizer, theirs: Any, step: int) -> None:
    for mine, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert mine["lr"] == pytest.approx(other["lr"], rel=1e-9, abs=1e-15), step
        assert mine["betas"] == pytest.approx(other["betas"], rel=1e-12), step


@pytest.mark.parametrize("case", SCHEDULERS, ids=str)
def test_learning_rates_agree(case: SchedulerCase) -> None:
    ours, theirs = both_optimizers()
    mine = case.make(optim, ours)
    other = case.make(torch.optim.lr_scheduler, theirs)
    for step in range(case.steps):
        compare(ours, theirs, step)
        assert mine.get_last_lr() == pytest.approx(other.get_last_lr(), rel=1e-9, abs=1e-15)
        theirs.step()
        mine.step()
        other.step()
    compare(ours, theirs, case.steps)


@pytest.mark.parametrize("arguments", PLATEAUS, ids=str)
def test_learning_rates_on_a_plateau_agree(arguments: dict[str, Any]) -> None:
    ours, theirs = both_optimizers()
    mine = optim.ReduceLROnPlateau(ours, **arguments)
    other = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **arguments)
    for step, metric in enumerate(METRICS):
        mine.step(metric)
        other.step(metric)
        compare(ours, theirs, step)
        assert mine.num_bad_epochs == other.num_bad_epochs


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1000.0])
def test_clipped_gradients_agree(norm_type: float, max_norm: float) -> None:
    ours, theirs = pairs([(3, 4), (5,), ()], np.float64)
    step_both(ours, theirs, np.random.default_rng(2))
    mine = optim.clip_grad_norm_(ours, max_norm, norm_type)
    other = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert mine.item() == pytest.approx(other.item(), rel=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


def test_clipped_values_agree() -> None:
    ours, theirs = pairs([(3, 4), (5,)], np.float64)
    step_both(ours, theirs, np.random.default_rng(2))
    optim.clip_grad_value_(ours, 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    for a, b in zip(ours, theirs, strict=True):
        if a.grad is not None:
            np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())

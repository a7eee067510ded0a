"""Learning from the scores of another model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile.compression import DistillationLoss

pytestmark = pytest.mark.module_16

SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "a batch": ((6, 5), (6,)),
    "one sample": ((5,), ()),
    "images of classes": ((2, 5, 3, 4), (2, 3, 4)),
}


def softmax(scores: np.ndarray, dim: int) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=dim, keepdims=True))
    return np.asarray(powers / powers.sum(axis=dim, keepdims=True))


def made(name: str) -> tuple[tt.Tensor, tt.Tensor, tt.Tensor]:
    shape, samples = SHAPES[name]
    generator = tt.Generator(0)
    student, teacher = (3 * tt.randn(*shape, generator=generator) for _ in range(2))
    return student.double(), teacher.double(), tt.randint(0, 5, samples, generator=generator)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("name", SHAPES)
def test_the_formula(name: str, temperature: float, alpha: float) -> None:
    student, teacher, target = made(name)
    dim = min(1, student.ndim - 1)
    p = softmax(teacher.numpy() / temperature, dim)
    q = softmax(student.numpy() / temperature, dim)
    divergence = (p * np.log(p / q)).sum(axis=dim).mean()
    hard = nn.functional.cross_entropy(student, target).item()
    loss = DistillationLoss(temperature, alpha)(student, teacher, target)
    assert loss.item() == pytest.approx(alpha * temperature**2 * divergence + (1 - alpha) * hard)


@pytest.mark.parametrize("name", SHAPES)
def test_gradients(name: str) -> None:
    student, teacher, target = made(name)
    student.requires_grad_()
    loss = DistillationLoss(3.0, 0.7)
    assert tt.gradcheck(lambda scores: loss(scores, teacher, target), (student,))


def test_the_teacher_gets_no_gradient() -> None:
    student, teacher, target = made("a batch")
    student.requires_grad_()
    teacher.requires_grad_()
    DistillationLoss()(student, teacher, target).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_scores_that_agree_cost_nothing() -> None:
    _, teacher, _ = made("a batch")
    assert DistillationLoss(alpha=1.0)(teacher + 7, teacher).item() == pytest.approx(0)


def test_high_temperatures_match_scores() -> None:
    """Hinton's limit: gradients become those of half the mean square of centred scores."""
    student, teacher, _ = made("a batch")
    student.requires_grad_()
    DistillationLoss(temperature=1e3, alpha=1.0)(student, teacher).backward()
    difference = (student - teacher).detach().numpy()
    centred = difference - difference.mean(axis=1, keepdims=True)
    assert student.grad is not None
    np.testing.assert_allclose(student.grad.numpy(), centred / 5 / 6, rtol=0.05, atol=1e-4)


def test_a_student_learns_from_its_teacher_alone() -> None:
    tt.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 3))
    with tt.no_grad():
        for parameter in teacher.parameters():
            parameter *= 4
    student = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    x = tt.randn(256, 4)
    with tt.no_grad():
        scores = teacher(x)
    loss = DistillationLoss(temperature=2.0, alpha=1.0)

    def agreement() -> float:
        with tt.no_grad():
            return float((student(x).argmax(1) == scores.argmax(1)).float().mean().item())

    before, first = agreement(), loss(student(x), scores).item()
    for _ in range(150):
        student.zero_grad()
        loss(student(x), scores).backward()
        with tt.no_grad():
            for parameter in student.parameters():
                assert parameter.grad is not None
                parameter -= 0.1 * parameter.grad
    assert loss(student(x), scores).item() < 0.3 * first
    assert agreement() > max(before, 0.8)


ERRORS: dict[str, tuple[Callable[[], object], str]] = {
    "temperature": (lambda: DistillationLoss(0.0), "a temperature above 0, got 0.0"),
    "alpha": (lambda: DistillationLoss(alpha=1.1), "alpha from 0 to 1, got 1.1"),
    "shapes": (
        lambda: DistillationLoss(alpha=1.0)(tt.ones(2, 3), tt.ones(2, 4)),
        r"one shape, got \(2, 3\) and \(2, 4\)",
    ),
    "no target": (
        lambda: DistillationLoss(alpha=0.5)(tt.ones(2, 3), tt.ones(2, 3)),
        "expected a target, for it counts 0.5",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call()

"""Distillation: a small model learns from the scores of a large one."""

from __future__ import annotations

import tt_tensor
from tt_autograd import Tensor
from tt_nn import Module
from tt_nn.functional import cross_entropy, kl_div


class DistillationLoss(Module):
    r"""How far a student's scores are from its teacher's, and from the true classes.

    With :math:`p^T = \text{softmax}(z / T)` of each model's scores,

    .. math:: L = \alpha \, T^2 \, \text{KL}(p^T_\text{teacher} \| p^T_\text{student})
              + (1 - \alpha) \, \text{CE}(z_\text{student}, y)

    A high temperature shows what the teacher takes for nearly right. Gradients of the first term
    fall with :math:`1 / T^2`, which the factor makes good.

    Args:
        temperature: :math:`T`, what scores are divided by.
        alpha: The weight of the teacher; the true classes have the rest.

    Shape:
        ``(N, C), (N, C), (N,) -> ()``, or ``(C,), (C,), ()``, or ``(N, C, d1, ...)`` as in
        `functional.cross_entropy`.

    Raises:
        ValueError: ``temperature`` is not positive, or ``alpha`` not from 0 to 1.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> teacher, student = nn.Linear(4, 3), nn.Linear(4, 3)
        >>> x, y = tt.rand(5, 4), tt.tensor([0, 1, 2, 0, 1])
        >>> with tt.no_grad():
        ...     scores = teacher(x)
        >>> loss = DistillationLoss(temperature=4.0, alpha=0.9)
        >>> loss(student(x), scores, y).backward()
        >>> student.weight.grad.shape
        (3, 4)

    References:
        Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015.
    """

    def __init__(self, temperature: float = 4.0, alpha: float = 0.9) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(
                f"DistillationLoss: expected a temperature above 0, got {temperature!r}"
            )
        if not 0 <= alpha <= 1:
            raise ValueError(f"DistillationLoss: expected alpha from 0 to 1, got {alpha!r}")
        self.temperature = temperature
        self.alpha = alpha

    def forward(
        self,
        input: tt_tensor.Tensor,
        teacher: tt_tensor.Tensor,
        target: tt_tensor.Tensor | None = None,
    ) -> Tensor:
        """Return the loss, the mean over samples.

        Args:
            input: The student's scores.
            teacher: The teacher's scores, through which no gradient goes.
            target: The true classes; not needed where ``alpha`` is 1.

        Raises:
            ValueError: The shapes differ, or there is no target but ``alpha`` is less than 1.
        """
        if input.shape != teacher.shape:
            raise ValueError(
                "DistillationLoss: expected scores of student and teacher of one shape, "
                f"got {input.shape} and {teacher.shape}"
            )
        if target is None and self.alpha < 1:
            raise ValueError(
                f"DistillationLoss: expected a target, for it counts {1 - self.alpha:g}; "
                "without one set alpha=1"
            )
        classes = 1 if input.ndim > 1 else 0  # the dimension that counts them
        student_logs = (input / self.temperature).log_softmax(classes)
        teacher_logs = (_constant(teacher) / self.temperature).log_softmax(classes)
        divergence = kl_div(student_logs, teacher_logs, reduction="sum", log_target=True)
        samples = input.numel() // input.shape[classes]
        loss = divergence * (self.alpha * self.temperature**2 / samples)
        if target is not None and self.alpha < 1:
            loss = loss + (1 - self.alpha) * cross_entropy(input, target)
        return loss

    def extra_repr(self) -> str:
        """Return temperature and weight."""
        return f"temperature={self.temperature:g}, alpha={self.alpha:g}"


def _constant(scores: tt_tensor.Tensor) -> tt_tensor.Tensor:
    return scores.detach() if isinstance(scores, Tensor) else scores

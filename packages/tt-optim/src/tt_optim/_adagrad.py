"""Adagrad."""

from __future__ import annotations

from ._checks import check_flags, check_number
from ._optimizer import Optimizer, ParamGroup, Params


class Adagrad(Optimizer):
    r"""Gradients divided by the root of the sum of their squares so far.

    .. math::

        g_t &= \nabla f(\theta_{t-1}) + \lambda \theta_{t-1} \\
        s_t &= s_{t-1} + g_t^2 \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 + (t - 1) \eta} \frac{g_t}{\sqrt{s_t} + \epsilon}

    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (2011).

    Args:
        params: Parameters, named parameters or groups.
        lr: Learning rate, gamma.
        lr_decay: Decay of the learning rate, eta.
        weight_decay: L2 penalty, lambda.
        initial_accumulator_value: What the sum of squares starts from.
        eps: Added to the denominator.
        maximize: Go up instead of down.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> optimizer = Adagrad([x], lr=0.5)
        >>> x.grad = tt.tensor([1.0, 100.0])
        >>> optimizer.step()
        >>> x.detach()
        tensor([0.5000, 0.5000])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "maximize": maximize,
            },
        )

    def check(self, group: ParamGroup) -> None:
        for name in ("lr", "lr_decay", "eps", "weight_decay", "initial_accumulator_value"):
            check_number("Adagrad", name, group[name])
        check_flags("Adagrad", group, "maximize")

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        return "adagrad", (group["lr"] / (1.0 + (step - 1) * group["lr_decay"]), group["eps"])

"""Lion."""

from __future__ import annotations

from ._checks import check_flags, check_fractions, check_number
from ._optimizer import Optimizer, ParamGroup, Params


class Lion(Optimizer):
    r"""Steps by the sign of an interpolation between the gradient and its running mean.

    .. math::

        c_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        \theta_t &= (1 - \gamma \lambda) \theta_{t-1} - \gamma\, \mathrm{sign}(c_t) \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2) g_t

    Every element moves by the learning rate, so that one of a third to a tenth of AdamW's is
    usual, with a weight decay as many times as large.

    Chen et al., "Symbolic discovery of optimization algorithms" (2023).

    Args:
        params: Parameters, named parameters or groups.
        lr: Learning rate, gamma.
        betas: The interpolation of the step and the decay of the running mean.
        weight_decay: How fast parameters shrink, lambda, relative to the learning rate.
        maximize: Go up instead of down.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> optimizer = Lion([x], lr=0.25)
        >>> x.grad = tt.tensor([1.0, -100.0])
        >>> optimizer.step()
        >>> x.detach()
        tensor([0.7500, 1.2500])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize},
        )

    def check(self, group: ParamGroup) -> None:
        for name in ("lr", "weight_decay"):
            check_number("Lion", name, group[name])
        check_fractions("Lion", "betas", group["betas"])
        check_flags("Lion", group, "maximize")

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        return {"exp_avg": 0.0}

    def decays_gradient(self, group: ParamGroup) -> bool:
        return False

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        return "lion", (lr, 1.0 - beta1, 1.0 - beta2, 1.0 - lr * group["weight_decay"])

"""Stochastic gradient descent."""

from __future__ import annotations

from ._checks import check_flags, check_number
from ._optimizer import Optimizer, ParamGroup, Params


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum if asked for.

    .. math::

        g_t &= \nabla f(\theta_{t-1}) + \lambda \theta_{t-1} \\
        b_t &= \mu b_{t-1} + (1 - \tau) g_t, \quad b_1 = g_1 \\
        \theta_t &= \theta_{t-1} - \gamma \begin{cases}
            g_t & \mu = 0 \\ b_t & \mu > 0 \\ g_t + \mu b_t & \text{Nesterov} \end{cases}

    Robbins and Monro, "A stochastic approximation method" (1951); Polyak, "Some methods of
    speeding up the convergence of iteration methods" (1964); Nesterov's form as in Sutskever et
    al., "On the importance of initialization and momentum in deep learning" (2013).

    Args:
        params: Parameters, named parameters or groups.
        lr: Learning rate, gamma.
        momentum: Momentum, mu.
        dampening: Dampening of the gradient in the momentum, tau.
        weight_decay: L2 penalty, lambda.
        nesterov: Look ahead along the momentum.
        maximize: Go up instead of down.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`; also Nesterov without momentum or with dampening.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor(3.0, requires_grad=True)
        >>> optimizer = SGD([x], lr=0.1, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (x * x).backward()
        ...     optimizer.step()
        >>> round(x.item(), 4)
        1.62
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def check(self, group: ParamGroup) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check_number("SGD", name, group[name])
        check_number("SGD", "dampening", group["dampening"], low=-float("inf"))
        check_flags("SGD", group, "nesterov", "maximize")
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov: expected a momentum above 0 and no dampening, got momentum="
                f"{group['momentum']!r} and dampening={group['dampening']!r}"
            )

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        return {"momentum_buffer": 0.0} if group["momentum"] else {}

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        if not group["momentum"]:
            return "sgd", (group["lr"],)
        share = 1.0 if step == 1 else 1.0 - group["dampening"]
        kernel = "nesterov" if group["nesterov"] else "momentum"
        return kernel, (group["lr"], group["momentum"], share)

"""Adam, and Adam with decoupled weight decay."""

from __future__ import annotations

import math

from ._checks import check_flags, check_fractions, check_number
from ._optimizer import Optimizer, ParamGroup, Params


class Adam(Optimizer):
    r"""Steps of the size of the learning rate, by running means of the gradient and its square.

    .. math::

        g_t &= \nabla f(\theta_{t-1}) + \lambda \theta_{t-1} \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \theta_t &= \theta_{t-1} - \gamma \frac{m_t / (1 - \beta_1^t)}
            {\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    With ``amsgrad`` the largest :math:`v` so far takes the place of :math:`v_t`.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015); Reddi, Kale and Kumar, "On
    the convergence of Adam and beyond" (2018) for AMSGrad.

    Args:
        params: Parameters, named parameters or groups.
        lr: Learning rate, gamma.
        betas: Decay of the two running means.
        eps: Added to the denominator.
        weight_decay: L2 penalty, lambda; for a decay apart from the gradient see `AdamW`.
        amsgrad: Divide by the root of the largest mean square so far.
        maximize: Go up instead of down.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor(3.0, requires_grad=True)
        >>> optimizer = Adam([x], lr=0.1)
        >>> for _ in range(10):
        ...     optimizer.zero_grad()
        ...     (x * x).backward()
        ...     optimizer.step()
        >>> x.item() < 2.1
        True
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def check(self, group: ParamGroup) -> None:
        for name in ("lr", "eps", "weight_decay"):
            check_number(self._name, name, group[name])
        check_fractions(self._name, "betas", group["betas"])
        check_flags(self._name, group, "amsgrad", "maximize")

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        names = ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else []))
        return dict.fromkeys(names, 0.0)

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        numbers = adam_numbers(group["lr"], group["betas"], group["eps"], self._keep(group), step)
        return "amsgrad" if group["amsgrad"] else "adam", numbers

    def _keep(self, group: ParamGroup) -> float:
        """Return what a step leaves of a parameter before it is changed."""
        return 1.0


class AdamW(Adam):
    r"""Adam whose weight decay does not pass through the running means.

    .. math::

        \theta_t = (1 - \gamma \lambda) \theta_{t-1} - \gamma \frac{m_t / (1 - \beta_1^t)}
            {\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    with the means :math:`m` and :math:`v` of the bare gradient, as in `Adam`.

    Loshchilov and Hutter, "Decoupled weight decay regularization" (2019).

    Args:
        params: Parameters, named parameters or groups.
        lr: Learning rate, gamma.
        betas: Decay of the two running means.
        eps: Added to the denominator.
        weight_decay: How fast parameters shrink, lambda, relative to the learning rate.
        amsgrad: Divide by the root of the largest mean square so far.
        maximize: Go up instead of down.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> optimizer = AdamW([x], lr=0.1, weight_decay=0.5)
        >>> x.grad = tt.zeros(2)
        >>> optimizer.step()
        >>> x.detach()
        tensor([0.9500, 0.9500])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

    def decays_gradient(self, group: ParamGroup) -> bool:
        return False

    def _keep(self, group: ParamGroup) -> float:
        keep: float = 1.0 - group["lr"] * group["weight_decay"]
        return keep


def adam_numbers(
    lr: float, betas: tuple[float, float], eps: float, keep: float, step: int
) -> tuple[float, ...]:
    """Return the numbers of the kernel ``adam``, with the means' biases taken into account."""
    beta1, beta2 = betas
    root = math.sqrt(1.0 - beta2**step)  # of what v lacks; taken out of the fraction
    rate = lr * root / (1.0 - beta1**step)
    return rate, 1.0 - beta1, beta2, 1.0 - beta2, eps * root, keep

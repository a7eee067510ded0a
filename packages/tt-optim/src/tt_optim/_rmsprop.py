"""RMSprop."""

from __future__ import annotations

from ._checks import check_flags, check_number
from ._optimizer import Optimizer, ParamGroup, Params


class RMSprop(Optimizer):
    r"""Gradients divided by the root of the running mean of their squares.

    .. math::

        g_t &= \nabla f(\theta_{t-1}) + \lambda \theta_{t-1} \\
        v_t &= \alpha v_{t-1} + (1 - \alpha) g_t^2 \\
        b_t &= \mu b_{t-1} + g_t / (\sqrt{v_t} + \epsilon) \\
        \theta_t &= \theta_{t-1} - \gamma b_t

    With ``centered`` the variance :math:`v_t - \bar g_t^2` takes the place of :math:`v_t`, where
    :math:`\bar g_t` is the running mean of the gradient.

    Tieleman and Hinton, "Lecture 6.5: RMSProp", Neural Networks for Machine Learning (2012);
    centered as in Graves, "Generating sequences with recurrent neural networks" (2013).

    Args:
        params: Parameters, named parameters or groups.
        lr: Learning rate, gamma.
        alpha: Decay of the running means.
        eps: Added to the denominator.
        weight_decay: L2 penalty, lambda.
        momentum: Momentum, mu.
        centered: Divide by the standard deviation of the gradient.
        maximize: Go up instead of down.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> optimizer = RMSprop([x], lr=0.05)
        >>> x.grad = tt.tensor([1.0, 100.0])
        >>> optimizer.step()
        >>> x.detach()
        tensor([0.5000, 0.5000])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def check(self, group: ParamGroup) -> None:
        for name in ("lr", "eps", "weight_decay", "momentum", "alpha"):
            check_number("RMSprop", name, group[name])
        check_flags("RMSprop", group, "centered", "maximize")

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        names = ["square_avg"]
        if group["centered"]:
            names.append("grad_avg")
        if group["momentum"]:
            names.append("momentum_buffer")
        return dict.fromkeys(names, 0.0)

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        alpha = group["alpha"]
        numbers = (group["lr"], alpha, 1.0 - alpha, group["eps"])
        kernel = "rmsprop_centered" if group["centered"] else "rmsprop"
        if group["momentum"]:
            return f"{kernel}_momentum", (*numbers, group["momentum"])
        return kernel, numbers

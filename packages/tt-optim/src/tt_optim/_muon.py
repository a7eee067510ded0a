"""Muon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tt_nn.seam import parallel

from ._adam import adam_numbers
from ._arena import Array, Piece
from ._checks import check_count, check_flags, check_fractions, check_number
from ._optimizer import Optimizer, ParamGroup, Params, check_group

_LARGE = 1 << 16  # numbers in matrices, from which on a second thread is worth while
_RULES = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    r"""Momentum made orthogonal for matrices, AdamW for the rest.

    .. math::

        m_t &= \mu m_{t-1} + (1 - \mu) g_t \\
        u_t &= (1 - \mu) g_t + \mu m_t \quad \text{(Nesterov; else } m_t) \\
        \theta_t &= (1 - \gamma \lambda) \theta_{t-1}
            - \gamma \sqrt{\max(1, \text{rows} / \text{columns})}\ \mathrm{NS}(u_t)

    where NS moves all singular values towards 1 by Newton-Schulz steps from
    :math:`X = u / \lVert u \rVert_F`: with :math:`A = X X^\top`,
    :math:`X \leftarrow a X + (b A + c A^2) X`.

    A group without ``use_muon`` is split in two: its parameters of two or more dimensions, taken
    as matrices of as many rows as the first has entries, and the rest. Each half has a learning
    rate of its own that schedulers see. Embeddings and the last layer do better with AdamW: give
    them in a group with ``use_muon=False``.

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); Liu et al.,
    "Muon is scalable for LLM training" (2025) for ``match_rms_adamw``.

    Args:
        params: Parameters, named parameters or groups, which may say ``use_muon``.
        lr: Learning rate of the matrices, gamma.
        weight_decay: How fast they shrink, lambda, relative to the learning rate.
        momentum: Momentum, mu.
        nesterov: Look ahead along the momentum.
        ns_coefficients: The numbers a, b and c.
        eps: The least norm that is divided by.
        ns_steps: How many Newton-Schulz steps.
        adjust_lr_fn: ``"original"`` (also None) as above; ``"match_rms_adamw"`` has
            ``0.2 sqrt(max(rows, columns))`` in the place of the root, so that learning rates and
            decays found for AdamW can be used.
        adamw_lr: Learning rate of the rest.
        adamw_betas: Decay of the running means of the rest.
        adamw_eps: Added to the denominator for the rest.
        adamw_weight_decay: Weight decay of the rest.

    Raises:
        TypeError: See `Optimizer`.
        ValueError: See `Optimizer`; also a parameter of fewer than two dimensions in a group with
            ``use_muon=True``.

    Example:
        >>> import tt_autograd as tt
        >>> w, b = tt.zeros(2, 2, requires_grad=True), tt.zeros(2, requires_grad=True)
        >>> optimizer = Muon([w, b], lr=0.1)
        >>> [(group["use_muon"], group["lr"]) for group in optimizer.param_groups]
        [(True, 0.1), (False, 0.0003)]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        adamw_lr: float = 3e-4,
        adamw_betas: tuple[float, float] = (0.9, 0.95),
        adamw_eps: float = 1e-10,
        adamw_weight_decay: float = 0.0,
    ) -> None:
        self._rest = {"lr": adamw_lr, "eps": adamw_eps, "weight_decay": adamw_weight_decay}
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
                "betas": adamw_betas,
                "use_muon": None,
            },
        )

    def add_param_group(self, param_group: ParamGroup) -> None:
        """Add a group of parameters, in two halves unless it says ``use_muon``.

        Args:
            param_group: ``params``, and the hyperparameters that differ from the defaults; in a
                group that is split, ``lr``, ``eps`` and ``weight_decay`` are those of the matrices.

        Raises:
            TypeError: As of the optimizer itself.
            ValueError: As of the optimizer itself; nothing has been added then.
        """
        check_group("Muon", param_group)
        if param_group.get("use_muon") is not None:
            rest = {} if param_group["use_muon"] else self._rest
            super().add_param_group({**rest, **param_group})
            return
        given = param_group["params"]
        listed = list(given) if isinstance(given, list | tuple) or _iterates(given) else [given]
        halves: dict[bool, list[Any]] = {True: [], False: []}
        for entry in listed:
            param = entry[1] if isinstance(entry, tuple) else entry
            halves[getattr(param, "ndim", 0) >= 2].append(entry)
        before = len(self.param_groups)
        try:
            for matrices, half in halves.items():
                if half or not listed:
                    rest = {} if matrices else self._rest
                    group = {**param_group, **rest, "params": half, "use_muon": matrices}
                    super().add_param_group(group)
        except BaseException:
            del self.param_groups[before:], self._slots[before:], self._arenas[before:]
            raise

    def check(self, group: ParamGroup) -> None:
        for name in ("lr", "eps", "weight_decay"):
            check_number("Muon", name, group[name])
        check_number("Muon", "momentum", group["momentum"], below=1.0)
        check_fractions("Muon", "betas", group["betas"])
        check_flags("Muon", group, "nesterov", "use_muon")
        check_count("Muon", "ns_steps", group["ns_steps"])
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
            raise TypeError(f"Muon: ns_coefficients: expected 3 numbers, got {coefficients!r}")
        for value in coefficients:
            check_number("Muon", "ns_coefficients", value, low=-math.inf)
        if group["adjust_lr_fn"] not in _RULES:
            raise ValueError(
                f"Muon: adjust_lr_fn: expected one of {_RULES}, got {group['adjust_lr_fn']!r}"
            )
        if group["use_muon"]:
            for param in group["params"]:
                if param.ndim < 2:
                    raise ValueError(
                        "Muon: a group with use_muon=True takes parameters of two or more "
                        f"dimensions, got one of shape {param.shape}"
                    )

    def buffers(self, group: ParamGroup) -> dict[str, float]:
        names = ("momentum_buffer",) if group["use_muon"] else ("exp_avg", "exp_avg_sq")
        return dict.fromkeys(names, 0.0)

    def decays_gradient(self, group: ParamGroup) -> bool:
        return False

    def rule(self, group: ParamGroup, step: int) -> tuple[str, tuple[float, ...]]:
        keep = 1.0 - group["lr"] * group["weight_decay"]
        return "adam", adam_numbers(group["lr"], group["betas"], group["eps"], keep, step)

    def _together(self, group: ParamGroup) -> bool:
        return not group["use_muon"]

    def _update(self, group: ParamGroup, pieces: Sequence[Piece]) -> None:
        if not group["use_muon"]:
            super()._update(group, pieces)
            return
        largest_first = sorted(pieces, key=lambda piece: -piece.values.size)

        def steps(start: int, stop: int) -> None:
            for piece in largest_first[start:stop]:
                self._orthogonal_step(group, piece)

        if sum(piece.values.size for piece in pieces) < _LARGE:
            steps(0, len(pieces))
        else:  # matrices are independent of each other
            parallel(steps, len(pieces))

    def _orthogonal_step(self, group: ParamGroup, piece: Piece) -> None:
        lr, mu = group["lr"], group["momentum"]
        g, m = piece.gradients[0], piece.state["momentum_buffer"]
        m += (1.0 - mu) * (g - m)
        update = g + mu * (m - g) if group["nesterov"] else m
        (slot,) = piece.slots
        shape, order = slot.param.shape, slot.order
        if not update.size:
            return
        matrix = update.reshape(shape[0], -1, order=order)  # (rows, columns)
        rows, columns = matrix.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            rate = lr * 0.2 * math.sqrt(max(rows, columns))
        else:
            rate = lr * math.sqrt(max(1.0, rows / columns))
        near = orthogonalize(matrix, group["ns_coefficients"], group["ns_steps"], group["eps"])
        values = piece.values.reshape(rows, columns, order=order)
        values *= 1.0 - lr * group["weight_decay"]
        near *= rate
        values -= near


def orthogonalize(
    matrix: Array, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Array:
    """Return a new matrix of the same singular vectors, whose singular values are near 1."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x: Array = matrix.T if tall else matrix
    x = x / max(float(np.linalg.norm(x)), eps)
    for _ in range(steps):
        gram = x @ x.T
        polynomial = gram @ gram
        polynomial *= c
        gram *= b
        polynomial += gram
        product = polynomial @ x
        x *= a
        x += product
    return x.T if tall else x


def _iterates(given: Any) -> bool:
    return hasattr(given, "__next__")

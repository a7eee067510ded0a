"""The cross-entropy of scores and classes: one op, its derivative, and its module."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import tt_tensor
from tt_autograd import Op, Tensor, defvjp, ops
from tt_nn._apply import apply
from tt_nn._compute.precision import check_float, widen

from .nll import NLL_LOSS, check_weight, class_dim, read_classes
from .reduction import Array, Loss, Reduction, Value, reduce

_FEW = 32  # NumPy reduces along the first dimension faster if there are no more classes than this


class _Kept(NamedTuple):
    """What the derivative needs, in the layout of ``_by_class``.

    Attributes:
        exponentials: e^(score - largest score).
        sums: Their sums over the classes.
        dim: The dimension that counts the classes.
        place: The index of each sample's class; None if every class has a part in the target.
        parts: The part of each class in the target, times its weight: one number for each
            sample where ``place`` says whose it is (None for 1), else one for each score.
        total: What the mean divides by.
    """

    exponentials: Array
    sums: Array
    dim: int
    place: tuple[Array, Array] | None
    parts: Array | None
    total: float


def _by_class(x: Array) -> tuple[Array, int]:
    """Return scores as a matrix and the dimension in it that counts the classes.

    Few classes, or those of inputs with more dimensions, come first: (C, samples), 0. Otherwise
    the matrix is the input itself, (N, C), 1.
    """
    if x.ndim == 1:
        return x.reshape((-1, 1)), 0
    if x.ndim == 2:
        return (x, 1) if x.shape[1] > _FEW else (np.ascontiguousarray(x.T), 0)
    classes = x.shape[1]
    columns = np.ascontiguousarray(x.swapaxes(0, 1))  # (C, N, d1, ...)
    return columns.reshape((classes, columns.size // classes if classes else 0)), 0


def _as_input(x: Array, shape: tuple[int, ...]) -> Array:
    """Undo ``_by_class``."""
    if len(shape) == 2:
        return x if shape[1] > _FEW else x.T
    if len(shape) == 1:
        return x.reshape(shape)
    return x.reshape((shape[1], shape[0], *shape[2:])).swapaxes(0, 1)


def _cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> tuple[Array, _Kept]:
    check_float(input)
    if not 0 <= label_smoothing <= 1:
        raise ValueError("expected label_smoothing from 0 to 1")
    among = class_dim(input.shape)
    each = input.shape[:among] + input.shape[among + 1 :]
    scores, dim = _by_class(widen(input))
    weight = check_weight(weight, scores.shape[dim], scores.dtype)
    shifted, exponentials, sums = _exponentials(scores, dim)

    parts: Array | None
    if getattr(target, "ndim", 0) and target.dtype.kind == "f":
        if target.shape != input.shape:
            raise ValueError(
                f"expected class indices of shape {each} and an integer dtype as target, "
                f"or probabilities of shape {input.shape}"
            )
        place, total = None, float(math.prod(each))
        parts = _parts(_by_class(widen(target))[0], dim, weight, label_smoothing)
    else:
        classes = read_classes(input.shape, target, weight, ignore_index, scores.dtype)
        samples = _numbers(classes.indices.size)
        place = (classes.indices, samples) if dim == 0 else (samples, classes.indices)
        parts, total = classes.factors, classes.total
        if label_smoothing:
            one_hot = np.zeros_like(scores)
            one_hot[place] = 1
            parts, place = _parts(one_hot, dim, weight, label_smoothing), None
            if classes.counted is not None:
                parts *= classes.counted.reshape(sums.shape)
    kept = _Kept(exponentials, sums, dim, place, parts, total)
    return reduce(_losses(shifted, kept).reshape(each), reduction, input.dtype, total), kept


def _exponentials(scores: Array, dim: int) -> tuple[Array, Array, Array]:
    """Return scores less the largest of their sample, e to these, and the sums of those.

    The softmax is the second over the third, its logarithm the first less that of the third. The
    shift changes neither, and without it large scores would overflow.

    Args:
        scores: In the layout of `_by_class`.
        dim: The dimension that counts the classes; it stays, as 1, in the sums.
    """
    shifted = scores - np.maximum.reduce(scores, dim, keepdims=True, initial=-math.inf)
    exponentials = np.exp(shifted)
    return shifted, exponentials, np.add.reduce(exponentials, dim, keepdims=True)


def _losses(shifted: Array, kept: _Kept) -> Array:
    r"""Return :math:`-\sum_c \text{parts}_c \log \text{softmax}_c` of each sample: (samples,).

    Where ``kept.place`` names a class for each sample, the sum is of one term; a sample whose part
    is 0 then has a loss of 0, be its logarithm infinite.

    Args:
        shifted: What `_exponentials` returned first.
        kept: The rest of it, and the classes' parts.
    """
    log_sums = np.log(kept.sums)
    if kept.place is None:
        assert kept.parts is not None
        return np.asarray((kept.parts * (log_sums - shifted)).sum(axis=kept.dim))
    losses = log_sums.reshape(-1) - shifted[kept.place]
    if kept.parts is not None:
        losses = np.where(kept.parts != 0, losses, 0) * kept.parts
    return np.asarray(losses)


@lru_cache(maxsize=4)
def _numbers(count: int) -> Array:
    return np.arange(count)


def _parts(q: Array, dim: int, weight: Array | None, smoothing: float) -> Array:
    """Return w_c ((1 - smoothing) q_c + smoothing / C)."""
    if smoothing:
        q = q * (1 - smoothing) + smoothing / q.shape[dim]
    if weight is not None:
        q = q * (weight[:, None] if dim == 0 else weight)
    return q


def _cross_entropy_slope(g: Array, aux: _Kept, shape: tuple[int, ...], reduction: str) -> Array:
    """Return the scores' gradient: softmax * (sum of parts) - parts, times each sample's own.

    For a sample whose class has all of the target that is the softmax, less 1 at its class.

    Args:
        g: The gradient of the result: one number, or one for each sample.
        aux: What the forward pass kept.
        shape: The shape of the scores as they were given, which `_as_input` goes back to.
        reduction: The mean shares ``g`` out over ``aux.total``, or over 1 where that is 0.
    """
    dim = aux.dim
    shares: Any = g / (aux.total or 1.0) if reduction == "mean" else g
    if reduction == "none":
        shares = shares.reshape((1, -1) if dim == 0 else (-1, 1))
    if aux.place is None:
        assert aux.parts is not None
        slope = aux.exponentials * (aux.parts.sum(axis=dim, keepdims=True) / aux.sums)
        slope -= aux.parts
        slope *= shares
        return _as_input(slope, shape)
    if aux.parts is not None:
        shares = shares * aux.parts.reshape(aux.sums.shape)
    slope = aux.exponentials * (shares / aux.sums)
    slope[aux.place] -= shares if shares.ndim == 0 else shares.reshape(-1)
    return _as_input(slope, shape)


def _cross_entropy_of_plain_ops(
    input: Value,
    target: Value,
    weight: Value,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Value:
    dim = class_dim(input.shape)
    logs = ops.LOG_SOFTMAX(input, dim=dim)
    if weight is None:
        factors: Any = 1.0
    else:
        factors = weight.reshape((-1,) + (1,) * (input.ndim - 1 - dim))  # (C, 1, ...)
    if target.dtype.kind == "f":
        parts = target * (1 - label_smoothing) + label_smoothing / input.shape[dim]
        losses = -(parts * factors * logs).sum(axis=dim)
        total = float(math.prod(losses.shape))
    else:
        params = {"ignore_index": ignore_index, "reduction": "none"}
        losses = (1 - label_smoothing) * NLL_LOSS(logs, target, weight, **params)
        if label_smoothing:
            every = -(factors * logs).sum(axis=dim) * (target != ignore_index)
            losses = losses + (label_smoothing / input.shape[dim]) * every
        plain = target._array, None if weight is None else weight._array
        total = read_classes(input.shape, *plain, ignore_index, input.dtype).total
    if reduction == "none":
        return losses
    return losses.sum() / (total or 1.0) if reduction == "mean" else losses.sum()


def _cross_entropy_target_slope(
    g: Value,
    input: Value,
    weight: Value,
    total: float,
    reduction: str,
    label_smoothing: float,
) -> Value:
    dim = class_dim(input.shape)
    logs = ops.LOG_SOFTMAX(input, dim=dim)
    if weight is not None:
        logs = logs * weight.reshape((-1,) + (1,) * (input.ndim - 1 - dim))
    shares = g.reshape((*g.shape[:dim], 1, *g.shape[dim:])) if reduction == "none" else g
    if reduction == "mean":
        shares = shares / (total or 1.0)
    return shares * (label_smoothing - 1) * logs


CROSS_ENTROPY = Op(
    "cross_entropy",
    lambda *inputs, **params: _cross_entropy(*inputs, **params)[0],
    ("input", "target", "weight"),
    recorded=_cross_entropy,
)
defvjp(
    CROSS_ENTROPY,
    input=_cross_entropy_slope,
    target=lambda g, input, weight, aux, reduction, label_smoothing: _cross_entropy_target_slope(
        g, input, weight, aux.total, reduction, label_smoothing
    ),
    composite=_cross_entropy_of_plain_ops,
)


def cross_entropy(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    weight: tt_tensor.Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Return :math:`-\sum_c w_c \, q_c \log \text{softmax}(x)_c` of each sample.

    Args:
        input: Scores (logits), of any size.
        target: The class ``y`` of each sample, for which :math:`q` is 1 at ``y`` and 0 elsewhere;
            or the probabilities :math:`q` themselves, in the shape of the input.
        weight: A factor for each class.
        ignore_index: Samples of this class do not count.
        reduction: ``"mean"`` divides the sum by the number of samples, or with classes as target
            by the sum of the factors of those that count; ``"sum"``, or ``"none"``.
        label_smoothing: The part of :math:`q` that is spread evenly over all classes.

    Shape:
        ``(N, C), (N,)``, or ``(C,), ()``, or ``(N, C, d1, ...), (N, d1, ...)``.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The input is not floating-point, or the target neither integers nor
            probabilities.
        IndexError: A class is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> scores = tt.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 1000.0]])
        >>> cross_entropy(scores, tt.tensor([0, 2]), reduction="none")
        tensor([0.4076, 0.0000])

    References:
        Label smoothing: Szegedy et al., "Rethinking the inception architecture for computer
        vision", 2015.
    """
    return apply(
        CROSS_ENTROPY, input, target, weight,
        ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing,
    )  # fmt: skip


class CrossEntropyLoss(Loss):
    """The cross-entropy of scores and classes; see `functional.cross_entropy`.

    Args:
        weight: A factor for each class.
        ignore_index: Samples of this class do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: The part of the target that is spread evenly over all classes.

    Raises:
        ValueError: ``label_smoothing`` is not between 0 and 1.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.CrossEntropyLoss()(tt.zeros(5, 10), tt.tensor([0, 1, 2, 3, 4]))
        tensor(2.3026)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: tt_tensor.Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        if not 0 <= label_smoothing <= 1:
            raise ValueError(
                f"CrossEntropyLoss: expected label_smoothing from 0 to 1, got {label_smoothing!r}"
            )
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(
            CROSS_ENTROPY, input, target, self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip

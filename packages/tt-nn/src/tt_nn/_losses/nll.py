"""The negative log-likelihood: class indices as targets, the op, its derivative, its module."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import tt_tensor
from tt_autograd import Op, Tensor, defvjp, ops
from tt_nn._apply import apply
from tt_nn._compute.precision import check_float, widen

from .reduction import Array, Loss, Reduction, Value, reduce


def class_dim(shape: tuple[int, ...]) -> int:
    """Return which dimension counts the classes: (C,), (N, C) or (N, C, d1, ...).

    Raises:
        ValueError: There is no dimension.
    """
    if not shape:
        raise ValueError("expected an input of shape (C,), (N, C) or (N, C, d1, ...)")
    return 0 if len(shape) == 1 else 1


class Classes(NamedTuple):
    """Checked class indices, in one row for all samples.

    Attributes:
        indices: The class of each sample, 0 for those that do not count.
        counted: Whether each sample counts; None if all do.
        factors: The weight of each sample, 0 for those that do not count; None if all are 1.
        total: The sum of the factors, which the mean divides by.
    """

    indices: Array
    counted: Array | None
    factors: Array | None
    total: float


def read_classes(
    shape: tuple[int, ...],
    target: Array,
    weight: Array | None,
    ignore_index: int,
    dtype: np.dtype[Any],
) -> Classes:
    """Check class indices against the shape of the scores they are for.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The indices are no integers.
        IndexError: A class is out of range.
    """
    dim = class_dim(shape)
    classes, wanted = shape[dim], shape[:dim] + shape[dim + 1 :]
    if getattr(target, "shape", None) != wanted:  # of what may be a mere number
        raise ValueError(f"expected a target of shape {wanted} with a class index for each sample")
    if target.dtype.kind not in "iu":
        raise TypeError("expected class indices of an integer dtype as target; .long() makes them")
    indices = target.reshape(-1).astype(np.intp, copy=False)
    counted = None
    # Read without a sign, a negative index is large: one comparison serves both ends.
    if indices.size and (
        np.maximum.reduce(indices.view(np.uintp)) >= classes or 0 <= ignore_index < classes
    ):
        counted = indices != ignore_index
        wrong = indices[counted & ((indices < 0) | (indices >= classes))]
        if wrong.size:
            raise IndexError(
                f"expected class indices from 0 to {classes - 1}, found {int(wrong[0])}"
            )
        indices = indices * counted
    factors = None
    if weight is not None:
        factors = weight[indices] if counted is None else weight[indices] * counted
    elif counted is not None:
        factors = counted.astype(dtype)
    total = float(indices.size if factors is None else factors.sum())
    return Classes(indices, counted, factors, total)


def check_weight(weight: Array | None, classes: int, dtype: np.dtype[Any]) -> Array | None:
    """Return the classes' weights in a dtype, after a check of their shape."""
    if weight is None:
        return None
    if np.shape(weight) != (classes,):
        raise ValueError(f"expected a weight of shape ({classes},), one for each class")
    return weight.astype(dtype, copy=False)


def _class_index(shape: tuple[int, ...], indices: Array) -> tuple[Array, ...]:
    """Return an index that reads the score of each sample's class."""
    if len(shape) == 1:
        return (indices.reshape(()),)
    grids = np.ogrid[tuple(slice(n) for n in (shape[0], *shape[2:]))]
    return (grids[0], indices.reshape((shape[0], *shape[2:])), *grids[1:])


def _nll(
    input: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str
) -> Array:
    """Return minus the number at each sample's class, times the class's weight, reduced.

    A sample that does not count, or whose class has the weight 0, has a loss of 0 whatever stands
    there, be it infinite. The mean divides by the sum of the factors: see `Classes`.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The input is not floating-point, or the target no integers.
        IndexError: A class is out of range.
    """
    check_float(input)
    scores = widen(input)
    weight = check_weight(weight, input.shape[class_dim(input.shape)], scores.dtype)
    classes = read_classes(input.shape, target, weight, ignore_index, scores.dtype)
    losses = -scores[_class_index(input.shape, classes.indices)]
    if classes.factors is not None:
        factors = classes.factors.reshape(target.shape)
        losses = np.where(factors != 0, losses, 0) * factors
    return reduce(np.asarray(losses), reduction, input.dtype, classes.total)


def _nll_slope(
    g: Value,
    shape: tuple[int, ...],
    target: Value,
    weight: Value,
    ignore_index: int,
    reduction: str,
) -> Value:
    target, weight = getattr(target, "_array", target), getattr(weight, "_array", weight)
    classes = read_classes(shape, target, weight, ignore_index, g.dtype)
    factors: Any = 1.0 if classes.factors is None else classes.factors.reshape(target.shape)
    if reduction == "mean":
        factors = factors / (classes.total or 1.0)
    factors = np.broadcast_to(np.asarray(-factors, g.dtype), target.shape)
    return ops.UNINDEX(g * factors, index=_class_index(shape, classes.indices), shape=shape)


NLL_LOSS = Op("nll_loss", _nll, ("input", "target", "weight"))
defvjp(
    NLL_LOSS,
    input=lambda g, shape, target, weight, ignore_index, reduction: _nll_slope(
        g, shape, target, weight, ignore_index, reduction
    ),
)


def nll_loss(
    input: tt_tensor.Tensor,
    target: tt_tensor.Tensor,
    weight: tt_tensor.Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""Return :math:`-w_y x_y`: the negative log-likelihood of the class ``y`` of each sample.

    Args:
        input: Logarithms of probabilities, as `log_softmax` gives.
        target: The class of each sample.
        weight: A factor for each class.
        ignore_index: Samples of this class do not count.
        reduction: ``"mean"`` divides the sum by that of the factors of the samples that count;
            ``"sum"``, or ``"none"``.

    Shape:
        ``(N, C), (N,)``, or ``(C,), ()``, or ``(N, C, d1, ...), (N, d1, ...)``.

    Raises:
        ValueError: The shapes do not fit.
        TypeError: The input is not floating-point, or the target no integers.
        IndexError: A class is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> nll_loss(tt.log(tt.tensor([[0.25, 0.75]])), tt.tensor([1]))
        tensor(0.2877)
    """
    return apply(NLL_LOSS, input, target, weight, ignore_index=ignore_index, reduction=reduction)


class NLLLoss(Loss):
    """The negative log-likelihood of classes; see `functional.nll_loss`.

    Args:
        weight: A factor for each class.
        ignore_index: Samples of this class do not count.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.NLLLoss()(tt.log(tt.tensor([[0.25, 0.75]])), tt.tensor([1]))
        tensor(0.2877)
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: tt_tensor.Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: tt_tensor.Tensor, target: tt_tensor.Tensor) -> Tensor:
        """Return the loss."""
        return apply(
            NLL_LOSS,
            input, target, self.weight,
            ignore_index=self.ignore_index, reduction=self.reduction,
        )  # fmt: skip

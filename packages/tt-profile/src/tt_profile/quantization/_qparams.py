"""Scale and zero point: how small integers are spread over a range of floats."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor

Array = NDArray[Any]

# The least scale, as of torch's observers: a range of zeros must not divide by 0.
_EPS = float(np.finfo(np.float32).eps)


class QParams(NamedTuple):
    """How integers stand for floats: ``(q - zero_point) * scale``.

    Attributes:
        scale: The distance between neighbours.
        zero_point: The integer that stands for 0, as int8.
    """

    scale: Tensor
    zero_point: Tensor


def choose_qparams(
    minimum: tt_tensor.Tensor,
    maximum: tt_tensor.Tensor,
    quant_min: int = -128,
    quant_max: int = 127,
    *,
    symmetric: bool = False,
) -> QParams:
    r"""Choose scale and zero point so that integers cover a range, to which 0 is added.

    Affine: :math:`s = (\max - \min) / (q_{\max} - q_{\min})` and
    :math:`z = q_{\min} - \text{round}(\min / s)`. Symmetric:
    :math:`s = 2 \max(|\min|, |\max|) / (q_{\max} - q_{\min})` and :math:`z = 0`. Both as torch.ao's
    observers have it.

    Args:
        minimum: The smallest value; one for each part that has a scale of its own.
        maximum: The largest.
        quant_min: The smallest integer.
        quant_max: The largest.
        symmetric: Whether 0 stands for 0, so that products need no zero points.

    Returns:
        The scale, in the dtype of ``minimum``, and the zero point.

    Raises:
        ValueError: The range is not finite (the error says that there is ``NaN or infinity`` in it)
            or runs backwards (a ``minimum`` is above its ``maximum``), or ``quant_min`` and
            ``quant_max``, which the error names, are not -128 <= quant_min < quant_max <= 127.

    Example:
        >>> import tt_autograd as tt
        >>> choose_qparams(tt.tensor(0.0), tt.tensor(51.0))
        QParams(scale=tensor(0.2000), zero_point=tensor(-128, dtype=int8))
        >>> choose_qparams(tt.tensor(0.0), tt.tensor(25.4), -127, 127, symmetric=True)
        QParams(scale=tensor(0.2000), zero_point=tensor(0, dtype=int8))
    """
    scale, zero_point = qparams(minimum._array, maximum._array, quant_min, quant_max, symmetric)
    return QParams(tt.from_numpy(scale), tt.from_numpy(zero_point))


def qparams(
    minimum: Array, maximum: Array, quant_min: int, quant_max: int, symmetric: bool
) -> tuple[Array, Array]:
    """Return scale and zero point as arrays: `choose_qparams` has the formulas and the errors.

    No scale is below `_EPS`, and none overflows, however large the range: compute in float64. The
    scale has the dtype of ``minimum``, the zero point is int8.
    """
    if not -128 <= quant_min < quant_max <= 127:
        raise ValueError(
            "choose_qparams: expected -128 <= quant_min < quant_max <= 127, got "
            f"{quant_min} and {quant_max}"
        )
    # In double: the difference of a dtype's largest numbers is beyond it.
    low, high = np.asarray(minimum, np.float64), np.asarray(maximum, np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError(
            "choose_qparams: expected a finite range, but the values have NaN or infinity in them"
        )
    if (low > high).any():
        raise ValueError("choose_qparams: expected each minimum to be at most its maximum")
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    span = 2 * np.maximum(-low, high) if symmetric else high - low
    scale = np.asarray(np.maximum(span / (quant_max - quant_min), _EPS), minimum.dtype)
    if symmetric:
        return scale, np.zeros(scale.shape, np.int8)
    zero_point = np.clip(quant_min - np.rint(low / scale), quant_min, quant_max)
    return scale, np.asarray(zero_point, np.int8)

"""Floats to integers and back: three ops, and the gradient that passes straight through."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Op, Tensor, defnograd, defvjp

Array = NDArray[Any]


def _rounded(input: Array, scale: Array, zero_point: Array | None) -> Array:
    """Return ``round(x / s) + z``, not yet clipped; as torch, times the reciprocal."""
    wide = np.promote_types(input.dtype, np.float32)  # half precision has no room for 1 / s
    steps: Array = input * np.reciprocal(np.asarray(scale, wide))
    if steps.shape != input.shape:
        raise ValueError
    np.rint(steps, out=steps)
    if zero_point is not None:
        steps += zero_point
    return steps


def _quantize(
    input: Array, scale: Array, zero_point: Array | None, quant_min: int, quant_max: int
) -> Array:
    """Return ``clip(round(x / s) + z)`` as int8.

    Raises:
        ValueError: A value is NaN or infinite, and the error says ``NaN`` for either; or the result
            would not have the input's shape, which `_rounded` refuses.
    """
    if not np.isfinite(input).all():
        raise ValueError("NaN and infinity have no integer that could stand for them")
    return np.clip(_rounded(input, scale, zero_point), quant_min, quant_max).astype(np.int8)


def _dequantize(input: Array, scale: Array, zero_point: Array | None) -> Array:
    """Return ``(q - z) * s`` in the dtype of the scale; no difference may overflow int8."""
    out: Array = input.astype(scale.dtype)
    if zero_point is not None:
        out -= zero_point
    out *= scale
    return out


def _fake_quantize(
    input: Array, scale: Array, zero_point: Array | None, quant_min: int, quant_max: int
) -> Array:
    return _fake_quantize_recorded(input, scale, zero_point, quant_min, quant_max)[0]


def _fake_quantize_recorded(
    input: Array, scale: Array, zero_point: Array | None, quant_min: int, quant_max: int
) -> tuple[Array, Array]:
    """Return ``s * (clip(round(x / s) + z) - z)``, and where nothing was clipped, as bools.

    The result has the input's dtype. What is NaN stays so, and counts as clipped.
    """
    steps = _rounded(input, scale, zero_point)
    within = (steps >= quant_min) & (steps <= quant_max)
    np.clip(steps, quant_min, quant_max, out=steps)
    if zero_point is not None:
        steps -= zero_point
    steps *= scale
    return steps.astype(input.dtype, copy=False), within


def _explain(input: Array, scale: Array, zero_point: Array | None, **_: object) -> str | None:
    try:
        fits = np.broadcast_shapes(input.shape, scale.shape) == input.shape
    except ValueError:
        fits = False
    return None if fits else f"expected a scale that broadcasts to the input's {input.shape}"


_INPUTS = ("input", "scale", "zero_point")
QUANTIZE = Op("quantize", _quantize, _INPUTS, explain=_explain)
DEQUANTIZE = Op("dequantize", _dequantize, _INPUTS, explain=_explain)
defnograd(QUANTIZE, DEQUANTIZE)

FAKE_QUANTIZE = Op(
    "fake_quantize", _fake_quantize, _INPUTS, recorded=_fake_quantize_recorded, explain=_explain
)
defvjp(FAKE_QUANTIZE, input=lambda g, aux: g * aux)


def quantize_affine(
    input: tt_tensor.Tensor,
    scale: tt_tensor.Tensor,
    zero_point: tt_tensor.Tensor | None = None,
    quant_min: int = -128,
    quant_max: int = 127,
) -> Tensor:
    r"""Return the integers that stand for values: :math:`\text{clip}(\text{round}(x / s) + z)`.

    Args:
        input: The values.
        scale: What broadcasts to them: one number, or one for each channel.
        zero_point: The same; 0 unless given.
        quant_min: The smallest integer.
        quant_max: The largest.

    Returns:
        The integers, as int8; what is out of range gets the nearest one.

    Raises:
        ValueError: A value is NaN or infinite, or the shapes do not fit.

    Example:
        >>> import tt_autograd as tt
        >>> quantize_affine(tt.tensor([-1.0, 0.0, 0.26, 99.0]), tt.tensor(0.1))
        tensor([-10,   0,   3, 127], dtype=int8)
    """
    params = {"quant_min": quant_min, "quant_max": quant_max}
    return Tensor._apply(QUANTIZE, (input, scale, zero_point), params)


def dequantize_affine(
    input: tt_tensor.Tensor, scale: tt_tensor.Tensor, zero_point: tt_tensor.Tensor | None = None
) -> Tensor:
    r"""Return the values that integers stand for: :math:`(q - z) s`.

    Args:
        input: The integers.
        scale: What broadcasts to them.
        zero_point: The same; 0 unless given.

    Returns:
        The values, in the dtype of the scale.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_autograd as tt
        >>> dequantize_affine(tt.tensor([-10, 0, 3], dtype="int8"), tt.tensor(0.5))
        tensor([-5.0000,  0.0000,  1.5000])
    """
    return Tensor._apply(DEQUANTIZE, (input, scale, zero_point), {})


def fake_quantize(
    input: tt_tensor.Tensor,
    scale: tt_tensor.Tensor,
    zero_point: tt_tensor.Tensor | None = None,
    quant_min: int = -128,
    quant_max: int = 127,
) -> Tensor:
    r"""Round values to those that integers can stand for, and let gradients through.

    The result is :math:`s (\text{clip}(\text{round}(x / s) + z) - z)`. Its slope is 0 almost
    everywhere; the straight-through estimator takes 1 for it, and 0 where values are clipped.

    Args:
        input: The values; NaN stays NaN.
        scale: What broadcasts to them; it gets no gradient.
        zero_point: The same; 0 unless given.
        quant_min: The smallest integer.
        quant_max: The largest.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.tensor([0.26, 99.0], requires_grad=True)
        >>> y = fake_quantize(x, tt.tensor(0.1))
        >>> y.sum().backward()
        >>> y.detach(), x.grad
        (tensor([ 0.3000, 12.7000]), tensor([1., 0.]))

    References:
        Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic
        neurons for conditional computation", 2013; Jacob et al., "Quantization and training of
        neural networks for efficient integer-arithmetic-only inference", 2018.
    """
    params = {"quant_min": quant_min, "quant_max": quant_max}
    return Tensor._apply(FAKE_QUANTIZE, (input, scale, zero_point), params)

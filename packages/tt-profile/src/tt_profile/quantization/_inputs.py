"""Inputs of layers, rounded to int8 on a scale that was found in calibration or training."""

from __future__ import annotations

import tt_autograd as tt
import tt_tensor
from tt_autograd import Tensor
from tt_nn import Module

from ._affine import fake_quantize
from ._linear import QUANTIZED_LINEAR
from ._observers import MovingAverageMinMaxObserver, Observer
from ._qparams import QParams
from ._weights import Int8Weight


class InputQuantizer(Module):
    """Rounds a layer's input to what int8 can stand for."""

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the rounded input."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward")


class Int8Input(InputQuantizer):
    """Rounds an input on a scale that stays.

    Args:
        scale: One number.
        zero_point: One integer, as int8.

    Attributes:
        scale: The same, as a buffer; so is ``zero_point``.

    Example:
        >>> import tt_autograd as tt
        >>> Int8Input(tt.tensor(0.5), tt.tensor(-128, dtype="int8"))(tt.tensor([0.3, 2.2]))
        tensor([0.5000, 2.0000])
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: tt_tensor.Tensor, zero_point: tt_tensor.Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)

    @classmethod
    def of(cls, observer: Observer) -> Int8Input:
        """Take the scale of the range that an observer saw."""
        found: QParams = observer.calculate_qparams()
        return cls(found.scale, found.zero_point)

    @classmethod
    def empty(cls) -> Int8Input:
        """Make one to load values into."""
        return cls(tt.tensor(1.0), tt.tensor(0, dtype="int8"))

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the rounded input."""
        return fake_quantize(input, self.scale, self.zero_point)


class FakeQuantizedInput(InputQuantizer):
    """Rounds an input on the scale of the range that it had in training, and follows that.

    Attributes:
        observer: Follows the range, in training mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.observer = MovingAverageMinMaxObserver()

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the rounded input."""
        if self.training:
            self.observer(input)
        found = self.observer.calculate_qparams()
        return fake_quantize(input, found.scale, found.zero_point)

    def stored(self) -> Int8Input:
        """Return what rounds on the scale that was found."""
        return Int8Input.of(self.observer)


def quantized_linear(
    input: tt_tensor.Tensor, quantizer: Int8Input, weight: Int8Weight, bias: Tensor | None
) -> Tensor:
    """Return ``input @ weight.T + bias`` by a product of integers."""
    operands = (
        *(input, quantizer.scale, quantizer.zero_point),
        *(weight.values, weight.scale, weight.zero_point, bias),
    )
    return Tensor._apply(QUANTIZED_LINEAR, operands, {})

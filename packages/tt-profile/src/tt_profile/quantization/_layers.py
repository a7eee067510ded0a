"""Layers whose weights are stored in few bits, and layers that are trained for it.

Each is a subclass of the layer that it takes the place of, and does what that one does with the
weight that a module in it makes: `Int8Weight`, `Int4Weight` or, in training, `FakeQuantizedWeight`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tt_nn as nn
import tt_tensor
from tt_autograd import Tensor
from tt_nn import Module

from ._inputs import InputQuantizer, Int8Input, quantized_linear
from ._weights import Int8Weight, QuantizedWeight

PREFIX = "quantized_"  # of the module that makes a weight


def _made(name: str) -> Any:
    """Return the property of a weight that a module makes at each reading."""
    return property(lambda layer: getattr(layer, PREFIX + name)())


class RoundsInput(Module):
    """What layers share whose input may be rounded to int8.

    Attributes:
        input_quantizer: Rounds the input; None where it stays as it is.
    """

    input_quantizer: InputQuantizer | None = None

    def forward(self, input: tt_tensor.Tensor) -> Any:
        """Round the input, then do what the layer does."""
        rounded = input if self.input_quantizer is None else self.input_quantizer(input)
        return super().forward(rounded)


class QuantizedLinear(RoundsInput, nn.Linear):
    """A `Linear` whose weight is stored in few bits; `quantize` makes it.

    Attributes:
        weight: The weight as floats, made at each reading.
        quantized_weight: What makes it.
        input_quantizer: Rounds the input; None where it stays as it is.
    """

    weight = _made("weight")
    quantized_weight: QuantizedWeight

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return ``input @ weight.T + bias``; of integers, if the input is rounded too."""
        weight, quantizer = self.quantized_weight, self.input_quantizer
        if quantizer is None:
            return weight.linear(input, self.bias)
        if isinstance(weight, Int8Weight) and isinstance(quantizer, Int8Input):
            return quantized_linear(input, quantizer, weight, self.bias)
        return weight.linear(quantizer(input), self.bias)


class QuantizedConv1d(RoundsInput, nn.Conv1d):
    """A `Conv1d` whose weight is stored in few bits; see `QuantizedLinear`."""

    weight = _made("weight")


class QuantizedConv2d(RoundsInput, nn.Conv2d):
    """A `Conv2d` whose weight is stored in few bits; see `QuantizedLinear`."""

    weight = _made("weight")


class QuantizedConvTranspose2d(RoundsInput, nn.ConvTranspose2d):
    """A `ConvTranspose2d` whose weight is stored in few bits; see `QuantizedLinear`."""

    weight = _made("weight")


class QuantizedEmbedding(nn.Embedding):
    """An `Embedding` whose table is stored in few bits; see `QuantizedLinear`."""

    weight = _made("weight")
    quantized_weight: QuantizedWeight

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the vector of each integer."""
        return self.quantized_weight.embedding(input)


class QuantizedLearnedPositions(nn.LearnedPositions):
    """A `LearnedPositions` whose table is stored in few bits; see `QuantizedLinear`."""

    weight = _made("weight")


class QuantizedBilinear(nn.Bilinear):
    """A `Bilinear` whose weight is stored in few bits; see `QuantizedLinear`."""

    weight = _made("weight")


class QuantizedMultiheadAttention(nn.MultiheadAttention):
    """A `MultiheadAttention` whose weights are stored in few bits; see `QuantizedLinear`."""

    in_proj_weight = _made("in_proj_weight")
    q_proj_weight = _made("q_proj_weight")
    k_proj_weight = _made("k_proj_weight")
    v_proj_weight = _made("v_proj_weight")


class Kind(NamedTuple):
    """How one kind of layer is quantized.

    Attributes:
        quantized: What stands in its place.
        weights: The names of its weights, of which a layer need not have all.
        axis: The dimension of a weight's channels.
        rounds_input: Whether its input can be rounded too.
    """

    quantized: type[Module]
    weights: tuple[str, ...] = ("weight",)
    axis: int = 0
    rounds_input: bool = False


_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
KINDS: dict[type[Module], Kind] = {
    nn.Linear: Kind(QuantizedLinear, rounds_input=True),
    nn.Conv1d: Kind(QuantizedConv1d, rounds_input=True),
    nn.Conv2d: Kind(QuantizedConv2d, rounds_input=True),
    nn.ConvTranspose2d: Kind(QuantizedConvTranspose2d, axis=1, rounds_input=True),
    nn.Embedding: Kind(QuantizedEmbedding),
    nn.LearnedPositions: Kind(QuantizedLearnedPositions),
    nn.Bilinear: Kind(QuantizedBilinear),
    nn.MultiheadAttention: Kind(QuantizedMultiheadAttention, _ATTENTION),
}


def place(
    layer: Module, name: str, weight: QuantizedWeight, quantizer: InputQuantizer | None = None
) -> None:
    """Put a module that makes a weight in the weight's place, and what rounds the layer's input.

    The layer stays the object that it is, for whatever holds it, and becomes of another class.
    """
    kind = KINDS.get(type(layer))
    if kind is not None:
        layer.__class__ = kind.quantized
    layer.__dict__.pop(name, None)  # its class has a property of this name now
    setattr(layer, PREFIX + name, weight.train(layer.training))
    if quantizer is not None:
        assert isinstance(layer, RoundsInput)
        layer.input_quantizer = quantizer.train(layer.training)

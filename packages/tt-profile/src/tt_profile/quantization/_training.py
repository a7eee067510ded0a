"""Quantization-aware training: a model learns to do well with the weights that it will have."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import TypeVar

import tt_autograd as tt
from tt_autograd import Tensor
from tt_nn import Module, Parameter

from ._affine import fake_quantize
from ._inputs import FakeQuantizedInput
from ._layers import place
from ._structure import find_slots, layers_of, scheme_of
from ._weights import (
    DType,
    Int4Weight,
    Int8Weight,
    QuantizedWeight,
    Scheme,
    optional_tensor,
    quantized,
)

M = TypeVar("M", bound=Module)


class FakeQuantizedWeight(QuantizedWeight):
    """A weight in training: floats that are learned, of which the layer sees the rounded ones.

    The scales are those of the floats, found anew at each reading.

    Attributes:
        learned: The floats, a parameter.
    """

    learned: Parameter

    def __init__(self, learned: Parameter, scheme: Scheme, axis: int) -> None:
        super().__init__()
        self.learned = learned
        self.scheme = scheme
        self.axis = axis

    def forward(self) -> Tensor:
        """Return the rounded weight; gradients pass on to the learned one."""
        parts = self.scheme.parts(self.learned)
        scale, zero_point = self.scheme.qparams(parts._array, self.axis)
        low, high = self.scheme.quant_range
        rounded = fake_quantize(parts, tt.from_numpy(scale), optional_tensor(zero_point), low, high)
        return self.scheme.whole(rounded, self.learned.shape)

    def extra_repr(self) -> str:
        """Return the shape, and how it will be quantized."""
        return f"{self.learned.shape}, {self.scheme}"

    def stored(self) -> Int8Weight | Int4Weight:
        """Return the weight in few bits."""
        return quantized(self.learned.detach(), self.scheme, self.axis)


def prepare_qat(
    model: M,
    dtype: DType = "int8",
    *,
    per_channel: bool = True,
    symmetric: bool = True,
    group_size: int = 32,
    activations: bool = False,
    exclude: Collection[str] = (),
) -> M:
    """Return a copy of a model to be trained for weights of few bits.

    Its layers compute with rounded weights; in the backward pass the rounding counts as a line of
    slope 1, so that the floats behind them learn. Give the copy's parameters to an optimizer, train
    as ever, and call `convert`.

    Args:
        model: The model, trained or not; it stays as it is.
        dtype: See `quantize`.
        per_channel: The same.
        symmetric: The same.
        group_size: The same.
        activations: Whether inputs of `Linear` and convolutions are rounded to int8 too, on a
            scale that follows a moving average of their range in training.
        exclude: See `quantize`.

    Raises:
        ValueError: As `quantize` does.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> model = prepare_qat(nn.Linear(4, 2), "int4")
        >>> model(tt.ones(3, 4)).sum().backward()
        >>> [(name, p.grad.shape) for name, p in model.named_parameters()]
        [('bias', (2,)), ('quantized_weight.learned', (2, 4))]
        >>> convert(model).quantized_weight
        Int4Weight((2, 4), groups of 4, symmetric)

    References:
        Jacob et al., "Quantization and training of neural networks for efficient
        integer-arithmetic-only inference", 2018.
    """
    scheme = scheme_of("prepare_qat", dtype, per_channel, symmetric, group_size, activations)
    made = copy.deepcopy(model)
    slots = find_slots("prepare_qat", made, exclude)
    fakes: dict[int, FakeQuantizedWeight] = {}  # by weight: one for all layers that share it
    for slot, layer in layers_of(made, slots):
        key = id(slot.weight)
        if key not in fakes:
            fakes[key] = FakeQuantizedWeight(slot.weight, scheme, slot.kind.axis)
        rounds = activations and slot.kind.rounds_input
        place(layer, slot.name, fakes[key], FakeQuantizedInput() if rounds else None)
    return made


def convert(model: M) -> M:
    """Return a copy of a model that `prepare_qat` made, with its weights stored in few bits.

    It computes what the model did in evaluation mode.

    Args:
        model: The model; it stays as it is.

    Raises:
        ValueError: `prepare_qat` has not made it, or a weight has NaN or infinity in it, or inputs
            are to be rounded whose range has never been seen in training.
    """
    if not any(isinstance(module, FakeQuantizedWeight) for module in model.modules()):
        raise ValueError(f"convert: expected a model of prepare_qat, got {type(model).__name__}")
    instead: dict[int, object] = {}  # what the copy has in the place of modules
    for name, module in model.named_modules():
        if isinstance(module, FakeQuantizedWeight | FakeQuantizedInput):
            try:
                instead[id(module)] = module.stored().train(module.training)
            except ValueError as error:
                raise ValueError(f"convert: {name!r}: {error}") from None
    return copy.deepcopy(model, instead)

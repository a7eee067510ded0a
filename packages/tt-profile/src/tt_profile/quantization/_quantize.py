"""Models whose weights are stored in few bits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import tt_tensor
from tt_autograd import RemovableHandle, no_grad
from tt_nn import Module

from ._inputs import InputQuantizer, Int8Input
from ._layers import PREFIX, place
from ._observers import MinMaxObserver, Observer
from ._structure import Slot, copy_but, find_slots, layers_of, scheme_of
from ._weights import DType, QuantizedWeight, quantized, weight_like

M = TypeVar("M", bound=Module)


def quantize(
    model: M,
    dtype: DType = "int8",
    *,
    per_channel: bool = True,
    symmetric: bool = True,
    group_size: int = 32,
    activations: bool = False,
    calibration: Iterable[object] | None = None,
    observer: Callable[[], Observer] = MinMaxObserver,
    exclude: Collection[str] = (),
) -> M:
    """Return a copy of a model whose weights are stored as int8, or as int4 in groups.

    The weights of `Linear`, convolutions, `Embedding`, `LearnedPositions`, `Bilinear` and
    `MultiheadAttention` become integers and scales, as buffers; biases, normalisations and layers
    of other kinds stay as they are. A weight that layers share stays shared. Floats are made of a
    weight while its layer runs (of a `Linear`, a piece at a time; of an `Embedding`, the rows that
    are read) and not kept.

    Smaller is not faster: BLAS has no product of integers, so a model takes the time that it took,
    and that of making floats. See the README for what was measured.

    Args:
        model: The model; it stays as it is.
        dtype: ``"int8"``, or ``"int4"``, two to a byte.
        per_channel: Whether each channel of an int8 weight (row of a matrix) has a scale of its
            own, or all share one.
        symmetric: Whether the integer 0 stands for 0; else weights have zero points.
        group_size: How many int4 weights of a row share a scale, at most; an even number.
        activations: Whether inputs of `Linear` and convolutions are rounded to int8 too, affine
            and per tensor. A `Linear` then multiplies integers, and passes no gradient on; a
            convolution reads floats that have been rounded.
        calibration: Batches to find the inputs' ranges with: each what the model is called with, a
            tuple for several arguments (of a loader of pairs: ``(x for x, _ in loader)``). The
            model runs in evaluation mode.
        observer: Makes what finds the range of an input.
        exclude: Names of modules whose weights stay floats, with all below them.

    Returns:
        The copy. Its `state_dict` can be saved like any other; `load_quantized` reads it.

    Raises:
        ValueError: An argument is out of range or does not go with another, a weight or an input
            has NaN or infinity in it, or there is nothing to quantize.

    Example:
        >>> import tt_nn as nn
        >>> from tt_profile import model_bytes
        >>> model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
        >>> small = quantize(model)
        >>> small[0].quantized_weight
        Int8Weight((128, 784), per channel, symmetric)
        >>> model_bytes(model) // model_bytes(small)
        3

    References:
        Jacob et al., "Quantization and training of neural networks for efficient
        integer-arithmetic-only inference", 2018; Krishnamoorthi, "Quantizing deep convolutional
        networks for efficient inference: a whitepaper", 2018. Groups: Dettmers and Zettlemoyer,
        "The case for 4-bit precision", 2023.
    """
    scheme = scheme_of("quantize", dtype, per_channel, symmetric, group_size, activations)
    if activations and calibration is None:
        raise ValueError("quantize: expected calibration batches with activations=True")
    if calibration is not None and not activations:
        raise ValueError("quantize: calibration is for activations=True; weights need none")
    slots = find_slots("quantize", model, exclude)
    made = copy_but(model, slots)
    inputs = {}
    if calibration is not None:
        inputs = _calibrated(made, slots, calibration, observer)
    stored: dict[int, QuantizedWeight] = {}  # by weight: one for all layers that share it
    for slot, layer in layers_of(made, slots):
        key = id(slot.weight)
        if key not in stored:
            stored[key] = quantized(slot.weight.detach(), scheme, slot.kind.axis)
        place(layer, slot.name, stored[key], inputs.get(slot.path))
    return made


def _calibrated(
    model: Module,
    slots: Collection[Slot],
    calibration: Iterable[object],
    make: Callable[[], Observer],
) -> dict[str, InputQuantizer]:
    """Run a model over batches, and return what rounds the inputs of its layers, by their names."""
    observers = {slot.path: make() for slot in slots if slot.kind.rounds_input}
    handles = [_watch(model.get_submodule(path), each) for path, each in observers.items()]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            for batch in calibration:
                model(*batch if isinstance(batch, tuple) else (batch,))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    found: dict[str, InputQuantizer] = {}
    for path, each in observers.items():
        try:
            found[path] = Int8Input.of(each)
        except ValueError:
            raise ValueError(
                f"quantize: the calibration never reached layer {path!r}; give it batches, and "
                "exclude layers that do not run"
            ) from None
    return found


def _watch(layer: Module, observer: Observer) -> RemovableHandle:
    def see(_: Module, args: tuple[Any, ...]) -> None:
        observer(args[0])

    return layer.register_forward_pre_hook(see)


def load_quantized(model: M, state_dict: Mapping[str, tt_tensor.Tensor]) -> M:
    """Return a copy of a model with the weights of a quantized one.

    How weights are quantized is seen from the names, dtypes and shapes in the state.

    Args:
        model: A model of the same kind and sizes, not quantized; it stays as it is. What was
            pruned or factorised before it was quantized is for `load_compressed`.
        state_dict: What `Module.state_dict` of the quantized model returned, or `tt_nn.load` read.

    Raises:
        ValueError: Names or shapes do not fit the model.
        TypeError: A dtype does not fit.

    Example:
        >>> import tempfile
        >>> import tt_nn as nn
        >>> small = quantize(nn.Linear(64, 10), "int4")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nn.save(small.state_dict(), f"{folder}/small.safetensors")
        ...     state = nn.load(f"{folder}/small.safetensors")
        >>> load_quantized(nn.Linear(64, 10), state).quantized_weight
        Int4Weight((10, 64), groups of 32, symmetric)
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"load_quantized: expected a state dict, got {type(state_dict).__name__}; read a file "
            "with tt_nn.load"
        )
    slots = [
        slot
        for slot in find_slots("load_quantized", model, ())
        if f"{_start(slot)}{PREFIX}{slot.name}.values" in state_dict
    ]
    made = copy_but(model, slots)
    stored: dict[int, QuantizedWeight] = {}
    for slot, layer in layers_of(made, slots):
        key = id(slot.weight)
        if key not in stored:
            start = f"{_start(slot)}{PREFIX}{slot.name}."
            stored[key] = weight_like(slot.weight, slot.kind.axis, start, state_dict)
        scale = state_dict.get(f"{_start(slot)}input_quantizer.scale")
        rounds = scale is not None and slot.kind.rounds_input
        place(layer, slot.name, stored[key], Int8Input.empty() if rounds else None)
    made.load_state_dict(state_dict)
    return made


def _start(slot: Slot) -> str:
    return f"{slot.path}." if slot.path else ""

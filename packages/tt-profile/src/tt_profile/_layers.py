"""Where a model's parameters, FLOPs and time are in a forward pass, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

from tt_nn import Module

from ._profile import forward_pass


def count_parameters(model: Module, *, trainable_only: bool = False) -> int:
    """Count the numbers that a model learns.

    A parameter that two layers share counts once.

    Args:
        model: The model.
        trainable_only: Whether to leave out parameters that do not require a gradient.

    Returns:
        The number of elements of all parameters.

    Example:
        >>> import tt_nn as nn
        >>> count_parameters(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
        33
    """
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.requires_grad or not trainable_only
    )


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """What one module of a model costs in a forward pass, its submodules' share left out.

    Attributes:
        name: The module's name in the model; empty for the model itself.
        kind: The module's class.
        output_shape: Shape of its output; empty when that is not a single tensor.
        parameters: Number of elements of the module's own parameters.
        flops: FLOPs of the ops that ran in it.
        seconds: Median time spent in it.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    flops: int
    seconds: float


def profile_layers(model: Module, *inputs: object, repeats: int = 7) -> list[LayerProfile]:
    """Split a forward pass by layer: parameters, FLOPs and time of each.

    The short form of `profile`, without gradients: FLOPs are counted in one pass and time is
    measured in others, so that counting does not slow what is timed.

    Args:
        model: The model.
        inputs: What it is called with.
        repeats: Number of timed passes, after one that warms up.

    Returns:
        One entry for each module that ran, in the order of the first call. The entries add up to
        the whole model: each has what its submodules do not.

    Raises:
        ValueError: If ``repeats`` is not positive.

    Example:
        >>> import tt_autograd as tt, tt_nn as nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        >>> [(layer.name, layer.flops) for layer in profile_layers(model, tt.ones(10, 4))]
        [('', 0), ('0', 270), ('1', 30)]
    """
    if repeats < 1:
        raise ValueError(f"profile_layers: repeats must be at least 1, got {repeats}")
    return [
        LayerProfile(
            name=layer.name,
            kind=layer.kind,
            output_shape=layer.output_shape,
            parameters=layer.parameters,
            flops=layer.forward.flops,
            seconds=layer.forward.seconds,
        )
        for layer in forward_pass(model, inputs, repeats)
    ]

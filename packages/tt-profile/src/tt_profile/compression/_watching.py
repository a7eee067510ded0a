"""Running a model to see what it does."""

from __future__ import annotations

from collections.abc import Callable

import tt_autograd as tt
from tt_autograd import OpEvent
from tt_nn import Module


def run_watched(
    model: Module, inputs: tuple[object, ...], see: Callable[[OpEvent], None]
) -> object:
    """Call a model in evaluation mode and without gradients, and have ``see`` told of each op.

    Args:
        model: The model; its modules go back to the modes that they were in.
        inputs: What it is called with.
        see: Told of every op.

    Returns:
        What the model returned.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        with tt.no_grad(), tt.observe(see):
            output: object = model.eval()(*inputs)
            return output
    finally:
        for module, training in modes:
            module.training = training

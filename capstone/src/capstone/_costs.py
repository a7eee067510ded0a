"""What a model costs, measured."""

from __future__ import annotations

from dataclasses import dataclass

import tt_nn as nn
import tt_tensor
from tt_autograd import no_grad
from tt_profile import count_flops, model_bytes, peak_memory, time_it


@dataclass(frozen=True, slots=True)
class Costs:
    """What it costs to keep a model and to ask it.

    Attributes:
        memory_bytes: Memory of all arrays that the model holds.
        flops: FLOPs of a forward pass, for each input of the batch.
        seconds: Median time of a forward pass, for each input of the batch.
        peak_memory_bytes: The most that a forward pass of the batch held, the model apart.
    """

    memory_bytes: int
    flops: int
    seconds: float
    peak_memory_bytes: int


def measure(model: nn.Module, inputs: tt_tensor.Tensor) -> Costs:
    """Measure a model with a batch, in evaluation mode and without a tape.

    Args:
        model: The model; it stays in the mode that it was in.
        inputs: The batch, ``(N, 1, 8, 8)``.

    Returns:
        The costs; FLOPs and time are for one of the N.

    Example:
        >>> import tt_autograd as tt
        >>> from capstone import mlp
        >>> costs = measure(mlp(), tt.zeros(16, 1, 8, 8))
        >>> costs.memory_bytes, costs.flops  # 4 bytes a weight, two FLOPs for each and some more
        (68904, 34442)
    """
    training = model.training
    model.eval()
    try:
        with no_grad():
            return Costs(
                memory_bytes=model_bytes(model),
                flops=count_flops(model, inputs).total // len(inputs),
                seconds=time_it(lambda: model(inputs)).median / len(inputs),
                peak_memory_bytes=peak_memory(lambda: model(inputs)),
            )
    finally:
        model.train(training)

"""What a model costs."""

from time import sleep

import pytest

import tt_autograd as tt
import tt_nn as nn
from capstone import measure, mlp

pytestmark = pytest.mark.module_20

LAYERS = [(64, 128), (128, 64), (64, 10)]
WEIGHTS = sum(inputs * outputs + outputs for inputs, outputs in LAYERS)
FLOPS = sum(2 * inputs * outputs + outputs for inputs, outputs in LAYERS) + 128 + 64  # and ReLU


@pytest.mark.parametrize("batch", [1, 16, 200])
def test_the_closed_forms(batch: int) -> None:
    costs = measure(mlp(), tt.rand(batch, 1, 8, 8))
    assert costs.memory_bytes == 4 * WEIGHTS
    assert costs.flops == FLOPS
    # The first hidden layer and its rectified copy, the second one, or the like: a few arrays.
    assert 4 * 128 * batch <= costs.peak_memory_bytes < 4 * 1024 * batch + 100_000


def test_time_is_for_one_image() -> None:
    class Waits(nn.Module):
        def forward(self, input: tt.Tensor) -> tt.Tensor:
            sleep(0.003 * len(input))
            return input

    assert 0.0029 < measure(Waits(), tt.zeros(10, 1, 8, 8)).seconds < 0.03


@pytest.mark.parametrize("training", [True, False])
def test_a_model_is_measured_as_it_will_be_asked(training: bool) -> None:
    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 10)
            self.asked: set[tuple[bool, bool]] = set()

        def forward(self, input: tt.Tensor) -> tt.Tensor:
            out: tt.Tensor = self.linear(input.flatten(1))
            self.asked.add((self.training, out.requires_grad))
            return out

    model = Watched().train(training)
    measure(model, tt.zeros(2, 1, 8, 8))
    assert model.asked == {(False, False)}  # in evaluation mode, and without a tape
    assert model.training is training

"""One model measured in this process, by a clock that its own passes drive."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn import functional as F
from tt_tito.benchmark import Configuration, Data, LocalRunner, build

pytestmark = pytest.mark.module_19

READER = {
    "layer": "Sequential",
    "layers": [
        {"layer": "Linear", "in_features": 4, "out_features": 8},
        {"layer": "ReLU"},
        {"layer": "Linear", "in_features": 8, "out_features": 3},
    ],
}
WRITER = {"layer": "GPT", "vocab_size": 7, "block_size": 8, "n_layer": 1, "n_head": 2, "n_embd": 8}

BATCH, TOKENS = 8, 6
RNG = np.random.default_rng(0)
TEXT = RNG.integers(0, 7, (20, TOKENS + 1))
# Neither number of inputs is a multiple of how many are judged at once.
ROWS = Data(RNG.normal(size=(300, 4)).astype(np.float32), RNG.integers(0, 3, 300))
LINES = Data(TEXT[:, :-1], TEXT[:, 1:])


class Passes:
    """A clock by which each pass of a model takes the same time, and nothing else any."""

    def __init__(self, op: str, seconds: float) -> None:
        self.op, self.each, self.count = op, seconds, 0

    def see(self, event: tt.OpEvent) -> None:
        self.count += event.op.name == self.op

    def __call__(self) -> float:
        return self.count * self.each


Make = Callable[..., tuple[LocalRunner, Passes]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a runner for a model that reads rows or writes text, and its clock."""

    def runner(kind: Literal["reader", "writer"], seconds: float) -> tuple[LocalRunner, Passes]:
        reads = kind == "reader"
        passes = Passes("relu" if reads else "embedding", seconds)
        watched.enter_context(tt.observe(passes.see))
        made = LocalRunner(
            ROWS if reads else LINES,
            Configuration(READER if reads else WRITER),
            weights(kind, tmp_path),
            quality="accuracy" if reads else "loss",
            batch=BATCH,
            seed=0,
            clock=passes,
        )
        passes.count = 0
        return made, passes

    with ExitStack() as watched:
        yield runner


def model_of(kind: Literal["reader", "writer"]) -> nn.Module:
    tt.manual_seed(0)
    return build(READER if kind == "reader" else WRITER).eval()


def weights(kind: Literal["reader", "writer"], folder: Path) -> Path:
    path = folder / f"{kind}.safetensors"
    nn.save(model_of(kind).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("kind", "clocked", "inputs"),
    [
        ("reader", "latency", 1),
        ("reader", "throughput", BATCH),
        ("writer", "latency", 1),  # a token, for which it takes a pass
        ("writer", "throughput", BATCH),
    ],
)
def test_a_sample_is_the_time_for_one_input(
    make: Make,
    kind: Literal["reader", "writer"],
    clocked: Literal["latency", "throughput"],
    inputs: int,
) -> None:
    runner, _ = make(kind, 0.001)
    for _ in range(3):
        assert runner.seconds(clocked) == pytest.approx(0.001 / inputs)


@pytest.mark.parametrize(("seconds", "calls"), [(0.001, 10), (0.003, 4), (0.02, 1)])
def test_a_sample_lasts_until_the_clock_can_tell(make: Make, seconds: float, calls: int) -> None:
    runner, passes = make("reader", seconds)
    runner.seconds("latency")
    assert passes.count == 2 + calls  # one that warms up, one that tells how long it takes
    runner.seconds("latency")
    assert passes.count == 2 + 2 * calls
    runner.seconds("throughput")  # of which nothing is known yet
    assert passes.count == 4 + 3 * calls


def test_what_takes_no_time_is_not_called_for_ever(make: Make) -> None:
    runner, passes = make("reader", 0.0)
    assert runner.seconds("latency") == 0.0
    assert passes.count == 2 + 10_000


def test_a_run_of_a_writer_writes_as_many_tokens_as_a_line_has(make: Make) -> None:
    runner, passes = make("writer", 0.02)
    runner.seconds("latency")
    assert passes.count == 3 * (TOKENS - 1)


def test_memory_is_that_of_the_model_and_not_of_what_the_first_pass_loads(tmp_path: Path) -> None:
    loaded: list[bytearray] = []

    def load(event: tt.OpEvent) -> None:
        if not loaded:
            loaded.append(bytearray(1 << 24))

    path, configuration = weights("reader", tmp_path), Configuration(READER)
    with tt.observe(load):
        runner = LocalRunner(ROWS, configuration, path, quality="accuracy", batch=BATCH, seed=0)
    assert loaded
    arrays = sum(p.numpy().nbytes for p in model_of("reader").state_dict().values())
    assert arrays < runner.memory() < 1 << 20


def test_accuracy_is_over_all_inputs(make: Make) -> None:
    runner, _ = make("reader", 0.001)
    with tt.no_grad():
        answers = model_of("reader")(tt.tensor(ROWS.inputs)).argmax(dim=1).numpy()
    assert runner.quality() == pytest.approx((answers == ROWS.targets).mean())


def test_loss_is_over_all_tokens(make: Make) -> None:
    runner, _ = make("writer", 0.001)
    with tt.no_grad():
        scores = model_of("writer")(tt.tensor(LINES.inputs))
        loss = F.cross_entropy(scores.flatten(0, 1), tt.tensor(LINES.targets).flatten())
    assert runner.quality() == pytest.approx(loss.item(), rel=1e-5)

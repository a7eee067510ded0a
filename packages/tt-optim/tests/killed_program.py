"""Trains a model in child processes that it kills, and reports what became of each run.

Run as a program, with a folder and a seed. Each run is killed once, at a random call or return of
a function or at a random file operation, and then resumed; one line of JSON says how all ended.
Moments are counted and not timed, so that they lie in the same places on any machine.
"""

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

EPOCHS, RUNS = 4, 20

Count = Callable[[Path, Callable[[int], object]], None]


class Shuffled:
    """Batches in an order that changes every epoch, from a generator of its own."""

    def __init__(self, x: tt.Tensor, y: tt.Tensor, batch_size: int) -> None:
        self.x, self.y, self.batch_size = x, y, batch_size
        self.generator = tt.Generator(5)
        self.start = self.generator.get_state()
        self.used = 0

    def __iter__(self) -> Iterator[tuple[tt.Tensor, tt.Tensor]]:
        self.start = self.generator.get_state()
        order = tt.randperm(len(self.x), generator=self.generator)
        batches = [order[i : i + self.batch_size] for i in range(0, len(self.x), self.batch_size)]
        while self.used < len(batches):
            self.used += 1
            index = batches[self.used - 1]
            yield self.x[index], self.y[index]
        self.used = 0

    def state_dict(self) -> dict[str, Any]:
        state = self.generator.get_state() if self.used == 0 else self.start
        return {"generator": state, "used": self.used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.generator.set_state(state_dict["generator"])
        self.used = state_dict["used"]


def train(folder: Path) -> str:
    """Train, going on from where an earlier run in the folder got to; return a digest."""
    tt.manual_seed(0)
    x = tt.randn(96, 8)
    y = x[:, :3].argmax(dim=1)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    optimizer = optim.AdamW(model.named_parameters(), lr=0.01)
    cosine = optim.CosineAnnealingLR(optimizer, T_max=20)
    average = optim.ExponentialMovingAverage(model, decay=0.9)
    trainer = optim.Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        scheduler=optim.WarmupLR(optimizer, 4, after=cosine),
        accumulate=2,
        max_norm=1.0,
        average=average,
        callbacks=[optim.EarlyStopping(patience=50), optim.JSONLog(folder / "log", every=1)],
        checkpoints=folder / "checkpoints",
        checkpoint_every=2,
    )
    loader = Shuffled(x, y, 8)
    history = trainer.fit(loader, epochs=EPOCHS, evaluation=[(x, y)], resume=True)
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    logged = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    digest = hashlib.sha256(json.dumps([history, logged]).encode())
    for tensor in [*model.parameters(), *average.state_dict()["averages"]]:
        digest.update(np.ascontiguousarray(tensor.detach().numpy()).tobytes())
    return digest.hexdigest()


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a child process; return its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child and return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count_calls(folder: Path, reached: Callable[[int], object]) -> None:
    """Call a function with the number of every call and return of a function from now on."""
    del folder
    seen = 0

    def hook(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen
        seen += 1
        reached(seen)

    sys.setprofile(hook)


def count_file_operations(folder: Path, reached: Callable[[int], object]) -> None:
    """Call a function with the number of every operation on files in the folder from now on."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event.startswith(("open", "os.", "shutil.", "tempfile.")):
            if any(str(folder) in str(argument) for argument in arguments):
                seen += 1
                reached(seen)

    sys.addaudithook(hook)


def main() -> None:
    """Train once undisturbed, then with each way of being killed."""
    root, chance = Path(sys.argv[1]), random.Random(int(sys.argv[2]))

    def run(name: str) -> str | None:
        folder = root / name
        folder.mkdir(exist_ok=True)
        child = in_a_child(lambda: (folder / "digest").write_text(train(folder)))
        return (folder / "digest").read_text() if ended(child) == 0 else None

    def moments(count: Count) -> int:
        folder = root / count.__name__
        folder.mkdir()
        last = 0

        def note(number: int) -> None:
            nonlocal last
            last = number

        def work() -> None:
            count(folder, note)
            train(folder)
            sys.setprofile(None)
            (root / "moments").write_text(str(last))

        assert ended(in_a_child(work)) == 0
        return int((root / "moments").read_text())

    def killed(name: str, count: Count, moment: int) -> bool:
        folder = root / name
        folder.mkdir()

        def kill(number: int) -> None:
            if number == moment:
                os.kill(os.getpid(), signal.SIGKILL)

        def work() -> None:
            count(folder, kill)
            train(folder)

        return ended(in_a_child(work)) == -signal.SIGKILL

    (root / "warm").mkdir()
    train(root / "warm")  # so that no child spends its moments on imports
    expected = run("undisturbed")
    outcomes = []
    for count in (count_calls, count_file_operations):
        last = moments(count)
        for k in range(RUNS):
            name = f"{count.__name__}{k}"
            died = killed(name, count, chance.randint(1, last))
            checkpoints = optim.Checkpoints(root / name / "checkpoints").steps()
            outcomes.append({"killed": died, "checkpoints": checkpoints, "digest": run(name)})
    print(json.dumps({"expected": expected, "outcomes": outcomes}))


if __name__ == "__main__":
    main()

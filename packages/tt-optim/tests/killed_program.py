"""Trains a model in child processes that it kills, and reports what became of each run.

Run as a program, with a folder and a seed. Each run is killed once, at a random moment or at a
random file operation, and then resumed; one line of JSON says how all of them ended.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

EPOCHS, RUNS = 4, 20


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

    (root / "warm").mkdir()
    train(root / "warm")  # so that no child spends its time on imports
    begin = time.perf_counter()
    expected = run("undisturbed")
    seconds = time.perf_counter() - begin

    def counted() -> None:
        folder = root / "counted"
        total: list[int] = []
        count_file_operations(folder, total.append)
        train(folder)
        (root / "operations").write_text(str(len(total)))

    (root / "counted").mkdir()
    assert ended(in_a_child(counted)) == 0
    operations = int((root / "operations").read_text())

    outcomes = []
    for k in range(2 * RUNS):
        name = f"run{k}"
        folder = root / name
        folder.mkdir()
        moment = chance.uniform(0.0, seconds) if k < RUNS else chance.randint(1, operations)

        def at_operation(folder: Path = folder, moment: float = moment) -> None:
            def kill(number: int) -> None:
                if number == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

            count_file_operations(folder, kill)
            train(folder)

        if k < RUNS:
            child = in_a_child(lambda folder=folder: train(folder))  # type: ignore[misc]  # bound
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
        else:
            child = in_a_child(at_operation)
        code = ended(child)
        checkpoints = optim.Checkpoints(folder / "checkpoints").steps()
        outcomes.append(
            {"killed": code == -signal.SIGKILL, "checkpoints": checkpoints, "digest": run(name)}
        )
    print(json.dumps({"expected": expected, "operations": operations, "outcomes": outcomes}))


if __name__ == "__main__":
    main()

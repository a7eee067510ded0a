"""Trains a small model under ``mpiexec``: what its first argument asks for, in the folder given.

Each case is a function of the rank and the folder. What it returns is printed as JSON by rank 0.
"""

import json
import os
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
from tt_optim.distributed import DistributedDataParallel, World, world

STEPS = 24
Batches = list[tuple[tt.Tensor, tt.Tensor]]


def data(rows: int = 40, size: int = 8) -> Batches:
    """Return batches, of which the last is smaller."""
    x = tt.randn(rows, 4)
    y = x.sum(dim=1, keepdim=True)
    return [(x[i : i + size], y[i : i + size]) for i in range(0, rows, size)]


def network(width: int = 5) -> nn.Module:
    """Return a model with dropout."""
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 1))


class Killed(optim.Callback):
    """Kills the process of a rank after so many steps."""

    def __init__(self, rank: int, step: int) -> None:
        self.rank, self.step = rank, step

    def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
        """End it at once, as the system does when memory runs out."""
        ranks = world()
        if ranks is not None and ranks.rank == self.rank and trainer.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def trainer(model: nn.Module, folder: Path, lost_at: int = 0) -> optim.Trainer:
    """Return the trainer that all cases use; rank 1 is lost after so many steps, if any."""
    return optim.Trainer(
        model,
        optim.AdamW(model.parameters(), lr=0.01),
        nn.MSELoss(),
        callbacks=[optim.JSONLog(folder / "log.jsonl", every=1), Killed(1, lost_at)],
        checkpoints=folder / "checkpoints",
        checkpoint_every=4,
        progress=False,
    )


def train(rank: int, folder: Path) -> Any:
    """Train to the end, from the latest checkpoint on; return the parameters and the history."""
    model = network()
    history = trainer(model, folder).fit(data(), steps=STEPS, resume=True)
    return [[p.tolist() for p in model.parameters()], history]


def killed(rank: int, folder: Path) -> Any:
    """Lose rank 1 in the middle."""
    model = network()
    trainer(model, folder, lost_at=10).fit(data(), steps=STEPS)


def other_shape(rank: int, folder: Path) -> Any:
    """Train another model on rank 1."""
    trainer(network(6 if rank == 1 else 5), folder).fit(data(), steps=1)


def other_seed(rank: int, folder: Path) -> Any:
    """Start rank 1 with another seed."""
    tt.manual_seed(7 + (rank == 1))
    trainer(network(), folder).fit(data(), steps=1)


def other_data(rank: int, folder: Path) -> Any:
    """Give rank 1 a batch in which one number differs."""
    batches = data()
    if rank == 1:
        batches[2][0][0, 0] = 5.0
    trainer(network(), folder).fit(batches, steps=1)


class Made:
    """A loader of one's own, of which only the type is known."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[tt.Tensor, tt.Tensor]]:
        return iter(self.batches)


def other_order(rank: int, folder: Path) -> Any:
    """Give rank 1 the batches of a loader of its own in another order."""
    batches = data()
    trainer(network(), folder).fit(Made(batches[::-1] if rank == 1 else batches), steps=1)


def other_evaluation(rank: int, folder: Path) -> Any:
    """Give rank 1 fewer batches to evaluate on, by a loader of its own."""
    batches = data()
    evaluation = Made(batches[: 2 if rank == 1 else 3])
    trainer(network(), folder).fit(batches, epochs=1, evaluation=evaluation)


def other_length(rank: int, folder: Path) -> Any:
    """Give rank 1 fewer batches."""
    batches = data()
    trainer(network(), folder).fit(batches[: 4 if rank == 1 else 5], steps=1)


def other_rate(rank: int, folder: Path) -> Any:
    """Let rank 1 learn faster."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.2 if rank == 1 else 0.1)
    optim.Trainer(model, optimizer, nn.MSELoss(), progress=False).fit(data(), steps=1)


def other_buckets(rank: int, folder: Path) -> Any:
    """Let the gradients of rank 1 travel in other pieces."""
    DistributedDataParallel(network(), bucket_cap_mb=1e-5 if rank == 1 else 2.0)


def other_statistics(rank: int, folder: Path) -> Any:
    """Let rank 1 use the statistics of its own rows."""
    DistributedDataParallel(nn.BatchNorm1d(4), sync_batch_norm=rank != 1)


def other_settings(rank: int, folder: Path, gamma: float = 0.5, **settings: Any) -> Any:
    """Train with settings that a rank may have alone."""
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    optim.Trainer(
        model,
        optimizer,
        nn.MSELoss(),
        scheduler=optim.StepLR(optimizer, 2, gamma),
        average=optim.ExponentialMovingAverage(model) if settings.pop("average", False) else None,
        progress=False,
        **settings,
    ).fit(data(), steps=1)


def other_schedule(rank: int, folder: Path) -> Any:
    """Step the scheduler of rank 1 after epochs."""
    other_settings(rank, folder, schedule="epoch" if rank == 1 else "step")


def other_decay(rank: int, folder: Path) -> Any:
    """Let the learning rate of rank 1 fall faster."""
    other_settings(rank, folder, gamma=0.2 if rank == 1 else 0.5)


def other_average(rank: int, folder: Path) -> Any:
    """Average on rank 1 alone."""
    other_settings(rank, folder, average=rank == 1)


def ranks_of(model: nn.Module, **options: Any) -> tuple[DistributedDataParallel, World]:
    """Return how a model is trained in parallel, and by whom."""
    parallel = DistributedDataParallel(model, **options)
    return parallel, parallel.world


def gradients(rank: int, folder: Path) -> Any:
    """Return what steps written out leave as gradients, in several ways."""
    found: dict[str, Any] = {}
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(4, 2))
    parallel, ranks = ranks_of(model, bucket_cap_mb=1e-5)  # each parameter by itself
    found["buckets"] = len(parallel.buckets)
    x = tt.randn(7, 3)
    cut = np.cumsum([0, 4, *[3] * (ranks.size - 1)]).tolist()
    own = x[cut[rank] : cut[rank + 1]]  # 4 and 3 rows

    def loss(x: tt.Tensor, second: bool = False) -> tt.Tensor:
        hidden = model[0](x).tanh()
        out: tt.Tensor = model[2 if second else 1](hidden).square().mean()
        return out

    def taken() -> list[Any]:
        made = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
        model.zero_grad()
        return made

    loss(x).backward()
    found["alone"] = taken()
    with parallel.step(own) as part:
        (loss(part.batch) * part.weight).backward()
    found["shared"] = taken()

    for _ in range(2):
        (loss(x) / 2).backward()
    found["twice alone"] = taken()
    with parallel.no_sync(), parallel.step(own) as part:
        (loss(part.batch) * part.weight / 2).backward()
    with parallel.step(own) as part:
        (loss(part.batch) * part.weight / 2).backward()
    found["twice shared"] = taken()

    (loss(x[:4]) * 4 / 7).backward()
    (loss(x[4:], second=True) * 3 / 7).backward()
    found["apart alone"] = taken()
    with parallel.step(own) as part:  # what only one rank uses
        (loss(part.batch, second=rank == 1) * part.weight).backward()
    found["apart shared"] = taken()
    return found


def accumulated(rank: int, folder: Path) -> Any:
    """Return the gradient of two batches added up without no_sync, and that of one process."""
    model = nn.Linear(3, 2)
    parallel, _ = ranks_of(model)
    x = tt.randn(6, 3)
    for half in (x[:3], x[3:]):
        half = half[:2] if rank == 0 else half[2:]
        with parallel.step(half) as part:
            (model(part.batch).square().mean() * part.weight / 2).backward()
    found = [p.grad.tolist() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    model(x).square().mean().backward()
    return [found, [p.grad.tolist() for p in model.parameters() if p.grad is not None]]


def of_classes(rank: int, folder: Path) -> Any:
    """Return the parameters and the history of losses with weights and with ignored targets.

    There are ranks of whose rows nothing counts, and one that has no rows.
    """
    x, y = tt.randn(9, 3), tt.tensor([-100, -100, 3, 0, -100, 1, 2, 1, -100])
    batches = [(x[:4], y[:4]), (x[4:8], y[4:8]), (x[7:8], y[7:8])]
    weight, found = tt.tensor([1.0, 0.0, 2.0, 0.1]), []
    criteria: list[Callable[..., tt.Tensor]] = [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight, label_smoothing=0.1),
        nn.NLLLoss(weight + 0.1),
    ]
    for criterion in criteria:
        tt.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(dim=1))
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        trainer = optim.Trainer(model, optimizer, criterion, accumulate=2, progress=False)
        history = trainer.fit(batches, epochs=4, evaluation=batches)
        found.append([p.tolist() for p in model.parameters()])
        found[-1].extend(list(record.values()) for record in history)
    return found


class Noisy(nn.Module):
    """A layer that draws random numbers for the rows that it has, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        """Return the output for a disturbed input."""
        return self.linear(x + (0 if self.training else tt.rand(*x.shape)))


def drawn_in_evaluation(rank: int, folder: Path) -> Any:
    """Train a model that draws on each rank for other rows; return the steps made."""
    model = Noisy()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = optim.Trainer(model, optimizer, nn.MSELoss(), progress=False)
    trainer.fit(data(), epochs=2, evaluation=data(rows=3))
    return trainer.step


def stand_in(rank: int, folder: Path) -> Any:
    """Return a gradient to which a rank without rows adds nothing, whose zeros have no slope."""
    model = nn.Linear(3, 2, bias=False)
    parallel, _ = ranks_of(model)
    with parallel.step(tt.ones(1, 3)[: 1 - rank]) as part:
        (model(part.batch).square().sum().sqrt() * part.weight).backward()
    return [p.grad.tolist() for p in model.parameters() if p.grad is not None]


def thawed(rank: int, folder: Path) -> Any:
    """Return the parameters after training whose first layer is frozen in the first steps."""
    model = network()
    first = list(model.parameters())[:2]
    for param in first:
        param.requires_grad_(False)

    class Thaw(optim.Callback):
        def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
            for param in first:
                param.requires_grad_(True)

    optimizer = optim.SGD(model.parameters(), lr=0.1)
    optim.Trainer(model, optimizer, nn.MSELoss(), callbacks=[Thaw()], progress=False).fit(
        data(), steps=4
    )
    return [p.tolist() for p in model.parameters()]


class OnRank0(optim.Callback):
    """Evaluates on rank 0 alone, and stops training there."""

    writes = True

    def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
        """Do so."""
        assert trainer.evaluate([(tt.ones(3, 4), tt.ones(3, 1))])["loss"] >= 0
        if trainer.step == 3:
            trainer.stop()


def one_evaluates_and_stops(rank: int, folder: Path) -> Any:
    """Return after how many steps all ranks stop."""
    model = nn.Linear(4, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = optim.Trainer(model, optimizer, nn.MSELoss(), callbacks=[OnRank0()], progress=False)
    trainer.fit([(tt.ones(4, 4), tt.ones(4, 1))] * 5, epochs=9)
    ranks = world()
    assert ranks is not None
    return ranks.gather(np.array([trainer.step])).ravel().tolist()


def callbacks_of_rank_0(rank: int, folder: Path) -> Any:
    """Return after how many steps all ranks stop, where only rank 0 has callbacks.

    They log, in a run with checkpoints which then goes on.
    """
    made = []
    for steps in (2, 9):
        model = nn.Linear(4, 1)
        log, stop = optim.JSONLog(folder / "log.jsonl"), OnRank0()
        trainer = optim.Trainer(
            model,
            optim.SGD(model.parameters(), lr=0.1),
            nn.MSELoss(),
            callbacks=[log, stop] if rank == 0 else [],
            checkpoints=folder / "checkpoints",
            progress=False,
        )
        trainer.fit([(tt.ones(4, 4), tt.ones(4, 1))] * 5, steps=steps, resume=True)
        made.append(trainer.step)
    ranks = world()
    assert ranks is not None
    assert ranks.gather(np.array(made[0])).tolist() == [2] * ranks.size
    return ranks.gather(np.array(made[1])).tolist()


def stopped_in_loss(rank: int, folder: Path) -> Any:
    """Return after how many steps all ranks stop when one of them says so while it computes."""

    class Stops(optim.Trainer):
        def loss(self, batch: Any) -> Any:
            if rank == 1 and self.step == 2:
                self.stop()
            return super().loss(batch)

    model = nn.Linear(4, 1)
    trainer = Stops(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss(), progress=False)
    trainer.fit([(tt.ones(4, 4), tt.ones(4, 1))] * 5, epochs=9)
    ranks = world()
    assert ranks is not None
    return ranks.gather(np.array(trainer.step)).tolist()


def loaded_on_rank_0(rank: int, folder: Path) -> Any:
    """Return parameters and history of a model that rank 0 alone changes before training.

    Once before the trainer is made, and once after it.
    """
    model = network()

    def load() -> None:
        if rank == 0:
            with tt.no_grad():
                for param in model.parameters():
                    param *= 3

    load()
    trainer = optim.Trainer(
        model,
        optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        nn.MSELoss(),
        average=optim.ExponentialMovingAverage(model, decay=0.99),
        progress=False,
    )
    load()
    history = trainer.fit(data(), epochs=2, evaluation=data())
    ranks = world()
    if ranks is not None:
        losses = ranks.gather(np.array([line["val_loss"] for line in history]))
        assert (losses == losses[0]).all()
    return [*(p.tolist() for p in model.parameters()), [list(line.values()) for line in history]]


def caught(rank: int, folder: Path) -> Any:
    """Go on after an error of rank 1 in a step."""
    model = network()

    def criterion(output: tt.Tensor, target: tt.Tensor) -> tt.Tensor:
        if rank == 1 and run.step == 2:
            raise ValueError("bad thing")
        return nn.MSELoss()(output, target)

    run = optim.Trainer(model, optim.SGD(model.parameters(), lr=0.01), criterion, progress=False)
    go_on(run)


def caught_in_callback(rank: int, folder: Path) -> Any:
    """Go on after an error of a callback of rank 1."""

    class Bad(optim.Callback):
        def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
            if rank == 1:
                raise ValueError("bad thing")

    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    go_on(optim.Trainer(model, optimizer, nn.MSELoss(), callbacks=[Bad()], progress=False))


def go_on(trainer: optim.Trainer) -> None:
    """Train with one epoch more each time, whatever error there was."""
    for epochs in range(1, 4):
        try:
            trainer.fit(data(), epochs=epochs)
        except ValueError:
            continue


def step_skipped(rank: int, folder: Path) -> Any:
    """Go on after an error of rank 1 in a step that is written out."""
    model = network()
    parallel, _ = ranks_of(model, bucket_cap_mb=1e-5)
    for k, (x, _) in enumerate(data()):
        try:
            with parallel.step(x) as part:
                loss = model(part.batch).square().mean()
                if rank == 1 and k == 1:
                    raise ValueError("bad thing")
                (loss * part.weight).backward()
        except ValueError:
            continue


def saved_by_hand(rank: int, folder: Path) -> Any:
    """Return which ranks go on from what rank 0 saved late, where all call save, or it alone."""
    ranks, found = world(), []
    assert ranks is not None
    for alone in (False, True):
        run = trainer(network(), folder / str(alone))
        if rank == 0:
            time.sleep(0.3)
        if rank == 0 or not alone:
            run.save()
        found.append(ranks.gather(np.array(run.resume())).tolist())
    return found


def head_replaced(rank: int, folder: Path) -> Any:
    """Replace a layer after the trainer was made."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 1))
    run = trainer(model, folder)
    model[1] = nn.Linear(5, 1)
    run.optimizer.add_param_group({"params": list(model[1].parameters())})
    run.fit(data(), steps=1)


def momentum_of_rank_0(rank: int, folder: Path) -> Any:
    """Make a step on rank 0 alone before training."""
    model = nn.Linear(4, 1)
    run = trainer(model, folder)
    if rank == 0:
        model(tt.ones(2, 4)).sum().backward()
        run.optimizer.step()
    run.fit(data(), steps=1)


def weights_of_rank_1(rank: int, folder: Path) -> Any:
    """Change a weight on rank 1 alone while training."""

    class Changes(optim.Callback):
        def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
            if rank == 1:
                with tt.no_grad():
                    next(model.parameters()).mul_(2)

    model = network()
    run = trainer(model, folder)
    run.callbacks.append(Changes())
    run.fit(data(), steps=8)


def shorter_epochs(rank: int, folder: Path) -> Any:
    """Give rank 1 fewer batches, of a loader that does not tell."""

    class Batches:
        def __iter__(self) -> Any:
            return iter(data()[: 3 if rank == 1 else 5])

    trainer(network(), folder).fit(Batches(), epochs=2)


def half_precision(rank: int, folder: Path) -> Any:
    """Return the dtype of the gradient of a float16 parameter."""
    model = nn.Linear(3, 1).to(tt.float16)
    parallel, _ = ranks_of(model)
    with parallel.step(tt.ones(2, 3, dtype=tt.float16)) as part:
        (model(part.batch).sum() * part.weight).backward()
    return [p.grad.dtype.name for p in model.parameters() if p.grad is not None]


def drawn_alone(rank: int, folder: Path) -> Any:
    """Draw random numbers on rank 0 alone."""
    parallel, _ = ranks_of(nn.Linear(3, 1))
    if rank == 0:
        tt.rand(1)
    with parallel.step(tt.ones(2, 3)):
        pass


def backward_outside(rank: int, folder: Path) -> Any:
    """Run backward after a step."""
    model = nn.Linear(3, 1)
    parallel, _ = ranks_of(model)
    with parallel.step(tt.ones(2, 3)) as part:
        loss = model(part.batch).sum()
    loss.backward()


def not_the_models(rank: int, folder: Path) -> Any:
    """Train a parameter that is not the model's."""
    model, other = nn.Linear(3, 1), nn.Linear(1, 7)
    optim.Trainer(model, optim.SGD([*model.parameters(), *other.parameters()]), nn.MSELoss())


def backward_twice(rank: int, folder: Path) -> Any:
    """Run backward a second time inside one step."""
    model = nn.Linear(3, 1)
    parallel, _ = ranks_of(model)
    with parallel.step(tt.ones(2, 3)) as part:
        for _ in range(2):
            model(part.batch).sum().backward()


def no_rows(rank: int, folder: Path) -> Any:
    """Give every rank a batch without rows."""
    parallel, _ = ranks_of(nn.Linear(3, 1))
    with parallel.step(tt.ones(0, 3)):
        pass


def local_statistics(rank: int, folder: Path) -> Any:
    """Return the running mean of rank 0, and whether the next step begins with it everywhere."""
    model = nn.BatchNorm1d(1, momentum=1.0)
    parallel, ranks = ranks_of(model, sync_batch_norm=False)
    for _ in range(2):
        with parallel.step(tt.tensor([[1.0 + rank], [3.0 + rank]])) as part:
            began = float(model.running_mean.item()) if model.running_mean is not None else 0.0
            (model(part.batch).sum() * part.weight).backward()
    starts = ranks.gather(np.array([began]))
    assert model.running_mean is not None
    return [starts.ravel().tolist(), float(model.running_mean.item())]


def main() -> None:
    """Run a case."""
    case: Callable[[int, Path], Any] = globals()[sys.argv[1]]
    tt.set_default_dtype("float64")
    tt.manual_seed(0)
    ranks = world()
    found = case(0 if ranks is None else ranks.rank, Path(sys.argv[2]))
    if ranks is None or ranks.rank == 0:
        print(json.dumps(found))


if __name__ == "__main__":
    main()

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

pytestmark = pytest.mark.module_08

Batch = tuple[tt.Tensor, tt.Tensor]


def make_batches(count: int = 6, size: int = 4) -> list[Batch]:
    rng = np.random.default_rng(0)
    xs = [tt.tensor(rng.standard_normal((size, 3))) for _ in range(count)]
    return [(x, x.sum(dim=1, keepdim=True)) for x in xs]


def make_model(dropout: float = 0.0) -> nn.Module:
    tt.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 1))
    return layers.to(tt.float64)


def make_trainer(dropout: float = 0.0, lr: float = 0.05, **arguments: Any) -> optim.Trainer:
    model = make_model(dropout)
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.5)
    return optim.Trainer(model, optimizer, nn.MSELoss(), **arguments)


def parameters(trainer: optim.Trainer) -> Any:
    return [p.detach().numpy().tolist() for p in trainer.model.parameters()]


class Steps(optim.Callback):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_fit_start(self, trainer: optim.Trainer) -> None:
        self.told.append(("start", trainer.step))

    def on_step_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
        self.told.append(("step", trainer.step, sorted(record)))

    def on_evaluate(self, trainer: optim.Trainer, metrics: dict[str, float]) -> None:
        self.told.append(("evaluate", trainer.step, sorted(metrics)))

    def on_epoch_end(self, trainer: optim.Trainer, record: dict[str, float]) -> None:
        self.told.append(("epoch", trainer.epoch, sorted(record)))

    def on_fit_end(self, trainer: optim.Trainer) -> None:
        self.told.append(("end", trainer.step))


# Training


def test_it_does_what_the_loop_written_out_does() -> None:
    batches = make_batches()
    trainer = make_trainer()
    history = trainer.fit(batches, epochs=3)
    model = make_model()
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    for _ in range(3):
        losses = []
        for x, y in batches:
            optimizer.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert parameters(trainer) == [p.detach().numpy().tolist() for p in model.parameters()]
    assert history[-1]["loss"] == pytest.approx(np.mean(losses))
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert (trainer.step, trainer.epoch) == (18, 3)


def test_accumulated_batches_are_as_one_large_batch() -> None:
    small = make_batches(6, 4)
    large = [
        (tt.concat([x for x, _ in part]), tt.concat([y for _, y in part]))
        for part in (small[:4], small[4:])
    ]
    first, second = make_trainer(accumulate=4), make_trainer()
    first.fit(small, epochs=2)
    second.fit(large, epochs=2)
    assert first.step == second.step == 4
    for one, other in zip(parameters(first), parameters(second), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_callbacks_are_told_everything_in_order() -> None:
    told = Steps()
    trainer = make_trainer(callbacks=[told], max_norm=1.0, metrics={"error": mean_error})
    trainer.fit(make_batches(2), epochs=2, evaluation=make_batches(1))
    step, metrics = ["grad_norm", "loss", "lr"], ["error", "loss"]
    record = ["epoch", "loss", "lr", "step", "val_error", "val_loss"]
    assert told.told == [
        ("start", 0),
        ("step", 1, step),
        ("step", 2, step),
        ("evaluate", 2, metrics),
        ("epoch", 1, record),
        ("step", 3, step),
        ("step", 4, step),
        ("evaluate", 4, metrics),
        ("epoch", 2, record),
        ("end", 4),
    ]


def mean_error(output: tt.Tensor, target: tt.Tensor) -> tt.Tensor:
    return (output - target).abs().mean()


def test_steps_and_epochs_are_totals() -> None:
    trainer = make_trainer()
    trainer.fit(make_batches(), steps=4)
    assert (trainer.step, trainer.epoch) == (4, 0)
    trainer.fit(make_batches(), steps=8)
    assert (trainer.step, trainer.epoch) == (8, 1)
    trainer.fit(make_batches(), epochs=2, steps=100)
    assert (trainer.step, trainer.epoch) == (12, 2)
    assert trainer.fit(make_batches(), epochs=2) == trainer.history
    assert trainer.step == 12
    whole = make_trainer()
    whole.fit(make_batches(), epochs=2)
    assert parameters(trainer) == parameters(whole)


class Unmeasured:
    """A loader with a length that it does not know, as one of a stream has."""

    def __iter__(self) -> Iterator[Batch]:
        return iter(make_batches(5))

    def __len__(self) -> int:
        raise TypeError("a stream has no length")


@pytest.mark.parametrize(
    ("make", "limits", "planned"),
    [
        (lambda: make_batches(5), {"epochs": 2}, 6),
        (lambda: make_batches(5), {"epochs": 2, "steps": 4}, 4),
        (lambda: make_batches(5), {"epochs": 1, "steps": 4}, 3),
        (lambda: make_batches(5), {"steps": 4}, 4),
        (Unmeasured, {"epochs": 2}, None),
        (Unmeasured, {"epochs": 2, "steps": 4}, 4),
        (lambda: iter(make_batches(5)), {"epochs": 1}, None),
    ],
)
def test_what_is_planned_is_as_much_as_is_known(
    make: Any, limits: dict[str, int], planned: int | None
) -> None:
    trainer = make_trainer(accumulate=2)
    trainer.fit(make(), **limits)  # type: ignore[arg-type]  # epochs and steps alone
    assert trainer.planned == planned
    assert trainer.step == (planned or 3 * limits["epochs"])


def test_the_scheduler_is_stepped_with_updates_or_epochs() -> None:
    for schedule, count in (("step", 6), ("epoch", 2)):
        trainer = make_trainer(schedule=schedule)
        trainer.scheduler = scheduler = optim.ExponentialLR(trainer.optimizer, gamma=0.5)
        trainer.fit(make_batches(3), epochs=2)
        assert scheduler.last_epoch == count


def test_a_plateau_is_given_the_loss_of_each_evaluation() -> None:
    trainer = make_trainer(lr=0.0, evaluate_every=2)
    trainer.scheduler = optim.ReduceLROnPlateau(trainer.optimizer, patience=100)
    trainer.fit(make_batches(4), epochs=3, evaluation=make_batches(1))
    assert trainer.scheduler.last_epoch == 6
    assert trainer.scheduler.num_bad_epochs == 5


def test_early_stopping_stops() -> None:
    stopping = optim.EarlyStopping("loss", patience=2)
    trainer = make_trainer(lr=0.0, callbacks=[stopping])
    trainer.fit(make_batches(2), epochs=50, evaluation=make_batches(1))
    assert trainer.epoch == 4
    assert trainer.fit(make_batches(2), epochs=50) == trainer.history


def test_early_stopping_goes_on_while_there_is_progress() -> None:
    stopping = optim.EarlyStopping("loss", patience=1, min_delta=1e-9)
    trainer = make_trainer(callbacks=[stopping])
    trainer.fit(make_batches(), epochs=8, evaluation=make_batches())
    assert trainer.epoch == 8
    assert stopping.best == trainer.history[-1]["val_loss"]


def test_other_batches_by_overriding_loss() -> None:
    class Autoencoder(optim.Trainer):
        def loss(self, batch: Any) -> tuple[tt.Tensor, Any, Any]:
            output = self.model(batch)
            return self.criterion(output, batch), output, batch

    model = nn.Linear(3, 3).to(tt.float64)
    trainer = Autoencoder(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    history = trainer.fit([x for x, _ in make_batches()], epochs=20)
    assert history[-1]["loss"] < history[0]["loss"] / 2


# Evaluation


def test_evaluation_is_a_mean_over_samples_in_evaluation_mode() -> None:
    trainer = make_trainer(dropout=0.5, metrics={"error": mean_error})
    trainer.model[2].eval()  # type: ignore[index]  # a Sequential
    (x, y), (v, w) = make_batches(1, 6)[0], make_batches(1, 2)[0]
    found = trainer.evaluate([(x, y), (v, w)])
    assert [module.training for module in trainer.model.modules()] == [
        True, True, True, False, True,
    ]  # fmt: skip
    model = trainer.model.eval()
    both, target = tt.concat([x, v]), tt.concat([y, w])
    assert found["loss"] == pytest.approx(((model(both) - target) ** 2).mean().item())
    assert found["error"] == pytest.approx(mean_error(model(both), target).item())


def test_the_average_is_evaluated_in_place_of_the_parameters() -> None:
    trainer = make_trainer()
    trainer.average = optim.ExponentialMovingAverage(trainer.model, decay=0.9)
    batches = make_batches()
    history = trainer.fit(batches, epochs=2, evaluation=batches)
    after = parameters(trainer)
    trainer.average.copy_to()
    trainer.average = None
    assert trainer.evaluate(batches)["loss"] == history[-1]["val_loss"]
    assert after != parameters(trainer)


# Going on


class Shuffled:
    """A loader with a position, of another order in each epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self.generator = tt.Generator(1)
        self.start = self.generator.get_state()
        self.used = 0
        self.resumes = False

    def __iter__(self) -> Iterator[Batch]:
        if not self.resumes:  # a new epoch, also if the last was not gone over to its end
            self.start, self.used = self.generator.get_state(), 0
        self.resumes = False
        order = tt.randperm(len(self.batches), generator=self.generator).tolist()
        while self.used < len(order):
            self.used += 1
            yield self.batches[order[self.used - 1]]
        self.start, self.used = self.generator.get_state(), 0

    def state_dict(self) -> dict[str, Any]:
        return {"start": self.start, "used": self.used}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.generator.set_state(state_dict["start"])
        self.start, self.used = state_dict["start"], state_dict["used"]
        self.resumes = True


@pytest.mark.parametrize("make", [list, Shuffled])
def test_fit_goes_on_in_the_middle_of_an_epoch(make: Any) -> None:
    whole, parts = make_trainer(), make_trainer()
    whole.fit(make(make_batches()), epochs=2)
    loader = make(make_batches())
    for steps in (2, 5, 6, 7, 12):
        parts.fit(loader, steps=steps)
    assert parameters(parts) == parameters(whole)


@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize("stop", [1, 3, 6, 11])
@pytest.mark.parametrize("every", [1, 3, None])
def test_a_run_that_goes_on_is_the_run_that_never_stopped(
    tmp_path: Path, shuffled: bool, stop: int, every: int | None
) -> None:
    def run(folder: str, **limits: Any) -> optim.Trainer:
        trainer = make_trainer(0.3, checkpoints=tmp_path / folder, checkpoint_every=every)
        trainer.average = optim.ExponentialMovingAverage(trainer.model)
        trainer.scheduler = optim.CosineAnnealingLR(trainer.optimizer, T_max=18)
        trainer.callbacks.append(optim.EarlyStopping(patience=9))
        loader = Shuffled(make_batches()) if shuffled else make_batches()
        trainer.fit(loader, evaluation=make_batches(1), resume=True, **limits)
        return trainer

    whole = run("whole", epochs=3)
    run("stopped", steps=stop)
    resumed = run("stopped", epochs=3)
    assert parameters(resumed) == parameters(whole)
    assert resumed.history == whole.history
    for part in ("optimizer", "scheduler", "callbacks", "generators", "trainer"):
        assert str(resumed.state_dict()[part]) == str(whole.state_dict()[part])


def test_generators_of_the_run_go_on_too(tmp_path: Path) -> None:
    generator = tt.Generator(3)
    trainer = make_trainer(checkpoints=tmp_path, generators={"noise": generator})
    trainer.fit(make_batches(), steps=2)
    expected = tt.rand(3, generator=generator).tolist(), tt.rand(3).tolist()
    again = make_trainer(checkpoints=tmp_path, generators={"noise": generator})
    assert again.resume()
    assert (tt.rand(3, generator=generator).tolist(), tt.rand(3).tolist()) == expected


def test_a_folder_of_another_run_is_not_written_over(tmp_path: Path) -> None:
    make_trainer(checkpoints=tmp_path).fit(make_batches(), steps=2)
    with pytest.raises(optim.CheckpointError, match="has checkpoints of another run"):
        make_trainer(checkpoints=tmp_path).fit(make_batches(), steps=2)


def test_resuming_needs_a_folder_and_finds_none_at_first(tmp_path: Path) -> None:
    assert not make_trainer(checkpoints=tmp_path / "none").resume()
    with pytest.raises(optim.CheckpointError, match="give checkpoints="):
        make_trainer().resume()
    with pytest.raises(optim.CheckpointError, match="give checkpoints="):
        make_trainer().save()


def other_model() -> optim.Trainer:
    model = nn.Linear(3, 2)
    return optim.Trainer(model, optim.SGD(model.parameters(), momentum=0.5), nn.MSELoss())


def other_optimizer() -> optim.Trainer:
    model = make_model()
    return optim.Trainer(model, optim.Adam(model.parameters()), nn.MSELoss())


def with_scheduler() -> optim.Trainer:
    trainer = make_trainer()
    trainer.scheduler = optim.ExponentialLR(trainer.optimizer, 0.5)
    return trainer


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (other_model, "shapes differ|missing|unexpected"),
        (other_optimizer, "Adam.load_state_dict"),
        (with_scheduler, "expected model, optimizer, scheduler, callbacks"),
        (lambda: make_trainer(callbacks=[Steps()]), "callbacks: expected 1, got 0"),
        (lambda: make_trainer(generators={"a": tt.Generator()}), r"generators: expected \['a'\]"),
    ],
)
def test_a_checkpoint_of_another_run_changes_nothing(tmp_path: Path, make: Any, says: str) -> None:
    make_trainer(checkpoints=tmp_path).fit(make_batches(), steps=2)
    trainer = make()
    trainer.checkpoints = optim.Checkpoints(tmp_path)
    before, state = parameters(trainer), str(trainer.state_dict())
    with pytest.raises(optim.CheckpointError, match=says):
        trainer.resume()
    assert (parameters(trainer), str(trainer.state_dict())) == (before, state)


def test_a_position_needs_a_loader_that_takes_it(tmp_path: Path) -> None:
    make_trainer(checkpoints=tmp_path).fit(Shuffled(make_batches()), steps=2)
    with pytest.raises(optim.CheckpointError, match="the one given has no load_state_dict"):
        make_trainer(checkpoints=tmp_path).fit(make_batches(), steps=3, resume=True)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"schedule": "day"}, ValueError, "schedule: expected 'step' or 'epoch', got 'day'"),
        ({"accumulate": 0}, ValueError, "accumulate: expected at least 1, got 0"),
        ({"accumulate": 1.5}, TypeError, "accumulate: expected an int, got 1.5"),
        ({"max_norm": -1}, ValueError, "max_norm: expected a number above 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every: expected at least 1"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every: expected at least 1"),
    ],
)
def test_arguments_that_do_not_fit(arguments: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        make_trainer(**arguments)


@pytest.mark.parametrize(
    ("loader", "limits", "error", "says"),
    [
        ([(tt.ones(1, 3), tt.ones(1, 1))], {}, ValueError, "fit: expected epochs or steps"),
        ([(tt.ones(1, 3), tt.ones(1, 1))], {"epochs": -1}, ValueError, "epochs: expected at least"),
        ([], {"epochs": 1}, ValueError, "fit: the loader gave no batch"),
        ([tt.ones(1, 3)], {"epochs": 1}, TypeError, "expected a batch to be a pair"),
    ],
)
def test_loaders_and_limits_that_do_not_fit(
    loader: Any, limits: Any, error: Any, says: str
) -> None:
    with pytest.raises(error, match=says):
        make_trainer().fit(loader, **limits)


def test_an_evaluation_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="evaluate: the loader gave no batch"):
        make_trainer().evaluate([])

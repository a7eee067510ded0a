"""A training loop that can be stopped at any moment and goes on as if nothing had happened."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Any

import tt_tensor
from tt_autograd import Tensor
from tt_nn import Module
from tt_nn.seam import launched

from ._average import ExponentialMovingAverage
from ._callbacks import Callback, Record
from ._checkpoint import CheckpointError, Checkpoints, State
from ._checks import check_count, check_number, has_keys
from ._clip import clip_grad_norm_
from ._evaluation import Batch, Metric, count_samples, evaluate
from ._optimizer import Optimizer
from ._part_loss import Criterion, Total, term
from ._plateau import ReduceLROnPlateau
from ._position import Resumable, generator_states, position_of, rest_of_epoch, set_generators
from ._progress import Progress, wants_progress
from ._schedulers import LRScheduler

if TYPE_CHECKING:
    from .distributed import DistributedDataParallel


class Trainer:
    """Trains a model: epochs, accumulation, evaluation, callbacks, checkpoints.

    A batch is a pair of inputs and targets; where it is something else, override ``loss``.
    With ``checkpoints`` a run that was killed at any moment goes on, with ``fit(resume=True)``,
    to bit for bit the same parameters: a checkpoint holds the model, the optimizer, the
    scheduler, the average, the callbacks, the state of random generators and the position of
    the loader. A loader without ``state_dict`` must give the same batches in every pass: those
    already used are skipped.

    Args:
        model: The model.
        optimizer: The optimizer of its parameters.
        criterion: A function of output and target that gives the mean loss of a batch.
        scheduler: Stepped after each update, or epoch; `ReduceLROnPlateau` after each
            evaluation, with its loss.
        schedule: ``"step"`` or ``"epoch"``.
        accumulate: How many batches an update is made from.
        max_norm: The bound of the gradients' norm; None for none.
        average: A running average, updated with the parameters and evaluated in their place.
        metrics: Functions of output and target by name, evaluated beside the loss. Each is a mean
            over samples, as an accuracy is, and no root of one: of batches, and of the parts that
            processes have, the mean is taken.
        callbacks: What else to call.
        generators: Random generators by name whose state belongs to the run, beside the
            default one.
        checkpoints: A folder, or `Checkpoints`.
        checkpoint_every: Updates between checkpoints; None for one at the end of each epoch.
        evaluate_every: Updates between evaluations; None for one at the end of each epoch.
        progress: Whether to show the progress; None for only where standard error is a terminal.
        parallel: How several processes train the model together. Under ``mpiexec`` it is
            `tt_optim.distributed.DistributedDataParallel` of the model unless given: each process
            takes its part of every batch, and rank 0 writes.

    Attributes:
        step: Updates made.
        epoch: Epochs completed.
        history: A record for each epoch.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: A number is out of range.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> import tt_optim as optim
        >>> _ = tt.manual_seed(0)
        >>> x = tt.randn(64, 2)
        >>> data = [(x, x.sum(dim=1, keepdim=True))]
        >>> model = nn.Linear(2, 1)
        >>> trainer = optim.Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
        >>> history = trainer.fit(data, epochs=100)
        >>> history[-1]["loss"] < 1e-4
        True
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        criterion: Callable[[Any, Any], Tensor],
        *,
        scheduler: LRScheduler | ReduceLROnPlateau | None = None,
        schedule: str = "step",
        accumulate: int = 1,
        max_norm: float | None = None,
        average: ExponentialMovingAverage | None = None,
        metrics: Mapping[str, Metric] | None = None,
        callbacks: Sequence[Callback] = (),
        generators: Mapping[str, tt_tensor.Generator] | None = None,
        checkpoints: Checkpoints | str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        evaluate_every: int | None = None,
        progress: bool | None = None,
        parallel: DistributedDataParallel | None = None,
    ) -> None:
        if schedule not in ("step", "epoch"):
            raise ValueError(f"Trainer: schedule: expected 'step' or 'epoch', got {schedule!r}")
        check_count("Trainer", "accumulate", accumulate)
        if max_norm is not None:
            check_number("Trainer", "max_norm", max_norm, positive=True)
        for name, every in (("checkpoint", checkpoint_every), ("evaluate", evaluate_every)):
            if every is not None:
                check_count("Trainer", f"{name}_every", every)
        if checkpoints is not None and not isinstance(checkpoints, Checkpoints):
            checkpoints = Checkpoints(checkpoints)
        self.model = model
        self.optimizer = optimizer
        self.criterion = criterion
        self.scheduler = scheduler
        self.schedule = schedule
        self.accumulate = accumulate
        self.max_norm = max_norm
        self.average = average
        self.metrics = dict(metrics or {})
        self.generators = dict(generators or {})
        self.checkpoints = checkpoints
        self.checkpoint_every = checkpoint_every
        self.evaluate_every = evaluate_every
        self.callbacks = list(callbacks)
        self._shown = [Progress()] if (wants_progress() if progress is None else progress) else []
        if parallel is None and launched() is not None:
            from .distributed import DistributedDataParallel

            parallel = DistributedDataParallel(model)
        if parallel is not None:
            _check_shared(optimizer, parallel.module)
        self.parallel = parallel
        self.step = 0
        self.epoch = 0
        self.history: list[Record] = []
        self.planned: int | None = None
        self._batches = 0  # of this epoch, used so far
        self._loss = (0.0, 0)  # of this epoch: the sum over samples, and how many
        self._metrics: Record = {}  # of the latest evaluation
        self._evaluated = -1  # the step it was made at
        self._saved = -1  # the step of the latest checkpoint
        self._stopped = False
        self._position: Any = None  # of the loader in this epoch, if it has yet to be told

    # What a subclass may define otherwise

    def loss(self, batch: Batch) -> tuple[Tensor, Any, Any]:
        """Return the mean loss of a batch, the model's output, and the target."""
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise TypeError(
                "Trainer: expected a batch to be a pair of inputs and targets, got "
                f"{type(batch).__name__}; for other batches override Trainer.loss"
            )
        inputs, target = batch
        output = self.model(inputs)
        return self.criterion(output, target), output, target

    # Training

    def fit(
        self,
        loader: Iterable[Batch],
        *,
        epochs: int | None = None,
        steps: int | None = None,
        evaluation: Iterable[Batch] | None = None,
        resume: bool = False,
    ) -> list[Record]:
        """Train until so many epochs or updates have been made in all.

        Args:
            loader: Gives the batches of an epoch each time it is gone over.
            epochs: Epochs, those already made included.
            steps: Updates, those already made included; the first limit that is met counts.
            evaluation: Batches to evaluate on.
            resume: Go on from the latest checkpoint, if there is one.

        Returns:
            The history: a record for each epoch.

        Raises:
            ValueError: Neither epochs nor steps are given, or the loader gives no batch.
            CheckpointError: A checkpoint cannot be written, none of those that there are can be
                read or they are another model's; or there are some and ``resume`` is false.
        """
        if epochs is None and steps is None:
            raise ValueError("fit: expected epochs or steps")
        for name, count in (("epochs", epochs), ("steps", steps)):
            if count is not None:
                check_count("fit", name, count, low=0)
        if resume:
            self.resume(loader)
        elif self.checkpoints is not None and self.step == 0 and self.checkpoints.steps():
            raise CheckpointError(
                f"fit: {self.checkpoints.folder} has checkpoints of another run; give resume=True "
                "to go on with it, or another folder"
            )
        self.planned = self._plan(loader, epochs, steps)
        callbacks = [*self.callbacks, *self._shown]
        if self.parallel is not None:
            from .distributed import agree_to_train, split

            world = self.parallel.world
            agree_to_train(
                world, self.optimizer, loader, evaluation,
                epochs=epochs, steps=steps, begun_at_step=self.step, accumulate=self.accumulate,
                max_norm=self.max_norm, evaluate_every=self.evaluate_every, metrics=[*self.metrics],
            )  # fmt: skip
            loader = split(loader, world)
            evaluation = None if evaluation is None else split(evaluation, world)
            callbacks = [each for each in callbacks if not (world.rank and each.writes)]
        try:
            for callback in callbacks:
                callback.on_fit_start(self)
            while not self._done(epochs, steps):
                self._run_epoch(loader, evaluation, epochs, steps, callbacks)
            if self.checkpoints is not None and self.step and self._saved != self.step:
                self.save(loader)
            if self.parallel is not None:
                self.parallel.world.barrier()  # what rank 0 wrote is there for all
        finally:
            for callback in callbacks:
                callback.on_fit_end(self)
        return self.history

    def _plan(self, loader: Any, epochs: int | None, steps: int | None) -> int | None:
        planned = steps
        if epochs is not None and hasattr(loader, "__len__"):
            whole = epochs * -(-len(loader) // self.accumulate)
            planned = whole if planned is None else min(planned, whole)
        return planned

    def _done(self, epochs: int | None, steps: int | None) -> bool:
        return (
            self._stopped
            or (epochs is not None and self.epoch >= epochs)
            or (steps is not None and self.step >= steps)
        )

    def stop(self) -> None:
        """Stop training after the current update; a callback may call it, of one process too."""
        self._stopped = True

    def _share_stop(self) -> None:
        """Stop if any process does; there is nothing but callbacks to make one of them."""
        if self.parallel is not None and self.callbacks:
            (stopped,) = self.parallel.total(self._stopped)
            self._stopped = stopped > 0

    def _run_epoch(
        self,
        loader: Iterable[Batch],
        evaluation: Iterable[Batch] | None,
        epochs: int | None,
        steps: int | None,
        callbacks: Sequence[Callback],
    ) -> None:
        """Go over the loader once, or over what is left of it."""
        batches = rest_of_epoch(loader, self._position, self._batches, self.generators)
        self._position = None
        self.model.train()
        group = list(islice(batches, self.accumulate))
        if not group and not self._batches:
            raise ValueError("fit: the loader gave no batch")
        while group:
            record = self._update(group)
            self._batches += len(group)
            for callback in callbacks:
                callback.on_step_end(self, record)
            if self.evaluate_every is not None and self.step % self.evaluate_every == 0:
                self._run_evaluation(evaluation, callbacks)
            self._share_stop()
            due = self.checkpoint_every is not None and self.step % self.checkpoint_every == 0
            # Taken before the loader moves on; written only if the epoch does, for a position
            # at its very end would be read as the start of the next.
            state = self.state_dict(loader) if due and self.checkpoints is not None else None
            if self._done(None, steps):
                self._position = position_of(loader)
                if state is not None:
                    self._write(state)
                return
            group = list(islice(batches, self.accumulate))
            if group and state is not None:
                self._write(state)
        self._end(evaluation, callbacks)
        if self.checkpoints is not None:
            due = self.checkpoint_every is None or self.step % self.checkpoint_every == 0
            if due and self._saved != self.step:
                self.save(loader)

    def _update(self, group: Sequence[Batch]) -> Record:
        """Make one update from the batches of a group."""
        self.optimizer.zero_grad()
        total, count = self._loss
        mean = 0.0
        for k, batch in enumerate(group, start=1):
            value, samples = self._backward(batch, len(group), last=k == len(group))
            mean += value / len(group)
            total, count = total + value * samples, count + samples
        record = {"loss": mean, "lr": float(self.optimizer.param_groups[0]["lr"])}
        if self.max_norm is not None:
            parameters = [p for g in self.optimizer.param_groups for p in g["params"]]
            record["grad_norm"] = float(clip_grad_norm_(parameters, self.max_norm))
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        if isinstance(self.scheduler, LRScheduler) and self.schedule == "step":
            self.scheduler.step()
        self._loss = total, count
        self.step += 1
        return record

    def _backward(self, batch: Batch, batches: int, last: bool) -> tuple[float, int]:
        """Add the gradients of one of an update's batches.

        Returns:
            The mean loss of the batch, and how many samples it has: those of all processes.
        """
        if self.parallel is None:
            loss, _, target = self.loss(batch)
            (loss / batches if batches > 1 else loss).backward()
            return float(loss), count_samples(batch, target)
        with nullcontext() if last else self.parallel.no_sync(), self.parallel.step(batch) as part:
            loss, output, target = self.loss(part.batch)
            own_loss = term(part, loss, output, target, self._criterion, self.parallel.total)
            (own_loss / batches).backward()
        own = (0.0, 0)  # where a row stands in for none, whatever its loss is
        if part.rows.size:
            own = float(own_loss), count_samples(batch, target)
        value, whole = self.parallel.total(*own)
        return value, round(whole)

    @property
    def _criterion(self) -> Criterion | None:
        """The criterion, where the loss is its alone."""
        return self.criterion if type(self).loss is Trainer.loss else None

    def _end(self, evaluation: Iterable[Batch] | None, callbacks: Sequence[Callback]) -> None:
        """Close the epoch: its record, its evaluation, its scheduler."""
        self.epoch += 1
        self._batches = 0
        total, count = self._loss
        self._loss = (0.0, 0)
        record = {"epoch": float(self.epoch), "step": float(self.step), "loss": total / count}
        record["lr"] = float(self.optimizer.param_groups[0]["lr"])
        if self._evaluated != self.step:
            self._run_evaluation(evaluation, callbacks)
        if evaluation is not None:
            record.update({f"val_{name}": value for name, value in self._metrics.items()})
        if isinstance(self.scheduler, LRScheduler) and self.schedule == "epoch":
            self.scheduler.step()
        self.history.append(record)
        for callback in callbacks:
            callback.on_epoch_end(self, record)
        self._share_stop()

    # Evaluation

    def _run_evaluation(
        self, evaluation: Iterable[Batch] | None, callbacks: Sequence[Callback]
    ) -> None:
        if evaluation is None:
            return
        total = None if self.parallel is None else self.parallel.total
        self._metrics, self._evaluated = self._means(evaluation, total), self.step
        if self.parallel is not None:  # a model may have drawn for its part alone
            generator = tt_tensor.default_generator()
            states = self.parallel.world.gather_text(json.dumps(generator.get_state()))
            generator.set_state(json.loads(states[0]))
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(self._metrics["loss"])
        for callback in callbacks:
            callback.on_evaluate(self, self._metrics)

    def evaluate(self, loader: Iterable[Batch]) -> Record:
        """Return the mean loss and metrics over batches, in evaluation mode.

        Each process that calls this goes over all batches, whatever the others do.

        Args:
            loader: Gives the batches.

        Returns:
            ``loss`` and the metrics by name, each the mean over samples.

        Raises:
            ValueError: There was no batch.
        """
        return self._means(loader, None)

    def _means(self, loader: Iterable[Batch], total: Total | None) -> Record:
        with nullcontext() if self.average is None else self.average.applied():
            return evaluate(self.model, self.loss, self.metrics, loader, self._criterion, total)

    # Checkpoints

    def save(self, loader: Iterable[Batch] | None = None) -> None:
        """Write a checkpoint now.

        Raises:
            CheckpointError: It cannot be written; the earlier ones are as they were.
        """
        self._write(self.state_dict(loader))

    def _write(self, state: State) -> None:
        if self.checkpoints is None:
            raise CheckpointError("Trainer: there is no folder for checkpoints; give checkpoints=")
        if self.parallel is None or self.parallel.world.rank == 0:
            self.checkpoints.save(self.step, state)
        self._saved = self.step

    def resume(self, loader: Iterable[Batch] | None = None) -> bool:
        """Go on from the latest checkpoint that is whole.

        Args:
            loader: The loader that training goes on with.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: There are some and none can be read, or what they hold does not fit;
                nothing has been changed then.
        """
        if self.checkpoints is None:
            raise CheckpointError("Trainer: there is no folder for checkpoints; give checkpoints=")
        if not self.checkpoints.steps():
            return False
        state = self.checkpoints.load()
        try:
            self.load_state_dict(state, loader)
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"Trainer: the checkpoint in {self.checkpoints.folder} does not fit: {error}"
            ) from error
        self._saved = self.step
        return True

    def _parts(self) -> dict[str, Any]:
        """Return what has a state of its own, by name."""
        parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "average": self.average,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def state_dict(self, loader: Iterable[Batch] | None = None) -> State:
        """Return everything that training goes on from; tensors share memory.

        Args:
            loader: The loader whose position to include.
        """
        return {
            **{name: part.state_dict() for name, part in self._parts().items()},
            "callbacks": [callback.state_dict() for callback in self.callbacks],
            "generators": generator_states(self.generators),
            "loader": position_of(loader),
            "trainer": {
                "step": self.step,
                "epoch": self.epoch,
                "batches": self._batches,
                "loss": self._loss,
                "metrics": dict(self._metrics),
                "evaluated": self._evaluated,
                "stopped": self._stopped,
                "history": [dict(record) for record in self.history],
            },
        }

    def load_state_dict(
        self, state_dict: Mapping[str, Any], loader: Iterable[Batch] | None = None
    ) -> None:
        """Go on from what `state_dict` returned, all of it or nothing.

        Args:
            state_dict: The state.
            loader: The loader that training goes on with, which takes its position from it.

        Raises:
            ValueError: It does not fit.
        """
        own = self.state_dict()
        if not has_keys(state_dict, own):
            got = ", ".join(map(str, state_dict))
            raise ValueError(f"Trainer.load_state_dict: expected {', '.join(own)}; got {got}")
        if state_dict["loader"] is not None and not isinstance(loader, Resumable):
            raise ValueError(
                "Trainer.load_state_dict: the state has the position of a loader, and the one "
                "given has no load_state_dict"
            )
        before = copy.deepcopy(own)
        try:
            self._load(state_dict)
        except BaseException:
            self._load(before)
            raise
        self._position = state_dict["loader"]

    def _load(self, state: Mapping[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        if len(state["callbacks"]) != len(self.callbacks):
            raise ValueError(
                f"callbacks: expected {len(self.callbacks)}, got {len(state['callbacks'])}"
            )
        for callback, held in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(held)
        if state["generators"].keys() != {"", *self.generators}:
            raise ValueError(
                f"generators: expected {sorted(self.generators)}, got "
                f"{sorted(state['generators'].keys() - {''})}"
            )
        set_generators(self.generators, state["generators"])
        own = state["trainer"]
        self.step, self.epoch, self._batches = own["step"], own["epoch"], own["batches"]
        self._loss, self._metrics = tuple(own["loss"]), dict(own["metrics"])
        self._evaluated, self._stopped = own["evaluated"], own["stopped"]
        self.history = [dict(record) for record in own["history"]]


def _check_shared(optimizer: Optimizer, module: Module) -> None:
    """Refuse parameters whose gradients the processes would not share.

    Raises:
        ValueError: The optimizer has some that are not the module's.
    """
    shared = {id(parameter) for parameter in module.parameters()}
    listed = [p for group in optimizer.param_groups for p in group["params"]]
    shapes = [str(p.shape) for p in listed if id(p) not in shared]
    if shapes:
        raise ValueError(
            f"Trainer: the optimizer has parameters that are not the model's, of shapes "
            f"{', '.join(shapes[:3])}; the processes share the gradients of what is in "
            "parallel=DistributedDataParallel(nn.ModuleList([model, criterion]))"
        )

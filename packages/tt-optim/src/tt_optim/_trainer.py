"""A training loop that can be stopped at any moment and goes on as if nothing had happened."""

from __future__ import annotations

import copy
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
from ._part_loss import Total, term
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
        callbacks: What else to call. Of several processes each calls its own; rank 0 may have more.
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
            from .distributed._training import check_shared

            check_shared(optimizer, parallel.module)
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
        self._saving = checkpoints is not None  # here, or where another process writes them
        self._stopping = False  # whether this process was asked to stop
        self._stopped = False  # whether all that train the model know of it, and do
        self._position: Any = None  # of the loader in this epoch, if it has yet to be told

    # What a subclass may define otherwise

    def loss(self, batch: Batch) -> tuple[Tensor, Any, Any]:
        """Return the mean loss of a batch, the model's output, and the target.

        Of several processes each does this for its part of a batch. The loss is then a mean over
        rows, or with a criterion that is a `CrossEntropyLoss` or `NLLLoss` one over the targets
        that it counts.
        """
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
            DisagreementError: Several processes train the model, and are not about to do the same
                or have come to differ.
            RankLostError: Several do, and one has ended, or left ``fit`` with an error.
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
        if self.parallel is None:
            self._saving = self.checkpoints is not None
            self._train(loader, evaluation, epochs, steps, callbacks)
            return self.history
        from .distributed import split
        from .distributed._training import begin_alike, told_to_resume

        limits = {"epochs": epochs, "steps": steps}
        world = self.parallel.world
        callbacks = [each for each in callbacks if not (world.rank and each.writes)]
        with told_to_resume(self, self.parallel):
            self._saving = begin_alike(self, self.parallel, loader, evaluation, **limits)
            loader = split(loader, world)
            evaluation = None if evaluation is None else split(evaluation, world)
            self._train(loader, evaluation, epochs, steps, callbacks)
            self.parallel.meet("the end of fit")  # what rank 0 wrote is there for all
        return self.history

    def _train(
        self,
        loader: Iterable[Batch],
        evaluation: Iterable[Batch] | None,
        epochs: int | None,
        steps: int | None,
        callbacks: Sequence[Callback],
    ) -> None:
        try:
            for callback in callbacks:
                callback.on_fit_start(self)
            self._share_stop("the first epoch")
            while not self._done(epochs, steps):
                self._run_epoch(loader, evaluation, epochs, steps, callbacks)
            if self._saving and self.step and self._saved != self.step:
                self._checkpoint(self.state_dict(loader))
        finally:
            for callback in callbacks:
                callback.on_fit_end(self)

    def _plan(self, loader: Any, epochs: int | None, steps: int | None) -> int | None:
        """Return how many updates there will be in all, as far as is known."""
        if epochs is None:
            return steps
        try:
            batches = len(loader)
        except TypeError:  # a stream's, for one
            return steps
        whole = epochs * -(-batches // self.accumulate)
        return whole if steps is None else min(steps, whole)

    def _done(self, epochs: int | None, steps: int | None) -> bool:
        return (
            self._stopped
            or (epochs is not None and self.epoch >= epochs)
            or (steps is not None and self.step >= steps)
        )

    def stop(self) -> None:
        """Stop training after the current update; of several processes, one may call it for all."""
        self._stopping = True

    def _share_stop(self, place: str) -> None:
        """Stop if this process was asked to, or another that trains the model with it."""
        self._stopped = self._stopping
        if self.parallel is not None:
            self._stopped = any(self.parallel.meet(place, self._stopping))
        if self._stopped:  # else it may have been asked to meanwhile, by a signal
            self._stopping = True

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
            self._share_stop(f"the end of update {self.step}")
            due = self.checkpoint_every is not None and self.step % self.checkpoint_every == 0
            # Taken before the loader moves on; written only if the epoch does, for a position
            # at its very end would be read as the start of the next.
            state = self.state_dict(loader) if due and self._saving else None
            if self._done(None, steps):
                self._position = position_of(loader)
                if state is not None:
                    self._checkpoint(state)
                return
            group = list(islice(batches, self.accumulate))
            if group and state is not None:
                self._checkpoint(state)
        self._end(evaluation, callbacks)
        if self._saving:
            due = self.checkpoint_every is None or self.step % self.checkpoint_every == 0
            if due and self._saved != self.step:
                self._checkpoint(self.state_dict(loader))

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
            own_loss = term(part, loss, output, target, self.criterion, self.parallel.total)
            (own_loss / batches).backward()
        own = (0.0, 0)  # where a row stands in for none, whatever its loss is
        if part.rows.size:
            own = float(own_loss), count_samples(batch, target)
        value, whole = self.parallel.total(*own)
        return value, round(whole)

    def _end(self, evaluation: Iterable[Batch] | None, callbacks: Sequence[Callback]) -> None:
        """Close the epoch: its record, its evaluation, its scheduler."""
        self.epoch += 1
        if self.parallel is not None:  # the last batch came to all at once
            self.parallel.meet(f"the end of epoch {self.epoch}")
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
        self._share_stop(f"the start of epoch {self.epoch + 1}")

    # Evaluation

    def _run_evaluation(
        self, evaluation: Iterable[Batch] | None, callbacks: Sequence[Callback]
    ) -> None:
        if evaluation is None:
            return
        if self.parallel is None:
            self._metrics = self._means(evaluation, None)
        else:
            from .distributed._training import evaluation_total

            with evaluation_total(self.parallel) as total:
                self._metrics = self._means(evaluation, total)
        self._evaluated = self.step
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
            return evaluate(self.model, self.loss, self.metrics, loader, self.criterion, total)

    # Checkpoints

    def save(self, loader: Iterable[Batch] | None = None) -> None:
        """Write a checkpoint now.

        Of several processes rank 0 writes it, and waits for no other: `resume` does.

        Raises:
            CheckpointError: It cannot be written; the earlier ones are as they were.
        """
        if self.checkpoints is None:
            raise CheckpointError("Trainer: there is no folder for checkpoints; give checkpoints=")
        self._write(self.checkpoints, self.state_dict(loader))
        if self.parallel is None:  # other processes may not save, and fit is to do the same in all
            self._saved = self.step

    def _checkpoint(self, state: State) -> None:
        """Write a checkpoint on the way, of what all processes have."""
        if self.parallel is not None:
            from .distributed._training import still_alike

            still_alike(self, self.parallel)
        if self.checkpoints is not None:
            self._write(self.checkpoints, state)
        self._saved = self.step

    def _write(self, checkpoints: Checkpoints, state: State) -> None:
        if self.parallel is None or self.parallel.world.rank == 0:
            checkpoints.save(self.step, state)

    def resume(self, loader: Iterable[Batch] | None = None) -> bool:
        """Go on from the latest checkpoint that is whole.

        Several processes call this together, and find what rank 0 has written by then.

        Args:
            loader: The loader that training goes on with.

        Returns:
            Whether there was one.

        Raises:
            CheckpointError: There are some and none can be read, or what they hold does not fit;
                nothing has been changed then.
            DisagreementError: Processes have found different ones.
        """
        if self.checkpoints is None:
            raise CheckpointError("Trainer: there is no folder for checkpoints; give checkpoints=")
        if self.parallel is None:
            return self._resume(self.checkpoints, loader)
        from .distributed._training import agree_on_checkpoint

        self.parallel.meet("resume")  # rank 0 has written what it writes
        found = self._resume(self.checkpoints, loader)
        agree_on_checkpoint(self.parallel, self.step if found else None, self.checkpoints.folder)
        return found

    def _resume(self, checkpoints: Checkpoints, loader: Iterable[Batch] | None) -> bool:
        if not checkpoints.steps():
            return False
        state = checkpoints.load()
        try:
            self.load_state_dict(state, loader)
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(
                f"Trainer: the checkpoint in {checkpoints.folder} does not fit: {error}"
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
                "stopped": self._stopping,
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
        own, held = self.callbacks, state["callbacks"]
        if len(own) == len(held):
            for callback, each in zip(own, held, strict=True):
                callback.load_state_dict(each)
        elif self.parallel is None or self.parallel.world.rank == 0:  # which may have more
            raise ValueError(f"callbacks: expected {len(own)}, got {len(held)}")
        if state["generators"].keys() != {"", *self.generators}:
            raise ValueError(
                f"generators: expected {sorted(self.generators)}, got "
                f"{sorted(state['generators'].keys() - {''})}"
            )
        set_generators(self.generators, state["generators"])
        run = state["trainer"]
        self.step, self.epoch, self._batches = run["step"], run["epoch"], run["batches"]
        self._loss, self._metrics = tuple(run["loss"]), dict(run["metrics"])
        self._evaluated = run["evaluated"]
        self._stopping = self._stopped = run["stopped"]
        self.history = [dict(record) for record in run["history"]]

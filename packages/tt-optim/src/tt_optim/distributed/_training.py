"""What the processes of a `Trainer` make sure of together, before and while they train."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tt_nn import Module
from tt_optim._optimizer import Optimizer
from tt_optim._part_loss import Total
from tt_tensor import default_generator

from ._agreement import (
    Claim,
    agree,
    agree_on_state,
    describe,
    describe_loader,
    describe_optimizer,
)
from ._peers import RankLostError

if TYPE_CHECKING:
    from tt_optim._trainer import Trainer

    from ._parallel import DistributedDataParallel

# Attributes of a trainer that are to be the same on every rank.
_SETTINGS = (
    "criterion",
    "accumulate",
    "max_norm",
    "schedule",
    "scheduler",
    "average",
    "checkpoint_every",
    "evaluate_every",
)


def check_shared(optimizer: Optimizer, module: Module) -> None:
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


def begin_alike(
    trainer: Trainer,
    parallel: DistributedDataParallel,
    loader: Iterable[Any],
    evaluation: Iterable[Any] | None,
    **limits: int | None,
) -> bool:
    """Make sure that all ranks are about to train alike, from the weights that rank 0 has.

    Args:
        trainer: What trains.
        parallel: What its gradients go through.
        loader: What gives the data, of which a description is compared.
        evaluation: What gives the data to evaluate on, the same; None for none.
        limits: How long it trains.

    Returns:
        Whether rank 0 writes checkpoints.

    Raises:
        DisagreementError: They are not.
        RuntimeError: The model has other parameters than when the trainer was made.
        ValueError: The optimizer has some that are not the model's.
    """
    world, place = parallel.world, "the start of fit"
    settings = {
        **limits,
        "begun_at_step": trainer.step,
        **{name: getattr(trainer, name) for name in _SETTINGS},
        "metrics": [*trainer.metrics],
    }
    lines = [*chain.from_iterable(starmap(describe, settings.items()))]
    told = agree(
        world,
        place,
        Claim("training", "\n".join([*lines, describe_optimizer(trainer.optimizer)])),
        Claim("data", describe_loader(loader)),
        Claim("data to evaluate on", describe_loader(evaluation)),
        told=trainer.checkpoints is not None,
    )
    parallel.broadcast_model()
    check_shared(trainer.optimizer, parallel.module)
    if trainer.average is not None:
        parallel.broadcast(trainer.average.state_dict()["averages"])
    agree_on_state(world, place, optimizer=trainer.optimizer.state_dict()["state"])
    return bool(told[0])


def still_alike(trainer: Trainer, parallel: DistributedDataParallel) -> None:
    """Make sure that all ranks still have the same, before rank 0 writes it for all.

    Buffers are left out, which may be each rank's own.

    Raises:
        DisagreementError: They have not.
    """
    state = trainer.optimizer.state_dict()
    agree_on_state(
        parallel.world,
        f"the checkpoint of step {trainer.step}",
        scheduler=trainer.scheduler,
        groups=state["param_groups"],
        model=dict(parallel.module.named_parameters()),
        optimizer=state["state"],
    )


@contextmanager
def evaluation_total(parallel: DistributedDataParallel) -> Iterator[Total]:
    """Evaluate together: what adds up numbers of every rank.

    A model may draw random numbers for the rows that a rank has: afterwards all go on from those
    of rank 0.
    """
    yield parallel.total
    generator = default_generator()
    states = parallel.world.gather_text(json.dumps(generator.get_state()))
    generator.set_state(json.loads(states[0]))


def agree_on_checkpoint(parallel: DistributedDataParallel, step: int | None, folder: Path) -> None:
    """Make sure that all ranks go on from the same checkpoint.

    Args:
        parallel: Which ranks.
        step: The step that this rank has found one of; None for none.
        folder: Where.

    Raises:
        DisagreementError: They do not.
    """
    found = "none" if step is None else f"that of step {step}"
    cure = f"Every rank reads what rank 0 writes: give all the same folder. Here it is {folder}."
    agree(parallel.world, "the end of resume", Claim("checkpoint", found, cure))


@contextmanager
def told_to_resume(trainer: Trainer, parallel: DistributedDataParallel) -> Iterator[None]:
    """Train together: an error of one rank ends all, with a word on what there is to go on from."""
    try:
        with parallel.world.together():
            yield
    except RankLostError as error:
        if trainer.checkpoints is not None and (steps := trainer.checkpoints.steps()):
            error.add_note(
                f"The last checkpoint, of step {steps[-1]}, is whole: fit with resume=True goes "
                "on from there"
            )
        raise

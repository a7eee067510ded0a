"""One model trained by several processes, each of which computes a part of every batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tt_autograd import RemovableHandle, Tensor, no_grad
from tt_autograd.seam import prompt
from tt_nn import Module
from tt_nn.seam import sum_over_batch
from tt_optim._batches import count_rows, stand_in, take_rows
from tt_optim._position import Resumable
from tt_tensor.seam import Rows, rows, share

from ._agreement import Claim, agree, describe_batch, describe_model, describe_seed
from ._buckets import Buckets
from ._membership import world as started
from ._world import World

Array = NDArray[Any]

_OWN_NUMBERS = (
    "Something drew from the default generator on one rank alone, or for that rank's rows alone. "
    "Give it a Generator of its own; numbers for rows are drawn by tt_tensor.seam.for_rows."
)


_WHOLE = (
    "Give every rank the whole of each batch, in the same order: seed what shuffles. Each rank "
    "takes its rows of it."
)


@dataclass(frozen=True, slots=True)
class Part:
    """What one rank computes of a batch.

    Attributes:
        batch: Its rows of the batch, in the batch's structure. Where it has none, one row of zeros
            that counts for nothing.
        weight: The share of the batch that they are: what a mean over them is multiplied with, so
            that the sum over all ranks is the mean over the batch.
        rows: Which rows they are.
    """

    batch: Any
    weight: float
    rows: Rows


class DistributedDataParallel:
    r"""Trains a model in several processes as one process would with all of the batch.

    Every rank has the whole model and computes the gradient of its rows of a batch. The sum over
    ranks

    .. math:: \nabla L = \sum_r \frac{n_r}{N} \nabla L_r

    is the gradient of the mean loss over all :math:`N` rows, however many :math:`n_r` each has.
    It is added up in flat buckets, by `mpi4py` on their memory as it is, each of which sets out as
    soon as backward has filled it. Parameters, buffers and random numbers are the same on every
    rank from then on: dropout draws what one process would draw for those rows, and the statistics
    of `BatchNorm2d` are those of the whole batch.

    `Trainer` does all of this by itself under ``mpiexec``.

    The loss is to be a mean over rows. One that divides by something else, as `CrossEntropyLoss`
    does with weights of classes or with targets that are ignored, is to be multiplied by the part's
    share of that, which `total` helps to find; `Trainer` does so for these criteria. What else
    draws random numbers for the rows of a batch, as a module of yours may, draws them by
    ``tt_tensor.seam.for_rows``; buffers other than those of normalisations are each rank's own.

    Args:
        module: The model, the same on every rank, with all its modules; rank 0's parameters and
            buffers are taken.
        world: The processes; those that the launcher started unless given.
        bucket_cap_mb: Megabytes of a bucket. Small ones set out early, large ones are fewer.
        sync_batch_norm: Whether the statistics of `BatchNorm1d` and `BatchNorm2d` are the whole
            batch's, for three small messages a layer; otherwise each rank uses those of its own
            rows, and after each step all have rank 0's running statistics.

    Attributes:
        module: The model.
        world: The processes.
        buckets: The gradients on their way, which count what they send and how long is waited.

    Raises:
        RuntimeError: The program was not started by a launcher such as ``mpiexec``.
        DisagreementError: The models or seeds of ranks differ; the message says which and how.
        ValueError: ``bucket_cap_mb`` is not positive, or nothing requires a gradient.

    Example:
        A program that ``mpiexec -n 4 python train.py`` runs::

            parallel = DistributedDataParallel(model)
            sampler = DistributedSampler(BatchSampler(RandomSampler(data), 64), 4, rank)
            for batch in DataLoader(data, batch_sampler=sampler):
                optimizer.zero_grad()
                with parallel.step(batch) as part:
                    inputs, targets = part.batch
                    (criterion(model(inputs), targets) * part.weight).backward()
                optimizer.step()

    References:
        Li et al., "PyTorch distributed: experiences on accelerating data parallel training", 2020.
    """

    def __init__(
        self,
        module: Module,
        world: World | None = None,
        *,
        bucket_cap_mb: float = 1.0,
        sync_batch_norm: bool = True,
    ) -> None:
        found = started() if world is None else world
        if found is None:
            raise RuntimeError(
                "DistributedDataParallel: this process was started alone; start several with "
                "mpiexec -n 4 python program.py"
            )
        if not bucket_cap_mb > 0:
            raise ValueError(
                f"DistributedDataParallel: expected bucket_cap_mb above 0, got {bucket_cap_mb}"
            )
        self.module = module
        self.world = found
        self.sync_batch_norm = sync_batch_norm
        agree(
            found,
            "the start of DistributedDataParallel",
            Claim("model", describe_model(module)),
            Claim("seed", describe_seed()),
            Claim("options", f"{bucket_cap_mb=}\n{sync_batch_norm=}"),
        )
        self._inside = _channel_inside(found)
        self._params = list(module.parameters())
        if not any(param.requires_grad for param in self._params):
            raise ValueError("DistributedDataParallel: no parameter of the model requires grad")
        self.broadcast_model()
        self._capacity = round(bucket_cap_mb * 2**20)
        self._hooks: list[RemovableHandle] = []
        self._fill_buckets()
        self._steps = 0
        self._collecting = False
        self._synchronised = True
        self._summed = False  # whether the gradients that there are are those of all ranks

    def _fill_buckets(self) -> None:
        """Make the buckets of the parameters that require a gradient now."""
        self._learned = [param.requires_grad for param in self._params]
        learned = [param for param in self._params if param.requires_grad]
        self.buckets = Buckets(learned, self.world, self._capacity)
        for hook in self._hooks:
            hook.remove()
        self._hooks = [
            param.register_post_accumulate_grad_hook(partial(self._take, i))
            for i, param in enumerate(learned)
        ]

    def _take(self, i: int, param: Tensor) -> None:
        if self._collecting:
            self.buckets.take(i)

    def broadcast_model(self) -> None:
        """Make the parameters and buffers of the model what they are on rank 0.

        Raises:
            RuntimeError: The model has other parameters than when this was made.
        """
        self._check_model()
        self.broadcast([*self._params, *self.module.buffers()])

    def _check_model(self) -> None:
        pairs = zip_longest(self.module.parameters(), self._params)
        if any(now is not then for now, then in pairs):
            raise RuntimeError(
                "DistributedDataParallel: the model has other parameters than when this was made, "
                "whose gradients the processes would not share; make it, or the Trainer and its "
                "optimizer, after the last change of the model's modules"
            )

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Make tensors what they are on rank 0, in place."""
        with no_grad():
            for tensor in tensors:
                values = np.array(tensor._array, order="C")
                self.world.broadcast(values)
                if self.world.rank:
                    tensor.copy_(Tensor._wrap(values))

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Leave the gradients of the steps inside where they are, for a later one to add up.

        Gradients are then accumulated over several batches and travel once.
        """
        before, self._synchronised = self._synchronised, False
        try:
            yield
        finally:
            self._synchronised = before

    @contextmanager
    def step(self, batch: Any) -> Iterator[Part]:
        """Compute this rank's part of a batch; at the end gradients are those of all of it.

        Args:
            batch: The rows that are this rank's, possibly none: a tensor, or tuples, lists and
                dictionaries of tensors whose first dimension runs over rows.

        Yields:
            The part: call backward on the mean loss over its rows times its weight.

        Raises:
            TypeError: The batch has no rows.
            ValueError: It has none on any rank.
            DisagreementError: The ranks no longer draw the same random numbers, no longer learn
                the same parameters, or do different things.
            RuntimeError: No gradient has come on any rank, or the model has other parameters.
            RankLostError: Another process is gone, or a step has ended with an error: this one
                with one inside its block, which the others are told of, or an earlier one.
        """
        with self.world.together(), self._step(batch) as part:
            yield part

    @contextmanager
    def _step(self, batch: Any) -> Iterator[Part]:
        self._check_model()
        self._steps += 1
        learned = [param.requires_grad for param in self._params]
        own = self._own_rows(count_rows(batch), learned)
        if self._summed and self.world.rank:  # rank 0 has them for all
            for param in self._params:
                param.grad = None
        self._summed = False
        if learned != self._learned:
            self._fill_buckets()
        synchronised, held = self._synchronised, [param.grad for param in self._params]
        if synchronised:
            self.buckets.begin()
        if not own.size:  # what stands in gives no gradient, not even one that is not finite
            self.module.zero_grad()
        self._collecting = synchronised and own.size > 0
        tokens = (
            (rows, rows.set(own)),
            (prompt, prompt.set(self._collecting)),
            (sum_over_batch, sum_over_batch.set(self._sum if self.sync_batch_norm else None)),
        )
        try:
            weight = own.size / own.total
            yield Part(batch if own.size else stand_in(batch), weight, own)
            if not own.size:
                for param, grad in zip(self._params, held, strict=True):
                    param.grad = grad
            if synchronised:
                self.buckets.finish()
                self._summed = True
        finally:
            self._collecting = False
            for variable, token in tokens:
                variable.reset(token)  # type: ignore[arg-type]  # each with its own
        if not self.sync_batch_norm:
            self.broadcast(self.module.buffers())

    def _own_rows(self, count: int, learned: list[bool]) -> Rows:
        """Return which rows of the batch are here, and make sure that the ranks still agree."""
        counts = agree(
            self.world,
            f"step {self._steps} of the {type(self.module).__name__}",
            Claim("random numbers", describe_seed(), _OWN_NUMBERS),
            Claim("parameters to learn", _lines(learned), "Freeze them on all ranks alike."),
            Claim("synchronisation", f"no_sync={not self._synchronised}", "Use it on all alike."),
            told=count,
        )
        if not any(counts):
            raise ValueError("step: the batch has no rows on any rank")
        start = sum(counts[: self.world.rank])
        return Rows(start, start + count, sum(counts))

    def _sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        self._inside.all_reduce(values)
        return values

    def meet(self, place: str, told: int = 0) -> list[int]:
        """Return the numbers that ranks tell, once all have come to the same place.

        Args:
            place: The place in the program, in words.
            told: The number that this rank tells.

        Raises:
            DisagreementError: Another rank is at another place.
        """
        return agree(self.world, place, told=told)

    def total(self, *values: float) -> list[float]:
        """Return the sums of some numbers over all ranks.

        Raises:
            DisagreementError: Another rank is at another place.
        """
        self.meet(f"a total of {len(values)} numbers")
        summed = np.array(values, np.float64)
        self.world.all_reduce(summed)
        return [float(value) for value in summed]


def _lines(learned: Iterable[bool]) -> str:
    return "\n".join(f"requires_grad={each}" for each in learned)


@cache
def _channel_inside(world: World) -> World:
    """Return the channel of sums inside models, which may meet buckets on their way.

    Each kind comes in its own order. One serves all models, for channels are few.
    """
    return world.duplicate()


@runtime_checkable
class Splittable(Protocol):
    """A loader that can give one rank's part of each batch, such as `tt_data.DataLoader`."""

    def split(self, num_replicas: int, rank: int) -> Any:
        """Return the loader of a part."""


def split(loader: Iterable[Any], world: World) -> Iterable[Any]:
    """Return a loader of this rank's part of each batch of another.

    One that can be split gives only those rows; of any other every rank takes the whole batch and
    keeps its rows.
    """
    if isinstance(loader, Splittable) and callable(loader.split):  # no mere attribute
        parts: Iterable[Any] = loader.split(num_replicas=world.size, rank=world.rank)
        return parts
    if isinstance(loader, Resumable):
        return _ResumableParts(loader, world)
    return _Parts(loader, world)


class _Parts:
    """The rows of one rank of each batch of a loader."""

    def __init__(self, loader: Any, world: World) -> None:
        self._loader = loader
        self._world = world

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(self._loader):
            if not number:  # of which nothing is known before
                first = Claim("first batch of the loader", describe_batch(batch), _WHOLE)
                agree(self._world, "the first batch", first)
            yield take_rows(batch, share(count_rows(batch), self._world.size, self._world.rank))


class _ResumableParts(_Parts):
    """The same of a loader that has a position, which counts whole batches."""

    def state_dict(self) -> Any:
        return self._loader.state_dict()

    def load_state_dict(self, state_dict: Any) -> None:
        self._loader.load_state_dict(state_dict)

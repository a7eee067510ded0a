"""Whether all processes train the same model, with the same seeds, on the same data."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_nn import Module
from tt_optim._optimizer import Optimizer
from tt_tensor import default_generator

from ._world import World

_READ = 1 << 26  # bytes of data that are compared


class DisagreementError(RuntimeError):
    """Processes that should train together were started with different models, seeds or data."""


def agree(world: World, what: str, text: str, cure: str | None = None) -> None:
    """Make sure that a text is the same on every rank.

    Args:
        world: The processes.
        what: What the text describes, for the error.
        text: Lines, of which those that differ are shown.
        cure: What to do where the ranks have come to differ since they were started.

    Raises:
        DisagreementError: It is not, on every rank alike; the message says which ranks differ
            from rank 0 and how.
    """
    digest = hashlib.sha256(text.encode()).digest()
    if len({bytes(each) for each in world.gather(np.frombuffer(digest, np.uint8))}) == 1:
        return
    first, *others = world.gather_text(text)
    found = []
    for rank, other in enumerate(others, start=1):
        pairs = zip_longest(first.splitlines(), other.splitlines(), fillvalue="nothing")
        differing = [pair for pair in pairs if pair[0] != pair[1]]
        found += [
            f"  rank {rank} has {theirs}\n  rank 0 has {ours}" for ours, theirs in differing[:3]
        ]
        if len(differing) > 3:
            found.append(f"  and {len(differing) - 3} more lines of rank {rank} differ")
    since = "were not started with" if cure is None else "no longer have"
    if cure is None:
        cure = "Start every rank with the same program, arguments, seed (manual_seed) and data."
    raise DisagreementError("\n".join([f"the ranks {since} the same {what}:", *found, cure]))


def agree_to_train(
    world: World,
    optimizer: Optimizer,
    loader: Iterable[Any],
    evaluation: Iterable[Any] | None,
    **settings: object,
) -> None:
    """Make sure that all ranks are about to train alike.

    Args:
        world: The processes.
        optimizer: The rule and its hyperparameters, which are compared.
        loader: What gives the data, of which a description is compared.
        evaluation: What gives the data to evaluate on, the same; None for none.
        settings: What else is to be the same, by name.

    Raises:
        DisagreementError: They are not.
    """
    lines = [f"{name}={value}" for name, value in settings.items()]
    agree(world, "training", "\n".join([*lines, describe_optimizer(optimizer)]))
    agree(world, "data", describe_loader(loader))
    seen = "no evaluation" if evaluation is None else describe_loader(evaluation)
    agree(world, "data to evaluate on", seen)


def describe_model(model: Module) -> str:
    """Return a line for each parameter and buffer: its name, shape and dtype."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return "\n".join(f"{name}: {tuple(x.shape)} {x.dtype.name}" for name, x in tensors)


def describe_optimizer(optimizer: Optimizer) -> str:
    """Return a line for each group of parameters: the rule and its hyperparameters."""
    lines = []
    for group in optimizer.param_groups:
        numbers = {k: v for k, v in group.items() if k not in ("params", "param_names")}
        shown = ", ".join(f"{name}={value}" for name, value in numbers.items())
        lines.append(f"{type(optimizer).__name__} of {len(group['params'])} with {shown}")
    return "\n".join(lines)


def describe_seed() -> str:
    """Return a checksum of the state of the default generator, in a line."""
    state = repr(default_generator().get_state()["state"])
    return f"random numbers from a generator in state {zlib.crc32(state.encode()):08x}"


def describe_loader(loader: Iterable[Any]) -> str:
    """Return what is known of the data that a loader gives without drawing from it.

    That is what its ``fingerprint()`` says; of a sequence of batches, how many there are and a
    checksum over what they hold; of anything else nothing.
    """
    fingerprint = getattr(loader, "fingerprint", None)
    if callable(fingerprint):
        return str(fingerprint())
    if not isinstance(loader, Sequence):
        return f"a {type(loader).__name__}"
    checksum, read = 0, 0
    for array in _arrays(loader):
        if read < _READ:
            checksum = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, checksum)
        read += array.nbytes
    return f"{len(loader)} batches of data, {read} bytes with the checksum {checksum:08x}"


def _arrays(value: object) -> Iterator[NDArray[Any]]:
    if isinstance(value, tt_tensor.Tensor):
        yield value.numpy().reshape(-1)
    elif isinstance(value, np.ndarray):
        yield value.reshape(-1)
    elif isinstance(value, Mapping):
        yield from _arrays(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arrays(each)

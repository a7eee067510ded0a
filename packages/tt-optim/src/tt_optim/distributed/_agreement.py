"""Whether all processes train the same model, on the same data, and make the same calls."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import chain, starmap, zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_nn import Module
from tt_optim._average import ExponentialMovingAverage
from tt_optim._optimizer import Optimizer
from tt_optim._plateau import ReduceLROnPlateau
from tt_optim._schedulers import LRScheduler
from tt_tensor import default_generator

from ._world import World

Array = NDArray[Any]

_READ = 1 << 26  # bytes of data that are compared
_SHOWN = 3  # lines of a rank that differ
_ROUNDING = 1e-3  # a distance, relative to the norm
_ALIKE = "Start every rank with the same program, arguments, seed (manual_seed) and data."
_CHANGED = (
    "Load or change it on every rank. (Parameters, buffers and averages are rank 0's when fit "
    "begins, so that those may be loaded on rank 0 alone.)"
)
_IN_STEP = (
    "Every rank makes the same calls in the same order, and its loader gives as many batches."
)


class DisagreementError(RuntimeError):
    """Processes that train together have different models, seeds, data or settings, or calls."""


class Claim(NamedTuple):
    """What is to be the same on every rank.

    Attributes:
        what: What the text describes.
        text: Lines, of which those that differ are shown.
        cure: What to do where the ranks have come to differ since they were started.
    """

    what: str
    text: str
    cure: str = ""


def agree(world: World, place: str, *claims: Claim, told: int = 0) -> list[int]:
    """Make sure that all ranks are at the same place of their programs, and the same holds there.

    What ranks do together begins with this. It is one message, of the same size everywhere, so
    ranks that have come to do different things learn of it, where else they would wait for ever.

    Args:
        world: The processes.
        place: The place, in words.
        claims: What is to be the same.
        told: A number that this rank tells the others.

    Returns:
        The number that each rank has told.

    Raises:
        DisagreementError: Something differs, on every rank alike; the message says which ranks
            differ from rank 0 and how.
    """
    said = json.dumps([place, [claim.text for claim in claims]])
    digest = hashlib.sha256(said.encode()).digest()[:8]
    own = np.array([int.from_bytes(digest, "little", signed=True), told], np.int64)
    everyone = world.gather(own)
    if (everyone[:, 0] != own[0]).any():
        raise DisagreementError(next(_differences(world.gather_text(said), claims)))
    numbers: list[int] = everyone[:, 1].tolist()
    return numbers


def _differences(said: Sequence[str], claims: Sequence[Claim]) -> Iterator[str]:
    """Yield how what ranks said differs from what rank 0 did."""
    places, texts = zip(*map(json.loads, said), strict=True)
    if lines := _unlike("is at", places):
        yield "\n".join(["the ranks are at different places of their programs:", *lines, _IN_STEP])
    for claim, of_ranks in zip(claims, zip(*texts, strict=False), strict=False):
        if lines := _unlike("has", of_ranks):
            since = "no longer have" if claim.cure else "were not started with"
            cure = claim.cure or _ALIKE
            yield "\n".join([f"the ranks {since} the same {claim.what}:", *lines, cure])


def _unlike(verb: str, texts: Sequence[str]) -> list[str]:
    """Return the first lines of each rank's text that are not those of rank 0's."""
    lines = []
    for rank, text in enumerate(texts[1:], start=1):
        ours, theirs = texts[0].splitlines(), text.splitlines()
        differing = [
            pair
            for tag, i, j, k, m in SequenceMatcher(None, ours, theirs, False).get_opcodes()
            if tag != "equal"
            for pair in zip_longest(ours[i:j], theirs[k:m], fillvalue="nothing")
        ]
        for first, other in differing[:_SHOWN]:
            lines += [f"  rank {rank} {verb} {other}", f"  rank 0 {verb} {first}"]
        if len(differing) > _SHOWN:
            lines.append(f"  and {len(differing) - _SHOWN} more lines of rank {rank} differ")
    return lines


def agree_on_state(world: World, place: str, **parts: object) -> None:
    """Make sure that what is trained is the same on every rank, but for rounding.

    Ranks on machines of different kinds may round differently, so where bits differ it is the
    distance that counts.

    Args:
        world: The processes.
        place: The place, in words.
        parts: What is compared, by name: dictionaries and the like of arrays and numbers.

    Raises:
        DisagreementError: It is not.
    """
    held = dict(chain.from_iterable(starmap(_leaves, parts.items())))
    agree(world, place, Claim("state", "\n".join(starmap(_line, held.items())), _CHANGED))
    arrays = {name: leaf for name, leaf in held.items() if isinstance(leaf, np.ndarray)}
    checksums = world.gather(np.array([*map(_checksum, arrays.values())], np.int64))
    lines = []
    for name, same in zip(arrays, (checksums == checksums[0]).all(axis=0), strict=True):
        if not same:
            first = np.array(arrays[name], order="C")
            world.broadcast(first)
            away = _distance(arrays[name], first)
            lines.append(f"{name} at a distance of {away:.2g} from rank 0's")
    if lines:
        agree(world, place, Claim("state", "\n".join(lines), _CHANGED))


def _leaves(name: str, value: object) -> Iterator[tuple[str, Array | str]]:
    """Yield the arrays and, as texts, the numbers and names that a value is made of."""
    if isinstance(value, tt_tensor.Tensor):
        value = value._array
    elif isinstance(value, LRScheduler | ReduceLROnPlateau | ExponentialMovingAverage):
        yield name, type(value).__name__
        value = vars(value)
    if isinstance(value, np.ndarray):
        yield name, value
    elif isinstance(value, Mapping | list | tuple):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, each in pairs:
            yield from _leaves(f"{name}.{key}", each)
    elif isinstance(value, float):  # machines may differ in the last digits of a cosine
        yield name, f"{value:.6g}"
    elif isinstance(value, bool | int | str | None):
        yield name, str(value)
    elif not isinstance(value, Optimizer):
        yield name, type(value).__name__


def _line(name: str, leaf: Array | str) -> str:
    shown = leaf if isinstance(leaf, str) else f"{leaf.shape} {leaf.dtype.name}"
    return f"{name}={shown}"


def describe(name: str, value: object) -> Iterator[str]:
    """Yield the numbers, names, and shapes of arrays that a value is made of, in a line each."""
    return starmap(_line, _leaves(name, value))


def _distance(array: Array, first: Array) -> float:
    """Return how far an array is from another, by norm; 0 where rounding explains it."""
    with np.errstate(all="ignore"):
        a, b = array.astype(np.float64), first.astype(np.float64)
        distance = float(np.linalg.norm(a - b) / (np.linalg.norm(b) or 1.0))
    return 0.0 if distance < _ROUNDING else distance


def _checksum(array: Array, start: int = 0) -> int:
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, start)


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


def describe_loader(loader: Iterable[Any] | None) -> str:
    """Return what is known of the data that a loader gives without drawing from it.

    That is what its ``fingerprint()`` says; of a sequence of batches, how many there are and a
    checksum over what they hold; of anything else nothing.
    """
    if loader is None:
        return "none"
    fingerprint = getattr(loader, "fingerprint", None)
    if callable(fingerprint):
        return str(fingerprint())
    if not isinstance(loader, Sequence):
        return f"a {type(loader).__name__}"
    return f"{len(loader)} batches of data, {describe_batch(loader)}"


def describe_batch(batch: object) -> str:
    """Return how many bytes the arrays of a batch have, and a checksum over them."""
    checksum, read = 0, 0
    for array in _arrays(batch):
        if read < _READ:
            checksum = _checksum(array, checksum)
        read += array.nbytes
    return f"{read} bytes with the checksum {checksum:08x}"


def _arrays(value: object) -> Iterator[NDArray[Any]]:
    if isinstance(value, tt_tensor.Tensor):
        yield value.numpy()
    elif isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        yield from _arrays(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _arrays(each)

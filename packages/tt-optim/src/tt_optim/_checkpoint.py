"""Checkpoints: folders of safetensors and JSON that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

import tt_tensor
from tt_autograd import Tensor

Array = NDArray[Any]
State = dict[str, Any]

_FORMAT = {"format": "tt-optim checkpoint", "version": 1}
_MODEL, _ARRAYS, _STATE = "model.safetensors", "state.safetensors", "state.json"
_MANIFEST = "manifest.json"
_STEP = re.compile(r"step-(\d{8,})")
_WRITING, _REMOVING = ".writing-", ".removing-"


class CheckpointError(Exception):
    """A checkpoint could not be written, or what was read is none."""


def save_checkpoint(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write a state to a new folder, which appears whole or not at all.

    The folder holds ``model.safetensors`` (``state["model"]``, with its own names, for anyone
    who reads that format), ``state.safetensors`` (all other arrays), ``state.json`` (everything
    else) and ``manifest.json`` (sizes and SHA-256 of the three). They are written to a temporary
    folder beside it and forced to the disk; then that is renamed.

    Args:
        path: The folder, which must not exist.
        state: Dictionaries, lists, tuples, strings, numbers, None, tensors and arrays, as the
            ``state_dict`` of models, optimizers and the like return them.

    Raises:
        CheckpointError: It exists, or cannot be written; nothing is left behind then.
        TypeError: The state holds something else.

    Example:
        >>> import tempfile
        >>> import tt_autograd as tt
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_checkpoint(f"{folder}/one", {"model": {"w": tt.ones(2)}, "epoch": 3})
        ...     load_checkpoint(f"{folder}/one")
        {'model': {'w': tensor([1., 1.])}, 'epoch': 3}
    """
    path = Path(path)
    files = _serialise(state)
    if path.exists():
        raise CheckpointError(f"checkpoint: {path} exists already")
    writing: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=_WRITING, dir=path.parent))
        for name, data in files.items():
            _write(writing / name, data)
        _sync_folder(writing)
        writing.rename(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint: {path} could not be written: {error.strerror or error}"
        ) from error
    finally:
        if writing is not None:
            shutil.rmtree(writing, ignore_errors=True)  # no longer there if all went well


def load_checkpoint(path: str | os.PathLike[str]) -> State:
    """Read a state that `save_checkpoint` wrote; nothing in it is executed.

    Raises:
        CheckpointError: There is none, it cannot be read, or its files are not those that were
            written; the message names the file.
    """
    path = Path(path)
    try:
        return _deserialise(path)
    except OSError as error:
        name = Path(error.filename or path).name
        raise CheckpointError(
            f"checkpoint: {path}: {name} cannot be read: {error.strerror or error}"
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint: {path} is damaged: {error}") from error


class Checkpoints:
    """The checkpoints of a run: a folder with one folder for each, of which the latest are kept.

    A checkpoint is removed only once a later one is in place. One run at a time may write.

    Args:
        folder: Where they are; made at the first save.
        keep: How many to keep.

    Raises:
        ValueError: ``keep`` is less than 1.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(folder, keep=2)
        ...     for step in (10, 20, 30):
        ...         _ = checkpoints.save(step, {"step": step})
        ...     print(checkpoints.steps(), checkpoints.load())
        [20, 30] {'step': 30}
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"Checkpoints: keep: expected at least 1, got {keep}")
        self.folder = Path(folder)
        self.keep = keep

    def steps(self) -> list[int]:
        """Return the steps of which there is a checkpoint, in rising order."""
        try:
            names = [entry.name for entry in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for name in names if (match := _STEP.fullmatch(name)))

    def path(self, step: int) -> Path:
        """Return the folder of a step's checkpoint."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write the checkpoint of a step, then remove those that are no longer to be kept.

        Returns:
            Its folder.

        Raises:
            CheckpointError: It cannot be written; the earlier ones are as they were.
            TypeError: The state holds something that a checkpoint cannot.
        """
        path = self.path(step)
        earlier = [other for other in self.steps() if other != step]
        try:
            if path.exists():
                self._remove(path)  # what an earlier run left, or a damaged one
            save_checkpoint(path, state)
        except (CheckpointError, OSError) as error:
            last = self.path(earlier[-1]) if earlier else None
            kept = f"the last one is {last}" if last else "there is no earlier one"
            raise CheckpointError(f"{error}; {kept}") from error
        for other in earlier[: max(0, len(earlier) + 1 - self.keep)]:
            self._remove(self.path(other))
        for entry in self.folder.iterdir():  # what a killed process left behind
            if entry.name.startswith((_WRITING, _REMOVING)):
                shutil.rmtree(entry, ignore_errors=True)
        return path

    def load(self, step: int | None = None) -> State:
        """Read the checkpoint of a step, or the latest that is whole.

        A damaged one is passed over with a warning.

        Raises:
            CheckpointError: There is none, or none that can be read.
        """
        if step is not None:
            return load_checkpoint(self.path(step))
        failures = []
        for candidate in reversed(self.steps()):
            try:
                state = load_checkpoint(self.path(candidate))
            except CheckpointError as error:
                failures.append(str(error))
                continue
            if failures:
                warnings.warn(
                    f"going back to {self.path(candidate)}: {'; '.join(failures)}", stacklevel=2
                )
            return state
        raise CheckpointError("; ".join(failures) or f"checkpoint: there is none in {self.folder}")

    def _remove(self, path: Path) -> None:
        # Renamed first: a process killed halfway must not leave half a checkpoint under its name.
        removing = Path(tempfile.mkdtemp(prefix=_REMOVING, dir=self.folder))
        path.rename(removing / path.name)
        shutil.rmtree(removing, ignore_errors=True)


# Files


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":
        return  # folders cannot be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _serialise(state: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the files of a checkpoint by name."""
    arrays: dict[str, dict[str, Array]] = {_MODEL: {}, _ARRAYS: {}}
    plain = _to_plain(state, (), arrays)
    files = {name: safetensors.numpy.save(held) for name, held in arrays.items()}
    files[_STATE] = json.dumps(plain, indent=1).encode()
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    files[_MANIFEST] = json.dumps({**_FORMAT, "files": listed}, indent=1).encode()
    return files


def _deserialise(path: Path) -> State:
    if not path.is_dir():
        raise ValueError("there is no such folder")
    manifest = json.loads((path / _MANIFEST).read_bytes())
    if not isinstance(manifest, dict) or {k: manifest.get(k) for k in _FORMAT} != _FORMAT:
        raise ValueError(f"{_MANIFEST} is not that of {_FORMAT['format']}, version 1")
    files: dict[str, bytes] = {}
    for name in (_MODEL, _ARRAYS, _STATE):
        wanted = manifest["files"][name]
        data = (path / name).read_bytes()
        if len(data) != wanted["bytes"]:
            raise ValueError(f"{name} has {len(data)} bytes, expected {wanted['bytes']}")
        if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
            raise ValueError(f"{name} is not what was written: its SHA-256 differs")
        files[name] = data
    arrays = {name: safetensors.numpy.load(files[name]) for name in (_MODEL, _ARRAYS)}
    state = _from_plain(json.loads(files[_STATE]), arrays)
    if not isinstance(state, dict):
        raise ValueError(f"{_STATE}: expected a dict")
    return state


# States as JSON: arrays are named by where they are, and what JSON lacks is spelt out


def _to_plain(value: Any, place: tuple[str, ...], arrays: dict[str, dict[str, Array]]) -> Any:
    if isinstance(value, tt_tensor.Tensor | np.ndarray):
        array = value if isinstance(value, np.ndarray) else value._array
        if array.dtype.kind not in "fiub":
            raise TypeError(f"checkpoint: {_where(place)}: dtype {array.dtype} cannot be saved")
        file = _MODEL if place[:1] == ("model",) else _ARRAYS
        name = ".".join(place[1:] if file == _MODEL else place)
        while name in arrays[file]:
            name += "_"  # names with dots in them can come to the same
        arrays[file][name] = np.ascontiguousarray(array).reshape(array.shape)
        kind = "array" if isinstance(value, np.ndarray) else "tensor"
        return {f"${kind}": [file, name]}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        parts = [_to_plain(part, (*place, str(i)), arrays) for i, part in enumerate(value)]
        return {"$tuple": parts} if isinstance(value, tuple) else parts
    if isinstance(value, Mapping):
        pairs = [(key, _to_plain(part, (*place, str(key)), arrays)) for key, part in value.items()]
        for key, _ in pairs:
            if not isinstance(key, str | int):
                raise TypeError(f"checkpoint: {_where(place)}: a key {key!r} cannot be saved")
        if all(isinstance(key, str) and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$dict": [list(pair) for pair in pairs]}
    raise TypeError(f"checkpoint: {_where(place)}: a {type(value).__name__} cannot be saved")


def _where(place: tuple[str, ...]) -> str:
    return ".".join(place) or "the state"


def _from_plain(value: Any, arrays: dict[str, dict[str, Array]]) -> Any:
    if isinstance(value, list):
        return [_from_plain(part, arrays) for part in value]
    if not isinstance(value, dict):
        return value
    special = next(iter(value), "")
    if not special.startswith("$"):
        return {key: _from_plain(part, arrays) for key, part in value.items()}
    content = value[special]
    if special == "$tuple":
        return tuple(_from_plain(part, arrays) for part in content)
    if special == "$dict":
        return {key: _from_plain(part, arrays) for key, part in content}
    if special in ("$tensor", "$array"):
        file, name = content
        array = arrays[file][name]
        return array if special == "$array" else Tensor._wrap(array)
    raise ValueError(f"{_STATE}: {special!r} is not known")

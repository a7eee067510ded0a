"""State dicts as safetensors files, with torch's names and layouts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_autograd import Tensor

Path = str | os.PathLike[str]

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # the upper half of a float32, which it is widened to
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def save(state_dict: Mapping[str, tt_tensor.Tensor], path: Path) -> None:
    """Write a state dict to a safetensors file, which torch and others can read.

    The file appears whole or not at all: it is written under another name and then moved.

    Args:
        state_dict: Tensors by name, as `Module.state_dict` returns them. Tensors that share
            memory are written under each of their names.
        path: The file, which is replaced if it exists.

    Raises:
        TypeError: ``state_dict`` is no mapping of names to tensors.
        ValueError: A name is the format's own.

    Example:
        >>> import tempfile
        >>> import tt_nn as nn
        >>> layer = nn.Linear(2, 3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     nn.save(layer.state_dict(), f"{folder}/layer.safetensors")
        ...     state = nn.load(f"{folder}/layer.safetensors")
        >>> layer.load_state_dict(state)
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
    """
    if not hasattr(state_dict, "items"):
        hint = "; give it model.state_dict()" if hasattr(state_dict, "state_dict") else ""
        raise TypeError(f"save: expected a state dict first, got {type(state_dict).__name__}{hint}")
    arrays = dict(_to_write(key, value) for key, value in state_dict.items())

    from safetensors.numpy import save as serialise

    # transformers asks every file that it reads for this entry
    data = serialise(arrays, metadata={"format": "pt"})
    _replace(os.path.realpath(os.fspath(path)), data)


def _to_write(key: object, value: object) -> tuple[str, NDArray[Any]]:
    if not isinstance(key, str):
        raise TypeError(f"save: expected names to be str, got {key!r}")
    if key == "__metadata__":
        raise ValueError("save: '__metadata__' is the format's own and cannot be a name")
    if not isinstance(value, tt_tensor.Tensor):
        raise TypeError(f"save: expected {key!r} to be a Tensor, got {type(value).__name__}")
    return key, np.ascontiguousarray(value._array).reshape(value.shape)


def _replace(path: str, data: bytes) -> None:
    """Put ``data`` in a file's place in one step."""
    from secrets import token_hex

    unfinished = f"{path}.{token_hex(4)}.tmp"
    try:
        with open(unfinished, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.remove(unfinished)
        raise


def load(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file, torch's or ours.

    Nothing in the file is executed. bfloat16 becomes float32, which holds the same values. Names
    that ``safetensors.torch.save_model`` left out because they share a tensor come back.

    Args:
        path: The file.

    Returns:
        Tensors by name.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no valid safetensors file: cut short, too long, or its header says
            what is not so; or a tensor has a dtype that tensors here do not have. The message
            names the file, and the tensor if it is one.
    """
    import safetensors

    with open(path, "rb") as file:
        data = file.read()
    try:
        # The package's stub gives this function no types.
        entries = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"load: {os.fspath(path)} is not a valid safetensors file: {_fault(data) or error}"
        ) from None
    header = _header(data)
    state = {
        key: Tensor._wrap(_as_array(path, key, entries[key])) for key in header if key in entries
    }
    for left_out, kept in (header.get("__metadata__") or {}).items():
        if kept in state and left_out not in state and left_out != "format":
            state[left_out] = state[kept]
    return state


def _header(data: bytes) -> dict[str, Any]:
    import json

    size = int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + size])
    return header


def _as_array(path: Path, key: str, entry: dict[str, Any]) -> NDArray[Any]:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise ValueError(
            f"load: {os.fspath(path)}: {key!r} has dtype {entry['dtype']}; expected one of "
            f"{', '.join(_DTYPES)}"
        )
    flat: NDArray[Any] = np.frombuffer(entry["data"], dtype)
    try:
        array = flat.reshape(entry["shape"]).copy()
    except ValueError as error:  # more dimensions than NumPy has, or sizes beyond any memory
        raise ValueError(f"load: {os.fspath(path)}: {key!r}: {error}") from None
    if entry["dtype"] == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    if entry["dtype"] == "BOOL" and (array.view(np.uint8) > 1).any():
        raise ValueError(f"load: {os.fspath(path)}: {key!r} has bools other than 0 and 1")
    return array.astype(dtype.newbyteorder("="), copy=False)


def _fault(data: bytes) -> str | None:
    """Say what is wrong with a file, naming the tensor, where that can be told."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        return (
            f"its {len(data)} bytes are too few for a header"
            + (f" of {size} bytes" if len(data) >= 8 else "")
            + "; it may have been cut short"
        )
    try:
        header = _header(data)
        room = len(data) - 8 - size
        for key, entry in header.items():
            if key == "__metadata__":
                continue
            dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if dtype not in _DTYPES:
                return f"{key!r} has dtype {dtype}; expected one of {', '.join(_DTYPES)}"
            needed = math.prod(shape) * _DTYPES[dtype].itemsize
            if end - start != needed:
                return f"{key!r} is {dtype} of shape {tuple(shape)}, {needed} bytes, but has " + (
                    f"bytes {start} to {end}"
                )
            if not 0 <= start <= end <= room:
                return f"{key!r} has bytes {start} to {end} of {room}; it may have been cut short"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return None

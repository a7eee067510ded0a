"""A safetensors file of unknown origin, checked before anything is made of it, and digests."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._checks import Rejected, fields, integer, items, one_of, parse_json, show

ITEM_BYTES = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
MAX_HEADER = 1 << 20
MAX_TENSORS = 10_000
MAX_BYTES = 1 << 32


def check_safetensors(data: bytes, where: str) -> None:
    """Check that a file is what its header says, to the byte.

    The header is small, names each tensor once, and the tensors' bytes follow one another without
    gap or overlap to the end of the file; each has as many as its dtype and shape ask for.

    Args:
        data: The file.
        where: Its name, for errors.

    Raises:
        Rejected: It is not so.

    Example:
        >>> check_safetensors((1 << 60).to_bytes(8, "little"), "weights")
        Traceback (most recent call last):
        tt_tito.benchmark._checks.Rejected: weights: its header claims 1152921504606846976 bytes...
    """
    if len(data) < 8:
        raise Rejected(f"{where}: {len(data)} bytes are too few for a safetensors file.")
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_HEADER, len(data) - 8):
        raise Rejected(
            f"{where}: its header claims {size} bytes; the file has {len(data) - 8} after its "
            f"length, and {MAX_HEADER} are allowed."
        )
    header = parse_json(data[8 : 8 + size], f"{where}: header")
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise Rejected(f"{where}: its header is no object of at most {MAX_TENSORS} tensors.")
    spans = sorted(
        (*_span(entry, f"{where}: {show(name)}"), name)
        for name, entry in header.items()
        if name != "__metadata__"
    )
    end = 0
    for start, stop, name in spans:
        if start != end:
            raise Rejected(f"{where}: {show(name)} begins at byte {start}, not at {end}.")
        end = stop
    if end != len(data) - 8 - size:
        room = len(data) - 8 - size
        raise Rejected(f"{where}: its header speaks of {end} bytes of tensors; there are {room}.")


def _span(entry: object, where: str) -> tuple[int, int]:
    def sizes(value: object, where: str) -> list[int]:
        size = integer(0, MAX_BYTES)
        return [size(each, where) for each in items(value, where, limit=8)]

    kinds = {"dtype": one_of(ITEM_BYTES), "shape": sizes, "data_offsets": sizes}
    tensor = fields(entry, where, kinds, {})
    if len(tensor["data_offsets"]) != 2:
        raise Rejected(f"{where}: data_offsets are two numbers, its first byte and its end.")
    start, stop = tensor["data_offsets"]
    needed = math.prod(tensor["shape"]) * ITEM_BYTES[tensor["dtype"]]
    if stop - start != needed:
        raise Rejected(
            f"{where}: {tensor['dtype']} of shape {tensor['shape']} needs {needed} bytes, "
            f"its header gives it bytes {start} to {stop}."
        )
    return start, stop


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of arrays: of their names, dtypes, shapes and values, in order of names.

    Example:
        >>> one = digest({"a": np.zeros(2), "b": np.ones(1)})
        >>> one == digest({"b": np.ones(1), "a": np.zeros(2)}), one == digest({"a": np.zeros(3)})
        (True, False)
    """
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        total.update(f"{name!a} {array.dtype.name} {array.shape}\n".encode())
        total.update(little.tobytes())
    return total.hexdigest()

"""Files of TensorBoard's format: records of a length, a checksum and a protocol-buffer message."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        entries.append(byte)
    return tuple(entries)


_TABLE = _table()  # of CRC-32C, the Castagnoli polynomial


def _masked_crc(data: bytes) -> bytes:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    return struct.pack("<I", masked)


# Fields of a message: a number and a wire type (0 varint, 1 double, 2 bytes, 5 float), the value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _event(step: int, content: bytes) -> bytes:
    wall_time = _varint(1 << 3 | 1) + struct.pack("<d", time.time())
    return wall_time + _varint(2 << 3) + _varint(step) + content


class EventWriter:
    """A file of events.

    Args:
        folder: Where it is made, beside those of earlier runs.
        step: The step that the run goes on from; earlier events after it are void.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / f"events.out.tfevents.{stamp}").open("xb")
        self._write(_event(0, _bytes(3, b"brain.Event:2")))
        if step:
            start = _varint(1 << 3) + _varint(1)  # SessionLog of status START
            self._write(_event(step + 1, _bytes(7, start)))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one point of the curve ``tag``."""
        number = _varint(2 << 3 | 5) + struct.pack("<f", value)
        self._write(_event(step, _bytes(5, _bytes(1, _bytes(1, tag.encode()) + number))))

    def _write(self, message: bytes) -> None:
        length = struct.pack("<Q", len(message))
        self._file.write(length + _masked_crc(length) + message + _masked_crc(message))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

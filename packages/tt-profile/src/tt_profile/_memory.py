"""Memory of a call, measured: what Python allocates, and what the process holds of the machine."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one call, in bytes.

    Attributes:
        peak: The most that was allocated at once, above what was before, by `tracemalloc`.
        held: What the call allocated and left behind, likewise.
        resident_before: What the process held of the machine's memory before the call; None where
            the system does not tell.
        resident_peak: The most that it held during the call; None where the system does not tell.
        resident_after: What it held after the call; None where the system does not tell.
    """

    peak: int
    held: int
    resident_before: int | None
    resident_peak: int | None
    resident_after: int | None


def memory(function: Callable[[], object]) -> Memory:
    """Measure the memory of a call, as Python allocates it and as the process holds it.

    `tracemalloc` counts every allocation, those of NumPy's arrays included, to the byte. The
    resident size is what the system sees: whole pages, libraries and what was freed but not given
    back too.

    Both peaks are the process's, so what other threads allocate meanwhile counts too. A call that
    measures memory itself, as `profile` and `scaling` do, can be measured; but the peak of a
    `tracemalloc` that you started yourself begins anew with each call.

    Args:
        function: What to measure, without arguments. It is called once; what it returns is
            released before ``held`` and ``resident_after`` are read.

    Returns:
        The figures. Those of the resident size are told on Linux.

    Example:
        >>> import numpy as np
        >>> kept = []
        >>> used = memory(lambda: kept.append(np.ones((1000, 1000)).cumsum()))
        >>> 16_000_000 <= used.peak < 16_100_000, 8_000_000 <= used.held < 8_100_000
        (True, True)
    """
    gc.collect()
    resident_before = resident_memory()
    already_tracing = tracemalloc.is_tracing()
    if not already_tracing:
        tracemalloc.start()
    try:
        with _peaks_anew() as peaks:
            before, _ = tracemalloc.get_traced_memory()
            function()
            after, _ = tracemalloc.get_traced_memory()
    finally:
        if not already_tracing:
            tracemalloc.stop()
    return Memory(
        peak=max(0, peaks.traced - before),
        held=after - before,
        resident_before=resident_before,
        resident_peak=peaks.resident,
        resident_after=resident_memory(),
    )


def peak_memory(function: Callable[[], object]) -> int:
    """Bytes that a call holds at its peak, above what was held before it.

    Measured by `tracemalloc`, to which NumPy reports the memory of its arrays.

    Args:
        function: What to measure, without arguments. It is called once.

    Returns:
        The peak in bytes.

    Example:
        >>> import numpy as np
        >>> 8_000_000 <= peak_memory(lambda: np.zeros(1_000_000)) < 8_100_000
        True
    """
    return memory(function).peak


def resident_memory() -> int | None:
    """Return how many bytes of the machine's memory this process holds.

    Returns:
        The resident size; None where the system does not tell.

    Example:
        >>> resident = resident_memory()
        >>> resident is None or resident > 1_000_000
        True
    """
    return _status("VmRSS")


@dataclass(slots=True)
class _Peaks:
    """The most there was at once, so far; the resident size only where its peak can be reset."""

    traced: int = 0
    resident: int | None = None

    def note(self) -> None:
        """Take note of the process's peaks as they are now."""
        self.traced = max(self.traced, tracemalloc.get_traced_memory()[1])
        if self.resident is not None:
            self.resident = max(self.resident, _status("VmHWM") or 0)


_running: list[_Peaks] = []  # of calls in any thread, as the peaks are the process's
_changing = Lock()


@contextmanager
def _peaks_anew() -> Iterator[_Peaks]:
    """Reset the process's peaks, after the calls around this one have taken note of them.

    Yields:
        What the peaks are, once the block has ended.
    """
    with _changing:
        for each in _running:
            each.note()
        tracemalloc.reset_peak()
        peaks = _Peaks(resident=0 if _reset_resident_peak() else None)
        _running.append(peaks)
    try:
        yield peaks
        peaks.note()
    finally:
        with _changing:
            _running[:] = [each for each in _running if each is not peaks]


def _status(field: str) -> int | None:
    """Return a size that Linux tells of this process."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return int(value.split()[0]) * 1024  # "1234 kB"
    return None


def _reset_resident_peak() -> bool:
    """Have Linux forget the process's highest resident size, and say whether it does."""
    with suppress(OSError):
        handle = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            return os.write(handle, b"5") == 1
        finally:
            os.close(handle)
    return False

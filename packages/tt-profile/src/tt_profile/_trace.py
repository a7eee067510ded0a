"""What ran when, as JSON that trace viewers read."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._passes import Span
    from ._profile import Profile

_PROCESS, _THREAD = 1, 1


def save_trace(profile: Profile, path: str | os.PathLike[str]) -> None:
    """Write what ran when in the Chrome trace format; see `Profile.save_trace`."""
    events: list[dict[str, Any]] = [
        {"name": name, "ph": "M", "pid": _PROCESS, "tid": _THREAD, "args": {"name": value}}
        for name, value in (("process_name", "tt-profile"), ("thread_name", "the counted pass"))
    ]
    # A viewer nests what starts at the same time by length.
    spans = sorted(profile.spans, key=lambda span: (span.start, -span.seconds))
    events += [_event(profile, span) for span in spans]
    text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, indent=1)
    _replace(Path(path), text)


def _event(profile: Profile, span: Span) -> dict[str, Any]:
    """Return a complete event (``X``), whose times are in microseconds."""
    layer = profile.layers[span.layer]
    if span.kind == "module":
        name = span.name if span.name == "backward" else f"{layer.name} {layer.kind}".strip()
        args: dict[str, Any] = {}
    else:
        name = span.name if span.kind == "forward" else f"{span.name} backward"
        args = {"layer": layer.name, "flops": span.flops, "bytes": span.bytes}
    return {
        "name": name,
        "cat": span.kind,
        "ph": "X",
        "ts": span.start * 1e6,
        "dur": span.seconds * 1e6,
        "pid": _PROCESS,
        "tid": _THREAD,
        "args": args,
    }


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise

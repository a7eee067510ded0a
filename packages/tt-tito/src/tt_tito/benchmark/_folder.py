"""Files of a folder that someone else made: nothing outside of it, no links, no surprises in size.

Each file is read once. What is checked is what is used, whatever becomes of the file meanwhile.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from ._checks import Rejected, show


def relative_path(value: object, where: str) -> str:
    """Check a path: relative, with ``/`` between its parts, and inside the folder.

    Raises:
        Rejected: It is not so.

    Example:
        >>> relative_path("weights/model.safetensors", "files")
        'weights/model.safetensors'
        >>> relative_path("../model.safetensors", "files")
        Traceback (most recent call last):
        tt_tito.benchmark._checks.Rejected: files: the path '../model.safetensors' leads outside...
    """
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise Rejected(f"{where}: expected a path inside the folder, got {show(value)}.")
    parts = PurePosixPath(value).parts
    foreign = "\\" in value or PureWindowsPath(value).drive or ":" in value
    if foreign or not parts or value.startswith("/") or ".." in parts:
        raise Rejected(f"{where}: the path {show(value)} leads outside the submission's folder.")
    return value


def read_file(folder: Path, path: str, limit: int) -> bytes:
    """Read a regular file of a folder.

    Args:
        folder: The folder.
        path: The file, as `relative_path` checked it.
        limit: The most bytes that it may have.

    Raises:
        Rejected: It cannot be read, is or lies behind a symbolic link, is no regular file, or is
            larger than the limit.
    """
    place = folder
    try:
        for part in PurePosixPath(path).parts:
            place = place / part
            if stat.S_ISLNK(place.lstat().st_mode):
                raise Rejected(f"{path}: symbolic links are not followed.")
        if not stat.S_ISREG(place.lstat().st_mode):
            raise Rejected(f"{path}: not a regular file.")
        # Neither a link nor a pipe that was put in its place just now is waited for.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(place, flags | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Rejected(f"{path}: cannot be read ({error.strerror or error}).") from None
    if len(data) > limit:
        raise Rejected(f"{path}: larger than the {limit:,} bytes that are allowed.")
    return data

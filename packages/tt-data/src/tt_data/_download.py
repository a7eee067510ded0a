"""Files fetched from the web, so that the cache holds the right file or none."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ._errors import DownloadError
from ._progress import Progress

if TYPE_CHECKING:
    from requests import Response

CHUNK = 1 << 16
CONNECT = 5.0  # seconds for a connection; a network that swallows packets has many addresses
ATTEMPTS = 20  # at one mirror, each of which brought something


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the web whose content is known.

    Args:
        name: Its name in the folder that it is kept in.
        sha256: The checksum of its content, in hexadecimal.
        size: Its size in bytes.
        mirrors: The addresses to try, one after the other.

    Example:
        >>> import tempfile, tt_data
        >>> file = tt_data.RemoteFile("a.txt", "00" * 32, 10, ("http://localhost:1/a.txt",))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     try:
        ...         file.fetch(folder)
        ...     except tt_data.DownloadError as error:
        ...         print(str(error).splitlines()[1].rpartition(": ")[0])
          http://localhost:1/a.txt: ConnectionRefusedError
    """

    name: str
    sha256: str
    size: int
    mirrors: tuple[str, ...]

    def fetch(self, folder: str | os.PathLike[str], *, timeout: float = 30.0) -> Path:
        """Download the file unless it is there already.

        What arrives goes to a hidden file beside it, which a later call goes on with, and is moved
        to its name in one step once its checksum is right. Other processes that want the same file
        wait. A file that is there already is taken as it is.

        Args:
            folder: Where it is kept; made if it does not exist.
            timeout: Seconds without an answer or a byte after which a mirror is given up.

        Returns:
            The file's path.

        Raises:
            DownloadError: No mirror had it, or it could not be written.
        """
        target = Path(folder) / self.name
        if target.exists():
            return target
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(f".{self.name}.lock")):
                if not target.exists():  # by now
                    self._download(target, timeout)
        except OSError as error:
            raise DownloadError(
                f"{self.name} cannot be written into {folder}: {error}. Make room there or the "
                "folder writable, or name another with TT_DATA_HOME."
            ) from error
        return target

    def _download(self, target: Path, timeout: float) -> None:
        part = target.with_name(f".{self.name}.part")
        errors = []
        for url in self.mirrors:
            try:
                self._from_mirror(url, part, timeout)
            except _MirrorError as error:
                errors.append(f"  {url}: {error}")
            else:
                part.replace(target)
                return
        raise DownloadError(
            f"{self.name} could not be downloaded into {target.parent}:\n"
            + "\n".join(errors)
            + f"\nTry again later, or put the file into {target.parent} yourself."
        )

    def _from_mirror(self, url: str, part: Path, timeout: float) -> None:
        """Bring the right content into ``part``, or raise _MirrorError."""
        for _ in range(ATTEMPTS):
            begun = _size(part)
            try:
                if begun < self.size:
                    self._receive(url, part, begun, timeout)
            except _MirrorError:
                if _size(part) <= begun:
                    raise
                continue  # the connection was cut: go on from there
            if _sha256(part) == self.sha256:
                return
            part.unlink()
            if not begun:
                raise _MirrorError("its content has another checksum than the official file")
        raise _MirrorError(f"the connection was cut {ATTEMPTS} times")

    def _receive(self, url: str, part: Path, begun: int, timeout: float) -> None:
        """Append what is missing to ``part``, or write it anew if the server sends all of it."""
        import requests

        headers = {"Accept-Encoding": "identity"}
        if begun:
            headers["Range"] = f"bytes={begun}-"
        try:
            with requests.get(
                url, headers=headers, stream=True, timeout=(min(CONNECT, timeout), timeout)
            ) as response:
                continues = response.status_code == requests.codes.partial and response.headers.get(
                    "Content-Range", ""
                ).startswith(f"bytes {begun}-")
                if continues or response.status_code == requests.codes.ok:
                    self._write(response, part, begun if continues else 0)
                    return
                if not begun or response.status_code not in (206, 416):
                    raise _MirrorError(f"HTTP {response.status_code} {response.reason}")
        except requests.RequestException as error:
            raise _MirrorError(_reason(error, timeout)) from error
        part.unlink()  # it cannot go on from there
        self._receive(url, part, 0, timeout)

    def _write(self, response: Response, part: Path, begun: int) -> None:
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise _MirrorError("it sends the file in another encoding")
        if length := response.headers.get("Content-Length"):
            if begun + int(length) != self.size:
                raise _MirrorError(f"its file has {begun + int(length)} bytes, not {self.size}")
        received = begun
        with open(part, "ab" if begun else "wb") as file, Progress(self.name, self.size) as bar:
            for chunk in response.iter_content(CHUNK):
                received += len(chunk)
                if received > self.size:
                    file.truncate(0)
                    raise _MirrorError(f"its file has more than {self.size} bytes")
                file.write(chunk)
                bar.show(received)
            file.flush()
            os.fsync(file.fileno())
        if received < self.size:
            raise _MirrorError(f"it ended after {received} of {self.size} bytes")


class _MirrorError(Exception):
    """A mirror that does not have the file."""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: BaseException, timeout: float) -> str:
    """Say what is at the bottom of an error that went through several layers."""
    if type(error).__name__ == "ConnectTimeout":
        return f"no connection within {min(CONNECT, timeout):g} seconds"
    while error.__context__ is not None:
        error = error.__context__
    if isinstance(error, TimeoutError):
        return f"nothing came for {timeout:g} seconds"
    return f"{type(error).__name__}: {error}"

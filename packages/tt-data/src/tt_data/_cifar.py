"""CIFAR-10."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, ClassVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from ._errors import DownloadError
from ._idx import check_labels, malformed, opened
from ._images import DownloadableImages, Resource

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32  # a byte for the label, then the red plane, the green and the blue one
RECORDS = 10_000  # in each file; there is no header to say so
ARCHIVE = "cifar-10-binary.tar.gz"
MOST_UNPACKED = 1 << 28
CHUNK = 1 << 18


class CIFAR10(DownloadableImages):
    """Photographs of ten kinds of things: 50,000 of 32 by 32 pixels to train with, 10,000 to test.

    Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Downloaded on first
    use: 170 MB.

    The files are ``cifar-10-batches-bin/data_batch_{1..5}.bin`` and ``test_batch.bin``, as the
    official binary archive unpacks. The archive itself, put beside that folder, does as well.

    Args:
        train: Whether to take the training images or the test images.
        data_dir: The folder that has the folder ``cifar-10-batches-bin``; the data home unless
            given.
        download: Whether to download what is not there.

    Raises:
        DataError: A file is malformed, or is missing and not downloaded.
        DownloadError: No mirror had it.

    Example:
        >>> import tt_data
        >>> train = tt_data.CIFAR10()  # doctest: +SKIP
        >>> train.data.shape  # doctest: +SKIP
        (50000, 3, 32, 32)
    """

    classes = (
        "airplane", "automobile", "bird", "cat", "deer",
        "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    folder = "cifar-10-batches-bin"
    mirrors = (
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
        "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
    )
    resources: ClassVar[Mapping[str, Resource]] = {
        ARCHIVE: Resource(
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171
        )
    }

    @classmethod
    def needed(cls, train: bool) -> list[str]:
        """Return the names of the files that one part of the data set is in."""
        return [f"data_batch_{k}.bin" for k in range(1, 6)] if train else ["test_batch.bin"]

    @classmethod
    def _find(cls, folder: Path, name: str) -> Path | None:
        path = folder / cls.folder / name
        return path if path.is_file() else None

    @classmethod
    def _fetch(cls, folder: Path, name: str) -> None:
        place, archive = folder / cls.folder, folder / ARCHIVE
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{cls.folder}.lock"):
                if cls._find(folder, name) is not None:  # by now
                    return
                own = archive.exists()
                cls._remote(ARCHIVE).fetch(folder)
                _unpack(archive, place, {*cls.needed(True), *cls.needed(False)})
                if not own:
                    archive.unlink()
        except OSError as error:
            raise _unwritable(place, error) from error

    @classmethod
    def _read(cls, folder: Path, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        names = cls.needed(train)
        images = np.empty((len(names) * RECORDS, *SHAPE), np.uint8)
        labels = np.empty(len(images), np.uint8)
        for k, name in enumerate(names):
            path = folder / cls.folder / name
            with opened(path) as file:
                data = file.read(RECORDS * RECORD + 1)
            if len(data) != RECORDS * RECORD:
                size = path.stat().st_size
                raise malformed(
                    path,
                    f"expected {RECORDS} records of {RECORD} bytes, {RECORDS * RECORD} in all, got "
                    f"{size}",
                )
            records = np.frombuffer(data, np.uint8).reshape(RECORDS, RECORD)
            check_labels(path, records[:, 0], len(cls.classes))
            labels[k * RECORDS : (k + 1) * RECORDS] = records[:, 0]
            images[k * RECORDS : (k + 1) * RECORDS] = records[:, 1:].reshape(RECORDS, *SHAPE)
        return images, labels


def _unpack(archive: Path, folder: Path, wanted: set[str]) -> None:
    """Unpack the files that are wanted, under names of ours, each moved in place when whole.

    Raises:
        DataError: The archive is damaged, too large, or has not all of them.
    """
    left = set(wanted)
    part = folder / ".unpacking.part"
    try:
        with (
            opened(archive) as file,
            tarfile.open(fileobj=_Bounded(file, archive), mode="r|", bufsize=CHUNK) as tar,
        ):
            for member in tar:
                name = member.name.rpartition("/")[2]
                content = tar.extractfile(member) if name in left and member.isreg() else None
                if content is not None and member.size == RECORDS * RECORD:
                    _write(content.read(), part, folder / name)
                    left.remove(name)
                if not left:
                    return
    except tarfile.TarError as error:
        raise malformed(archive, f"it is no tar archive: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    raise malformed(archive, f"it has no {', '.join(sorted(left))} of {RECORDS * RECORD} bytes")


def _write(data: bytes, part: Path, target: Path) -> None:
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:  # which is not one of the archive that is being read
        raise _unwritable(target.parent, error) from error


def _unwritable(folder: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"CIFAR-10 cannot be unpacked into {folder}: {error}. Make room there or the folder "
        "writable, or name another with TT_DATA_HOME."
    )


class _Bounded(io.RawIOBase):
    """A file of which no more is read than an honest archive holds."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._left = MOST_UNPACKED

    def read(self, size: int = -1) -> bytes:
        """Read some bytes."""
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise malformed(self._path, f"it unpacks to more than {MOST_UNPACKED} bytes")
        return data

"""Image data sets: those that ship with the package, and what those that are downloaded share."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tt_tensor import Tensor, from_numpy

from ._dataset import TensorDataset
from ._download import RemoteFile
from ._errors import MissingFileError
from ._home import data_folder


class ImageDataset(TensorDataset):
    """Images and their labels in memory.

    An item is a pair of an image, uint8 of shape (C, H, W), and its label, int64 without
    dimensions.

    Args:
        data: The images, (N, C, H, W).
        targets: The labels, (N,).

    Attributes:
        classes: The name of each class, in the order of the labels.
    """

    classes: ClassVar[tuple[str, ...]]

    def __init__(self, data: NDArray[Any], targets: NDArray[Any]) -> None:
        super().__init__(from_numpy(data), from_numpy(targets.astype(np.int64, copy=False)))

    @property
    def data(self) -> Tensor:
        """All images, (N, C, H, W), uint8."""
        return self.tensors[0]

    @property
    def targets(self) -> Tensor:
        """All labels, (N,), int64."""
        return self.tensors[1]


class Digits(ImageDataset):
    """The UCI handwritten digits: 1,797 images of 8 by 8 pixels with values from 0 to 16.

    They ship with the package. E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
    Digits", UCI Machine Learning Repository, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0.

    Example:
        >>> import tt_data
        >>> digits = tt_data.Digits()
        >>> digits.data.shape, int(digits.data.max()), digits.targets[:4]
        ((1797, 1, 8, 8), 16, tensor([0, 1, 2, 3]))
        >>> train, held_out = tt_data.random_split(digits, [0.8, 0.2])
        >>> len(train), len(held_out)
        (1438, 359)
    """

    classes = tuple("0123456789")

    def __init__(self) -> None:
        with (
            files("tt_data").joinpath("files/digits.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as arrays,
        ):
            super().__init__(arrays["images"][:, None], arrays["labels"])


class Resource(NamedTuple):
    """What is known of an official file.

    Attributes:
        sha256: The checksum of its content, in hexadecimal.
        size: Its size in bytes.
    """

    sha256: str
    size: int


class DownloadableImages(ImageDataset):
    """An image data set that is downloaded on first use.

    Files that are in the folder already are used as they are: checked for structure, not for the
    official content.

    Args:
        train: Whether to take the training images or the test images.
        data_dir: The folder that has the data set's folder; the data home unless given.
        download: Whether to download what is not there.

    Attributes:
        folder: The name of the data set's folder.
        mirrors: Addresses of folders with the official files.
        resources: The official files by name.

    Raises:
        DataError: A file is malformed, or is missing and not downloaded.
        DownloadError: No mirror had it.
    """

    folder: ClassVar[str]
    mirrors: ClassVar[tuple[str, ...]]
    resources: ClassVar[Mapping[str, Resource]]

    def __init__(
        self,
        train: bool = True,
        *,
        data_dir: str | os.PathLike[str] | None = None,
        download: bool = True,
    ) -> None:
        folder = data_folder(data_dir)
        self.train = train
        for name in self.needed(train):
            if self._find(folder, name) is None:
                if not download:
                    raise MissingFileError(self._absent(folder, name))
                self._fetch(folder, name)
        super().__init__(*self._read(folder, train))

    @classmethod
    def fetch(cls, data_dir: str | os.PathLike[str] | None = None) -> Path:
        """Download all files that are not there.

        Args:
            data_dir: The folder that has the data set's folder; the data home unless given.

        Returns:
            The data set's folder.

        Raises:
            DownloadError: No mirror had a file, or it could not be written.
        """
        folder = data_folder(data_dir)
        for name in cls.missing(folder):
            if cls._find(folder, name) is None:  # it may have come with the one before
                cls._fetch(folder, name)
        return folder / cls.folder

    @classmethod
    def missing(cls, data_dir: str | os.PathLike[str] | None = None) -> list[str]:
        """Return the names of the files that are not there.

        Args:
            data_dir: The folder that has the data set's folder; the data home unless given.
        """
        folder = data_folder(data_dir)
        names = [*cls.needed(True), *cls.needed(False)]
        return [name for name in names if cls._find(folder, name) is None]

    @classmethod
    @abstractmethod
    def needed(cls, train: bool) -> list[str]:
        """Return the names of the files that one part of the data set is in.

        Args:
            train: Whether the part is the training images or the test images.
        """

    @classmethod
    @abstractmethod
    def _find(cls, folder: Path, name: str) -> Path | None:
        """Return where a file is, if it is there."""

    @classmethod
    @abstractmethod
    def _fetch(cls, folder: Path, name: str) -> None:
        """Download a file, or what it is in."""

    @classmethod
    @abstractmethod
    def _read(cls, folder: Path, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Read the images and the labels, and check them."""

    @classmethod
    def _remote(cls, name: str) -> RemoteFile:
        resource = cls.resources[name]
        addresses = tuple(f"{mirror.rstrip('/')}/{name}" for mirror in cls.mirrors)
        return RemoteFile(name, resource.sha256, resource.size, addresses)

    @classmethod
    def _absent(cls, folder: Path, name: str) -> str:
        place = folder / cls.folder
        return (
            f"{name} is not in {place}. Put it there, or let it be downloaded ({cls.mirrors[0]})."
        )

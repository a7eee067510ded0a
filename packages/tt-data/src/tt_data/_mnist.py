"""MNIST, and what has its format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ._idx import check_labels, malformed, read_idx
from ._images import DownloadableImages, Resource

SIDE = 28


class MNIST(DownloadableImages):
    """Handwritten digits: 60,000 images of 28 by 28 pixels to train with, 10,000 to test.

    LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition",
    1998. Downloaded on first use: 12 MB.

    The files are ``mnist/{train,t10k}-{images-idx3,labels-idx1}-ubyte``, each with ``.gz`` after it
    or not.

    Args:
        train: Whether to take the training images or the test images.
        data_dir: The folder that has the folder ``mnist``; the data home unless given.
        download: Whether to download what is not there.

    Raises:
        DataError: A file is malformed, or is missing and not downloaded.
        DownloadError: No mirror had it.

    Example:
        >>> import tt_data
        >>> train = tt_data.MNIST()  # doctest: +SKIP
        >>> train.data.shape  # doctest: +SKIP
        (60000, 1, 28, 28)
    """

    classes = tuple("0123456789")
    folder = "mnist"
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    resources: ClassVar[Mapping[str, Resource]] = {
        "train-images-idx3-ubyte.gz": Resource(
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422
        ),
        "train-labels-idx1-ubyte.gz": Resource(
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881
        ),
        "t10k-images-idx3-ubyte.gz": Resource(
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877
        ),
        "t10k-labels-idx1-ubyte.gz": Resource(
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542
        ),
    }

    @classmethod
    def needed(cls, train: bool) -> list[str]:
        """Return the names of the files that one part of the data set is in."""
        part = "train" if train else "t10k"
        return [f"{part}-images-idx3-ubyte.gz", f"{part}-labels-idx1-ubyte.gz"]

    @classmethod
    def _find(cls, folder: Path, name: str) -> Path | None:
        paths = (folder / cls.folder / name.removesuffix(".gz"), folder / cls.folder / name)
        return next((path for path in paths if path.is_file()), None)

    @classmethod
    def _fetch(cls, folder: Path, name: str) -> None:
        cls._remote(name).fetch(folder / cls.folder)

    @classmethod
    def _read(cls, folder: Path, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        images_path, labels_path = (
            cls._find(folder, name) or folder / cls.folder / name for name in cls.needed(train)
        )
        images, labels = read_idx(images_path, (SIDE, SIDE)), read_idx(labels_path, ())
        if len(images) != len(labels):
            raise malformed(
                labels_path, f"it has {len(labels)} labels, {images_path.name} {len(images)} images"
            )
        check_labels(labels_path, labels, len(cls.classes))
        return images[:, None], labels  # (N, 1, H, W)


class FashionMNIST(MNIST):
    """Articles of clothing in the format of MNIST: 60,000 images to train with, 10,000 to test.

    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", 2017; MIT licence. Downloaded on first use: 31 MB. Its folder is
    ``fashion-mnist``.

    Args:
        train: Whether to take the training images or the test images.
        data_dir: The folder that has the folder ``fashion-mnist``; the data home unless given.
        download: Whether to download what is not there.

    Raises:
        DataError: A file is malformed, or is missing and not downloaded.
        DownloadError: No mirror had it.

    Example:
        >>> import tt_data
        >>> tt_data.FashionMNIST.classes[:2]
        ('T-shirt/top', 'Trouser')
    """

    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    )  # fmt: skip
    folder = "fashion-mnist"
    mirrors = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    resources: ClassVar[Mapping[str, Resource]] = {
        "train-images-idx3-ubyte.gz": Resource(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880
        ),
        "train-labels-idx1-ubyte.gz": Resource(
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515
        ),
        "t10k-images-idx3-ubyte.gz": Resource(
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102
        ),
        "t10k-labels-idx1-ubyte.gz": Resource(
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148
        ),
    }

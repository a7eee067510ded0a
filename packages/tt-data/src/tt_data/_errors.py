"""What can go wrong with the files of data sets and tokenizers."""

from __future__ import annotations


class DataError(Exception):
    """A file is missing, malformed or changed; the message says which, why and what to do.

    Example:
        >>> import tt_data
        >>> try:
        ...     tt_data.MNIST(data_dir="nowhere", download=False)
        ... except tt_data.DataError as error:
        ...     print(str(error).split(". ")[0])
        train-images-idx3-ubyte.gz is not in nowhere/mnist
    """


class MissingFileError(DataError):
    """A file is neither on this machine nor was it downloaded.

    Example:
        >>> issubclass(MissingFileError, DataError)
        True
    """


class DownloadError(MissingFileError):
    """A file could not be downloaded; the message has every mirror's error.

    Example:
        >>> issubclass(DownloadError, MissingFileError)
        True
    """

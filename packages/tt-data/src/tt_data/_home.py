"""Where data sets are kept."""

from __future__ import annotations

import os
from pathlib import Path


def data_home() -> Path:
    """Return the folder of the data sets: ``TT_DATA_HOME``, else the platform's cache folder.

    Example:
        >>> import os, tt_data
        >>> os.environ["TT_DATA_HOME"] = "my-data"
        >>> tt_data.data_home().name
        'my-data'
        >>> del os.environ["TT_DATA_HOME"]
    """
    if named := os.environ.get("TT_DATA_HOME"):
        return Path(named).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("tt-data", appauthor=False)


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """Return the folder that a user named, or the data home."""
    return data_home() if data_dir is None else Path(data_dir).expanduser()

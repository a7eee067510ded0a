"""The one error that a user of tito is meant to see."""

from __future__ import annotations

SKIP_MISSING_DATA = "TITO_SKIP_MISSING_DATA"


class TitoError(Exception):
    """A usage or data error, told in one clear paragraph: what was wrong, and what to do.

    The `tito` command and a milestone print it without a traceback and end with exit code 2.

    Example:
        >>> raise TitoError("The folder 'data' has no digits; give it with --data-dir.")
        Traceback (most recent call last):
        tt_tito._errors.TitoError: The folder 'data' has no digits; give it with --data-dir.
    """


class MissingDataError(TitoError):
    """A data set that is neither on this machine nor to be had from where it is kept.

    A script that was asked for by name ends with exit code 2. Who runs all scripts of a milestone
    sets the environment variable ``TITO_SKIP_MISSING_DATA``: then the script says that it was not
    run and ends with 0, so that the verdict is that of the others.

    Example:
        >>> issubclass(MissingDataError, TitoError)
        True
    """

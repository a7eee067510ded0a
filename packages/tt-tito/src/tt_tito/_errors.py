"""The one error that a user of tito is meant to see."""

from __future__ import annotations


class TitoError(Exception):
    """A usage or data error, told in one clear paragraph: what was wrong, and what to do.

    The `tito` command and a milestone print it without a traceback and end with exit code 2.

    Example:
        >>> raise TitoError("The folder 'data' has no digits; give it with --data-dir.")
        Traceback (most recent call last):
        tt_tito._errors.TitoError: The folder 'data' has no digits; give it with --data-dir.
    """

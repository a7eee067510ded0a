"""Modes of recording, which hold for the current thread or task."""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Literal

# True: ops on tensors that require grad are recorded. "never": not even under enable_grad.
recording: ContextVar[bool | Literal["never"]] = ContextVar("recording", default=True)
anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)


def is_grad_enabled() -> bool:
    """Return whether ops on tensors that require grad are recorded.

    Example:
        >>> import tt_autograd as tt
        >>> with tt.no_grad():
        ...     tt.is_grad_enabled()
        False
    """
    return recording.get() is True


class _Mode(ContextDecorator):
    """A value of ``recording`` that holds inside a ``with`` block or a decorated function."""

    def __init__(self) -> None:
        self._tokens: list[Token[bool | Literal["never"]]] = []

    def _value(self) -> bool | Literal["never"]:
        raise NotImplementedError

    def _recreate_cm(self) -> _Mode:
        return type(self)()  # each call of a decorated function gets tokens of its own

    def __enter__(self) -> None:
        self._tokens.append(recording.set(self._value()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        recording.reset(self._tokens.pop())


class no_grad(_Mode):  # noqa: N801  # torch's name
    """Record nothing inside the block or the decorated function.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> with tt.no_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    def _value(self) -> bool | Literal["never"]:
        return "never" if recording.get() == "never" else False


class enable_grad(_Mode):  # noqa: N801  # torch's name
    """Record inside the block again, within an outer `no_grad`.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> with tt.no_grad(), tt.enable_grad():
        ...     y = x * 2
        >>> y.requires_grad
        True
    """

    def _value(self) -> bool | Literal["never"]:
        return "never" if recording.get() == "never" else True


class inference_mode(_Mode):  # noqa: N801  # torch's name
    """Record nothing inside the block, not even under an `enable_grad` within it.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.ones(2, requires_grad=True)
        >>> with tt.inference_mode(), tt.enable_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    def _value(self) -> bool | Literal["never"]:
        return "never"


class detect_anomaly(ContextDecorator):  # noqa: N801  # torch's name
    """Stop backward at the first NaN, naming the op and the line that created it.

    Forward and backward must both run inside the block. Every op then notes the line it was
    called from, which costs a few microseconds.

    Raises:
        RuntimeError: From ``backward``: a gradient became NaN.

    Example:
        >>> import tt_autograd as tt
        >>> x = tt.zeros(1, requires_grad=True)
        >>> with tt.detect_anomaly():
        ...     y = (x * 0).sqrt() * 0
        ...     try:
        ...         y.backward()
        ...     except RuntimeError as error:
        ...         print("sqrt" in str(error))
        True
    """

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def _recreate_cm(self) -> detect_anomaly:
        return detect_anomaly()

    def __enter__(self) -> None:
        self._tokens.append(anomaly.set(True))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        anomaly.reset(self._tokens.pop())

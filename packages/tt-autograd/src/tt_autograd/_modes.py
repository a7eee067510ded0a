"""Modes of recording, which hold for the current thread or task."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import ContextVar, Token
from functools import wraps
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, overload

# True: ops on tensors that require grad are recorded. "never": not even under enable_grad.
recording: ContextVar[bool | Literal["never"]] = ContextVar("recording", default=True)
anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)
# While a checkpoint runs its function again: the numbers of its first run's start and this one's.
replaying: ContextVar[tuple[int, int] | None] = ContextVar("replaying", default=None)
# What is told the number of each node when its derivative has run
visited: ContextVar[Callable[[int], None] | None] = ContextVar("visited", default=None)
# Whether leaves' post-accumulate hooks run while backward goes on, not at its end
prompt: ContextVar[bool] = ContextVar("prompt", default=False)


def is_grad_enabled() -> bool:
    """Return whether ops on tensors that require grad are recorded.

    Example:
        >>> import tt_autograd as tt
        >>> with tt.no_grad():
        ...     tt.is_grad_enabled()
        False
    """
    return recording.get() is True


# Bits of a code object's flags, as in the inspect module, which is slow to import
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200

P = ParamSpec("P")
R = TypeVar("R")


class _Decorator:
    """A context manager that decorates functions, also generators and coroutines."""

    _tokens: list[Token[Any]]  # what to set the mode back to, of each block inside another

    @overload
    def __new__(cls) -> Self: ...

    @overload
    def __new__(cls, func: Callable[P, R]) -> Callable[P, R]: ...  # type: ignore[misc]  # no instance

    def __new__(cls, func: Callable[..., Any] | None = None) -> Any:
        """Make a mode; given a function, as by ``@no_grad`` without (), decorate it."""
        made = super().__new__(cls)
        made._tokens = []
        return made if func is None else made(func)

    def __enter__(self) -> None:
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        raise NotImplementedError

    def __call__(self, func: Callable[P, R]) -> Callable[P, R]:
        """Return the function with this mode in force while it runs."""
        flags = getattr(getattr(func, "__code__", None), "co_flags", 0)
        if flags & _ASYNC_GENERATOR:
            raise TypeError(
                f"{type(self).__name__}: an asynchronous generator function cannot be decorated; "
                "use a with block inside it"
            )
        if flags & _GENERATOR:
            return self._generator(func)  # type: ignore[arg-type, return-value]  # it is one
        if flags & _COROUTINE:
            return self._coroutine(func)

        @wraps(func)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with type(self)():  # each call gets tokens of its own
                return func(*args, **kwargs)

        return run

    def _generator(
        self, func: Callable[P, Generator[Any, Any, Any]]
    ) -> Callable[P, Generator[Any, Any, Any]]:
        @wraps(func)
        def run(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
            # The mode holds while the body runs, and not while it waits for its caller.
            body = func(*args, **kwargs)
            step, value = body.send, None
            while True:
                try:
                    with type(self)():
                        result = step(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, value = body.send, (yield result)
                except GeneratorExit:
                    with type(self)():
                        body.close()
                    raise
                except BaseException as error:
                    step, value = body.throw, error

        return run

    def _coroutine(self, func: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(func)
        async def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            with type(self)():
                return await func(*args, **kwargs)

        return run


class _Mode(_Decorator):
    """A value of ``recording`` that holds inside a ``with`` block or a decorated function."""

    def _value(self) -> bool | Literal["never"]:
        raise NotImplementedError

    def __enter__(self) -> None:
        self._tokens.append(recording.set(self._value()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        recording.reset(self._tokens.pop())


class no_grad(_Mode):  # torch's name
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


class enable_grad(_Mode):  # torch's name
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


class inference_mode(_Mode):  # torch's name
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


class always_grad(_Mode):  # as its siblings
    """Record whatever the mode: for backward itself, which may run in any."""

    def _value(self) -> bool | Literal["never"]:
        return True


class detect_anomaly(_Decorator):  # torch's name
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

    def __enter__(self) -> None:
        self._tokens.append(anomaly.set(True))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        anomaly.reset(self._tokens.pop())

"""Child processes: commands as lists, no variable that lets foreign code in, none left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# What would let code from outside into an environment, or change what is installed there.
FOREIGN = frozenset(
    {
        *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONWARNINGS"),
        *("PYTHONSAFEPATH", "PYTHONOPTIMIZE", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"),
        *("PIP_CONSTRAINT", "PIP_REQUIREMENT", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"),
        *("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT"),
        *("UV_COMPILE_BYTECODE", "VIRTUAL_ENV", "CONDA_PREFIX"),
    }
)
TAIL = 20_000  # bytes of output that are kept
GRACE = 5.0  # seconds that an interrupted child has


def clean_environment() -> dict[str, str]:
    """The variables of this process, without those that would let foreign code into a child."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    kept.setdefault("UV_SYSTEM_CERTS", "1")  # trust what the machine trusts, as pip does
    return kept


@dataclass(frozen=True, slots=True)
class Ended:
    """How a child ended.

    Attributes:
        code: Its exit code; negative where a signal ended it.
        reason: Why it was stopped from outside; None if it ended by itself.
        output: The end of what it printed, standard output and errors together.
    """

    code: int
    reason: str | None
    output: str


class Launch(Protocol):
    """Runs a command to its end. Grading has one with limits; `launch` has one of time, if that."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        given: str = "",
    ) -> Ended: ...


def launch(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    given: str = "",
    seconds: float | None = None,
) -> Ended:
    """Run a command to its end; it and all that it started are gone when this returns.

    Args:
        command: The program and its arguments.
        folder: The folder that it runs in.
        environment: Its variables.
        given: What it reads on standard input.
        seconds: How long it may run; None means without a limit.
    """
    reason = None
    group: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            **group,
        )
        try:
            process.communicate(given.encode(), timeout=seconds)
        except subprocess.TimeoutExpired:
            reason = f"ran longer than {seconds:g} seconds"
        finally:  # also when Ctrl-C ends the wait
            kill(process)
        output.seek(max(0, output.seek(0, os.SEEK_END) - TAIL))
        text = output.read().decode(errors="replace")
    return Ended(process.returncode, reason, text)


def foreground(
    command: Sequence[str], *, folder: Path, environment: Mapping[str, str], given: str = ""
) -> Ended:
    """Run a command that shares this terminal: what it prints is seen, and it may ask.

    Args:
        command: The program and its arguments.
        folder: The folder that it runs in.
        environment: Its variables.
        given: What it reads on standard input, in place of what is typed.
    """
    sys.stdout.flush()
    given_or_typed = subprocess.PIPE if given else None
    process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdin=given_or_typed)
    try:
        process.communicate(given.encode() or None)
    except KeyboardInterrupt:  # Ctrl-C has reached it too: it may end in its own way
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        raise
    finally:
        process.kill()
        process.wait()
    return Ended(process.returncode, None, "")


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a child, and where the platform has process groups all that is left of its group."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # no one is left in it
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()

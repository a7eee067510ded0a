"""Runs the tests of a module inside the learner's environment and records what they found.

Runs as a file with that environment's Python, which need not hold tt-tito: the standard library and
pytest are enough. The job comes on standard input, as JSON. What is found goes to a file, one JSON
object on each line, each with the token of this run; the last says that all tests were run. What is
printed counts for nothing, nor does the exit code alone.
"""

from __future__ import annotations

import importlib
import json
import linecache
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

import pytest

LONGEST = 1000  # characters of a value that are recorded
PRINTED = 4000  # characters of what a failing test printed
FRAMES = 60  # frames of a traceback, the innermost
NOTES = 20  # notes of an exception
COMPARING = (
    *("builtins", "math", "operator", "hypothesis", "numpy"),
    *("numpy._core.numeric", "numpy._core.fromnumeric", "numpy._core._methods"),
    *("numpy.testing", "numpy.testing._private.utils"),
    *("pytest", "_pytest.approx", "_pytest.python_api", "_pytest.raises"),
)

Record = dict[str, object]
Write = Callable[[Record], None]


def main() -> int:
    """Run the job that stands on standard input and return pytest's exit code."""
    job = json.load(sys.stdin)
    token = job.pop("token")
    with open(job["results"], "a", encoding="utf-8") as results:

        def write(record: Record) -> None:
            results.write(json.dumps(record | {"token": token}) + "\n")
            results.flush()

        # What is compiled of the environment is kept; of what is tested and of the tests, nothing.
        for name in job["libraries"]:
            with suppress(ImportError):
                importlib.import_module(name)
        sys.dont_write_bytecode = True
        places = {(place[0], place[1]): place[2] for place in job["places"]}
        recorder = Recorder(write, places, Comparisons(), most=job["most"])
        # Only plugins that are named run: what is tested cannot bring one.
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        code = int(pytest.main(job["arguments"], plugins=[recorder]))
        write({"event": "finished", "code": code, "ended": recorder.ended})
        return code


class Comparisons:
    """What tests compare with, as it was before anything that is tested was imported."""

    def __init__(self) -> None:
        modules = {name: sys.modules[name] for name in COMPARING if name in sys.modules}
        things = [thing for module in modules.values() for thing in vars(module).values()]
        self._modules = modules
        self._kept = [
            (owner, name, thing, parts_of(thing))
            for owner in [*modules.values(), *filter(is_pytests, things)]
            for name, thing in vars(owner).items()
            if callable(thing) or isinstance(thing, ModuleType)
        ]

    def changed(self) -> str | None:
        """Name what is not as it was, if something is not: another thing, or its insides."""
        for name, module in self._modules.items():
            if sys.modules.get(name) is not module:
                return name
        for owner, name, thing, parts in self._kept:
            if vars(owner).get(name) is not thing or (
                parts and list(map(id, parts)) != list(map(id, parts_of(thing)))
            ):
                return f"{owner.__name__}.{name}"
        return None


def is_pytests(thing: object) -> bool:
    """Whether something is a class that pytest compares with, such as that of ``approx(1)``."""
    return isinstance(thing, type) and thing.__module__ in COMPARING[-3:]


def parts_of(thing: object) -> list[object]:
    """What of a function, and of one that it wraps, can be changed in place."""
    parts: list[object] = []
    while thing is not None:
        if isinstance(thing, FunctionType):
            parts += [thing.__code__, thing.__defaults__, *(thing.__kwdefaults__ or {}).values()]
        thing = getattr(thing, "__wrapped__", None)
    return parts


class Recorder:
    """The plugin that records what each test did.

    Args:
        write: Takes each record.
        places: The exercises to watch for: file and qualified name of the code, to name. Without
            any, nothing is watched.
        comparisons: What tests compare with. While it is not as it was, no test passes.
        most: After how many failures the run stops; None means that all tests are run.
    """

    def __init__(
        self,
        write: Write,
        places: dict[tuple[str, str], str],
        comparisons: Comparisons,
        *,
        most: int | None = None,
    ) -> None:
        self._write = write
        self._places = places
        self._comparisons = comparisons
        self._most = most
        self._session: pytest.Session | None = None
        self._failures = 0
        self._compared: tuple[object, object] | None = None
        self._ran: dict[str, int] = {}
        self._outcome = "passed"
        self._details: Record | None = None
        self.ended = 0

    def pytest_sessionstart(self) -> None:
        """Let hypothesis try the same examples each time, and not explain a failure at length."""
        if (hypothesis := sys.modules.get("hypothesis")) is not None:
            settings, phases = hypothesis.settings, list(hypothesis.Phase)
            phases.remove(hypothesis.Phase.explain)
            settings.register_profile(
                "tito", settings(), phases=phases, derandomize=True, database=None
            )
            settings.load_profile("tito")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record which tests there are."""
        self._session = session
        self._write({"event": "collected", "tests": [item.nodeid for item in session.items]})

    def pytest_exception_interact(
        self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]
    ) -> None:
        """Record why tests cannot be collected."""
        if isinstance(node, pytest.Collector) and call.excinfo is not None:
            error = call.excinfo.value
            details = self._describe(error.__cause__ or error)  # not pytest's words about it
            self._write({"event": "unreadable", "test": node.nodeid, "failure": details})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record that a test begins: if nothing more comes, it was the one that ran."""
        self._outcome, self._details, self._compared = "passed", None, None
        self._ran = {}
        self._write({"event": "started", "test": nodeid})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, Any, Any]:
        """Watch which exercises a test runs, if that is wanted."""
        with watch(self._places, self._ran):
            return (yield)

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> None:
        """Keep the two sides of the comparison that failed: the actual value and the expected."""
        if op not in ("in", "not in"):  # there the value stands on either side
            self._compared = (left, right)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Describe a failure while its values are still there."""
        report = yield
        if report.failed and self._details is None:
            self._outcome = "failed"
            error = call.excinfo.value if call.excinfo else AssertionError(report.longreprtext)
            self._details = self._describe(error)
            self._details["printed"] = (report.capstdout + report.capstderr)[-PRINTED:]
        elif report.skipped and self._outcome == "passed":
            self._outcome = "skipped"
            reason = skipped_from_outside(item, report)
            if reason:
                self._outcome = "failed"
                self._details = {"message": reason, "frames": frames_of(call)}
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record how a test ended."""
        self.ended += 1
        if self._outcome == "passed" and (changed := self._comparisons.changed()):
            self._outcome = "failed"
            self._details = {"message": f"The tested code changed {changed}.", "frames": []}
        record: Record = {"event": "ended", "test": nodeid, "outcome": self._outcome}
        record |= {"ran": self._ran} if self._places else {}
        record |= {"failure": self._details} if self._details is not None else {}
        self._write(record)
        self._failures += self._outcome == "failed"
        if self._failures == self._most and self._session is not None:
            self._session.shouldfail = f"stopped after {self._failures} failures"

    def _describe(self, error: BaseException) -> Record:
        traceback = list(walk(error.__traceback__))
        compared = numpy_sides(traceback)
        if error.__context__ is not None:  # where it began, also of one raised `from None`
            traceback += walk(error.__context__.__traceback__)
        frames = [describe_frame(frame, line) for frame, line in traceback[-FRAMES:]]
        if isinstance(error, SyntaxError) and error.filename is not None:
            text = clipped((error.text or "").strip(), LONGEST)
            frames.append({"file": error.filename, "line": error.lineno, "name": "", "text": text})
        if compared is None and isinstance(error, AssertionError):
            compared = self._compared
        kind = type(error).__name__
        return {
            "kind": kind,
            "message": clipped(safely(str, error) or kind, 4 * LONGEST),
            "notes": [clipped(note, LONGEST) for note in getattr(error, "__notes__", [])[:NOTES]],
            "frames": frames,
            "actual": None if compared is None else value(compared[0]),
            "expected": None if compared is None else value(compared[1]),
        }


def skipped_from_outside(item: pytest.Item, report: pytest.TestReport) -> str | None:
    """Say why a skipped test counts as failed: the code under test cannot excuse itself."""
    if hasattr(report, "wasxfail"):
        return None if item.get_closest_marker("xfail") else "The tested code called pytest.xfail."
    place = report.longrepr[0] if isinstance(report.longrepr, tuple) else ""
    inside = Path(place).is_relative_to(item.config.rootpath)
    return None if inside else "The tested code skipped the test."


def frames_of(call: pytest.CallInfo[None]) -> list[Record]:
    """Describe the frames of a call that ended by an exception."""
    traceback = None if call.excinfo is None else call.excinfo.value.__traceback__
    return [describe_frame(frame, line) for frame, line in list(walk(traceback))[-FRAMES:]]


def walk(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    """Go through a traceback's frames and lines, the outermost first."""
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next


def describe_frame(frame: FrameType, line: int) -> Record:
    """Say where a frame is."""
    code = frame.f_code
    text = clipped(linecache.getline(code.co_filename, line).strip(), LONGEST)
    return {"file": code.co_filename, "line": line, "name": code.co_qualname, "text": text}


def numpy_sides(traceback: list[tuple[FrameType, int]]) -> tuple[object, object] | None:
    """Find what an assertion of NumPy compared: the actual and the desired values."""
    for frame, _ in traceback:
        if str(frame.f_globals.get("__name__", "")).startswith("numpy.testing"):
            found = frame.f_locals
            for actual, desired in (("actual", "desired"), ("x", "y")):
                if actual in found and desired in found:
                    return found[actual], found[desired]
    return None


def value(thing: object) -> Record:
    """Describe a value: its text, its shape and its dtype, where it has them."""
    shape = safely(lambda: tuple(int(size) for size in thing.shape))  # type: ignore[attr-defined]
    if shape is None and isinstance(thing, (list, tuple)) and len(thing) > 8:
        shape = (len(thing),)
    dtype = safely(lambda: str(thing.dtype))  # type: ignore[attr-defined]
    return {"text": clipped(written(thing), LONGEST), "shape": shape, "dtype": dtype}


def written(thing: object) -> str:
    """The text of a value; of a large array its corners."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return safely(repr, thing) or object.__repr__(thing)
    with numpy.printoptions(threshold=40, edgeitems=2, precision=6, suppress=True):
        is_array = isinstance(thing, numpy.ndarray)
        return safely(str if is_array else repr, thing) or object.__repr__(thing)


def safely(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function that may be the learner's; None if it fails."""
    try:
        return function(*arguments)
    except Exception:
        return None


def clipped(text: str, length: int) -> str:
    """Cut a text that is too long."""
    return text if len(text) <= length else text[: length - 2] + " …"


@contextmanager
def watch(places: dict[tuple[str, str], str], ran: dict[str, int]) -> Iterator[None]:
    """Note which exercises run, and the last line that each of them reached.

    Args:
        places: File and qualified name of the code, to the exercise's name.
        ran: Takes the exercises in the order in which they were called, with that line.
    """
    if not places:
        yield
        return
    known: dict[CodeType, str | None] = {}

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event not in ("call", "return"):
            return
        code = frame.f_code
        if code not in known:
            known[code] = places.get((code.co_filename, code.co_qualname))
        if (exercise := known[code]) is not None:
            ran[exercise] = frame.f_lineno

    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


if __name__ == "__main__":
    sys.exit(main())

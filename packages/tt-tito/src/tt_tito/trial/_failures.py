"""Tells a failure in the learner's terms: her lines, her exercises, expected and actual values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module
from tt_tito.course._exercises import locate

from ._outcome import Failure, Line, Ran, Value
from ._records import Record, Records
from ._venv import Venv

LONGEST = 12  # lines of a message


class Teller:
    """Finds the learner's code in what the child recorded.

    Args:
        venv: The environment that the tests ran in.
        curriculum: The course.
        module: The module that is tested.
        mine: The learner's packages: name to folder.
        tests: The copy of the tests.
    """

    def __init__(
        self,
        venv: Venv,
        curriculum: Curriculum,
        module: Module,
        mine: Mapping[str, Path],
        tests: Path,
    ) -> None:
        self._site, self._module = venv.site, module
        self._tests, self._root = tests, curriculum.root
        installed = [source.name for source in venv.sources if source.owner == "mine"]
        self._folders = {package.replace("-", "_"): mine[package] for package in installed}
        self.watched: Records | None = None  # a run in which exercises were watched
        self.places: dict[tuple[str, str], str] = {}  # installed file, qualified name: exercise
        for package in installed:
            for other in curriculum.of_package(package):
                self._find(mine[package], other.exercises_in(package))

    def _find(self, folder: Path, exercises: Iterable[str]) -> None:
        for exercise in exercises:
            try:
                place = locate(folder, exercise)
            except TitoError:  # she has removed it, or its file is not Python: the tests tell that
                continue
            file = self._site / place.file.relative_to("src")
            self.places[str(file), place.qualname] = exercise

    def failure(self, test: str, record: Record) -> Failure:
        """Tell a failure.

        Args:
            test: The test's id.
            record: What the child recorded of it.
        """
        frames = [(frame["file"], frame["line"]) for frame in record["frames"]]
        hers = [frame for frame in frames if self._original(frame[0]) is not None]
        tested = [frame for frame in frames if Path(frame[0]).is_relative_to(self._tests)]
        files = {exercise: file for (file, _), exercise in self.places.items()}
        return Failure(
            test=test,
            message=_message(record),
            expected=_value(record.get("expected")),
            actual=_value(record.get("actual")),
            exercises=tuple(
                Ran(exercise, self._line(files[exercise], number))
                for exercise, number in (self.through(record) or self._ran(test)).items()
            ),
            line=self._line(*hers[-1]) if hers else None,
            tested=self._line(*tested[-1]) if tested else None,
            printed=record.get("printed", ""),
        )

    def through(self, record: Record) -> dict[str, int]:
        """Return the exercises that an error came through, with their lines, the innermost first.

        Args:
            record: What the child recorded of the failure.
        """
        found: dict[str, int] = {}
        for frame in reversed(record["frames"]):
            function = frame["name"].partition(".<locals>")[0]
            if exercise := self.places.get((frame["file"], function)):
                found.setdefault(exercise, frame["line"])
        return found

    def _ran(self, test: str) -> dict[str, int]:
        """Return the exercises that a test was seen to run, with their lines.

        The first are those that the fewest passing tests run, and the module's own before others.
        """
        if self.watched is None or test not in self.watched.ended:
            return {}
        ended = self.watched.ended.values()
        passing = [record["ran"] for record in ended if record["outcome"] == "passed"]

        def suspicion(exercise: str) -> tuple[int, bool]:
            return sum(exercise in ran for ran in passing), exercise not in self._module.exercises

        ran: dict[str, int] = self.watched.ended[test]["ran"]
        return {exercise: ran[exercise] for exercise in sorted(ran, key=suspicion)}

    def _original(self, file: str) -> Path | None:
        """Find the file of the learner's workspace that was installed as a file."""
        path = Path(file)
        if not path.is_relative_to(self._site):
            return None
        inside = path.relative_to(self._site)
        folder = self._folders.get(inside.parts[0])
        return None if folder is None else folder / "src" / inside

    def _line(self, file: str, number: int) -> Line:
        path = Path(file)
        original = self._original(file)
        if original is None and path.is_relative_to(self._tests):
            original = self._root / path.relative_to(self._tests)
        return Line(original or path, number, _text(path, number))


def _text(path: Path, number: int) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _value(record: Record | None) -> Value | None:
    if record is None:
        return None
    shape = record["shape"]
    return Value(record["text"], None if shape is None else tuple(shape), record["dtype"])


def _message(record: Record) -> str:
    """Shorten an error's message: values that are told apart need not stand in it as well."""
    lines = [line for line in record["message"].splitlines() if line.strip()]
    if record.get("expected") is not None:
        if lines and lines[0].startswith("assert "):
            lines = lines[:1]
        values = ("ACTUAL:", "DESIRED:", "x:", "y:")
        at = [index for index, line in enumerate(lines) if line.strip().startswith(values)]
        lines = lines[: at[0]] if at else lines
    if len(lines) > LONGEST:
        lines = [*lines[:LONGEST], "…"]
    kind = record.get("kind", "AssertionError")
    if kind != "AssertionError":
        lines[:1] = [f"{kind}: {lines[0]}" if lines and lines[0] != kind else kind]
    return "\n".join([*lines, *record.get("notes", [])])

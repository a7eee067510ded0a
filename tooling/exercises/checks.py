"""What must hold of a module's exercises and tests, and the sweep over many modules."""

import tempfile
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tt_tito import TitoError
from tt_tito.course import Curriculum, Module, is_blank, locate, package_folder, package_of

from .runs import Run, Runs

FIRST = 12  # how many tests are tried before all of them, where one failure is enough


@dataclass
class Finding:
    """What the sweep found of one module.

    Attributes:
        module: The module.
        tests: How many tests it has.
        touching: How many of them run an exercise of it.
        errors: What is wrong.
    """

    module: Module
    tests: int = 0
    touching: int = 0
    errors: list[str] = field(default_factory=list)


def sweep(
    curriculum: Curriculum, modules: Iterable[Module], jobs: int, cache: Path | None = None
) -> list[Finding]:
    """Check some modules, several runs at once.

    Args:
        curriculum: All modules.
        modules: Those to check.
        jobs: How many runs may go on at once.
        cache: Where to keep how runs ended; None keeps nothing.
    """
    with (
        tempfile.TemporaryDirectory(prefix="exercises-") as folder,
        ThreadPoolExecutor(jobs) as pool,
    ):
        runs = Runs(curriculum, Path(folder), cache)
        checks = [_Check(runs, Finding(module)) for module in modules]
        for check in checks:
            check.start(pool)
        for check in checks:
            check.go_on(pool)
        return [check.end() for check in checks]


class _Check:
    """The checks of one module: those that can go on side by side are given to a pool."""

    def __init__(self, runs: Runs, finding: Finding) -> None:
        self.runs = runs
        self.finding = finding
        self.module = finding.module
        self._reference: Future[Run] | None = None
        self._results: list[Future[list[str]]] = []

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Check the module's entry in the curriculum, and start the run on the reference."""
        self.finding.errors += check_map(self.runs.root, self.module)
        if not self.finding.errors:
            for package in self.runs.curriculum.beneath(self.module.packages):
                self.runs.compile(package)
            self._reference = pool.submit(self.runs.reference, self.module)

    def go_on(self, pool: ThreadPoolExecutor) -> None:
        """Wait for the run on the reference, and start those that rest on it."""
        if self._reference is None:
            return
        reference = self._reference.result()
        self.finding.errors += check_reference(self.module, reference)
        passing = [test for test in reference.tests if test not in reference.failed]
        touching = [test for test in passing if test in reference.touched]
        self.finding.tests, self.finding.touching = len(reference.tests), len(touching)
        self._results.append(pool.submit(check_later, self.runs, self.module, reference))
        self._results.append(
            pool.submit(check_skeleton, self.runs, self.module, touching, reference)
        )
        for exercise in self.module.exercises:
            only = [test for test in touching if exercise in reference.touched[test]]
            self._results.append(pool.submit(check_alone, self.runs, self.module, exercise, only))

    def end(self) -> Finding:
        """Wait for all."""
        for result in self._results:
            self.finding.errors += result.result()
        return self.finding


def check_map(root: Path, module: Module) -> list[str]:
    """Check that each exercise is a function with a body, and no other's."""
    errors: list[str] = []
    places: dict[tuple[Path, Path, str], str] = {}
    for exercise in module.exercises:
        folder = package_folder(root, package_of(exercise))
        try:
            place = locate(folder, exercise)
            blank = is_blank(folder, exercise)
        except TitoError as error:
            errors.append(str(error))
            continue
        if blank:
            errors.append(f"{exercise} has no body in the reference")
        key = (folder, place.file, place.qualname)
        if key in places:
            errors.append(f"{exercise} and {places[key]} are one function")
        places[key] = exercise
    return errors


def check_reference(module: Module, run: Run) -> list[str]:
    """Check that all tests pass, each exercise is run by one, and none before the tests."""
    errors = _failures("on the reference", run)
    if not run.tests and not run.broken:
        errors.append(f"no test has the marker {module.marker}")
    errors += [
        f"{exercise} runs outside of tests: while packages are imported or tests collected"
        for exercise in run.touched.get("", [])
    ]
    tested = {exercise for test in run.tests for exercise in run.touched.get(test, [])}
    missing = [exercise for exercise in module.exercises if exercise not in tested]
    return errors + [f"{exercise}: no test of the module runs it" for exercise in missing]


def check_later(runs: Runs, module: Module, reference: Run) -> list[str]:
    """Check that the module's tests pass without the exercises of later modules."""
    if not (later := runs.curriculum.later(module.number)):
        return []
    try:
        run = runs.without(module, later)
    except TitoError as error:
        return [f"without later modules: {error}"]
    return _failures("without later modules", run, known=reference.failed)


def check_skeleton(
    runs: Runs, module: Module, touching: Sequence[str], reference: Run
) -> list[str]:
    """Check that every test that runs an exercise fails on the untouched skeleton."""
    if not touching:
        return []
    skeleton = runs.without(module, module.exercises, touching)
    if skeleton.broken:
        return _broken("on the skeleton", skeleton)
    passing: dict[str, list[str]] = {}
    for test in touching:
        if test not in skeleton.failed:
            passing.setdefault(", ".join(reference.touched[test]), []).append(test)
    return [
        f"on the skeleton: {_some(tests)} passes, though it runs {names}"
        for names, tests in passing.items()
    ]


def check_alone(runs: Runs, module: Module, exercise: str, touching: Sequence[str]) -> list[str]:
    """Check that a test fails when one exercise is taken out."""
    for only in (touching[:FIRST], touching[FIRST:]):
        if not only:
            continue
        alone = runs.without(module, [exercise], only, first=True)
        if alone.broken:
            return _broken(f"without {exercise}", alone)
        if alone.failed:
            return []
    return [f"{exercise}: its {len(touching)} tests pass without it"] if touching else []


def _broken(where: str, run: Run) -> list[str]:
    return [
        f"{where}: {f'{file}: ' if file else ''}{reason}" for file, reason in run.broken.items()
    ]


def _failures(where: str, run: Run, known: Collection[str] = ()) -> list[str]:
    """Tell what failed, once for each reason, apart from what is known to fail."""
    reasons: dict[str, list[str]] = {}
    for test, reason in run.failed.items():
        if test not in known:
            reasons.setdefault(reason, []).append(test)
    return _broken(where, run) + [
        f"{where}: {_some(tests)} fails: {reason}" for reason, tests in reasons.items()
    ]


def _some(tests: Sequence[str]) -> str:
    return f"{tests[0]} (and {len(tests) - 1} more)" if len(tests) > 1 else tests[0]

"""Grades many learners' workspaces: every test and milestone is run again, and nothing is believed.

What keeps a result honest:

- All submissions are read into memory before anything of anyone runs (`_submission`), so what one
  learner's code does to another's folder has no effect. Only the Python files of her packages are
  taken; tests, settings, plugins and metadata are the course's.
- Her code runs in an environment of its own, under limits, cut off as far as the platform can
  (`_limits`). One learner's failure, however bad, is her own result.
- A module is hers if all its packages were handed in and not all its exercises are the course's, by
  what stands in the files; what is not hers is not run. A milestone rests on the modules that it
  needs: it runs if this grading has shown them to pass, so on her packages.
- A module counts when every test that the course's own packages pass is reported as passed, by a
  child that tells it through records with a secret word, and ends as it should.
- What tests compare with must be as it was before her code was imported, or no test passes.
- Some tests are canaries (`_canaries`), changed so that they must fail. They are chosen at random,
  they fail on the course's own packages, and a run that reports one as passed is forged.

What it cannot exclude: the tests run in the process of the code that they test. Code that is
written against this very grader can read the tests there, tell a canary by its text, loosen a
comparison and put it back in time, find the secret word in memory and write records of its own. No
test inside of a process proves anything against such code; who has to be sure reads the source,
which is small. Copied code is not looked for either, beyond a module that is the course's as a
whole. Whatever the user who grades can read, her code can read.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tt_tito._catalogue import Entry
from tt_tito._errors import TitoError
from tt_tito.course._curriculum import Curriculum, Module
from tt_tito.course._unlock import Unlocks
from tt_tito.trial._milestones import requirements_of, run_scripts, stages
from tt_tito.trial._outcome import Outcome
from tt_tito.trial._testing import requirements_of_tests, run_tests, unfinished
from tt_tito.trial._venv import Venv, environment

from ._canaries import Canary, choose, function_of, plant
from ._gradebook import Grade, Mark
from ._judging import Standard, Verdict, functions_of, judge, judge_scripts
from ._limits import Guard
from ._submission import Submission, lay_out

CANARIES = 3  # functions of tests that are changed in each of two runs
AGAIN = 5  # failing tests that are given a second chance

OpenEnvironment = Callable[[Sequence[str], Mapping[str, Path], Path], AbstractContextManager[Venv]]


class Grader:
    """Grades submissions by what the course's own packages do here.

    Args:
        curriculum: The course.
        guard: Runs what learners wrote.
        cache: Where wheels of the course are kept while grading lasts.
        modules: The numbers of the modules to grade; those that a learner started if None.
        milestones: The milestones to grade; the modules that they need are graded too.
        full: Whether milestones run in full, in place of their demos.
        chance: Chooses the canaries.
        open_environment: Makes an environment of requirements, a learner's packages and a folder
            for wheels.
    """

    def __init__(
        self,
        curriculum: Curriculum,
        guard: Guard,
        *,
        cache: Path,
        modules: Sequence[str] | None = None,
        milestones: Sequence[Entry] = (),
        full: bool = False,
        chance: random.Random | None = None,
        open_environment: OpenEnvironment | None = None,
    ) -> None:
        self._curriculum, self._guard, self._cache = curriculum, guard, cache
        self._open = self._make_environment if open_environment is None else open_environment
        self._modules, self._milestones = modules, milestones
        self._flags = () if full else ("--demo-mode",)
        self._chance = random.SystemRandom() if chance is None else chance
        self._standards: dict[str, Standard] = {}
        self._scripts: dict[str, frozenset[str]] = {}  # those that pass, of each milestone
        unlocks = Unlocks(curriculum)
        self._needed = {entry.number: unlocks.modules_for(*entry.scripts) for entry in milestones}

    def modules(self, submission: Submission) -> list[Module]:
        """List the modules that are graded of a submission.

        Args:
            submission: What a learner handed in.
        """
        numbers = set(submission.started if self._modules is None else self._modules)
        numbers.update(module.number for needed in self._needed.values() for module in needed)
        return [module for module in self._curriculum.modules if module.number in numbers]

    def prepare(self, submissions: Iterable[Submission], tell: Callable[[str], None]) -> None:
        """Run the modules that are to be graded on the course's own packages.

        Args:
            submissions: What is to be graded.
            tell: Is given what is done, in words.

        Raises:
            TitoError: If the course's own packages do not pass a module here.
        """
        modules = {
            module.number: module
            for submission in submissions
            for module in self.modules(submission)
            if submission.refusal(module) is None
        }
        for packages, group in _by_packages(modules[number] for number in sorted(modules)):
            with self._open(self._requirements(packages), {}, self._cache) as venv:
                for module in group:
                    tell(f"the course's own: module {module.number} ({module.name})")
                    self._standards[module.number] = self._standard(venv, module)
        for entry in self._milestones:
            tell(f"the course's own: milestone {entry.number} ({entry.name})")
            self._scripts[entry.number] = self._passing_scripts(entry)

    def grade(self, submission: Submission, tell: Callable[[str], None]) -> Grade:
        """Grade a submission; what goes wrong with it is its result.

        Args:
            submission: What a learner handed in.
            tell: Is given what is done, in words.
        """
        marks: list[Mark] = []
        hers: list[Module] = []
        for module in self.modules(submission):
            if (reason := submission.refusal(module)) is None:
                hers.append(module)
            else:
                marks.append(self._mark_of(submission, module, Verdict(frozenset(), (), reason)))
        with scratch() as place:
            mine = lay_out(submission.packages, self._curriculum.root, place / "packages")
            wheels = place / "wheels"
            shutil.copytree(self._cache, wheels)
            for packages, group in _by_packages(hers):
                marks += self._grade_group(submission, packages, group, mine, wheels, tell)
            marks.sort(key=lambda mark: mark.number)
            passed = {mark.number for mark in marks if mark.passed}
            for entry in self._milestones:
                tell(f"{submission.name}: milestone {entry.number} ({entry.name})")
                marks.append(self._grade_milestone(submission, entry, mine, wheels, passed))
        return Grade(submission.name, submission.folder, tuple(marks), submission.notes)

    def _grade_group(
        self,
        submission: Submission,
        packages: tuple[str, ...],
        group: Sequence[Module],
        mine: Mapping[str, Path],
        wheels: Path,
        tell: Callable[[str], None],
    ) -> list[Mark]:
        """Grade modules that need the same packages, in one environment."""
        marks: list[Mark] = []
        try:
            waiting = unfinished(self._curriculum, mine, submission.started)
            own = {
                name: folder
                for name, folder in mine.items()
                if name in packages or name not in waiting
            }
            with self._open(self._requirements(packages), own, wheels) as venv:
                for module in group:
                    tell(f"{submission.name}: module {module.number} ({module.name})")
                    marks.append(self._mark(submission, venv, module, own))
        except Exception as error:  # whatever her files do to what reads them
            for module in group[len(marks) :]:
                tests = tuple(sorted(self._standards[module.number].tests))
                verdict = Verdict(frozenset(), tests, said(error))
                marks.append(self._mark_of(submission, module, verdict))
        return marks

    def stop(self) -> None:
        """End what runs now."""
        self._guard.stop()

    def _mark(
        self, submission: Submission, venv: Venv, module: Module, mine: Mapping[str, Path]
    ) -> Mark:
        standard = self._standards[module.number]
        started = time.monotonic()
        first = self._run(venv, module, mine, canaries=standard.first)
        runs: list[tuple[Outcome, Sequence[Canary]]] = [(first, standard.first)]
        found = set(map(function_of, first.tests)) & standard.functions
        if first.reason is None and found:
            only = sorted(found)
            second = self._run(venv, module, mine, canaries=standard.second, only=only)
            runs.append((second, standard.second))
        verdict = judge(standard, runs)
        # A machine that is busy fails a test of time or of threads now and then, but not twice.
        others = standard.others(verdict.failed)
        if 0 < len(verdict.failed) <= AGAIN and others and verdict.passed:
            only = sorted({*verdict.failed, *functions_of(others)})
            runs.append((self._run(venv, module, mine, canaries=others, only=only), others))
            verdict = judge(standard, runs)
        seconds = time.monotonic() - started
        return self._mark_of(submission, module, verdict, packages_of(venv), seconds)

    def _mark_of(
        self,
        submission: Submission,
        module: Module,
        verdict: Verdict,
        packages: tuple[str, ...] = (),
        seconds: float = 0.0,
    ) -> Mark:
        record = submission.state.modules.get(module.number) if submission.state else None
        return Mark(
            what="module",
            number=module.number,
            name=module.name,
            passed=not verdict.reason,
            reason=verdict.reason,
            packages=packages,
            unchanged=submission.unchanged[module.number],
            tests=len(verdict.passed) + len(verdict.failed),
            tests_passed=len(verdict.passed),
            failed=verdict.failed,
            claimed=record is not None and record.completed is not None,
            seconds=seconds,
        )

    def _grade_milestone(
        self,
        submission: Submission,
        entry: Entry,
        mine: Mapping[str, Path],
        wheels: Path,
        passed: Collection[str],
    ) -> Mark:
        """Run a milestone on a learner's packages, if the modules that it needs have passed.

        The instrument that judges is the course's.
        """
        started = time.monotonic()
        standard = self._scripts[entry.number]
        packages: tuple[str, ...] = ()
        try:
            needed = [module.number for module in self._needed[entry.number]]
            if lacking := [number for number in needed if number not in passed]:
                raise TitoError(
                    f"It was not run: it needs {modules_of(needed)} of hers, and "
                    f"{modules_of(lacking)} did not pass."
                )
            tried = stages(self._curriculum, entry.scripts)
            own = {name: folder for name, folder in mine.items() if name in tried}
            with (
                self._scripts_of(entry) as scripts,
                self._open(requirements_of(scripts), own, wheels) as venv,
            ):
                packages = packages_of(venv)
                verdict = self._run_milestone(venv, scripts, standard)
        except Exception as error:  # whatever her code left
            verdict = Verdict(frozenset(), tuple(sorted(standard)), said(error))
        return Mark(
            what="milestone",
            number=entry.number,
            name=entry.name,
            passed=not verdict.reason,
            reason=verdict.reason,
            packages=packages,
            unchanged=(),
            tests=len(standard),
            tests_passed=len(verdict.passed),
            failed=verdict.failed,
            claimed=submission.state is not None and entry.number in submission.state.milestones,
            seconds=time.monotonic() - started,
        )

    def _run_milestone(
        self, venv: Venv, scripts: Sequence[Path], standard: Collection[str]
    ) -> Verdict:
        judged = [script for script in scripts if script.name in standard]
        with scratch() as folder:
            tries = run_scripts(venv, judged, ("--test-only",), folder=folder, launch=self._guard)
        with scratch() as folder:
            runs = run_scripts(venv, judged, self._flags, folder=folder, launch=self._guard)
        return judge_scripts(standard, runs, tries)

    def _passing_scripts(self, entry: Entry) -> frozenset[str]:
        """Find out which scripts of a milestone the course's own packages pass here."""
        with (
            self._scripts_of(entry) as scripts,
            self._open(requirements_of(scripts), {}, self._cache) as venv,
            scratch() as folder,
        ):
            runs = run_scripts(venv, scripts, self._flags, folder=folder, launch=self._guard)
        passing = frozenset(run.script.name for run in runs if run.ok)
        skipped = [run for run in runs if run.code == 0 and run.passed is None]
        if not passing or len(passing) + len(skipped) < len(runs):
            verdict = judge_scripts(
                [run.script.name for run in runs if run not in skipped], runs, ()
            )
            raise TitoError(
                f"The course's own packages do not pass milestone {entry.number} here, so no one "
                f"can be graded by it: {verdict.reason or 'no script was run.'} Allow more with "
                "--seconds or --memory."
            )
        return passing

    @contextmanager
    def _scripts_of(self, entry: Entry) -> Iterator[list[Path]]:
        """Copy the scripts of a milestone, so that what runs cannot change the checkout's."""
        with scratch() as folder:
            copy = folder / entry.scripts[0].parent.name
            shutil.copytree(entry.scripts[0].parent, copy)
            yield [copy / script.name for script in entry.scripts]

    def _standard(self, venv: Venv, module: Module) -> Standard:
        """Find out what the course's own packages do, and which canaries they fail."""
        honest = self._run(venv, module, {})
        tests = frozenset(honest.tests) - frozenset(honest.skipped)
        if (
            failed := {failure.test for failure in honest.failed}
            if honest.reason is None
            else set()
        ):
            again = self._run(venv, module, {}, only=sorted(failed))
            failed &= {failure.test for failure in again.failed}
        if honest.reason is not None or failed or not tests:
            why = honest.reason or f"{min(failed, default='there is no test')}."
            raise TitoError(
                f"The course's own packages do not pass module {module.number} here, so no one can "
                f"be graded by it: {why} Allow more with --seconds or --memory, or name other "
                "modules with --modules."
            )
        canaries = choose(self._curriculum.root, tests, 2 * CANARIES, self._chance)
        half = (len(canaries) + 1) // 2
        functions = sorted(functions_of(canaries))
        changed = self._run(venv, module, {}, canaries=canaries, only=functions)
        must_fail = frozenset(failure.test for failure in changed.failed) & tests
        silent = sorted(functions_of(canaries) - set(map(function_of, must_fail)))
        if changed.reason is not None or silent:
            raise TitoError(
                f"The tests of module {module.number} cannot be changed so that they fail, which "
                f"is what shows a forged run: {changed.reason or silent[0]} This is a fault of "
                "tito."
            )
        return Standard(tests, canaries[:half], canaries[half:], must_fail)

    def _run(
        self,
        venv: Venv,
        module: Module,
        mine: Mapping[str, Path],
        *,
        canaries: Sequence[Canary] = (),
        only: Sequence[str] = (),
    ) -> Outcome:
        return run_tests(
            venv,
            self._curriculum,
            module,
            mine,
            launch=self._guard,
            alter=partial(plant, canaries=canaries),
            only=only,
            explain=False,
        )

    def _requirements(self, packages: Sequence[str]) -> tuple[str, ...]:
        return (*packages, *requirements_of_tests(self._curriculum.root))

    def _make_environment(
        self, requirements: Sequence[str], mine: Mapping[str, Path], cache: Path
    ) -> AbstractContextManager[Venv]:
        root = self._curriculum.root
        return environment(root, requirements, mine, cache=cache, trusted=False)


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for what is needed for a moment only."""
    with tempfile.TemporaryDirectory(prefix="tito-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def grade_all(
    grader: Grader,
    submissions: Sequence[Submission],
    *,
    jobs: int,
    tell: Callable[[str], None],
    done: Callable[[Grade], None],
) -> None:
    """Grade submissions, several at a time; what goes wrong with one does not stop the others.

    Args:
        grader: Grades them.
        submissions: What was handed in.
        jobs: How many at a time.
        tell: Is given what is being done, in words.
        done: Is given each grade when it is known. It is called by one thread at a time.
    """

    def work(submission: Submission) -> Grade:
        try:
            return grader.grade(submission, tell)
        except Exception as error:  # a fault of tito or of the machine, not of the others
            reason = f"It could not be graded: {type(error).__name__}: {error}"
            return Grade(submission.name, submission.folder, reason=reason)

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(work, submission) for submission in submissions]
        try:
            for future in as_completed(waiting):
                done(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            grader.stop()
            raise


def said(error: Exception) -> str:
    """Tell an error in one line; one that is not meant for users with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, TitoError) else f"{type(error).__name__}: {text}"


def packages_of(venv: Venv) -> tuple[str, ...]:
    """The packages in an environment that are the learner's, as was proven."""
    return tuple(source.name for source in venv.sources if source.owner == "mine")


def modules_of(numbers: Sequence[str]) -> str:
    """Name modules, as in ``modules 02, 03``."""
    return f"module{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _by_packages(modules: Iterable[Module]) -> list[tuple[tuple[str, ...], list[Module]]]:
    """Put together the modules that need the same packages."""
    groups: dict[tuple[str, ...], list[Module]] = {}
    for module in modules:
        groups.setdefault(module.packages, []).append(module)
    return list(groups.items())

"""What runs of a learner's code show, by the measure of what the course's own packages do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from tt_tito.trial._milestones import Verdict as Ran
from tt_tito.trial._outcome import Failure, Outcome

from ._canaries import Canary, function_of

SHOWN = 200  # characters of the first failure's message


@dataclass(frozen=True, slots=True)
class Standard:
    """What the course's own packages do at a module: the measure of everyone else's.

    Attributes:
        tests: The ids of the tests that pass.
        first: The canaries of the run of all tests.
        second: The canaries of the run in which the tests behind the first are as they were.
        must_fail: The ids that the canaries make fail.
    """

    tests: frozenset[str]
    first: tuple[Canary, ...]
    second: tuple[Canary, ...]
    must_fail: frozenset[str]

    @property
    def functions(self) -> frozenset[str]:
        """The functions that are changed in one of the two runs."""
        return functions_of(self.first) | functions_of(self.second)

    def others(self, tests: Iterable[str]) -> tuple[Canary, ...]:
        """The canaries that are made of none of some tests."""
        functions = set(map(function_of, tests))
        return tuple(c for c in (*self.first, *self.second) if c.test not in functions)


def functions_of(canaries: Iterable[Canary]) -> frozenset[str]:
    """The functions that some canaries change."""
    return frozenset(canary.test for canary in canaries)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What two runs of a module's tests show.

    Attributes:
        passed: The ids of the tests that passed, of those that the course's packages pass.
        failed: The ids of the others, in order.
        reason: Why the module is not passed; empty if it is.
    """

    passed: frozenset[str]
    failed: tuple[str, ...]
    reason: str


def judge(standard: Standard, runs: Sequence[tuple[Outcome, Sequence[Canary]]]) -> Verdict:
    """Judge runs of a module's tests: the first is of all, the others of some.

    A test that passes in one of them where it is no canary has passed.

    Args:
        standard: What the course's own packages do.
        runs: What each run found, and which canaries were in it.

    Returns:
        What they show together.
    """
    passed: set[str] = set()
    failures: dict[str, Failure] = {}
    forged: list[str] = []
    for outcome, canaries in runs:
        changed = functions_of(canaries)
        failed = {failure.test for failure in outcome.failed}
        good = set(outcome.tests) - failed - set(outcome.skipped)
        forged += sorted(test for test in good & standard.must_fail if function_of(test) in changed)
        passed |= {test for test in good if function_of(test) not in changed}
        failures |= {f.test: f for f in outcome.failed if function_of(f.test) not in changed}
    everything = tuple(sorted(standard.tests))
    if reason := next((outcome.reason for outcome, _ in runs if outcome.reason is not None), None):
        return Verdict(frozenset(), everything, reason)
    if forged:
        reason = (
            f"The run is forged: of the tests that had been changed so that they must fail, "
            f"{len(forged)} were reported as passed, such as {forged[0]}."
        )
        return Verdict(frozenset(), everything, reason)
    lost = standard.tests - passed
    if not lost:
        return Verdict(standard.tests, (), "")
    order = {test: place for place, test in enumerate(runs[0][0].tests)}
    ordered = sorted(lost, key=lambda test: (order.get(test, len(order)), test))
    # What could not be collected is named by its file, which is the id of no test.
    told = [failures[test] for test in ordered if test in failures]
    told = [failure for test, failure in failures.items() if test not in order] + told
    reason = f"{len(lost)} of {count_of(standard.tests, 'test')} fail"
    if told:
        reason += f", first {told[0].test}: {' '.join(told[0].message.split())[:SHOWN]}"
    else:
        reason += f" to run, such as {ordered[0]}."
    return Verdict(standard.tests - lost, tuple(ordered), reason)


def judge_scripts(standard: Collection[str], runs: Sequence[Ran], tries: Sequence[Ran]) -> Verdict:
    """Judge the scripts of a milestone, and a trial of them in which nothing is trained.

    Args:
        standard: The names of the scripts that the course's own packages pass.
        runs: How the scripts ended.
        tries: How they ended with ``--test-only``; then they judge nothing.

    Returns:
        What they show together.
    """
    passed = frozenset(run.script.name for run in runs if run.ok) & frozenset(standard)
    failed = tuple(sorted(set(standard) - passed))
    forged = [run.script.name for run in tries if run.passed is not None]
    if forged:
        reason = (
            f"The run is forged: {forged[0]} reported that its bar was met or not in a run with "
            "--test-only, which judges nothing."
        )
        return Verdict(frozenset(), tuple(sorted(standard)), reason)
    if not failed:
        return Verdict(passed, (), "")
    return Verdict(passed, failed, " ".join(_why(run) for run in runs if run.script.name in failed))


def _why(run: Ran) -> str:
    """Say why a script did not pass."""
    name = run.script.name
    if run.reason is not None:
        return f"{name} was stopped: it {run.reason}."
    if run.passed is False:
        return f"{name} did not meet its bar."
    if run.passed is True:
        return f"{name} reported that its bar was met, but ended with exit code {run.code}."
    lines = run.output.strip().splitlines()
    last = f": {lines[-1].strip()[:SHOWN]}" if lines else ""
    return f"{name} ended with exit code {run.code} and left no report{last}."


def count_of(things: Collection[object], name: str) -> str:
    """Tell how many there are, in words."""
    return f"{len(things)} {name}" + ("s" if len(things) != 1 else "")

"""What runs show together: who passed, who did not and why, and who forged."""

from __future__ import annotations

import pytest

from tt_tito.teaching._canaries import Canary
from tt_tito.teaching._judging import Standard, judge
from tt_tito.trial._outcome import Failure, Outcome

TESTS = ("f::a[1]", "f::a[2]", "f::b", "f::c", "f::d")
FIRST, SECOND = (Canary("f::a", None),), (Canary("f::b", "raise AssertionError"),)
STANDARD = Standard(frozenset(TESTS), FIRST, SECOND, frozenset({"f::a[1]", "f::a[2]", "f::b"}))

Run = tuple[Outcome, tuple[Canary, ...]]


def run(
    tests: tuple[str, ...],
    failed: tuple[str, ...],
    canaries: tuple[Canary, ...] = (),
    *,
    skipped: tuple[str, ...] = (),
    reason: str | None = None,
) -> Run:
    failures = tuple(Failure(test, f"{test} is wrong") for test in failed)
    passed = len(tests) - len(failed) - len(skipped)
    return Outcome(tests, failures, skipped, passed, reason, "", ()), canaries


# A run of all with the first canaries, and one of those that are canaries in one of the two.
ALL = run(TESTS, ("f::a[1]", "f::a[2]"), FIRST)
THOSE = run(("f::a[1]", "f::a[2]", "f::b"), ("f::b",), SECOND)


@pytest.mark.parametrize(
    ("runs", "passed", "reason"),
    [
        ([ALL, THOSE], 5, ""),
        ([run(TESTS, ("f::a[1]", "f::a[2]", "f::c"), FIRST), THOSE], 4, "f::c: f::c is wrong"),
        ([ALL, run(THOSE[0].tests, ("f::b", "f::a[2]"), SECOND)], 4, "f::a[2]: f::a[2] is wrong"),
        # A canary that passes, in either run, and though only one of its parameters does.
        ([run(TESTS, ("f::a[1]",), FIRST), THOSE], 0, "forged"),
        ([ALL, run(THOSE[0].tests, (), SECOND)], 0, "forged"),
        # One that is stopped, whatever it had reported until then.
        ([run(TESTS, (), FIRST, reason="It was stopped: it slept.")], 0, "it slept"),
        ([ALL, run(THOSE[0].tests, ("f::b",), SECOND, reason="It slept.")], 0, "It slept"),
        # Tests that vanish or are skipped do not pass.
        ([run(TESTS[:4], ("f::a[1]", "f::a[2]"), FIRST), THOSE], 4, "to run, such as f::d"),
        ([run(TESTS, ALL[0].tests[:2], FIRST, skipped=("f::d",)), THOSE], 4, "such as f::d"),
        # A file that cannot be read comes first.
        ([run((), ("f",), FIRST)], 0, "5 of 5 tests fail, first f: f is wrong"),
        # What fails once and then passes has passed; what fails twice has not.
        ([run(TESTS, (*TESTS[:2], "f::c"), FIRST), THOSE, run(("f::c",), ())], 5, ""),
        ([run(TESTS, (*TESTS[:2], "f::c"), FIRST), THOSE, run(("f::c",), ("f::c",))], 4, "f::c"),
        # But not by a run in which a canary passes.
        (
            [run(TESTS, (*TESTS[:2], "f::c"), FIRST), THOSE, run(("f::b", "f::c"), (), SECOND)],
            0,
            "forged",
        ),
    ],
)
def test_what_runs_show_together(runs: list[Run], passed: int, reason: str) -> None:
    verdict = judge(STANDARD, runs)
    assert len(verdict.passed) == passed
    assert reason in verdict.reason
    assert (verdict.reason == "") == (passed == len(TESTS))
    assert set(verdict.failed) | verdict.passed == set(TESTS)
    assert not set(verdict.failed) & verdict.passed

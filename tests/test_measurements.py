"""No milestone reports, and no test asserts, a figure that was written instead of measured."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tooling.measurements import timed_assertions, written_figures
from tooling.milestones import read_milestones

Write = Callable[[str, str], Path]

# Words of a report that have a figure, and where it is from.
ALLOWED: Mapping[str, Mapping[str, str]] = {
    "xor_solved": {
        "passes 75%": "mathematics: three corners of four",
    },
    "vaswani_shakespeare": {
        "between 0.6 and 1.3 bits": "history: Shannon, 1951",
    },
}

# Tests that hold a clock's figure against a number, and why none stands for a measurement.
CLOCKS: Mapping[str, Mapping[str, str]] = {
    "packages/tt-profile/tests/test_layers.py": {
        "test_time_is_that_of_the_layer_itself": "layers that wait for a time that is set",
    },
    "packages/tt-profile/tests/test_measure.py": {
        "test_time_of_a_known_wait": "a wait of a time that is set",
        "test_a_short_call_is_looped": "a call far below what the clock can tell",
        "test_a_comparison_is_of_rounds": "samples that are set: the median is arithmetic",
    },
    "packages/tt-optim/tests/distributed/test_lost_ranks.py": dict.fromkeys(
        (
            "test_a_rank_that_does_not_notice_is_ended",
            "test_a_rank_that_ends_before_the_run_begins_is_named",
            "test_a_rank_that_is_killed_before_the_run_begins_ends_it",
            "test_the_death_of_a_guard_ends_the_run",
            "test_when_all_ranks_raise_all_show_it",
            "test_without_a_guard_a_run_ends_all_the_same",
        ),
        "what is promised is an end within 30 seconds, where there would be none",
    ),
    "packages/tt-optim/tests/distributed/test_training.py": {
        "test_a_lost_rank_is_named_and_training_goes_on_from_the_last_checkpoint": "the same",
        "test_a_rank_that_catches_an_error_cannot_go_on": "the same",
    },
    "packages/tt-tito/tests/benchmark/test_figures.py": {
        "test_throughput_is_inputs_in_a_second": "a clock that is set: the ratio is arithmetic",
    },
    "packages/tt-tito/tests/benchmark/test_leaderboard.py": {
        "test_of_each_name_the_best_result_stays": "a model of a set speed",
    },
    "packages/tt-tito/tests/benchmark/test_runner.py": {
        "test_a_sample_is_the_time_for_one_input": "a clock that is set: the sample is arithmetic",
    },
}


def test_what_milestones_report_was_measured(repository: Path) -> None:
    scripts = {
        name: path
        for milestone in read_milestones(repository)
        for name, path in milestone.scripts.items()
    }
    assert ALLOWED.keys() <= scripts.keys()
    found = [
        str(each)
        for name, path in scripts.items()
        for each in written_figures(path, ALLOWED.get(name))
    ]
    assert not found, "\n".join(found)


def test_no_test_holds_a_clock_against_a_figure(repository: Path) -> None:
    folders = ("packages/*/tests", "tests", "parity")
    files = [file for folder in folders for file in repository.glob(f"{folder}/**/test_*.py")]
    found: dict[str, set[str]] = {}
    for file in sorted(files):
        for test, _ in timed_assertions(file):
            found.setdefault(file.relative_to(repository).as_posix(), set()).add(test)
    assert found == {file: set(tests) for file, tests in CLOCKS.items()}


WRITTEN = {
    "a metric": 'lab.metric("accuracy", 0.97)',
    "a metric by keyword": 'lab.metric("accuracy", value=97 / 100)',
    "a name": 'accuracy = 0.97\n    lab.metric("accuracy", accuracy)',
    "a constant": 'lab.metric("accuracy", ACCURACY)',
    "a pair": 'name, accuracy = "a", 0.97\n    lab.metric(name, accuracy)',
    "a function": 'lab.metric("accuracy", made_up(model))',
    "a branch": 'lab.metric("speedup", measured() if model else 2.5)',
    "a default": 'lab.metric("speedup", measured() or 2)',
    "a floor": 'lab.metric("accuracy", max(0.95, measured()))',
    "a shift": 'lab.metric("accuracy", measured() + 0.03)',
    "a walrus": 'lab.metric("accuracy", (found := 0.97))',
    "a conversion": 'lab.metric("accuracy", float(round(97)))',
    "a negative": 'lab.metric("drop", -1)',
    "a cell": 'lab.table("T", ("A", "B"), [("ours", 12)])',
    "a cell of many": 'lab.table("T", ("A", "B"), [(name, 12.5) for name in names])',
    "rows that grow": 'rows = []\n    rows.append(("a", 1.5))\n    lab.table("T", ("A",), rows)',
    "rows of a function": 'lab.table("T", ("A", "B"), rows_of(names))',
    "a cell of text": 'lab.table("T", ("A", "B"), told(names))',
    "a cell of words": 'best = 0.97\n    lab.table("T", ("A", "B"), [("ours", f"{best:.2f}")])',
    "a note": 'lab.note("It reads 98.2 of a hundred.")',
    "a note in parts": 'lab.note("It reads " "98 % of them.")',
    "a time": 'lab.note("It took 12 ms.")',
    "a factor": 'lab.heading("4 times faster")',
    "a name in a note": 'best = 3\n    lab.note(f"It misreads {best}.")',
    "a constant in a note": 'lab.note(f"It reads {ACCURACY:.0%}.")',
    "a caption": 'lab.picture("p", draw, alt="A bar at 0.97", caption="How well")',
    "a comparison": 'times = Comparison((2.0,), (1.0,))\n    lab.metric("speedup", times.speedup)',
}

MEASURED = {
    "a call": 'lab.metric("accuracy", measured())',
    "a share": 'lab.metric("error", 1 - measured())',
    "a ratio": 'lab.metric("ratio", 100 * measured() / measured())',
    "an attribute": 'lab.metric("seconds", found.seconds)',
    "a setting": 'lab.metric("accuracy", measured(0.5, batch=32))',
    "a count": 'lab.metric("right", sum(1.0 * found for found in measured()))',
    "a row of settings": 'lab.table("T", ("A", "B"), [(size, measured(size)) for size in SIZES])',
    "a setting in a note": 'lab.note(f"With {WIDTH} units it reads {measured():.1%}.")',
    "a size of a picture": 'lab.picture("p", draw, alt="A bar", caption="C", size=(5.6, 4.0))',
    "history": 'lab.note("In 1989 it took three days, and in 2015 nothing.")',
    "a name that is computed": 'accuracy = measured()\n    lab.metric("accuracy", accuracy)',
    "a bar": 'Milestone(__file__, bar={"accuracy": at_least(0.97)}, epochs=3)',
    "rows of functions": 'lab.table("T", ("A",), [(measured(),), *more(names)])',
}

SCRIPT = """\
ACCURACY = 0.97
WIDTH = 64
SIZES = (1, 2)
model = Linear(WIDTH)


def made_up(model):
    if model:
        return 0.97
    return model.accuracy()


def rows_of(names):
    return [(name, 3) for name in names]


def told(names):
    return [(name, "0.9944") for name in names]


def more(names):
    return [(len(name),) for name in names]


def experiment(lab):
    {}
"""


@pytest.mark.parametrize("line", WRITTEN.values(), ids=WRITTEN)
def test_a_figure_that_is_written_is_found(write: Write, line: str) -> None:
    assert written_figures(write("script.py", SCRIPT.format(line)))


@pytest.mark.parametrize("line", MEASURED.values(), ids=MEASURED)
def test_a_figure_that_is_measured_is_not(write: Write, line: str) -> None:
    assert written_figures(write("script.py", SCRIPT.format(line))) == []


def test_words_are_allowed_by_name_and_no_longer_than_they_stand_there(write: Write) -> None:
    script = write("script.py", SCRIPT.format('lab.note("In 1951 it was 1.3 bits.")'))
    (found,) = written_figures(script)
    assert str(found) == (
        f"{script}:26: 'In 1951 it was 1.3 bits.' stands for a measurement: words of a report"
    )
    assert written_figures(script, {"1.3 bits": "history"}) == []
    with pytest.raises(ValueError, match=r"does not say \['0.9 bits'\], which is allowed"):
        written_figures(script, {"0.9 bits": "history"})


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("assert timing.median < 0.5", True),
        ("assert 2 <= found.speedup", True),
        ("start = perf_counter()\n    took = time.monotonic() - start\n    assert took < 3", True),
        ("assert perf_counter() - start < 3", True),
        ("assert timing.median > 0", False),
        ("assert len(timing.ratios) == 7", False),
        ("while time.monotonic() < 5: pass", False),
        ("assert model.accuracy > 0.9", False),
    ],
)
def test_a_clock_that_is_held_against_a_figure_is_found(
    write: Write, line: str, found: bool
) -> None:
    tests = [test for test, _ in timed_assertions(write("t.py", f"def test_it():\n    {line}\n"))]
    assert tests == ["test_it"] * found

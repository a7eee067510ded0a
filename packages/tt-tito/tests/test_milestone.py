"""A milestone's run: flags, exit codes, and what it leaves behind."""

import io
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_tito import (
    Bound,
    Lab,
    Milestone,
    MissingDataError,
    Option,
    Recipe,
    TitoError,
    at_least,
    at_most,
)
from tt_tito._environment import share_of_cpus

MakeScript = Callable[..., Path]
Experiment = Callable[[Lab], None]
Run = Callable[..., int]

SCHEMA: dict[str, type | tuple[type, ...]] = {
    "milestone": str,
    "script": str,
    "mode": str,
    "seed": int,
    "metrics": dict,
    "bar": dict,
    "passed": (bool, type(None)),
    "seconds": dict,
    "peak_memory_bytes": int,
    "parameters": int,
    "flops_forward": int,
    "scaling": list,
    "environment": dict,
}


def draw(figure: Figure) -> None:
    figure.subplots().plot([0, 1], [1, 0], color="C0")


def measure_systems(lab: Lab) -> None:
    model, inputs = nn.Linear(3, 2), tt.ones(4, 3)
    lab.systems(
        model,
        inputs,
        step=lambda: model(inputs).sum().backward(),
        growth={"batch size": (lambda size: lambda: model(tt.ones(size, 3)), (8, 64))},
    )


def experiment_with(accuracy: float) -> Experiment:
    def experiment(lab: Lab) -> None:
        with lab.timed("train"):
            for _ in lab.progress(range(lab.epochs), "training"):
                pass
        lab.heading("A heading with <angles> & more")
        lab.note("A note\n  over two lines.")
        lab.table("A table", ("Name", "Value"), [("one", 1), ("[red]two[/red]", 2.5)])
        lab.picture("line", draw, alt='A "falling" line', caption="It falls.")
        lab.metric("accuracy", accuracy)
        measure_systems(lab)

    return experiment


@pytest.fixture
def run(make_script: MakeScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run an experiment as the script of a milestone, in a folder of its own."""
    script = make_script()
    monkeypatch.chdir(tmp_path)

    def run(
        experiment: Experiment,
        *flags: str,
        bar: dict[str, Bound] | None = None,
        threads: int | None = None,
        options: tuple[Option, ...] = (),
        demo_bar: dict[str, Bound] | None = None,
        recipes: dict[str, Recipe] | None = None,
    ) -> int:
        milestone = Milestone(
            str(script),
            bar={"accuracy": at_least(0.9)} if bar is None else bar,
            epochs=7,
            demo_epochs=3,
            batch_size=50,
            threads=threads,
            options=options,
            demo_bar=demo_bar,
            recipes=recipes or {},
        )
        return milestone.run(experiment, flags)

    return run


REPORT = Path("reports", "milestone_01", "line")


def read_report(folder: Path = REPORT) -> dict[str, object]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert isinstance(report, dict)
    return report


# --- The report ---------------------------------------------------------------------------------


def test_report_has_exactly_the_keys_of_the_schema(run: Run) -> None:
    assert run(experiment_with(0.95), "--seed", "3") == 0
    report = read_report()
    assert list(report) == list(SCHEMA)
    for key, kind in SCHEMA.items():
        assert isinstance(report[key], kind), key
    assert report["milestone"] == "01"
    assert report["script"] == "line.py"
    assert report["mode"] == "full"
    assert report["seed"] == 3
    assert report["metrics"] == {"accuracy": 0.95}
    assert report["bar"] == {"accuracy": {"minimum": 0.9}}
    assert report["passed"] is True
    assert report["parameters"] == 3 * 2 + 2
    assert report["flops_forward"] == 4 * 2 * (2 * 3 + 1)
    assert report["peak_memory_bytes"] > 0  # type: ignore[operator]  # the schema says it is int


def test_report_keeps_time_and_says_on_what_it_ran(run: Run) -> None:
    run(experiment_with(0.95))
    report = read_report()
    seconds, environment = report["seconds"], report["environment"]
    assert isinstance(seconds, dict)
    assert isinstance(environment, dict)
    assert list(seconds) == ["data", "train", "evaluate", "total"]
    assert all(value >= 0 for value in seconds.values())
    assert seconds["total"] >= seconds["train"]
    assert set(environment) == {
        *("python", "numpy", "blas", "threads", "processes", "cpu", "packages"),
    }
    assert environment["processes"] == 1
    assert {"tt-tito", "tt-nn", "tt-profile"} <= set(environment["packages"])


def test_the_seconds_of_a_phase_can_be_a_metric(run: Run) -> None:
    def experiment(lab: Lab) -> None:
        assert lab.seconds("train") == 0.0
        with lab.timed("train"):
            pass
        lab.metric("training_seconds", lab.seconds("train"))
        measure_systems(lab)

    assert run(experiment, bar={"training_seconds": at_most(60)}) == 0
    report = read_report()
    seconds, metrics = report["seconds"], report["metrics"]
    assert isinstance(seconds, dict)
    assert isinstance(metrics, dict)
    assert 0.0 < metrics["training_seconds"] == seconds["train"]


def test_scaling_has_a_row_for_each_size(run: Run) -> None:
    run(experiment_with(0.95))
    rows = read_report()["scaling"]
    assert isinstance(rows, list)
    assert [(row["axis"], row["size"]) for row in rows] == [("batch size", 8), ("batch size", 64)]
    assert all(row["seconds"] > 0 and row["peak_memory_bytes"] > 0 for row in rows)


def test_a_metric_that_is_not_finite_is_null_and_misses_the_bar(run: Run) -> None:
    assert run(experiment_with(float("nan"))) == 1
    assert read_report()["metrics"] == {"accuracy": None}


class Page(HTMLParser):
    """What of a page would load something, and what of it is said in words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


def test_page_is_self_contained(run: Run) -> None:
    run(experiment_with(0.95))
    text = (REPORT / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    names = [tag for tag, _ in page.tags]
    assert not set(names) & {"link", "iframe", "object", "base", "form"}
    assert names.count("script") == 1  # the one that sorts; it stands in the page
    for tag, attributes in page.tags:
        for name in ("src", "srcset", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
    assert "url(" not in text
    assert "@import" not in text


def test_page_is_for_everyone(run: Run) -> None:
    run(experiment_with(0.95))
    text = (REPORT / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert ("html", {"lang": "en"}) in page.tags
    assert any(
        tag == "meta" and "width=device-width" in str(attributes.get("content"))
        for tag, attributes in page.tags
    )
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [bool(image["alt"]) for image in images] == [True, True]  # ours, and the scaling
    assert images[0]["alt"] == 'A "falling" line'
    assert "prefers-color-scheme: dark" in text
    assert sum(tag == "source" for tag, _ in page.tags) == len(images)
    for said in ("A line fits", "A heading with <angles> & more", "[red]two[/red]", "at least 0.9"):
        assert said in page.words


COLUMNS: dict[str, tuple[tuple[str | float, str | float], list[str | None]]] = {
    "numbers": ((1024, 0.5), ["1024.0", "0.5"]),
    "one unit": (("1,500 /s", "2 /s"), ["1500.0", "2.0"]),
    "times": (("2 ms", "500 ns"), ["0.002", repr(500 * 1e-9)]),
    "sizes": (("1.5 MB", "12 B"), ["1500000.0", "12.0"]),
    "what is no number": ((float("nan"), 2.0), [None, "2.0"]),
    "several units": (("2 ms", "12 B"), [None, None]),
    "a text among numbers": (("2", "two"), [None, None]),
    "shapes": (("3 x 4", "3 x 5"), [None, None]),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_of_one_unit_say_what_they_sort_by(case: str, run: Run) -> None:
    (first, second), expected = COLUMNS[case]

    def experiment(lab: Lab) -> None:
        lab.table("A table", ("Name", "Value"), [("a", first), ("b", second)])
        lab.metric("accuracy", 1.0)
        measure_systems(lab)

    run(experiment, "--test-only")
    page = Page((REPORT / "report.html").read_text(encoding="utf-8"))
    cells = [attributes for tag, attributes in page.tags if tag == "td"]
    assert [cell.get("data-value") for cell in cells[:2]] == expected


def test_pictures_are_png_files(run: Run) -> None:
    run(experiment_with(0.95))
    for name in ("line", "scaling"):
        assert (REPORT / f"{name}.png").read_bytes().startswith(b"\x89PNG")


# --- Texts --------------------------------------------------------------------------------------


def test_an_excerpt_is_shown_as_it_comes_and_stands_in_the_report(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    def pieces() -> Iterator[str]:
        yield "ROMEO:\n  O, [b]she[/b] "
        shown.append(capsys.readouterr().out)
        yield "doth <teach>\x1b[2J!"

    def experiment(lab: Lab) -> None:
        text = lab.excerpt("A speech", pieces())
        assert text == "ROMEO:\n  O, [b]she[/b] doth <teach>\N{REPLACEMENT CHARACTER}[2J!"
        lab.metric("accuracy", 1.0)
        measure_systems(lab)

    assert run(experiment) == 0
    assert shown[0].endswith("A speech\nROMEO:\n  O, [b]she[/b] ")
    assert capsys.readouterr().out.startswith("doth <teach>\N{REPLACEMENT CHARACTER}[2J!\n")
    page = (REPORT / "report.html").read_text(encoding="utf-8")
    assert "ROMEO:\n  O, [b]she[/b] doth &lt;teach&gt;" in page


def test_a_line_is_asked_for_until_there_are_no_more(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("To be\n\n"))
    answers: list[str | None] = []

    def experiment(lab: Lab) -> None:
        answers.extend(lab.ask("Your line:") for _ in range(3))
        lab.metric("accuracy", 1.0)
        measure_systems(lab)

    assert run(experiment) == 0
    assert answers == ["To be", "", None]
    assert "Your line:" in capsys.readouterr().out


# --- The verdict --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "value", "code"),
    [
        (at_least(0.9), 0.9, 0),
        (at_least(0.9), 0.95, 0),
        (at_least(0.9), 0.8999, 1),
        (at_most(0.75), 0.75, 0),
        (at_most(0.75), 0.76, 1),
        (at_least(0.9), float("nan"), 1),
        (at_most(0.9), float("nan"), 1),
        (at_most(0.9), float("inf"), 1),
    ],
)
def test_exit_code_is_the_verdict(run: Run, bound: Bound, value: float, code: int) -> None:
    assert run(experiment_with(value), bar={"accuracy": bound}) == code
    assert read_report()["passed"] is (code == 0)


def test_a_bar_on_what_was_not_measured_is_not_met(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = {"accuracy": at_least(0.9), "speed": at_least(1.0)}
    assert run(experiment_with(1.0), bar=bar) == 1
    assert "not measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "code"), [([], 1), (["--demo-mode"], 0), (["--use-pretrained"], 1)]
)
def test_a_demo_may_have_a_bar_of_its_own(run: Run, flags: list[str], code: int) -> None:
    bars = {"bar": {"accuracy": at_least(0.9)}, "demo_bar": {"accuracy": at_least(0.5)}}
    assert run(experiment_with(0.6), *flags, **bars) == code
    limit = 0.5 if "--demo-mode" in flags else 0.9
    assert read_report()["bar"] == {"accuracy": {"minimum": limit}}


def test_every_metric_of_the_bar_counts(run: Run) -> None:
    def experiment(lab: Lab) -> None:
        lab.metric("good", 1.0)
        lab.metric("bad", 0.0)
        measure_systems(lab)

    bar = {"good": at_least(0.5), "bad": at_least(0.5)}
    assert run(experiment, bar=bar) == 1


def test_a_test_only_run_is_not_judged(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(experiment_with(0.0), "--test-only") == 0
    assert read_report()["passed"] is None
    assert "NOT JUDGED" in capsys.readouterr().out


def test_a_metric_is_measured_once(run: Run) -> None:
    def experiment(lab: Lab) -> None:
        lab.metric("accuracy", 0.1)
        lab.metric("accuracy", 1.0)

    with pytest.raises(ValueError, match="recorded before"):
        run(experiment)


def test_a_run_without_its_systems_section_is_an_error(run: Run) -> None:
    with pytest.raises(RuntimeError, match="systems"):
        run(lambda lab: lab.metric("accuracy", 1.0))
    assert not (REPORT / "report.json").exists()


# --- Data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "skip", "code"),
    [
        (MissingDataError, "", 2),
        (MissingDataError, "1", 0),
        (TitoError, "", 2),
        (TitoError, "1", 2),  # a malformed file, say, is an error however it was asked for
    ],
)
def test_missing_data_is_an_error_unless_it_is_to_be_skipped(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: type[TitoError],
    skip: str,
    code: int,
) -> None:
    def experiment(lab: Lab) -> None:
        raise error("No digits:\n  https://one.example/digits: refused\nPut them into /data.")

    monkeypatch.setenv("TITO_SKIP_MISSING_DATA", skip)
    assert run(experiment) == code
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "line.py: No digits:",
        "  https://one.example/digits: refused",
        "Put them into /data.",
    ]
    assert ("NOT RUN" in out) is (code == 0)
    assert not (REPORT / "report.json").exists()


# --- Flags --------------------------------------------------------------------------------------

SIZE = Option("--hidden-units", 8, "units", demo=4)
PACE = Option("--pace", "slow", "how", choices=("slow", "fast"))
AUGMENT = Option("--augment", False, "shift the images")


@pytest.mark.parametrize(
    ("flags", "attribute", "value"),
    [
        ([], "mode", "full"),
        ([], "epochs", 7),
        ([], "batch_size", 50),
        ([], "seed", 0),
        (["--epochs", "2"], "epochs", 2),
        (["--batch-size", "5"], "batch_size", 5),
        (["--seed", "12"], "seed", 12),
        (["--demo-mode"], "mode", "demo"),
        (["--demo-mode"], "epochs", 3),
        (["--demo-mode", "--epochs", "5"], "epochs", 5),
        (["--test-only"], "mode", "test-only"),
        (["--test-only"], "epochs", 0),
        (["--use-pretrained"], "mode", "pretrained"),
        (["--use-pretrained", "--epochs", "5"], "epochs", 0),
    ],
)
def test_flags(run: Run, flags: list[str], attribute: str, value: object) -> None:
    seen = []

    def experiment(lab: Lab) -> None:
        seen.append(getattr(lab, attribute))
        raise TitoError("That is all that was asked.")

    assert run(experiment, *flags) == 2
    assert seen == [value]


@pytest.mark.parametrize(
    ("flags", "size", "pace", "augment"),
    [
        ([], 8, "slow", False),
        (["--demo-mode"], 4, "slow", False),
        (["--demo-mode", "--hidden-units", "16"], 16, "slow", False),
        (["--pace", "fast", "--augment"], 8, "fast", True),
    ],
)
def test_flags_of_a_script(run: Run, flags: list[str], size: int, pace: str, augment: bool) -> None:
    def experiment(lab: Lab) -> None:
        assert lab.option("hidden_units", int) == size
        assert lab.option("pace", str) == pace
        assert lab.option("augment", bool) is augment
        with pytest.raises(TypeError, match="hidden_units"):
            lab.option("hidden_units", str)
        raise TitoError("That is all that was asked.")

    assert run(experiment, *flags, options=(SIZE, PACE, AUGMENT)) == 2


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--epochs", "0"], "expected a whole number of at least 1"),
        (["--batch-size", "-1"], "expected a whole number of at least 1"),
        (["--seed", "-1"], "expected a whole number of at least 0"),
        (["--seed", "x"], "expected a whole number of at least 0"),
        (["--threads", "0"], "expected a whole number of at least 1"),
        (["--threads"], "expected one argument"),
        (["--fast"], "Unrecognized arguments: --fast"),
        (["--see", "1"], "Unrecognized arguments"),
        (["--demo-mode", "--test-only"], "not allowed with"),
        (["--data-dir", "nowhere"], "no such folder"),
        (["--use-pretrained"], "line.safetensors is not there"),
        (["--pace", "odd"], "invalid choice"),
        (["--recipe", "fast"], "Unrecognized arguments: --recipe"),
        (["--hidden-units", "many"], "invalid int value"),
    ],
)
def test_a_wrong_flag_is_told_in_a_paragraph(
    run: Run, capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str
) -> None:
    def experiment(lab: Lab) -> None:
        if lab.mode == "pretrained":
            lab.load_weights(nn.Linear(1, 1))

    assert run(experiment, *flags, options=(SIZE, PACE)) == 2
    err = capsys.readouterr().err
    assert complaint in " ".join(err.split())
    assert err.startswith("line.py: ")
    assert "Traceback" not in err
    assert not (REPORT / "report.json").exists()


FAST = Recipe({"accuracy": at_least(0.5)}, epochs=2, demo_epochs=1, batch_size=10)


@pytest.mark.parametrize(
    ("flags", "recipe", "epochs", "batch_size"),
    [
        ([], "default", 7, 50),
        (["--recipe", "default"], "default", 7, 50),
        (["--recipe", "fast"], "fast", 2, 10),
        (["--recipe", "fast", "--demo-mode"], "fast", 1, 10),
        (["--recipe", "fast", "--epochs", "5", "--batch-size", "3"], "fast", 5, 3),
    ],
)
def test_a_recipe_says_what_its_flags_start_from(
    run: Run, flags: list[str], recipe: str, epochs: int, batch_size: int
) -> None:
    def experiment(lab: Lab) -> None:
        assert (lab.recipe, lab.epochs, lab.batch_size) == (recipe, epochs, batch_size)
        raise TitoError("That is all that was asked.")

    assert run(experiment, *flags, recipes={"fast": FAST}) == 2


def test_a_recipe_has_a_bar_a_folder_and_weights_of_its_own(
    run: Run, make_script: MakeScript, capsys: pytest.CaptureFixture[str]
) -> None:
    def experiment(lab: Lab) -> None:
        model = nn.Linear(1, 1)
        if lab.mode == "pretrained":
            lab.load_weights(model)
        lab.save_weights(model)
        lab.metric("accuracy", 0.6)
        measure_systems(lab)

    recipes = {"fast": FAST}
    assert run(experiment, recipes=recipes) == 1
    assert run(experiment, "--recipe", "fast", recipes=recipes) == 0
    assert "recipe fast" in capsys.readouterr().out
    folder = REPORT.with_name("line_fast")
    assert read_report(folder)["bar"] == {"accuracy": {"minimum": 0.5}}
    weights = folder / "line_fast.safetensors"
    make_script().with_name(weights.name).write_bytes(weights.read_bytes())
    assert run(experiment, "--recipe", "fast", "--use-pretrained", recipes=recipes) == 0
    assert run(experiment, "--recipe", "odd", recipes=recipes) == 2
    assert "choose from" in capsys.readouterr().err


def test_help_names_every_flag(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(experiment_with(1.0), "--help", options=(SIZE, AUGMENT), recipes={"fast": FAST})
    out = capsys.readouterr().out
    for flag in (
        *("--epochs", "--batch-size", "--seed", "--threads", "--test-only", "--demo-mode"),
        *("--use-pretrained", "--data-dir", "--report-dir", "--hidden-units", "--augment"),
        *("--recipe", "(7 or 2; 3 or 1 with", "(50 or 10)"),
    ):
        assert flag in " ".join(out.split())


def test_threads_are_set_for_the_run(make_script: MakeScript, tmp_path: Path) -> None:
    script = make_script(
        "import sys\n"
        "import tt_autograd as tt, tt_nn as nn\n"
        "from tt_tito import Milestone\n"
        "def experiment(lab):\n"
        "    model = nn.Linear(1, 1)\n"
        "    grow = {'n': (lambda n: lambda: model(tt.ones(n, 1)), (1, 2))}\n"
        "    lab.systems(model, tt.ones(1, 1), step=lambda: model(tt.ones(1, 1)), growth=grow)\n"
        "milestone = Milestone(__file__, bar={}, epochs=1, demo_epochs=1, batch_size=1)\n"
        "sys.exit(milestone.run(experiment))\n"
    )
    for threads in (1, 2):
        subprocess.run(
            [sys.executable, str(script), "--threads", str(threads), "--report-dir", str(tmp_path)],
            check=True,
            capture_output=True,
        )
        environment = read_report(tmp_path)["environment"]
        assert isinstance(environment, dict)
        assert environment["threads"] == threads


# --- Several processes --------------------------------------------------------------------------


@pytest.fixture
def as_rank(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let this process be one of three, as ``mpiexec`` tells it by its environment."""

    def become(rank: int) -> None:
        monkeypatch.setenv("PMI_RANK", str(rank))
        monkeypatch.setenv("PMI_SIZE", "3")

    return become


def test_the_first_of_several_processes_reports_for_all(
    run: Run, as_rank: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    as_rank(0)
    assert run(experiment_with(0.5), "--seed", "2", "--threads", "1") == 1
    assert "NOT PASSED" in capsys.readouterr().out
    report = read_report()
    assert isinstance(report["environment"], dict)
    assert report["environment"]["processes"] == 3
    page = (REPORT / "report.html").read_text(encoding="utf-8")
    assert "mpiexec -n 3 python line.py --seed 2" in page
    assert "in each of 3 processes" in page


def test_the_others_are_silent_and_leave_the_verdict_to_it(
    run: Run, as_rank: Callable[[int], None], capfd: pytest.CaptureFixture[str]
) -> None:
    as_rank(2)
    seen: list[Lab] = []

    def experiment(lab: Lab) -> None:
        print("by the script itself")
        experiment_with(0.5)(lab)
        lab.save_weights(nn.Linear(1, 1))
        seen.append(lab)

    assert run(experiment, "--threads", "1") == 0
    assert len(seen) == 1
    assert not seen[0].speaks
    assert capfd.readouterr() == ("", "")
    assert not Path("reports").exists()


def test_an_error_of_another_process_names_it(
    run: Run, as_rank: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def experiment(lab: Lab) -> None:
        raise TitoError("Nothing to learn from.")

    as_rank(1)
    assert run(experiment, "--threads", "1") == 2
    assert capsys.readouterr() == ("", "line.py, rank 1: Nothing to learn from.\n")


@pytest.mark.parametrize(
    "local", ["MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", ""], ids=["mpich", "open-mpi", ""]
)
def test_processes_share_the_cpus(
    local: str, as_rank: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tt_tito._environment.available_cpus", lambda: 12)
    assert share_of_cpus() == 12
    as_rank(1)
    if local:
        monkeypatch.setenv(local, "2")
    assert share_of_cpus() == (6 if local else 4)
    monkeypatch.setattr("tt_tito._environment.available_cpus", lambda: 1)
    assert share_of_cpus() == 1


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
def test_memory_that_is_freed_is_kept_where_the_c_library_can(
    make_script: MakeScript, tmp_path: Path
) -> None:
    """After a large array is gone, the process still has its pages, and gets them again."""
    script = make_script(
        "import sys\n"
        "import resource\n"
        "import numpy as np\n"
        "from tt_tito import Milestone, TitoError\n"
        "def experiment(lab):\n"
        "    for _ in range(2):\n"
        "        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "        np.ones(1 << 24)\n"
        "        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults\n"
        "    raise TitoError(f'{faults} faults')\n"
        "milestone = Milestone(__file__, bar={}, epochs=1, demo_epochs=1, batch_size=1)\n"
        "sys.exit(milestone.run(experiment))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), "--report-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert int(done.stderr.split()[1]) < 100  # of 32,768 pages


# --- Errors -------------------------------------------------------------------------------------


def test_a_data_error_ends_with_2(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def experiment(lab: Lab) -> None:
        raise TitoError("The digits are not there.")

    assert run(experiment) == 2
    assert capsys.readouterr().err == "line.py: The digits are not there.\n"
    assert not (REPORT / "report.json").exists()


def test_an_interrupted_run_says_so_and_writes_nothing(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    def experiment(lab: Lab) -> None:
        raise KeyboardInterrupt

    assert run(experiment) == 130
    assert "no report was written" in capsys.readouterr().err
    assert not (REPORT / "report.json").exists()


def test_a_report_folder_that_cannot_be_made_is_told_before_the_run(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    def experiment(lab: Lab) -> None:
        raise AssertionError("the run must not begin")

    assert run(experiment, "--report-dir", "file/report") == 2
    assert run(experiment, "--report-dir", "file") == 2
    assert "--report-dir" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_read_only_report_folder_is_told_before_the_run(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    assert run(experiment_with(1.0), "--report-dir", str(folder)) == 2


@pytest.mark.parametrize("file", ["line.png", "report.html", "report.json"])
def test_a_write_that_fails_leaves_the_files_of_the_last_run_whole(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    assert run(experiment_with(0.95)) == 0
    before = {path.name: path.read_bytes() for path in REPORT.iterdir()}
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == file:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    assert run(experiment_with(0.99)) == 2
    assert "No space left on device" in " ".join(capsys.readouterr().err.split())
    after = {path.name: path.read_bytes() for path in REPORT.iterdir()}
    assert set(after) == set(before)  # no temporary file is left
    assert after[file] == before[file]
    assert after["report.json"] == before["report.json"]  # written last, so never ahead


@pytest.mark.parametrize("folder", ["1_1957_line", "01_57_line", "line"])
def test_a_script_outside_of_a_milestone_folder_is_told(
    make_script: MakeScript, capsys: pytest.CaptureFixture[str], folder: str
) -> None:
    script = make_script(folder=folder)
    milestone = Milestone(str(script), bar={}, epochs=1, demo_epochs=1, batch_size=1)
    assert milestone.run(experiment_with(1.0), []) == 2
    assert "NN_YEAR_name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "alt", "complaint"),
    [("../out", "A line", "lower-case"), ("", "A line", "lower-case"), ("line", " ", "alt")],
)
def test_a_picture_needs_a_plain_name_and_words(
    run: Run, name: str, alt: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        run(lambda lab: lab.picture(name, draw, alt=alt, caption=""))


def test_a_table_needs_a_cell_for_each_column(run: Run) -> None:
    with pytest.raises(ValueError, match="has 1 cells for 2 columns"):
        run(lambda lab: lab.table("t", ("a", "b"), [(1,)]))


# --- Weights ------------------------------------------------------------------------------------


def learn_one(lab: Lab) -> None:
    model = nn.Linear(1, 1)
    if lab.mode == "pretrained":
        lab.load_weights(model)
    elif lab.epochs:
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
    lab.save_weights(model)
    lab.metric("accuracy", model(tt.ones(1, 1)).item())
    measure_systems(lab)


def test_weights_that_a_run_saved_can_be_shipped_beside_the_script(
    run: Run, make_script: MakeScript
) -> None:
    assert run(learn_one) == 0
    shipped = make_script().with_name("line.safetensors")
    shipped.write_bytes((REPORT / "line.safetensors").read_bytes())
    assert run(learn_one, "--use-pretrained", "--report-dir", "again") == 0
    assert read_report(Path("again"))["metrics"] == {"accuracy": 1.0}
    assert not Path("again", "line.safetensors").exists()  # nothing was trained


def test_weights_rounded_to_half_precision_take_half_the_room(
    run: Run, make_script: MakeScript
) -> None:
    first = nn.Sequential(nn.Linear(30, 30), nn.BatchNorm1d(30))

    def experiment(lab: Lab, half: bool) -> None:
        if lab.mode == "pretrained":
            lab.load_weights(first)
        lab.save_weights(first, half=half)
        measure_systems(lab)

    sizes = []
    for half in (False, True):
        assert run(lambda lab, half=half: experiment(lab, half), bar={}) == 0
        sizes.append((REPORT / "line.safetensors").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    saved = [parameter.detach().numpy().copy() for parameter in first.parameters()]
    make_script().with_name("line.safetensors").write_bytes(
        (REPORT / "line.safetensors").read_bytes()
    )
    assert run(lambda lab: experiment(lab, True), "--use-pretrained", bar={}) == 0
    for parameter, value in zip(first.parameters(), saved, strict=True):
        assert parameter.dtype == value.dtype
        assert parameter.detach().numpy() == pytest.approx(value, rel=1e-3, abs=1e-6)


def test_damaged_weights_are_told(
    run: Run, make_script: MakeScript, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(learn_one) == 0
    shipped = make_script().with_name("line.safetensors")
    shipped.write_bytes((REPORT / "line.safetensors").read_bytes()[:-1])
    assert run(learn_one, "--use-pretrained") == 2
    assert "line.safetensors does not fit" in " ".join(capsys.readouterr().err.split())


# --- The terminal -------------------------------------------------------------------------------


def test_a_pipe_gets_plain_text_without_progress(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(experiment_with(0.95)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert not re.search(r"\x1b|\r", out)
    assert "training" not in out.splitlines()
    for said in ("Milestone 01 (1957)", "A note over two lines.", "[red]two[/red]", "PASSED"):
        assert said in out


def test_nothing_is_coloured_where_no_colour_is_wanted(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the pipe for a terminal
    assert run(experiment_with(0.95)) == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", capsys.readouterr().out)

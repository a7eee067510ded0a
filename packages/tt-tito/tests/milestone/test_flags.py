"""The flags of a run: its own, those of a script, and recipes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tt_nn as nn
from tt_tito import Lab, Option, Recipe, TitoError, at_least

from .experiments import REPORT, Run, experiment_with, measure_systems, read_report

MakeScript = Callable[..., Path]

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

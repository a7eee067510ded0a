"""The `tito` command itself: its help, its errors, the commands of other packages."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Tito = Callable[..., tuple[int, str, str]]
MakeDistribution = Callable[..., Path]

PLUGIN = "[tito.commands]\nextra = tt_plugin:command\n"


@pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
def test_help_lists_the_commands(tito: Tito, arguments: list[str]) -> None:
    code, out, err = tito(*arguments)
    assert (code, err) == (0, "")
    assert "milestone" in out
    assert "system" in out


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from tt_tito.cli import main\n"
        "assert main(['--help']) == 0\n"
        "heavy = {'numpy', 'matplotlib', 'rich', 'tt_nn', 'tt_profile'}\n"
        "assert not heavy & set(sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_version(tito: Tito) -> None:
    code, out, _ = tito("--version")
    assert code == 0
    assert out.startswith("tito 0.")


def test_an_unknown_command_is_an_error_that_suggests_one(tito: Tito) -> None:
    code, out, err = tito("milestones")
    assert (code, out) == (2, "")
    assert "no command 'milestones'" in err
    assert "Did you mean 'milestone'?" in err


@pytest.mark.parametrize(
    ("command", "code"), [("system", 2), ("milestone", 2), ("system --help", 0)]
)
def test_a_command_explains_itself(tito: Tito, command: str, code: int) -> None:
    got, out, err = tito(*command.split())
    assert got == code
    assert "usage: tito" in out + err


def test_a_command_of_another_package_is_found_and_gets_its_arguments(
    tito: Tito, make_distribution: MakeDistribution
) -> None:
    make_distribution(
        "tt-plugin",
        entry_points=PLUGIN,
        modules={"tt_plugin": "def command(argv):\n    print(*argv)\n    return len(argv)\n"},
    )
    assert "added by tt-plugin 0.1.0" in tito("--help")[1]
    assert "tt_plugin" not in sys.modules  # the help imported nothing
    assert tito("extra", "fetch", "--all") == (2, "fetch --all\n", "")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import no_such_module", "cannot be loaded (ModuleNotFoundError"),
        ("raise OSError('disk on fire')", "cannot be loaded (OSError: disk on fire)"),
        ("syntax error", "cannot be loaded (SyntaxError"),
        ("", "cannot be loaded (AttributeError"),
        ("command = 3", "is not a function"),
        ("def command(argv): return None", "ended without an exit code"),
        ("def command(argv): 1 / 0", "failed (ZeroDivisionError"),
    ],
)
def test_a_broken_command_of_another_package_is_named(
    tito: Tito, make_distribution: MakeDistribution, source: str, complaint: str
) -> None:
    make_distribution("tt-plugin", entry_points=PLUGIN, modules={"tt_plugin": source})
    code, out, err = tito("extra")
    assert (code, out) == (2, "")
    assert complaint in err
    assert "tt-plugin 0.1.0" in err
    assert "Traceback" not in err


def test_another_package_cannot_take_the_place_of_an_own_command(
    tito: Tito, make_distribution: MakeDistribution
) -> None:
    make_distribution(
        "tt-plugin",
        entry_points="[tito.commands]\nsystem = tt_plugin:command\n",
        modules={"tt_plugin": "def command(argv): return 99\n"},
    )
    assert tito("system", "--help")[0] == 0


def test_a_narrow_terminal_gets_narrow_lines(tito: Tito, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "36")
    _, out, _ = tito("--help")
    assert max(map(len, out.splitlines())) <= 36


@pytest.mark.parametrize("arguments", ["--help", "milestone --help", "system doctor"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_early_is_no_error(arguments: str, unbuffered: str) -> None:
    run = subprocess.run(
        f'"{sys.executable}" -m tt_tito.cli {arguments} | true',
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    assert run.stderr == ""

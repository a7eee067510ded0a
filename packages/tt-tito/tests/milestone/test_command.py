"""`tito milestone list | info | run` on checkouts made for the test."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Tito = Callable[..., tuple[int, str, str]]
MakeScript = Callable[..., Path]
MakeDistribution = Callable[..., Path]


def test_list_says_what_can_run(tito: Tito, root: Path, make_script: MakeScript) -> None:
    make_script(needs='"packaging", "tt-tito>=0.1"')
    make_script(folder="03_1986_later", name="deep.py", needs='"tt-absent>=0.1"')
    code, out, _ = tito("milestone", "--root", str(root), "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line[:1].isdigit()] == ["01", "03"]
    assert "line: ready" in out
    assert "later: needs tt-absent" in out
    assert "line.py: A line fits" in out


def test_the_checkout_is_found_from_a_folder_inside_it(
    tito: Tito, monkeypatch: pytest.MonkeyPatch, make_script: MakeScript
) -> None:
    monkeypatch.chdir(make_script().parent)
    assert tito("milestone", "list")[0] == 0


def test_outside_of_a_checkout_is_an_error(
    tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "milestones").mkdir()  # a folder of that name, but no milestone in it
    monkeypatch.chdir(tmp_path)
    code, out, err = tito("milestone", "list")
    assert (code, out) == (2, "")
    assert "No milestones here" in err
    assert "--root" in err


def test_info_tells_story_and_needs(tito: Tito, root: Path, make_script: MakeScript) -> None:
    make_script(needs='"packaging>=20", "tt-absent>=0.1,<0.2", "tt-tito>=0.1"')
    code, out, _ = tito("milestone", "--root", str(root), "info", "1")
    assert code == 0
    for expected in (
        "Milestone 01 (1957): line",
        "A line fits",
        "The story of the line.",
        "tt-absent<0.2,>=0.1 (prerequisite, not installed)",
        "tt-tito>=0.1 (tool, 0.",
        "nox -s milestone_01",
    ):
        assert expected in " ".join(out.split())


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("x = 1\n", "no dependency block"),
        ("# /// script\n# dependencies = []\n", "has no end"),
        ("# /// script\n# dependencies = [\n# ///\n", "not valid TOML"),
        ("# /// script\n# dependencies = 'numpy'\n# ///\n", "must be a list"),
        ("# /// script\n# dependencies = [3]\n# ///\n", "must be a string"),
        ("# /// script\n# dependencies = ['two words']\n# ///\n", "is not a requirement"),
        ("# /// script\n# requires-python = 3.11\n# ///\n", "requires-python must be a string"),
        ("# /// script\n# requires-python = 'new'\n# ///\n", "is not a version range"),
        ("# /// script\n# dependencies = []\n# ///\n\n" * 2, "2 dependency blocks"),
        ("def broken(:\n", "cannot be read as a Python script"),
        ("\0", "cannot be read as a Python script"),
    ],
)
def test_a_malformed_script_is_an_error_that_names_it(
    tito: Tito, root: Path, make_script: MakeScript, source: str, complaint: str
) -> None:
    make_script(source=source)
    for action in (["list"], ["info", "01"], ["run", "01"]):
        code, _, err = tito("milestone", "--root", str(root), *action)
        assert code == 2
        assert complaint in err
        assert "line.py" in err


@pytest.mark.parametrize("number", ["07", "x", ""])
def test_an_unknown_number_is_an_error_that_lists_those_that_exist(
    tito: Tito, root: Path, make_script: MakeScript, number: str
) -> None:
    make_script()
    code, _, err = tito("milestone", "--root", str(root), "info", number)
    assert code == 2
    assert "there are 01" in err


def test_run_passes_flags_and_the_exit_code(
    tito: Tito, root: Path, make_script: MakeScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_script("import sys\nopen('flags.txt', 'w').write(str(sys.argv[1:]))\nsys.exit(1)\n")
    code, _, _ = tito("milestone", "--root", str(root), "run", "01", "--seed", "3", "--demo-mode")
    assert code == 1
    assert (tmp_path / "flags.txt").read_text() == "['--seed', '3', '--demo-mode']"


def test_run_takes_the_worst_exit_code_of_all_scripts(
    tito: Tito, root: Path, make_script: MakeScript
) -> None:
    for name, exit_code in (("a.py", 0), ("b.py", 2), ("c.py", 1)):
        make_script(f"raise SystemExit({exit_code})\n", name=name)
    assert tito("milestone", "--root", str(root), "run", "01")[0] == 2
    assert tito("milestone", "--root", str(root), "run", "01", "c")[0] == 1
    assert tito("milestone", "--root", str(root), "run", "01", "a.py", "--seed", "1")[0] == 0
    code, _, err = tito("milestone", "--root", str(root), "run", "01", "d")
    assert code == 2
    assert "no script 'd'; it has a, b, c" in err


def test_run_skips_missing_data_only_where_all_scripts_run(
    tito: Tito, root: Path, make_script: MakeScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "import os\nraise SystemExit(0 if os.environ['TITO_SKIP_MISSING_DATA'] else 2)\n"
    monkeypatch.setenv("TITO_SKIP_MISSING_DATA", "1")  # it is for `tito` to say
    for name in ("a.py", "b.py"):
        make_script(body, name=name)
    assert tito("milestone", "--root", str(root), "run", "01")[0] == 0
    assert tito("milestone", "--root", str(root), "run", "01", "b")[0] == 2


def test_run_uses_this_python_and_the_folder_it_is_called_from(
    tito: Tito, root: Path, make_script: MakeScript, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_script("import sys\nopen('who.txt', 'w').write(sys.executable)\n")
    assert tito("milestone", "--root", str(root), "run", "01")[0] == 0
    assert (tmp_path / "who.txt").read_text() == sys.executable


@pytest.mark.parametrize(
    ("needs", "complaint"),
    [
        ('"tt-absent>=0.1"', "tt-absent>=0.1 (not installed)"),
        ('"tt-here>=0.2"', "tt-here>=0.2 (0.1.0 is installed)"),
        ('"tt-here<0.1"', "tt-here<0.1 (0.1.0 is installed)"),
    ],
)
def test_run_refuses_when_something_is_missing(
    tito: Tito,
    root: Path,
    make_script: MakeScript,
    make_distribution: MakeDistribution,
    needs: str,
    complaint: str,
) -> None:
    make_distribution("tt-here")
    path = make_script("raise SystemExit(0)\n", needs=needs)
    code, _, err = tito("milestone", "--root", str(root), "run", "01")
    assert code == 2
    assert complaint in err
    assert path.name in err
    assert "nox -s milestone_01" in err


def test_a_requirement_for_another_platform_does_not_count(
    tito: Tito, root: Path, make_script: MakeScript
) -> None:
    make_script(needs="\"tt-absent>=0.1; sys_platform == 'plan9'\"")
    assert tito("milestone", "--root", str(root), "run", "01")[0] == 0


def test_run_refuses_an_unsuitable_python(tito: Tito, root: Path, make_script: MakeScript) -> None:
    make_script(source="# /// script\n# requires-python = '>=4'\n# dependencies = []\n# ///\n")
    code, _, err = tito("milestone", "--root", str(root), "run", "01")
    assert code == 2
    assert "runs on Python >=4" in err

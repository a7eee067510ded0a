"""`tito system doctor` on sound and on broken environments."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.module_01

BROKEN_CHECK = "the check itself failed"

Tito = Callable[..., tuple[int, str, str]]
MakeDistribution = Callable[..., Path]


def test_every_part_has_a_line(tito: Tito) -> None:
    _, out, _ = tito("system", "doctor")
    for subject in ("Python", "NumPy", "BLAS", "tt-tito", "data home", "disk"):
        assert f" {subject}: " in " ".join(out.split())
    assert BROKEN_CHECK not in out
    assert "\x1b" not in out  # no colour in a pipe


def test_a_sound_environment_passes(
    tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TT_DATA_HOME", str(tmp_path))
    code, out, _ = tito("system", "doctor")
    assert "0 error" in out
    assert code == 0


@pytest.mark.parametrize(
    ("url", "level", "text"),
    [
        (None, "ok", "0.1.0, from a package index"),
        ({"url": "file:///a%20b/x.whl", "archive_info": {}}, "ok", "0.1.0, from /a b/x.whl"),
        ({"url": "file:///src", "dir_info": {"editable": True}}, "ok", "0.1.0, editable, in /src"),
        ({"url": "https://example.org/x.whl"}, "ok", "from https://example.org/x.whl"),
        ("{", "warning", "its direct_url.json is damaged"),
        ("[]", "warning", "its direct_url.json is damaged"),
        ('{"url": "file:///x", "dir_info": 3}', "warning", "its direct_url.json is damaged"),
    ],
)
def test_the_origin_of_a_package(
    tito: Tito, make_distribution: MakeDistribution, url: object, level: str, text: str
) -> None:
    make_distribution("tt-fake", url=url)
    line = finding(tito, "tt-fake")
    assert line.startswith(level)
    assert text in line
    assert ("Install it again" in line) == (level != "ok")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"needs": ("tt-absent>=0.1",)}, "needs tt-absent>=0.1 (not installed)"),
        ({"needs": ("packaging<1",)}, "needs packaging<1 ("),
        ({"needs": ("not a requirement",)}, "its metadata is damaged"),
        ({"version": "new"}, "its metadata is damaged"),
        ({"modules": {}}, "cannot be imported: ModuleNotFoundError"),
        ({"modules": {"tt_fake": "1 / 0"}}, "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_broken_package_is_an_error_with_what_to_do(
    tito: Tito, make_distribution: MakeDistribution, arguments: dict[str, object], text: str
) -> None:
    make_distribution("tt-fake", **arguments)
    line = finding(tito, "tt-fake")
    assert line.startswith("error")
    assert text in line
    assert "Install it again" in line
    assert tito("system", "doctor")[0] == 1


def test_an_extra_that_is_not_installed_is_no_error(
    tito: Tito, make_distribution: MakeDistribution
) -> None:
    make_distribution("tt-fake", needs=("tt-absent>=0.1; extra == 'fast'",))
    assert finding(tito, "tt-fake").startswith("ok")


def test_without_numpy_it_says_so_and_goes_on() -> None:
    program = (
        "import sys\n"
        "sys.modules['numpy'] = None\n"
        "from tt_tito.cli import main\n"
        "sys.exit(main(['system', 'doctor']))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == ""
    assert "error NumPy: cannot be imported" in " ".join(run.stdout.split())
    assert "force-reinstall numpy" in " ".join(run.stdout.split())
    assert "disk:" in run.stdout
    assert BROKEN_CHECK not in " ".join(run.stdout.split())


def test_a_data_home_that_is_a_file_is_an_error(
    tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TT_DATA_HOME", str(tmp_path / "file" / "data"))
    line = finding(tito, "data home")
    assert line.startswith("error")
    assert "is not a folder" in line
    assert "Set TT_DATA_HOME" in line


def test_a_data_home_that_does_not_exist_yet_is_fine(
    tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TT_DATA_HOME", str(tmp_path / "later"))
    assert "made by the first download" in finding(tito, "data home")
    assert not (tmp_path / "later").exists()


@pytest.mark.parametrize(("free", "level"), [(10**6, "error"), (5 * 10**8, "warning")])
def test_a_full_disk_is_told(
    tito: Tito, monkeypatch: pytest.MonkeyPatch, free: int, level: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": free}))
    line = finding(tito, "disk")
    assert line.startswith(level)
    assert "Make room" in line


def test_a_check_that_fails_itself_is_a_finding(
    tito: Tito, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path) -> None:
        raise OSError("no such device")

    monkeypatch.setattr("shutil.disk_usage", broken)
    out = " ".join(tito("system", "doctor")[1].split())
    assert f"disk: {BROKEN_CHECK}: OSError: no such device" in out
    assert out.count(BROKEN_CHECK) == 1


def test_a_narrow_terminal_gets_narrow_lines(
    tito: Tito, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TT_DATA_HOME", "/data")
    _, out, _ = tito("system", "doctor")
    assert BROKEN_CHECK not in " ".join(out.split())
    long = [line for line in out.splitlines() if len(line) > 40]
    assert all(len(line.split()) <= 2 for line in long)  # a single word, such as a path


def finding(tito: Tito, subject: str) -> str:
    """The lines about a subject, as one."""
    out = tito("system", "doctor")[1]
    assert BROKEN_CHECK not in " ".join(out.split())
    lines = out.splitlines()
    starts = [i for i, line in enumerate(lines) if line[:1].strip()]
    for start in starts:
        if lines[start][8:].startswith(f"{subject}:"):
            end = next((i for i in starts if i > start), len(lines))
            return " ".join(" ".join(lines[start:end]).split())
    raise AssertionError(f"no line about {subject}")

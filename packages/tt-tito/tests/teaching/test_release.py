"""`tito release NN` on the checkout: what students get, and that no solution is in it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito.course._curriculum import Curriculum, package_folder, package_of, read_curriculum
from tt_tito.course._exercises import is_blank, reference_body
from tt_tito.teaching._release import archive, release
from tt_tito.workspace._workspace import Workspace

Tito = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def curriculum() -> Curriculum:
    """The course's."""
    return read_curriculum(ROOT)


@pytest.fixture(scope="module", params=["02", "20"])
def number(request: pytest.FixtureRequest) -> str:
    """The number of a module: one of the first, and the last."""
    number: str = request.param
    return number


@pytest.fixture(scope="module")
def unpacked(number: str, curriculum: Curriculum, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder of the archive."""
    content = release(curriculum, number, tmp_path_factory.mktemp("scratch"))
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(io.BytesIO(content)) as made:
        assert made.testzip() is None
        made.extractall(folder)
    (top,) = folder.iterdir()
    return top


def test_it_holds_the_packages_up_to_the_module_the_guide_and_what_to_do(
    unpacked: Path, number: str, curriculum: Curriculum
) -> None:
    module = curriculum.module(number)
    packages = {p for m in curriculum.modules if m.number <= number for p in m.packages}
    guide = Path(module.guide)
    assert {path.name for path in unpacked.iterdir()} == {"README.md", guide.name, "workspace"}
    assert {path.name for path in (unpacked / "workspace").iterdir()} == packages
    assert (unpacked / guide.name).read_bytes() == (ROOT / guide).read_bytes()
    text = (unpacked / "README.md").read_text()
    for expected in (*module.exercises, f"tito module test {number}", guide.name):
        assert expected in text


def test_no_solution_is_in_it(unpacked: Path, number: str, curriculum: Curriculum) -> None:
    texts = [path.read_text() for path in unpacked.rglob("*") if path.suffix in (".py", ".md")]
    checked = 0
    for module in curriculum.modules:
        for exercise in module.exercises if module.number <= number else ():
            package = package_of(exercise)
            assert is_blank(unpacked / "workspace" / package, exercise)
            body = reference_body(package_folder(ROOT, package), exercise).strip()
            if "\n" in body:  # a single line may well stand elsewhere
                assert not any(body in text for text in texts), exercise
                checked += 1
    assert checked > 5


def test_a_workspace_of_it_is_one_in_which_the_modules_are_started(
    unpacked: Path, number: str, curriculum: Curriculum
) -> None:
    workspace = Workspace.open(ROOT, unpacked / "workspace")
    wanted = {module.number for module in curriculum.modules if module.number <= number}
    assert wanted <= set(workspace.state.modules)
    module = curriculum.module(number)
    assert workspace.unwritten(module) == module.exercises


def test_an_archive_is_the_same_whatever_order_its_files_come_in() -> None:
    files = {"b/c.txt": b"c", "a.txt": b"a"}
    made = archive("top", files)
    assert made == archive("top", dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(made)) as opened:
        assert opened.namelist() == ["top/a.txt", "top/b/c.txt"]
        assert opened.read("top/b/c.txt") == b"c"


def test_the_command_writes_the_same_file_again(
    tito: Tito, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("release", "2", "--root", str(ROOT))
    code, out, err = tito(*command)
    assert (code, err) == (0, "")
    assert "tinytorch-02-tensor.zip" in out
    assert tito(*command, "--out", "again.zip")[0] == 0
    first, second = (tmp_path / name for name in ("tinytorch-02-tensor.zip", "again.zip"))
    assert first.read_bytes() == second.read_bytes()
    assert sorted(tmp_path.iterdir()) == [second, first]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("42",), "There is no module '42'"),
        (("02", "--out", "notes.txt"), "not the name of a zip file"),
        (("02", "--out", "nowhere/a.zip"), "cannot be written"),
        (("02", "--root", "nowhere"), "curriculum.toml is missing"),
    ],
)
def test_what_cannot_be_done_is_told(
    tito: Tito,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    root = () if "--root" in arguments else ("--root", str(ROOT))
    code, out, err = tito("release", *arguments, *root)
    assert (code, out) == (2, "")
    assert complaint in err
    assert list(tmp_path.iterdir()) == []

from collections.abc import Callable
from pathlib import Path

import pytest

from tooling.packages import Package, WorkspaceError
from tooling.wheels import locked, publish, up_to_date
from wheel_files import make_wheel


@pytest.fixture
def sources(write: Callable[[str, str], Path], tmp_path: Path) -> list[Package]:
    for name in ("tt-a", "tt-b"):
        write(f"packages/{name}/pyproject.toml", "")
        write(f"packages/{name}/src/{name}/__init__.py", "")
    (tmp_path / "dist").mkdir()
    names = ("tt-a", "tt-b")
    return [Package(name, tmp_path / "packages" / name, frozenset()) for name in names]


def build(version: str) -> Callable[[Package, Path], object]:
    return lambda package, folder: make_wheel(folder, package.name, version)


def visible(dist: Path) -> set[str]:
    return {path.name for path in dist.iterdir() if not path.name.startswith(".")}


def test_publish_replaces_wheels_and_names_each_by_its_url(
    sources: list[Package], tmp_path: Path
) -> None:
    dist = tmp_path / "dist"
    publish(sources, dist, build("1.0"))
    publish(sources, dist, build("1.1"))
    wheels = {"tt_a-1.1-py3-none-any.whl", "tt_b-1.1-py3-none-any.whl"}
    assert visible(dist) == {"constraints.txt", *wheels}
    assert (dist / "constraints.txt").read_text(encoding="utf-8").splitlines() == [
        f"tt-a @ {dist.as_uri()}/tt_a-1.1-py3-none-any.whl",
        f"tt-b @ {dist.as_uri()}/tt_b-1.1-py3-none-any.whl",
    ]


def test_a_failed_build_leaves_the_old_wheels(sources: list[Package], tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    publish(sources, dist, build("1.0"))
    before = visible(dist)

    def break_second(package: Package, folder: Path) -> None:
        if package.name == "tt-b":
            raise RuntimeError("no compiler")
        make_wheel(folder, package.name, "2.0")

    with pytest.raises(RuntimeError, match="no compiler"):
        publish(sources, dist, break_second)
    with pytest.raises(WorkspaceError, match="expected one wheel for each of tt-a, tt-b, got none"):
        publish(sources, dist, lambda package, folder: None)
    assert visible(dist) == before
    assert not list(dist.glob(".build-*"))


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("packages/tt-a/src/tt-a/__init__.py", True),
        ("packages/tt-b/src/tt-b/deep/new.py", True),
        ("packages/tt-b/pyproject.toml", True),
        ("packages/tt-a/README.md", True),
        ("packages/tt-a/tests/test_new.py", False),
        ("packages/tt-a/src/tt-a/__pycache__/x.pyc", False),
    ],
)
def test_wheels_are_built_again_when_what_they_hold_changes(
    sources: list[Package],
    tmp_path: Path,
    write: Callable[[str, str], Path],
    file: str,
    stale: bool,
) -> None:
    dist = tmp_path / "dist"
    assert not up_to_date(sources, dist)
    publish(sources, dist, build("1.0"))
    assert up_to_date(sources, dist)
    write(file, "changed = True\n")
    assert up_to_date(sources, dist) is not stale


def test_a_missing_wheel_is_built_again(sources: list[Package], tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    publish(sources, dist, build("1.0"))
    (dist / "tt_a-1.0-py3-none-any.whl").unlink()
    assert not up_to_date(sources, dist)


def test_a_change_during_the_build_makes_the_wheels_stale(
    sources: list[Package], tmp_path: Path, write: Callable[[str, str], Path]
) -> None:
    def edit_meanwhile(package: Package, folder: Path) -> None:
        make_wheel(folder, package.name, "1.0")
        write("packages/tt-a/src/tt-a/__init__.py", "later = True\n")

    publish(sources, tmp_path / "dist", edit_meanwhile)
    assert not up_to_date(sources, tmp_path / "dist")


def test_lock_makes_the_folder(tmp_path: Path) -> None:
    with locked(tmp_path / "dist"):
        assert (tmp_path / "dist").is_dir()

"""Wheels of the learner's packages: what is in them, and when they are built again."""

import os
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from tt_tito._errors import TitoError
from tt_tito.trial._build import KEPT, build_wheel, course_packages, needed


@pytest.fixture
def package(course: Path) -> Path:
    return course / "packages" / "tt-tensor"


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "some wheels"


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_wheel_holds_the_files_of_src_and_nothing_else(package: Path, into: Path) -> None:
    (package / ".gitignore").write_text("*.py\n")  # what is not in git is hers all the same
    source = package / "src"
    expected = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    found = contents(build_wheel(package, into))
    assert {name: data for name, data in found.items() if ".dist-info/" not in name} == expected


def test_metadata_is_the_courses(package: Path, into: Path, tmp_path: Path) -> None:
    hers = tmp_path / "workspace" / "tt-tensor"
    (hers / "src" / "tt_tensor").mkdir(parents=True)
    (hers / "src" / "tt_tensor" / "__init__.py").write_text("mine = True\n")
    (hers / "pyproject.toml").write_text(
        '[project]\nname = "evil"\nversion = "9"\n[tool.hatch.build.hooks.custom]\n'
    )
    (hers / "hatch_build.py").write_text("raise SystemExit('a hook was run')\n")
    wheel = build_wheel(hers, into, project=package)
    found = contents(wheel)
    assert wheel.name.startswith("tt_tensor-0.1.0-")
    assert found["tt_tensor/__init__.py"] == b"mine = True\n"
    metadata = message_from_bytes(found["tt_tensor-0.1.0.dist-info/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("tt-tensor", "0.1.0")


def test_the_same_files_are_built_once(package: Path, into: Path) -> None:
    first = build_wheel(package, into)
    built = first.stat().st_mtime_ns
    (package / "tests" / "test_it.py").write_text("")  # in no wheel
    assert build_wheel(package, into) == first
    assert first.stat().st_mtime_ns == built
    file = package / "src" / "tt_tensor" / "__init__.py"
    text = file.read_bytes()
    file.write_bytes(text + b"changed = True\n")
    second = build_wheel(package, into)
    assert second != first
    assert contents(second)["tt_tensor/__init__.py"].endswith(b"changed = True\n")
    file.write_bytes(text)
    assert build_wheel(package, into) == first


def test_the_cache_does_not_grow_without_end(package: Path, into: Path) -> None:
    file = package / "src" / "tt_tensor" / "__init__.py"
    for number in range(KEPT + 2):
        file.write_text(f"number = {number}\n")
        wheel = build_wheel(package, into)
    assert wheel.is_file()
    assert len(list(into.glob("tt-tensor/*/*.whl"))) == KEPT


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_links_are_refused_and_named(package: Path, into: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (package / "src" / "tt_tensor" / "data.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(TitoError, match=r"data\.txt is neither a file nor a folder"):
        build_wheel(package, into)
    assert not list(into.rglob("*.whl"))


def test_a_package_that_cannot_be_built_says_why(package: Path, into: Path) -> None:
    (package / "pyproject.toml").write_text('[project]\nname = "tt-tensor"\nversion = "one"\n')
    with pytest.raises(TitoError, match=r"(?s)tt-tensor cannot be built.*[Vv]ersion"):
        build_wheel(package, into)


def test_a_package_without_source_is_an_error(tmp_path: Path, into: Path) -> None:
    with pytest.raises(TitoError, match="has no folder 'src'"):
        build_wheel(tmp_path, into)


@pytest.mark.parametrize(
    ("requirements", "expected"),
    [
        (["tt-tensor"], {"tt-tensor"}),
        (["tt_nn>=0.1,<0.2", "numpy"], {"tt-tensor", "tt-autograd", "tt-nn"}),
        (["tt-nn[more]"], {"tt-tensor", "tt-autograd", "tt-nn", "tt-data"}),
        (["pytest"], set()),
    ],
)
def test_needed_follows_dependencies_and_extras(
    course: Path, requirements: list[str], expected: set[str]
) -> None:
    with (course / "packages" / "tt-nn" / "pyproject.toml").open("a") as file:
        file.write('[project.optional-dependencies]\nmore = ["tt-data", "numba"]\n')
    (course / "packages" / "tt-data").mkdir()
    (course / "packages" / "tt-data" / "pyproject.toml").write_text('[project]\nname = "tt-data"\n')
    assert needed(course_packages(course), requirements) == expected

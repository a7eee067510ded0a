import re
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tooling.packages import (
    Package,
    WorkspaceError,
    dependents,
    read_packages,
    requirement_name,
)


def project(package: Package) -> dict[str, Any]:
    text = (package.path / "pyproject.toml").read_text(encoding="utf-8")
    table: dict[str, Any] = tomllib.loads(text)["project"]
    return table


def minor(version: str) -> tuple[int, int]:
    major, minor, _ = version.split(".")
    return int(major), int(minor)


def test_every_package_stands_after_what_it_requires(packages: tuple[Package, ...]) -> None:
    seen: set[str] = set()
    for package in packages:
        assert package.requires <= seen, f"{package.name} stands before what it requires"
        seen.add(package.name)


def test_metadata_is_complete_and_alike(packages: tuple[Package, ...], repository: Path) -> None:
    licence = (repository / "LICENSE").read_text(encoding="utf-8")
    for package in packages:
        table = project(package)
        assert package.path.name == package.name
        assert table["requires-python"] == ">=3.11"
        assert table["license"] == "MIT"
        assert re.fullmatch(r"\d+\.\d+\.\d+", table["version"])
        assert table["description"].endswith(".")
        assert (package.path / "LICENSE").read_text(encoding="utf-8") == licence
        assert (package.path / "README.md").is_file()
        changelog = (package.path / "CHANGELOG.md").read_text(encoding="utf-8")
        assert f"\n## {table['version']}" in changelog


def test_ranges_of_siblings_hold_their_present_version(packages: tuple[Package, ...]) -> None:
    versions = {package.name: project(package)["version"] for package in packages}
    for package in packages:
        for requirement in project(package)["dependencies"]:
            name = requirement_name(requirement)
            if name in versions:
                match = re.fullmatch(r"[a-z-]+>=(\d+)\.(\d+),<(\d+)\.(\d+)", requirement)
                assert match, f"{package.name}: {requirement} is no range such as >=0.1,<0.2"
                low, high = (int(match[1]), int(match[2])), (int(match[3]), int(match[4]))
                assert low <= minor(versions[name]) < high


def test_wheels_carry_types_licence_and_nothing_foreign(
    packages: tuple[Package, ...], repository: Path
) -> None:
    for package in packages:
        (wheel,) = (repository / "dist").glob(f"{package.module}-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        assert f"{package.module}/py.typed" in names
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
        assert {name.partition("/")[0] for name in names} == {
            package.module,
            f"{package.module}-{project(package)['version']}.dist-info",
        }


def test_a_package_left_out_of_the_workspace_is_an_error(
    write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    members = "[tool.hatch.envs.default]\nworkspace.members = [{}]\n"
    write("pyproject.toml", members.format('"packages/tt-a"'))
    write("packages/tt-a/pyproject.toml", '[project]\nname = "tt-a"\ndependencies = []\n')
    assert [package.name for package in read_packages(tmp_path)] == ["tt-a"]
    write("pyproject.toml", members.format(""))
    with pytest.raises(WorkspaceError, match=r"packages/tt-a: not in workspace.members"):
        read_packages(tmp_path)
    write("pyproject.toml", members.format('"packages/tt-a", "packages/tt-b"'))
    with pytest.raises(WorkspaceError, match=r"packages/tt-b: in workspace.members"):
        read_packages(tmp_path)


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("tt-nn", "tt-nn"),
        ("tt_nn>=0.1,<0.2", "tt-nn"),
        ("TT.NN [fast] ; python_version > '3'", "tt-nn"),
        ("numpy", "numpy"),
    ],
)
def test_requirement_name(requirement: str, name: str) -> None:
    assert requirement_name(requirement) == name


def test_dependents_are_transitive() -> None:
    graph = {"a": set[str](), "b": {"a"}, "c": {"b"}, "d": set[str]()}
    chain = [Package(name, Path(name), frozenset(requires)) for name, requires in graph.items()]
    assert dependents(chain, {"a"}) == {"a", "b", "c"}
    assert dependents(chain, {"c", "d"}) == {"c", "d"}
    assert dependents(chain, set()) == set()

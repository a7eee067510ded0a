import pkgutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tooling.packages import Package

NUMBERS = [f"{number:02}" for number in range(1, 21)]


@pytest.fixture(scope="module")
def modules(repository: Path) -> dict[str, dict[str, Any]]:
    text = (repository / "curriculum.toml").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = tomllib.loads(text)["module"]
    return table


def test_modules_stand_in_order_and_have_the_same_keys(modules: dict[str, dict[str, Any]]) -> None:
    assert list(modules) == [number for number in NUMBERS if number in modules]
    for number, module in modules.items():
        assert module.keys() == {"name", "packages", "marker", "exercises"}
        assert module["marker"] == f"module_{number}"


def test_every_marker_is_declared_with_the_name_of_its_module(
    modules: dict[str, dict[str, Any]], pytestconfig: pytest.Config
) -> None:
    lines = [line.split(": ") for line in pytestconfig.getini("markers")]
    declared = {line[0]: line[1] for line in lines if line[0].startswith("module_")}
    for module in modules.values():
        assert declared[module["marker"]].startswith(module["name"])


def test_every_module_names_packages_that_exist(
    modules: dict[str, dict[str, Any]], packages: tuple[Package, ...]
) -> None:
    for module in modules.values():
        assert module["packages"]
        assert set(module["packages"]) <= {package.name for package in packages}


def test_every_exercise_exists_in_a_package_of_its_module(
    modules: dict[str, dict[str, Any]],
) -> None:
    for number, module in modules.items():
        assert module["exercises"], f"module {number} has no exercise"
        assert len(set(module["exercises"])) == len(module["exercises"])
        for exercise in module["exercises"]:
            package = exercise.partition(".")[0].replace("_", "-")
            assert package in module["packages"], f"module {number}: {exercise}"
            assert callable(pkgutil.resolve_name(exercise)), exercise


def test_no_exercise_belongs_to_two_modules(modules: dict[str, dict[str, Any]]) -> None:
    exercises = [exercise for module in modules.values() for exercise in module["exercises"]]
    assert len(set(exercises)) == len(exercises)

from pathlib import Path

import pytest

from tooling.packages import Package
from tt_tito.course import (
    CAPSTONE,
    Curriculum,
    Module,
    Place,
    blanked,
    encode,
    fill,
    is_blank,
    locate,
    package_folder,
    package_of,
    read_curriculum,
    reference_body,
)

CURRICULUM = read_curriculum(Path(__file__).parents[1])
NUMBERS = [f"{number:02}" for number in range(1, 21)]

each_module = pytest.mark.parametrize("module", CURRICULUM.modules, ids=lambda m: m.number)


def place_of(curriculum: Curriculum, exercise: str) -> Place:
    return locate(package_folder(curriculum.root, package_of(exercise)), exercise)


def test_the_modules_are_those_of_the_course() -> None:
    assert [module.number for module in CURRICULUM.modules] == NUMBERS
    assert [module.marker for module in CURRICULUM.modules] == [f"module_{n}" for n in NUMBERS]


def test_every_marker_is_declared_with_the_name_of_its_module(pytestconfig: pytest.Config) -> None:
    lines = [line.split(": ") for line in pytestconfig.getini("markers")]
    declared = {line[0]: line[1] for line in lines if line[0].startswith("module_")}
    assert list(declared) == [module.marker for module in CURRICULUM.modules]
    for module in CURRICULUM.modules:
        assert declared[module.marker].startswith(module.name)


@each_module
def test_a_module_has_packages_that_exist_lowest_first(
    module: Module, packages: tuple[Package, ...]
) -> None:
    order = [*(package.name for package in packages), CAPSTONE]
    assert list(module.packages) == sorted(module.packages, key=order.index)
    for package in module.packages:
        folder = package_folder(CURRICULUM.root, package)
        assert (folder / "pyproject.toml").is_file()
        assert module.exercises_in(package)
        assert list((folder / "tests").rglob("test_*.py"))


@each_module
def test_a_module_has_a_guide_that_names_its_exercises(module: Module) -> None:
    guide = (CURRICULUM.root / module.guide).read_text(encoding="utf-8")
    for exercise in module.exercises:
        assert exercise.rpartition(".")[2] in guide, exercise


@each_module
def test_an_exercise_is_a_function_with_a_body_that_is_taken_out_and_put_back(
    module: Module, tmp_path: Path
) -> None:
    for package in module.packages:
        folder = package_folder(CURRICULUM.root, package)
        exercises = module.exercises_in(package)
        places = {exercise: place_of(CURRICULUM, exercise) for exercise in exercises}
        for exercise, place in places.items():
            assert not is_blank(folder, exercise), exercise
            assert (folder / place.file).is_file()
        copy_package(folder, tmp_path / package)
        for file, text in blanked(folder, module).items():
            (tmp_path / package / file).write_bytes(encode(text))
        assert all(is_blank(tmp_path / package, exercise) for exercise in exercises)
        for exercise in exercises:
            body = reference_body(folder, exercise)
            for file, text in fill(tmp_path / package, exercise, body).items():
                (tmp_path / package / file).write_bytes(encode(text))
        for place in places.values():
            restored = (tmp_path / package / place.file).read_bytes()
            assert restored == (folder / place.file).read_bytes()


def copy_package(folder: Path, target: Path) -> None:
    for file in folder.glob("src/**/*.py"):
        copy = target / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())


def test_no_two_exercises_are_the_same_function() -> None:
    places: dict[tuple[str, Path, str], str] = {}
    for module in CURRICULUM.modules:
        for exercise in module.exercises:
            place = place_of(CURRICULUM, exercise)
            key = (package_of(exercise), place.file, place.qualname)
            assert key not in places, f"{exercise} is {places[key]}"
            places[key] = exercise

"""The course's map: read, looked up, and refused where it is malformed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito import TitoError
from tt_tito.course import package_folder, package_of, read_curriculum

TENSOR = """\
[module.02]
name = "tensor"
packages = ["tt-tensor"]
marker = "module_02"
exercises = ["tt_tensor.Tensor.__add__", "tt_tensor.matmul"]
"""
ACTIVATIONS = """\
[module.03]
name = "activations"
packages = ["tt-tensor", "tt-nn"]
marker = "module_03"
exercises = ["tt_nn.ReLU.forward", "tt_tensor.relu"]
"""
AUTOGRAD = """\
[module.06]
name = "autograd"
packages = ["tt-autograd"]
marker = "module_06"
exercises = ["tt_autograd.grad"]
"""
SPATIAL = """\
[module.09]
name = "spatial"
packages = ["tt-nn"]
marker = "module_09"
exercises = ["tt_nn.functional.conv2d"]
"""


@pytest.fixture
def write_map(tmp_path: Path) -> Callable[..., Path]:
    """Write a curriculum and return its folder."""

    def write(*modules: str) -> Path:
        (tmp_path / "curriculum.toml").write_text("\n".join(modules), encoding="utf-8")
        return tmp_path

    return write


def test_the_modules_are_read_in_order(write_map: Callable[..., Path]) -> None:
    root = write_map(TENSOR, ACTIVATIONS)
    curriculum = read_curriculum(root)
    assert curriculum.root == root
    tensor, activations = curriculum.modules
    assert (tensor.number, tensor.name, tensor.marker) == ("02", "tensor", "module_02")
    assert tensor.packages == ("tt-tensor",)
    assert tensor.exercises == ("tt_tensor.Tensor.__add__", "tt_tensor.matmul")
    assert tensor.guide == "docs/modules/02_tensor.md"
    assert activations.exercises_in("tt-nn") == ("tt_nn.ReLU.forward",)
    assert activations.exercises_in("tt-tensor") == ("tt_tensor.relu",)
    assert activations.exercises_in("tt-optim") == ()


def test_a_module_is_found_by_its_number(write_map: Callable[..., Path]) -> None:
    curriculum = read_curriculum(write_map(TENSOR, ACTIVATIONS))
    assert curriculum.module("2") is curriculum.module("02") is curriculum.modules[0]
    for number in ("4", "004", "", "tensor"):
        with pytest.raises(TitoError, match=r"There is no module .*; there are 02, 03"):
            curriculum.module(number)


def test_the_modules_of_a_package_are_those_that_build_it(write_map: Callable[..., Path]) -> None:
    curriculum = read_curriculum(write_map(TENSOR, ACTIVATIONS, SPATIAL))
    numbers = {
        package: [module.number for module in curriculum.of_package(package)]
        for package in ("tt-tensor", "tt-nn", "tt-data")
    }
    assert numbers == {"tt-tensor": ["02", "03"], "tt-nn": ["03", "09"], "tt-data": []}


def test_later_exercises_are_those_of_its_own_packages(write_map: Callable[..., Path]) -> None:
    curriculum = read_curriculum(write_map(TENSOR, ACTIVATIONS, AUTOGRAD, SPATIAL))
    assert curriculum.later("02") == ("tt_tensor.relu",)
    assert curriculum.later("03") == ("tt_nn.functional.conv2d",)  # not what tt-nn imports
    assert curriculum.later("9") == ()


def project(root: Path, name: str, dependencies: str) -> None:
    folder = package_folder(root, name)
    folder.mkdir(parents=True)
    text = f'[project]\nname = "{name}"\nversion = "1"\n{dependencies}\n'
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def test_packages_beneath_come_first(write_map: Callable[..., Path]) -> None:
    root = write_map(TENSOR)
    project(root, "tt-tensor", 'dependencies = ["numpy>=2"]')
    project(root, "tt-autograd", 'dependencies = ["TT_Tensor >=0.1,<0.2"]')
    project(root, "tt-nn", 'dependencies = ["tt-autograd[x]; python_version > \'3\'", "requests"]')
    extra = '[project.optional-dependencies]\nmore = ["tt-nn"]'
    project(root, "tt-data", f'dependencies = ["tt-tensor"]\n{extra}')
    project(root, "capstone", 'dependencies = ["tt-data", "tt-nn"]')
    beneath = read_curriculum(root).beneath
    assert beneath(["tt-nn"]) == ("tt-tensor", "tt-autograd", "tt-nn")
    assert beneath(["tt-data"]) == ("tt-tensor", "tt-data")
    assert beneath(["tt-nn", "tt-tensor"]) == ("tt-tensor", "tt-autograd", "tt-nn")
    assert beneath(["capstone"]) == ("tt-tensor", "tt-data", "tt-autograd", "tt-nn", "capstone")
    assert beneath([]) == ()


@pytest.mark.parametrize(
    ("dependencies", "message"),
    [
        ('dependencies = "numpy"', "has no list 'dependencies'"),
        ('dependencies = ["two words"]', "is not a requirement"),
        ("dependencies = [1]", "is not a requirement"),
        ("dependencies =", "is not valid TOML"),
        ('dependencies = ["tt-missing"]', "tt-missing"),
    ],
)
def test_a_malformed_project_is_told(
    dependencies: str, message: str, write_map: Callable[..., Path]
) -> None:
    root = write_map(TENSOR)
    project(root, "tt-nn", dependencies)
    with pytest.raises(TitoError, match=message):
        read_curriculum(root).beneath(["tt-nn"])


def test_the_capstone_stands_beside_the_packages() -> None:
    root = Path("a checkout")
    assert package_folder(root, "tt-nn") == root / "packages" / "tt-nn"
    assert package_folder(root, package_of("capstone.model.build")) == root / "capstone"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no module"),
        ("module = 2", "names no module"),
        ("[module]", "names no module"),
        ("[module.02]\n[module.02]", "is not valid TOML"),
        ("[modules.02]", "'modules' is not known"),
        (f"title = 'x'\n{TENSOR}", "'title' is not known"),
        (TENSOR.replace("02", "2", 1), "module 2: the number must be two digits"),
        (TENSOR.replace("02", "٠٢", 1), "is not valid TOML"),
        ("[module]\n02 = 1", "module 02 must be a table"),
        (TENSOR.replace("name", "title"), "module 02 has no 'name'"),
        (TENSOR.replace("exercises", "tasks"), "module 02 has no 'exercises'"),
        (TENSOR + "hint = 1", "module 02 has 'hint'"),
        (TENSOR.replace('"tensor"', "3"), "name must be a string such as 'tensor'; got 3"),
        (TENSOR.replace('"tensor"', '"../x"'), "name must be a string"),
        (TENSOR.replace('"module_02"', '"a or b"'), "marker must be a string"),
        (TENSOR.replace('["tt-tensor"]', '"tt-tensor"'), "packages must be a list"),
        (TENSOR.replace('["tt-tensor"]', "[]"), "packages must be a list that is not empty"),
        (TENSOR.replace('["tt-tensor"]', '["../tt"]'), "packages must hold strings such as"),
        (TENSOR.replace('"tt_tensor.matmul"', "4"), "exercises must hold strings"),
        (TENSOR.replace("tt_tensor.matmul", "matmul"), "'matmul' is not the qualified name"),
        (TENSOR.replace("tt_tensor.matmul", "tt_tensor..a"), "is not the qualified name"),
        (TENSOR.replace("tt_tensor.matmul", "tt_nn.a"), "stands in tt-nn, which is not among"),
        (TENSOR.replace("tt_tensor.matmul", "tt_tensor.Tensor.__add__"), "module 02, twice"),
        (ACTIVATIONS + TENSOR, "module 02 stands after module 03"),
        (TENSOR + ACTIVATIONS.replace("tt_tensor.relu", "tt_tensor.matmul"), "modules 02 and 03"),
        (TENSOR + ACTIVATIONS.replace('"activations"', '"tensor"'), "the name 'tensor'"),
        (TENSOR + ACTIVATIONS.replace("module_03", "module_02"), "the marker 'module_02'"),
    ],
)
def test_a_malformed_map_is_refused_by_name(
    text: str, message: str, write_map: Callable[..., Path]
) -> None:
    root = write_map(text)
    with pytest.raises(TitoError) as error:
        read_curriculum(root)
    assert message in str(error.value)
    assert str(root / "curriculum.toml") in str(error.value)


def test_a_missing_or_unreadable_map_is_told(tmp_path: Path) -> None:
    with pytest.raises(TitoError, match="Change into a checkout"):
        read_curriculum(tmp_path)
    (tmp_path / "curriculum.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TitoError, match="cannot be read"):
        read_curriculum(tmp_path)

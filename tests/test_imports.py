from collections.abc import Callable
from pathlib import Path

import pytest

from tooling.imports import undeclared_imports, upward_imports
from tooling.milestones import read_milestones
from tooling.packages import Package

Write = Callable[[str, str], Path]

SCRIPT = """\
import os.path
from pathlib import Path

import numpy as np
import tt_nn as nn
from tt_nn.functional import relu

def late():
    import tt_optim
"""


def test_scripts_of_the_milestones_name_all_that_they_import(repository: Path) -> None:
    for milestone in read_milestones(repository):
        for script in milestone.scripts.values():
            assert undeclared_imports(script, milestone.dependencies()) == []


def test_imports_of_the_packages_run_down_their_list(packages: tuple[Package, ...]) -> None:
    for package in packages:
        assert upward_imports(packages, package) == []


@pytest.mark.parametrize(
    ("declared", "missing"),
    [
        (["numpy>=2.0", "tt-nn>=0.1,<0.2", "tt_optim"], []),
        (["tt-nn", "tt-optim"], ["4: imports numpy"]),
        (["numpy"], ["5: imports tt_nn", "6: imports tt_nn", "9: imports tt_optim"]),
    ],
)
def test_an_import_that_a_script_does_not_declare_is_found(
    write: Write, declared: list[str], missing: list[str]
) -> None:
    errors = undeclared_imports(write("script.py", SCRIPT), declared)
    assert [error.rpartition("script.py:")[2].partition(",")[0] for error in errors] == missing


def test_an_import_of_a_later_package_is_found(write: Write, tmp_path: Path) -> None:
    pair = [Package(name, tmp_path / name, frozenset()) for name in ("tt-low", "tt-high")]
    write("tt-low/src/tt_low/__init__.py", "import numpy\n\nfrom ._x import y\n")
    write("tt-low/src/tt_low/_x.py", "def y():\n    from tt_high.deep import z\n")
    write("tt-high/src/tt_high/__init__.py", "import tt_low\n")
    (error,) = upward_imports(pair, pair[0])
    assert error.endswith("_x.py:2: tt-low imports tt-high, which stands after it")
    assert upward_imports(pair, pair[1]) == []

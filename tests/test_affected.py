import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tooling.affected import affected_milestones, affected_packages
from tooling.milestones import Milestone
from tooling.packages import Package

GRAPH: dict[str, set[str]] = {
    "tt-tensor": set(),
    "tt-autograd": {"tt-tensor"},
    "tt-nn": {"tt-autograd", "tt-tensor"},
    "tt-optim": {"tt-nn"},
    "tt-data": {"tt-tensor"},
}
PACKAGES = [Package(n, Path("packages", n), frozenset(requires)) for n, requires in GRAPH.items()]
EVERYTHING = list(GRAPH)


@pytest.mark.parametrize(
    ("changed", "packages"),
    [
        ([], []),
        (["packages/tt-optim/src/tt_optim/sgd.py"], ["tt-optim"]),
        (["packages/tt-nn/README.md"], ["tt-nn", "tt-optim"]),
        (["packages/tt-data/tests/test_x.py"], ["tt-data"]),
        (["packages/tt-tensor/pyproject.toml"], EVERYTHING),
        (["packages/tt-nn/a.py", "packages/tt-data/b.py"], ["tt-nn", "tt-optim", "tt-data"]),
        (["packages/tt-gone/src/x.py"], EVERYTHING),
        (["noxfile.py"], EVERYTHING),
        (["pyproject.toml"], EVERYTHING),
        (["tooling/wheels.py"], EVERYTHING),
        (["testing/op_table.py"], EVERYTHING),
        ([".github/workflows/ci.yml"], EVERYTHING),
        (["curriculum.toml"], EVERYTHING),
        (["a folder that nobody told us of/x"], EVERYTHING),
        (["README.md", "docs/index.md", "benchmarks/mlp.py"], []),
        (["milestones/01_1957_perceptron/perceptron_trained.py"], []),
    ],
)
def test_packages_that_a_change_affects(changed: list[str], packages: list[str]) -> None:
    assert affected_packages(PACKAGES, changed) == packages


@pytest.mark.parametrize(
    ("packages", "changed", "sessions"),
    [
        ([], ["README.md"], []),
        ([], ["milestones/02_1969_b/b.py"], ["milestone_02"]),
        (["tt-nn", "tt-optim"], ["packages/tt-nn/x.py"], ["milestone_01", "milestone_02"]),
        (["tt-optim"], ["packages/tt-optim/x.py"], ["milestone_02"]),
    ],
)
def test_milestones_that_a_change_affects(
    write: Callable[[str, str], Path],
    packages: list[str],
    changed: list[str],
    sessions: list[str],
) -> None:
    block = "# /// script\n# dependencies = {}\n# ///\n"
    one = write("01/a.py", block.format('["tt-nn>=0.1"]'))
    two = write("02/b.py", block.format('["tt-nn", "tt-optim"]'))
    milestones = [Milestone("01", {"a": one}), Milestone("02", {"b": two})]
    assert affected_milestones(milestones, packages, changed) == sessions


@pytest.mark.parametrize("base", [[], ["0" * 40], ["no such commit"]])
@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["git", "no git"])
def test_an_unknown_base_plans_everything(
    repository: Path, packages: tuple[Package, ...], base: list[str], path: str
) -> None:
    command = [sys.executable, "-m", "tooling.affected", *base]
    environment = {**os.environ, "PATH": path}
    output = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, check=True
    )
    plan = dict(line.split("=", 1) for line in output.stdout.splitlines())
    assert json.loads(plan["packages"]) == [package.name for package in packages]
    assert plan.keys() == {"packages", "milestones"}

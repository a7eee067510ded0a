"""The real noxfile, at work in a small workspace of two packages and one milestone.

The hostile index offers both packages with a higher version that is within the range that siblings
name. Where it is about what is installed, sessions only install (``--install-only``).
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tooling.index import served, write_index
from wheel_files import make_wheel

HIGHER = "0.1.99"
REQUIRES: dict[str, list[str]] = {"tt-tensor": [], "tt-nn": ["tt-tensor>=0.1,<0.2"]}

ROOT = """\
[dependency-groups]
build = ["hatchling>=1.27"]
nox = []
lint = ["iniconfig"]
typecheck = []
deps = []
tests = []
workspace = []
notebooks = []
docs = []
browser = []
torch = []
tokenizers = []
dev = []

[tool.hatch.envs.default]
workspace.members = ["packages/tt-tensor", "packages/tt-nn"]
"""
PROJECT = """\
[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "0.1.0"
dependencies = {dependencies}
"""
SCRIPT = """\
# /// script
# dependencies = ["tt-nn"]
# ///
import os, sys
import tt_nn
assert "PYTHONPATH" not in os.environ
print("ran", *sys.argv)
print("skip", os.environ["TITO_SKIP_MISSING_DATA"])
sys.exit({code})
"""
README = """\
## One component in another project
```python
```
"""


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("NOX")}
    return subprocess.run(
        command, cwd=cwd, env=inherited | variables, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    files = {"pyproject.toml": ROOT, "README.md": README}
    for script, code in {"one": 1, "two": 2, "zero": 0}.items():
        files[f"milestones/01_x/{script}.py"] = SCRIPT.format(code=code)
    for name, requires in REQUIRES.items():
        module = name.replace("-", "_")
        project = PROJECT.format(name=name, dependencies=json.dumps(requires))
        files[f"packages/{name}/pyproject.toml"] = project
        files[f"packages/{name}/src/{module}/__init__.py"] = ""
    files["capstone/pyproject.toml"] = PROJECT.format(name="capstone", dependencies='["tt-nn"]')
    files["capstone/src/capstone/__init__.py"] = ""
    for file, text in files.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    shutil.copyfile(repository / "noxfile.py", root / "noxfile.py")
    shutil.copytree(repository / "tooling", root / "tooling")
    return root


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Serve the hostile index and yield the variables that make pip and uv ask it too."""
    folder = tmp_path_factory.mktemp("hostile")
    wheels = [make_wheel(folder, name, HIGHER, requires=REQUIRES[name]) for name in REQUIRES]
    write_index(wheels, folder / "index")
    with served(folder / "index") as address:
        index = f"{address}/simple/"
        yield {"PIP_EXTRA_INDEX_URL": index, "UV_INDEX": index}


def installed(environment: Path) -> dict[str, str]:
    """Return the packages of ours in an environment, with their versions."""
    folders = environment.glob("**/site-packages/tt_*-*.dist-info")
    return dict(folder.name.removesuffix(".dist-info").split("-") for folder in folders)


def test_the_hostile_index_wins_where_nothing_keeps_it_out(
    workspace: Path, hostile: dict[str, str], tmp_path: Path
) -> None:
    nox = run(sys.executable, "-m", "nox", "-s", "build", cwd=workspace)
    assert nox.returncode == 0, nox.stdout + nox.stderr
    venv = run(sys.executable, "-m", "virtualenv", tmp_path, cwd=workspace)
    assert venv.returncode == 0, venv.stderr
    (python,) = tmp_path.glob("*/python")
    uv = ("uv", "pip", "install", "--reinstall", "--python", python)
    pip = (python, "-m", "pip", "install", "--force-reinstall")
    for installer in (uv, pip):
        result = run(*installer, "--find-links", "dist", "tt-nn", cwd=workspace, **hostile)
        assert result.returncode == 0, result.stdout + result.stderr
        assert installed(tmp_path) == {"tt_tensor": HIGHER, "tt_nn": HIGHER}


@pytest.mark.parametrize("backend", ["uv", "virtualenv"])
def test_no_session_installs_a_hostile_package(
    workspace: Path, hostile: dict[str, str], backend: str
) -> None:
    nox = (sys.executable, "-m", "nox", "--force-venv-backend", backend)
    listed = run(*nox, "--list", "--json", "--keywords", "True", cwd=workspace)
    names = {str(session["session"]) for session in json.loads(listed.stdout)}
    names -= {"index"}  # below
    names -= {name for name in names if name.startswith("tests-")}  # Pythons that may be missing
    options = ("--parallel", "2", "--install-only", "--session", *sorted(names))
    result = run(*nox, *options, cwd=workspace, **hostile)
    assert result.returncode == 0, result.stdout + result.stderr

    environments = [*(workspace / ".nox").glob("*/"), workspace / ".venv-dev"]
    found = {environment.name: installed(environment) for environment in environments}
    lower, both = {"tt_tensor": "0.1.0"}, {"tt_tensor": "0.1.0", "tt_nn": "0.1.0"}
    assert {name: versions for name, versions in found.items() if versions} == {
        ".venv-dev": both,
        "browser": both,
        "bench": both,
        "deps-capstone": both,
        "deps-tt-nn": both,
        "deps-tt-tensor": lower,
        "docs": both,
        "exercises": both,
        "learner": both,
        "milestone_01": both,
        "notebooks": both,
        "parity": both,
        "seeds_01": both,
        "tests-capstone": both,
        "tests-tt-nn": both,
        "tests-tt-tensor": lower,
        "tests-workspace": both,
        "typecheck-capstone": both,
        "typecheck-tt-nn": both,
        "typecheck-tt-tensor": lower,
        "typecheck-workspace": both,
    }


def test_the_index_session_refuses_rather_than_installs(
    workspace: Path, hostile: dict[str, str]
) -> None:
    result = run(sys.executable, "-m", "nox", "--session", "index", cwd=workspace, **hostile)
    assert result.returncode != 0
    assert "would come from" in result.stdout + result.stderr
    assert installed(workspace / ".nox/index") == {}


def test_several_nox_processes_share_one_build(workspace: Path) -> None:
    shutil.rmtree(workspace / "dist", ignore_errors=True)
    sessions = ["tests(tt-tensor)", "tests(tt-nn)", "deps(tt-nn)"]
    command = (sys.executable, "-m", "nox", "--install-only", "--session")
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda name: run(*command, name, cwd=workspace), sessions))
    outputs = [result.stdout + result.stderr for result in results]
    assert [result.returncode for result in results] == [0, 0, 0], "\n".join(outputs)
    assert sum("dist/ is up to date" in output for output in outputs) == 2


@pytest.mark.parametrize(
    ("arguments", "ran", "error"),
    [
        (["--seed", "3"], ["one", "two", "zero"], "one exited 1; two exited 2"),
        (["two", "--seed", "3"], ["two"], "aborted: two exited 2"),
        (["zero", "--seed", "3"], ["zero"], None),
        (["three"], [], "no script 'three'; there are: one, two, zero"),
    ],
)
def test_a_milestone_runs_its_scripts_and_tells_each_exit_code(
    workspace: Path, arguments: list[str], ran: list[str], error: str | None
) -> None:
    nox = (sys.executable, "-m", "nox", "--session", "milestone_01", "--")
    result = run(*nox, *arguments, cwd=workspace, PYTHONPATH=str(workspace / "packages"))
    assert result.returncode == (0 if error is None else 1)
    assert [line for line in result.stdout.splitlines() if line.startswith("ran")] == [
        f"ran {Path('milestones/01_x', name)}.py --seed 3" for name in ran
    ]
    # What is asked for by name has to run: only of several may one be skipped for want of data.
    skipping = [line for line in result.stdout.splitlines() if line.startswith("skip")]
    assert skipping == ["skip 1" if len(ran) > 1 else "skip "] * len(ran)
    assert error is None or error in result.stderr


def test_a_sweep_repeats_the_script_that_is_named(workspace: Path) -> None:
    nox = (sys.executable, "-m", "nox", "--session", "seeds_01", "--")
    result = run(*nox, "two", "--seeds", "2", cwd=workspace)
    assert result.returncode == 1
    assert [line for line in result.stdout.splitlines() if line.startswith("seed ")] == [
        f"seed   {seed}  failed with exit code 2" for seed in (0, 1)
    ]
    assert "aborted: two exited 2" in result.stderr  # nox may say how long it took

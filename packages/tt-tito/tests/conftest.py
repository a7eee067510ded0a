"""A checkout, distributions, a way to run `tito`, a task to compete in, and a small course."""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_tito.benchmark import (
    Bench,
    Configuration,
    Data,
    LocalRunner,
    Runner,
    Submission,
    Task,
    run,
    write_submission,
)
from tt_tito.cli import main
from tt_tito.course._curriculum import package_of
from tt_tito.course._exercises import encode, fill, reference_body
from tt_tito.workspace._workspace import Workspace

BLOCK = """\
# /// script
# requires-python = ">=3.11"
# dependencies = [{}]
# ///
"""
DOCSTRING = '"""A line fits.\n\nThe story of the line.\n"""\n'

MakeScript = Callable[..., Path]
MakeDistribution = Callable[..., Path]
Tito = Callable[..., tuple[int, str, str]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder for a checkout."""
    return tmp_path / "a checkout"  # a space in its path, as on many a desktop


@pytest.fixture
def make_script(root: Path) -> MakeScript:
    """Write a milestone's script into the checkout."""

    def make(
        body: str = "",
        *,
        folder: str = "01_1957_line",
        name: str = "line.py",
        needs: str = '"tt-nn>=0.1", "tt-tito>=0.1"',
        source: str | None = None,
    ) -> Path:
        path = root / "milestones" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BLOCK.format(needs) + DOCSTRING + body if source is None else source)
        return path

    return make


@pytest.fixture
def make_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeDistribution]:
    """Install a distribution that shadows any other of its name."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def make(
        name: str,
        version: str = "0.1.0",
        *,
        needs: tuple[str, ...] = (),
        url: object = None,
        entry_points: str = "",
        modules: Mapping[str, str] | None = None,
    ) -> Path:
        module = name.replace("-", "_")
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in needs]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(entry_points)
        if url is not None:
            record = url if isinstance(url, str) else json.dumps(url)
            (info / "direct_url.json").write_text(record)
        for file, source in ({module: ""} if modules is None else modules).items():
            (site / f"{file}.py").write_text(source)
        return info

    before = set(sys.modules)
    yield make
    for name in set(sys.modules) - before:
        if name.startswith("tt_"):
            del sys.modules[name]


@pytest.fixture
def tito(capsys: pytest.CaptureFixture[str]) -> Tito:
    """Run `tito` in this process: exit code, standard output, errors on one line."""

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stop:  # argparse's own help and errors
            code = stop.code if isinstance(stop.code, int) else 1
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    return call


# --- A task so small that models are measured at once -------------------------------------------

MODEL = {
    "layer": "Sequential",
    "layers": [
        {"layer": "Linear", "in_features": 4, "out_features": 8},
        {"layer": "BatchNorm1d", "num_features": 8},
        {"layer": "ReLU"},
        {"layer": "Linear", "in_features": 8, "out_features": 3},
    ],
}


def read_data(folder: Path | None) -> Data:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(40, 4)).astype(np.float32)
    return Data(inputs, inputs[:, :3].argmax(axis=1))


TINY = Task("tiny", "Tiny", MODEL, "tiny.safetensors", "net.", read_data, "accuracy", 8)


@contextmanager
def open_local(
    task: Task, data: Data, configuration: Configuration, weights: bytes, seed: int
) -> Iterator[Runner]:
    """Measure in this process, by a clock that only counts: each call takes the same time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        path.write_bytes(weights)
        yield LocalRunner(
            data, configuration, path, quality=task.quality, batch=task.batch, seed=seed,
            clock=count().__next__,
        )  # fmt: skip


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """What submissions to the tiny task are verified with."""
    root = tmp_path_factory.mktemp("checkout")
    tt.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    nn.save(nn.ModuleDict({"net": net}).state_dict(), root / TINY.weights)
    return Bench(root, tasks={"tiny": TINY}, pairs=3, open_runner=open_local)


@pytest.fixture(scope="session")
def submission(bench: Bench) -> Submission:
    """A submission to the closed division, as it was measured."""
    passes: Any = ({"pass": "fold_batch_norm"},)
    opened = bench.open(TINY)
    return run(bench, opened, "latency", Configuration(MODEL, passes), name="Ada", seed=3)


@pytest.fixture
def folder(submission: Submission, tmp_path: Path) -> Path:
    """The folder of that submission."""
    write_submission(submission, tmp_path / "submission")
    return tmp_path / "submission"


Edit = Callable[[Path, Callable[[dict[str, Any]], object]], None]


@pytest.fixture
def edit() -> Edit:
    """Change the record of a submission."""

    def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
        path = folder / "submission.json"
        record = json.loads(path.read_text())
        how(record)
        path.write_text(json.dumps(record))

    return change


Put = Callable[[Path, str, bytes], None]


@pytest.fixture
def put(edit: Edit) -> Put:
    """Replace a file of a submission, and put its right digest in the record."""

    def replace(folder: Path, kind: str, data: bytes) -> None:
        path = {"model": "model.json", "weights": "model.safetensors"}[kind]
        (folder / path).write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        edit(folder, lambda record: record["files"][kind].update(sha256=digest))

    return replace


# --- A small course, a workspace in it, and a learner who writes her exercises -------------------

Solve = Callable[..., None]

MODULES = {
    "02": ("tensor", ["tt-tensor"], ["tt_tensor.Tensor.__add__", "tt_tensor.scale"]),
    "03": ("activations", ["tt-tensor", "tt-nn"], ["tt_tensor.relu", "tt_nn.ReLU.forward"]),
    "04": ("layers", ["tt-nn"], ["tt_nn.Linear.forward"]),
    "06": ("autograd", ["tt-autograd"], ["tt_autograd.grad"]),
}
SOURCES = {
    "tt-tensor": {
        "__init__.py": "from ._operators import Tensor as Tensor\n"
        "from ._operators import scale as scale\nfrom ._relu import relu as relu\n",
        "_operators.py": '''\
"""Operators."""


class Tensor:
    """Values."""

    def __init__(self, values):
        self.values = values

    def __add__(self, other):
        """Add."""
        # value by value
        return Tensor([a + b for a, b in zip(self.values, other.values)])


def scale(tensor, by):
    """Multiply by a number."""
    return Tensor([by * value for value in tensor.values])
''',
        "_relu.py": '''\
"""Activations."""

from ._operators import Tensor


def relu(tensor):
    """Cut off below zero."""
    return Tensor([max(value, 0) for value in tensor.values])
''',
        "py.typed": "",
    },
    "tt-autograd": {
        "__init__.py": '"""Gradients."""\n\n\ndef grad(f):\n    """Derive."""\n    return f.grad\n'
    },
    "tt-nn": {
        "__init__.py": '''\
"""Layers."""

from tt_tensor import relu


class ReLU:
    """An activation."""

    def forward(self, x):
        """Apply it."""
        return relu(x)


class Linear:
    """A line."""

    def forward(self, x):
        """Apply it."""
        return x + x
'''
    },
}
NEEDS = {"tt-tensor": [], "tt-autograd": ["tt-tensor"], "tt-nn": ["tt-autograd"]}


@pytest.fixture
def course(root: Path, make_script: Callable[..., Path]) -> Path:
    """A checkout with four modules in three packages, and a milestone."""
    for package, files in SOURCES.items():
        folder = root / "packages" / package
        source = folder / "src" / package.replace("-", "_")
        source.mkdir(parents=True)
        for name, text in files.items():
            (source / name).write_bytes(text.encode())
        needs = json.dumps([f"{name}>=0.1" for name in NEEDS[package]])
        project = f'[project]\nname = "{package}"\nversion = "0.1.0"\ndependencies = {needs}\n'
        (folder / "pyproject.toml").write_text(project)
        for name in ("README.md", "LICENSE", "CHANGELOG.md"):
            (folder / name).write_text(f"The {name} of {package}.\n")
        (folder / "tests").mkdir()
        (folder / "tests" / "test_it.py").write_text("def test_it(): pass\n")
        (source / "__pycache__").mkdir()
        (source / "__pycache__" / "old.pyc").write_bytes(b"old")
    (root / "curriculum.toml").write_text(
        "".join(
            f'[module.{number}]\nname = "{name}"\npackages = {packages}\n'
            f'marker = "module_{number}"\nexercises = {exercises}\n\n'
            for number, (name, packages, exercises) in MODULES.items()
        )
    )
    make_script(
        "from tt_autograd import grad\nfrom tt_nn import Linear\n",
        needs='"tt-autograd>=0.1", "tt-nn>=0.1", "tt-tito>=0.1"',
    )
    return root


@pytest.fixture
def workspace(course: Path) -> Workspace:
    """The workspace of that course, still empty."""
    return Workspace.open(course)


@pytest.fixture
def solve() -> Solve:
    """Write exercises as a learner does; by default with the course's code."""

    def write(workspace: Workspace, *exercises: str, body: str | None = None) -> None:
        for exercise in exercises:
            folder = workspace.folder / package_of(exercise)
            reference = workspace.root / "packages" / package_of(exercise)
            new = reference_body(reference, exercise) if body is None else body
            for file, text in fill(folder, exercise, new).items():
                (folder / file).write_bytes(encode(text))

    return write

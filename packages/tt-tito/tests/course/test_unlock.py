"""What a milestone needs follows from its script."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tt_tito import TitoError
from tt_tito.course import read_curriculum
from tt_tito.course._unlock import Unlocks, modules_for

MODULES = {
    "02": ("tt-tensor", "tt_tensor._ops.add"),
    "03": ("tt-tensor", "tt_tensor._activations.relu"),
    "04": ("tt-nn", "tt_nn._linear._kernel"),
    "05": ("tt-nn", "tt_nn._losses.mse"),
    "09": ("tt-nn", "tt_nn._spatial.kernels.convolve"),
    "10": ("tt-data", "tt_data.load"),
    "17": ("tt-nn", "tt_nn._cache.Cache.append"),
    "19": ("tt-tito", "tt_tito.judge"),
}
SOURCES = {
    "tt_tensor/__init__.py": "from ._ops import add as add\n"
    "from ._activations import relu as relu\n",
    "tt_tensor/_ops.py": "def add(a, b): return a + b\n",
    "tt_tensor/_activations.py": "from ._ops import add\ndef relu(x): return add(x, 0)\n",
    "tt_nn/__init__.py": "from . import functional as functional\n"
    "from ._linear import Linear as Linear\n"
    "from ._linear import LINEAR as LINEAR\n"
    "from ._losses import mse as mse\nfrom ._spatial.layers import Conv as Conv\n"
    "from ._cache import Cache as Cache\nfrom ._module import Module as Module\n",
    "tt_nn/functional.py": "from ._linear import linear as linear\n"
    "from ._losses import mse as loss\n",
    "tt_nn/_module.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    "    from ._cache import Cache\nclass Module: pass\n",
    "tt_nn/_linear.py": "from ._module import Module\nfrom tt_tensor import add\n"
    "def _kernel(x): return x\ndef linear(x): return _kernel(x)\n"
    "LINEAR = [linear]\nclass Linear(Module): pass\n",
    "tt_nn/_losses.py": "def mse(x): return x\n",
    "tt_nn/_spatial/__init__.py": "from .layers import Conv as Conv\n",
    "tt_nn/_spatial/layers.py": "from .._module import Module\nfrom . import kernels\n"
    "class Conv(Module):\n    def forward(self, x): return kernels.convolve(x)\n",
    "tt_nn/_spatial/kernels.py": "def convolve(x): return x\n",
    "tt_nn/_cache.py": "class Cache:\n    def append(self, x):\n        return self\n",
    "tt_data/__init__.py": "from ._load import load as load\n",
    "tt_data/_load.py": "def load(): return 1\n",
    "tt_tito/__init__.py": "def judge(): return 1\n",
}
NEEDS = {"tt-tensor": (), "tt-nn": ("tt-tensor",), "tt-data": ("tt-tensor",), "tt-tito": ("tt-nn",)}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for package, needs in NEEDS.items():
        folder = tmp_path / "packages" / package
        folder.mkdir(parents=True)
        text = f"[project]\nname = '{package}'\ndependencies = {list(needs)}\n"
        (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    for name, text in SOURCES.items():
        package = name.partition("/")[0].replace("_", "-")
        path = tmp_path / "packages" / package / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    tables = [
        f"[module.{number}]\nname = 'm{number}'\nmarker = 'module_{number}'\n"
        f"packages = ['{package}']\nexercises = ['{exercise}']\n"
        for number, (package, exercise) in MODULES.items()
    ]
    (tmp_path / "curriculum.toml").write_text("\n".join(tables), encoding="utf-8")
    return tmp_path


def script(root: Path, needs: str, code: str) -> Path:
    path = root / "script.py"
    listed = [f"{name}>=0.1" for name in needs.split()]
    text = f'"""A milestone."""\n# /// script\n# dependencies = {listed}\n# ///\n{code}'
    path.write_text(text, encoding="utf-8")
    return path


NN = "tt-nn tt-tito numpy"


@pytest.mark.parametrize(
    ("needs", "code", "expected"),
    [
        (NN, "from tt_nn import Linear", "02 03 04"),
        (NN, "import tt_nn", ""),  # names nothing of it
        (NN, "import tt_nn as nn\nnn.Linear(1)", "02 03 04"),
        (NN, "import tt_nn as nn\nnn.Linear.weight.shape", "02 03 04"),
        (NN, "import tt_nn\ntt_nn.functional.loss(1)", "02 03 04 05"),
        (NN, "import tt_nn.functional as F\nF.linear", "02 03 04"),
        (NN, "from tt_nn import functional as F\nF.loss", "02 03 04 05"),
        (NN, "from tt_nn import LINEAR", "02 03 04"),
        (NN, "from tt_nn import Module", "02 03 04"),  # reaches no exercise: the first module
        (NN, "from tt_nn import Conv", "02 03 04 05 09"),  # by the files that its own imports
        (NN, "def later():\n    from tt_nn import Conv", "02 03 04 05 09"),
        (NN, "import tt_nn as nn\nx = nn.Conv(nn.mse(nn.Cache()))", "02 03 04 05 09 17"),
        (NN, "import tt_nn as nn\nclass A(nn.Conv):\n    c = nn.Linear", "02 03 04 05 09"),
        (
            NN,
            "if TYPE_CHECKING:\n    from tt_nn import Cache\nfrom tt_nn import mse",
            "02 03 04 05",
        ),
        ("tt-nn", "from tt_tensor import add\nfrom tt_nn import Linear", "02 04"),
        ("tt-nn", "from tt_tensor import relu\nfrom tt_nn import Linear", "02 03 04"),
        ("tt-nn tt-data", "from tt_nn import Linear\nfrom tt_data import load", "02 03 04 10"),
        ("tt-data", "from tt_data import load", "02 03 10"),
        ("tt-tensor", "import tt_tensor as tt\ntt.add(1, 2).relu", "02"),
        ("tt-tito", "from tt_tito import judge", ""),
        ("numpy", "import tt_nn\ntt_nn.Linear", ""),  # what is not listed does not count
    ],
)
def test_a_script_needs_the_modules_that_it_reaches(
    needs: str, code: str, expected: str, checkout: Path
) -> None:
    path = script(checkout, needs, code)
    modules = modules_for(path, read_curriculum(checkout))
    assert " ".join(module.number for module in modules) == expected


def test_the_same_reader_serves_many_scripts(checkout: Path) -> None:
    curriculum = read_curriculum(checkout)
    unlocks = Unlocks(curriculum)
    for code in ("from tt_nn import Conv", "from tt_nn import Linear", "from tt_nn import Conv"):
        path = script(checkout, "tt-nn", code)
        assert unlocks.modules_for(path) == modules_for(path, curriculum)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: script(root, "tt-nn", "def f(:"), "cannot be read as a Python script"),
        (lambda root: script(root, "tt-missing", ""), "tt-missing"),
        (lambda root: (root / "script.py").write_text("import tt_nn"), "has no dependency block"),
        (lambda root: (root / "packages/tt-nn/src/tt_nn/_linear.py").write_text("x = ("), "line 1"),
    ],
)
def test_what_cannot_be_read_is_told(
    change: Callable[[Path], object], message: str, checkout: Path
) -> None:
    path = script(checkout, "tt-nn", "from tt_nn import Linear")
    change(checkout)
    with pytest.raises(TitoError, match=message):
        modules_for(path, read_curriculum(checkout))

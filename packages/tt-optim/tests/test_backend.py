import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.module_07

# Trains every case of the table for a few steps and saves the parameters; gradients hold what
# is not finite too.
PROGRAM = """
import sys
import numpy as np
from optimizer_table import CASES
import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

saved = {}
for k, case in enumerate(CASES):
    for dtype in (np.float32, np.float16):
        rng = np.random.default_rng(k)
        shapes = [(3, 4), (5,), (70_000,)]
        params = [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]
        optimizer = case.make(params)
        for step in range(5):
            for param in params:
                grad = rng.standard_normal(param.shape).astype(dtype)
                if step == 4 and param.ndim == 1:
                    grad[:3] = np.nan, np.inf, -np.inf
                param.grad = tt.from_numpy(grad)
            optimizer.step()
        for j, param in enumerate(params):
            saved[f"{case}{np.dtype(dtype)}{j}"] = param.detach().numpy()
np.savez(sys.argv[1], **saved)
print(optim.backend())
"""


def run(backend: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    testing = str(Path(__file__).parents[3] / "testing")
    environment = {**os.environ, "TT_OPTIM_BACKEND": backend, "PYTHONPATH": testing}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(find_spec("numba") is None, reason="needs numba: tt-optim[fast]")
def test_backends_agree_to_rounding(tmp_path: Path) -> None:
    for backend in ("numpy", "numba"):
        done = run(backend, "-c", PROGRAM, str(tmp_path / f"{backend}.npz"))
        assert done.stdout.strip() == backend, done.stderr
    first, second = np.load(tmp_path / "numpy.npz"), np.load(tmp_path / "numba.npz")
    assert first.files == second.files
    for name in first.files:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_the_environment_chooses_the_backend() -> None:
    show = ("-c", "import tt_optim; print(tt_optim.backend())")
    assert run("numpy", *show).stdout.strip() == "numpy"
    expected = "numpy" if find_spec("numba") is None else "numba"
    assert run("", *show).stdout.strip() == expected
    assert "expected 'numpy' or 'numba', got 'cuda'" in run("cuda", *show).stderr


@pytest.mark.skipif(find_spec("numba") is not None, reason="needs an environment without numba")
def test_numba_that_is_not_there_is_a_clear_error() -> None:
    done = run("numba", "-c", "import tt_optim")
    assert "pip install 'tt-optim[fast]'" in done.stderr

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.module_09

needs_numba = pytest.mark.skipif(find_spec("numba") is None, reason="needs numba: tt-nn[fast]")

# Saves outputs and gradients of layers on batches large enough for the kernels and for threads,
# in several orders of memory, with what is not finite among the values.
PROGRAM = """
import sys
import numpy as np
import tt_autograd as tt
import tt_nn as nn

LAYERS = {
    "relu": nn.ReLU,
    "gelu": lambda: nn.GELU("tanh"),
    "batch_norm": lambda: nn.BatchNorm2d(6),
    "max_pool2d": lambda: nn.MaxPool2d(2),
    "max_pool2d overlapping": lambda: nn.MaxPool2d(3, stride=2, padding=1),
    "cnn": lambda: nn.Sequential(  # no bias: its slope before a normalisation is only rounding
        *[nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)],
        nn.Flatten(),
    ),
}
ORDERS = [(0, 1, 2, 3), (2, 3, 1, 0), (0, 2, 3, 1)]

saved = {}
nn.set_num_threads(2)
rng = np.random.default_rng(0)
for name, make in LAYERS.items():
    for dtype in (np.float16, np.float32, np.float64):
        for order in ORDERS:
            for special in (False, True):
                tt.manual_seed(0)
                layer = make().to(dtype)
                x = (rng.standard_normal((40, 6, 24, 25)) + 3).astype(dtype)
                if special:
                    x[0, 0, 0, :6] = np.nan, np.inf, -np.inf, np.inf, np.nan, 0
                x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
                leaf = tt.from_numpy(x).requires_grad_()
                with np.errstate(all="ignore"):
                    out = layer(leaf)
                    out.backward(tt.from_numpy(rng.standard_normal(out.shape).astype(dtype)))
                    evaluated = layer.eval()(leaf)
                case = f"{name} {np.dtype(dtype)} {order} {special} "
                saved[case + "out"] = out.detach().numpy()
                saved[case + "evaluated"] = evaluated.detach().numpy()
                saved[case + "grad"] = leaf.grad.numpy()
                for parameter, value in layer.named_parameters():
                    saved[case + parameter] = value.grad.numpy()
                for buffer, value in layer.named_buffers():
                    saved[case + buffer] = value.numpy()
np.savez(sys.argv[1], **saved)
print(nn.backend())
"""


def run(backend: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TT_NN_BACKEND": backend, **variables}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@needs_numba
def test_backends_agree_to_rounding(tmp_path: Path) -> None:
    for backend in ("numpy", "numba"):
        done = run(backend, "-c", PROGRAM, str(tmp_path / f"{backend}.npz"))
        assert done.stdout.strip() == backend, done.stderr
    first, second = np.load(tmp_path / "numpy.npz"), np.load(tmp_path / "numba.npz")
    assert first.files == second.files
    for name in first.files:
        eps = float(np.finfo(first[name].dtype).eps) if first[name].dtype.kind == "f" else 0
        scale = float(np.abs(first[name][np.isfinite(first[name])]).max(initial=1))
        np.testing.assert_allclose(
            first[name], second[name], rtol=20 * eps, atol=200 * eps * scale, err_msg=name
        )


def test_the_environment_chooses_the_backend() -> None:
    show = ("-c", "import tt_nn; print(tt_nn.backend())")
    assert run("numpy", *show).stdout.strip() == "numpy"
    expected = "numpy" if find_spec("numba") is None else "numba"
    assert run("", *show).stdout.strip() == expected
    assert "expected 'numpy' or 'numba', got 'cuda'" in run("cuda", *show).stderr


@pytest.mark.skipif(find_spec("numba") is not None, reason="needs an environment without numba")
def test_numba_that_is_not_there_is_a_clear_error() -> None:
    done = run("numba", "-c", "import tt_nn")
    assert "pip install 'tt-nn[fast]'" in done.stderr


@needs_numba
def test_numba_is_imported_at_the_first_use_only() -> None:
    done = run("numba", "-c", "import sys, tt_nn; print('numba' in sys.modules)")
    assert done.stdout.strip() == "False"


@needs_numba
def test_kernels_compile_without_a_folder_for_their_cache(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.touch()
    program = """
import tt_autograd as tt
import tt_nn as nn
print(nn.BatchNorm1d(2)(tt.tensor([[1.0, 2.0], [3.0, 4.0]])).shape)
"""
    done = run("numba", "-c", program, NUMBA_CACHE_DIR=str(nowhere))
    assert done.stdout.strip() == "(2, 2)", done.stderr

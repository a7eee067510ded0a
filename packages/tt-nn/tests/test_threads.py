"""The pool of threads that large kernels share."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_nn._compute.threads import parallel

pytestmark = pytest.mark.module_09


@pytest.fixture
def two_threads() -> Iterator[None]:
    nn.set_num_threads(2)
    yield
    nn.set_num_threads(1)


def gradients(seed: int) -> list[np.ndarray]:
    """A step of a convolutional network, large enough to be split."""
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    with tt.no_grad():
        for p in model.parameters():
            p.copy_(tt.tensor(rng.normal(size=p.shape).astype(np.float32)))
    x = tt.tensor(rng.normal(size=(64, 3, 32, 32)).astype(np.float32), requires_grad=True)
    out = model(x)
    (out * out).mean().backward()
    found = [x.grad, *(p.grad for p in model.parameters())]
    return [out.detach().numpy(), *(g.numpy() for g in found if g is not None)]


@pytest.mark.usefixtures("two_threads")
def test_pieces_cover_everything_once_in_order() -> None:
    pieces = parallel(lambda start, stop: list(range(start, stop)), 11)
    assert len(pieces) > 1
    assert sum(pieces, []) == list(range(11))  # noqa: RUF017  # a few


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_piece_is_raised_and_the_pool_goes_on() -> None:
    def refuse(start: int, stop: int) -> None:
        if stop == 8:
            raise ValueError("the last piece")

    with pytest.raises(ValueError, match="the last piece"):
        parallel(refuse, 8)
    assert sum(parallel(lambda start, stop: stop - start, 8)) == 8


@pytest.mark.usefixtures("two_threads")
def test_the_caller_s_error_state_holds_in_every_thread() -> None:
    def overflow(start: int, stop: int) -> bool:
        return bool(np.isinf(np.full(3, 1e308) * 10).all())

    with np.errstate(over="ignore"):  # else a warning, which fails the test
        assert all(parallel(overflow, 8))


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    nn.set_num_threads(1)
    alone = gradients(0)
    nn.set_num_threads(2)
    together, again = gradients(0), gradients(0)
    nn.set_num_threads(1)
    for one, two, three in zip(alone, together, again, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(two, three)


@pytest.mark.usefixtures("two_threads")
def test_two_threads_can_train_two_models() -> None:
    expected = {seed: gradients(seed) for seed in (1, 2)}
    found: dict[int, list[list[np.ndarray]]] = {1: [], 2: []}

    def train(seed: int) -> None:
        for _ in range(5):
            found[seed].append(gradients(seed))

    users = [threading.Thread(target=train, args=(seed,)) for seed in found]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for seed, steps in found.items():
        assert len(steps) == 5
        for step in steps:
            for one, two in zip(expected[seed], step, strict=True):
                np.testing.assert_array_equal(one, two)


def test_the_number_is_what_was_set() -> None:
    assert nn.get_num_threads() >= 1
    nn.set_num_threads(3)
    assert nn.get_num_threads() == 3
    nn.set_num_threads(1)
    assert nn.get_num_threads() == 1
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="expected a positive int"):
            nn.set_num_threads(wrong)  # type: ignore[arg-type]  # the point


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_process_has_threads_of_its_own() -> None:
    program = """
import os, warnings
warnings.simplefilter("ignore")
import tt_nn as nn
from tt_nn._compute.threads import parallel
nn.set_num_threads(2)
assert sum(parallel(lambda start, stop: stop - start, 8)) == 8
child = os.fork()
total = sum(parallel(lambda start, stop: stop - start, 8))
if child == 0:
    os._exit(0 if total == 8 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()

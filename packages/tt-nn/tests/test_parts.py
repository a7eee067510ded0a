"""Layers on parts of a batch, as several processes compute it: together, what one computes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

import tt_autograd as tt
import tt_nn as nn
from tt_nn.seam import launched, sum_over_batch
from tt_tensor.seam import Rows, rows, share

# Of no module of the course: a learner may draw for the rows that are there, and no others.

T = TypeVar("T")
Array = NDArray[Any]
TOTAL = 7


class WithTable(nn.Module):
    """A layer that drops elements of a table with as many rows as a part, or a multiple of that."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(tt.randn(12, 5))
        self.dropout = nn.Dropout(0.3)

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        """Return the input, each column scaled."""
        return x * self.dropout(self.table).sum(dim=0)


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Dropout": (lambda: nn.Dropout(0.3), (5,)),
    "Dropout of flattened rows": (
        lambda: nn.Sequential(nn.Flatten(0, 1), nn.Dropout(0.3), nn.Unflatten(0, (-1, 3))),
        (3, 5),
    ),
    "Dropout of a parameter": (WithTable, (5,)),
    "Dropout1d": (lambda: nn.Dropout1d(0.3), (3, 4)),
    "Dropout2d": (lambda: nn.Dropout2d(0.3), (3, 2, 2)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), (4,)),
    "BatchNorm1d of sequences": (lambda: nn.BatchNorm1d(4), (4, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (3, 4, 4)),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True),
        (5, 8),
    ),
    "attention in blocks": (
        lambda: nn.TransformerEncoderLayer(4, 1, 4, dropout=0.2, batch_first=True),
        (600, 4),
    ),
}


class Found(NamedTuple):
    """What a layer gave.

    Attributes:
        by_row: The output, and the gradient of the input.
        state: Parameters and buffers afterwards.
        learned: The gradients of parameters.
        after: The random number that comes next.
    """

    by_row: list[Array]
    state: dict[str, Array]
    learned: list[Array]
    after: float


def run(make: Callable[[], nn.Module], x: Array, g: Array) -> Found:
    """Run a layer forward and backward."""
    tt.set_default_dtype("float64")
    tt.manual_seed(2)
    model = make()
    tt.manual_seed(3)
    input = tt.tensor(x, requires_grad=True)
    out = model(input)
    out.backward(tt.tensor(g))
    assert input.grad is not None
    learned = [np.array(p.grad.numpy()) for p in model.parameters() if p.grad is not None]
    state = {name: np.array(value.numpy()) for name, value in model.state_dict().items()}
    after = tt.default_generator().numpy.random()
    return Found([out.detach().numpy(), input.grad.numpy()], state, learned, after)


def own_rows(values: Array, part: Rows) -> Array:
    """Return the rows of a part; for a part of none, a row of zeros that stands in."""
    return values[part.start : part.stop] if part.size else np.zeros_like(values[:1])


def in_parts(num_replicas: int, work: Callable[[Rows], T]) -> list[T]:
    """Return what threads give, which share a batch as processes would."""
    everyone = threading.Barrier(num_replicas, timeout=30)
    given: list[Any] = [None] * num_replicas

    def begin(rank: int) -> T:
        def add_up(values: Array) -> Array:
            given[rank] = values
            everyone.wait()
            total = np.sum(given, axis=0)
            everyone.wait()
            return np.asarray(total)

        part = share(TOTAL, num_replicas, rank)
        rows.set(part)
        sum_over_batch.set(add_up)
        return work(part)

    with ThreadPoolExecutor(num_replicas) as pool:
        return list(pool.map(lambda rank: Context().run(begin, rank), range(num_replicas)))


@pytest.mark.parametrize("num_replicas", [2, 3, 9])
@pytest.mark.parametrize(("make", "shape"), LAYERS.values(), ids=LAYERS)
def test_parts_give_together_what_the_whole_gives(
    make: Callable[[], nn.Module], shape: tuple[int, ...], num_replicas: int
) -> None:
    random = np.random.default_rng(0)
    x, g = random.normal(3.0, 2.0, (TOTAL, *shape)), random.normal(size=(TOTAL, *shape))
    whole = Context().run(run, make, x, g)
    parts = in_parts(num_replicas, lambda part: run(make, own_rows(x, part), own_rows(g, part)))
    counts = [share(TOTAL, num_replicas, rank).size for rank in range(num_replicas)]
    for i, value in enumerate(whole.by_row):
        joined = np.concatenate([p.by_row[i][:n] for p, n in zip(parts, counts, strict=True)])
        np.testing.assert_allclose(joined, value, rtol=1e-12, atol=1e-13)
    for part in parts:
        assert part.after == whole.after
        for name, value in whole.state.items():
            np.testing.assert_allclose(part.state[name], value, rtol=1e-12, atol=1e-14)
    for i, gradient in enumerate(whole.learned):
        total = np.sum([p.learned[i] for p in parts], axis=0)
        np.testing.assert_allclose(total, gradient, rtol=1e-11, atol=1e-12)


def test_without_others_a_part_has_its_own_statistics() -> None:
    x = tt.tensor([[1.0], [3.0]])
    token = rows.set(share(4, 2, 0))
    try:
        out = nn.BatchNorm1d(1)(x)
    finally:
        rows.reset(token)
    np.testing.assert_allclose(out.detach().numpy(), [[-1], [1]], atol=1e-4)


def test_shared_statistics_have_no_second_derivative() -> None:
    def work() -> None:
        sum_over_batch.set(lambda values: values)
        x = tt.tensor([[1.0], [3.0]], requires_grad=True)
        tt.grad(nn.BatchNorm1d(1)(x).sum(), [x], create_graph=True)

    with pytest.raises(RuntimeError, match="second derivative where processes share the batch"):
        Context().run(work)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"PMI_RANK": "2", "PMI_SIZE": "4"}, (2, 4)),
        ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "3"}, (0, 3)),
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, None),
        ({"PMI_RANK": "0"}, None),
    ],
)
def test_a_launcher_is_known_by_what_it_leaves_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: tuple[int, int] | None,
) -> None:
    for name in ("PMI_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launched() == expected


def test_a_place_that_is_kept_is_that_of_no_other_process() -> None:
    program = """if True:
        import os, subprocess, sys
        from tt_nn.seam import keep_place, launched

        keep_place()
        child = "from tt_nn.seam import launched; print(launched())"
        found = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
        print(launched(), found.stdout.strip(), "PMI_FD" in os.environ)
    """
    place = {"PMI_RANK": "2", "PMI_SIZE": "4", "PMI_FD": "9"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **place},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "(2, 4) None False\n"

"""Passes one after the other, and what each is worth."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from tt_profile import optimize, use_threads
from tt_profile.compression import low_rank, magnitude_masks, prune_channels
from tt_profile.quantization import quantize

pytestmark = pytest.mark.module_18


def network() -> nn.Sequential:
    tt.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 4),
    )  # fmt: skip


def images() -> tt.Tensor:
    return tt.rand(8, 1, 8, 8)


def largest(model: nn.Module) -> float:
    """A score that says which model it was given."""
    return float(sum(parameter.numel() for parameter in model.parameters()))


def test_every_pass_is_measured() -> None:
    model, x = network(), images()
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    result = optimize(
        model,
        {
            "fold": lambda m: nn.fuse_bn_eval(m, x),
            "prune": lambda m: prune_channels(m, x, amount=0.5),
            "factorise": lambda m: low_rank(m, rank=8),
            "zeros": lambda m: (magnitude_masks(m, 0.5).apply(), m)[1],
        },
        x,
        score=largest,
        repeats=3,
    )
    original, fold, prune, factorise, zeros = result.steps
    names = ["original", "fold", "prune", "factorise", "zeros"]
    assert [step.name for step in result.steps] == names
    # 16 filters of 9, normalisation (weight, bias, mean, variance of 16, and a count), two maps
    assert original.values == 16 * 9 + 4 * 16 + 1 + 256 * 64 + 64 + 64 * 4 + 4
    assert fold.values == 16 * 9 + 16 + 256 * 64 + 64 + 64 * 4 + 4
    assert prune.values == 8 * 9 + 8 + 128 * 32 + 32 + 32 * 4 + 4
    assert factorise.values < prune.values
    for step in (fold, prune, factorise, zeros):
        assert step.memory_bytes == 4 * step.values
        assert step.file_bytes > step.memory_bytes
        assert step.score == largest(result.model) or step.values != zeros.values
        assert step.before is not None
        assert step.original is not None
        assert len(step.original.ratios) == 3
    assert original.memory_bytes == 4 * (original.values - 1) + 8
    assert original.before is original.original is None
    assert zeros.values == factorise.values
    assert original.zeros < 0.01
    assert 0.45 < zeros.zeros < 0.55
    assert all(step.seconds > 0 for step in result.steps)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key], err_msg=key)
    assert model.training
    assert not result.model.training


def test_the_first_pass_is_compared_once() -> None:
    result = optimize(network(), {"nothing": lambda m: m}, images(), repeats=2)
    assert result.steps[1].before is result.steps[1].original


def test_a_pass_may_change_its_model_in_place() -> None:
    model = network()

    def fill(model: nn.Module) -> nn.Module:
        assert not model.training
        with tt.no_grad():
            for parameter in model.parameters():
                parameter.fill_(3.0)
        model.train()(images()).sum().backward()
        return model

    result = optimize(model, {"fill": fill}, images(), repeats=1)
    assert all((p.detach().numpy() == 3).all() for p in result.model.parameters())
    assert all(parameter.grad is None for parameter in result.model.parameters())
    assert not any((p.detach().numpy() == 3).any() for p in model.parameters())


def test_threads_are_followed() -> None:
    nn.set_num_threads(1)
    ran: list[int] = []

    def run(model: nn.Module) -> None:
        ran.append(nn.get_num_threads())
        model(images())

    passes = {"two threads": use_threads(2), "nothing": lambda m: m}
    try:
        result = optimize(network(), passes, run=run, repeats=2)
        assert [step.threads for step in result.steps] == [1, 2, 2]
        assert nn.get_num_threads() == 2
        assert {1, 2} == set(ran)
    finally:
        nn.set_num_threads(1)


def test_what_is_timed_can_be_chosen() -> None:
    seen = []
    result = optimize(
        network(), {}, run=lambda model: seen.append((model.training, tt.is_grad_enabled()))
    )
    assert set(seen) == {(False, False)}
    assert len(result.steps) == 1
    assert result.steps[0].score is None


def test_figures_are_plain() -> None:
    x = images()
    result = optimize(network(), {"fold": lambda m: nn.fuse_bn_eval(m, x)}, x, repeats=2)
    plain = json.loads(json.dumps(result.as_dict()))
    assert plain["backend"] == nn.backend()
    first, second = plain["steps"]
    assert first["time_ratio_to_before"] is None
    assert result.steps[1].original is not None
    assert second["time_ratio_to_original"] == result.steps[1].original.ratio
    assert len(second["time_ratio_to_before_quartiles"]) == 2
    assert list(first) == list(second)


def test_the_table() -> None:
    x = images()
    passes = {"fold BatchNorm": lambda m: nn.fuse_bn_eval(m, x)}
    result = optimize(network(), passes, x, score=lambda _: 0.98765, repeats=2)
    lines = str(result).splitlines()
    heads = [line.split() for line in lines if line.startswith("pass ")]
    assert heads[0] == ["pass", "values", "memory", "smaller", "file"]
    assert heads[1][:2] == ["pass", "time"]
    assert heads[1][-2:] == ["score", "change"]
    folds = [line for line in lines if line.startswith("fold BatchNorm ")]
    assert f"{result.steps[1].values:,}" in folds[0]
    assert folds[1].endswith("0.9877  +0.0000")
    assert max(map(len, lines)) <= 100


def test_the_table_has_what_a_pass_changes() -> None:
    passes = {"zeros": lambda m: (magnitude_masks(m, 0.5).apply(), m)[1]}
    table = str(optimize(network(), passes, images(), repeats=1))
    assert " zeros " in table
    assert " score" not in table


def test_it_shows_itself(capsys: pytest.CaptureFixture[str]) -> None:
    optimize(network(), {"a pass": lambda m: m}, images(), repeats=1).show()
    assert "a pass" in capsys.readouterr().out


class Hidden(nn.Module):
    """Holds arrays that no state dict tells of."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(tt.ones(10))
        self.same = self.scale
        self.original = {"weight": [np.zeros(100, np.float32)]}
        self.part = np.zeros((10, 10))[:2]

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return x * self.scale


def memory(model: nn.Module) -> int:
    return optimize(model, {}, tt.ones(10), repeats=1).steps[0].memory_bytes


def test_memory_counts_what_is_hidden_and_shared_arrays_once() -> None:
    assert memory(Hidden()) == 40 + 400 + 160
    first, second = nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False)
    assert memory(nn.Sequential(first, second)) == 800
    second.weight = first.weight
    assert memory(nn.Sequential(first, second)) == 400


def test_what_a_training_leaves_does_not_count() -> None:
    def flat(model: nn.Module) -> nn.Module:
        """Have all parameters be parts of one buffer, as optimizers do, with room to spare."""
        buffer = tt.zeros(100_000)
        for parameter in model.parameters():
            with tt.no_grad():
                part = buffer[: parameter.numel()].view(*parameter.shape)
                parameter.data = part.copy_(parameter)
        model(images()).sum().backward()
        return model

    original, step = optimize(network(), {"flat": flat}, images(), repeats=1).steps
    assert step.memory_bytes == original.memory_bytes


def test_quantization_is_a_pass() -> None:
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256))
    original, step = optimize(model, {"int8": quantize}, tt.rand(8, 256), repeats=1).steps
    assert original.memory_bytes > 3.5 * step.memory_bytes
    assert original.file_bytes > 3.5 * step.file_bytes


ERRORS: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "nothing to run": (lambda: optimize(network(), {}), ValueError, "inputs to time the model"),
    "name": (
        lambda: optimize(network(), {"original": lambda m: m}, images()),
        ValueError,
        "no pass may be called 'original'",
    ),
    "no module": (
        lambda: optimize(network(), {"bad": lambda m: None}, images(), repeats=1),  # type: ignore[dict-item,return-value]  # on purpose
        TypeError,
        "pass 'bad' to return a Module, got NoneType",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        call()

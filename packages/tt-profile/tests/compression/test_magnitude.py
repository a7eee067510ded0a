"""Weights that are zero: which, how many exactly, and that they stay zero."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
from tt_nn.models import GPT, GPTConfig, LeNet5
from tt_profile.compression import (
    GradualPruning,
    LotteryTicket,
    Masks,
    find_ticket,
    gradual_sparsity,
    magnitude_masks,
    prune_channels,
    sparsity,
)
from tt_profile.quantization import quantize

pytestmark = pytest.mark.module_16


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))


def values(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def backward(model: nn.Module, seed: int) -> None:
    generator = tt.Generator(seed)
    x, y = tt.randn(32, 8, generator=generator), tt.randint(0, 3, (32,), generator=generator)
    model.zero_grad()
    nn.CrossEntropyLoss()(model(x), y).backward()


def sgd(model: nn.Module, steps: int = 3, decay: float = 0.01) -> None:
    for step in range(steps):
        backward(model, step)
        with tt.no_grad():
            for p in model.parameters():
                assert p.grad is not None
                p -= 0.1 * (p.grad + decay * p)


# Which weights


@given(st.floats(0, 1), st.sampled_from(["global", "layer"]))
def test_the_share_is_exact(amount: float, scope: str) -> None:
    model = network()
    masks = magnitude_masks(model, amount, scope="global" if scope == "global" else "layer")
    assert list(masks.kept) == ["0.weight", "3.weight"]
    zeros = [int((~mask).sum()) for mask in masks.kept.values()]
    if scope == "global":
        assert sum(zeros) == round(amount * (128 + 48))
    else:
        assert zeros == [round(amount * 128), round(amount * 48)]
    masks.apply()
    assert sparsity(model) == pytest.approx(sum(zeros) / (128 + 48))
    assert masks.sparsity == pytest.approx(sum(zeros) / (128 + 48))


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_the_smallest_go(scope: str) -> None:
    model = network()
    masks = magnitude_masks(model, 0.6, scope="global" if scope == "global" else "layer")
    weights = {name: abs(values(model)[name]) for name in masks.kept}
    gone = {name: weights[name][~mask] for name, mask in masks.kept.items()}
    stay = {name: weights[name][mask] for name, mask in masks.kept.items()}
    if scope == "global":
        assert max(w.max() for w in gone.values()) <= min(w.min() for w in stay.values())
    else:
        assert all(gone[name].max() <= stay[name].min() for name in gone)


def test_choosing_changes_nothing_and_the_rest_stays() -> None:
    model = network()
    before = values(model)
    masks = magnitude_masks(model, 0.5)
    for name, value in values(model).items():
        np.testing.assert_array_equal(value, before[name])
    masks.apply()
    for name, value in values(model).items():
        expected = np.where(masks.kept.get(name, True), before[name], 0)
        np.testing.assert_array_equal(value, expected)


LENET5 = ("features.0", "features.3", "features.6", "classifier.0", "classifier.2")
BLOCK = ("attention.in_proj", "attention.out_proj", "mlp.up", "mlp.down")
TABLES: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "filters": (
        LeNet5,
        [f"{name}.weight" for name in LENET5],
    ),
    "no embeddings, tied or not": (
        lambda: GPT(GPTConfig(11, 8, n_layer=1, n_head=2, n_embd=4)),
        [f"blocks.0.{name}.weight" for name in BLOCK],
    ),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2),
        ["in_proj_weight", "out_proj.weight"],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_what_is_pruned(name: str) -> None:
    make, expected = TABLES[name]
    assert list(magnitude_masks(make(), 0.5).kept) == expected


def test_named_parameters() -> None:
    model = network()
    masks = magnitude_masks(model, 0.25, names=["3.weight"]).apply()
    assert list(masks.kept) == ["3.weight"]
    assert sparsity(model) == 12 / (128 + 48)


def test_zeros_stay_zeros() -> None:
    model = network()
    first = magnitude_masks(model, 0.3).apply()
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += 1  # now the pruned ones are not the smallest any more
    second = magnitude_masks(model, 0.7, previous=first)
    for name, mask in first.kept.items():
        assert not (second.kept[name] & ~mask).any()
    assert second.sparsity == pytest.approx(0.7, abs=1 / 176)
    with pytest.raises(ValueError, match=r"would bring back weights of '0\.weight'"):
        magnitude_masks(model, 0.1, previous=first)


ERRORS: dict[str, tuple[Callable[[nn.Module], object], str]] = {
    "amount": (lambda m: magnitude_masks(m, 1.5), "amount from 0 to 1, got 1.5"),
    "scope": (
        lambda m: magnitude_masks(m, 0.5, scope="local"),  # type: ignore[arg-type]  # on purpose
        "scope 'global' or 'layer', got 'local'",
    ),
    "name": (lambda m: magnitude_masks(m, 0.5, names=["1.wait"]), "no parameter '1.wait'; there"),
    "nothing": (
        lambda m: magnitude_masks(nn.BatchNorm1d(2), 0.5),
        "magnitude_masks: BatchNorm1d has no weights to prune",
    ),
    "quantized": (
        lambda m: magnitude_masks(quantize(m), 0.5),
        "unless they are quantized: prune first",
    ),
    "gradually, quantized": (lambda m: GradualPruning(quantize(m), 0.5, 3), "no weights to prune"),
    "a ticket, quantized": (
        lambda m: find_ticket(quantize(m), lambda _: None, sparsity=0.5),
        "no weights to prune",
    ),
    "mask of no parameter": (lambda m: Masks(m, {"x": np.ones(3, bool)}), "no parameter 'x'"),
    "mask of another shape": (
        lambda m: Masks(m, {"0.weight": np.ones((3, 3), bool)}),
        r"bools of shape \(16, 8\) for '0.weight', got bool of shape \(3, 3\)",
    ),
    "mask of numbers": (lambda m: Masks(m, {"0.weight": np.ones((16, 8))}), "got float64"),  # type: ignore[dict-item]  # on purpose
    "falling sparsity": (
        lambda m: GradualPruning(m, 0.5, 10, initial=0.6),
        "0 <= initial <= final <= 1",
    ),
    "no steps": (lambda m: GradualPruning(m, 0.5, 0), "steps of at least 1, got 0"),
    "never": (lambda m: GradualPruning(m, 0.5, 5, every=0), "every to be at least 1, got 0"),
    "sparsity of a ticket": (
        lambda m: find_ticket(m, lambda _: None, sparsity=2),
        "sparsity from 0 to 1, got 2",
    ),
    "no rounds": (
        lambda m: find_ticket(m, lambda _: None, sparsity=0.5, rounds=0),
        "rounds of at least 1, got 0",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        call(network())


# Staying zero


def test_pruned_weights_do_not_learn_and_others_do() -> None:
    model = network()
    masks = magnitude_masks(model, 0.5).hold()
    before = values(model)
    sgd(model)
    for name, mask in masks.kept.items():
        after = values(model)[name]
        assert (after[~mask] == 0).all()
        assert (after[mask] != before[name][mask]).mean() > 0.5  # dead units do not


def test_gradients_of_the_others_are_those_without_masks() -> None:
    model, reference = network(), network()
    masks = magnitude_masks(model, 0.5).hold()
    reference.load_state_dict(model.state_dict())
    backward(model, 0)
    backward(reference, 0)
    expected = {name: p.grad for name, p in reference.named_parameters()}
    for name, parameter in model.named_parameters():
        wanted, found = expected[name], parameter.grad
        assert wanted is not None
        assert found is not None
        kept = masks.kept.get(name, np.array(True))
        np.testing.assert_array_equal(found.numpy(), wanted.numpy() * kept)


def test_an_optimizer_that_moves_everything_is_undone() -> None:
    model = network()
    masks = magnitude_masks(model, 0.5).hold()
    with tt.no_grad():
        for parameter in model.parameters():
            parameter += 1.0
    model(tt.ones(4, 8))
    for name, mask in masks.kept.items():
        assert (values(model)[name][~mask] == 0).all()
        assert (values(model)[name][mask] != 0).all()


def test_two_passes_before_one_backward() -> None:
    model = network()
    magnitude_masks(model, 0.5).hold()
    (model(tt.ones(4, 8)).sum() + model(tt.rand(4, 8)).sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_copy_is_held_too() -> None:
    model = network()
    masks = magnitude_masks(model, 0.5).hold()
    other = copy.deepcopy(model)
    with tt.no_grad():
        for parameter in other.parameters():
            parameter += 1.0
    other(tt.ones(4, 8))
    for name, mask in masks.kept.items():
        assert (values(other)[name][~mask] == 0).all()


def test_layers_that_change_their_size_are_refused() -> None:
    model = network()
    magnitude_masks(model, 0.5).hold()
    smaller = prune_channels(model, tt.rand(16, 8))
    with pytest.raises(ValueError, match=r"'0\.weight' had shape \(16, 8\) and now has \(8, 8\)"):
        smaller(tt.ones(4, 8))


def test_released_weights_learn_again() -> None:
    model = network()
    masks = magnitude_masks(model, 0.5).hold().release()
    sgd(model)
    assert sparsity(model) < 0.4
    assert masks.sparsity == 0.5


# A little at a time


@given(
    st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(0, 20), st.integers(0, 100)
)
def test_the_schedule(a: float, b: float, steps: int, begin: int, step: int) -> None:
    initial, final = sorted((a, b))
    found = [
        gradual_sparsity(t, final=final, steps=steps, initial=initial, begin=begin)
        for t in (step, step + 1)
    ]
    assert found[0] <= found[1] + 1e-12
    if step < begin:
        assert found[0] == 0
    elif step >= begin + steps:
        assert found[0] == final
    else:
        share = (step - begin) / steps
        assert found[0] == pytest.approx(final + (initial - final) * (1 - share) ** 3)


@pytest.mark.parametrize("every", [1, 3, 4])
def test_pruning_while_training(every: int) -> None:
    model = network()
    pruning = GradualPruning(model, 0.9, steps=8, begin=2, every=every)
    seen = []
    for _ in range(14):
        sgd(model, 1)
        pruning.step()
        seen.append(sparsity(model))
    assert seen[:2] == [0, 0]
    assert seen == sorted(seen)
    assert seen[10:] == [pruning.masks.sparsity] * 4
    assert pruning.masks.sparsity == (round(0.9 * 128) + round(0.9 * 48)) / 176
    assert len(set(seen)) - 1 <= -(-8 // every)  # as often as it should, no more


# Lottery tickets


def test_rewinding_is_exact() -> None:
    model = network()
    ticket, first = LotteryTicket(model), values(model)
    sgd(model)
    masks = magnitude_masks(model, 0.8)
    ticket.rewind(masks)
    for name, value in values(model).items():
        kept = masks.kept.get(name, np.array(True))
        assert value.tobytes() == np.where(kept, first[name], 0).astype(value.dtype).tobytes()
    sgd(model)
    assert sparsity(model) == pytest.approx(masks.sparsity)
    ticket.rewind()  # without masks: all of it


def test_finding_a_ticket() -> None:
    model = network()
    first, rounds = values(model), []

    def train(model: nn.Module) -> None:
        rounds.append(sparsity(model))
        sgd(model)

    masks = find_ticket(model, train, sparsity=0.875, rounds=3)
    assert rounds == pytest.approx([0, 0.5, 0.75], abs=0.01)  # half of what was left, each time
    assert masks.sparsity == 154 / 176
    for name, mask in masks.kept.items():
        np.testing.assert_array_equal(values(model)[name], np.where(mask, first[name], 0))
    sgd(model)
    assert sparsity(model) == 154 / 176

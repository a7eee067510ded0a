"""Learning, and what was learned."""

from itertools import chain

import pytest

import tt_autograd as tt
import tt_nn as nn
from capstone import MODELS, Digits, Images, accuracy, make_model, train

pytestmark = pytest.mark.module_20


class Told(nn.Module):
    """Gives the scores that it was told, and notes how it was asked."""

    def __init__(self, scores: tt.Tensor) -> None:
        super().__init__()
        self.scores = nn.Parameter(scores)
        self.asked: list[tuple[bool, bool]] = []

    def forward(self, input: tt.Tensor) -> tt.Tensor:
        out = self.scores * 1.0
        self.asked.append((self.training, out.requires_grad))
        return out


SCORES = [[0.1, 0.7, 0.2], [3.0, 1.0, 2.0], [-1.0, -2.0, -0.5], [0.0, 0.0, 9.0]]


@pytest.mark.parametrize(
    ("labels", "share"),
    [([1, 0, 2, 2], 1.0), ([1, 0, 2, 0], 0.75), ([0, 0, 0, 0], 0.25), ([0, 1, 0, 1], 0.0)],
)
@pytest.mark.parametrize("training", [True, False])
def test_accuracy_is_the_share_of_right_answers(
    labels: list[int], share: float, training: bool
) -> None:
    model = Told(tt.tensor(SCORES)).train(training)
    assert accuracy(model, Images(tt.zeros(4, 1, 8, 8), tt.tensor(labels))) == share
    assert set(model.asked) == {(False, False)}  # in evaluation mode, and without a tape
    assert model.training is training


@pytest.mark.parametrize("name", MODELS)
def test_a_model_learns(name: str, digits: Digits) -> None:
    model = make_model(name, 0)
    history = train(model, digits.seen, digits.validation, epochs=6)
    assert [epoch.number for epoch in history] == [1, 2, 3, 4, 5, 6]
    assert history[-1].loss < 0.5 * history[0].loss
    assert accuracy(model, digits.validation) == max(epoch.accuracy for epoch in history) > 0.85


def test_the_first_loss_is_that_of_a_guess(few: Images) -> None:
    history = train(make_model("mlp", 0), few, few, epochs=1, lr=1e-6)
    assert history[0].loss == pytest.approx(2.3026, abs=0.15)  # -log(1/10)


def test_the_best_epoch_is_kept(few: Images) -> None:
    # Judged by labels that are all wrong, a model gets worse the more it learns.
    wrong = Images(few.inputs, (few.labels + 1) % 10)
    model = make_model("mlp", 0)
    history = train(model, few, wrong, epochs=8)
    scores = [epoch.accuracy for epoch in history]
    assert scores[-1] < max(scores)
    assert accuracy(model, wrong) == max(scores)


def test_of_equal_epochs_the_first_is_kept(few: Images) -> None:
    nobody = Images(few.inputs, few.labels - 100)  # no answer is right
    kept, early = (make_model("mlp", 0) for _ in range(2))
    seen: list[dict[str, tt.Tensor]] = []

    def note(model: nn.Module, args: object, output: object) -> None:
        if not model.training:  # judged after an epoch
            seen.append({name: value.clone() for name, value in model.state_dict().items()})

    kept.register_forward_hook(note)
    train(kept, few, nobody, epochs=3)
    assert len(seen) == 3
    early.load_state_dict(seen[0])
    assert same(kept, early)


def test_no_epochs_change_nothing(few: Images) -> None:
    model = make_model("mlp", 3)
    assert train(model, few, few, epochs=0) == []
    assert same(model, make_model("mlp", 3))


def test_a_seed_is_an_order(few: Images) -> None:
    def trained(seed: int) -> nn.Module:
        tt.manual_seed(99 + seed)  # what else is drawn does not matter
        model = make_model("mlp", 0)
        train(model, few, few, epochs=2, seed=seed)
        return model

    assert same(trained(5), trained(5))
    assert not same(trained(5), trained(6))


def test_it_goes_over_all_images_in_batches_and_a_new_order(few: Images) -> None:
    numbered = Images(tt.arange(150).float().reshape(150, 1, 1, 1) / 150, few.labels[:150])
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 10))
    batches: list[list[float]] = []

    def note(module: nn.Module, args: tuple[tt.Tensor, ...], output: object) -> None:
        if module.training:
            batches.append(args[0].flatten().tolist())

    model.register_forward_hook(note)
    train(model, numbered, numbered, epochs=2)
    assert [len(batch) for batch in batches] == [64, 64, 22, 64, 64, 22]
    first, second = list(chain(*batches[:3])), list(chain(*batches[3:]))
    assert sorted(first) == sorted(second) == numbered.inputs.flatten().tolist()
    assert first != second != sorted(second)


def same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two models have the same weights, bit for bit."""
    theirs = other.state_dict()
    return all(bool((value == theirs[name]).all()) for name, value in one.state_dict().items())

"""Which of several small models is chosen."""

import pytest

import tt_autograd as tt
import tt_nn as nn
from capstone import WAYS, Images, make_model, shrink
from tt_profile import model_bytes

pytestmark = pytest.mark.module_20

IMAGES = Images(tt.zeros(10, 1, 8, 8), tt.zeros(10, dtype="int64"))


class Made(nn.Module):
    """A model of a size that answers so many of ten images right."""

    scores: tt.Tensor

    def __init__(self, right: int, size: int) -> None:
        super().__init__()
        scores = [[1.0, 0.0]] * right + [[0.0, 1.0]] * (10 - right)
        self.register_buffer("scores", tt.tensor(scores))
        self.register_buffer("weights", tt.zeros(size))

    def forward(self, input: tt.Tensor) -> tt.Tensor:
        return self.scores


SMALLER = {"a": Made(9, 500), "b": Made(8, 300), "c": Made(5, 100), "d": Made(10, 2000)}


@pytest.mark.parametrize(
    ("most_lost", "chosen"),
    [(0.0, "as trained"), (0.05, "as trained"), (0.15, "a"), (0.25, "b"), (0.6, "c"), (1.0, "c")],
)
def test_the_smallest_that_is_good_enough_is_chosen(most_lost: float, chosen: str) -> None:
    ways = {name: lambda model, name=name: SMALLER[name] for name in SMALLER}
    best, attempts = shrink(Made(10, 1000), IMAGES, ways, most_lost=most_lost)
    assert best.way == chosen
    assert best in attempts
    assert [attempt.way for attempt in attempts] == ["as trained", *SMALLER]
    assert [attempt.accuracy for attempt in attempts] == [1.0, 0.9, 0.8, 0.5, 1.0]
    assert [attempt.memory_bytes for attempt in attempts] == [4080, 2080, 1280, 480, 8080]


def test_a_model_that_gets_better_and_smaller_is_welcome() -> None:
    best, _ = shrink(Made(7, 1000), IMAGES, {"better": lambda model: Made(8, 10)}, most_lost=0.0)
    assert best.way == "better"


def test_without_ways_the_model_stays() -> None:
    model = Made(7, 10)
    best, attempts = shrink(model, IMAGES, {})
    assert best.model is model
    assert attempts == [best]


def test_the_ways_make_smaller_models_and_leave_theirs_alone(few: Images) -> None:
    model = make_model("cnn", 0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _, attempts = shrink(model, few)
    assert [attempt.way for attempt in attempts] == ["as trained", *WAYS]
    for attempt in attempts[1:]:
        assert attempt.memory_bytes == model_bytes(attempt.model) < model_bytes(model) / 2
    assert all((value == before[name]).all() for name, value in model.state_dict().items())

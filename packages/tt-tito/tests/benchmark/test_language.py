"""The language of models: what is described is built again, and nothing else is described."""

from collections.abc import Callable

import pytest

import tt_nn as nn
from tt_nn import models
from tt_tito.benchmark import TASKS, Rejected, Task, build, check_model, describe
from tt_tito.benchmark._language import LAYERS

pytestmark = pytest.mark.module_19

MODELS: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: nn.Linear(3, 4, bias=False),
    "Conv2d": lambda: nn.Conv2d(4, 8, (3, 1), stride=2, padding=(1, 0), groups=2),
    "BatchNorm1d": lambda: nn.BatchNorm1d(4, eps=0.01),
    "BatchNorm2d": lambda: nn.BatchNorm2d(4, affine=False),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "LayerNorm": lambda: nn.LayerNorm(4, bias=False),
    "RMSNorm": lambda: nn.RMSNorm(4),
    "MaxPool2d": lambda: nn.MaxPool2d(3, stride=2, padding=1),
    "AvgPool2d": lambda: nn.AvgPool2d(2),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d((2, 1)),
    "AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d(2),
    "Flatten": nn.Flatten,
    "Identity": nn.Identity,
    "Dropout": lambda: nn.Dropout(0.25),
    "ReLU": nn.ReLU,
    "GELU": lambda: nn.GELU("tanh"),
    "SiLU": nn.SiLU,
    "Tanh": nn.Tanh,
    "Sigmoid": nn.Sigmoid,
    "LeakyReLU": lambda: nn.LeakyReLU(0.2),
    "ELU": lambda: nn.ELU(0.5),
    "CifarNet": lambda: models.CifarNet((4, 8, 8)),
    "GPT": lambda: models.GPT(models.GPTConfig(9, 8, 1, 2, 8, bias=False, positions="sinusoidal")),
    "ModernGPT": lambda: models.ModernGPT(models.ModernGPTConfig(9, 8, 1, 2, 8, smear=False)),
}


def test_each_layer_of_the_language_has_a_case() -> None:
    assert MODELS.keys() == LAYERS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_built_again_from_its_description(name: str) -> None:
    model = nn.Sequential(MODELS[name](), nn.Sequential(nn.ReLU()))
    tree = describe(model)
    check_model(tree)
    again = build(tree)
    assert repr(again) == repr(model)
    shapes = [{k: v.shape for k, v in each.state_dict().items()} for each in (again, model)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_reference_model_describes_itself(task: Task) -> None:
    model = build(task.model)
    assert repr(build(describe(model))) == repr(model)


class Linear(nn.Linear):
    """One of the same name that does something else."""


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Embedding(3, 4), "there is no layer 'Embedding'"),
        (nn.Sequential(nn.ReLU(), nn.LayerNorm((3, 4))), r"layers\[1\]: normalized_shape"),
        (nn.Conv2d(1, 1, 3, padding="same"), "padding: expected an integer"),
        (nn.Flatten(2), "layers or settings that the language does not have"),
        (nn.BatchNorm2d(3, momentum=0.5), "layers or settings"),
        (Linear(2, 2), "layers or settings"),
        (models.GPT(models.GPTConfig(9, 8, 1, 2, 8, dropout=0.5)), "layers or settings"),
    ],
    ids=repr,
)
def test_what_the_language_does_not_have_is_not_described(model: nn.Module, expected: str) -> None:
    with pytest.raises(Rejected, match=expected):
        describe(model)

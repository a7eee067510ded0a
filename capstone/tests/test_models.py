"""The models by name."""

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn
from capstone import MODELS, cnn, make_model
from tt_profile import count_parameters

pytestmark = pytest.mark.module_20


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [1, 5])
def test_a_model_gives_each_image_ten_scores(name: str, count: int) -> None:
    scores = make_model(name, 0)(tt.rand(count, 1, 8, 8))
    assert scores.shape == (count, 10)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
def test_images_of_a_batch_do_not_know_of_each_other(name: str) -> None:
    model = make_model(name, 0).eval()
    images = tt.rand(4, 1, 8, 8)
    together, alone = model(images), tt.concat([model(images[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(together.detach().numpy(), alone.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_draws_the_weights(name: str) -> None:
    one, same, other = (make_model(name, seed).state_dict() for seed in (1, 1, 2))
    assert all((one[key] == same[key]).all() for key in one)
    assert any((one[key] != other[key]).any() for key in one)


def test_the_convolutional_network_is_one_and_small() -> None:
    model = cnn()
    assert any(isinstance(module, nn.Conv2d) for module in model.modules())
    assert count_parameters(model) <= 20_000


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no model 'gpt'; there are mlp, cnn"):
        make_model("gpt", 0)

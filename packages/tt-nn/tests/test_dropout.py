"""Dropout, of elements and of whole channels."""

import numpy as np
import pytest

import tt_autograd as tt
import tt_nn as nn


@pytest.mark.module_04
def test_dropout_keeps_the_mean_and_drops_the_share() -> None:
    tt.manual_seed(0)
    out = nn.Dropout(0.3)(tt.ones(100, 1000)).numpy()
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((out == 0).mean() - 0.3) < 0.01
    assert abs(out.mean() - 1) < 0.01


@pytest.mark.module_04
def test_dropout_follows_the_seed() -> None:
    drop, x = nn.Dropout(), tt.ones(50)
    tt.manual_seed(3)
    first, second = drop(x).tolist(), drop(x).tolist()
    tt.manual_seed(3)
    assert drop(x).tolist() == first
    assert first != second


@pytest.mark.module_04
def test_dropout_of_everything_and_of_nothing() -> None:
    x = tt.tensor([1.0, np.pi])
    assert nn.Dropout(1.0)(x).tolist() == [0.0, 0.0]
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(0.5).eval()(x) is x


@pytest.mark.module_04
def test_dropout_passes_gradients_where_it_passes_values() -> None:
    x = tt.ones(100, requires_grad=True)
    out = nn.Dropout(0.5)(x)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())


@pytest.mark.module_09
@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d(0.3), (40, 50, 3)), (nn.Dropout2d(0.3), (40, 50, 2, 3))]
)
def test_channels_are_dropped_as_a_whole(layer: nn.Module, shape: tuple[int, ...]) -> None:
    tt.manual_seed(0)
    x = tt.ones(*shape, requires_grad=True)
    out = layer(x)
    rows = out.detach().numpy().reshape(2000, -1)
    assert (rows == rows[:, :1]).all()
    assert set(np.unique(rows)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((rows == 0).mean() - 0.3) < 0.03
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
    plain = x.detach()
    assert layer.eval()(plain) is plain


@pytest.mark.module_04
def test_integers_have_no_dropout() -> None:
    with pytest.raises(TypeError, match="dropout: expected a floating-point dtype, got int64"):
        nn.Dropout()(tt.ones(2, dtype="int64"))

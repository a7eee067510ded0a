"""Properties of every loss, over the table in testing/loss_table.py."""

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from loss_table import LOSSES, Loss
from tt_nn import functional as F

pytestmark = pytest.mark.module_05
everything = pytest.mark.parametrize("loss", LOSSES, ids=str)
FUNCTIONS: dict[str, Callable[..., tt.Tensor]] = {
    "MSELoss": F.mse_loss,
    "L1Loss": F.l1_loss,
    "SmoothL1Loss": F.smooth_l1_loss,
    "HuberLoss": F.huber_loss,
    "BCELoss": F.binary_cross_entropy,
    "BCEWithLogitsLoss": F.binary_cross_entropy_with_logits,
    "KLDivLoss": F.kl_div,
    "NLLLoss": F.nll_loss,
    "CrossEntropyLoss": F.cross_entropy,
}


def draw(loss: Loss, dtype: str = "float64") -> tuple[tt.Tensor, tt.Tensor]:
    x, target = loss.samples(np.random.default_rng(1))
    y = target.astype(dtype) if target.dtype.kind == "f" else target
    return tt.tensor(x, dtype=dtype), tt.tensor(y)


def test_every_loss_has_a_dozen_cases() -> None:
    counts = {name: sum(loss.name == name for loss in LOSSES) for name in FUNCTIONS}
    assert sum(counts.values()) == len(LOSSES)
    assert min(counts.values()) >= 12


@everything
def test_forward_agrees_with_numpy(loss: Loss) -> None:
    x, y = draw(loss)
    expected = loss.reference(x.numpy(), y.numpy(), **loss.arguments)
    out = loss.make()(x, y)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-10, atol=1e-12)


@everything
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_dtype_is_kept_and_rounds_once(loss: Loss, dtype: str) -> None:
    x, y = draw(loss, dtype)
    out = loss.make()(x, y)
    assert out.dtype == dtype
    expected = loss.reference(
        x.numpy().astype(float),
        y.numpy().astype(float) if y.is_floating_point() else y.numpy(),
        **loss.arguments,
    )
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(out.numpy().astype(float), expected, rtol=8 * eps, atol=8 * eps)


@everything
def test_function_and_module_agree(loss: Loss) -> None:
    x, y = draw(loss)
    tensors = {
        key: tt_tensor.tensor(value) if isinstance(value, np.ndarray) else value
        for key, value in loss.arguments.items()
    }
    out = FUNCTIONS[loss.name](x, y, **tensors)
    np.testing.assert_array_equal(out.numpy(), loss.make()(x, y).numpy())


@everything
def test_takes_tensors_without_gradients(loss: Loss) -> None:
    x, y = draw(loss)
    out = loss.make()(tt_tensor.tensor(x.numpy()), tt_tensor.tensor(y.numpy()))
    assert isinstance(out, tt.Tensor)


@everything
def test_gradients_agree_with_differences(loss: Loss) -> None:
    x, y = draw(loss)
    x.requires_grad_()
    if loss.target_gradient:
        y.requires_grad_()
    module = loss.make()
    assert tt.gradcheck(module, (x, y), projections=2)
    assert tt.gradgradcheck(module, (x, y), projections=1)


@everything
def test_gradients_have_the_input_s_dtype_and_keep_float16_s_precision(loss: Loss) -> None:
    (x, y), (wide, _) = draw(loss, "float16"), draw(loss)
    with tt.no_grad():
        wide.copy_(x)
    module = loss.make()
    for tensor, target in ((x, y), (wide, y.double() if y.is_floating_point() else y)):
        tensor.requires_grad_()
        module(tensor, target).sum().backward()
    assert x.grad is not None
    assert wide.grad is not None
    assert x.grad.dtype == tt.float16
    np.testing.assert_allclose(x.grad.numpy(), wide.grad.numpy(), rtol=0.02, atol=0.02)


@everything
def test_backward_runs_twice_over_a_kept_graph(loss: Loss) -> None:
    x, y = draw(loss)
    x.requires_grad_()
    out = loss.make()(x, y).sum()
    (first,) = tt.grad(out, [x], retain_graph=True)
    (second,) = tt.grad(out, [x])
    np.testing.assert_array_equal(first.numpy(), second.numpy())


@everything
def test_state_holds_the_weights(loss: Loss) -> None:
    weights = {key for key, value in loss.arguments.items() if isinstance(value, np.ndarray)}
    module = loss.make()
    assert set(module.state_dict()) == weights
    module.float()
    assert all(buffer.dtype == tt.float32 for buffer in module.buffers())
    assert not list(module.parameters())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_repr_names_a_reduction_that_is_not_the_mean(name: str) -> None:
    make = getattr(nn, name)
    assert repr(make()) == f"{name}()"
    assert repr(make(reduction="sum")) == f"{name}(reduction='sum')"


# Stability


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_large_logits_are_stable(dtype: str) -> None:
    logits = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype)
    x = tt.tensor(logits, requires_grad=True)
    losses = F.cross_entropy(x, tt.tensor([0, 2]), reduction="none")
    np.testing.assert_allclose(losses.detach().numpy(), np.log([1, 2]), rtol=1e-3)
    losses.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), np.array([[0, 0, 0], [0, 0.5, -0.5]]), atol=1e-3)

    x = tt.tensor(np.array([1e4, -1e4, 1e4, -1e4], dtype), requires_grad=True)
    yes = tt.tensor([1.0, 0.0, 0.0, 1.0], dtype=dtype)
    losses = F.binary_cross_entropy_with_logits(x, yes, reduction="none")
    np.testing.assert_allclose(losses.detach().numpy(), [0.0, 0.0, 1e4, 1e4])
    losses.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [0, 0, 1, -1])


def test_small_losses_do_not_cancel() -> None:
    loss = F.binary_cross_entropy_with_logits(tt.tensor([-30.0]), tt.tensor([0.0]))
    assert loss.item() == pytest.approx(math.exp(-30), rel=1e-5)


def test_certain_probabilities_give_a_finite_loss() -> None:
    x = tt.tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    losses = F.binary_cross_entropy(x, tt.tensor([1.0, 0.0, 0.0, 1.0]), reduction="none")
    assert losses.tolist() == [100, 100, 0, 0]
    losses.sum().backward()
    assert x.grad is not None
    assert np.isfinite(x.grad.numpy()).all()


def test_ruled_out_classes_have_no_part() -> None:
    x = tt.tensor([[0.0, -math.inf, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, tt.tensor([0]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [[-0.5, 0, 0.5]])


@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_nothing_that_counts_means_nan_and_no_gradient(function: Callable[..., tt.Tensor]) -> None:
    x = tt.zeros(2, 3, requires_grad=True)
    loss = function(x, tt.tensor([-100, -100]))
    assert math.isnan(loss.item())
    loss.backward()
    assert x.grad is not None
    assert not x.grad.numpy().any()


@settings(max_examples=40, deadline=None)
@given(
    scores=st.lists(
        st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    shift=st.floats(-1e3, 1e3, width=32),
    data=st.data(),
)
def test_cross_entropy_is_positive_and_does_not_mind_a_shift(
    scores: list[list[float]], shift: float, data: st.DataObject
) -> None:
    target = tt.tensor([data.draw(st.integers(0, 2)) for _ in scores])
    x = tt.tensor(scores, dtype="float64")
    loss = F.cross_entropy(x, target).item()
    assert loss >= 0
    assert F.cross_entropy(x + shift, target).item() == pytest.approx(loss, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("classes", [3, 40])
def test_classes_and_one_hot_probabilities_agree(classes: int) -> None:
    x, y = tt.randn(5, classes), tt.randint(0, classes, (5,))
    hot = tt.one_hot(y, classes).float()
    for smoothing in (0.0, 0.3):
        a = F.cross_entropy(x, y, label_smoothing=smoothing)
        b = F.cross_entropy(x, hot, label_smoothing=smoothing)
        assert a.item() == pytest.approx(b.item(), rel=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8"])
def test_class_indices_may_be_any_integers(dtype: str) -> None:
    x, y = tt.randn(5, 3), tt.tensor([0, 1, 2, 1, 0])
    narrow = y.to(dtype)
    for function in (F.cross_entropy, F.nll_loss):
        assert function(x, narrow).item() == function(x, y).item()


# Wrong arguments

SCORES = tt.zeros(4, 3)
CLASSES = tt.tensor([0, 1, 2, 0])


@pytest.mark.parametrize("name", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss",
                                  "BCEWithLogitsLoss", "KLDivLoss"])  # fmt: skip
def test_shapes_that_differ_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected a target of the input's shape \(4, 1\); got"):
        getattr(nn, name)()(tt.full((4, 1), 0.5), tt.full((4,), 0.5))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_integer_inputs_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=r"expected a floating-point input; got input int64 \(4,"):
        getattr(nn, name)()(tt.zeros(4, 3, dtype="int64"), CLASSES)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_unknown_reductions_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected reduction to be one of .*'average'"):
        getattr(nn, name)(reduction="average")
    with pytest.raises(ValueError, match="expected reduction to be 'mean', 'sum' or 'none'"):
        FUNCTIONS[name](SCORES, SCORES if "NLL" not in name else CLASSES, reduction="average")


@pytest.mark.parametrize(
    ("name", "function"), [("cross_entropy", F.cross_entropy), ("nll_loss", F.nll_loss)]
)
@pytest.mark.parametrize(
    ("error", "arguments", "words"),
    [
        (ValueError, (SCORES, tt.tensor([0, 1])), r"expected a target of shape \(4,\)"),
        (ValueError, (tt.tensor(1.0), CLASSES), r"expected an input of shape \(C,\), \(N, C\) or"),
        (ValueError, (SCORES, CLASSES, tt.ones(4)), r"expected a weight of shape \(3,\)"),
        (IndexError, (SCORES, tt.tensor([0, 1, 3, 0])), "class indices from 0 to 2, found 3"),
        (IndexError, (SCORES, tt.tensor([0, 1, -1, 0])), "class indices from 0 to 2, found -1"),
        (TypeError, (SCORES, tt.ones(4, dtype="bool")), "class indices of an integer dtype"),
        (TypeError, ([[0.0]], CLASSES), "expected a Tensor, got list"),
    ],
)
def test_wrong_classes_are_refused(
    name: str,
    function: Callable[..., tt.Tensor],
    error: type[Exception],
    arguments: tuple[Any, ...],
    words: str,
) -> None:
    with pytest.raises(error, match=f"^{name}: .*{words}"):
        function(*arguments)


def test_a_float_target_of_the_wrong_shape_is_told_both_ways() -> None:
    with pytest.raises(ValueError, match=r"class indices of shape \(4,\) and an integer dtype .*"
                                         r"or probabilities of shape \(4, 3\)"):  # fmt: skip
        F.cross_entropy(SCORES, tt.ones(4))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nn.HuberLoss(delta=0.0), "HuberLoss: expected delta above 0"),
        (lambda: nn.SmoothL1Loss(beta=-1.0), "SmoothL1Loss: expected beta of at least 0"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=2), "CrossEntropyLoss: expected label_smooth"),
        (lambda: F.huber_loss(SCORES, SCORES, delta=-1), "huber_loss: expected delta above 0"),
        (lambda: F.smooth_l1_loss(SCORES, SCORES, beta=-1), "smooth_l1_loss: expected beta"),
        (
            lambda: F.cross_entropy(SCORES, CLASSES, label_smoothing=-0.1),
            "cross_entropy: expected label_smoothing from 0 to 1",
        ),
        (
            lambda: F.binary_cross_entropy(SCORES + 1.5, SCORES),
            "binary_cross_entropy: expected probabilities as input, from 0 to 1, found 1.5",
        ),
        (
            lambda: F.binary_cross_entropy(SCORES * math.nan, SCORES),
            "binary_cross_entropy: expected probabilities as input, from 0 to 1, found nan",
        ),
        (
            lambda: F.binary_cross_entropy(SCORES, SCORES - 1),
            "binary_cross_entropy: expected targets from 0 to 1, found -1",
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(SCORES, SCORES + 2),
            "binary_cross_entropy_with_logits: expected targets from 0 to 1, found 2",
        ),
        (
            lambda: F.binary_cross_entropy(SCORES, SCORES, tt.ones(2)),
            r"binary_cross_entropy: expected weights that broadcast to \(4, 3\)",
        ),
        (
            lambda: F.binary_cross_entropy(SCORES, SCORES, tt.ones(2, 4, 3)),
            r"binary_cross_entropy: expected weights that broadcast to \(4, 3\)",
        ),
        (
            lambda: F.kl_div(SCORES, SCORES - 1),
            "kl_div: expected probabilities as target, of at least 0, found -1",
        ),
        (
            lambda: F.kl_div(tt.tensor(0.0), tt.tensor(1.0), reduction="batchmean"),
            "kl_div: expected at least one dimension",
        ),
    ],
)
def test_wrong_values_are_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


# In a model


def test_calls_are_typed_as_forward_is() -> None:
    x = tt.ones(1, 2)
    assert_type(nn.MSELoss()(x, x), tt.Tensor)
    with pytest.raises(TypeError, match="forward"):
        nn.MSELoss()(x)  # type: ignore[call-arg]


def test_no_activation_outlives_backward() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    alive: list[weakref.ref[Any]] = []
    for module in model:
        module.register_forward_hook(lambda m, args, out: alive.append(weakref.ref(out)))
    loss = nn.CrossEntropyLoss()(model(tt.ones(2, 4)), tt.tensor([0, 1]))
    loss.backward()
    gc.collect()
    assert len(alive) == 3
    assert all(reference() is None for reference in alive)

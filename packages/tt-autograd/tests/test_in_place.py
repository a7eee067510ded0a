"""Changes in place: the gradient is right, or an error names both places; never a wrong one.

Random programs of changes in place, views, detached views and `no_grad` blocks run beside a
reference that carries each value's derivative along with it, in arrays that are views of each
other wherever the values are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tt_autograd as tt

pytestmark = pytest.mark.module_06

Array = NDArray[np.float64]


def leaf(data: Any) -> tt.Tensor:
    return tt.tensor(data, dtype=tt.float64, requires_grad=True)


def gradient(x: tt.Tensor) -> Any:
    assert x.grad is not None
    return x.grad.tolist()


# Random programs


@dataclass
class Dual:
    """A value and its derivative along a direction."""

    value: Array
    slope: Array


def fresh(value: Any, slope: Any) -> Dual:
    """Return a new value with a slope of the same memory layout."""
    value = np.array(value, dtype=float, order="K")
    laid_out = np.empty_like(value)
    laid_out[...] = slope
    return Dual(value, laid_out)


def constant(value: Any) -> Dual:
    return fresh(value, 0.0)


OPERATORS: list[tuple[str, Callable[[Any, Any], Any], Callable[[Dual, Dual], Any]]] = [
    ("add", lambda a, b: a + b, lambda a, b: a.slope + b.slope),
    ("sub", lambda a, b: a - b, lambda a, b: a.slope - b.slope),
    ("mul", lambda a, b: a * b, lambda a, b: a.slope * b.value + a.value * b.slope),
]
VIEWS: list[Callable[[Any], Any]] = [
    lambda a: a[0],
    lambda a: a[1:],
    lambda a: a[:, 1],
    lambda a: a[::-1],
    lambda a: a.T,
    lambda a: a[..., :1],
    lambda a: a[...],
]
PLACES: list[Any] = [0, slice(1, None), (slice(None), 1), ([1, 0],), slice(None, None, 2), ...]


class Program:
    """The same statements for tensors and for the reference, side by side."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.direction = [rng.standard_normal((2, 3)), rng.standard_normal(())]
        start = [rng.standard_normal((2, 3)), np.array(0.7)]
        base = rng.standard_normal((2, 3))
        self.leaves = [leaf(value) for value in start]
        self.tensors = [*self.leaves, tt.tensor(base)]
        self.duals = [*map(fresh, start, self.direction), constant(base)]
        self.add(self.tensors[0] * 1.5, fresh(start[0] * 1.5, self.direction[0] * 1.5))

    def add(self, tensor: tt.Tensor, dual: Dual) -> None:
        self.tensors.append(tensor)
        self.duals.append(dual)

    def statement(self, kind: int, i: int, j: int, k: int, recorded: bool) -> None:
        i, j = i % len(self.tensors), j % len(self.tensors)
        a, b, da, db = self.tensors[i], self.tensors[j], self.duals[i], self.duals[j]
        name, operate, slope = OPERATORS[k % len(OPERATORS)]
        if kind == 0 and self.fit(da.value, db.value):
            value = operate(da.value, db.value)
            self.add(operate(a, b), fresh(value, slope(da, db)) if recorded else constant(value))
        elif kind == 1:
            view = VIEWS[k % len(VIEWS)]
            if da.value.ndim == 2 and min(da.value.shape) > 1:
                value = view(da.value)
                self.add(
                    view(a), Dual(value, view(da.slope) if recorded else np.zeros(value.shape))
                )
        elif kind == 2 and self.fit(da.value, db.value, da.value.shape):
            value, s = operate(da.value, db.value), slope(da, db)
            getattr(a, name + "_")(b)
            da.value[...] = value
            if recorded:
                da.slope[...] = s
        elif kind == 3 and da.value.ndim == 2 and min(da.value.shape) > 1:
            place = PLACES[k % len(PLACES)]
            if self.fit(da.value[place], db.value, da.value[place].shape):
                v, s = db.value.copy(), db.slope.copy()
                a[place] = b
                da.value[place] = v
                if recorded:
                    da.slope[place] = s
        elif kind == 4 and da.value.ndim == 2 and min(da.value.shape) > 1:
            place = PLACES[k % len(PLACES)]
            part = Dual(da.value[place], da.slope[place])
            if self.fit(part.value, db.value, part.value.shape):
                v, s = operate(part.value, db.value), slope(part, db)
                if k % 2:
                    a[place] += operate(a[place], b) - a[place]  # a longer way
                elif name == "add":
                    a[place] += b
                elif name == "sub":
                    a[place] -= b
                else:
                    a[place] *= b
                da.value[place] = v
                if recorded:
                    da.slope[place] = s
        elif kind == 5:
            self.add(a.detach(), Dual(da.value, np.zeros(da.value.shape)))
        elif kind == 6:
            value = np.sin(da.value)
            s = da.slope * np.cos(da.value)
            self.add(a.sin(), fresh(value, s) if recorded else constant(value))
        elif kind == 7:
            a.fill_(0.5)
            da.value[...] = 0.5
            if recorded:
                da.slope[...] = 0.0
        elif kind == 8:
            self.add(a.clone(), fresh(da.value, da.slope) if recorded else constant(da.value))

    @staticmethod
    def fit(a: Any, b: Any, shape: Any = None) -> bool:
        try:
            out = np.broadcast_shapes(np.shape(a), np.shape(b))
        except ValueError:
            return False
        return shape is None or out == shape

    def run(self, statements: list[tuple[int, int, int, int, bool]], create_graph: bool) -> bool:
        """Return whether the gradients were given, and right; False if they were refused."""
        try:
            for kind, i, j, k, recorded in statements:
                if recorded:
                    self.statement(kind, i, j, k, recorded)
                else:
                    with tt.no_grad():
                        self.statement(kind, i, j, k, recorded)
            loss, slope = leaf(0.0) * 1.0, 0.0
            for n in (-1, -2, len(statements) % len(self.tensors)):
                weights = np.cos(np.arange(self.duals[n].value.size)).reshape(
                    self.duals[n].value.shape
                )
                loss = loss + (self.tensors[n] * tt.tensor(weights)).sum()
                slope += float((self.duals[n].slope * weights).sum())
            gradients = tt.grad(loss, self.leaves, create_graph=create_graph, allow_unused=True)
        except RuntimeError as error:
            assert "in place" in str(error)  # noqa: PT017  # whichever statement refuses
            return False
        total = sum(
            float((g.detach().numpy() * v).sum())
            for g, v in zip(gradients, self.direction, strict=True)
        )
        assert total == pytest.approx(slope, rel=1e-9, abs=1e-9)
        return True


index = st.integers(0, 30)
statements = st.lists(
    st.tuples(st.integers(0, 8), index, index, index, st.sampled_from([True, True, True, False])),
    max_size=12,
)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(statements, st.booleans())
def test_a_random_program_gets_the_right_gradient_or_an_error(
    program: list[tuple[int, int, int, int, bool]], create_graph: bool
) -> None:
    Program().run(program, create_graph)


def test_most_short_programs_get_their_gradient() -> None:
    rng = np.random.default_rng(0)
    given_ = 0
    for _ in range(400):
        drawn = rng.integers(0, [9, 31, 31, 31], (5, 4)).tolist()
        given_ += Program().run([(*row, True) for row in drawn], False)
    assert given_ > 150


# By example


def test_an_error_names_the_line_that_needed_the_value_and_the_line_that_changed_it() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2.0
    z = y * y  # the use
    y.add_(1.0)  # the change
    with pytest.raises(RuntimeError) as caught:
        z.sum().backward()
    message = str(caught.value)
    assert message.count("test_in_place.py:") == 2
    assert "z = y * y  # the use" in message
    assert "y.add_(1.0)  # the change" in message
    assert "mul" in message
    assert "clone()" in message


def test_a_stale_view_names_the_change() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2.0
    view = y[:1]
    y.mul_(3.0)  # the change
    with pytest.raises(RuntimeError, match=r"exp: mul_ .*test_in_place.py:\d+: y.mul_\(3.0\)"):
        view.exp()


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.add_(1.0),
        lambda t: t.sub_(1.0),
        lambda t: t.mul_(2.0),
        lambda t: t.div_(2.0),
        lambda t: t.pow_(2.0),
        lambda t: t.clip_(0.0, 1.0),
        lambda t: t.copy_(tt.zeros(2)),
        lambda t: t.fill_(1.0),
        lambda t: t.zero_(),
        lambda t: t.__setitem__(0, 5.0),
        lambda t: t.__iadd__(1.0),
        lambda t: t.__ifloordiv__(2.0),
        lambda t: t.__imod__(2.0),
    ],
)
def test_every_change_of_a_leaf_is_refused_while_ops_are_recorded(change: Any) -> None:
    x = leaf([1.0, 2.0])
    for target in (x, x[:], x.reshape(2, 1).reshape(2), tt.einsum("i->i", x)):
        with pytest.raises(RuntimeError, match=r"_: (a leaf|this tensor is a view of a leaf)"):
            change(target)
    assert x.tolist() == [1.0, 2.0]
    with tt.no_grad():
        change(x)
    assert x.tolist() != [1.0, 2.0]
    assert x.requires_grad
    assert x.is_leaf


@pytest.mark.parametrize(
    "change",
    [
        lambda t, w: t.add_(w),
        lambda t, w: t.sub_(w, alpha=3),
        lambda t, w: t.mul_(w),
        lambda t, w: t.div_(w),
        lambda t, w: t.pow_(w),
        lambda t, w: t.copy_(w),
        lambda t, w: t.__setitem__(0, w[0]),
        lambda t, w: t.__setitem__(slice(None), w),
        lambda t, w: t.__setitem__(tt.tensor([True, False]), w[:1]),
        lambda t, w: t.__setitem__([1, 0], w),
        lambda t, w: t.__setitem__(([0, 0],), w),
        lambda t, w: t.__setitem__(slice(None), w.reshape(1, 2)),
        lambda t, w: t.__imod__(w),
    ],
)
def test_a_change_in_place_has_the_derivatives_of_the_op(change: Any) -> None:
    def run(x: tt.Tensor, w: tt.Tensor) -> tt.Tensor:
        y = x * 1.0
        change(y, w)
        return y * y

    assert tt.gradcheck(run, [leaf([1.3, 2.5]), leaf([0.4, 0.9])])
    assert tt.gradgradcheck(run, [leaf([1.3, 2.5]), leaf([0.4, 0.9])])


def test_rows_and_columns_can_be_changed_by_augmented_assignment() -> None:
    def run(x: tt.Tensor, w: tt.Tensor) -> tt.Tensor:
        y = x * 1.0
        y[0] += 1.0
        y[:, 1] *= w
        y[1, 1:] -= w[:1]
        y[tt.tensor([0, 1]), tt.tensor([0, 0])] /= w
        return y.exp()

    rng = np.random.default_rng(0)
    assert tt.gradcheck(run, [leaf(rng.random((2, 3))), leaf([0.4, 0.9])])
    assert tt.gradgradcheck(run, [leaf(rng.random((2, 3))), leaf([0.4, 0.9])])


def test_a_result_flat_almost_everywhere_makes_a_constant() -> None:
    y = leaf([1.5, 2.5]) * 2.0
    y //= 2.0
    assert y.tolist() == [1.0, 2.0]
    assert not y.requires_grad


def test_two_writes_to_one_place_give_the_last_its_gradient() -> None:
    w = leaf([1.0, 2.0, 3.0])
    y = tt.zeros(2, dtype=tt.float64)
    y[[1, 1, 0]] = w
    y.sum().backward()
    assert gradient(w) == [0.0, 1.0, 1.0]


def test_a_constant_becomes_differentiable_by_what_is_written_into_it() -> None:
    w = leaf([1.0, 2.0])
    out = tt.zeros(2, 2, dtype=tt.float64)
    for i in range(2):
        out[i] = w * (i + 1)
    out.sum().backward()
    assert gradient(w) == [3.0, 3.0]


def test_a_constant_whose_view_was_made_differentiable_is_refused() -> None:
    w = leaf([2.0])
    base = tt.zeros(3, dtype=tt.float64)
    view = base[:1]
    view += w
    uses: list[Callable[[], Any]]
    uses = [lambda: base * w, lambda: base[:2], lambda: base + 1.0, lambda: base.clone()]
    for use in uses:
        with pytest.raises(RuntimeError, match="through another view"):
            use()
    with pytest.raises(RuntimeError, match="through another view"):
        copy.copy(base) * w
    with pytest.raises(RuntimeError, match="through another view"):
        base.requires_grad_()
    view.backward()
    assert gradient(w) == [1.0]


def test_no_grad_does_not_launder_a_stale_history() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0])
    y = x * 1.0
    view = y[:1]
    view *= w
    with tt.no_grad(), pytest.raises(RuntimeError, match="through another view"):
        y.add_(1.0)


def test_views_of_the_same_bytes_but_other_elements_are_told_apart() -> None:
    x, w = leaf(np.arange(6.0).reshape(2, 3)), leaf(3.0)
    y = x * 1.0
    first_four = y.view(-1)[:4]  # spans the bytes that the first column spans
    first_four *= w
    with pytest.raises(RuntimeError, match="through another view"):
        y[:, 0] = 5.0


def test_an_index_that_changes_later_was_copied() -> None:
    for index in (tt.tensor([0]), np.array([0])):
        x = leaf([1.0, 2.0, 3.0])
        y = (x * x)[index]
        z = x * 1.0
        z[index] = 0.0
        index += 1
        (y.sum() + z.sum()).backward()
        assert gradient(x) == [2.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "use",
    [
        lambda x, i: tt.take(x, i),
        lambda x, i: tt.index_select(x, 0, i),
        lambda x, i: tt.gather(x, 0, i),
        lambda x, i: x.scatter_add(0, i, x[:1]),
    ],
)
def test_an_index_that_an_op_takes_as_input_is_guarded(use: Any) -> None:
    x, index = leaf([1.0, 2.0, 3.0]), tt.tensor([0])
    y = use(x * x, index)
    index += 1
    with pytest.raises(RuntimeError, match="add_"):
        y.sum().backward()


def test_a_parameter_updated_before_backward_is_refused() -> None:
    w, x = leaf([2.0]), leaf([3.0])
    loss = (w * x).sum()
    with tt.no_grad():
        w -= 0.1
    with pytest.raises(RuntimeError, match=r"backward of mul .* sub_"):
        loss.backward()


def test_changing_data_is_seen_like_any_change() -> None:
    w, x = leaf([2.0]), leaf([3.0])
    loss = (w * x).sum()
    w.data.mul_(2.0)
    with pytest.raises(RuntimeError, match="mul_"):
        loss.backward()
    w.data = tt.tensor([5.0], dtype=tt.float64)
    w.data[0] = 6.0
    loss = (w * x).sum()
    loss.backward()
    assert gradient(x) == [6.0]


def test_a_training_loop_in_place_goes_on_and_on() -> None:
    w = leaf([5.0])
    for _ in range(50):
        loss = (w * w).sum()
        loss.backward()
        with tt.no_grad():
            assert w.grad is not None
            w -= 0.1 * w.grad
            w.grad.zero_()
    assert abs(w.item()) < 1e-3


def test_a_copy_of_a_leaf_in_another_layout_may_be_changed() -> None:
    copies: list[Callable[[tt.Tensor], tt.Tensor]]
    copies = [lambda x: x[:, [0, 1]], lambda x: x.T.reshape(-1), lambda x: x.clone()]
    for copied in copies:
        x = leaf(np.ones((2, 3)))
        y = copied(x)
        y *= 2.0
        y.sum().backward()
        assert set(np.ravel(gradient(x))) <= {0.0, 2.0}
        assert x.tolist() == np.ones((2, 3)).tolist()


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,)])
def test_awkward_shapes(shape: tuple[int, ...]) -> None:
    x = leaf(np.ones(shape))
    y = x * 1.0
    y *= 3.0
    y[...] = y * 2.0
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == np.full(shape, 6.0).tolist()


def test_shape_and_dtype_of_the_target_stay() -> None:
    y = leaf([1.0]) * 1.0
    with pytest.raises(ValueError, match=r"\(2,\) cannot be stored in place .* \(1,\)"):
        y += tt.ones(2)
    z = tt.tensor([1.0], requires_grad=True) * 1.0
    z += leaf([2.0])
    assert z.dtype == tt.float32
    with pytest.raises(TypeError):
        tt.tensor([1]).add_(leaf([0.5]))
    assert y.tolist() == [1.0]


def test_a_refused_change_leaves_values_and_history_as_they_were() -> None:
    x = leaf([1.0, 2.0])
    y = x * 3.0
    with pytest.raises(ValueError, match="broadcast"):
        y += tt.ones(3)
    with pytest.raises(IndexError):
        y[5] = 1.0
    y.sum().backward()
    assert gradient(x) == [3.0, 3.0]


def test_kept_gradients_and_hooks_of_what_was_there_before_a_change() -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    seen: list[Any] = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.mul_(3.0)
    y.sum().backward()
    assert seen == [[3.0, 3.0]]
    assert gradient(x) == [6.0, 12.0]


def test_many_writes_to_parts_of_a_buffer_stay_fast() -> None:
    x = leaf(np.ones(300))
    out = tt.zeros(300, dtype=tt.float64)
    for i in range(300):
        out[i] = x[i] * 2.0
    out.sum().backward()
    assert gradient(x) == [2.0] * 300

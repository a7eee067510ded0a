"""Properties that every op and function has, run over the table of ops."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import op_table
import tt_tensor as tt
from op_samples import Array, Sample
from op_table import CASES, OpCase, convert, run
from tt_tensor import ops

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]


def marked(case: OpCase) -> Any:
    module = pytest.mark.module_03 if case in op_table.ACTIVATIONS else pytest.mark.module_02
    return pytest.param(case, id=case.name, marks=module)


def samples(case: OpCase) -> list[Sample]:
    return case.samples(np.random.default_rng(0))


def parts(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def arrays(sample: Sample) -> list[Array]:
    found: list[Array] = []
    convert(sample[0], lambda array: found.append(array))
    return found


def large(case: OpCase) -> Sample:
    """Return the first sample of which every array has several elements."""
    found = [s for s in samples(case) if arrays(s) and all(a.size > 1 for a in arrays(s))]
    return found[0]


def takes_floats(case: OpCase) -> bool:
    return arrays(large(case))[0].dtype.kind == "f"


every_case = pytest.mark.parametrize("case", [marked(c) for c in CASES])
every_op = pytest.mark.parametrize("case", [marked(c) for c in CASES if c.op is not None])
every_case_of_floats = pytest.mark.parametrize(
    "case", [marked(c) for c in CASES if takes_floats(c)]
)


def owner(case: OpCase) -> str:
    return "to" if case.name == "cast" else case.name.partition(".")[0]


@every_case
def test_values_shapes_and_dtypes_are_those_of_numpy(case: OpCase) -> None:
    for args, kwargs in samples(case):
        expected = parts(case.reference(np, *args, **kwargs))
        found = parts(run(case, (args, kwargs), tt.tensor))
        assert len(found) == len(expected)
        for tensor, array in zip(found, expected, strict=True):
            assert type(tensor) is tt.Tensor
            assert tensor.shape == np.shape(array)
            assert tensor.dtype == np.asarray(array).dtype
            np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-10, atol=1e-12)


@every_case
def test_arguments_are_left_as_they_were(case: OpCase) -> None:
    for args, kwargs in samples(case):
        tensors: list[tuple[tt.Tensor, Array]] = []

        def make(array: Array, made: list[tuple[tt.Tensor, Array]] = tensors) -> tt.Tensor:
            made.append((tt.from_numpy(array), array.copy()))
            return made[-1][0]

        run(case, (args, kwargs), make)
        for tensor, before in tensors:
            np.testing.assert_array_equal(tensor.numpy(), before)


@pytest.mark.parametrize("dtype", DTYPES)
@every_case_of_floats
def test_dtypes_promote_as_numpy_does(case: OpCase, dtype: str) -> None:
    """Where NumPy's formula takes a dtype, so does ours; where it refuses, ours names the op."""

    def cast(array: Array) -> Array:
        return np.asarray(np.abs(array), dtype) if array.dtype.kind == "f" else array

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        args, kwargs = convert(large(case)[0], cast), large(case)[1]
        try:
            expected = parts(case.reference(np, *args, **kwargs))
        except (TypeError, OverflowError):
            with pytest.raises((TypeError, OverflowError), match=f"^{owner(case)}: .*{dtype}"):
                run(case, (args, kwargs), tt.from_numpy)
            return
        found = parts(run(case, (args, kwargs), tt.from_numpy))
    if case.op is ops.ARGTOPK:
        found, expected = found[:1], expected[:1]  # which of equal values is not specified
    for tensor, array in zip(found, map(np.asarray, expected), strict=True):
        assert tensor.dtype == array.dtype
        exact = array.dtype.kind != "f"
        tolerance = 0 if exact else 40 * float(np.finfo(array.dtype).eps)
        np.testing.assert_allclose(tensor.numpy(), array, rtol=tolerance, atol=tolerance)


REFUSED = [
    pytest.param(case, refused, id=f"{case.name}-{i}", marks=marked(case).marks)
    for case in CASES
    for i, refused in enumerate(case.refused)
]


@pytest.mark.parametrize(("case", "refused"), REFUSED)
def test_errors_name_the_op_and_what_was_wrong(case: OpCase, refused: op_table.Refused) -> None:
    with pytest.raises(refused.kind) as caught:
        case.function(*convert(refused.args, tt.tensor))
    message = str(caught.value)
    assert message.startswith(f"{owner(case)}: ")
    assert re.search(refused.says, message), message
    assert "axis" not in message, "NumPy's word for what is called dim"


@every_case
def test_axis_and_keepdims_are_other_names_of_dim_and_keepdim(case: OpCase) -> None:
    names = {"dim": "axis", "keepdim": "keepdims"}
    for args, kwargs in samples(case):
        renamed = {names.get(key, key): value for key, value in kwargs.items()}
        if renamed == kwargs:
            continue
        expected = parts(run(case, (args, kwargs), tt.tensor))
        for found, tensor in zip(
            parts(run(case, (args, renamed), tt.tensor)), expected, strict=True
        ):
            np.testing.assert_array_equal(found.numpy(), tensor.numpy())
        if "dim" in kwargs:
            with pytest.raises(TypeError, match="dim and axis are two names of one argument"):
                run(case, (args, {**kwargs, "axis": 0}), tt.tensor)


@every_case
def test_unknown_keyword_arguments_are_refused(case: OpCase) -> None:
    args, kwargs = samples(case)[-1]
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        run(case, (args, {**kwargs, "colour": 1}), tt.tensor)


@every_op
def test_observers_see_the_op(case: OpCase) -> None:
    sample = samples(case)[0]
    seen: list[tt.OpEvent] = []
    with tt.observe(seen.append):
        result = parts(run(case, sample, tt.tensor))
    events = [event for event in seen if event.op is case.op]
    assert events
    for event in events:
        assert event.phase == "forward"
        assert event.seconds >= 0
        assert event.shapes == tuple(np.shape(value) for value in event.inputs)
        assert isinstance(event.output, np.ndarray)
    assert any(np.array_equal(events[-1].output, part.numpy()) for part in result)  # type: ignore[arg-type]  # asserted above


@every_case
def test_methods_are_the_functions(case: OpCase) -> None:
    name = case.name.partition(".")[0]
    if case.function is not getattr(tt, name, None) or not hasattr(tt.Tensor, name):
        assert name in {"cast", "concat", "stack", "einsum", "setitem", "unindex", "getitem"}
        return
    for args, kwargs in samples(case):
        if not isinstance(args[0], np.ndarray) or name == "where":
            continue
        expected = parts(run(case, (args, kwargs), tt.tensor))
        first, *rest = convert(args, tt.tensor)
        for found, tensor in zip(
            parts(getattr(first, name)(*rest, **kwargs)), expected, strict=True
        ):
            np.testing.assert_array_equal(found.numpy(), tensor.numpy())


IN_PLACE = ["add", "sub", "mul", "div", "pow", "clip"]


@pytest.mark.module_02
@pytest.mark.parametrize("case", [c for c in CASES if c.name in IN_PLACE], ids=str)
def test_in_place_forms_leave_the_result_in_the_same_memory(case: OpCase) -> None:
    for args, kwargs in samples(case):
        expected = run(case, (args, kwargs), tt.tensor)
        if not isinstance(args[0], np.ndarray) or args[0].shape != expected.shape:
            continue
        first, *rest = convert(args, tt.tensor)
        view = first[...]
        assert getattr(first, f"{case.name}_")(*rest, **kwargs) is first
        np.testing.assert_array_equal(view.numpy(), expected.numpy())


@pytest.mark.module_02
def test_every_op_stands_in_the_table() -> None:
    assert {case.op for case in CASES} - {None} == set(ops.ALL)


@pytest.mark.module_02
def test_every_op_has_a_constant_and_a_name_of_its_own() -> None:
    assert len({op.name for op in ops.ALL}) == len(ops.ALL) > 80
    for op in ops.ALL:
        assert repr(op) == f"<op {op.name}>"


CREATION = """
    arange empty empty_like eye from_dlpack from_numpy full full_like linspace ones ones_like rand
    randint randn randperm tensor zeros zeros_like
""".split()
MACHINERY = """
    apply default_generator get_default_dtype manual_seed observe set_default_dtype
""".split()


@pytest.mark.module_02
def test_every_public_function_stands_in_the_table() -> None:
    functions = {
        name: value
        for name, value in vars(tt).items()
        if callable(value) and not isinstance(value, type) and not name.startswith("_")
    }
    in_table = {case.function for case in CASES}
    missing = {name for name, value in functions.items() if value not in in_table}
    assert missing == {*CREATION, *MACHINERY}


@pytest.mark.module_02
def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)

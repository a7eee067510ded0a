import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import load_file, save_file

import tt_autograd as tt
import tt_nn as nn

pytestmark = pytest.mark.module_04

STATE = {
    "weight": tt.tensor([[1.5, -2.0, 0.0]]),
    "layer.half": tt.tensor([1.0, 65504.0], dtype="float16"),
    "layer.double": tt.tensor(1 / 3, dtype="float64"),
    "steps": tt.tensor([2**40, -1]),
    "small": tt.tensor([[-128], [127]], dtype="int8"),
    "pixels": tt.tensor([255, 0], dtype="uint8"),
    "mask": tt.tensor([True, False, True]),
    "none": tt.zeros(0, 3),
}


def raw(header: dict[str, Any] | bytes, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_a_state_comes_back_as_it_was(path: Path) -> None:
    nn.save(STATE, path)
    back = nn.load(path)
    assert set(back) == set(STATE)
    for name, tensor in STATE.items():
        assert type(back[name]) is tt.Tensor
        assert back[name].dtype == tensor.dtype
        np.testing.assert_array_equal(back[name].numpy(), tensor.numpy(), strict=True)
        assert back[name].numpy().flags.writeable


def test_the_file_is_what_other_readers_expect(path: Path) -> None:
    nn.save(STATE, path)
    other = load_file(path)
    assert set(other) == set(STATE)
    for name, tensor in STATE.items():
        np.testing.assert_array_equal(other[name], tensor.numpy(), strict=True)
    size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + size])
    assert header["__metadata__"] == {"format": "pt"}
    assert header["weight"]["shape"] == [1, 3]


def test_a_file_of_another_writer_is_read(path: Path) -> None:
    arrays = {name: tensor.numpy().copy() for name, tensor in STATE.items()}
    save_file(arrays, path, metadata={"author": "someone"})
    back = nn.load(str(path))
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name].numpy(), array, strict=True)


def test_a_model_goes_through_a_file(path: Path) -> None:
    first = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    second = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.save(first.state_dict(), path)
    second.load_state_dict(nn.load(path))
    x = tt.ones(2, 3)
    assert first(x).tolist() == second(x).tolist()


def test_views_are_written_as_they_look(path: Path) -> None:
    x = tt.arange(6).reshape(2, 3)
    nn.save({"turned": x.T, "part": x[:, ::2], "scalar": x[1, 1]}, path)
    back = nn.load(path)
    assert back["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["part"].tolist() == [[0, 2], [3, 5]]
    assert back["scalar"].shape == ()


def test_shared_tensors_are_written_each(path: Path) -> None:
    shared = tt.ones(2)
    nn.save({"a": shared, "b": shared}, path)
    assert nn.load(path)["b"].tolist() == [1, 1]


def test_names_that_were_left_out_as_shared_come_back(path: Path) -> None:
    save_file({"first.weight": np.ones(2)}, path, metadata={"second.weight": "first.weight"})
    back = nn.load(path)
    assert list(back) == ["first.weight", "second.weight"]
    assert back["second.weight"] is back["first.weight"]


def test_bfloat16_becomes_the_same_float32(path: Path) -> None:
    values = np.array([1.0, -2.5, 3.3895e38, np.inf, 2.0**-133], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    path.write_bytes(raw({"x": entry("BF16", [5], 0, 10)}, upper.tobytes()))
    back = nn.load(path)["x"]
    assert back.dtype == tt.float32
    np.testing.assert_array_equal(back.numpy(), (upper.astype(np.uint32) << 16).view(np.float32))
    assert back[1].item() == -2.5


@pytest.mark.parametrize("dtype", ["U16", "U32", "U64", "F8_E4M3"])
def test_dtypes_that_tensors_do_not_have_are_named(path: Path, dtype: str) -> None:
    size = {"U16": 2, "U32": 4, "U64": 8, "F8_E4M3": 1}[dtype]
    path.write_bytes(raw({"a.b": entry(dtype, [1], 0, size)}, bytes(size)))
    with pytest.raises(ValueError, match=rf"model\.safetensors: 'a\.b' has dtype {dtype}; ex"):
        nn.load(path)


WHOLE = raw({"w": entry("F32", [2], 0, 8)}, bytes(8))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "its 0 bytes are too few for a header"),
        (WHOLE[:7], "its 7 bytes are too few for a header"),
        (WHOLE[:20], "its 20 bytes are too few for a header of 61 bytes; it may have been cut"),
        (WHOLE[:-1], "'w' has bytes 0 to 8 of 7; it may have been cut short"),
        (WHOLE + b"?", "."),
        (struct.pack("<Q", 2**63) + b"{}", "too few for a header of 9223372036854775808 bytes"),
        (raw({"w": entry("F32", [3], 0, 8)}, bytes(8)), r"'w' is F32 of shape \(3,\), 12 bytes"),
        (raw({"w": entry("F32", [2], 4, 12)}, bytes(12)), "."),
        (raw({"w": entry("F32", [2], 8, 0)}, bytes(8)), "'w' is F32 of shape"),
        (raw({"w": entry("F32", [-2], 0, 8)}, bytes(8)), "."),
        (raw({"w": entry("F32", [2**62, 4], 0, 0)}), "'w' is F32 of shape"),
        (raw({"w": entry("F99", [2], 0, 8)}, bytes(8)), "'w' has dtype F99; expected one of F64"),
        (raw({"w": [1, 2]}), "."),
        (raw({"w": {"dtype": "F32"}}), "."),
        (raw(b"[]"), "."),
        (raw(b"{"), "."),
        (raw(b"\xff\xfe"), "."),
        (raw(b"[" * 100_000), "."),
        (raw({"__metadata__": {"a": 1}}), "."),
        (raw({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)), "."),
        (raw({"m": entry("BOOL", [2], 0, 2)}, b"\x01\x02"), "'m' has bools other than 0 and 1"),
        (raw({"w": entry("F32", [1] * 65, 0, 4)}, bytes(4)), "'w': maximum supported dimension"),
        (raw({"w": entry("F32", [0, 2**62, 2**62], 0, 0)}), "'w': array is too big"),
        (b"PK\x03\x04 a zip file, such as torch.save writes", "too few for a header"),
    ],
)
def test_files_that_lie_are_refused(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^load: .*model\.safetensors.*{words}"):
        nn.load(path)


def test_metadata_may_be_null(path: Path) -> None:
    path.write_bytes(raw({"__metadata__": None, "w": entry("F32", [2], 0, 8)}, bytes(8)))
    assert list(nn.load(path)) == ["w"]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        nn.load("nowhere.safetensors")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_still_means_something(
    path: Path, data: st.DataObject
) -> None:
    nn.save(STATE, path)
    content = bytearray(path.read_bytes())
    size = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["flip", "header", "cut", "grow", "swap"]))
        if kind == "cut":
            del content[data.draw(st.integers(0, len(content))) :]
        elif kind == "grow":
            content += data.draw(st.binary(min_size=1, max_size=9))
        elif kind == "swap":
            digits = [i for i, c in enumerate(content[8:size], 8) if chr(c).isdigit()]
            if digits:
                place = data.draw(st.sampled_from(digits))
                content[place] = ord(data.draw(st.sampled_from("0123456789-.e")))
        elif content:
            last = min(size, len(content)) if kind == "header" else len(content)
            content[data.draw(st.integers(0, last - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        back = nn.load(path)
    except ValueError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "model.safetensors" in refusal
        return
    entries = dict(deserialize(bytes(content)))  # type: ignore[no-untyped-call]
    assert set(entries) <= set(back)
    for name, found in entries.items():
        assert list(back[name].shape) == found["shape"]
        if found["dtype"] != "BF16":
            assert back[name].numpy().tobytes() == bytes(found["data"])


@settings(max_examples=100, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(content=st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError:
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            nn.load(path)
    else:
        assert nn.load(path) == {}


# Writing


def test_writing_replaces_a_file_in_one_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nn.save({"a": tt.ones(1)}, path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space left"):
        nn.save({"a": tt.zeros(1000)}, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_link_is_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "real.safetensors"
    nn.save({"a": tt.ones(1)}, target)
    path.symlink_to(target)
    nn.save({"a": tt.zeros(1)}, path)
    assert path.is_symlink()
    assert nn.load(target)["a"].tolist() == [0]


@pytest.mark.parametrize(
    ("state", "error", "words"),
    [
        (
            nn.Identity(),
            TypeError,
            "save: expected a state dict first, got Identity; give it",
        ),
        (STATE["weight"], TypeError, "save: expected a state dict first, got Tensor"),
        ({"a": [1.0]}, TypeError, "save: expected 'a' to be a Tensor, got list"),
        ({1: tt.ones(1)}, TypeError, "save: expected names to be str, got 1"),
        ({"__metadata__": tt.ones(1)}, ValueError, "save: '__metadata__' is the format's own"),
    ],
)
def test_what_cannot_be_written_is_refused(
    path: Path, state: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        nn.save(state, path)
    assert not path.exists()


@pytest.mark.parametrize("use", [lambda p: nn.save({}, p / "no" / "x"), lambda p: nn.load(p)])
def test_paths_that_cannot_be_used(tmp_path: Path, use: Callable[[Path], object]) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # which one differs between systems
        use(tmp_path)

"""Verification: what is honest is accepted, what is not is rejected with the reason."""

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
from tt_tito import TitoError
from tt_tito.benchmark import (
    Bench,
    Configuration,
    Submission,
    read_submission,
    replace_figures,
    run,
    verify,
    write_submission,
)

pytestmark = pytest.mark.module_19

Record = dict[str, Any]
Edit = Callable[[Path, Callable[[Record], object]], None]
Put = Callable[[Path, str, bytes], None]


def reason(folder: Path, bench: Bench) -> str:
    verdict = verify(folder, bench)
    assert not verdict.accepted
    return " ".join(verdict.reasons)


def test_what_was_measured_is_accepted(folder: Path, bench: Bench) -> None:
    verdict = verify(folder, bench)
    assert (verdict.reasons, verdict.accepted) == ((), True)
    assert verdict.claimed is not None
    assert set(verdict.claimed) == {"latency", "accuracy"}


def test_claims_are_replaced_by_what_was_measured(folder: Path, bench: Bench, edit: Edit) -> None:
    def boast(record: Record) -> None:
        # The ratio is what is held against the measured one; the rest is replaced all the same.
        record["figures"]["latency"].update(reference=5.0, submission=5.0)
        record["environment"] = {"cpu": "the fastest"}

    measured = read_submission(folder).figures["latency"]
    edit(folder, boast)
    verdict = verify(folder, bench)
    assert verdict.accepted
    assert verdict.submission is not None
    replace_figures(folder, verdict.submission)
    again = read_submission(folder)
    assert again.figures["latency"] == measured
    assert "cpu" in again.environment
    assert again.environment["cpu"] != "the fastest"


def of_ratio(ratio: float) -> dict[str, float]:
    """A figure that does not contradict itself."""
    return {"reference": ratio, "submission": 1.0, "ratio": ratio, "low": ratio, "high": ratio}


RECORDS: dict[str, tuple[Callable[[Record], object], str]] = {
    "a ratio of a billion": (
        lambda r: r["figures"]["latency"].update(of_ratio(1e9)),
        "latency: a ratio of 1e+09 is claimed, 1 was measured here",
    ),
    "a ratio of its own": (
        lambda r: r["figures"]["latency"].update(ratio=1e9, low=1e9, high=1e9),
        "latency: a ratio of 1e+09 is claimed, but",
    ),
    "a spread that would cover it": (
        lambda r: r["figures"]["latency"].update(ratio=3.0, low=0.0, high=1e9),
        "latency: a ratio of 3 is claimed",
    ),
    "a better accuracy": (
        lambda r: r["figures"]["accuracy"].update(of_ratio(1.5), reference=0.4, submission=0.6),
        "accuracy: a ratio of 1.5 is claimed, 1 was measured here",
    ),
    "a slightly better accuracy": (
        lambda r: r["figures"]["accuracy"].update(of_ratio(1.04), reference=0.5, submission=0.52),
        "accuracy: a ratio of 1.04 is claimed, 1 was measured here",
    ),
    "an accuracy above 1": (
        lambda r: r["figures"]["accuracy"].update(of_ratio(1.04), reference=1.0, submission=1.04),
        "accuracy: 1.04 is claimed, but it is at most 1",
    ),
    "NaN": (lambda r: r["figures"]["latency"].update(ratio=float("nan")), "NaN is no number"),
    "infinity": (lambda r: r["figures"]["latency"].update(ratio=float("inf")), "Infinity is no"),
    "a negative figure": (lambda r: r["figures"]["latency"].update(low=-1), "at least 0"),
    "a figure as text": (lambda r: r["figures"]["latency"].update(low="1"), "finite number"),
    "a figure as truth": (lambda r: r["figures"]["latency"].update(low=True), "finite number"),
    "a figure too many": (
        lambda r: r["figures"].update(size=r["figures"]["latency"]),
        "the event latency has latency, accuracy",
    ),
    "no figures": (lambda r: r.update(figures={}), "the event latency has latency, accuracy"),
    "another digest of the weights": (
        lambda r: r["files"]["weights"].update(sha256="0" * 64),
        "model.safetensors: its SHA-256 is",
    ),
    "another digest of the model": (
        lambda r: r["files"]["model"].update(sha256="0" * 64),
        "model.json: its SHA-256 is",
    ),
    "a digest that is none": (
        lambda r: r["files"]["model"].update(sha256="0" * 63 + "g"),
        "expected 64 hexadecimal digits",
    ),
    "other data": (lambda r: r.update(data_sha256="0" * 64), "data_sha256: it was not"),
    "another reference": (
        lambda r: r.update(reference_sha256="0" * 64),
        "reference_sha256: it was not",
    ),
    "another schema": (lambda r: r.update(schema=2), "schema 2 is not known here"),
    "a schema as truth": (lambda r: r.update(schema=True), "expected an integer"),
    "a key too many": (lambda r: r.update(trust="me"), "unknown key 'trust'"),
    "a key too few": (lambda r: r.pop("seed"), "the key 'seed' is missing"),
    "no such task": (lambda r: r.update(task="chess"), "there is no task 'chess'"),
    "no such event": (lambda r: r.update(event="luck"), "expected one of latency"),
    "no such division": (lambda r: r.update(division="first"), "expected one of closed, open"),
    "a name that cannot be shown": (lambda r: r.update(name="A\x1b[2J"), "printable"),
    "half a character as a name": (lambda r: r.update(name="\ud800"), "printable"),
    "a seed beyond bounds": (lambda r: r.update(seed=10**400), "expected an integer"),
    "a path up": (lambda r: r["files"]["model"].update(path="../model.json"), "leads outside"),
    "a path down and up": (
        lambda r: r["files"]["model"].update(path="a/../../model.json"),
        "leads outside",
    ),
    "an absolute path": (lambda r: r["files"]["model"].update(path="/etc/passwd"), "leads outside"),
    "a path of Windows": (
        lambda r: r["files"]["model"].update(path="..\\model.json"),
        "leads outside",
    ),
    "a drive": (lambda r: r["files"]["model"].update(path="C:model.json"), "leads outside"),
    "no path": (lambda r: r["files"]["model"].update(path=""), "expected a path"),
    "a file that is not there": (
        lambda r: r["files"]["model"].update(path="other.json"),
        "other.json: cannot be read",
    ),
    "the folder itself": (lambda r: r["files"]["model"].update(path="."), "leads outside"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_is_rejected(case: str, folder: Path, bench: Bench, edit: Edit) -> None:
    how, expected = RECORDS[case]
    edit(folder, how)
    assert expected in reason(folder, bench)


TEXTS = {
    "a key twice": (b'{"schema": 1, "schema": 1}', "the key 'schema' stands twice"),
    "no JSON": (b"{", "not JSON"),
    "nothing": (b"", "not JSON"),
    "a list": (b"[]", "expected an object"),
    "not UTF-8": (b'{"name": "\xff"}', "not UTF-8"),
    "nested deep": (b"[" * 200_000, "nested too deep"),
    "nested deep, but whole": (b'{"environment": ' + b"[" * 900 + b"]" * 900 + b"}", "too deep"),
    "too many digits": (b'{"seed": ' + b"9" * 5000 + b"}", "too many digits"),
    "too large": (b" " * (1 << 20) + b"{}", "larger than"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_is_rejected(case: str, folder: Path, bench: Bench) -> None:
    data, expected = TEXTS[case]
    (folder / "submission.json").write_bytes(data)
    assert expected in reason(folder, bench)


def model_with(**changes: object) -> bytes:
    """The reference's last layer with other arguments."""
    last = {"layer": "Linear", "in_features": 8, "out_features": 3, **changes}
    first = {"layer": "Linear", "in_features": 4, "out_features": 8}
    norm = {"layer": "BatchNorm1d", "num_features": 8}
    layers = [first, norm, {"layer": "ReLU"}, last]
    return json.dumps({"model": {"layer": "Sequential", "layers": layers}}).encode()


def only(**layer: object) -> bytes:
    return json.dumps({"model": layer}).encode()


def nested(depth: int) -> bytes:
    tree: dict[str, Any] = {"layer": "ReLU"}
    for _ in range(depth):
        tree = {"layer": "Sequential", "layers": [tree]}
    return json.dumps({"model": tree}).encode()


def passes(*wanted: object) -> bytes:
    return json.dumps({**json.loads(model_with()), "passes": list(wanted)}).encode()


MODELS = {
    "other shapes": (
        model_with(out_features=4),
        "closed division: model: layers[3]: out_features is 4, the reference has 3",
    ),
    "another layer": (only(layer="ReLU"), "closed division: model: layer is 'ReLU'"),
    "a layer that is none": (only(layer="eval"), "there is no layer 'eval'"),
    "a layer's dunder": (only(layer="__class__"), "there is no layer"),
    "no layer": (b'{"model": 3}', "with the key 'layer'"),
    "an argument that is none": (only(layer="ReLU", inplace=True), "unknown key 'inplace'"),
    "an argument of another kind": (model_with(bias="no"), "expected true or false"),
    "a size of zero": (model_with(out_features=0), "expected an integer from 1"),
    "too many weights": (
        only(layer="Linear", in_features=65536, out_features=65536),
        "a model may have",
    ),
    "nested too deep": (nested(30), "nested at most 20 deep"),
    "no layer, deep down": (b'{"model": ' + b"[" * 300 + b"]" * 300 + b"}", "nested too deep"),
    "no such pass": (passes({"pass": "exec"}), "is no pass"),
    "a pass of no name": (passes({}), "is no pass"),
    "a pass twice": (
        passes({"pass": "fold_batch_norm"}, {"pass": "fold_batch_norm"}),
        "stands there twice",
    ),
    "a pass for what writes": (
        passes({"pass": "kv_cache"}),
        "the pass 'kv_cache' does not fit the model",
    ),
    "a pass without its layers": (
        passes({"pass": "int8_weights"}, {"pass": "fold_batch_norm"}),
        "the pass 'fold_batch_norm' does not fit the model",
    ),
    "a pass's argument": (
        passes({"pass": "int4_weights", "group_size": 7}),
        "expected one of 8, 16",
    ),
    "no such backend": (
        json.dumps({**json.loads(model_with()), "backend": "cuda"}).encode(),
        "expected one of numpy, numba",
    ),
    "too many threads": (
        json.dumps({**json.loads(model_with()), "threads": 10_000}).encode(),
        "expected an integer from 1 to 64",
    ),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_model_is_rejected(case: str, folder: Path, bench: Bench, put: Put) -> None:
    data, expected = MODELS[case]
    put(folder, "model", data)
    assert expected in reason(folder, bench)


def safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(shape: list[int], start: int, stop: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


WEIGHTS = {
    "nothing": (b"", "too few"),
    "a header longer than the file": (safetensors({}, length=1 << 40), "its header claims"),
    "a header of all there is": (safetensors({}, length=(1 << 64) - 1), "its header claims"),
    "no JSON in it": (safetensors(b"{]"), "not JSON"),
    "a tensor larger than its bytes": (
        safetensors({"a": tensor([1 << 30], 0, 4)}, bytes(4)),
        "needs 4294967296 bytes",
    ),
    "bytes that are not there": (
        safetensors({"a": tensor([1 << 28], 0, 1 << 30)}, bytes(4)),
        "speaks of 1073741824 bytes of tensors; there are 4",
    ),
    "bytes that no one speaks of": (safetensors({}, bytes(64)), "speaks of 0 bytes"),
    "a product beyond all bounds": (
        safetensors({"a": tensor([1 << 32] * 8, 0, 4)}, bytes(4)),
        "its header gives it bytes 0 to 4",
    ),
    "too many dimensions": (safetensors({"a": tensor([1] * 40, 0, 4)}, bytes(4)), "at most 8"),
    "a negative size": (safetensors({"a": tensor([-1, -1], 0, 4)}, bytes(4)), "from 0"),
    "tensors that overlap": (
        safetensors({"a": tensor([2], 0, 8), "b": tensor([1], 4, 8)}, bytes(8)),
        "begins at byte 4, not at 8",
    ),
    "a gap": (
        safetensors({"a": tensor([1], 0, 4), "b": tensor([1], 8, 12)}, bytes(12)),
        "begins at byte 8, not at 4",
    ),
    "a name twice": (
        safetensors(b'{"a": 1, "a": 2}'),
        "the key 'a' stands twice",
    ),
    "no such dtype": (safetensors({"a": tensor([1], 0, 4, "F4")}, bytes(4)), "one of F64"),
    "not a number in it": (
        safetensors({"a": tensor([1], 0, 4)}, np.array([np.nan], "<f4").tobytes()),
        "'a' has values that are not finite",
    ),
    "other names": (safetensors({"a": tensor([1], 0, 4)}, bytes(4)), "'0.weight' is missing"),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights_are_rejected(case: str, folder: Path, bench: Bench, put: Put) -> None:
    data, expected = WEIGHTS[case]
    put(folder, "weights", data)
    assert expected in reason(folder, bench)


def altered(folder: Path, how: Callable[[dict[str, tt.Tensor]], object]) -> bytes:
    path = folder / "model.safetensors"
    state = nn.load(path)
    how(state)
    nn.save(state, path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (lambda s: s["0.weight"].mul_(1.5), "'0.weight' is not the reference's"),
        (lambda s: s.update({"0.bias": tt.zeros(9)}), "'0.bias' is float32 of shape (9,)"),
        (lambda s: s.update({"0.bias": s["0.bias"].half()}), "'0.bias' is float16"),
        (lambda s: s.update(more=tt.zeros(1)), "'more' is not in the reference"),
    ],
)
def test_altered_weights_are_rejected_in_the_closed_division(
    how: Callable[[dict[str, tt.Tensor]], object],
    expected: str,
    folder: Path,
    bench: Bench,
    put: Put,
) -> None:
    put(folder, "weights", altered(folder, how))
    assert f"closed division: weights: {expected}" in reason(folder, bench)


def test_one_byte_of_the_weights_is_noticed(folder: Path, bench: Bench) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "its SHA-256 is" in reason(folder, bench)


@pytest.mark.parametrize("name", ["submission.json", "model.json", "model.safetensors"])
def test_links_are_not_followed(name: str, folder: Path, bench: Bench, tmp_path: Path) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    assert f"{name}: symbolic links are not followed" in reason(folder, bench)


def test_a_linked_folder_in_it_is_not_followed(
    folder: Path, bench: Bench, tmp_path: Path, edit: Edit
) -> None:
    (folder / "sub").symlink_to(folder, target_is_directory=True)
    edit(folder, lambda record: record["files"]["model"].update(path="sub/model.json"))
    assert "symbolic links are not followed" in reason(folder, bench)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(folder: Path, bench: Bench) -> None:
    (folder / "model.json").unlink()
    os.mkfifo(folder / "model.json")
    assert "not a regular file" in reason(folder, bench)


def test_an_empty_folder_is_rejected(bench: Bench, tmp_path: Path) -> None:
    assert "submission.json: cannot be read" in reason(tmp_path, bench)


def open_submission(
    bench: Bench, folder: Path, model: nn.Module, tree: object, *passes: str
) -> Submission:
    """Measure a model of one's own; its weights are left in the folder."""
    path = folder / "own.safetensors"
    nn.save(model.state_dict(), path)
    wanted = [{"pass": name} for name in passes]
    configuration = Configuration.parse({"model": tree, "passes": wanted})
    opened = bench.open(bench.tasks["tiny"])
    return run(bench, opened, "size", configuration, path, name="Own", division="open")


LINEAR = {"layer": "Linear", "in_features": 4, "out_features": 3}


def test_any_model_of_the_language_may_enter_the_open_division(
    bench: Bench, tmp_path: Path
) -> None:
    model = nn.Linear(4, 3, bias=True)
    with tt.no_grad():  # it answers with the first three inputs, which is right
        model.weight.copy_(tt.eye(3, 4))
        model.bias.zero_()
    write_submission(open_submission(bench, tmp_path, model, LINEAR), tmp_path / "own")
    verdict = verify(tmp_path / "own", bench)
    assert (verdict.reasons, verdict.accepted) == ((), True)
    assert verdict.submission is not None
    assert verdict.submission.figures["accuracy"].submission == 1.0
    assert verdict.score.ratio > 1


def test_a_model_that_forgot_its_task_is_rejected(bench: Bench, tmp_path: Path) -> None:
    model = nn.Linear(4, 3)
    with tt.no_grad():
        model.weight.copy_(-tt.eye(3, 4))
        model.bias.zero_()
    write_submission(open_submission(bench, tmp_path, model, LINEAR), tmp_path / "own")
    assert "at most 1 point may be lost" in reason(tmp_path / "own", bench)


@pytest.mark.parametrize(
    ("outputs", "expected"), [(2, "expected scores of shape (1, 3)"), (3, "does not fit Linear")]
)
def test_a_model_that_does_not_fit_is_an_error(
    outputs: int, expected: str, bench: Bench, tmp_path: Path
) -> None:
    tree = {**LINEAR, "out_features": outputs}
    with pytest.raises(TitoError) as caught:
        open_submission(bench, tmp_path, nn.Linear(4, 2), tree)
    assert expected in " ".join(str(caught.value).split())


@pytest.mark.parametrize("root", [".", "inner", "inner/.."])
def test_a_submission_does_not_bring_its_reference(
    root: str, folder: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "inner").mkdir()
    for place in (folder, folder / "inner"):
        shutil.copy(bench.root / bench.tasks["tiny"].weights, place)
    monkeypatch.chdir(folder)
    for submission in (folder, Path()):
        with pytest.raises(TitoError, match="checkout of your own"):
            verify(submission, replace(bench, root=Path(root)))


@pytest.mark.parametrize(
    ("name", "seed"), [("", 0), ("a\x1bb", 0), ("a" * 81, 0), ("Ada", -1), ("Ada", 2**32)]
)
def test_what_would_be_rejected_is_not_measured(bench: Bench, name: str, seed: int) -> None:
    def measure(*job: object) -> Never:
        pytest.fail("it was measured")

    opened = bench.open(bench.tasks["tiny"])
    unused = replace(bench, open_runner=measure)
    with pytest.raises(TitoError, match="seed" if name == "Ada" else "name"):
        run(unused, opened, "size", Configuration(opened.task.model), name=name, seed=seed)


@pytest.mark.parametrize("name", ["Zo\u00eb Ada", " Zo\u00eb  Ada ", "Zoe\u0308 Ada"])
def test_names_that_look_alike_are_one(name: str, folder: Path, edit: Edit) -> None:
    edit(folder, lambda record: record.update(name=name))
    assert read_submission(folder).name == "Zo\u00eb Ada"


@pytest.mark.parametrize("name", ["fold_batch_norm", "kv_cache"])
def test_a_pass_that_has_nothing_to_do_is_an_error(name: str, bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(TitoError, match=f"the pass '{name}' does not fit the model"):
        open_submission(bench, tmp_path, nn.Linear(4, 3), LINEAR, name)


def test_without_reference_weights_nothing_is_judged(
    folder: Path, bench: Bench, tmp_path: Path
) -> None:
    with pytest.raises(TitoError, match="are not there"):
        verify(folder, replace(bench, root=tmp_path))


# --- Whatever is in the folder, there is a verdict ----------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FILES = ("submission.json", "model.json", "model.safetensors")


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container in a JSON value with each of its keys."""
    found: list[tuple[Any, Any]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(pairs):
        found.append((value, key))
        if isinstance(item, dict | list):
            found += places(item)
    return found


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[Path], None]:
    """A change of a submission's folder."""
    name = draw(st.sampled_from(FILES))
    where, junk = draw(st.integers(0, 10**6)), draw(st.binary(min_size=1, max_size=12))
    value, kind = draw(JSON), draw(st.sampled_from(("bytes", "cut", "value", "drop", "rehash")))

    def change(folder: Path) -> None:
        path = folder / name
        data = path.read_bytes()
        if kind in ("value", "drop") and name.endswith(".json"):
            tree = json.loads(data)
            container, key = (found := places(tree))[where % len(found)]
            if kind == "drop":
                del container[key]
            else:
                container[key] = value
            data = json.dumps(tree).encode(errors="surrogatepass")
        elif kind == "cut":
            data = data[: where % (len(data) + 1)]
        else:
            at = where % len(data)
            data = data[:at] + junk + data[at + len(junk) :]
        path.write_bytes(data)
        record = folder / "submission.json"
        if kind != "bytes" and name != "submission.json":  # so that the digest hides nothing
            tree = json.loads(record.read_text())
            which = "model" if name == "model.json" else "weights"
            tree["files"][which]["sha256"] = hashlib.sha256(data).hexdigest()
            record.write_text(json.dumps(tree))

    return change


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(change=mutations())
def test_there_is_always_a_verdict(
    change: Callable[[Path], None], submission: Submission, bench: Bench
) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "submission")
        write_submission(submission, folder)
        change(folder)
        verdict = verify(folder, bench)
        assert verdict.accepted == (not verdict.reasons)
        assert all(reason.isprintable() for reason in verdict.reasons)
        shutil.rmtree(folder)

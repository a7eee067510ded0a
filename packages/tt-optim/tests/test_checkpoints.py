import errno
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tt_autograd as tt
import tt_nn as nn
import tt_optim as optim

pytestmark = pytest.mark.module_08

FILES = ["manifest.json", "model.safetensors", "state.json", "state.safetensors"]


def make_state(seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "model": {"0.weight": tt.tensor(rng.standard_normal((3, 2))), "0.bias": tt.ones(3)},
        "optimizer": {"state": {0: {"step": 3, "exp_avg": tt.tensor(rng.standard_normal(5))}}},
        "epoch": seed,
    }


def plain(value: Any) -> Any:
    """Return a state in which tensors and arrays can be compared by ==."""
    if isinstance(value, tt.Tensor | np.ndarray):
        array = np.asarray(value.detach().numpy() if isinstance(value, tt.Tensor) else value)
        return (type(value).__name__, str(array.dtype), array.shape, array.tobytes())
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(part) for part in value)
    return value


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["float16", "float32", "float64", "int64", "uint8", "bool"]).flatmap(
        lambda dtype: st.lists(st.integers(0, 3), max_size=3).map(
            lambda shape: np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        )
    ),
    st.lists(st.integers(0, 3), max_size=2).map(lambda shape: tt.ones(tuple(shape))),
)
states = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.text(max_size=3), inner, max_size=3),
            st.dictionaries(st.integers(0, 9), inner, max_size=3),
        ),
        max_leaves=8,
    ),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(state=states)
def test_a_state_comes_back_as_it_was(state: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        optim.save_checkpoint(f"{folder}/one", state)
        assert plain(optim.load_checkpoint(f"{folder}/one")) == plain(state)
        assert os.listdir(folder) == ["one"]


def test_the_model_is_a_file_of_its_own_with_its_own_names(tmp_path: Path) -> None:
    state = make_state()
    optim.save_checkpoint(tmp_path / "one", state)
    assert sorted(os.listdir(tmp_path / "one")) == FILES
    assert plain(nn.load(tmp_path / "one" / "model.safetensors")) == plain(state["model"])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "checkpoint: a.b: a object cannot be saved"),
        ({1.5: 2}, "a key 1.5 cannot be saved"),
        (np.array(["x"]), "dtype <U1 cannot be saved"),
        (b"bytes", "a bytes cannot be saved"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused(tmp_path: Path, value: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        optim.save_checkpoint(tmp_path / "one", {"a": {"b": value}})
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_never_replaced_in_silence(tmp_path: Path) -> None:
    optim.save_checkpoint(tmp_path / "one", make_state(0))
    with pytest.raises(optim.CheckpointError, match="one exists already"):
        optim.save_checkpoint(tmp_path / "one", make_state(1))
    assert optim.load_checkpoint(tmp_path / "one")["epoch"] == 0


# What is not whole


def test_no_checkpoint_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(optim.CheckpointError, match="nowhere is damaged: there is no such folder"):
        optim.load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(optim.CheckpointError, match="there is none in"):
        optim.Checkpoints(tmp_path).load()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["removed", "empty", "cut", "longer", "flipped"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, name: str, damage: str) -> None:
    checkpoints = optim.Checkpoints(tmp_path)
    checkpoints.save(1, make_state(1))
    latest = checkpoints.save(2, make_state(2))
    file = latest / name
    data = file.read_bytes()
    if damage == "removed":
        file.unlink()
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
        changed = {"empty": b"", "cut": data[:-1], "longer": data + b"}", "flipped": flipped}
        file.write_bytes(changed[damage])
    with pytest.raises(optim.CheckpointError, match="step-00000002"):
        optim.load_checkpoint(latest)
    with pytest.raises(optim.CheckpointError, match="step-00000002"):
        checkpoints.load(2)
    with pytest.warns(UserWarning, match="going back to .*step-00000001"):
        assert plain(checkpoints.load()) == plain(make_state(1))


def test_a_damaged_checkpoint_makes_way_for_a_new_one(tmp_path: Path) -> None:
    checkpoints = optim.Checkpoints(tmp_path)
    checkpoints.save(1, make_state(1))
    (checkpoints.save(2, make_state(2)) / "state.json").unlink()
    checkpoints.save(2, make_state(3))
    assert checkpoints.steps() == [1, 2]
    assert checkpoints.load()["epoch"] == 3


def forge(path: Path) -> None:
    """Make the manifest say what the files are now, as someone who means harm would."""
    manifest = json.loads((path / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (path / name).read_bytes()
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    (path / "manifest.json").write_text(json.dumps(manifest))


def model_and_optimizer() -> tuple[nn.Module, optim.Optimizer]:
    tt.manual_seed(0)
    model = nn.Linear(2, 3)
    return model, optim.Adam(model.parameters())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a trainer after one step."""
    folder = tmp_path_factory.mktemp("written")
    model, optimizer = model_and_optimizer()
    trainer = optim.Trainer(model, optimizer, nn.MSELoss(), checkpoints=folder)
    trainer.fit([(tt.ones(4, 2), tt.ones(4, 3))], epochs=1)
    return folder / "step-00000001"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_forged_checkpoint_is_refused_or_loaded_whole(written: Path, data: Any) -> None:
    name = data.draw(st.sampled_from(["state.json", "model.safetensors", "state.safetensors"]))
    original = (written / name).read_bytes()
    start = data.draw(st.integers(0, len(original)))
    length = data.draw(st.sampled_from([0, 1, 1, 2, 8, 1000]))
    inserted = data.draw(
        st.one_of(
            st.binary(max_size=3),
            st.sampled_from([b"null", b"-1", b"[]", b"{}", b'"x"', b"1e999", b"[" * 5000]),
        )
    )
    with tempfile.TemporaryDirectory() as root:
        copy = Path(root, "step-00000001")
        shutil.copytree(written, copy)
        (copy / name).write_bytes(original[:start] + inserted + original[start + length :])
        forge(copy)
        model, optimizer = model_and_optimizer()
        trainer = optim.Trainer(model, optimizer, nn.MSELoss(), checkpoints=root)
        before = plain(trainer.state_dict())
        try:
            trainer.resume([])
        except optim.CheckpointError:
            assert plain(trainer.state_dict()) == before


# Writing that fails


@pytest.fixture
def kept(tmp_path: Path) -> optim.Checkpoints:
    """A folder with one good checkpoint."""
    checkpoints = optim.Checkpoints(tmp_path / "run", keep=1)
    checkpoints.save(1, make_state(1))
    return checkpoints


def assert_refused(checkpoints: optim.Checkpoints, says: str) -> None:
    with pytest.raises(optim.CheckpointError, match=says) as caught:
        checkpoints.save(2, make_state(2))
    assert "the last one is" in str(caught.value)
    assert "step-00000001" in str(caught.value)


def assert_kept(checkpoints: optim.Checkpoints) -> None:
    assert os.listdir(checkpoints.folder) == ["step-00000001"]
    assert plain(checkpoints.load()) == plain(make_state(1))
    checkpoints.save(2, make_state(2))
    assert checkpoints.steps() == [2]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_is_full_or_fails(
    kept: optim.Checkpoints, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        assert_refused(kept, os.strerror(code))
    assert_kept(kept)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs limits on the size of files")
@pytest.mark.parametrize("limit", [0, 50, 200])
def test_a_file_that_cannot_be_written_to_its_end(kept: optim.Checkpoints, limit: int) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        assert_refused(kept, os.strerror(errno.EFBIG))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert_kept(kept)


@pytest.fixture
def read_only() -> Iterator[optim.Checkpoints]:
    """A folder with one good checkpoint, in which nothing may be written."""
    if not hasattr(os, "geteuid"):
        pytest.skip("needs permissions")
    with tempfile.TemporaryDirectory() as root:
        checkpoints = optim.Checkpoints(Path(root, "run"), keep=1)
        checkpoints.save(1, make_state(1))
        for path in [Path(root), *Path(root).rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # no permission holds root back
        try:
            yield checkpoints
        finally:
            os.seteuid(user)
            for path in [Path(root), *Path(root).rglob("*")]:
                path.chmod(0o755)


def test_a_folder_that_is_read_only(read_only: optim.Checkpoints) -> None:
    assert_refused(read_only, os.strerror(errno.EACCES))
    assert plain(read_only.load()) == plain(make_state(1))


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(optim.CheckpointError, match="could not be written"):
        optim.save_checkpoint(tmp_path / "file" / "one", make_state())


# Which are kept


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    checkpoints = optim.Checkpoints(tmp_path, keep=3)
    for step in (5, 10, 15, 20, 100_000_000):
        checkpoints.save(step, make_state(step))
    assert checkpoints.steps() == [15, 20, 100_000_000]
    assert checkpoints.load()["epoch"] == 100_000_000
    assert checkpoints.load(15)["epoch"] == 15


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".writing-abc").mkdir()
    (tmp_path / ".writing-abc" / "state.json").write_text("{")
    (tmp_path / "notes.txt").write_text("mine")
    checkpoints = optim.Checkpoints(tmp_path)
    assert checkpoints.steps() == []
    checkpoints.save(1, make_state(1))
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-00000001"]


def test_at_least_one_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep: expected at least 1, got 0"):
        optim.Checkpoints(tmp_path, keep=0)

import gzip
import hashlib
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import MNIST, DataError, DataLoader, DownloadError, FashionMNIST, data_home

pytestmark = pytest.mark.module_10

MakeIdx = Callable[..., bytes]
IMAGES = np.random.default_rng(2).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([1, 9, 0, 3, 3], np.uint8)
IMAGES_NAME, LABELS_NAME = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def write(folder: Path, images: bytes, labels: bytes, suffix: str = "") -> Path:
    (folder / "mnist").mkdir(exist_ok=True)
    (folder / "mnist" / (IMAGES_NAME + suffix)).write_bytes(images)
    (folder / "mnist" / (LABELS_NAME + suffix)).write_bytes(labels)
    return folder


def read(folder: Path) -> MNIST:
    return MNIST(train=False, data_dir=folder, download=False)


def test_both_parts_gzipped_or_not(mnist_dir: Path) -> None:
    train, test = MNIST(data_dir=mnist_dir), MNIST(train=False, data_dir=str(mnist_dir))
    assert (train.data.shape, test.data.shape) == ((20, 1, 28, 28), (7, 1, 28, 28))
    assert (train.data.dtype, train.targets.dtype) == (tt.uint8, tt.int64)
    assert test.targets.tolist() == [0, 1, 2, 3, 4, 5, 6]
    image, label = train[3]
    assert (image.shape, label.item()) == ((1, 28, 28), 3)
    images, labels = next(iter(DataLoader(train, 4)))
    assert (images.shape, labels.tolist()) == ((4, 1, 28, 28), [0, 1, 2, 3])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_what_is_written_is_read(tmp_path: Path, make_idx: MakeIdx, suffix: str) -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if suffix else bytes
    write(tmp_path, pack(make_idx(IMAGES)), pack(make_idx(LABELS)), suffix)
    test = read(tmp_path)
    np.testing.assert_array_equal(test.data.numpy()[:, 0], IMAGES)
    np.testing.assert_array_equal(test.targets.numpy(), LABELS)


def test_the_data_home(mnist_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TT_DATA_HOME", str(mnist_dir))
    assert data_home() == mnist_dir
    assert len(MNIST(download=False)) == 20
    monkeypatch.delenv("TT_DATA_HOME")
    assert data_home().name == "tt-data"


def images_with(count: int, height: int = 28) -> bytes:
    return struct.pack(">4I", 0x803, count, height, 28) + IMAGES.tobytes()


# Files of images or of labels, and what the error must say.
MALFORMED: dict[str, tuple[str, Callable[[MakeIdx], bytes], str]] = {
    "labels as images": (
        IMAGES_NAME,
        lambda idx: idx(np.zeros(40, np.uint8)),
        "expected the magic number 2051, got 2049",
    ),
    "images as labels": (
        LABELS_NAME,
        lambda idx: idx(IMAGES),
        "expected the magic number 2049, got 2051",
    ),
    "another magic number": (IMAGES_NAME, lambda idx: idx(IMAGES, 0), "got 0"),
    "integers of four bytes": (IMAGES_NAME, lambda idx: idx(IMAGES, 0xC03), "got 3075"),
    "empty": (IMAGES_NAME, lambda idx: b"", "it is cut short: 0 bytes where 16 must be"),
    "half a header": (LABELS_NAME, lambda idx: idx(LABELS)[:6], "cut short: 6 bytes where 8"),
    "a web page": (IMAGES_NAME, lambda idx: b"<!doctype html><html>", "magic number 2051, got"),
    "short": (IMAGES_NAME, lambda idx: idx(IMAGES)[:-1], "3919 bytes where 3920 must be"),
    "long": (IMAGES_NAME, lambda idx: idx(IMAGES) + b"x", "more in it than the 5 items"),
    "other images": (IMAGES_NAME, lambda idx: images_with(5, 14), r"items of shape \(28, 28\)"),
    "no images": (IMAGES_NAME, lambda idx: images_with(0), "1 to 100000 items, .* says 0"),
    "billions": (IMAGES_NAME, lambda idx: images_with(2**32 - 1), "header says 4294967295"),
    "100,000": (IMAGES_NAME, lambda idx: images_with(10**5), "3920 bytes where 78400000"),
    "too few labels": (LABELS_NAME, lambda idx: idx(LABELS[:4]), "4 labels, .* 5 images"),
    "a label too large": (
        LABELS_NAME,
        lambda idx: idx(np.array([0, 9, 10, 1, 11], np.uint8)),
        "labels from 0 to 9, got 10 for item 2",
    ),
    "gzip cut short": (
        IMAGES_NAME,
        lambda idx: gzip.compress(idx(IMAGES))[:-40],
        "gzip stream is cut short",
    ),
    "gzip without its checksum": (
        IMAGES_NAME,
        lambda idx: gzip.compress(idx(IMAGES))[:-8],
        "gzip stream is cut short",
    ),
    "gzip with a wrong checksum": (
        IMAGES_NAME,
        lambda idx: gzip.compress(idx(IMAGES))[:-8] + bytes(8),
        "gzip stream is damaged",
    ),
    "gzip of nonsense": (IMAGES_NAME, lambda idx: b"\x1f\x8b" + bytes(60), "is damaged"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_file_is_named_with_what_is_wrong(
    tmp_path: Path, make_idx: MakeIdx, name: str
) -> None:
    file, make, message = MALFORMED[name]
    write(tmp_path, make_idx(IMAGES), make_idx(LABELS))
    path = tmp_path / "mnist" / file
    path.write_bytes(make(make_idx))
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"{path} is malformed: ")
    assert "Put the official file in its place" in str(caught.value)


@pytest.mark.parametrize("claims", [5, 10**5])
def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, make_idx: MakeIdx, claims: int) -> None:
    zeros = gzip.compress(bytes(1 << 20))
    bomb = gzip.compress(images_with(claims)) + zeros * 100_000  # 100 GB
    write(tmp_path, bomb, make_idx(LABELS), ".gz")
    with pytest.raises(DataError, match=r"more in it than the (5|100000) items"):
        read(tmp_path)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path, make_idx: MakeIdx) -> None:
    write(tmp_path, make_idx(IMAGES), make_idx(LABELS))
    (tmp_path / "mnist" / LABELS_NAME).unlink()
    (tmp_path / "mnist" / LABELS_NAME).mkdir()
    with pytest.raises(DataError, match=f"{LABELS_NAME}.gz is not in {tmp_path}/mnist"):
        read(tmp_path)


def outcome(folder: Path) -> MNIST | str:
    try:
        return read(folder)
    except DataError as error:
        return str(error)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), zipped=st.booleans(), labels=st.booleans())
def test_mutated_files_are_read_or_refused_with_their_name(
    make_idx: MakeIdx, data: st.DataObject, zipped: bool, labels: bool
) -> None:
    contents = [make_idx(IMAGES), make_idx(LABELS)]
    if zipped:
        contents = [gzip.compress(content, mtime=0) for content in contents]
    original = contents[labels]
    changed = bytearray(original)
    end = min(len(changed), 40) if data.draw(st.booleans()) else len(changed)  # headers more often
    kind = data.draw(st.sampled_from(["set", "cut", "insert", "append", "drop"]))
    at = data.draw(st.integers(0, end - 1))
    if kind == "set":
        changed[at] = data.draw(st.integers(0, 255))
    elif kind == "cut":
        del changed[at:]
    elif kind == "append":
        changed += data.draw(st.binary(min_size=1, max_size=20))
    elif kind == "insert":
        changed[at:at] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        del changed[at]
    contents[labels] = bytes(changed)
    folder = Path(tempfile.mkdtemp())
    try:
        write(folder, contents[0], contents[1], ".gz" if zipped else "")
        test = outcome(folder)
        if isinstance(test, str):
            assert str(folder / "mnist") in test
        else:
            assert test.data.shape == (5, 1, 28, 28)
            assert int(test.targets.max()) <= 9
            # A change of length is never overlooked; a compressed file has bytes that say nothing.
            assert zipped or kind == "set"
            if zipped:
                np.testing.assert_array_equal(test.data.numpy()[:, 0], IMAGES)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_what_is_missing_is_downloaded(
    mirrors: Any,
    tmp_path: Path,
    make_idx: MakeIdx,
    kind: type[MNIST],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mirrors.content = gzip.compress(make_idx(LABELS))
    digest = hashlib.sha256(mirrors.content).hexdigest()
    labels = kind.resources[f"{LABELS_NAME}.gz"]._replace(sha256=digest, size=len(mirrors.content))
    monkeypatch.setattr(kind, "resources", {f"{LABELS_NAME}.gz": labels})
    monkeypatch.setattr(kind, "mirrors", (mirrors.folder("404"), mirrors.folder("whole")))
    folder = tmp_path / kind.folder
    folder.mkdir()
    (folder / IMAGES_NAME).write_bytes(make_idx(IMAGES))
    test = kind(train=False, data_dir=tmp_path)
    assert test.targets.tolist() == LABELS.tolist()
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    assert files == [IMAGES_NAME, f"{LABELS_NAME}.gz"]
    kind(train=False, data_dir=tmp_path)
    assert [way for way, _ in mirrors.requests] == ["404", "whole"]  # once each, and no more


def test_what_cannot_be_had_is_told_with_every_mirror(
    mirrors: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", (mirrors.folder("404"), mirrors.folder("503")))
    with pytest.raises(DownloadError) as caught:
        MNIST(data_dir=tmp_path)
    for part in (
        f"train-images-idx3-ubyte.gz could not be downloaded into {tmp_path}/mnist",
        f"{mirrors.folder('404')}train-images-idx3-ubyte.gz: HTTP 404",
        f"{mirrors.folder('503')}train-images-idx3-ubyte.gz: HTTP 503",
        f"put the file into {tmp_path}/mnist yourself",
    ):
        assert part in str(caught.value)
    with pytest.raises(DataError, match=f"is not in {tmp_path}/mnist"):
        MNIST(data_dir=tmp_path, download=False)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_the_official_files_are_known(kind: type[MNIST]) -> None:
    assert sorted(kind.resources) == sorted([*kind.needed(True), *kind.needed(False)])
    assert all(len(bytes.fromhex(r.sha256)) == 32 and r.size for r in kind.resources.values())
    assert len(kind.classes) == 10
    assert len(kind.mirrors) >= 2

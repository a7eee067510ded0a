import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import CIFAR10, DataError, DownloadError

pytestmark = pytest.mark.module_10

RECORD, RECORDS = 3073, 10_000
SIZE = RECORD * RECORDS
TRAIN = [f"data_batch_{k}.bin" for k in range(1, 6)]
ARCHIVE = "cifar-10-binary.tar.gz"
FOLDER = "cifar-10-batches-bin"


def sparse(path: Path, records: Mapping[int, bytes], size: int = SIZE) -> None:
    """Write a file of zeros that holds some records and takes no place on the disk."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        file.truncate(size)
        for number, record in records.items():
            file.seek(number * RECORD)
            file.write(record)


def record(label: int) -> bytes:
    """A record whose red, green and blue planes are their number, then the row's."""
    planes = [np.full((32, 32), 100 * c) + np.arange(32)[:, None] for c in range(3)]
    return bytes([label]) + np.stack(planes).astype(np.uint8).tobytes()


@pytest.fixture
def cifar_dir(tmp_path: Path) -> Path:
    for number, name in enumerate(TRAIN):
        sparse(tmp_path / FOLDER / name, {number: record(number + 1)})
    sparse(tmp_path / FOLDER / "test_batch.bin", {RECORDS - 1: record(9)})
    return tmp_path


def test_both_parts(cifar_dir: Path) -> None:
    train = CIFAR10(data_dir=cifar_dir)
    assert (train.data.shape, train.data.dtype) == ((50_000, 3, 32, 32), tt.uint8)
    assert (train.targets.shape, train.targets.dtype) == ((50_000,), tt.int64)
    for number in range(5):
        image, label = train[number * RECORDS + number]
        assert label.item() == number + 1
        assert image[:, 7, 3].tolist() == [7, 107, 207]
    test = CIFAR10(train=False, data_dir=cifar_dir)
    assert (test.data.shape, test.targets[-1].item()) == ((10_000, 3, 32, 32), 9)
    assert CIFAR10.classes[int(test.targets[-1])] == "truck"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(change=-1, label=0, at=0)
@example(change=RECORD, label=0, at=0)
@example(change=-RECORD, label=0, at=0)
@example(change=-SIZE, label=0, at=0)
@example(change=0, label=10, at=RECORDS - 1)
@given(
    change=st.sampled_from([0, 0, -1, 1, 3072]) | st.integers(-SIZE, 10_000),
    label=st.integers(0, 255),
    at=st.integers(0, RECORDS - 1),
)
def test_mutated_files_are_read_or_refused(
    tmp_path: Path, change: int, label: int, at: int
) -> None:
    path = tmp_path / FOLDER / "test_batch.bin"
    sparse(path, {at: bytes([label])})
    with open(path, "r+b") as file:
        file.truncate(SIZE + change)
    if change:
        message = f"expected 10000 records of 3073 bytes, 30730000 in all, got {SIZE + change}"
    elif label > 9:
        message = f"expected labels from 0 to 9, got {label} for item {at}"
    else:
        test = CIFAR10(train=False, data_dir=tmp_path, download=False)
        assert test.targets[at].item() == label
        return
    with pytest.raises(DataError, match=message) as caught:
        CIFAR10(train=False, data_dir=tmp_path, download=False)
    assert str(caught.value).startswith(f"{path} is malformed")


def test_a_missing_file_is_named(cifar_dir: Path) -> None:
    (cifar_dir / FOLDER / "data_batch_3.bin").unlink()
    assert CIFAR10.missing(cifar_dir) == ["data_batch_3.bin"]
    assert len(CIFAR10(train=False, data_dir=cifar_dir, download=False)) == RECORDS
    with pytest.raises(DataError, match=f"data_batch_3.bin is not in {cifar_dir}/{FOLDER}"):
        CIFAR10(data_dir=cifar_dir, download=False)


def tar(members: Iterable[tuple[str, int]], links: Iterable[tuple[str, str]] = ()) -> bytes:
    """Make an archive of files of zeros and of links, quickly."""
    zeros = gzip.compress(bytes(1 << 20), mtime=0)
    packed = b""
    for name, target in links:
        header = tarfile.TarInfo(name)
        header.type, header.linkname = tarfile.SYMTYPE, target
        packed += gzip.compress(header.tobuf(), mtime=0)
    for name, size in members:
        header = tarfile.TarInfo(name)
        header.size = size
        padded = -(-size // 512) * 512
        packed += gzip.compress(header.tobuf(), mtime=0) + zeros * (padded >> 20)
        packed += gzip.compress(bytes(padded & ((1 << 20) - 1)), mtime=0)
    return packed + gzip.compress(bytes(1024), mtime=0)


OFFICIAL = [(f"{FOLDER}/{name}", SIZE) for name in [*TRAIN, "test_batch.bin"]]
OTHERS = [(f"{FOLDER}/batches.meta.txt", 61), (f"{FOLDER}/readme.html", 88)]


def files_below(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if not path.is_dir() and path.name[0] != ".")
    return sorted(str(path.relative_to(folder)) for path in files)


def test_the_archive_beside_the_folder_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(tar([*OTHERS, *OFFICIAL]))
    assert len(CIFAR10(data_dir=tmp_path)) == 50_000
    expected = [ARCHIVE, *(name for name, _ in OFFICIAL)]
    assert files_below(tmp_path) == sorted(expected)  # what is not wanted stays packed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nonsense", "it is no tar archive"),
        (tar(OFFICIAL[:1])[:-60], "gzip stream is cut short|it is no tar archive"),
        (tar(OFFICIAL[-1:]), "it has no data_batch_1.bin, .*data_batch_5.bin of 30730000 bytes"),
        (tar([(f"{FOLDER}/test_batch.bin", SIZE - 1)]), "it has no .*, test_batch.bin of"),
        (tar([], [(f"{FOLDER}/test_batch.bin", "/etc/passwd")]), "it has no .*, test_batch.bin of"),
        (tar([("bomb", 300 << 20)]), "it unpacks to more than 268435456 bytes"),
    ],
)
def test_a_bad_archive_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / ARCHIVE).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        CIFAR10(data_dir=tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / ARCHIVE} is malformed")


def test_an_extended_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    zeros = gzip.compress(bytes(1 << 20), mtime=0)
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(header.tobuf()) + zeros * 4096)
    with pytest.raises(DataError, match="it unpacks to more than 268435456 bytes"):
        CIFAR10(data_dir=tmp_path)


def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    hostile = [("../../data_batch_1.bin", SIZE), ("/data_batch_2.bin", SIZE), *OFFICIAL[2:]]
    links = [(FOLDER, "../.."), (f"{FOLDER}/data_batch_3.bin", "../../victim")]
    (inner / ARCHIVE).write_bytes(tar(hostile, links))
    assert len(CIFAR10(data_dir=inner)) == 50_000
    expected = [f"a/b/{name}" for name in (ARCHIVE, *(name for name, _ in OFFICIAL))]
    assert files_below(tmp_path) == sorted(expected)
    assert not (inner / FOLDER).is_symlink()
    assert not any(path.is_symlink() for path in (inner / FOLDER).iterdir())


@pytest.fixture
def served(mirrors: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The mirrors, with a small archive in the place of the official one."""
    mirrors.content = tar([*OTHERS, *OFFICIAL])
    digest = hashlib.sha256(mirrors.content).hexdigest()
    resource = CIFAR10.resources[ARCHIVE]._replace(sha256=digest, size=len(mirrors.content))
    monkeypatch.setattr(CIFAR10, "resources", {ARCHIVE: resource})
    monkeypatch.setattr(CIFAR10, "mirrors", (mirrors.folder("404"), mirrors.folder("cut")))
    return mirrors


def test_the_archive_is_downloaded_once_unpacked_and_removed(served: Any, tmp_path: Path) -> None:
    threads = [threading.Thread(target=CIFAR10.fetch, args=(tmp_path,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files_below(tmp_path) == sorted(name for name, _ in OFFICIAL)
    assert [way for way, _ in served.requests].count("404") == 1
    asked = len(served.requests)
    assert CIFAR10.fetch(tmp_path) == tmp_path / FOLDER
    assert len(CIFAR10(data_dir=tmp_path)) == 50_000
    assert len(served.requests) == asked


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(tar(OFFICIAL[:1]))
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / ".unpacking.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"CIFAR-10 cannot be unpacked .*No space left"):
        CIFAR10(data_dir=tmp_path)
    assert files_below(tmp_path) == [ARCHIVE]


def test_an_archive_that_cannot_be_had(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "mirrors", (served.folder("404"), served.folder("wrong")))
    with pytest.raises(DownloadError, match=f"put the file into {tmp_path} yourself"):
        CIFAR10(data_dir=tmp_path)
    assert files_below(tmp_path) == []


def test_the_official_archive_is_known() -> None:
    resource = CIFAR10.resources[ARCHIVE]
    assert (len(bytes.fromhex(resource.sha256)), resource.size) == (32, 170_052_171)
    assert len(CIFAR10.mirrors) >= 2


def test_made_archives_are_archives() -> None:
    with tarfile.open(fileobj=io.BytesIO(tar([("a/b", 5)], [("c", "d")]))) as archive:
        assert archive.getnames() == ["c", "a/b"]

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import (
    ByteBPETokenizer,
    CharTokenizer,
    ConcatDataset,
    DataError,
    DataLoader,
    RandomSampler,
    Subset,
    TextDataset,
    TinyShakespeare,
    TokenBlocks,
    Tokenizer,
    WordTokenizer,
    write_tokens,
)

pytestmark = pytest.mark.module_11

same_folder = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
counts = st.integers(1, 40)


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.npy"


@pytest.fixture
def blocks(path: Path) -> TokenBlocks:
    """Blocks of 4 of the tokens from 0 to 99."""
    write_tokens(path, [range(100)], 100)
    return TokenBlocks(path, 4, vocab_size=100)


SOURCES: dict[str, Callable[[list[int], Path], Any]] = {
    "a list": lambda ids, path: ids,
    "an array": lambda ids, path: np.array(ids, np.int32),
    "a tensor": lambda ids, path: tt.tensor(ids),
    "a file": lambda ids, path: path,
    "a file's name": lambda ids, path: str(path),
}


@pytest.mark.parametrize("source", SOURCES)
@same_folder
@given(data=st.data(), size=counts, stride=counts)
def test_blocks_are_the_tokens_and_the_tokens_one_further(
    source: str, data: st.DataObject, size: int, stride: int, path: Path
) -> None:
    ids = data.draw(st.lists(st.integers(0, 299), min_size=size + 1, max_size=120))
    write_tokens(path, [ids], 300)
    blocks = TokenBlocks(SOURCES[source](ids, path), size, stride=stride)
    starts = range(0, len(ids) - size, stride)
    assert len(blocks) == len(starts)
    for start, (inputs, targets) in zip(starts, blocks, strict=True):
        assert inputs.dtype == targets.dtype == tt.int64
        assert inputs.tolist() == ids[start : start + size]
        assert targets.tolist() == ids[start + 1 : start + size + 1]
    numbers = data.draw(st.lists(st.integers(0, len(blocks) - 1), min_size=1, max_size=9))
    inputs, targets = blocks.gather(np.array(numbers))
    assert inputs.shape == targets.shape == (len(numbers), size)
    assert inputs.tolist() == [blocks[i][0].tolist() for i in numbers]
    assert targets.tolist() == [blocks[i][1].tolist() for i in numbers]
    with pytest.raises(IndexError):
        blocks[len(blocks)]


@pytest.mark.parametrize(
    "index",
    [slice(0, 3), [0, 1], np.array([0, 1]), tt.tensor([0, 1]), (0, 0), True, None],
    ids=repr,
)
def test_an_item_is_one_block(blocks: TokenBlocks, index: Any) -> None:
    message = f"expected the number of one item, got {type(index).__name__}; gather takes"
    with pytest.raises(TypeError, match=message):
        blocks[index]
    for number in (7, np.int8(7), np.array(7), tt.tensor(7), -89):
        assert blocks[anything(number)][0].tolist() == [7, 8, 9, 10]


def test_blocks_that_do_not_overlap_predict_each_token_once(blocks: TokenBlocks) -> None:
    apart = TokenBlocks(blocks.tokens, 3, stride=3)
    assert [i for _, targets in apart for i in targets.tolist()] == list(range(1, 100))


@pytest.mark.parametrize("workers", [0, 2])
def test_random_windows_follow_from_the_loaders_generator(
    blocks: TokenBlocks, workers: int
) -> None:
    def epochs(seed: int, workers: int) -> list[Any]:
        sampler = RandomSampler(blocks, replacement=True, num_samples=50)
        generator = tt.Generator(seed)
        loader = DataLoader(blocks, 8, sampler=sampler, generator=generator, num_workers=workers)
        return [[part.tolist() for part in batch] for _ in range(2) for batch in loader]

    assert epochs(1, workers) == epochs(1, 0)
    assert epochs(1, workers) != epochs(2, 0)
    assert len(epochs(1, workers)) == 2 * 7


def test_parts_of_blocks(blocks: TokenBlocks) -> None:
    both = ConcatDataset([Subset(blocks, [5, 1]), TokenBlocks(range(200, 210), 4)])
    inputs, targets = next(iter(DataLoader(both, 3)))
    assert inputs[:, 0].tolist() == [5, 1, 200]
    assert targets[:, 3].tolist() == [9, 5, 204]


TRAIN: dict[str, Callable[[str], Tokenizer]] = {
    "characters": CharTokenizer.train,
    "words": WordTokenizer.train,
    "BPE": lambda text: ByteBPETokenizer.train(text, 300),
}


@pytest.mark.parametrize("name", TRAIN)
def test_a_text_as_blocks(name: str) -> None:
    text = TinyShakespeare(False, block_size=8).text[:3000]
    tokenizer = TRAIN[name](text)
    data = TextDataset(text, tokenizer, 16, stride=16)
    ids = tokenizer.encode(text)
    assert data.tokenizer is tokenizer
    assert [i for inputs, _ in data for i in inputs.tolist()] == ids[: 16 * len(data)]
    assert len(ids) - 16 * len(data) <= 16


SIZES = [(1, "|u1"), (256, "|u1"), (257, "<u2"), (1 << 16, "<u2"), ((1 << 16) + 1, "<u4")]


@pytest.mark.parametrize(("vocab_size", "dtype"), [*SIZES, (1 << 32, "<u4")])
def test_files_have_the_smallest_type_and_are_numpys(
    vocab_size: int, dtype: str, path: Path
) -> None:
    ids = [0, vocab_size - 1, vocab_size // 2]
    assert write_tokens(path, [ids], vocab_size) == 3
    array = np.load(path, allow_pickle=False)
    assert (array.dtype.str, array.tolist()) == (dtype, ids)
    assert TokenBlocks(path, 2)[0][1].tolist() == ids[1:]


@same_folder
@given(sequences=st.lists(st.lists(st.integers(0, 999), max_size=5), max_size=6))
def test_sequences_are_written_one_after_the_other(sequences: list[list[int]], path: Path) -> None:
    flat = [i for ids in sequences for i in ids]
    makers: list[Callable[[list[int]], Any]] = [
        lambda ids: ids,
        lambda ids: np.array(ids, np.int16),
        lambda ids: tt.tensor(np.array(ids, np.int64)),
        iter,
    ]
    for make in makers:
        assert write_tokens(path, map(make, sequences), 1000) == len(flat)
        assert np.load(path).tolist() == flat


def documents() -> Iterator[list[int]]:
    yield [1, 2, 3]
    raise RuntimeError("the source is gone")


@pytest.mark.parametrize(
    ("sequences", "kind", "message"),
    [
        ([[1, 2], [3, -1]], ValueError, "ids from 0 to 9, got -1 in sequence 1"),
        ([[1, 10]], ValueError, "ids from 0 to 9, got 10 in sequence 0"),
        ([[1 << 70]], TypeError, "ids as whole numbers"),
        ([1, 2], TypeError, "got a int; one sequence alone is written as"),
        ([[0.5]], TypeError, "ids as whole numbers in one dimension, got float64"),
        (["ab"], TypeError, "ids as whole numbers"),
        ([np.zeros((2, 2), int)], TypeError, r"got int64 of shape \(2, 2\)"),
        (documents(), RuntimeError, "the source is gone"),
    ],
)
def test_a_failure_leaves_the_old_file(
    sequences: Any, kind: type[Exception], message: str, path: Path
) -> None:
    write_tokens(path, [[7, 8, 9]], 10)
    before = path.read_bytes()
    with pytest.raises(kind, match=message):
        write_tokens(path, sequences, 10)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("vocab_size", [0, -1, (1 << 32) + 1])
def test_vocabularies_that_cannot_be_written(vocab_size: int, path: Path) -> None:
    with pytest.raises(ValueError, match=r"vocab_size from 1 to 2\*\*32"):
        write_tokens(path, [], vocab_size)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 0}, "block_size from 1 to 99, got 0 for 100 tokens"),
        ({"block_size": 100}, "block_size from 1 to 99, got 100 for 100 tokens"),
        ({"block_size": 4, "stride": 0}, "stride and a vocab_size of at least 1, got 0 and None"),
        ({"block_size": 4, "vocab_size": 0}, "at least 1, got 1 and 0"),
    ],
)
def test_numbers_that_are_refused(
    options: dict[str, int], message: str, blocks: TokenBlocks, path: Path
) -> None:
    for tokens in (path, blocks.tokens):
        with pytest.raises(ValueError, match=message):
            TokenBlocks(tokens, **options)


@pytest.mark.parametrize("tokens", [[[1, 2], [3, 4]], [0.5, 1.5], ["a", "b"], [True, False]])
def test_what_are_no_ids(tokens: object) -> None:
    with pytest.raises(TypeError, match="ids as whole numbers in one dimension"):
        TokenBlocks(anything(tokens), 1)


def test_an_empty_file_has_no_block(path: Path) -> None:
    write_tokens(path, [], 10)
    with pytest.raises(ValueError, match=r"expected at least 2 tokens, .*, got 0"):
        TokenBlocks(path, 1)


@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_that_is_too_short(text: str) -> None:
    with pytest.raises(ValueError, match=f"TextDataset: expected at least 2 .*, got {len(text)}"):
        TextDataset(text, CharTokenizer("ab"), 1)


def test_a_file_larger_than_memory(path: Path) -> None:
    total = 1 << 36  # 128 GiB of which almost nothing is on the disk
    with open(path, "wb") as file:
        header = {"descr": "<u2", "fortran_order": False, "shape": (total,)}
        np.lib.format.write_array_header_1_0(file, header)
        end = file.tell() + 2 * total
        try:
            file.truncate(end)
        except OSError:
            pytest.skip("the file system has no room for such a file, even if it is empty")
        file.seek(end - 8)
        file.write(np.arange(1, 5, dtype="<u2").tobytes())
    blocks = TokenBlocks(path, 4, vocab_size=10)
    sampler = RandomSampler(blocks, replacement=True, num_samples=64)
    for inputs, _ in DataLoader(blocks, 32, sampler=sampler, generator=tt.Generator(0)):
        assert inputs.shape == (32, 4)
    inputs, targets = blocks[-1]
    assert len(blocks) == total - 4
    assert (inputs.tolist(), targets.tolist()) == ([0, 1, 2, 3], [1, 2, 3, 4])


# Files that are not what they should be


def npy(descr: str = "'<u2'", order: str = "False", shape: str = "(3,)", version: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    magic = b"\x93NUMPY" + bytes([version, 0])
    return magic + len(header).to_bytes(2, "little") + header + bytes(6)


REFUSED = {
    "nothing": (b"", r"it is no \.npy file of version 1\.0"),
    "a pickle": (b"\x80\x04}q\x00.", r"it is no \.npy file"),
    "an archive": (b"PK\x03\x04" + bytes(60), r"it is no \.npy file"),
    "raw numbers": (bytes(range(64)), r"it is no \.npy file"),
    "another version": (npy(version=3), r"it is no \.npy file of version 1\.0"),
    "objects": (npy("'|O'"), "its header is not of unsigned integers in one dimension"),
    "signed numbers": (npy("'<i2'"), "its header is not"),
    "big-endian numbers": (npy("'>u2'"), "its header is not"),
    "fields": (npy("[('a', '<u2')]"), "its header is not"),
    "two dimensions": (npy(shape="(3, 1)"), "its header is not"),
    "a negative count": (npy(shape="(-3,)"), "its header is not"),
    "a count beyond all bounds": (npy(shape=f"({'9' * 30},)"), "its header is not"),
    "an expression": (npy(shape="(__import__('os').getpid(),)"), "its header is not"),
    "brackets": (npy(shape="(" * 5000), "its header is not"),
    "half a header": (npy()[:40], "its header is not"),
    "half a number": (npy()[:-1], "it has 73 bytes, its header says 74"),
    "too many numbers": (npy() + b"\0", "it has 75 bytes, its header says 74"),
    "a larger count": (npy(shape="(9,)"), "it has 74 bytes, its header says 86"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_files_that_are_refused(data: bytes, reason: str, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"tokens\.npy is no token file: {reason}"):
        TokenBlocks(path, 2)


@same_folder
@given(start=st.integers(0, 140), removed=st.integers(0, 20), put=st.binary(max_size=8))
def test_mutated_files(start: int, removed: int, put: bytes, path: Path) -> None:
    write_tokens(path, [range(9)], 300)
    data = path.read_bytes()
    path.write_bytes(data[:start] + put + data[start + removed :])
    try:
        blocks = TokenBlocks(path, 2)
    except DataError:
        return
    assert blocks.gather(np.arange(len(blocks)))[0].shape == (len(blocks), 2)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.npy", tmp_path):
        with pytest.raises(DataError, match="cannot be read: "):
            TokenBlocks(path, 2)


def test_an_id_out_of_range(blocks: TokenBlocks, path: Path) -> None:
    smaller = TokenBlocks(path, 4, vocab_size=50)
    assert smaller[45][1].tolist() == [46, 47, 48, 49]
    works: list[Callable[[], object]] = [
        lambda: smaller[46],
        lambda: smaller.gather(np.array([0, 46])),
    ]
    for work in works:
        with pytest.raises(DataError, match=r"tokens\.npy .* expected ids below 50, it has 50"):
            work()


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, 200),
    "longer": lambda path: os.truncate(path, 1 << 20),
    "written anew": lambda path: write_tokens(path, [range(100)] * 1000, 100),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_under_the_blocks(change: str, path: Path) -> None:
    write_tokens(path, [range(100)] * 1000, 100)
    blocks = TokenBlocks(path, 4)
    assert blocks[-1][0].tolist() == [95, 96, 97, 98]
    CHANGES[change](path)
    works: list[Callable[[], object]] = [
        lambda: blocks[-1],
        lambda: blocks.gather(np.array([0, 99_900])),
    ]
    for work in works:
        with pytest.raises(DataError, match=r"tokens\.npy has changed since it was opened"):
            work()

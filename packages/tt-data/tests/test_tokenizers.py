import copy
import pickle
from array import array
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tt_tensor as tt
from tt_data import ByteBPETokenizer, CharTokenizer, TinyShakespeare, Tokenizer, WordTokenizer

pytestmark = pytest.mark.module_11

PLAY = TinyShakespeare(block_size=8).text[:20_000]
END, PAD = "<|endoftext|>", "<|pad|>"

TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "characters": lambda: CharTokenizer.train(PLAY),
    "characters and one for others": lambda: CharTokenizer.train([PLAY, "äß😀"], unk="\ufffd"),
    "words": lambda: WordTokenizer.train(PLAY),
    "100 words": lambda: WordTokenizer.train(PLAY, 100),
    "no words": lambda: WordTokenizer([]),
    "bytes": ByteBPETokenizer,
    "BPE": lambda: ByteBPETokenizer.train(PLAY, 500),
    "BPE of another language": lambda: ByteBPETokenizer.train("日本語の文字は日本語", 270),
    "BPE with special tokens": lambda: ByteBPETokenizer.train(
        PLAY, 400, special_tokens=[END, PAD, "<|", "ß"]
    ),
}
LOSSLESS = [name for name in TOKENIZERS if "BPE" in name or name == "bytes"]


@cache
def made(name: str) -> Tokenizer:
    """Return a tokenizer of the table, made once."""
    return TOKENIZERS[name]()


every = pytest.mark.parametrize("name", TOKENIZERS)
every_lossless = pytest.mark.parametrize("name", LOSSLESS)

# What any of the tokenizers above takes; the texts of special tokens and white space often.
known_texts = st.text(alphabet=sorted(set(PLAY)), max_size=40)
texts = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from([END, PAD, "<|", "|>", "  ", "\n\n", "don't", "ß", "e\u0301", "\x1c", "²"]),
        st.integers(0, len(PLAY) - 30).map(lambda i: PLAY[i : i + 30]),
    ),
    max_size=6,
).map("".join)


def anything(value: object) -> Any:
    """A value of a type that is not to be checked."""
    return value


@every
def test_training_is_deterministic(name: str) -> None:
    again = TOKENIZERS[name]()
    assert again == made(name)
    assert [other for other in TOKENIZERS if made(other) == again] == [name]


@every
@given(batch=st.lists(known_texts, max_size=4))
def test_a_batch_is_its_texts_one_by_one(name: str, batch: list[str]) -> None:
    tokenizer = made(name)
    encoded = tokenizer.encode_batch(batch)
    assert encoded == [tokenizer.encode(text) for text in batch]
    assert all(0 <= i < tokenizer.vocab_size and type(i) is int for ids in encoded for i in ids)
    assert tokenizer.decode_batch(encoded) == [tokenizer.decode(ids) for ids in encoded]


@every
@given(data=st.data())
def test_ids_of_all_kinds_are_decoded(name: str, data: st.DataObject) -> None:
    tokenizer = made(name)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size - 1), max_size=20))
    text = tokenizer.decode(ids)
    assert isinstance(text, str)
    array = np.array(ids, np.int64)
    assert all(tokenizer.decode(same) == text for same in (iter(ids), array, tt.tensor(array)))


@every
@pytest.mark.parametrize("wrong", [-1, "vocab_size", 10**30])
def test_ids_that_are_not_in_the_vocabulary(name: str, wrong: int | str) -> None:
    tokenizer = made(name)
    wrong = tokenizer.vocab_size if isinstance(wrong, str) else wrong
    expected = f"from 0 to {tokenizer.vocab_size - 1}, got {wrong} at position 1"
    with pytest.raises(ValueError, match=expected):
        tokenizer.decode([0, wrong])


@every
@pytest.mark.parametrize("wrong", [[0.0], ["0"], 5, [[0]], tt.tensor([0.5]), np.zeros((1, 1), int)])
def test_what_is_no_sequence_of_ids(name: str, wrong: object) -> None:
    with pytest.raises(TypeError, match="expected a sequence of ids"):
        made(name).decode(anything(wrong))


@every
def test_saving_and_loading(name: str, tmp_path: Path) -> None:
    tokenizer = made(name)
    path = tmp_path / "tokenizer.json"
    path.write_text("what was there before")
    tokenizer.save(path)
    loaded = type(tokenizer).load(path)
    assert loaded == tokenizer
    assert loaded.encode(PLAY) == tokenizer.encode(PLAY)
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]


@every
def test_copies(name: str) -> None:
    tokenizer = made(name)
    for same in (copy.copy(tokenizer), copy.deepcopy(tokenizer)):
        assert same == tokenizer
        assert same.encode(PLAY) == tokenizer.encode(PLAY)
    assert pickle.loads(pickle.dumps(tokenizer)).encode(PLAY) == tokenizer.encode(PLAY)


@every
def test_representation(name: str) -> None:
    tokenizer = made(name)
    expected = f"{type(tokenizer).__name__}(vocab_size={tokenizer.vocab_size})"
    assert repr(tokenizer) == expected


@every
@pytest.mark.parametrize("text", [b"bytes", None, 5])
def test_what_is_no_text(name: str, text: object) -> None:
    with pytest.raises(TypeError, match="expected text, got"):
        made(name).encode(anything(text))


@every
def test_a_text_is_no_batch(name: str) -> None:
    with pytest.raises(TypeError, match="expected several texts, got a str; encode takes one text"):
        made(name).encode_batch("be")


# Characters


@given(text=known_texts)
def test_characters_of_the_alphabet_come_back(text: str) -> None:
    for name in ("characters", "characters and one for others"):
        assert len(made(name).encode(text)) == len(text)
        assert made(name).decode(made(name).encode(text)) == text


@given(before=known_texts, after=known_texts)
def test_a_character_that_is_not_in_the_alphabet(before: str, after: str) -> None:
    with pytest.raises(ValueError, match=f"'日' at position {len(before)} is not in the alphabet"):
        made("characters").encode(f"{before}日{after}")
    tokenizer = made("characters and one for others")
    assert tokenizer.decode(tokenizer.encode(f"{before}日{after}")) == f"{before}\ufffd{after}"


def test_characters_are_numbered_as_those_of_the_plays_are() -> None:
    plays = TinyShakespeare(block_size=8)
    tokenizer = CharTokenizer.train(plays.text)
    assert tokenizer.characters == plays.characters
    assert tokenizer.encode(plays.text[:99]) == plays.encode(plays.text[:99]).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("",), "the alphabet has none"),
        (("abca",), "the alphabet has 'a' twice"),
        (("abc", "d"), "unk to be in the alphabet, got 'd'"),
        (("abc", ""), "unk to be in the alphabet, got ''"),
        (("abc\ud800",), r"'\\ud800' at position 3 is half of a character"),
    ],
)
def test_alphabets_that_are_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CharTokenizer(*arguments)


# Words


WORDS = [
    ("It's late -- isn't it?", ["It's", "late", "-", "-", "isn't", "it", "?"]),
    ("rock'n'roll, 'tis", ["rock'n'roll", ",", "'", "tis"]),
    ("l\u2019été à 20:30", ["l\u2019été", "à", "20", ":", "30"]),
    (" \n\t ", []),
    ("日本語、文字", ["日本語", "、", "文字"]),
    ("snake_case 3.14", ["snake_case", "3", ".", "14"]),
]


@pytest.mark.parametrize(("text", "tokens"), WORDS)
def test_words_and_marks(text: str, tokens: list[str]) -> None:
    tokenizer = WordTokenizer.train(text)
    assert [tokenizer.decode([i]) for i in tokenizer.encode(text)] == tokens
    assert sorted(tokenizer.words) == sorted(set(tokens))


def test_the_most_frequent_words_are_known() -> None:
    tokenizer = WordTokenizer.train(["b a c", "c d c b."], 4)
    assert (tokenizer.words, tokenizer.vocab_size) == (("c", "b", "."), 4)
    assert tokenizer.encode("a b c d .") == [0, 2, 1, 0, 3]
    assert tokenizer.decode([0, 2, 1, 0, 3]) == "<unk> b c <unk>."
    assert WordTokenizer.train("a b", 1) == WordTokenizer([])


@given(data=st.data())
def test_decoded_words_are_encoded_alike(data: st.DataObject) -> None:
    tokenizer = made("words")
    ids = data.draw(st.lists(st.integers(1, tokenizer.vocab_size - 1), max_size=20))
    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "a"], "'a' stands twice"),
        (["a", "b c"], "'b c' is neither a word nor a mark"),
        ([""], "'' is neither"),
        (["<unk>"], "'<unk>' is neither"),
        (["\udfff"], "half of a character"),
    ],
)
def test_words_that_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WordTokenizer(words)


@pytest.mark.parametrize("size", [0, -3])
def test_a_vocabulary_without_room_for_the_unknown(size: int) -> None:
    with pytest.raises(ValueError, match=f"vocab_size of at least 1, got {size}"):
        WordTokenizer.train("a", size)


# Byte-level BPE


def bpe(name: str) -> ByteBPETokenizer:
    tokenizer = made(name)
    assert isinstance(tokenizer, ByteBPETokenizer)
    return tokenizer


@every_lossless
@given(text=texts)
def test_any_text_comes_back(name: str, text: str) -> None:
    tokenizer = bpe(name)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, errors="strict") == text
    assert tokenizer.encode_bytes(text.encode()) == ids
    assert not set(ids) & set(tokenizer.special_tokens.values())
    allowed = tokenizer.encode(text, allowed_special="all")
    assert tokenizer.decode(allowed) == text
    assert tokenizer.encode_batch([text], allowed_special="all") == [allowed]


@every_lossless
@given(data=st.one_of(st.binary(max_size=60), texts.map(lambda text: text.encode("utf-16"))))
def test_any_bytes_come_back(name: str, data: bytes) -> None:
    tokenizer = bpe(name)
    ids = tokenizer.encode_bytes(data)
    assert tokenizer.decode_bytes(ids) == data
    assert tokenizer.decode(ids) == data.decode(errors="replace")
    views = (bytearray(data), memoryview(data), memoryview(data[::-1])[::-1])
    for same in (*views, array("B", data), np.frombuffer(data, np.uint8)):
        assert tokenizer.encode_bytes(anything(same)) == ids


@pytest.mark.parametrize("wrong", ["text", 5, [97, 98], None])
def test_what_are_no_bytes(wrong: object) -> None:
    message = f"expected bytes, got {type(wrong).__name__}; encode takes text"
    with pytest.raises(TypeError, match=message):
        bpe("BPE").encode_bytes(anything(wrong))


@every_lossless
def test_every_byte_is_a_token(name: str) -> None:
    tokens = [bpe(name).decode_bytes([i]) for i in range(256)]
    assert sorted(tokens) == [bytes([byte]) for byte in range(256)]
    # The order of GPT-2's vocabulary.
    assert tokens[:3] == [b"!", b'"', b"#"]
    assert tokens[94:96] == [b"\xa1", b"\xa2"]
    assert tokens[187:190] == [b"\xff", b"\x00", b"\x01"]
    assert (tokens[198], tokens[220]) == (b"\n", b" ")


def learned(corpus: list[str], most: int, min_frequency: int) -> list[tuple[int, int]]:
    """Learn merges as the definition says, counting all anew each time."""
    untrained = ByteBPETokenizer()
    words = [(untrained.encode(word), count) for word, count in Counter(corpus).items()]
    merges: list[tuple[int, int]] = []
    while len(merges) < most:
        counts = Counter[tuple[int, int]]()
        for ids, count in words:
            for pair in pairwise(ids):
                counts[pair] += count
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        if counts[pair] < min_frequency:
            break
        words = [(applied(ids, pair, 256 + len(merges)), count) for ids, count in words]
        merges.append(pair)
    return merges


def applied(ids: list[int], pair: tuple[int, int], token: int) -> list[int]:
    """Replace a pair wherever it is, from the left."""
    result: list[int] = []
    for i in ids:
        result.append(i)
        if tuple(result[-2:]) == pair:
            result[-2:] = [token]
    return result


# Words of letters are one piece each, with the space before them.
corpora = st.lists(
    st.text(alphabet="abcä", min_size=1, max_size=12).map(lambda word: f" {word}"),
    min_size=1,
    max_size=12,
)


@given(corpus=corpora, most=st.integers(0, 60), least=st.integers(1, 3))
def test_merges_are_those_of_the_definition(corpus: list[str], most: int, least: int) -> None:
    tokenizer = ByteBPETokenizer.train("".join(corpus), 256 + most, min_frequency=least)
    assert tokenizer.merges == learned(corpus, most, least)
    assert ByteBPETokenizer.train(iter(corpus), 256 + most, min_frequency=least) == tokenizer


@given(corpus=corpora, word=st.text(alphabet="abcä", max_size=60))
def test_encoding_is_merging_in_the_order_of_the_merges(corpus: list[str], word: str) -> None:
    tokenizer = ByteBPETokenizer.train(corpus, 300, min_frequency=1)
    ids = ByteBPETokenizer().encode(word)
    for rank, pair in enumerate(tokenizer.merges):
        ids = applied(ids, pair, 256 + rank)
    assert tokenizer.encode(word) == ids


PIECES = [
    "Hello| world|'s| 123|abc",
    "we|'re| I|'ll| they|'ve| don|'t| he|'d| I|'m| y|'|all",
    "two|  | spaces| and|\n|lines|\n|\n|end| \n",
    "x|_|y| =| [|3|.|14|];|\t| //| naïve| Ünïcödé| 日本語|。",
    "A²| Ⅷ|٣",
]


@pytest.mark.parametrize("cut", PIECES)
def test_no_token_goes_beyond_a_piece(cut: str) -> None:
    pieces = cut.split("|")
    text = "".join(pieces)
    tokenizer = ByteBPETokenizer.train(text, 600, min_frequency=1)
    assert [tokenizer.decode([i]) for i in tokenizer.encode(text)] == pieces


@pytest.mark.parametrize(
    ("allowed", "tokens"),
    [
        ((), ["a", "<", "|", "x", "|", ">", "|", "y"]),
        ("all", ["a", "<|x|>|", "y"]),
        (["<|x|>"], ["a", "<|x|>", "|", "y"]),
        ({"<|x|>|", "<|x|>"}, ["a", "<|x|>|", "y"]),
    ],
)
def test_special_tokens_stand_only_where_they_are_allowed(allowed: Any, tokens: list[str]) -> None:
    tokenizer = ByteBPETokenizer(special_tokens=["<|x|>", "<|x|>|"])
    ids = tokenizer.encode("a<|x|>|y", allowed_special=allowed)
    assert [tokenizer.decode([i]) for i in ids] == tokens
    assert tokenizer.decode(ids) == "a<|x|>|y"
    ordinary = [token for token in tokens if token not in tokenizer.special_tokens]
    assert tokenizer.decode_batch([ids], skip_special_tokens=True) == ["".join(ordinary)]


def test_special_tokens_come_last_and_their_text_is_not_learned() -> None:
    tokenizer = ByteBPETokenizer.train(f"low{END}" * 20, 500, special_tokens=[END, PAD])
    assert len(tokenizer.merges) == 2  # of "low"
    assert tokenizer.special_tokens == {END: 258, PAD: 259}
    assert tokenizer.vocab_size == 260


@pytest.mark.parametrize("allowed", ["every", "a", [PAD, "<|other|>"], PAD])
def test_what_is_no_special_token_cannot_be_allowed(allowed: Any) -> None:
    tokenizer = ByteBPETokenizer(special_tokens=[END, PAD])
    with pytest.raises(ValueError, match="expected allowed_special to be 'all' or some of"):
        tokenizer.encode("text", allowed_special=allowed)


@pytest.mark.parametrize("code", [0xD800, 0xDC80, 0xDFFF])
def test_half_a_character_is_named(code: int) -> None:
    for work in (ByteBPETokenizer().encode, lambda text: ByteBPETokenizer.train(text, 300)):
        with pytest.raises(ValueError, match=r"'\\ud.*' at position 2 is half of a character"):
            work(f"ab{chr(code)}")


def test_half_a_character_of_bytes_is_replaced() -> None:
    tokenizer = ByteBPETokenizer()
    ids = tokenizer.encode("né")
    assert tokenizer.decode(ids[:-1]) == "n\ufffd"
    assert tokenizer.decode(ids[:-1], errors="ignore") == "n"
    with pytest.raises(UnicodeDecodeError):
        tokenizer.decode(ids[:-1], errors="strict")


@pytest.mark.parametrize(
    ("merges", "special_tokens", "message"),
    [
        ([(0, 256)], [], r"merge 0, \(0, 256\), has an id of no token .* expected 0 to 255"),
        ([(0, 1), (257, 2)], [], r"merge 1, \(257, 2\), has an id of no token"),
        ([(-1, 0)], [], r"merge 0, \(-1, 0\), has an id of no token"),
        ([(0, 1), (0, 1)], [], r"merge 1, \(0, 1\), makes a token that there is already"),
        ([(0, 0), (0, 256), (256, 0)], [], r"merge 2, \(256, 0\), makes a token that there is"),
        ([(i + 255 if i else 0,) * 2 for i in range(40)], [], "merge 22, .* has too many bytes"),
        ([], [""], "the special token '' is empty"),
        ([], [END, END], "the special token '.*' is a token already"),
        ([], ["a"], "the special token 'a' is a token already"),
        ([], ["\ud800"], "half of a character"),
    ],
)
def test_vocabularies_that_are_refused(
    merges: list[tuple[int, int]], special_tokens: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ByteBPETokenizer(merges, special_tokens)


@pytest.mark.parametrize("merge", [(1,), (1, 2, 3), "ab", 5, (0.0, 1), (True, 2), None])
def test_what_is_no_merge(merge: object) -> None:
    with pytest.raises(TypeError, match="merge 0 to be two ids"):
        ByteBPETokenizer(anything([merge]))


@pytest.mark.parametrize("size", [0, 255, 257, 1 << 19])
def test_vocabularies_of_impossible_size(size: int) -> None:
    with pytest.raises(ValueError, match=f"vocab_size from 258 .* got {size}"):
        ByteBPETokenizer.train("text", size, special_tokens=[END, PAD])


def test_a_frequency_that_is_none() -> None:
    with pytest.raises(ValueError, match="min_frequency of at least 1, got 300 and 0"):
        ByteBPETokenizer.train("text", 300, min_frequency=0)


def test_runs_do_not_make_endless_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    run = "=" * 5000
    tokenizer = ByteBPETokenizer.train(run, 300, min_frequency=1)
    assert tokenizer.encode(run) == [tokenizer.vocab_size - 1]
    monkeypatch.setattr("tt_data._bpe_training.MOST_TOKEN_BYTES", 256 + 1000)
    tokenizer = ByteBPETokenizer.train(run, 300, min_frequency=1)
    tokens = [tokenizer.decode_bytes([i]) for i in range(tokenizer.vocab_size)]
    assert max(map(len, tokens)) == 256
    assert sum(map(len, tokens)) <= 256 + 1000
    assert tokenizer.decode(tokenizer.encode(run)) == run


def test_a_long_piece_is_learned_from_without_quadratic_time() -> None:
    # 60,000 letters without a space: with all of them visited at each merge it takes a minute.
    letters = np.random.default_rng(0).integers(ord("a"), ord("z") + 1, 60_000, np.uint8)
    text = letters.tobytes().decode()
    tokenizer = ByteBPETokenizer.train(text, 256 + 3000)
    assert tokenizer.vocab_size == 256 + 3000
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.merges[:3] == learned([text], 3, 2)


def test_a_long_piece_is_encoded_without_quadratic_time() -> None:
    # 100,000 letters without a space: with n² steps this would take hours.
    text = "".join(filter(str.isalpha, PLAY)) * 7
    tokenizer = bpe("BPE")
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) < 0.7 * len(text)


def test_more_pieces_than_are_remembered() -> None:
    tokenizer = bpe("BPE")
    text = " ".join(map(str, range(70_000)))
    first = tokenizer.encode(text)
    assert tokenizer.encode(text) == first
    assert tokenizer.decode(first) == text

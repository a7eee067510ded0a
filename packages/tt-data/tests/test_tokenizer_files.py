import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tt_data import ByteBPETokenizer, CharTokenizer, DataError, Tokenizer, WordTokenizer

pytestmark = pytest.mark.module_11

END = "<|endoftext|>"
BPE: dict[str, Any] = {
    "schema": "tt-data/ByteBPETokenizer",
    "version": 1,
    "merges": [[75, 78], [256, 86]],
    "special_tokens": [END],
}
CHARACTERS: dict[str, Any] = {
    "schema": "tt-data/CharTokenizer",
    "version": 1,
    "characters": "abcé",
    "unk": "a",
}
WORDS: dict[str, Any] = {"schema": "tt-data/WordTokenizer", "version": 1, "words": ["a", "b", "."]}
FILES: dict[type[Tokenizer], dict[str, Any]] = {
    ByteBPETokenizer: BPE,
    CharTokenizer: CHARACTERS,
    WordTokenizer: WORDS,
}

every = pytest.mark.parametrize("kind", FILES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokenizer.json"


@every
def test_the_format(kind: type[Tokenizer], path: Path) -> None:
    path.write_text(json.dumps(FILES[kind]), encoding="utf-8")
    kind.load(path).save(path)
    assert json.loads(path.read_text(encoding="utf-8")) == FILES[kind]


REFUSED: list[tuple[type[Tokenizer], dict[str, Any], str]] = [
    (ByteBPETokenizer, {"schema": "tt-data/CharTokenizer"}, "expected the schema 'tt-data/ByteBPE"),
    (ByteBPETokenizer, {"schema": None}, "expected the schema '.*', got None"),
    (ByteBPETokenizer, {"version": 2}, "expected the version 1, got 2"),
    (ByteBPETokenizer, {"version": True}, "expected the version 1, got True"),
    (ByteBPETokenizer, {"version": 1.0}, "expected the version 1, got 1.0"),
    (ByteBPETokenizer, {"pattern": "(a+)+$"}, "expected the keys .*, got .*pattern"),
    (ByteBPETokenizer, {"merges": {"0": 1}}, "merges to be a list, got dict"),
    (ByteBPETokenizer, {"merges": "ab"}, "merges to be a list, got str"),
    (ByteBPETokenizer, {"merges": None}, "merges to be a list, got NoneType"),
    (ByteBPETokenizer, {"merges": ["ab"]}, "merge 0 to be two ids, got 'ab'"),
    (ByteBPETokenizer, {"merges": [[1, 2, 3]]}, "merge 0 to be two ids"),
    (ByteBPETokenizer, {"merges": [[1.0, 2]]}, "merge 0 to be two ids"),
    (ByteBPETokenizer, {"merges": [[True, 2]]}, "merge 0 to be two ids"),
    (ByteBPETokenizer, {"merges": [[75, 78], [75, 78]]}, "merge 1, .* there is already"),
    (ByteBPETokenizer, {"merges": [[75, 256]]}, "merge 0, .* has an id of no token"),
    (ByteBPETokenizer, {"merges": [[-1, 2]]}, "merge 0, .* has an id of no token"),
    (ByteBPETokenizer, {"merges": [[10**40, 2]]}, "merge 0, .* has an id of no token"),
    (ByteBPETokenizer, {"merges": [[i + 255] * 2 for i in range(1, 40)]}, "has an id of no token"),
    (
        ByteBPETokenizer,
        {"merges": [[0, 0], *([i + 255] * 2 for i in range(1, 40))]},
        "merge 22, .* has too many bytes",
    ),
    (ByteBPETokenizer, {"special_tokens": [END, END]}, "special token '.*' is a token already"),
    (ByteBPETokenizer, {"special_tokens": ["low"]}, "special token 'low' is a token already"),
    (ByteBPETokenizer, {"special_tokens": [""]}, "special token '' is empty"),
    (ByteBPETokenizer, {"special_tokens": [5]}, "expected text, got int"),
    (ByteBPETokenizer, {"special_tokens": ["\ud800"]}, "half of a character"),
    (ByteBPETokenizer, {"special_tokens": {END: 5}}, "special_tokens to be a list, got dict"),
    (CharTokenizer, {"characters": "aba"}, "has 'a' twice"),
    (CharTokenizer, {"characters": ["a", "b"]}, "expected text, got list"),
    (CharTokenizer, {"characters": ""}, "has none"),
    (CharTokenizer, {"unk": "z"}, "unk to be in the alphabet, got 'z'"),
    (CharTokenizer, {"unk": []}, "expected text, got list"),
    (WordTokenizer, {"words": "words"}, "expected words, got a str"),
    (WordTokenizer, {"words": {"a": 1}}, "expected words, got a dict"),
    (WordTokenizer, {"words": [1]}, "expected text, got int"),
    (WordTokenizer, {"words": ["a", "a"]}, "'a' stands twice"),
    (WordTokenizer, {"words": ["two words"]}, "neither a word nor a mark"),
    (WordTokenizer, {"words": ["a"] * (1 << 18)}, "expected less than 262144 words, got 262144"),
]


@pytest.mark.parametrize(("kind", "change", "reason"), REFUSED)
def test_contents_that_are_refused(
    kind: type[Tokenizer], change: dict[str, Any], reason: str, path: Path
) -> None:
    path.write_text(json.dumps(FILES[kind] | change), encoding="utf-8")
    with pytest.raises(
        DataError, match=rf"tokenizer\.json is no file of a {kind.__name__}: .*{reason}"
    ):
        kind.load(path)


@every
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is no JSON: "),
        (b"\x80\x04}q\x00.", "it is no JSON: "),
        (b'{"schema": ', "it is no JSON: "),
        (b"\xff\xfe{\x00}\x00", "it is no JSON: "),
        (b"[" * 200_000, "its JSON is nested too deeply"),
        (b'{"a":' * 200_000, "its JSON is nested too deeply"),
        (b"1" * 10_000, "it is no JSON: .*4300"),
        (b" " * ((8 << 20) + 1), "it has more than 8388608 bytes"),
        (b"[]", "expected an object, got a list"),
        (b"NaN", "expected an object, got a float"),
        (b"{}", "expected the schema '.*', got None"),
        (b'{"version": 1, "version": 1}', "a key stands twice"),
    ],
)
def test_data_that_is_refused(kind: type[Tokenizer], data: bytes, reason: str, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(DataError, match=reason):
        kind.load(path)


@every
def test_nesting_of_any_depth(kind: type[Tokenizer], path: Path) -> None:
    *_, last = FILES[kind]
    for depth in (2, 3, *range(50, 1100, 15), 5000):
        deep = "[" * depth + "]" * depth
        for name in ("version", "more", last):
            content = json.dumps(FILES[kind] | {name: "here"}).replace('"here"', deep)
            path.write_text(content, encoding="utf-8")
            with pytest.raises(DataError):
                kind.load(path)


@every
def test_keys_that_are_missing(kind: type[Tokenizer], path: Path) -> None:
    for key in FILES[kind]:
        content = {name: value for name, value in FILES[kind].items() if name != key}
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(DataError, match=r"expected the (schema|version|keys)"):
            kind.load(path)


@every
def test_files_that_cannot_be_read(kind: type[Tokenizer], tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(DataError, match="cannot be read: "):
            kind.load(path)


def test_nothing_is_left_half_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WordTokenizer([]).save(tmp_path / "nowhere" / "tokenizer.json")
    path = tmp_path / "tokenizer.json"
    WordTokenizer(["a"]).save(path)
    huge = WordTokenizer([f"{i:0>70}" for i in range(1 << 17)])
    with pytest.raises(ValueError, match=r"the file would have .* at most 8388608 can be read"):
        huge.save(path)
    assert WordTokenizer.load(path) == WordTokenizer(["a"])
    assert list(tmp_path.iterdir()) == [path]


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 300),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from([END, "a", "low", 1, 2, *FILES[WordTokenizer].values()]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, content: Any) -> Any:
    """Something in a JSON value is replaced, removed or repeated."""
    if not isinstance(content, dict | list) or not content or draw(st.integers(0, 3)) == 0:
        return draw(json_values)
    keys = list(content) if isinstance(content, dict) else range(len(content))
    key = draw(st.sampled_from(keys))
    if isinstance(content, dict):
        others = {name: value for name, value in content.items() if name != key}
        action = draw(st.sampled_from(["change", "change", "remove", "add"]))
        if action == "remove":
            return others
        if action == "add":
            return content | {draw(st.text(max_size=8)): draw(json_values)}
        return content | {key: draw(mutated(content[key]))}
    action = draw(st.sampled_from(["change", "change", "remove", "repeat"]))
    middle = {"remove": [], "repeat": [content[key], content[key]]}.get(action)
    if middle is None:
        middle = [draw(mutated(content[key]))]
    return [*content[:key], *middle, *content[key + 1 :]]


def load_or_refuse(kind: type[Tokenizer], path: Path) -> None:
    """What is not refused with the one error is a tokenizer that works."""
    try:
        tokenizer = kind.load(path)
    except DataError:
        return
    assert tokenizer.decode(range(tokenizer.vocab_size)) is not None
    tokenizer.save(path)
    assert kind.load(path) == tokenizer
    if isinstance(tokenizer, ByteBPETokenizer):
        text = "low lower lowest é " + END
        assert tokenizer.decode(tokenizer.encode(text, allowed_special="all")) == text


same_file = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@every
@same_file
@given(data=st.data())
def test_mutated_contents(kind: type[Tokenizer], data: st.DataObject, path: Path) -> None:
    path.write_text(json.dumps(data.draw(mutated(FILES[kind]))), encoding="utf-8")
    load_or_refuse(kind, path)


@every
@same_file
@given(start=st.integers(0, 120), removed=st.integers(0, 120), put=st.binary(max_size=8))
@example(start=0, removed=120, put=b"")
def test_mutated_bytes(
    kind: type[Tokenizer], start: int, removed: int, put: bytes, path: Path
) -> None:
    data = json.dumps(FILES[kind], ensure_ascii=False).encode()
    path.write_bytes(data[:start] + put + data[start + removed :])
    load_or_refuse(kind, path)

"""Records of a run: what is read of a file that the tested code may have written to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tt_tito.trial._records import LARGEST, LONGEST, read_records

TOKEN = "a-token"


def line(**record: object) -> bytes:
    return json.dumps(record | {"token": TOKEN}).encode() + b"\n"


@pytest.mark.parametrize(
    "foreign",
    [
        b"[" + b"[]," * 1000 + b"[]]\n",
        b"[" * 100_000 + b"\n",
        b"\xff\n",
        line(event="ended", test="b", outcome="failed").replace(b"a-token", b"another"),
        line(event="ended", test="b", outcome="failed", more="x" * LONGEST),
        line(event="ended", test="b", outcome="failed")[:-3] + b"\n",
    ],
    ids=["nested", "deep", "bytes", "another token", "too long", "half"],
)
def test_what_is_not_the_childs_is_left_aside(tmp_path: Path, foreign: bytes) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(
        line(event="collected", tests=["a"])
        + foreign
        + line(event="ended", test="a", outcome="passed")
        + line(event="finished", code=0)
    )
    records = read_records(path, TOKEN)
    assert (records.tests, list(records.ended), records.code) == (("a",), ["a"], 0)


def test_what_has_not_the_token_is_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []
    monkeypatch.setattr("tt_tito.trial._records.json.loads", parsed.append)
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"[[],[]]\n" + line(event="finished", code=0))
    read_records(path, TOKEN)
    assert parsed == [line(event="finished", code=0).rstrip(b"\n")]


def test_a_file_that_is_too_large_holds_no_records(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with path.open("wb") as file:
        file.write(line(event="finished", code=0))
        file.truncate(LARGEST + 1)
    assert read_records(path, TOKEN).code is None

"""Byte-level BPE beside the tokenizers package: the same merges, the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

from tt_data import ByteBPETokenizer, TinyShakespeare

END = "<|endoftext|>"

# Where both see the same letters and numbers, the reference cuts text by GPT-2's own pattern.
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
# What Python's re takes for letters, digits and white space, by Unicode's categories.
LETTER, DIGIT, SPACE = r"\p{L}\p{Nl}\p{No}", r"\p{Nd}", r"\s\x1c-\x1f"
PATTERN = (
    rf"'(?:[sdmt]|ll|ve|re)| ?[{LETTER}]+| ?{DIGIT}+| ?[^{SPACE}{LETTER}{DIGIT}]+"
    rf"|[{SPACE}]+(?![^{SPACE}])|[{SPACE}]+"
)
ANY_TEXT = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
)


def reference(texts: Iterable[str], vocab_size: int, min_frequency: int, pieces: Any = GPT2) -> Any:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pieces
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def merges(tokenizer: Any) -> list[tuple[int, int]]:
    model = json.loads(tokenizer.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]


def agree(theirs: Any, ours: ByteBPETokenizer, texts: Iterable[str]) -> None:
    assert ours.merges == merges(theirs)
    assert ours.vocab_size == theirs.get_vocab_size()
    for text in texts:
        assert ours.encode(text) == theirs.encode(text).ids


@cache
def plays() -> tuple[str, str]:
    return TinyShakespeare(block_size=8).text, TinyShakespeare(False, block_size=8).text


@pytest.mark.parametrize("vocab_size", [256, 257, 300, 1024, 5000, 30_000])
def test_tiny_shakespeare(vocab_size: int) -> None:
    train, held_out = plays()
    ours = ByteBPETokenizer.train(train, vocab_size)
    agree(reference([train], vocab_size, 2), ours, [train, held_out, ""])


@pytest.mark.parametrize("min_frequency", [1, 2, 5, 100])
def test_documents_and_frequencies(min_frequency: int) -> None:
    documents = plays()[0].split("\n\n")[:300]
    ours = ByteBPETokenizer.train(documents, 3000, min_frequency=min_frequency)
    agree(reference(documents, 3000, min_frequency), ours, documents)


# Few letters and many repetitions: most pairs are as frequent as others, and many overlap.
alphabets = st.sampled_from(["a", "ab", "ab ", "aé ", "日本 ", "a\n ", "a1'!st "])
repetitive = alphabets.flatmap(lambda alphabet: st.text(alphabet=alphabet, max_size=120))


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(repetitive, max_size=5),
    most=st.integers(0, 150),
    min_frequency=st.integers(1, 3),
    unseen=repetitive,
)
def test_repetitive_texts(texts: list[str], most: int, min_frequency: int, unseen: str) -> None:
    ours = ByteBPETokenizer.train(texts, 256 + most, min_frequency=min_frequency)
    agree(reference(texts, 256 + most, min_frequency), ours, [*texts, unseen])


any_text = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=60)
some_text = st.text(
    st.sampled_from("aZéß日²Ⅷ٣5_'\u2019st \t\n\r\x1c\x85\xa0\u2003\u200d😀-"), max_size=60
)


@settings(max_examples=300, deadline=None)
@given(texts=st.lists(any_text | some_text, max_size=5), unseen=any_text | some_text)
def test_any_text(texts: list[str], unseen: str) -> None:
    ours = ByteBPETokenizer.train(texts, 400, min_frequency=1)
    agree(reference(texts, 400, 1, ANY_TEXT), ours, [*texts, unseen])


@cache
def with_special_token() -> tuple[ByteBPETokenizer, Any]:
    train = plays()[0][:20_000]
    theirs = reference([train], 399, 2)
    theirs.add_special_tokens([AddedToken(END, normalized=False)])
    return ByteBPETokenizer.train(train, 400, special_tokens=[END]), theirs


@settings(deadline=None)
@given(st.lists(st.sampled_from([END, "<|", "|>", "the king", " ", "\n"]), max_size=9).map("".join))
def test_special_tokens(text: str) -> None:
    ours, theirs = with_special_token()
    assert ours.encode(text, allowed_special="all") == theirs.encode(text).ids

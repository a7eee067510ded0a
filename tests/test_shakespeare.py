"""Milestone 05: what its script measures, on models and texts whose figures are known."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tt_autograd as tt
from tt_data import ByteBPETokenizer, CharTokenizer, Tokenizer
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig

SCRIPT = "milestones/05_2017_transformer_era/vaswani_shakespeare.py"
TEXT = "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n"


@pytest.fixture(scope="module")
def script(imported: Callable[[str], AbstractContextManager[Any]]) -> Iterator[Any]:
    with imported(SCRIPT) as module:
        yield module


@pytest.fixture(scope="module")
def plays(script: Any) -> Any:
    return script.read_plays("char")


# --- The mechanism ------------------------------------------------------------------------------


def stirred(script: Any, recipe: str) -> Any:
    """A small model of a recipe, all of whose matrices say something."""
    tt.manual_seed(0)
    sizes = (65, 16, 2, 2, 32)
    if recipe == "default":
        return script.stir(GPT(GPTConfig(*sizes)))
    return script.stir(ModernGPT(ModernGPTConfig(*sizes)))


def holds(script: Any, model: Any, plays: Any) -> dict[str, bool]:
    found = script.measure_mechanism(model, plays.tokens[:16])
    return {
        name: bound.met_by(value)
        for (name, bound), value in zip(script.PROOFS.items(), found, strict=True)
    }


@pytest.mark.parametrize("recipe", ["default", "fast"])
def test_the_mechanism_holds(script: Any, plays: Any, recipe: str) -> None:
    assert all(holds(script, stirred(script, recipe), plays).values())


def test_a_model_that_sees_what_comes_later_is_caught(script: Any, plays: Any) -> None:
    class Peeking(GPT):
        def forward(self, tokens: Any, cache: Any = None) -> tt.Tensor:
            scores = super().forward(tokens, cache)
            return scores + scores[:, -1:]

    model = script.stir(Peeking(GPTConfig(65, 16, 2, 2, 32)))
    broken = {name for name, met in holds(script, model, plays).items() if not met}
    assert broken == {"leak_from_later_tokens"}


def test_weights_that_do_not_sum_to_one_or_look_ahead_are_caught(script: Any, plays: Any) -> None:
    class Careless(GPT):
        def attention_maps(self, tokens: Any) -> list[tt.Tensor]:
            return [each.transpose(-1, -2) for each in super().attention_maps(tokens)]

    model = script.stir(Careless(GPTConfig(65, 16, 2, 2, 32)))
    broken = {name for name, met in holds(script, model, plays).items() if not met}
    assert broken == {"attention_row_error", "attention_to_later_tokens"}


def test_a_model_without_positions_is_caught(script: Any, plays: Any) -> None:
    model = script.stir(GPT(GPTConfig(65, 16, 1, 2, 32)))  # deeper ones tell places by the mask
    with tt.no_grad():
        model.positions.weight.zero_()
    broken = {name for name, met in holds(script, model, plays).items() if not met}
    assert broken == {"order_with_positions"}


# --- The losses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tokenizer", [CharTokenizer.train(TEXT), ByteBPETokenizer.train(TEXT, 270)]
)
@pytest.mark.parametrize("length", [2, 5, 8, 9, 10, 33])
def test_the_loss_of_a_text_predicts_each_token_once(
    script: Any, tokenizer: Tokenizer, length: int
) -> None:
    tt.manual_seed(0)
    model = script.stir(GPT(GPTConfig(tokenizer.vocab_size, 8, 1, 2, 16)))
    text = TEXT[:length]
    tokens = np.array(tokenizer.encode(text))
    total = 0.0
    with tt.no_grad():
        for i in range(1, len(tokens)):
            start = (i - 1) // 8 * 8  # of the window that token i is predicted in
            scores = model(tt.tensor(tokens[None, start:i]))[0, -1].double()
            total -= scores.log_softmax(dim=0)[int(tokens[i])].item()
    characters = len(text) - len(tokenizer.decode(tokens[:1]))
    found = script.loss_per_character(model, tokenizer, text)
    assert found == pytest.approx(total / characters, rel=1e-5)
    assert model.training


def test_a_model_that_knows_nothing_is_as_good_as_chance(script: Any, plays: Any) -> None:
    tt.manual_seed(0)
    for settings in script.SETTINGS.values():
        model = script.network(settings, 65)
        loss = script.loss_per_character(model, plays.tokenizer, plays.validation_text[:300])
        assert loss == pytest.approx(math.log(65), abs=1e-5)


def test_simple_models_predict_the_better_the_more_they_see(script: Any, plays: Any) -> None:
    found = script.entropies(plays)
    assert found["uniform"] == pytest.approx(math.log(65))
    assert found["bigram"] < found["unigram"] < found["uniform"]
    # By hand: a text of one letter is followed by that letter.
    even = script.Plays(CharTokenizer("ab"), "ababab", "abab", np.empty(0), np.empty(0))
    # pairs: ab 3 times, ba twice, one more of each kind
    expected = -(math.log(4 / 5) + math.log(3 / 4) + math.log(4 / 5)) / 3
    assert script.entropies(even)["bigram"] == pytest.approx(expected)


# --- The writing --------------------------------------------------------------------------------


def test_the_manner_of_a_text_is_in_its_figures(script: Any) -> None:
    learned = "\n\nROMEO:\nThe night is long and full of stars above.\n\nJULIET:\nIt is.\n\n"
    text = (
        "cut off\n\nROMEO:\nThe night is lang.\nIt is\n\nno heading here\n\n"
        "Nurse:\nfull of stars above\n\ncut"
    )
    manner = script.Manner.of([text], learned)
    # lang, off, cut, cut, no, heading, here, nurse are not in the text learned from
    assert manner.words_known == pytest.approx(1 - 8 / 18)
    assert manner.speeches_headed == pytest.approx(2 / 3)
    assert manner.speakers_known == pytest.approx(1 / 2)
    lines = ["The night is lang.", "It is", "no heading here", "full of stars above"]
    assert manner.line_length == pytest.approx(np.mean([len(line) for line in lines]))
    assert manner.copied == 0.0


def test_what_is_copied_is_counted_by_windows(script: Any, plays: Any) -> None:
    copy = plays.text[1000:1100]
    assert script.Manner.of([copy], plays.text).copied == 1.0
    half = plays.text[1000:1050] + "\x7f" + plays.text[2000:2049]
    clean = (50 - 29) + (49 - 29)
    assert script.Manner.of([half], plays.text).copied == pytest.approx(clean / 71)


def test_nothing_written_is_nothing_known(script: Any) -> None:
    assert script.Manner.of([""], "To be.") == script.Manner(0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["char", "bpe"])
def test_it_goes_on_from_a_prompt(script: Any, plays: Any, name: str) -> None:
    tokenizer = plays.tokenizer if name == "char" else ByteBPETokenizer.train(TEXT, 270)
    model = GPT(GPTConfig(tokenizer.vocab_size, 8, 1, 2, 16))
    one, other = (
        "".join(script.write(model, tokenizer, "ROMEO:", 20, tt.Generator(1))) for _ in range(2)
    )
    assert one.startswith("ROMEO:")
    assert one == other
    assert len(one) > 10


def test_a_prompt_that_cannot_be_read_is_refused(script: Any, plays: Any) -> None:
    assert script.unreadable(plays.tokenizer, "To be, or not to be") == ""
    assert "'\u00e9' at position 5" in script.unreadable(plays.tokenizer, "Caius\u00e9")


# --- The run ------------------------------------------------------------------------------------


def test_it_cannot_use_weights_that_do_not_ship(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--use-pretrained", "--tokenizer", "bpe", "--report-dir", str(tmp_path)]
    assert script.milestone().run(script.experiment, flags) == 2
    assert "--tokenizer char" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prompt", "\u00bfQu\u00e9?"], "'\u00bf' at position 0"),
        (["--temperature=-1"], "at least 0, got -1"),
        (["--temperature", "nan"], "at least 0, got nan"),
    ],
)
def test_what_it_is_asked_to_write_is_checked_before_anything_is_trained(
    script: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    assert script.milestone().run(script.experiment, [*flags, "--report-dir", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err

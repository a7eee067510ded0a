# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "matplotlib>=3.9",
#     "numpy>=2.0",
#     "tt-autograd>=0.1,<0.2",
#     "tt-data>=0.1,<0.2",
#     "tt-nn[fast]>=0.1,<0.2",
#     "tt-optim[fast]>=0.1,<0.2",
#     "tt-tito>=0.1,<0.2",
# ]
# ///
"""Attention writes Shakespeare, a character at a time.

In 2017 Ashish Vaswani and seven colleagues at Google took the recurrence out of translation. Where
a recurrent network reads a sentence word by word and has to carry all of it along, their
transformer lets every position look at every other at once, and learn where to look: "Attention Is
All You Need". In 2018 and 2019 Alec Radford and colleagues at OpenAI kept half of it, the decoder
that sees only what came before, and taught it to go on with any text: GPT. Four years earlier
Andrej Karpathy had let recurrent networks write Shakespeare from a million characters of his plays,
one character at a time. Here a small GPT learns from the same million, on a plain CPU.

First the mechanism is put to the test: that no position sees what comes later, that each divides
its attention among those before it, and that their order counts. Then the model learns. By default
it is the classic decoder: learned positions, LayerNorm, GELU, AdamW. The recipes "fast" and "long"
are the same with what was found since: rotary positions, RMSNorm, normalised queries and keys,
squared ReLU, short cuts from the first layer to the later ones, and Muon. How the recipes were
chosen is told in milestones/README.md.

Sources: A. Vaswani et al., Attention Is All You Need, 2017. A. Radford et al., Language Models are
Unsupervised Multitask Learners, 2019. A. Karpathy, The Unreasonable Effectiveness of Recurrent
Neural Networks, 2015, and nanoGPT, 2022. J. L. Ba et al., Layer Normalization, 2016; D. Hendrycks
and K. Gimpel, Gaussian Error Linear Units, 2016; I. Loshchilov and F. Hutter, Decoupled Weight
Decay Regularization, 2019. J. Su et al., RoFormer, 2021; D. So et al., Primer, 2021; Z. Zhou et
al., Value Residual Learning, 2024; K. Jordan et al., Muon, and modded-nanogpt, 2024. R. Sennrich et
al., Neural Machine Translation of Rare Words with Subword Units, 2016. C. E. Shannon, Prediction
and Entropy of Printed English, 1951.
"""

import math
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import (
    ByteBPETokenizer,
    CharTokenizer,
    DataLoader,
    RandomSampler,
    TinyShakespeare,
    TokenBlocks,
    Tokenizer,
)
from tt_nn import functional as F
from tt_nn.models import GPT, GPTConfig, ModernGPT, ModernGPTConfig
from tt_optim import AdamW, Callback, LambdaLR, Muon, Optimizer, Trainer
from tt_tito import Lab, Milestone, Option, Recipe, TitoError, at_least, at_most
from tt_tito.pictures import draw_attention, draw_curves, tint

BLOCKS = 4  # of attention and MLP
LOOKS = 8  # at the loss on the validation text, and at what it writes, while it learns
WATCHED = 12_000  # characters of the validation text that it is watched by
TEMPERATURE = 0.6  # of what it writes: below 1, what is likely is chosen even more often
COPIED = 30  # characters in a row that count as copied if the text learned from has them
BPE_VOCABULARY = 1024
LINE = "JULIET:\nO Romeo, Romeo!"  # to look at the attention with

Model = GPT | ModernGPT


# --- The data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plays:
    """The text, in characters and in tokens: the first nine tenths to learn from, the rest not."""

    tokenizer: Tokenizer
    text: str
    validation_text: str
    tokens: np.ndarray
    validation_tokens: np.ndarray


def read_plays(tokenizer_name: str) -> Plays:
    """Read the plays; a token is a character, or what byte-pair encoding makes of the text."""
    plays = TinyShakespeare(train=True)
    text, validation_text = plays.text, TinyShakespeare(train=False).text
    tokenizer: Tokenizer
    if tokenizer_name == "bpe":
        tokenizer = ByteBPETokenizer.train(text, vocab_size=BPE_VOCABULARY)
    else:
        tokenizer = CharTokenizer(plays.characters)
    tokens, validation_tokens = (
        np.array(tokenizer.encode(each)) for each in (text, validation_text)
    )
    return Plays(tokenizer, text, validation_text, tokens, validation_tokens)


def entropies(plays: Plays) -> dict[str, float]:
    """Cross-entropies of the validation text, in nats per character, under three simple models.

    Each character is as likely as the next one; as often as it is in the text learned from; as
    often as it is there after the character before. Counts start at one, so that none is zero.
    """
    alphabet = CharTokenizer.train([plays.text, plays.validation_text])
    seen, held_back = (
        np.array(alphabet.encode(each)) for each in (plays.text, plays.validation_text)
    )
    size = alphabet.vocab_size
    pairs = np.ones((size, size))
    np.add.at(pairs, (seen[:-1], seen[1:]), 1)
    single = pairs.sum(axis=0) / pairs.sum()
    after = pairs / pairs.sum(axis=1, keepdims=True)
    return {
        "uniform": math.log(size),
        "unigram": float(-np.log(single[held_back[1:]]).mean()),
        "bigram": float(-np.log(after[held_back[:-1], held_back[1:]]).mean()),
    }


# --- The model ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What a recipe is made of, chosen on a twentieth of the training text that was held back."""

    modern: bool
    width: int
    heads: int
    block: int  # how many tokens it sees
    rate: float  # of the matrices in the blocks
    embedding_rate: float
    rest_rate: float
    warm_up: int  # steps in which the learning rate rises
    demo_steps: int  # in an epoch of a demo, where the text is not gone through


SETTINGS = {
    "default": Settings(False, 128, 4, 64, 6e-3, 6e-3, 6e-3, 50, 400),
    "fast": Settings(True, 128, 4, 128, 0.02, 0.01, 0.004, 20, 130),
    "long": Settings(True, 160, 5, 256, 0.02, 0.01, 0.004, 20, 90),
}


def network(settings: Settings, vocabulary: int) -> Model:
    """The decoder of a recipe."""
    sizes = (vocabulary, settings.block, BLOCKS, settings.heads, settings.width)
    if settings.modern:
        return ModernGPT(ModernGPTConfig(*sizes))
    return begin(GPT(GPTConfig(*sizes, tie_weights=False)))


def begin(model: GPT) -> GPT:
    """Draw the first weights so that little time is enough: GPT-2's are small, and slow to grow.

    Positions are learned, but begin as the sinusoids of 2017, which already tell near from far.
    What ends a block, and the head, begins at zero, so that all tokens are equally likely.
    """
    width = model.config.n_embd
    nn.init.normal_(model.token_embedding.weight)
    for name, module in model.named_modules():
        if isinstance(module, nn.LearnedPositions):
            blank = tt.zeros(module.max_length, width)
            with tt.no_grad():
                module.weight.copy_(nn.SinusoidalPositions(width)(blank))
        if isinstance(module, nn.Linear):
            ends = name.endswith(("out_proj", "down", "head"))
            nn.init.normal_(module.weight, std=0.0 if ends else width**-0.5)
    return model


def cross_entropy(scores: tt.Tensor, targets: tt.Tensor) -> tt.Tensor:
    """The mean over all positions: scores (N, T, vocabulary), targets (N, T)."""
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten())


# --- The mechanism, before anything is learned --------------------------------------------------


# By the name of what is measured: the claim, and what it must keep.
CLAIMS = {
    "leak_from_later_tokens": (
        "Changing a later token never changes an earlier score: the greatest change",
        at_most(1e-4),
    ),
    "attention_row_error": (
        "Each row of attention weights sums to one: the greatest difference",
        at_most(1e-5),
    ),
    "attention_to_later_tokens": (
        "No weight falls on a later token: the greatest weight",
        at_most(0.0),
    ),
    "order_without_positions": (
        "Attention alone does not see the order: the change when it is shuffled",
        at_most(1e-4),
    ),
    "order_with_positions": (
        "With positions it does: the change when the earlier tokens are shuffled",
        at_least(0.01),
    ),
}
PROOFS = {name: bound for name, (_, bound) in CLAIMS.items()}


def prove(lab: Lab, settings: Settings, plays: Plays) -> bool:
    """Measure whether attention does what it claims, and tell whether it all holds."""
    model = stir(network(settings, plays.tokenizer.vocab_size))
    found = measure_mechanism(model, plays.tokens[: settings.block])
    rows, holds = [], True
    for (name, (claim, bound)), value in zip(CLAIMS.items(), found, strict=True):
        lab.metric(name, value)
        holds = holds and bound.met_by(value)
        rows.append((claim, value, str(bound), "holds" if bound.met_by(value) else "DOES NOT HOLD"))
    lab.heading("The mechanism")
    lab.table("A model that has learned nothing", ("Claim", "Measured", "Must be", ""), rows)
    lab.note(
        f"Each of the {settings.block} tokens of a text is changed in turn. Differences are those "
        "of the scores of the next token, as a share of the scores' standard deviation. Attention "
        "by itself is blind to order: the last position takes the same from those before it "
        "however they are shuffled. What tells them apart is their positions."
        if holds
        else "The mechanism is broken, so nothing is trained: a model that sees what it is to "
        "predict, or does not see the order, learns something else than to write."
    )
    return holds


def stir(model: Model) -> Model:
    """Draw all matrices so large that everything has a part in the scores.

    A model that begins to learn has small ones, and some that are zero, which might hide a fault.
    """
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model


def measure_mechanism(model: Model, tokens: np.ndarray) -> tuple[float, ...]:
    """What the claims say, in their order, measured with a text, (T,)."""
    length, text = len(tokens), tt.from_numpy(tokens[None])
    changed = np.tile(tokens, (length, 1))  # in row t, the token at t is another
    np.fill_diagonal(changed, (tokens + 1) % model.config.vocab_size)
    order = np.append(np.random.default_rng(2017).permutation(length - 1), length - 1)
    x = tt.randn(length, 32)
    with tt.no_grad():
        scores = model(text).numpy()[0]  # (T, vocabulary)
        others = model(tt.from_numpy(changed)).numpy()  # (T, T, vocabulary)
        again = model(text[:, order]).numpy()[0, -1]  # (vocabulary,)
        maps = np.stack([each.numpy()[0] for each in model.attention_maps(text)])
        alone, shuffled = (
            F.scaled_dot_product_attention(each, each, each, is_causal=True).numpy()[-1]
            for each in (x, x[order])
        )
    scale = scores.std()
    change = np.abs(others - scores).max(axis=-1) / scale  # (which is changed, which is scored)
    return (
        float(np.tril(change, -1).max()),
        float(np.abs(maps.sum(axis=-1) - 1).max()),
        float(np.triu(maps, 1).max()),
        float(np.abs(shuffled - alone).max() / alone.std()),
        float(np.abs(again - scores[-1]).max() / scale),
    )


# --- How it learns ------------------------------------------------------------------------------


def optimizer_of(model: Model, settings: Settings) -> Optimizer:
    """AdamW for the classic decoder; for the modern one Muon for what the blocks multiply by."""
    matrices, embeddings, rest = [], [], []
    for name, parameter in model.named_parameters():
        if name.startswith(("token_embedding", "positions")):
            embeddings.append(parameter)
        elif parameter.ndim == 2 and (name.startswith("blocks") or not settings.modern):
            matrices.append(parameter)
        else:
            rest.append(parameter)
    if not settings.modern:
        return AdamW(
            [
                {"params": matrices, "weight_decay": 0.1},
                {"params": embeddings, "lr": settings.embedding_rate},
                {"params": rest, "lr": settings.rest_rate},
            ],
            settings.rate,
            betas=(0.9, 0.99),
            weight_decay=0.0,
        )
    return Muon(
        [
            {"params": matrices, "use_muon": True},
            {"params": embeddings, "use_muon": False, "lr": settings.embedding_rate},
            {"params": rest, "use_muon": False, "lr": settings.rest_rate},
        ],
        settings.rate,
        weight_decay=0.0,
        adamw_betas=(0.9, 0.95),
    )


def up_and_down(steps: int, rise: int) -> Callable[[int], float]:
    """The share of the learning rate at each step: up in a line, and down to 0 in a line."""
    top = min(rise, steps)
    return lambda step: min((step + 1) / top, (steps - step) / max(1, steps - top))


class GatherMomentum(Callback):
    """Muon's momentum rises from 0.85 to 0.95 over the first 200 steps (Jordan, 2024)."""

    def on_step_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Set it for the next step."""
        for group in trainer.optimizer.param_groups:
            if group["use_muon"]:
                group["momentum"] = 0.85 + 0.1 * min(trainer.step / 200, 1)


@dataclass
class Watch(Callback):
    """Keeps the losses while it learns, and lets it write a few lines now and then.

    What it is watched by is a part of the validation text. Nothing depends on what is seen.
    """

    lab: Lab
    model: Model
    plays: Plays
    every: int  # steps
    batch_characters: float  # that a token stands for, on average
    losses: list[tuple[float, float]] = field(default_factory=list)  # step, mean since last look
    validation_losses: list[tuple[float, float]] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)

    def on_step_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Keep the loss of the batch; after some steps, look."""
        self.recent.append(record["loss"] / self.batch_characters)
        if trainer.step % self.every and trainer.step != trainer.planned:
            return
        part = self.plays.validation_text[:WATCHED]
        loss = loss_per_character(self.model, self.plays.tokenizer, part)
        self.losses.append((trainer.step, float(np.mean(self.recent))))
        self.validation_losses.append((trainer.step, loss))
        self.recent.clear()
        written = write(self.model, self.plays.tokenizer, "\n", 120, tt.Generator(self.lab.seed))
        self.lab.excerpt(
            f"After {trainer.step:,} steps of {trainer.planned:,}: {loss:.3f} nats per character",
            written,
        )


def learn(lab: Lab, model: Model, settings: Settings, plays: Plays) -> Watch:
    """The loop is left to the Trainer.

    The windows of an epoch lie anywhere in the text, as many as fit side by side into it if each
    token were a character: so many steps, whatever a token is.
    """
    blocks = TokenBlocks(plays.tokens, settings.block)
    windows = len(plays.text) // settings.block
    if lab.mode == "demo":
        windows = settings.demo_steps * lab.batch_size
    loader = DataLoader(
        blocks,
        lab.batch_size,
        sampler=RandomSampler(blocks, replacement=True, num_samples=windows),
        drop_last=True,
    )
    steps = lab.epochs * len(loader)
    optimizer = optimizer_of(model, settings)
    characters = len(plays.text) / len(plays.tokens)
    watch = Watch(lab, model, plays, -(-steps // LOOKS), characters)
    trainer = Trainer(
        model,
        optimizer,
        cross_entropy,
        scheduler=LambdaLR(optimizer, up_and_down(steps, settings.warm_up)),
        callbacks=[watch, *([GatherMomentum()] if settings.modern else [])],
    )
    trainer.fit(loader, epochs=lab.epochs)
    return watch


# --- How it is examined -------------------------------------------------------------------------


def loss_per_character(model: Model, tokenizer: Tokenizer, text: str) -> float:
    """The cross-entropy of a whole text, in nats per character.

    The text is cut into windows side by side, the last one shorter, so that each token but the
    first is predicted once, from those before it in its window.
    """
    tokens, total = np.array(tokenizer.encode(text)), 0.0
    whole = (len(tokens) - 1) // model.block_size * model.block_size
    parts = [tokens[:whole], tokens[1 : whole + 1], tokens[whole:-1], tokens[whole + 1 :]]
    for inputs, targets in (parts[:2], parts[2:]):
        length = min(model.block_size, len(inputs))
        if length:
            rows = inputs.reshape(-1, length), targets.reshape(-1, length)
            for start in range(0, len(rows[0]), 32):
                total += summed_loss(model, *(each[start : start + 32] for each in rows))
    return total / (len(text) - len(tokenizer.decode(tokens[:1])))


def summed_loss(model: Model, inputs: np.ndarray, targets: np.ndarray) -> float:
    """The cross-entropy of some windows, (N, T), in nats."""
    model.eval()
    with tt.no_grad():
        loss = cross_entropy(model(tt.from_numpy(inputs)), tt.from_numpy(targets)).item()
    model.train()
    return loss * targets.size


def write(
    model: Model,
    tokenizer: Tokenizer,
    prompt: str,
    count: int,
    generator: tt.Generator,
    temperature: float = TEMPERATURE,
) -> Iterator[str]:
    """Go on with a text, and give it out piece by piece as it comes, the prompt first."""
    yield prompt
    tokens = tt.tensor([tokenizer.encode(prompt)])
    for new in nn.generate_stream(
        model, tokens, count, temperature=temperature, generator=generator
    ):
        yield tokenizer.decode(new)


@dataclass(frozen=True)
class Manner:
    """How a text looks, in figures."""

    words_known: float  # the share of its words that occur in the text learned from
    speeches_headed: float  # the share of its speeches that begin with the name of who speaks
    speakers_known: float  # the share of those names that occur in the text learned from
    line_length: float  # characters in a line of speech
    copied: float  # the share of its windows of 30 characters that the text learned from has

    @classmethod
    def of(cls, texts: list[str], learned_from: str) -> "Manner":
        """Measure some texts; of each, the first and last speech are left out: they are cut."""
        known = set(words(learned_from))
        said = [word for text in texts for word in words(text)]
        speeches = [part for text in texts for part in text.split("\n\n")[1:-1]]
        headed = [HEADING.match(speech) for speech in speeches]
        speakers = [match[1] for match in headed if match]
        names = set(HEADING.findall(learned_from))
        lines = [
            line
            for speech, match in zip(speeches, headed, strict=True)
            for line in (speech[match.end() :] if match else speech).strip("\n").split("\n")
            if line
        ]
        windows = [text[i : i + COPIED] for text in texts for i in range(len(text) - COPIED + 1)]
        wanted = set(windows)
        there = {
            window
            for i in range(len(learned_from) - COPIED + 1)
            if (window := learned_from[i : i + COPIED]) in wanted
        }
        return cls(
            mean([word in known for word in said]),
            mean([match is not None for match in headed]),
            mean([name in names for name in speakers]),
            mean([len(line) for line in lines]),
            mean([window in there for window in windows]),
        )


HEADING = re.compile(r"^([A-Z][A-Za-z' ]*):$", re.MULTILINE)


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"[a-z]+(?:'[a-z]+)*", text.lower())


def mean(values: list[bool] | list[int]) -> float:
    """The mean; of nothing, 0."""
    return float(np.mean(values)) if values else 0.0


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Test the mechanism, learn to write, and look at what was written and why."""
    tt.manual_seed(lab.seed)
    settings, tokens = SETTINGS[lab.recipe], lab.option("tokenizer", str)
    with lab.timed("data"):
        plays = read_plays(tokens)
    tokenizer = plays.tokenizer
    prompt = lab.option("prompt", str)
    if problem := unreadable(tokenizer, prompt):
        raise TitoError(f"--prompt: {problem}")
    if not 0 <= (temperature := lab.option("temperature", float)) < math.inf:
        raise TitoError(f"--temperature: expected a number of at least 0, got {temperature:g}.")

    model = network(settings, tokenizer.vocab_size)
    if lab.mode == "test-only":
        return systems(lab, model, settings)
    watch = None
    if lab.mode == "pretrained":
        if tokens != "char":
            raise TitoError("--use-pretrained: the weights that ship are for --tokenizer char.")
        lab.load_weights(model)
        play(lab, model, tokenizer, prompt)
        holds = prove(lab, settings, plays)
    else:
        holds = prove(lab, settings, plays)
        if not holds:
            return systems(lab, model, settings)
        describe(lab, plays)
        with lab.timed("train"):
            watch = learn(lab, model, settings, plays)
        lab.save_weights(model, half=True)
        if tokens != "char":
            tokenizer.save(lab.flags.report_dir / "tokenizer.json")
        play(lab, model, tokenizer, prompt)
    with lab.timed("evaluate"):
        simple = entropies(plays)
        loss = loss_per_character(model, tokenizer, plays.validation_text)
    lab.metric("validation_loss", loss)
    lab.metric("training_seconds", lab.seconds("train"))
    show_losses(lab, watch, simple, loss, plays)
    judge_writing(lab, model, plays)
    show_attention(lab, model, tokenizer)
    show_neighbours(lab, model, plays)
    systems(lab, model, settings)


def describe(lab: Lab, plays: Plays) -> None:
    """What there is to learn from."""
    lab.heading("Learning to write")
    per_token = len(plays.text) / len(plays.tokens)
    lab.note(
        f"{len(plays.text):,} characters are learned from, {len(plays.validation_text):,} are held "
        f"back. There are {plays.tokenizer.vocab_size:,} tokens, a token is {per_token:.3g} "
        "characters. Every loss is in nats per character, so that it does not depend on what a "
        "token is."
    )


def unreadable(tokenizer: Tokenizer, text: str) -> str:
    """What keeps a prompt from being read; nothing if it can be."""
    try:
        tokenizer.encode(text)
    except ValueError as error:
        problem = str(error).removeprefix("encode: ").partition(";")[0]
        return f"{problem}. The plays are in plain English letters and marks."
    return ""


def play(lab: Lab, model: Model, tokenizer: Tokenizer, prompt: str) -> None:
    """Write at once what the user asks for."""
    generator, temperature = tt.Generator(lab.seed), lab.option("temperature", float)

    def go_on(start: str) -> None:
        lab.excerpt(
            f"It goes on from {start!r}" if start.strip() else "It writes",
            write(model, tokenizer, start, 500, generator, temperature),
        )

    if prompt or lab.mode == "pretrained":
        go_on(prompt or "\n")
    if not lab.option("interactive", bool):
        return
    lab.note("Begin a line, and it goes on. An empty line ends this, and the report follows.")
    while start := lab.ask("Your line:"):
        if problem := unreadable(tokenizer, start):
            lab.note(problem)
        else:
            go_on(start)


def show_losses(
    lab: Lab, watch: Watch | None, simple: dict[str, float], loss: float, plays: Plays
) -> None:
    """The losses, beside those of models that only count."""
    lab.table(
        "Cross-entropy of the validation text",
        ("Model", "Nats per character", "Bits per character", "Choices as good as"),
        [
            (name, value, value / math.log(2), math.exp(value))
            for name, value in {**simple, "this model": loss}.items()
        ],
    )
    lab.note(
        "Uniform: every character is as likely as any other. Unigram: each is as likely as it is "
        "frequent. Bigram: as frequent as it is after the character before. All counted in the "
        "text learned from, and measured on the whole validation text. Shannon let people guess "
        "English text letter by letter in 1951 and found that they need between 0.6 and 1.3 bits "
        "for each, without capitals and marks."
    )
    if watch is None:
        return
    curves = {"learned from": watch.losses, "validation": watch.validation_losses}
    lab.picture(
        "learning",
        lambda figure: draw_curves(figure, {"Nats per character": curves}, "step", simple),
        alt="The losses on the text learned from and on the validation text fall steeply below "
        "the line of the bigram model, then ever more slowly until the end.",
        caption="The cross-entropy while it learns, on the text learned from (the mean since the "
        f"point before) and on {WATCHED:,} characters of the validation text, against models that "
        "only count.",
    )


def judge_writing(lab: Lab, model: Model, plays: Plays) -> None:
    """What it writes, in figures, beside those of the validation text."""
    with lab.timed("evaluate"):
        start = tt.tensor([plays.tokenizer.encode("\n")] * 10)
        characters = 500 if lab.mode == "demo" else 1500
        length = round(characters * len(plays.tokens) / len(plays.text))
        written = nn.generate(
            model, start, length, temperature=TEMPERATURE, generator=tt.Generator(lab.seed)
        )
        texts = [plays.tokenizer.decode(each)[1:] for each in written.numpy()]
        its = Manner.of(texts, plays.text)
        validation = plays.validation_text
        cuts = range(0, len(validation) - characters, characters)
        theirs = Manner.of([validation[i : i + characters] for i in cuts], plays.text)
    lab.metric("words_known", its.words_known)
    lab.metric("speeches_headed", its.speeches_headed)
    lab.metric("line_length_difference", abs(its.line_length / theirs.line_length - 1))
    lab.metric("copied", its.copied)

    lab.heading("What it writes")
    lab.excerpt("From nothing, as it comes", texts[0][:700])
    rows = [
        ("Words that occur in the text learned from", "words_known"),
        ("Speeches that begin with who speaks", "speeches_headed"),
        ("Of those names, the ones in the text learned from", "speakers_known"),
        ("Characters in a line of speech", "line_length"),
        (f"Of all {COPIED} characters in a row, those in the text learned from", "copied"),
    ]
    lab.table(
        f"{len(texts)} texts of {len(texts[0]):,} characters, temperature {TEMPERATURE:g}",
        ("Figure", "Its text", "Validation text"),
        [(what, getattr(its, name), getattr(theirs, name)) for what, name in rows],
    )


def show_attention(lab: Lab, model: Model, tokenizer: Tokenizer) -> None:
    """Where each head looks in a line."""
    tokens = tokenizer.encode(LINE)
    with tt.no_grad():
        maps = [each.numpy()[0] for each in model.attention_maps(tt.tensor([tokens]))]
    labels = [visible(tokenizer.decode([token])) for token in tokens]
    lab.heading("Where it looks")
    for number, heads in enumerate(maps, start=1):
        lab.picture(
            f"attention_{number}",
            partial(draw_attention, maps=heads, labels=labels),
            alt=f"{len(heads)} triangular maps of {len(tokens)} by {len(tokens)} weights: where "
            f"each position looks in the heads of block {number}.",
            caption=f"Block {number}: each row is a position, and what it takes of those up to it, "
            "the more the darker; a dot is a space, an arrow a new line. A stripe beside the "
            "diagonal looks a fixed distance back; a column is one that many look at.",
            size=(5.6, 2.9 * -(-len(heads) // 2)),
        )


def visible(token: str) -> str:
    """A token with signs for spaces and line breaks."""
    return token.replace(" ", "\u00b7").replace("\n", "\u21b5")  # a dot, a bent arrow


def show_neighbours(lab: Lab, model: Model, plays: Plays) -> None:
    """Which tokens have come to lie beside which.

    A token has two embeddings: one that is read, and one that scores it as the next, in the head.
    That begins at zero, so that all of it was learned; the other is still half the chance that it
    was drawn by.
    """
    counts = np.bincount(plays.tokens, minlength=plays.tokenizer.vocab_size)
    frequent = np.argsort(-counts, kind="stable")[:52]
    vectors = model.head.weight.detach().numpy()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    often = np.flatnonzero(counts >= 100)  # of the others it knows little
    likeness = vectors[frequent] @ vectors[often].T
    likeness[frequent[:, None] == often] = -1  # not a token with itself
    nearest = np.argsort(-likeness, axis=1)[:, :4]
    names = [visible(plays.tokenizer.decode([token])) for token in range(len(counts))]
    grid = [
        (names[token], [(names[often[i]], float(likeness[row, i])) for i in nearest[row]])
        for row, token in enumerate(frequent)
    ]
    grid.sort(key=lambda row: (not row[0].isalpha(), row[0].lower(), row[0]))
    lab.heading("What it came to see as alike")
    lab.picture(
        "neighbours",
        lambda figure: draw_neighbours(figure, grid),
        alt=f"A table: for {len(grid)} tokens, the four whose embeddings point most nearly the "
        "same way.",
        caption=f"The {len(grid)} most frequent tokens, and to the right of each the four whose "
        "embeddings are most alike (cosine), the darker the more; a dot is a space, an arrow a new "
        "line. These are the embeddings that score a token as the next one: alike are tokens that "
        "come in the same places. Nobody said what a vowel is.",
        size=(5.6, 5.4),
    )


def systems(lab: Lab, model: Model, settings: Settings) -> None:
    """What it costs."""
    tokens = tt.randint(0, model.config.vocab_size, (lab.batch_size, settings.block))
    lab.systems(
        model,
        tokens,
        step=training_step(model, tokens),
        growth={
            "length": (lambda size: step_of(settings, length=size), (64, 256, 1024)),
            "width": (lambda size: step_of(settings, width=size), (64, 128, 256)),
        },
    )
    lab.note(
        "Attention compares every position with every other, so its share of the time grows with "
        "the square of the length, and takes over in long texts. Its memory does not: weights are "
        "made block by block, and made again on the way back."
    )
    with tt.no_grad():
        started = perf_counter()
        nn.generate(model, tokens[:1, :1], settings.block - 1)
        rate = (settings.block - 1) / (perf_counter() - started)
    lab.note(f"It writes {rate:,.0f} tokens in a second, each key and value computed once.")


def training_step(model: Model, tokens: tt.Tensor) -> Callable[[], object]:
    """One step up to the gradients, to be measured."""
    parameters = list(model.parameters())
    return lambda: tt.grad(cross_entropy(model(tokens), tokens), parameters)


def step_of(settings: Settings, length: int = 128, width: int = 128) -> Callable[[], object]:
    """A training step on a text of that length, by a model of that width."""
    sized = Settings(settings.modern, width, 4, length, 0.0, 0.0, 0.0, 1, 1)
    return training_step(network(sized, 65), tt.randint(0, 65, (1, length)))


# --- The pictures -------------------------------------------------------------------------------


def draw_neighbours(figure: Figure, grid: list[tuple[str, list[tuple[str, float]]]]) -> None:
    """Tokens in columns, each with its nearest to the right of it."""
    axes = figure.subplots()
    rows, colours = -(-len(grid) // 4), tint("C0", 0.8)
    for number, (name, nearest) in enumerate(grid):
        column, row = divmod(number, rows)
        left, top = 6.0 * column, float(row)
        axes.text(left + 0.5, top + 0.5, name, ha="center", va="center", weight="bold")
        for place, (other, likeness) in enumerate(nearest, start=1):
            corner = (left + place, top + 0.06)
            shade = colours(max(0.0, likeness))
            axes.add_patch(mpl.patches.Rectangle(corner, 0.94, 0.88, color=shade, lw=0))
            axes.text(left + place + 0.47, top + 0.5, other, ha="center", va="center", fontsize=10)
    axes.set(xlim=(0, 23.2), ylim=(rows, 0))
    axes.set_axis_off()


LOOKS_LIKE_A_PLAY = {
    "words_known": at_least(0.9),
    "speeches_headed": at_least(0.9),
    "line_length_difference": at_most(0.2),
    "copied": at_most(0.05),
}
BAR = {**PROOFS, **LOOKS_LIKE_A_PLAY}
DEMO_BAR = {**PROOFS, "validation_loss": at_most(2.3), "words_known": at_least(0.5)}


def milestone() -> Milestone:
    """What it is judged by, and what its flags start from."""
    return Milestone(
        __file__,
        bar={**BAR, "validation_loss": at_most(1.75), "training_seconds": at_most(300)},
        demo_bar=DEMO_BAR,
        epochs=4,
        demo_epochs=1,
        batch_size=16,
        threads="all",
        recipes={
            "fast": Recipe(
                {**BAR, "validation_loss": at_most(1.55), "training_seconds": at_most(300)},
                epochs=3,
                demo_epochs=1,
                batch_size=16,
                demo_bar=DEMO_BAR,
            ),
            "long": Recipe(
                {**BAR, "validation_loss": at_most(1.5), "training_seconds": at_most(600)},
                epochs=3,
                demo_epochs=1,
                batch_size=8,
                demo_bar=DEMO_BAR,
            ),
        },
        options=(
            Option("--tokenizer", "char", "what a token is", choices=("char", "bpe")),
            Option("--prompt", "", "a text to go on from"),
            Option("--interactive", False, "ask for lines to go on from"),
            Option("--temperature", TEMPERATURE, "of what is written for you: 0 the likeliest"),
        ),
    )


if __name__ == "__main__":
    sys.exit(milestone().run(experiment))

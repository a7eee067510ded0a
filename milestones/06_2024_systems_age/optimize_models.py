# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "matplotlib>=3.9",
#     "numpy>=2.0",
#     "onnxruntime>=1.20",
#     "tt-autograd>=0.1,<0.2",
#     "tt-data>=0.1,<0.2",
#     "tt-nn[fast]>=0.1,<0.2",
#     "tt-optim[fast]>=0.1,<0.2",
#     "tt-profile[onnx]>=0.1,<0.2",
#     "tt-tito[benchmark]>=0.1,<0.2",
# ]
# ///
"""Two trained models made smaller and faster, and every figure measured.

A model that learns is half of the work; the other half is to run it for people, who wait, on
machines that cost. In 1989 LeCun, Denker and Solla removed most of a network's weights and found
that it read as well as before ("Optimal Brain Damage"). Han, Mao and Dally pruned, quantized and
coded AlexNet to a thirty-fifth of its size in 2015; Hinton, Vinyals and Dean let a small network
learn from a large one's doubts; Jacob and others brought integers to phones in 2018. With language
models, whose every word costs a pass over all weights, this has become its own trade: keys and
values that are kept, weights in eight or four bits, and MLPerf (2019), a contest in which nothing
counts that others cannot measure again.

Here the digits' convolutional network of milestone 04 and the writer of plays of milestone 05 are
profiled, and then changed step by step. Each step is timed against the one before, in turn, and
examined on data that neither has learned from: an optimization is a trade, and this is what it
costs. What comes of it is exported, held against another program, and entered in TinyMLPerf, where
it is measured again before it ranks.

Sources: Y. LeCun, J. S. Denker and S. A. Solla, Optimal Brain Damage, 1989. S. Han, H. Mao and
W. J. Dally, Deep Compression, 2015. G. Hinton, O. Vinyals and J. Dean, Distilling the Knowledge in
a Neural Network, 2015. B. Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, 2018. S. Williams, A. Waterman and D. Patterson, Roofline, 2009.
P. Mattson et al., MLPerf Training Benchmark, 2019.
"""

import copy
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import (
    CIFAR10,
    CharTokenizer,
    Compose,
    DataError,
    DataLoader,
    Dataset,
    Digits,
    Normalize,
    Subset,
    TinyShakespeare,
    ToFloat,
    random_split,
)
from tt_nn import functional as F
from tt_nn.models import ModernGPT, ModernGPTConfig
from tt_optim import AdamW, OneCycleLR
from tt_profile import Optimized, Step, compare, measure_machine, optimize, profile
from tt_profile.compression import DistillationLoss, prune_channels
from tt_profile.onnx import compare_serving, export
from tt_profile.quantization import quantize
from tt_tito import Lab, Milestone, TitoError, at_least, at_most
from tt_tito.benchmark import (
    Bench,
    Configuration,
    Division,
    Event,
    Leaderboard,
    Verdict,
    describe,
    replace_figures,
    run,
    write_submission,
)

MILESTONES = Path(__file__).resolve().parents[1]
DIGITS = MILESTONES / "04_1998_cnn_revolution" / "cnn_digits.safetensors"
CIFAR = MILESTONES / "04_1998_cnn_revolution" / "lecun_cifar10.safetensors"
PLAYS = MILESTONES / "05_2017_transformer_era" / "vaswani_shakespeare_fast.safetensors"

PREPARE = Compose([ToFloat(16), Normalize(0, 0.376)])  # as milestone 04 learned to read them
COLOURS = Compose([ToFloat(), Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))])
REMOVED = 0.625  # of the channels of each layer of the digits' network
PEAK = 0.01  # of the learning rate, when the smaller network learns from the larger
BLOCK = 128  # how many characters the writer has learned to see
LONG = 512  # characters that it writes with and without a cache
WRITTEN = 64  # characters that it writes to be timed
DEMO_TEXT, DEMO_PHOTOGRAPHS = 20_000, 1_000  # how many characters and images a demo reads

M = TypeVar("M", bound=nn.Module)
Scores = Callable[[tt.Tensor], tt.Tensor]  # a model here, or the same model elsewhere


# --- The models, and what they are worth --------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """Images, (N, C, H, W), prepared for a model, and their classes, (N,)."""

    inputs: tt.Tensor
    labels: tt.Tensor

    @classmethod
    def of(cls, part: Dataset[Any], prepare: Compose) -> "Images":
        """All images of a part."""
        return cls(*next(iter(DataLoader(part, len(part), transform=prepare))))

    def accuracy(self, model: Scores) -> float:
        """The share of them that a model tells right."""
        with tt.no_grad():
            parts = [model(part).argmax(dim=1) for part in self.inputs.split(500)]
        return float((tt.concat(parts) == self.labels).float().mean().item())


@dataclass(frozen=True)
class Text:
    """The validation text of milestone 05, as tokens."""

    tokens: np.ndarray

    def loss(self, model: Scores) -> float:
        """The cross-entropy of all of it, in nats per character, in windows side by side."""
        windows = (len(self.tokens) - 1) // BLOCK
        inputs, targets = (
            self.tokens[start : start + windows * BLOCK].reshape(windows, BLOCK) for start in (0, 1)
        )
        total = 0.0
        with tt.no_grad():
            for start in range(0, windows, 32):
                scores = model(tt.from_numpy(inputs[start : start + 32]))  # (N, T, vocabulary)
                wanted = tt.from_numpy(targets[start : start + 32])
                loss = F.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="sum")
                total += loss.item()
        return total / targets.size


def convolutional() -> nn.Sequential:
    """The network of milestone 04 that reads digits."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(128, 10)),
    )


def textbook() -> nn.Sequential:
    """The network of milestone 04 that tells photographs."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4), nn.BatchNorm2d(64)),
        *(nn.Conv2d(64, 128, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(128)),
        *(nn.Flatten(), nn.Linear(2048, 352), nn.BatchNorm1d(352), nn.ReLU(), nn.Linear(352, 10)),
    )


def writer(vocabulary: int, room: int = BLOCK) -> ModernGPT:
    """The modern decoder of milestone 05; its positions are angles, so it may have more room."""
    return ModernGPT(ModernGPTConfig(vocabulary, room))


def trained(model: M, path: Path, prefix: str = "") -> M:
    """Give a model the weights that an earlier milestone ships."""
    try:
        state = nn.load(path)
        part = {
            name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)
        }
        model.load_state_dict(part)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TitoError(f"The weights of an earlier milestone, {path}: {error}") from error
    model.eval()
    return model


def read_digits() -> tuple[Subset[Any], Images]:
    """What milestone 04 learned from, and what it held out: the cut is the same in every run."""
    seen, _, held_out = random_split(Digits(), [0.7, 0.1, 0.2], tt.Generator(1986))
    return seen, Images.of(held_out, PREPARE)


def read_photographs(lab: Lab) -> Images | None:
    """The test images of CIFAR-10, where they are; nothing is downloaded for their sake."""
    try:
        photographs = CIFAR10(train=False, data_dir=lab.flags.data_dir, download=False)
    except DataError:
        lab.note(
            "CIFAR-10 is not there, so the network that tells photographs is left out. "
            "Milestone 04 downloads it; --data-dir names the folder that its folder is in."
        )
        return None
    images = Images.of(photographs, COLOURS)
    if lab.mode == "demo":
        return Images(images.inputs[:DEMO_PHOTOGRAPHS], images.labels[:DEMO_PHOTOGRAPHS])
    return images


def part_of_plays(lab: Lab, text: Text) -> str:
    """What of the validation text is read, in words."""
    part = f"the first {len(text.tokens):,} characters of " if lab.mode == "demo" else ""
    return f"{part}the validation text"


def part_of_photographs(lab: Lab, images: Images) -> str:
    """Which test images are told, in words."""
    return f"{'the first' if lab.mode == 'demo' else 'all'} {len(images.labels):,} test images"


# --- A smaller network learns from the larger ---------------------------------------------------


def distil(lab: Lab, teacher: nn.Module, student: nn.Module, seen: Dataset[Any]) -> nn.Module:
    """What is left of a network after pruning learns from the scores of the whole."""
    student = copy.deepcopy(student)
    loader = DataLoader(seen, lab.batch_size, shuffle=True, transform=PREPARE)
    optimizer = AdamW(student.parameters(), PEAK, weight_decay=0.01)
    scheduler = OneCycleLR(
        optimizer, PEAK, epochs=lab.epochs, steps_per_epoch=len(loader), cycle_momentum=False
    )
    criterion = DistillationLoss(temperature=4.0, alpha=0.9)
    student.train()
    for _ in lab.progress(range(lab.epochs), "The smaller network learns from the larger"):
        for images, labels in loader:
            with tt.no_grad():
                scores = teacher(images)
            optimizer.zero_grad()
            criterion(student(images), scores, labels).backward()
            optimizer.step()
            scheduler.step()
    student.eval()
    return student


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Profile, change step by step, compare, export."""
    tt.manual_seed(lab.seed)
    board = Leaderboard(board_beside(lab.flags.report_dir))
    board.rows()  # what is wrong with its file is told now, and not at the end
    with lab.timed("data"):
        seen, held_out = read_digits()
        plays = TinyShakespeare(train=False)
        tokenizer = CharTokenizer(plays.characters)
        text = Text(np.array(tokenizer.encode(plays.text)))
    reader = trained(convolutional(), DIGITS, "convolutional.")
    author = trained(writer(tokenizer.vocab_size), PLAYS)
    tokens = tt.from_numpy(text.tokens[None, :BLOCK])
    if lab.mode == "test-only":
        return systems(lab, reader, held_out)
    if lab.mode == "demo":
        text = Text(text.tokens[:DEMO_TEXT])

    look_at(lab, {"reads digits": (reader, held_out.inputs), "writes plays": (author, tokens)})
    with lab.timed("train"):
        pruned = prune_channels(reader, Images.of(seen, PREPARE).inputs, amount=REMOVED)
        student = distil(lab, reader, pruned, seen)
    with lab.timed("evaluate"):
        read = optimize(
            reader,
            {
                "fewer channels": lambda _: pruned,
                "distillation": lambda _: student,
                "int8 weights": lambda model: quantize(model, per_channel=False),
            },
            held_out.inputs,
            score=held_out.accuracy,
        )
        alone = optimize(
            reader,
            {"int8 weights": lambda model: quantize(model, per_channel=False)},
            held_out.inputs,
            score=held_out.accuracy,
        )
        wrote = optimize(
            author,
            {
                "int8 weights": quantize,
                "int4 weights instead": lambda _: quantize(author, "int4"),
            },
            score=text.loss,
            run=write,
            repeats=5,
        )
    show_digits(lab, read, alone)
    show_plays(lab, wrote, text)
    show_cache(lab, author)
    one = held_out.inputs[:1]
    served = [
        Served("digits", "accuracy", reader, one, held_out.accuracy, score(read.steps[0])),
        Served(
            *("plays", "loss", author, tokens, text.loss, score(wrote.steps[0])),
            part_of_plays(lab, text),
        ),
    ]
    integers = {"digits": alone, "plays": wrote}
    photographs = read_photographs(lab)
    if photographs is not None:
        teller = trained(textbook(), CIFAR)
        told = integers["photographs"] = show_photographs(lab, teller, photographs)
        one, here = photographs.inputs[:1], score(told.steps[0])
        part = part_of_photographs(lab, photographs)
        served.append(
            Served("photographs", "accuracy", teller, one, photographs.accuracy, here, part)
        )
    judge_integers(lab, integers)
    show_serving(lab, served)
    show_front(lab, read, wrote)
    compete(lab, student, board)
    systems(lab, reader, held_out)


def write(model: nn.Module) -> None:
    """Write a few characters, always the same."""
    assert isinstance(model, ModernGPT)
    nn.generate(model, tt.zeros(1, 1, dtype="int64"), WRITTEN, generator=tt.Generator(0))


def look_at(lab: Lab, models: dict[str, tuple[nn.Module, tt.Tensor]]) -> None:
    """Where parameters, work and time are, and how near it is to what the machine can do."""
    machine = measure_machine()
    lab.heading("Where the time goes")
    lab.note(
        f"This machine multiplies matrices with {machine.peak_flops / 1e9:.0f} GFLOP/s and copies "
        f"{machine.bandwidth / 1e9:.1f} GB/s, measured a moment ago with {machine.threads} "
        f"thread(s). Work that does fewer than {machine.ridge:.0f} FLOPs for each byte that it "
        "moves waits for memory."
    )
    for name, (model, inputs) in models.items():
        found = profile(model, inputs, backward=False, repeats=5)
        whole = found.forward
        lab.table(
            f"What {name}: a batch of {inputs.shape[0]}",
            ("Layer", "Parameters", "FLOPs", "Bytes moved", "FLOPs a byte", "Share of the time"),
            [
                (
                    f"{layer.name} {layer.kind}".strip(),
                    layer.parameters,
                    layer.forward.flops,
                    layer.forward.bytes,
                    f"{layer.forward.intensity:.1f}",
                    f"{layer.forward.seconds / whole.seconds:.0%}",
                )
                for layer in sorted(found.layers, key=lambda each: -each.forward.seconds)[:8]
            ],
        )
        lab.note(
            f"In all {whole.flops / 1e6:,.1f} MFLOP in {1000 * whole.seconds:.2f} ms: "
            f"{whole.flops_per_second / machine.peak_flops:.0%} of the peak. Watching it took "
            f"{found.overhead:.1%} of its time."
        )


def rows_of(result: Optimized) -> list[tuple[str, str, str, str, str]]:
    """A row for each step: size in memory and in a file, speed, and what it is worth."""
    return [
        (
            step.name,
            f"{step.memory_bytes:,}",
            f"{step.file_bytes:,}",
            "1" if step.original is None else f"{speedup(step):.2f}",
            f"{step.score:.4f}",
        )
        for step in result.steps
    ]


COLUMNS = ("Step", "Bytes in memory", "Bytes in a file", "Times as fast")


def show_digits(lab: Lab, read: Optimized, alone: Optimized) -> None:
    """What each step was worth to the network that reads digits."""
    whole, _, small, _ = read.steps
    lab.metric("digits_small_speedup", speedup(small))
    lab.metric("digits_small_accuracy_drop", score(whole) - score(small))
    lab.heading("Reading digits in less")
    lab.table("Step by step", (*COLUMNS, "Held-out accuracy"), rows_of(read))
    lab.table("Integers alone", (*COLUMNS, "Held-out accuracy"), rows_of(alone))
    lab.note(
        "Channels are removed, not zeroed: matrices get smaller, so that products take less time. "
        "What is left learns from the scores of the whole network. Integers make the model "
        "smaller, not faster: floats are made of them before they are multiplied. In a file this "
        "small, the names of the tensors weigh as much as some of their values."
    )


def show_plays(lab: Lab, wrote: Optimized, text: Text) -> None:
    """What each step was worth to the writer."""
    lab.heading("Writing plays in less")
    lab.table("Step by step", (*COLUMNS, "Nats per character"), rows_of(wrote))
    lab.note(
        f"Timed is the writing of {WRITTEN} characters: with weights of floats each goes through a "
        "block as one op, with integers part by part. The loss is that of "
        f"{part_of_plays(lab, text)}, which no weight was chosen by."
    )


def judge_integers(lab: Lab, results: Mapping[str, Optimized]) -> None:
    """What weights of eight bits save and cost; the bar is for the model that fares worst."""
    saved_memory, saved_file, lost = [], [], []
    for name, result in results.items():
        whole, integers, *_ = result.steps
        saved_memory.append(whole.memory_bytes / integers.memory_bytes)
        saved_file.append(whole.file_bytes / integers.file_bytes)
        lab.metric(f"{name}_int8_memory_ratio", saved_memory[-1])
        lab.metric(f"{name}_int8_file_ratio", saved_file[-1])
        if name == "plays":
            lab.metric("plays_int8_loss_increase", score(integers) / score(whole) - 1)
        else:
            lost.append(score(whole) - score(integers))
            lab.metric(f"{name}_int8_accuracy_drop", lost[-1])
    lab.metric("int8_memory_ratio", min(saved_memory))
    lab.metric("int8_file_ratio", min(saved_file))
    lab.metric("int8_accuracy_drop", max(lost))


def score(step: Step) -> float:
    """What a step is worth."""
    assert step.score is not None  # each pipeline here has one
    return step.score


def speedup(step: Step) -> float:
    """How many times as fast as the original a step is."""
    assert step.original is not None  # only the original has none
    return step.original.speedup


def show_cache(lab: Lab, author: ModernGPT) -> None:
    """Keys and values that are kept instead of computed again."""
    roomy = writer(author.config.vocab_size, LONG + 1)
    roomy.load_state_dict(author.state_dict())
    roomy.eval()
    start = tt.zeros(1, 1, dtype="int64")
    texts: dict[bool, np.ndarray] = {}

    def write_long(use_cache: bool) -> None:  # by the same random numbers each time
        text = nn.generate(roomy, start, LONG, use_cache=use_cache, generator=tt.Generator(0))
        texts[use_cache] = text.numpy()[0, 1:]

    with lab.timed("evaluate"):
        times = compare(
            lambda: write_long(True),
            lambda: write_long(False),
            warmup=0,
            repeats=1 if lab.mode == "demo" else 3,
        )
    apart = np.flatnonzero(texts[True] != texts[False])
    same = f"for the first {apart[0]} characters only" if len(apart) else "to the last character"
    lab.metric("cache_speedup", times.speedup)
    lab.heading("Keys and values that are kept")
    lab.note(
        f"Writing {LONG} characters takes {times.function.median:.2f} s with the cache and "
        f"{times.baseline.median:.2f} s without, {times.speedup:.1f} times as long: without it, "
        "every character is computed again for each one that follows. From the same random numbers "
        f"comes the same text, {same}."
    )


def show_photographs(lab: Lab, teller: nn.Module, images: Images) -> Optimized:
    """The network of milestone 04 that tells photographs."""
    with lab.timed("evaluate"):
        result = optimize(
            teller, {"int8 weights": quantize}, images.inputs[:64], score=images.accuracy, repeats=5
        )
    lab.heading("Telling photographs in less")
    title = f"Step by step, on {part_of_photographs(lab, images)}"
    lab.table(title, (*COLUMNS, "Test accuracy"), rows_of(result))
    return result


# --- Another program, and a contest -------------------------------------------------------------


@dataclass(frozen=True)
class Served:
    """A model to be run by another program, how it is judged, and what it is worth here."""

    name: str
    quality: str
    model: nn.Module
    inputs: tt.Tensor
    worth: Callable[[Scores], float]
    here: float
    data: str = "all that is held out"


def in_onnxruntime(path: Path) -> Scores:
    """An exported model, run by onnxruntime."""
    running = onnxruntime.InferenceSession(path)
    entry = running.get_inputs()[0].name

    def scores(inputs: tt.Tensor) -> tt.Tensor:
        (found,) = running.run(None, {entry: inputs.numpy()})
        return tt.from_numpy(found)

    return scores


def show_serving(lab: Lab, models: Sequence[Served]) -> None:
    """The same models as files for another program: how fast, and worth as much?"""
    times, worths = [], []
    with lab.timed("evaluate"), tempfile.TemporaryDirectory() as folder:
        for each in models:
            path = Path(folder, f"{each.name}.onnx")
            export(each.model, each.inputs, path)
            for served in compare_serving(path, each.model, each.inputs, [1, 64], repeats=3):
                times.append((each.name, str(served.batch_size), served.speedup))
            there = each.worth(in_onnxruntime(path))
            lab.metric(f"{each.name}_{each.quality}", each.here)
            lab.metric(f"{each.name}_{each.quality}_in_onnxruntime", there)
            judged = (each.name, each.quality, each.data, f"{each.here:.4f}", f"{there:.4f}")
            worths.append((*judged, each.here - there))
    lab.metric("onnxruntime_difference", max(abs(row[-1]) for row in worths))
    lab.heading("Served by another program")
    lab.table("Exported to ONNX", ("Model", "Batch", "Times as fast as here"), times)
    lab.table(
        "What the same weights are worth",
        ("Model", "Judged by", "On", "Here", "In onnxruntime", "Difference"),
        worths,
    )


@dataclass(frozen=True)
class Entry:
    """What competes in TinyMLPerf: in the open division with weights of its own."""

    name: str
    task: str
    event: Event
    division: Division
    passes: tuple[Mapping[str, object], ...]
    model: nn.Module | None = None


def compete(lab: Lab, student: nn.Module, board: Leaderboard) -> None:
    """Submit what was made here, as anyone would: measured again, or it does not rank."""
    coarse = {"pass": "int8_weights", "per_channel": False}
    entries = [
        Entry("Distilled", "digits-cnn", "all-round", "open", (), student),
        Entry("Distilled, int8", "digits-cnn", "all-round", "open", (coarse,), student),
    ]
    if lab.mode != "demo":  # it reads the whole validation text four times
        int8 = {"pass": "int8_weights"}
        entries.append(Entry("Int8", "shakespeare-gpt", "size", "closed", (int8,)))
    bench = Bench(MILESTONES.parent, lab.flags.data_dir)
    verdicts = []
    with lab.timed("evaluate"):
        for entry in lab.progress(entries, "What was made here competes"):
            verdicts.append(submit(entry, bench, board, lab.flags.report_dir, lab.seed))
    lab.metric("submissions_verified", sum(verdict.accepted for verdict in verdicts))
    lab.heading("TinyMLPerf")
    lab.table(
        "What was submitted",
        ("Entry", "Task", "Event", "Division", "Verdict"),
        [
            (each.name, each.task, each.event, each.division, " ".join(verdict.reasons) or "ranks")
            for each, verdict in zip(entries, verdicts, strict=True)
        ],
    )
    own = {
        (each.submission.task, each.submission.reference_sha256, each.submission.data_sha256)
        for each in verdicts
        if each.submission is not None
    }
    lab.table(
        "The leaderboard of these tasks",
        ("Rank", "Name", "Task", "Event", "Division", "Times better", "From", "To"),
        [
            (
                *(row.place, row.name, row.task, row.event, row.division),
                *(row.score.ratio, row.score.low, row.score.high),
            )
            for row in board.rows()
            if (row.task, row.reference_sha256, row.data_sha256) in own
        ],
    )
    lab.note(
        "Times better than the reference model, in the mean of all five figures where the event is "
        "all-round, from the least to the most that was measured; of each name the best result is "
        f"kept. tito leaderboard --file {board.path} show shows it, add takes in what others hand "
        "in, html makes a page of it."
    )


def board_beside(folder: Path) -> Path:
    """The leaderboard that `tito leaderboard` looks for, if the report is where reports are."""
    reports = (parent for parent in folder.parents if parent.name == "reports")
    return next(reports, folder) / "leaderboard.sqlite"


def submit(entry: Entry, bench: Bench, board: Leaderboard, folder: Path, seed: int) -> Verdict:
    """Measure an entry, write its folder, and have it verified."""
    task = bench.task(entry.task)
    model = task.model if entry.model is None else describe(entry.model)
    place = folder / "submissions" / f"{entry.task}-{entry.name.lower().replace(', ', '-')}"
    with tempfile.TemporaryDirectory() as own:
        weights = None
        if entry.model is not None:
            weights = Path(own, "model.safetensors")
            nn.save(entry.model.state_dict(), weights)
        submission = run(
            bench, bench.open(task), entry.event, Configuration(model, entry.passes), weights,
            name=f"Milestone 06: {entry.name}", division=entry.division, seed=seed,
        )  # fmt: skip
    write_submission(submission, place)
    verdict = board.add(place, bench)
    if verdict.accepted and verdict.submission is not None:
        replace_figures(place, verdict.submission)
    return verdict


# --- What is worth it, and what it costs to learn -----------------------------------------------


def show_front(lab: Lab, read: Optimized, wrote: Optimized) -> None:
    """Which steps are worth taking: none that another beats in everything."""
    lab.heading("What is worth it")
    lab.picture(
        "front",
        lambda figure: draw_fronts(figure, {"Reads digits": read, "Writes plays": wrote}),
        alt="Two panels with a point for each step: its size in memory and what it is worth; each "
        "is labelled with the step and its speed.",
        caption="The size in memory of each step, what it is worth (a high accuracy, a low loss), "
        "and its speed beside the original's. Filled points are on the front: no other is at "
        "least as small, as fast and as good, and better in one of the three.",
        size=(5.6, 6.0),
    )


def systems(lab: Lab, model: nn.Module, held_out: Images) -> None:
    """What it costs to learn."""
    images, labels = held_out.inputs[:64], held_out.labels[:64]
    lab.systems(
        model,
        images,
        step=training_step(model, images, labels),
        growth={"batch size": (lambda size: step_of_batch(model, size), (32, 128, 512))},
    )


def training_step(model: nn.Module, images: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step up to the gradients, to be measured."""
    parameters = list(model.parameters())
    return lambda: tt.grad(F.cross_entropy(model(images), labels), parameters)


def step_of_batch(model: nn.Module, size: int) -> Callable[[], object]:
    """A training step on a batch of that size."""
    return training_step(model, tt.randn(size, 1, 8, 8), tt.randint(0, 10, (size,)))


# --- The pictures -------------------------------------------------------------------------------


def on_front(steps: tuple[Step, ...], *, high_is_better: bool) -> list[bool]:
    """Whether no other step is as small, as fast and as good, and better in one of the three."""
    sign = -1 if high_is_better else 1
    costs = [(step.memory_bytes, ratio(step), sign * score(step)) for step in steps]
    return [
        not any(
            all(a <= b for a, b in zip(other, own, strict=True)) and other != own for other in costs
        )
        for own in costs
    ]


def ratio(step: Step) -> float:
    """The time of a step as a share of the original's."""
    return 1.0 if step.original is None else step.original.ratio


def draw_fronts(figure: Figure, results: dict[str, Optimized]) -> None:
    """A panel for each model: size, what each step is worth, and how fast it is."""
    worth = ("held-out accuracy", "nats per character")
    for axes, (title, result), unit in zip(
        figure.subplots(2, 1), results.items(), worth, strict=True
    ):
        best = on_front(result.steps, high_is_better=unit == worth[0])
        points = [(step.memory_bytes / 1024, score(step)) for step in result.steps]
        for step, point, filled in zip(result.steps, points, best, strict=True):
            axes.plot(*point, "o", color="C0" if filled else "none", mec="C0", ms=9, mew=2)
            axes.annotate(
                f"{step.name}\n{1 / ratio(step):.2f} times as fast", point, xytext=(0, -9),
                textcoords="offset points", ha="center", va="top", fontsize=9.5,
            )  # fmt: skip
        smallest, largest = min(points)[0], max(points)[0]
        axes.set(title=title, xlabel="KiB in memory", ylabel=unit, xscale="log")
        axes.set_xlim(smallest / 2, largest * 2)
        axes.set_xticks([point[0] for point in points], [f"{point[0]:,.1f}" for point in points])
        axes.minorticks_off()
        axes.margins(y=0.35)


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={
            "int8_memory_ratio": at_least(3.5),
            "int8_file_ratio": at_least(3.5),
            "int8_accuracy_drop": at_most(0.005),
            "plays_int8_loss_increase": at_most(0.01),
            "digits_small_speedup": at_least(2),
            "digits_small_accuracy_drop": at_most(0.01),
            "cache_speedup": at_least(5),
            "onnxruntime_difference": at_most(0.001),  # points of accuracy as a share, or nats
            "submissions_verified": at_least(1),
        },
        epochs=20,
        demo_epochs=5,
        batch_size=32,
        threads=1,  # what is served one at a time is small
    )
    sys.exit(milestone.run(experiment))

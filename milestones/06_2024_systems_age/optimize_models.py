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
#     "tt-tito>=0.1,<0.2",
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
costs.

Sources: Y. LeCun, J. S. Denker and S. A. Solla, Optimal Brain Damage, 1989. S. Han, H. Mao and
W. J. Dally, Deep Compression, 2015. G. Hinton, O. Vinyals and J. Dean, Distilling the Knowledge in
a Neural Network, 2015. B. Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, 2018. S. Williams, A. Waterman and D. Patterson, Roofline, 2009.
P. Mattson et al., MLPerf Training Benchmark, 2019.
"""

import sys
import tempfile
from collections.abc import Callable
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

M = TypeVar("M", bound=nn.Module)


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

    def accuracy(self, model: nn.Module) -> float:
        """The share of them that a model tells right."""
        with tt.no_grad():
            parts = [model(part).argmax(dim=1) for part in self.inputs.split(500)]
        return float((tt.concat(parts) == self.labels).float().mean().item())


@dataclass(frozen=True)
class Text:
    """The validation text of milestone 05, as tokens."""

    tokens: np.ndarray

    def loss(self, model: nn.Module) -> float:
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
        return Images.of(CIFAR10(train=False, data_dir=lab.flags.data_dir, download=False), COLOURS)
    except DataError:
        return None


# --- A smaller network learns from the larger ---------------------------------------------------


def distil(lab: Lab, teacher: nn.Module, seen: Dataset[Any]) -> Callable[[nn.Module], nn.Module]:
    """A pass: what is left of a network after pruning learns from the scores of the whole."""

    def learn(student: nn.Module) -> nn.Module:
        loader = DataLoader(seen, lab.batch_size, shuffle=True, transform=PREPARE)
        optimizer = AdamW(student.parameters(), PEAK, weight_decay=0.01)
        steps = len(loader)
        scheduler = OneCycleLR(
            optimizer, PEAK, epochs=lab.epochs, steps_per_epoch=steps, cycle_momentum=False
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
        return student

    return learn


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Profile, change step by step, compare, export."""
    tt.manual_seed(lab.seed)
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
        text = Text(text.tokens[:20_000])

    look_at(lab, {"reads digits": (reader, held_out.inputs), "writes plays": (author, tokens)})
    with lab.timed("evaluate"):
        read = optimize(
            reader,
            {
                "fewer channels": lambda model: prune_channels(
                    model, held_in(seen), amount=REMOVED
                ),
                "distillation": distil(lab, reader, seen),
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
    show_plays(lab, wrote)
    show_cache(lab, author)
    show_photographs(lab)
    show_serving(lab, reader, author, held_out, text)
    show_front(lab, read, wrote)
    systems(lab, reader, held_out)


def write(model: nn.Module) -> None:
    """Write a few characters, always the same."""
    assert isinstance(model, ModernGPT)
    nn.generate(model, tt.zeros(1, 1, dtype="int64"), WRITTEN, generator=tt.Generator(0))


def held_in(seen: Dataset[Any]) -> tt.Tensor:
    """Images that it has learned from, to see which channels matter."""
    return Images.of(seen, PREPARE).inputs


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
            "1" if step.original is None else f"{step.original.speedup:.2f}",
            f"{step.score:.4f}",
        )
        for step in result.steps
    ]


COLUMNS = ("Step", "Bytes in memory", "Bytes in a file", "Times as fast")


def show_digits(lab: Lab, read: Optimized, alone: Optimized) -> None:
    """What each step was worth to the network that reads digits."""
    whole, _, small, _ = read.steps
    integers = alone.steps[-1]
    lab.metric("digits_int8_memory_ratio", whole.memory_bytes / integers.memory_bytes)
    lab.metric("digits_int8_file_ratio", whole.file_bytes / integers.file_bytes)
    lab.metric("digits_int8_accuracy_drop", score(whole) - score(integers))
    lab.metric("digits_small_speedup", small.original.speedup if small.original else 0.0)
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


def show_plays(lab: Lab, wrote: Optimized) -> None:
    """What each step was worth to the writer."""
    whole, integers, _ = wrote.steps
    lab.metric("plays_int8_memory_ratio", whole.memory_bytes / integers.memory_bytes)
    lab.metric("plays_int8_file_ratio", whole.file_bytes / integers.file_bytes)
    lab.metric("plays_int8_loss_increase", score(integers) / score(whole) - 1)
    lab.heading("Writing plays in less")
    lab.table("Step by step", (*COLUMNS, "Nats per character"), rows_of(wrote))
    lab.note(
        f"Timed is the writing of {WRITTEN} characters. The loss is that of the validation text, "
        "which no weight was chosen by."
    )


def score(step: Step) -> float:
    """What a step is worth."""
    assert step.score is not None  # each pipeline here has one
    return step.score


def show_cache(lab: Lab, author: ModernGPT) -> None:
    """Keys and values that are kept instead of computed again."""
    roomy = writer(author.config.vocab_size, LONG + 1)
    roomy.load_state_dict(author.state_dict())
    roomy.eval()
    start = tt.zeros(1, 1, dtype="int64")
    with lab.timed("evaluate"):
        times = compare(
            lambda: nn.generate(roomy, start, LONG),
            lambda: nn.generate(roomy, start, LONG, use_cache=False),
            warmup=0,
            repeats=1 if lab.mode == "demo" else 3,
        )
    lab.metric("cache_speedup", times.speedup)
    lab.heading("Keys and values that are kept")
    lab.note(
        f"Writing {LONG} characters takes {times.function.median:.2f} s with the cache and "
        f"{times.baseline.median:.2f} s without, {times.speedup:.1f} times as long: without it, "
        "every character is computed again for each one that follows. What is written is the same."
    )


def show_photographs(lab: Lab) -> None:
    """The network of milestone 04 that tells photographs, where there are photographs."""
    lab.heading("Photographs")
    images = read_photographs(lab)
    if images is None:
        lab.note(
            "CIFAR-10 is not there, so the network that tells photographs was left out. "
            "Milestone 04 downloads it; --data-dir names the folder that its folder is in."
        )
        return
    if lab.mode == "demo":
        images = Images(images.inputs[:1000], images.labels[:1000])
    batch = images.inputs[:64]
    with lab.timed("evaluate"):
        result = optimize(
            trained(textbook(), CIFAR), {"int8 weights": quantize}, batch,
            score=images.accuracy, repeats=5,
        )  # fmt: skip
    whole, integers = result.steps
    lab.metric("photographs_int8_memory_ratio", whole.memory_bytes / integers.memory_bytes)
    lab.metric("photographs_int8_file_ratio", whole.file_bytes / integers.file_bytes)
    lab.metric("photographs_int8_accuracy_drop", score(whole) - score(integers))
    lab.table("Step by step", (*COLUMNS, "Test accuracy"), rows_of(result))


def show_serving(
    lab: Lab, reader: nn.Module, author: ModernGPT, held_out: Images, text: Text
) -> None:
    """The same models as files for another program."""
    rows = []
    with lab.timed("evaluate"), tempfile.TemporaryDirectory() as folder:
        tokens = tt.from_numpy(text.tokens[None, :BLOCK])
        for name, model, inputs in (
            ("reads digits", reader, held_out.inputs[:1]), ("writes plays", author, tokens),
        ):  # fmt: skip
            path = Path(folder, "model.onnx")
            export(model, inputs, path)
            for served in compare_serving(path, model, inputs, [1, 64], repeats=3):
                rows.append(
                    (name, served.batch_size or 1, served.speedup, f"{served.difference:.1e}")
                )
            if model is reader:
                running = onnxruntime.InferenceSession(path)
                entry = running.get_inputs()[0].name
                (scores,) = running.run(None, {entry: held_out.inputs.numpy()})
                right = scores.argmax(axis=1) == held_out.labels.numpy()
                lab.metric("digits_accuracy_in_onnxruntime", right.mean())
        lab.metric("digits_accuracy", held_out.accuracy(reader))
    lab.heading("Served by another program")
    lab.table(
        "Exported to ONNX, and run by onnxruntime",
        ("Model", "Batch", "Times as fast as here", "Largest difference"),
        rows,
    )


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
            "digits_int8_memory_ratio": at_least(3.5),
            "digits_int8_file_ratio": at_least(3.5),
            "digits_int8_accuracy_drop": at_most(0.005),
            "digits_small_speedup": at_least(2),
            "digits_small_accuracy_drop": at_most(0.01),
            "plays_int8_memory_ratio": at_least(3.5),
            "plays_int8_file_ratio": at_least(3.5),
            "plays_int8_loss_increase": at_most(0.01),
            "cache_speedup": at_least(5),
        },
        epochs=20,
        demo_epochs=5,
        batch_size=32,
        threads=1,  # what is served one at a time is small
    )
    sys.exit(milestone.run(experiment))

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
"""One small set of weights looks everywhere.

A hidden unit of 1986 looks at the whole image. What it learns about a stroke in one place it does
not know one pixel further: there other weights meet it, which have to learn it anew. In 1980
Kunihiko Fukushima had built a network after what Hubel and Wiesel had found in the cat's visual
cortex: units that see a small patch only, and all with the same weights, so that they find the same
feature wherever it stands; and units above them that say it is about there, and forget where
exactly. It organised itself. From 1989 on Yann LeCun taught such a network by backpropagation, to
read the zip codes of the post office of Buffalo: the convolutional network.

Here one reads the digits of the last milestone, beside a network of the 1986 kind with the same
number of weights. On digits that stand as all others do, the two do about equally well. Then every
held-out digit is moved by a single pixel, which no reader would notice.

Sources: K. Fukushima, Neocognitron, Biological Cybernetics, 1980. Y. LeCun, B. Boser, J. S. Denker,
D. Henderson, R. E. Howard, W. Hubbard and L. D. Jackel, Backpropagation Applied to Handwritten Zip
Code Recognition, Neural Computation, 1989. Digits: E. Alpaydin and C. Kaynak, Optical Recognition
of Handwritten Digits, UCI, 1998. The step: I. Loshchilov and F. Hutter, Decoupled Weight Decay
Regularization, 2019; L. N. Smith and N. Topin, Super-Convergence, 2018.
"""

import sys
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import Compose, DataLoader, Digits, Normalize, Subset, ToFloat, random_split
from tt_optim import AdamW, OneCycleLR, Trainer
from tt_tito import Lab, Milestone, at_least
from tt_tito.pictures import Curve, draw_confusion, draw_curves, draw_images, tint

PEAK = 0.01  # of the learning rate
WEIGHT_DECAY = 0.01
SOFTENED = 0.1  # of each label is spread over all ten digits
PREPARE = Compose([ToFloat(16), Normalize(0, 0.376)])  # blank stays 0, as padding is
ONE_PIXEL = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right

Images = Subset[Any]  # pairs of an image and its label


# --- The data -----------------------------------------------------------------------------------


def read_digits() -> tuple[Images, Images, Images]:
    """Images to learn from, to watch the learning by, and to hold out until the end.

    The cut is the same in every run, whatever its seed, and that of milestone 03.
    """
    seen, validation, held_out = random_split(Digits(), [0.7, 0.1, 0.2], tt.Generator(1986))
    return seen, validation, held_out


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images, (N, 1, 8, 8), moved by whole pixels; what leaves is lost, what comes in is blank."""
    rim = max(abs(down), abs(right))
    padded = np.pad(images, ((0, 0), (0, 0), (rim, rim), (rim, rim)))
    top, left = rim - down, rim - right
    return padded[:, :, top : top + 8, left : left + 8]


# --- The models, and how they learn -------------------------------------------------------------


def convolutional(channels: int = 16) -> nn.Sequential:
    """Two layers of features, each found everywhere, then merged over places."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),  # (N, 1, 8, 8) -> (N, 16, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (N, 16, 4, 4)
        nn.Conv2d(channels, 2 * channels, 3, padding=1),  # -> (N, 32, 4, 4)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (N, 32, 2, 2)
        nn.Flatten(),  # -> (N, 128)
        nn.Linear(8 * channels, 10),
    )


def fully_connected(parameters: int) -> nn.Sequential:
    """One hidden layer, as wide as it takes to have about that many parameters."""
    width = round((parameters - 10) / (64 + 1 + 10))  # weights in, bias, weights out
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def size(model: nn.Module) -> int:
    """How many numbers a model can adjust."""
    return sum(parameter.numel() for parameter in model.parameters())


def hits(scores: tt.Tensor, labels: tt.Tensor) -> float:
    """The share of images whose digit has the highest score."""
    return (scores.argmax(dim=1) == labels).float().mean().item()


def learn(lab: Lab, model: nn.Module, seen: Images, validation: Images) -> Curve:
    """AdamW with one cycle of the learning rate; what is misread of the validation images, in %."""
    if not lab.epochs:
        return []
    loader = DataLoader(seen, lab.batch_size, shuffle=True, transform=PREPARE)
    optimizer = AdamW(model.parameters(), PEAK, weight_decay=WEIGHT_DECAY)
    scheduler = OneCycleLR(
        optimizer, PEAK, epochs=lab.epochs, steps_per_epoch=len(loader), cycle_momentum=False
    )
    criterion = nn.CrossEntropyLoss(label_smoothing=SOFTENED)
    trainer = Trainer(model, optimizer, criterion, scheduler=scheduler, metrics={"hits": hits})
    watched: DataLoader[Any] = DataLoader(validation, len(validation), transform=PREPARE)
    history = trainer.fit(loader, epochs=lab.epochs, evaluation=watched)
    return [(record["epoch"], 100 * (1 - record["val_hits"])) for record in history]


def pixels(part: Images) -> tuple[np.ndarray, np.ndarray]:
    """The images of a part as they were scanned, (N, 1, 8, 8), and their labels, (N,)."""
    loader: DataLoader[Any] = DataLoader(part, len(part))
    images, labels = next(iter(loader))
    return images.numpy(), labels.numpy()


def answers(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """The digit that the model finds most likely, for each image: (N,)."""
    with tt.no_grad():
        return np.asarray(model(PREPARE(tt.from_numpy(images))).argmax(dim=1).numpy())


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images that are read right."""
    return float((answers(model, images) == labels).mean())


def accuracies(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share read right of images shifted by -2 to 2 pixels, down (rows) and right: (5, 5)."""
    steps = range(-2, 3)
    return np.array(
        [
            [accuracy(model, shifted(images, down, right), labels) for right in steps]
            for down in steps
        ]
    )


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Read digits with and without convolutions, and then the same digits one pixel further."""
    tt.manual_seed(lab.seed)
    with lab.timed("data"):
        seen, validation, held_out = read_digits()

    conv = convolutional()
    mlp = fully_connected(size(conv))
    together = nn.ModuleDict({"convolutional": conv, "fully_connected": mlp})
    if lab.mode == "test-only":
        return systems(lab, conv, seen)
    if lab.mode == "pretrained":
        lab.load_weights(together)
    with lab.timed("train"):
        conv_errors = learn(lab, conv, seen, validation)
        mlp_errors = learn(lab, mlp, seen, validation)
    lab.save_weights(together, half=True)
    with lab.timed("evaluate"):
        images, labels = pixels(held_out)
        conv_shifts, mlp_shifts = (accuracies(m, images, labels) for m in (conv, mlp))
    conv_one, mlp_one = one_pixel(conv_shifts), one_pixel(mlp_shifts)
    lab.metric("held_out_accuracy", conv_shifts[2, 2])
    lab.metric("shifted_accuracy", conv_one)
    lab.metric("mlp_held_out_accuracy", mlp_shifts[2, 2])
    lab.metric("mlp_shifted_accuracy", mlp_one)
    lab.metric("gain_under_shifts", conv_one - mlp_one)

    lab.heading("Reading digits, and the same digits one pixel further")
    lab.note(
        f"Of {len(Digits()):,} digits, {len(seen):,} are learned from, {len(validation)} show how "
        f"the learning goes, and {len(held_out)} are held out. The convolutional network has "
        f"{size(conv):,} parameters, the one with a hidden layer {size(mlp):,}. Neither has ever "
        "seen a digit out of its place."
    )
    if lab.epochs:
        lab.picture(
            "learning",
            lambda figure: draw_curves(
                figure,
                {"Misread, %": {"convolutions": conv_errors, "hidden layer": mlp_errors}},
                xlabel="epoch",
            ),
            alt="The percentage of validation images that are misread falls within a few epochs "
            "to about one in a hundred, for both networks.",
            caption="How many of the validation images are misread: where every digit is in its "
            "place, there is little between the two.",
            size=(5.6, 3.2),
        )
    lab.picture(
        "shifts",
        lambda figure: draw_shifts(
            figure, {"Convolutions": conv_shifts, "Hidden layer": mlp_shifts}
        ),
        alt="Two tables of five by five places: the share of held-out digits read right after "
        "shifts of up to two pixels. Both are highest in the middle and fall outwards, the "
        "one of the hidden layer much faster.",
        caption="The held-out digits read right, in %, when they are moved by so many pixels. "
        f"One pixel up, down, left or right: {conv_one:.0%} with convolutions, {mlp_one:.0%} "
        "with a hidden layer. A digit fills its 8 rows, so moving it up or down also cuts it.",
        size=(5.6, 3.2),
    )
    lab.note(
        "What convolutions and pooling find is the same one pixel further. That is not all of the "
        "network: pooling takes its 2 by 2 pixels from fixed places, and the last layer still "
        "weighs each of its 2 by 2 places apart."
    )
    show_features(lab, conv, images)
    show_mistakes(lab, conv, images, labels)
    systems(lab, conv, seen)


def one_pixel(shifts: np.ndarray) -> float:
    """The mean over shifts by one pixel of a table of shifts by -2 to 2 pixels."""
    return float(np.mean([shifts[2 + down, 2 + right] for down, right in ONE_PIXEL]))


def show_features(lab: Lab, conv: nn.Sequential, images: np.ndarray) -> None:
    """What the first layer looks for, and where it finds that in one digit."""
    weights = next(conv.parameters()).detach().numpy()  # (16, 1, 3, 3)
    with tt.no_grad():
        maps = nn.Sequential(conv[0], conv[1])(PREPARE(tt.from_numpy(images[:1]))).numpy()
    lab.heading("What it looks for, and where it finds it")
    lab.picture(
        "filters",
        lambda figure: draw_images(figure, weights[:, 0], columns=8, signed=True),
        alt="Sixteen images of three by three weights: edges in several directions, corners and "
        "dots, with one side positive and the other negative.",
        caption="The sixteen features of the first layer: blue where they want ink, orange where "
        "they want none. Each is nine numbers, used at all 64 places.",
        size=(5.6, 1.6),
    )
    lab.picture(
        "feature_maps",
        lambda figure: draw_images(figure, np.concatenate([images[0], maps[0]]), columns=6),
        alt="A held-out digit, and sixteen images of the same size: in each, other parts of its "
        "strokes are dark, here the left edges, there the ends.",
        caption="The first held-out digit, and after it where each of the sixteen features is "
        "found in it, the more the darker.",
        size=(5.6, 2.9),
    )


def show_mistakes(lab: Lab, model: nn.Module, images: np.ndarray, labels: np.ndarray) -> None:
    """What is taken for what when a digit has moved by one pixel."""
    counts = np.zeros((10, 10), dtype=np.int64)
    for down, right in ONE_PIXEL:
        np.add.at(counts, (labels, answers(model, shifted(images, down, right))), 1)
    lab.heading("What it gets wrong")
    lab.picture(
        "confusion",
        lambda figure: draw_confusion(figure, counts, Digits.classes),
        alt="A table of ten by ten digits: what was written against what was read. "
        f"{counts.trace():,} of {counts.sum():,} are on the diagonal.",
        caption="The held-out digits moved by one pixel, in four directions: what they are, and "
        "what the convolutional network took them for.",
        size=(5.6, 5.0),
    )


def systems(lab: Lab, model: nn.Module, seen: Images) -> None:
    """What it costs."""
    images, labels = next(iter(DataLoader(seen, lab.batch_size, transform=PREPARE)))
    lab.systems(
        model,
        images,
        step=training_step(model, images, labels),
        growth={
            "batch size": (step_of_batch, (32, 128, 512)),
            "number of channels": (step_of_channels, (16, 64, 256)),
        },
    )
    lab.note(
        "Few weights, much work: a weight of the first layer is used at 64 places, one of the "
        "second at 16, one of a hidden layer once for each image."
    )


def training_step(model: nn.Module, images: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step up to the gradients, to be measured."""
    criterion, parameters = nn.CrossEntropyLoss(), list(model.parameters())
    return lambda: tt.grad(criterion(model(images), labels), parameters)


def step_of_batch(count: int) -> Callable[[], object]:
    """A training step on a batch of that size."""
    return training_step(convolutional(), tt.randn(count, 1, 8, 8), tt.randint(0, 10, (count,)))


def step_of_channels(count: int) -> Callable[[], object]:
    """A training step of a network whose first layer has that many channels."""
    return training_step(convolutional(count), tt.randn(32, 1, 8, 8), tt.randint(0, 10, (32,)))


# --- The pictures -------------------------------------------------------------------------------


def draw_shifts(figure: Figure, tables: dict[str, np.ndarray]) -> None:
    """What is read right after each shift, in %, for each network."""
    places, names = range(5), [f"{step:+d}" if step else "0" for step in range(-2, 3)]
    for axes, (title, table) in zip(figure.subplots(1, 2), tables.items(), strict=True):
        axes.pcolormesh(table, cmap=tint("C0", 0.6), vmin=0, vmax=1, edgecolors=page())
        for row in places:
            for column in places:
                text = f"{table[row, column]:.0%}".removesuffix("%")
                axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=10)
        axes.set_xticks([place + 0.5 for place in places], names)
        axes.set_yticks([place + 0.5 for place in places], names)
        axes.set(title=title, xlabel="pixels right", ylabel="pixels down", aspect="equal")
        axes.invert_yaxis()
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)


def page() -> str:
    """The colour of the page."""
    return str(mpl.rcParams["axes.facecolor"])


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={"held_out_accuracy": at_least(0.98), "gain_under_shifts": at_least(0.10)},
        epochs=15,
        demo_epochs=10,
        batch_size=32,
        threads=1,  # the matrices are small
    )
    sys.exit(milestone.run(experiment))

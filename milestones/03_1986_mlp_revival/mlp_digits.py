# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "matplotlib>=3.9",
#     "numpy>=2.0",
#     "tt-autograd>=0.1,<0.2",
#     "tt-data>=0.1,<0.2",
#     "tt-nn>=0.1,<0.2",
#     "tt-optim>=0.1,<0.2",
#     "tt-tito>=0.1,<0.2",
# ]
# ///
"""Hidden layers come back, and learn to read digits.

For seventeen years after Minsky and Papert, few believed that layers between input and output could
be taught: nobody could say what a hidden unit ought to do. In 1986 David Rumelhart, Geoffrey Hinton
and Ronald Williams said it in four pages of Nature. Nobody needs to say it. The chain rule carries
the error back through every layer, each weight takes a small step against its own share, and the
hidden units come to stand for what matters about the input. The rule had been found before, by
Linnainmaa in 1970 and by Werbos in 1974; now it was seen what it is good for.

Here it learns to read 1,797 digits that people wrote in the nineties, at 8 by 8 pixels, by the step
that the paper gives: downhill on the gradient, plus a share of the step before (its momentum). The
units are today's: rectifiers for their logistic ones. Beside it learns a network without hidden
layers, to see what they are good for. The loop is written out; mlp_mnist.py hands it to a Trainer.

Sources: D. E. Rumelhart, G. E. Hinton and R. J. Williams, Learning Representations by
Back-propagating Errors, Nature 323, 1986. P. Werbos, Beyond Regression, 1974. Digits: E. Alpaydin
and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998. Softened labels: C. Szegedy et
al., Rethinking the Inception Architecture for Computer Vision, 2016.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import Compose, DataLoader, Digits, Normalize, Subset, ToFloat, random_split
from tt_optim import SGD
from tt_tito import Lab, Milestone, at_least
from tt_tito.pictures import draw_confusion, draw_curves, draw_images

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 1e-3
SOFTENED = 0.1  # of each label is spread over all ten digits
PREPARE = Compose([ToFloat(16), Normalize(0.305, 0.376)])  # mean and deviation of all pixels

Images = Subset[Any]  # pairs of an image and its label


# --- The data -----------------------------------------------------------------------------------


def read_digits() -> tuple[Images, Images, Images]:
    """Images to learn from, to watch the learning by, and to hold out until the end.

    The cut is the same in every run, whatever its seed, so no weights have seen what is held out.
    """
    seen, validation, held_out = random_split(Digits(), [0.7, 0.1, 0.2], tt.Generator(1986))
    return seen, validation, held_out


# --- The models, and how they learn -------------------------------------------------------------


def one_layer() -> nn.Sequential:
    """Ten perceptrons, one for each digit."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def hidden_layers(width: int = 128) -> nn.Sequential:
    """Two layers of hidden units between the pixels and the ten scores."""
    return nn.Sequential(
        nn.Flatten(),  # (N, 1, 8, 8) -> (N, 64)
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, width // 2),
        nn.ReLU(),
        nn.Linear(width // 2, 10),
    )


@dataclass
class History:
    """What happened while it learned: after each epoch, its number and what was measured."""

    losses: list[tuple[float, float]] = field(default_factory=list)  # on what it learned from
    validation_losses: list[tuple[float, float]] = field(default_factory=list)
    validation_errors: list[tuple[float, float]] = field(default_factory=list)  # in percent


def learn(
    lab: Lab, model: nn.Module, seen: Images, validation: Images, description: str
) -> History:
    """The rule of 1986, a batch at a time: each step is downhill, plus a share of the last."""
    history = History()
    loader = DataLoader(seen, lab.batch_size, shuffle=True, transform=PREPARE)
    criterion = nn.CrossEntropyLoss(label_smoothing=SOFTENED)
    optimizer = SGD(model.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    for epoch in lab.progress(range(1, lab.epochs + 1), description):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        with tt.no_grad():
            images, labels = prepared(validation)
            loss = criterion(model(images), labels)
        history.losses.append((epoch, total / len(seen)))
        history.validation_losses.append((epoch, loss.item()))
        history.validation_errors.append((epoch, 100 * (1 - accuracy(model, validation))))
    return history


def prepared(part: Images, count: int | None = None) -> tuple[tt.Tensor, tt.Tensor]:
    """Images of a part, ready for a model, (N, 1, 8, 8), and their labels, (N,): all, or some."""
    loader = DataLoader(part, count or len(part), transform=PREPARE)
    images, labels = next(iter(loader))
    return images, labels


def probabilities(model: nn.Module, images: tt.Tensor) -> np.ndarray:
    """How likely the model finds each digit: (N, 10)."""
    with tt.no_grad():
        return np.asarray(model(images).softmax(dim=1).numpy())


def accuracy(model: nn.Module, part: Images) -> float:
    """The share of images whose digit is the one the model finds most likely."""
    images, labels = prepared(part)
    return float((probabilities(model, images).argmax(axis=1) == labels.numpy()).mean())


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Read digits with and without hidden layers, and look at what the hidden units became."""
    tt.manual_seed(lab.seed)
    with lab.timed("data"):
        seen, validation, held_out = read_digits()

    flat, deep = one_layer(), hidden_layers()
    together = nn.ModuleDict({"one_layer": flat, "hidden_layers": deep})
    if lab.mode == "test-only":
        return systems(lab, deep, seen)
    if lab.mode == "pretrained":
        lab.load_weights(together)
    with lab.timed("train"):
        flat_history = learn(lab, flat, seen, validation, "one layer")
        deep_history = learn(lab, deep, seen, validation, "hidden layers")
    lab.save_weights(together)
    with lab.timed("evaluate"):
        lab.metric("held_out_accuracy", accuracy(deep, held_out))
        lab.metric("one_layer_held_out_accuracy", accuracy(flat, held_out))

    lab.heading("Reading digits")
    lab.note(
        f"Of {len(Digits()):,} digits, {len(seen):,} are learned from, {len(validation)} show how "
        f"the learning goes, and {len(held_out)} are held out: what is measured on them at the end "
        "is the result."
    )
    if lab.epochs:
        lab.picture(
            "learning",
            lambda figure: draw_learning(figure, flat_history, deep_history),
            alt="Left: the loss on the images learned from and on those for validation falls "
            "steeply in the first epochs and levels off. Right: the percentage of validation "
            "images that are misread falls lower with hidden layers than with one layer.",
            caption="Left: the cross-entropy with hidden layers. It cannot reach 0, since a tenth "
            "of each label is spread over all digits, which keeps the network from being too sure. "
            "Right: how many of the validation images are misread, with hidden layers and without.",
            size=(5.6, 3.2),
        )
    show_mistakes(lab, deep, held_out)
    lab.heading("What the hidden units came to see")
    lab.picture(
        "first_layer",
        lambda figure: draw_first_layer(figure, deep),
        alt="Thirty-two small images of 8 by 8 weights: each has patches of one sign beside "
        "patches of the other, here a stroke, there an edge or a corner.",
        caption="What goes into 32 of the hidden units of the first layer, those with the largest "
        "weights: ink in the blue makes a unit fire, ink in the orange keeps it quiet. Nobody drew "
        "these; backpropagation did.",
        size=(5.6, 2.9),
    )
    systems(lab, deep, seen)


def show_mistakes(lab: Lab, model: nn.Module, part: Images) -> None:
    """What is taken for what, and the mistakes that the model was surest of."""
    images, labels = prepared(part)
    says, truth = probabilities(model, images), labels.numpy()
    answers = says.argmax(axis=1)
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (truth, answers), 1)
    wrong = np.flatnonzero(answers != truth)
    surest = wrong[np.argsort(-says[wrong, answers[wrong]])][:12]

    lab.heading("What it gets wrong")
    lab.picture(
        "confusion",
        lambda figure: draw_confusion(figure, counts, Digits.classes),
        alt=f"A table of ten by ten digits: what was written against what was read. "
        f"{len(truth) - len(wrong)} of {len(truth)} are on the diagonal.",
        caption="The held-out digits: what they are, and what they were taken for.",
        size=(5.6, 5.0),
    )
    if len(surest):
        titles = [f"{answers[i]}, not {truth[i]}\n{says[i].max():.0%}" for i in surest]
        lab.picture(
            "mistakes",
            lambda figure: draw_images(figure, images.numpy()[surest, 0], titles),
            alt=f"The {len(surest)} misread digits that the network was surest of, each with what "
            "it was taken for, what it is, and the probability given to the wrong answer.",
            caption="The held-out digits that were misread with most confidence: what the network "
            "said, what it should have said, and how likely it thought itself right.",
            size=(5.6, 1.4 * -(-len(surest) // 6)),
        )


def systems(lab: Lab, model: nn.Module, seen: Images) -> None:
    """What it costs."""
    images, labels = prepared(seen, lab.batch_size)
    lab.systems(
        model,
        images,
        step=training_step(model, images, labels),
        growth={
            "batch size": (step_of_batch, (64, 256, 1024)),
            "number of hidden units": (step_of_width, (64, 256, 1024)),
        },
    )
    lab.note(
        "The second layer has as many weights as one hidden layer's units times the other's, so "
        "its cost grows with the square of the width, and in the end it is nearly all there is."
    )


def training_step(model: nn.Module, images: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step up to the gradients, to be measured."""
    criterion, parameters = nn.CrossEntropyLoss(), list(model.parameters())
    return lambda: tt.grad(criterion(model(images), labels), parameters)


def step_of_batch(size: int) -> Callable[[], object]:
    """A training step on a batch of that size."""
    return training_step(hidden_layers(), tt.randn(size, 1, 8, 8), tt.randint(0, 10, (size,)))


def step_of_width(size: int) -> Callable[[], object]:
    """A training step of a network whose first hidden layer has that many units."""
    return training_step(hidden_layers(size), tt.randn(64, 1, 8, 8), tt.randint(0, 10, (64,)))


# --- The pictures -------------------------------------------------------------------------------


def draw_learning(figure: Figure, flat: History, deep: History) -> None:
    """The losses with hidden layers, and the errors with and without."""
    panels = {
        "Loss": {"learned from": deep.losses, "validation": deep.validation_losses},
        "Misread, %": {
            "one layer": flat.validation_errors,
            "hidden layers": deep.validation_errors,
        },
    }
    draw_curves(figure, panels, xlabel="epoch")


def draw_first_layer(figure: Figure, model: nn.Sequential) -> None:
    """The weights of the 32 units of the first layer that have the largest."""
    weights = next(model.parameters()).detach().numpy()  # (width, 64)
    largest = np.argsort(-np.linalg.norm(weights, axis=1))[:32]
    draw_images(figure, weights[largest].reshape(-1, 8, 8), columns=8, signed=True)


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={"held_out_accuracy": at_least(0.96)},
        epochs=30,
        demo_epochs=15,
        batch_size=32,
        threads=1,  # the matrices are small
    )
    sys.exit(milestone.run(experiment))

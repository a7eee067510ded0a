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
"""The digits that everyone has read since: MNIST.

In 1998 Yann LeCun, Leon Bottou, Yoshua Bengio and Patrick Haffner compared what could then be
taught to read. Their 70,000 digits, from the forms of American clerks and the sheets of high-school
students, have been the first data set of nearly everyone since. A linear classifier misread 12% of
the 10,000 test digits; a network of 300 and 100 hidden units, taught by backpropagation, 3.05%.

Here a network of about that kind and less than half its size (128 and 64 hidden units) learns for
five epochs. What has been found since makes the difference: rectifiers, a step of its own size for
each weight (Adam), a learning rate that rises and falls once, labels that leave room for doubt, and
training images that are never twice in the same place. Which of these, and how much of each, was
compared on parts of the 60,000 training images that were then held back. A run looks at the test
images once, at the end.

Sources: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proceedings of the IEEE, 1998. D. P. Kingma and J. Ba, Adam, 2015; I. Loshchilov and F.
Hutter, Decoupled Weight Decay Regularization, 2019. L. N. Smith and N. Topin, Super-Convergence,
2018. C. Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import (
    MNIST,
    Compose,
    DataError,
    DataLoader,
    Dataset,
    MissingFileError,
    Normalize,
    RandomTranslate,
    ToFloat,
    random_split,
)
from tt_optim import AdamW, Callback, OneCycleLR, Trainer
from tt_tito import Lab, Milestone, MissingDataError, TitoError, at_least
from tt_tito.pictures import draw_confusion, draw_curves, draw_images

PEAK = 4e-3  # of the learning rate, a quarter of the way through
WEIGHT_DECAY = 0.01
SOFTENED = 0.1  # of each label is spread over all ten digits
PREPARE = Compose([ToFloat(), Normalize(0.1307, 0.3081)])  # mean and deviation of all pixels
JOLT = Compose([RandomTranslate(1), PREPARE])  # for learning: a pixel this way or that
LOOKS = 5  # at the validation images, in an epoch

Images = Dataset[Any]  # pairs of an image and its label


# --- The data -----------------------------------------------------------------------------------


def read_mnist(lab: Lab) -> tuple[Images, Images, Images]:
    """Images to learn from, to watch the learning by, and to test with.

    The cut is the same in every run, whatever its seed.
    """
    folder, download = lab.flags.data_dir, not lab.offline
    try:
        train = MNIST(train=True, data_dir=folder, download=download)
        test = MNIST(train=False, data_dir=folder, download=download)
    except MissingFileError as error:
        advice = "If you have MNIST already: --data-dir names the folder that its folder is in."
        raise MissingDataError(f"MNIST is not there. {error} {advice}") from error
    except DataError as error:
        raise TitoError(str(error)) from error
    seen, validation = random_split(train, [len(train) - 5000, 5000], tt.Generator(1998))
    return seen, validation, test


# --- The models, and how they learn -------------------------------------------------------------


def one_layer() -> nn.Sequential:
    """Ten perceptrons, one for each digit."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def hidden_layers(width: int = 128) -> nn.Sequential:
    """Two layers of hidden units between the pixels and the ten scores."""
    return nn.Sequential(
        nn.Flatten(),  # (N, 1, 28, 28) -> (N, 784)
        nn.Linear(784, width),
        nn.ReLU(),
        nn.Linear(width, width // 2),
        nn.ReLU(),
        nn.Linear(width // 2, 10),
    )


def hits(scores: tt.Tensor, labels: tt.Tensor) -> float:
    """The share of images whose digit has the highest score."""
    return (scores.argmax(dim=1) == labels).float().mean().item()


@dataclass
class Curves(Callback):
    """What happened while it learned; time is in epochs."""

    steps_per_epoch: int
    losses: list[tuple[float, float]] = field(default_factory=list)  # time, mean since last look
    validation_losses: list[tuple[float, float]] = field(default_factory=list)
    validation_errors: list[tuple[float, float]] = field(default_factory=list)  # in percent
    recent: list[float] = field(default_factory=list)

    def on_step_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Keep the loss of the batch."""
        self.recent.append(record["loss"])

    def on_evaluate(self, trainer: Trainer, metrics: dict[str, float]) -> None:
        """Add a point to each curve."""
        time = trainer.step / self.steps_per_epoch
        self.losses.append((time, float(np.mean(self.recent))))
        self.validation_losses.append((time, metrics["loss"]))
        self.validation_errors.append((time, 100 * (1 - metrics["hits"])))
        self.recent.clear()


def learn(lab: Lab, model: nn.Module, seen: Images, validation: Images) -> Curves:
    """AdamW with one cycle of the learning rate, the loop left to the Trainer."""
    loader = DataLoader(seen, lab.batch_size, shuffle=True, transform=JOLT)
    optimizer = AdamW(model.parameters(), PEAK, weight_decay=WEIGHT_DECAY)
    curves = Curves(len(loader))
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=SOFTENED),
        scheduler=OneCycleLR(
            optimizer,
            PEAK,
            epochs=lab.epochs,
            steps_per_epoch=len(loader),
            pct_start=0.25,
            anneal_strategy="linear",
            cycle_momentum=False,
        ),
        metrics={"hits": hits},
        callbacks=[curves],
        evaluate_every=-(-len(loader) // LOOKS),
    )
    trainer.fit(loader, epochs=lab.epochs, evaluation=prepared(validation))
    return curves


def prepared(part: Images, batch_size: int = 1000) -> DataLoader[Any]:
    """The images of a part in order, ready for a model."""
    return DataLoader(part, batch_size, transform=PREPARE)


def answers(model: nn.Module, part: Images) -> tuple[np.ndarray, np.ndarray]:
    """How likely the model finds each digit, (N, 10), and what is right, (N,)."""
    says, truth = [], []
    with tt.no_grad():
        for images, labels in prepared(part):
            says.append(model(images).softmax(dim=1).numpy())
            truth.append(labels.numpy())
    return np.concatenate(says), np.concatenate(truth)


def accuracy(model: nn.Module, part: Images) -> float:
    """The share of images whose digit is the one the model finds most likely."""
    says, truth = answers(model, part)
    return float((says.argmax(axis=1) == truth).mean())


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Read MNIST with and without hidden layers, and look at what the hidden units became."""
    tt.manual_seed(lab.seed)
    with lab.timed("data"):
        seen, validation, test = read_mnist(lab)

    flat, deep = one_layer(), hidden_layers()
    together = nn.ModuleDict({"one_layer": flat, "hidden_layers": deep})
    if lab.mode == "test-only":
        return systems(lab, deep, seen)
    if lab.mode == "pretrained":
        lab.load_weights(together)
    else:
        with lab.timed("train"):
            flat_curves = learn(lab, flat, seen, validation)
            deep_curves = learn(lab, deep, seen, validation)
        lab.save_weights(together)
    with lab.timed("evaluate"):
        lab.metric("test_accuracy", accuracy(deep, test))
        lab.metric("validation_accuracy", accuracy(deep, validation))
        lab.metric("one_layer_test_accuracy", accuracy(flat, test))

    lab.heading("Reading MNIST")
    lab.note(
        f"{len(seen):,} images are learned from, {len(validation):,} show how the learning goes, "
        f"and the {len(test):,} test images are the examination."
    )
    if lab.epochs:
        lab.picture(
            "learning",
            lambda figure: draw_learning(figure, flat_curves, deep_curves),
            alt="Left: the loss on the images learned from falls steeply and then slowly; that on "
            "the validation images lies below it. Right: the percentage of validation images that "
            "are misread stays several times higher with one layer than with hidden layers.",
            caption="Left: the cross-entropy with hidden layers. What is learned from is shifted "
            "at random, so it is harder than the validation images; neither loss can reach 0, "
            "since a tenth of each label is spread over all digits. Right: how many of the "
            "validation images are misread, with hidden layers and without.",
            size=(5.6, 3.2),
        )
    show_mistakes(lab, deep, test)
    lab.heading("What the hidden units came to see")
    lab.picture(
        "first_layer",
        lambda figure: draw_first_layer(figure, deep),
        alt="Thirty-two small images of 28 by 28 weights: blots, strokes and edges of one sign "
        "beside others of the opposite sign, in the middle where digits have ink; the rims are "
        "nearly blank.",
        caption="What goes into 32 of the hidden units of the first layer, those with the largest "
        "weights: ink in the blue makes a unit fire, ink in the orange keeps it quiet.",
        size=(5.6, 2.9),
    )
    systems(lab, deep, seen)


def show_mistakes(lab: Lab, model: nn.Module, part: Images) -> None:
    """What is taken for what, and the mistakes that the model was surest of."""
    says, truth = answers(model, part)
    said = says.argmax(axis=1)
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (truth, said), 1)
    wrong = np.flatnonzero(said != truth)
    surest = wrong[np.argsort(-says[wrong, said[wrong]])][:12]

    lab.heading("What it gets wrong")
    lab.picture(
        "confusion",
        lambda figure: draw_confusion(figure, counts, MNIST.classes),
        alt="A table of ten by ten digits: what was written against what was read. "
        f"{len(truth) - len(wrong):,} of {len(truth):,} are on the diagonal.",
        caption="The test digits: what they are, and what they were taken for.",
        size=(5.6, 5.0),
    )
    images = np.stack([part[int(i)][0].numpy()[0] for i in surest]).astype(np.float32)
    titles = [f"{said[i]}, not {truth[i]}\n{says[i].max():.0%}" for i in surest]
    lab.picture(
        "mistakes",
        lambda figure: draw_images(figure, images, titles),
        alt=f"The {len(surest)} misread digits that the network was surest of, each with what it "
        "was taken for, what it is, and the probability given to the wrong answer.",
        caption="The test digits that were misread with most confidence: what the network said, "
        "what it should have said, and how likely it thought itself right.",
        size=(5.6, 2.75),
    )


def systems(lab: Lab, model: nn.Module, seen: Images) -> None:
    """What it costs."""
    images, labels = next(iter(prepared(seen, lab.batch_size)))
    lab.systems(
        model,
        images,
        step=training_step(model, images, labels),
        growth={
            "batch size": (step_of_batch, (64, 256, 1024, 4096)),
            "number of hidden units": (step_of_width, (64, 256, 1024, 4096)),
        },
    )
    lab.note(
        "Nine tenths of the weights lie between the pixels and the first hidden layer: each unit "
        "looks at the whole image, and has to learn about every place anew. That is what the next "
        "milestone does away with."
    )


def training_step(model: nn.Module, images: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step up to the gradients, to be measured."""
    criterion, parameters = nn.CrossEntropyLoss(), list(model.parameters())
    return lambda: tt.grad(criterion(model(images), labels), parameters)


def step_of_batch(size: int) -> Callable[[], object]:
    """A training step on a batch of that size."""
    return training_step(hidden_layers(), tt.randn(size, 1, 28, 28), tt.randint(0, 10, (size,)))


def step_of_width(size: int) -> Callable[[], object]:
    """A training step of a network whose first hidden layer has that many units."""
    return training_step(hidden_layers(size), tt.randn(64, 1, 28, 28), tt.randint(0, 10, (64,)))


# --- The pictures -------------------------------------------------------------------------------


def draw_learning(figure: Figure, flat: Curves, deep: Curves) -> None:
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
    weights = next(model.parameters()).detach().numpy()  # (width, 784)
    largest = np.argsort(-np.linalg.norm(weights, axis=1))[:32]
    draw_images(figure, weights[largest].reshape(-1, 28, 28), columns=8, signed=True)


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={"test_accuracy": at_least(0.98)},
        epochs=5,
        demo_epochs=4,
        batch_size=64,
        threads=1,  # the matrices are small
    )
    sys.exit(milestone.run(experiment))

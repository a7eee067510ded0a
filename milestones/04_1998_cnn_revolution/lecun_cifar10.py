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
"""Convolutions learn to see: CIFAR-10 on a plain CPU.

In 1998 Yann LeCun, Leon Bottou, Yoshua Bengio and Patrick Haffner gave the convolutional network
the form that it has kept: convolution, non-linearity, pooling, the same again, then layers that are
fully connected. LeNet-5 read cheques by the million. That the same form also tells cats from trucks
took fourteen years, photographs by the million and graphics processors to show (Krizhevsky,
Sutskever and Hinton, 2012). Here it learns from 49,000 photographs of 32 by 32 pixels, of ten kinds
of things, in a few minutes on two cores, without a graphics processor.

The default network is of the form of 1998: two blocks of convolution, rectifier and pooling, and
two linear layers. What was found later makes it learn this quickly: batch normalisation, steps made
orthogonal (Muon), softened labels, images mirrored and shifted. The recipes "fast" and "long" keep
all that and change the network: six convolutions of 3 by 3 behind a layer that whitens small
patches, after the entries to the DAWNBench and "airbench" contests. How the recipes were chosen is
told in milestones/README.md; the test images had no part in it. A run looks at them once, at the
end.

Sources: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document
Recognition, 1998. A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009;
A. Krizhevsky, I. Sutskever and G. E. Hinton, ImageNet Classification with Deep Convolutional Neural
Networks, 2012. S. Ioffe and C. Szegedy, Batch Normalization, 2015. D. Page, How to Train Your
ResNet, 2018. K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024; K. Jordan et al.,
Muon, 2024.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import (
    CIFAR10,
    Compose,
    DataError,
    DataLoader,
    Dataset,
    MissingFileError,
    Normalize,
    RandomCrop,
    Subset,
    TensorDataset,
    ToFloat,
    random_split,
)
from tt_nn.models import CifarNet
from tt_optim import Callback, LambdaLR, Muon, Trainer
from tt_tito import Lab, Milestone, MissingDataError, Recipe, TitoError, at_least, at_most
from tt_tito.pictures import draw_confusion, draw_curves, draw_images

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of all red, green, blue pixels
PREPARE = Compose([ToFloat(), Normalize(MEAN, STD)])
JOLT = Compose([RandomCrop(32, padding=2, padding_mode="reflect"), PREPARE])  # for learning
WIDTHS = {"fast": (24, 96, 192), "long": (24, 112, 256)}  # channels of the modern network
LOOKS = 14  # at some validation images, in a run

Images = Dataset[Any]  # pairs of an image and its label


# --- The data -----------------------------------------------------------------------------------


def read_cifar(lab: Lab) -> tuple[Images, Images, Images]:
    """Images to learn from, to watch the learning by, and to test with: fewer in a demo.

    The cut is the same in every run, whatever its seed.
    """
    folder, download = lab.flags.data_dir, not lab.offline
    try:
        train = CIFAR10(train=True, data_dir=folder, download=download)
        test: Images = CIFAR10(train=False, data_dir=folder, download=download)
    except MissingFileError as error:
        advice = "If you have CIFAR-10 already: --data-dir names the folder that its folder is in."
        raise MissingDataError(f"CIFAR-10 is not there. {error} {advice}") from error
    except DataError as error:
        raise TitoError(str(error)) from error
    seen, validation = random_split(train, [len(train) - 1000, 1000], tt.Generator(2009))
    if lab.mode == "demo":
        return first(seen, 15_000), validation, first(test, 2000)
    return seen, validation, test


def first(part: Images, count: int) -> Images:
    """The first images of a part."""
    return Subset(part, range(count))


class Mirror(Callback):
    """Shows each image and its mirror image in turn, an epoch one, an epoch the other.

    Which of the two an image begins with is a coin's choice (Jordan, 2024).

    Args:
        images: All images to learn from, (N, C, H, W), which are mirrored in place.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        chosen = tt.rand(len(images)).numpy() < 0.5
        images[chosen] = images[chosen][..., ::-1]

    def on_epoch_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Turn all of them."""
        self.images[...] = self.images[..., ::-1].copy()


# --- The models ---------------------------------------------------------------------------------


def textbook(width: int = 64) -> nn.Sequential:
    """The form of 1998: two blocks of convolution, rectifier and pooling, then linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, width, 5, padding=2),  # (N, 3, 32, 32) -> (N, 64, 32, 32)
        nn.ReLU(),
        nn.MaxPool2d(4),  # -> (N, 64, 8, 8)
        nn.BatchNorm2d(width),
        nn.Conv2d(width, 2 * width, 5, padding=2),  # -> (N, 128, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # -> (N, 128, 4, 4)
        nn.BatchNorm2d(2 * width),
        nn.Flatten(),  # -> (N, 2048)
        nn.Linear(2 * width * 16, 352),
        nn.BatchNorm1d(352),
        nn.ReLU(),
        nn.Linear(352, 10),
    )


def network(recipe: str, seen: Images) -> nn.Module:
    """The network of a recipe; the first layer of `CifarNet` is made from images, not learned."""
    if recipe == "default":
        return textbook()
    images, _ = next(iter(prepared(seen, min(5000, len(seen)))))
    return CifarNet(WIDTHS[recipe]).whiten(images)


# --- How they learn -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """How a network learns: what was chosen on images held back from the training images."""

    rate: float  # of Muon, for the filters and the hidden layer
    momentum: float  # of Muon
    rest_rate: float  # of AdamW, for biases and scales
    head_rate: float  # of AdamW, for the last layer
    softened: float  # of each label is spread over all ten classes
    rise: float  # the share of the steps in which the learning rate rises
    fixed_norm: bool  # whether the filters keep their size, so that only their direction is learned


MODERN = Settings(0.12, 0.6, 0.05, 0.2, softened=0.2, rise=0.0, fixed_norm=True)
LEARNING = {
    "default": Settings(0.05, 0.9, 3e-3, 3e-3, softened=0.1, rise=0.1, fixed_norm=False),
    "fast": MODERN,
    "long": MODERN,
}


def matrices(model: nn.Module) -> list[nn.Parameter]:
    """The filters and matrices that are learned, the last layer's at the end."""
    return [weight for weight in model.parameters() if weight.requires_grad and weight.ndim > 1]


def muon(model: nn.Module, settings: Settings) -> Muon:
    """Muon for all matrices but the last, AdamW for that and for the vectors."""
    *hidden, head = matrices(model)
    vectors = [vector for vector in model.parameters() if vector.requires_grad and vector.ndim == 1]
    return Muon(
        [
            {"params": hidden, "use_muon": True},
            {"params": vectors, "use_muon": False, "lr": settings.rest_rate},
            {"params": [head], "use_muon": False, "lr": settings.head_rate},
        ],
        settings.rate,
        weight_decay=0.0,
        momentum=settings.momentum,
        ns_steps=3,
        adamw_betas=(0.9, 0.99),
    )


def up_and_down(steps: int, rise: float) -> Callable[[int], float]:
    """The share of the learning rate at each step: up to 1 in a line, and down to 0."""
    top = max(1.0, rise * steps)
    return lambda step: min((step + 1) / top, (steps - step) / (steps - top + 1))


def hits(scores: tt.Tensor, labels: tt.Tensor) -> float:
    """The share of images whose class has the highest score."""
    return (scores.argmax(dim=1) == labels).float().mean().item()


class FixedNorm(Callback):
    """Scales filters after each step to a norm of the root of their number.

    Batch normalisation undoes any factor of what goes in, so the size of a filter does nothing but
    make the same step turn it less.

    Args:
        weights: The filters of each layer, (channels, ...).
    """

    def __init__(self, weights: list[nn.Parameter]) -> None:
        self.weights = weights

    def on_step_end(self, trainer: Trainer, record: dict[str, float]) -> None:
        """Scale those of each layer."""
        with tt.no_grad():
            for weight in self.weights:
                weight *= len(weight) ** 0.5 / tt.norm(weight)


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
    """Muon, the learning rate up and down once, the loop left to the Trainer."""
    settings = LEARNING[lab.recipe]
    images, labels = next(iter(DataLoader(seen, len(seen))))  # a copy, to be mirrored
    loader = DataLoader(
        TensorDataset(images, labels), lab.batch_size, shuffle=True, drop_last=True, transform=JOLT
    )
    optimizer = muon(model, settings)
    curves = Curves(len(loader))
    callbacks = [curves, Mirror(images.numpy())]
    if settings.fixed_norm:
        callbacks.append(FixedNorm(matrices(model)[:-1]))
    trainer = Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(label_smoothing=settings.softened),
        scheduler=LambdaLR(optimizer, up_and_down(lab.epochs * len(loader), settings.rise)),
        metrics={"hits": hits},
        callbacks=callbacks,
        evaluate_every=-(-lab.epochs * len(loader) // LOOKS),
    )
    trainer.fit(loader, epochs=lab.epochs, evaluation=prepared(validation))
    return curves


# --- How they are examined ----------------------------------------------------------------------


def prepared(part: Images, batch_size: int = 250) -> DataLoader[Any]:
    """The images of a part in order, ready for a model."""
    return DataLoader(part, batch_size, transform=PREPARE)


def views(images: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """Six views of images, (N, C, 32, 32), and how much each counts.

    The image and its mirror image, and both shifted by a pixel up and left, and down and right.
    """
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    for weight, place in ((0.25, 1), (0.125, 0), (0.125, 2)):
        view = padded[:, :, place : place + 32, place : place + 32]
        yield weight, view
        yield weight, view[..., ::-1]


@dataclass
class Answers:
    """What a model makes of some images: scores, (N, 10), of one view and of six, and the truth."""

    one_view: np.ndarray
    six_views: np.ndarray
    truth: np.ndarray

    @property
    def accuracy(self) -> float:
        """The share of images whose class has the highest score, seen as they are."""
        return float((self.one_view.argmax(axis=1) == self.truth).mean())

    @property
    def six_view_accuracy(self) -> float:
        """The same of the mean score of the six views."""
        return float((self.six_views.argmax(axis=1) == self.truth).mean())


def examine(lab: Lab, model: nn.Module, part: Images, description: str) -> Answers:
    """Let a model look at each image of a part six times."""
    one, six, truth = [], [], []
    model.eval()
    with tt.no_grad():
        for images, labels in lab.progress(prepared(part), description):
            seen = [
                (weight, model(tt.from_numpy(np.ascontiguousarray(view))).numpy())
                for weight, view in views(images.numpy())
            ]
            one.append(seen[0][1])
            six.append(sum(weight * scores for weight, scores in seen))
            truth.append(labels.numpy())
    model.train()
    return Answers(np.concatenate(one), np.concatenate(six), np.concatenate(truth))


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Learn to tell ten kinds of things apart, and look at what the network came to see."""
    tt.manual_seed(lab.seed)
    with lab.timed("data"):
        seen, validation, test = read_cifar(lab)

    model = network(lab.recipe, seen)
    if lab.mode == "test-only":
        return systems(lab, model, seen)
    if lab.mode == "pretrained":
        lab.load_weights(model)
    else:
        with lab.timed("train"):
            curves = learn(lab, model, seen, validation)
        lab.save_weights(model, half=True)
    with lab.timed("evaluate"):
        answers = examine(lab, model, test, "test images")
        held_back = examine(lab, model, validation, "validation images")
    lab.metric("test_accuracy", answers.accuracy)
    lab.metric("test_accuracy_six_views", answers.six_view_accuracy)
    lab.metric("validation_accuracy", held_back.accuracy)
    lab.metric("validation_accuracy_six_views", held_back.six_view_accuracy)
    lab.metric("training_seconds", lab.seconds("train"))

    lab.heading("Learning to see")
    lab.note(
        f"{len(seen):,} images are learned from, {len(validation):,} are held back to watch "
        f"the learning, and the {len(test):,} test images are the examination. "
        "Training seconds are all that passes between the first step and the last, the looks at "
        "the validation images included."
    )
    if lab.epochs:
        lab.picture(
            "learning",
            lambda figure: draw_learning(figure, curves),
            alt="Left: the loss on the images learned from and on those for validation falls "
            "steeply at first, then steadily until the end. Right: the percentage of validation "
            "images taken for something else falls likewise.",
            caption="Left: the cross-entropy. What is learned from is mirrored and shifted, so it "
            "is harder than the validation images; neither loss can reach 0, since a part of each "
            "label is spread over all classes. Right: how many of 1,000 validation images are "
            "taken for something else.",
            size=(5.6, 3.2),
        )
    show_mistakes(lab, answers, test)
    show_features(lab, model, test)
    systems(lab, model, seen)


def show_mistakes(lab: Lab, answers: Answers, part: Images) -> None:
    """What is taken for what, and the mistakes that the model was surest of."""
    says = np.asarray(tt.from_numpy(answers.one_view).softmax(dim=1).numpy())
    said, truth, names = says.argmax(axis=1), answers.truth, CIFAR10.classes
    counts = np.zeros((10, 10), dtype=np.int64)
    np.add.at(counts, (truth, said), 1)
    wrong = np.flatnonzero(said != truth)
    surest = wrong[np.argsort(-says[wrong, said[wrong]])][:12]

    lab.heading("What it gets wrong")
    lab.picture(
        "confusion",
        lambda figure: draw_confusion(figure, counts, names),
        alt="A table of ten by ten classes: what an image shows against what it was taken for. "
        f"{len(truth) - len(wrong):,} of {len(truth):,} are on the diagonal.",
        caption="The test images: what they show, and what they were taken for. Cats and dogs are "
        "the hardest to tell apart; most mistakes stay among animals, or among vehicles.",
        size=(5.6, 5.2),
    )
    titles = [f"{names[said[i]]}, {says[i].max():.0%},\nnot {names[truth[i]]}" for i in surest]
    lab.picture(
        "mistakes",
        lambda figure: draw_images(
            figure, [pixels(part, int(i)) for i in surest], titles, columns=4
        ),
        alt=f"The {len(surest)} test images that were taken for something else with most "
        "confidence, each with what it was taken for, what it is, and the probability given to "
        "the wrong answer.",
        caption="The test images that were taken for something else with most confidence: what "
        "the network said, what it should have said, and how likely it thought itself right.",
        size=(5.6, 5.9),
    )


def show_features(lab: Lab, model: nn.Module, part: Images) -> None:
    """What the first layer looks for, and where it finds that in one image."""
    layer = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    filters = layer.weight.detach().numpy().transpose(0, 2, 3, 1)  # (channels, height, width, 3)
    image = pixels(part, 0)
    with tt.no_grad():
        maps = layer(next(iter(prepared(part, 1)))[0]).relu().numpy()[0]  # (channels, H, W)
    strongest = np.argsort(-maps.max(axis=(1, 2)))[:23]

    origin = "Nobody drew them: they are what helped to tell the classes apart."
    if not layer.weight.requires_grad:
        origin = (
            "They are not learned: they are the directions in which small patches of the images "
            "vary, each scaled to the same size (whitened), and their opposites."
        )
    lab.heading("What the first layer sees")
    lab.picture(
        "filters",
        lambda figure: draw_images(figure, [in_colour(each) for each in filters], columns=16),
        alt=f"{len(filters)} small images in colour, each a pattern of {filters.shape[1]} by "
        f"{filters.shape[2]} pixels.",
        caption=f"The {len(filters)} filters of the first layer, each scaled by itself; grey is a "
        f"weight of 0. {origin}",
        size=(5.6, 0.1 + 0.36 * -(-len(filters) // 16)),
    )
    lab.picture(
        "feature_maps",
        lambda figure: draw_images(figure, [image, *maps[strongest]], columns=8),
        alt="A test image, and 23 grey images of the same scene: in each, other edges or areas of "
        "it are dark.",
        caption="The first test image, and where 23 of the filters find in it what they look for, "
        "the more the darker; those with the strongest answers.",
        size=(5.6, 2.2),
    )


def pixels(part: Images, index: int) -> np.ndarray:
    """One image of a part as matplotlib takes it: (32, 32, 3), from 0 to 1."""
    image: np.ndarray = part[index][0].numpy().transpose(1, 2, 0) / 255
    return image


def in_colour(weights: np.ndarray) -> np.ndarray:
    """Weights of the three colours, (H, W, 3), as an image in which 0 is grey."""
    return np.asarray(0.5 + 0.5 * weights / np.abs(weights).max())


def systems(lab: Lab, model: nn.Module, seen: Images) -> None:
    """What it costs."""
    images, labels = next(iter(prepared(seen, lab.batch_size)))
    lab.systems(
        model,
        images,
        step=training_step(model, images, labels),
        growth={
            "batch size": (step_of_batch, (8, 32, 128)),
            "number of channels": (step_of_channels, (16, 32, 64)),
        },
    )
    lab.note("Nearly all of the work is in the convolutions. The steps are the default network's.")


def training_step(model: nn.Module, images: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step up to the gradients, to be measured."""
    criterion = nn.CrossEntropyLoss()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return lambda: tt.grad(criterion(model(images), labels), learned)


def step_of_batch(size: int) -> Callable[[], object]:
    """A training step of the textbook network on a batch of that size."""
    return training_step(textbook(), tt.randn(size, 3, 32, 32), tt.randint(0, 10, (size,)))


def step_of_channels(width: int) -> Callable[[], object]:
    """A training step of a textbook network whose first layer has that many channels."""
    return training_step(textbook(width), tt.randn(32, 3, 32, 32), tt.randint(0, 10, (32,)))


# --- The pictures -------------------------------------------------------------------------------


def draw_learning(figure: Figure, curves: Curves) -> None:
    """The losses, and the errors."""
    panels = {
        "Loss": {"learned from": curves.losses, "validation": curves.validation_losses},
        "Mistaken, %": {"validation": curves.validation_errors},
    }
    draw_curves(figure, panels, xlabel="epoch")


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={"test_accuracy": at_least(0.75), "training_seconds": at_most(480)},
        demo_bar={"test_accuracy": at_least(0.5)},
        epochs=4,
        demo_epochs=1,
        batch_size=250,
        threads="all",
        recipes={
            "fast": Recipe(
                {"test_accuracy_six_views": at_least(0.85), "training_seconds": at_most(300)},
                epochs=6,
                demo_epochs=1,
                batch_size=500,
                demo_bar={"test_accuracy_six_views": at_least(0.45)},
            ),
            "long": Recipe(
                {"test_accuracy_six_views": at_least(0.88), "training_seconds": at_most(720)},
                epochs=12,
                demo_epochs=1,
                batch_size=500,
                demo_bar={"test_accuracy_six_views": at_least(0.45)},
            ),
        },
    )
    sys.exit(milestone.run(experiment))

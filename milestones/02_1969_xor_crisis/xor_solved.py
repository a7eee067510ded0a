# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "matplotlib>=3.9",
#     "numpy>=2.0",
#     "tt-autograd>=0.1,<0.2",
#     "tt-nn>=0.1,<0.2",
#     "tt-tito>=0.1,<0.2",
# ]
# ///
"""Exclusive or: what one layer cannot learn, and the layer that can.

In 1969 Marvin Minsky and Seymour Papert published a book of theorems about what perceptrons cannot
do. The smallest of them fits on a napkin: no single unit can say whether exactly one of its two
inputs is on. Money and interest went elsewhere for more than a decade. That a layer of hidden units
would solve it was known; how to teach hidden units was not, until the chain rule was put to it.

Here is the crisis, proved and then measured: a single layer, well taught, on the four corners of
exclusive or. And here is the way out: one hidden layer, taught by backpropagation, with a look at
what its units turned into, and at how many of them it takes.

Sources: M. Minsky and S. Papert, Perceptrons, MIT Press, 1969. D. E. Rumelhart, G. E. Hinton and
R. J. Williams, Learning representations by back-propagating errors, Nature 323, 1986.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_tito import Lab, Milestone, Option, at_least, at_most
from tt_tito.pictures import class_colours

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
EXCLUSIVE_OR = np.array([0, 1, 1, 0], dtype=np.float32)
POINTS = 1000  # to learn from, and as many again held out
NOISE = 0.12  # standard deviation of a point about its corner, whose edge is 1
LEARNING_RATE = 1.0
LINES = 100_000  # of one layer each, drawn at random: does any say all four corners right?
WIDTHS = (1, 2, 3, 4, 8)  # hidden units, for the question how many it takes


# --- The data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Points:
    """Points in the plane, (N, 2), and whether exactly one of their inputs is on, (N, 1)."""

    inputs: tt.Tensor
    labels: tt.Tensor


def the_corners() -> Points:
    """The four cases of exclusive or."""
    return Points(tt.tensor(CORNERS), tt.tensor(EXCLUSIVE_OR).unsqueeze(1))


def noisy_points(random: np.random.Generator, count: int) -> Points:
    """Points scattered about the corners, each labelled as its corner."""
    corner = random.integers(0, 4, count)
    inputs = CORNERS[corner] + random.normal(0, NOISE, (count, 2))
    return Points(tt.tensor(inputs, dtype="float32"), tt.tensor(EXCLUSIVE_OR[corner]).unsqueeze(1))


# --- The two models, and how they learn ---------------------------------------------------------


def single_layer() -> nn.Sequential:
    """The perceptron of 1957: a line through the plane."""
    return nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())


class HiddenLayer(nn.Module):
    """Units that each draw a line of their own, and one that reads them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, width)
        self.tanh = nn.Tanh()
        self.output = nn.Linear(width, 1)
        self.sigmoid = nn.Sigmoid()

    def units(self, inputs: tt.Tensor) -> tt.Tensor:
        """What the hidden units make of their inputs: (N, 2) -> (N, width)."""
        return self.tanh(self.hidden(inputs))

    def forward(self, inputs: tt.Tensor) -> tt.Tensor:
        """The probability that exactly one input is on: (N, 2) -> (N, 1)."""
        return self.sigmoid(self.output(self.units(inputs)))


def learn(lab: Lab, model: nn.Module, points: Points, description: str = "") -> list[float]:
    """Gradient descent on the cross-entropy; returns the loss after each epoch."""
    cross_entropy, parameters = nn.BCELoss(), list(model.parameters())
    losses = []
    epochs = range(lab.epochs)
    for _ in lab.progress(epochs, description) if description else epochs:
        order = tt.randperm(POINTS)
        for start in range(0, POINTS, lab.batch_size):
            batch = order[start : start + lab.batch_size]
            loss = cross_entropy(model(points.inputs[batch]), points.labels[batch])
            gradients = tt.grad(loss, parameters)
            with tt.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= LEARNING_RATE * gradient
        with tt.no_grad():
            losses.append(cross_entropy(model(points.inputs), points.labels).item())
    return losses


def accuracy(model: nn.Module, points: Points) -> float:
    """The share of points whose class is the one the model finds more likely."""
    with tt.no_grad():
        right = (model(points.inputs) > 0.5) == (points.labels > 0.5)
    return float(right.numpy().mean())


def best_random_line(random: np.random.Generator, lines: int) -> float:
    """The best accuracy on the corners that any of many random lines reaches."""
    weights, bias = random.normal(size=(2, lines)), random.normal(size=lines)
    says = CORNERS @ weights + bias > 0  # (4, lines)
    return float((says == (EXCLUSIVE_OR[:, None] > 0.5)).mean(axis=0).max())


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Show the crisis, the way out, and how wide it has to be."""
    tt.manual_seed(lab.seed)
    with lab.timed("data"):
        random = np.random.default_rng(lab.seed)
        corners = the_corners()
        seen, held_out = noisy_points(random, POINTS), noisy_points(random, POINTS)

    single, deep = single_layer(), HiddenLayer(lab.option("hidden_units", int))
    together = nn.ModuleDict({"single": single, "deep": deep})
    if lab.mode == "test-only":
        return systems(lab, deep, seen)
    if lab.mode == "pretrained":
        lab.load_weights(together)
    with lab.timed("train"):
        single_losses = learn(lab, single, seen, "single layer")
        deep_losses = learn(lab, deep, seen, "hidden layer")
    lab.save_weights(together)
    with lab.timed("evaluate"):
        lab.metric("single_layer_corner_accuracy", accuracy(single, corners))
        lab.metric("single_layer_held_out_accuracy", accuracy(single, held_out))
        lab.metric("hidden_layer_corner_accuracy", accuracy(deep, corners))
        lab.metric("hidden_layer_held_out_accuracy", accuracy(deep, held_out))
        best_line = best_random_line(random, LINES)
        lab.metric("best_random_line_corner_accuracy", best_line)

    lab.heading("The crisis")
    lab.note(
        "A single unit says yes where w1 x1 + w2 x2 + b > 0. Exclusive or asks for four things: "
        "no at (0, 0), so b <= 0; yes at (0, 1), so w2 + b > 0; yes at (1, 0), so w1 + b > 0; no "
        "at (1, 1), so w1 + w2 + b <= 0. Add the two that say yes: w1 + w2 + 2b > 0. Add the two "
        "that say no: w1 + w2 + 2b <= 0. Both cannot hold, so at least one corner is wrong, and no "
        "training, however long, passes 75%."
    )
    lab.table(
        "What each model says at the corners",
        ("Corner", "Exclusive or", "Single layer", "Hidden layer"),
        table_of_corners(corners, single, deep),
    )
    lab.note(
        "The single layer settles on saying about one half everywhere: of all that a line can "
        f"do, that costs the least. A search over {LINES:,} random lines finds none above "
        f"{best_line:.0%} either."
    )
    lab.picture(
        "surfaces",
        lambda figure: draw_surfaces(figure, held_out, single, deep),
        alt="Two plots of the held-out points about the four corners of a square, tinted by what "
        "the models say. Left, the single layer: nearly the same pale tint everywhere. Right, the "
        "hidden layer: two curved boundaries part the plane so that each of the four clouds lies "
        "in a region of its own class.",
        caption="What the models say of every point of the plane, with the held-out points. Left, "
        "a single layer, which can only draw a line; right, with a hidden layer.",
        size=(5.6, 3.5),
    )
    if lab.epochs:
        lab.picture(
            "loss",
            lambda figure: draw_losses(figure, single_losses, deep_losses),
            alt="The loss over epochs. The single layer's stays at ln 2; the hidden layer's leaves "
            "it and falls towards zero.",
            caption="The cross-entropy on the points learned from. The dotted line, ln 2, is what "
            "guessing costs.",
            size=(5.6, 3.0),
        )

    lab.heading("What the hidden units learned")
    lab.picture(
        "hidden_units",
        lambda figure: draw_units(figure, deep),
        alt="One small plot for each hidden unit, tinted by its output over the plane: each "
        "switches from one tint to the other along a line of its own.",
        caption="The output of each hidden unit, from -1 to 1, those that the output unit "
        "weighs most first. Each is a perceptron with its own line (where it is 0); together "
        "they fence off what one line cannot.",
        size=(5.6, 3.4),
    )
    lab.picture(
        "untangled",
        lambda figure: draw_untangled(figure, held_out, deep),
        alt="The held-out points in the space of the hidden units: the two classes lie on "
        "opposite sides of a vertical line.",
        caption="The held-out points as the output unit sees them, in the space of the hidden "
        "units: across, the direction it reads; up, the direction of most spread beside it. What "
        "no line separated, a line now does.",
        size=(5.6, 3.6),
    )

    if lab.epochs:
        study_widths(lab, seen, corners)
    systems(lab, deep, seen)


def table_of_corners(
    corners: Points, single: nn.Module, deep: nn.Module
) -> list[tuple[str, int, str, str]]:
    """For each corner, what is right and what each model says."""
    with tt.no_grad():
        said = [model(corners.inputs).numpy()[:, 0] for model in (single, deep)]
    return [
        (f"({x1:.0f}, {x2:.0f})", int(right), f"{one:.3f}", f"{other:.3f}")
        for (x1, x2), right, one, other in zip(CORNERS, EXCLUSIVE_OR, *said, strict=True)
    ]


def study_widths(lab: Lab, seen: Points, corners: Points) -> None:
    """How many hidden units does it take? Train several widths from several starts."""
    starts = lab.option("starts", int)
    solved = {}
    with lab.timed("train"):
        for width in lab.progress(WIDTHS, "how many hidden units"):
            models = [HiddenLayer(width) for _ in range(starts)]
            for model in models:
                learn(lab, model, seen)
            solved[width] = sum(accuracy(model, corners) == 1.0 for model in models)
    lab.heading("How many hidden units it takes")
    lab.table(
        f"Runs that get all four corners right, of {starts} with random starts",
        ("Hidden units", "Solved"),
        [(width, f"{count} of {starts}") for width, count in solved.items()],
    )
    lab.note(
        "Two units are enough to hold a solution, but not to find it from every start: gradient "
        "descent can end where no small step helps and one corner stays wrong. Units to spare "
        "make that rarer. No run above was restarted or chosen: each is one start from its seed."
    )


def systems(lab: Lab, model: HiddenLayer, seen: Points) -> None:
    """What it costs."""
    inputs, labels = seen.inputs[: lab.batch_size], seen.labels[: lab.batch_size]
    lab.systems(
        model,
        inputs,
        step=training_step(model, inputs, labels),
        growth={
            "batch size": (step_of_batch, (64, 512, 4096, 32768)),
            "number of hidden units": (step_of_width, (16, 128, 1024, 8192)),
        },
    )


def training_step(model: nn.Module, inputs: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step of gradient descent up to the gradients, to be measured."""
    cross_entropy, parameters = nn.BCELoss(), list(model.parameters())
    return lambda: tt.grad(cross_entropy(model(inputs), labels), parameters)


def step_of_batch(size: int) -> Callable[[], object]:
    """A training step of 8 hidden units on a batch of that size."""
    return training_step(HiddenLayer(8), tt.randn(size, 2), tt.ones(size, 1))


def step_of_width(size: int) -> Callable[[], object]:
    """A training step of that many hidden units on 64 points."""
    return training_step(HiddenLayer(size), tt.randn(64, 2), tt.ones(64, 1))


# --- The pictures -------------------------------------------------------------------------------

EDGES = (-0.5, 1.5)
AXIS = np.linspace(*EDGES, 121, dtype=np.float32)
PLANE = np.stack(np.meshgrid(AXIS, AXIS), axis=-1).reshape(-1, 2)  # (121 * 121, 2)


def draw_points(axes: Axes, points: Points) -> None:
    """Scatter points, one colour and shape for each class."""
    inputs, labels = points.inputs.numpy(), points.labels.numpy()[:, 0] > 0.5
    for of_class, colour, marker in ((labels, "C0", "o"), (~labels, "C1", "s")):
        x1, x2 = inputs[of_class].T
        axes.scatter(x1, x2, s=5, c=colour, marker=marker, alpha=0.7, lw=0)


def draw_surfaces(figure: Figure, points: Points, single: nn.Module, deep: nn.Module) -> None:
    """What each model says over the plane."""
    panels = figure.subplots(1, 2, sharey=True)
    for axes, model, title in zip(
        panels, (single, deep), ("Single layer", "Hidden layer"), strict=True
    ):
        with tt.no_grad():
            says = model(tt.tensor(PLANE)).numpy().reshape(len(AXIS), -1)  # (121, 121)
        axes.pcolormesh(AXIS, AXIS, says, cmap=class_colours(), vmin=0, vmax=1, rasterized=True)
        axes.contour(AXIS, AXIS, says, levels=[0.5], colors=[axes.xaxis.label.get_color()])
        draw_points(axes, points)
        axes.set(title=title, aspect="equal", xlim=EDGES, ylim=EDGES, xticks=[0, 1], yticks=[0, 1])
        axes.grid(visible=False)
        axes.set_xlabel("$x_1$")
    panels[0].set_ylabel("$x_2$")


def draw_losses(figure: Figure, single: Sequence[float], deep: Sequence[float]) -> None:
    """The losses over the epochs."""
    axes = figure.subplots()
    axes.axhline(np.log(2), color="C4", lw=1, ls=":")
    for losses, name, colour in ((single, "single layer", "C3"), (deep, "hidden layer", "C2")):
        axes.plot(range(1, len(losses) + 1), losses, color=colour, label=name)
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, 0.8))
    axes.legend(loc="center right")


def draw_units(figure: Figure, model: HiddenLayer) -> None:
    """The hidden units over the plane, at most eight, those that weigh most first."""
    weights = model.output.weight.detach().numpy()[0]  # (width,)
    order = np.argsort(-np.abs(weights))[:8]
    with tt.no_grad():
        units = model.units(tt.tensor(PLANE)).numpy().reshape(len(AXIS), len(AXIS), -1)
    columns = min(4, len(order))
    panels = figure.subplots(-(-len(order) // columns), columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, unit in zip(panels, order, strict=False):
        says = units[:, :, unit]
        axes.pcolormesh(AXIS, AXIS, says, cmap=class_colours(), vmin=-1, vmax=1, rasterized=True)
        if says.min() < 0 < says.max():
            ink = axes.xaxis.label.get_color()
            axes.contour(AXIS, AXIS, says, levels=[0], colors=[ink], linewidths=1.5)
        for (x1, x2), label in zip(CORNERS, EXCLUSIVE_OR, strict=True):
            colour, marker = ("C0", "o") if label else ("C1", "s")
            axes.scatter(x1, x2, s=28, c=colour, marker=marker, edgecolors="white", lw=0.8)
        title = f"weight {weights[unit]:+.1f}"
        axes.set_title(title, fontsize=10, fontweight="normal", loc="center")
        axes.set(aspect="equal", xlim=EDGES, ylim=EDGES)


def draw_untangled(figure: Figure, points: Points, model: HiddenLayer) -> None:
    """The points in the space of the hidden units, seen along what the output unit reads."""
    with tt.no_grad():
        units = model.units(points.inputs).numpy()  # (N, width)
    weights, bias = model.output.weight.detach().numpy()[0], model.output.bias.item()
    length = np.linalg.norm(weights)
    across = (units @ weights + bias) / length
    beside = units - units.mean(0)
    beside -= np.outer(beside @ weights, weights) / length**2
    up = beside @ np.linalg.svd(beside, full_matrices=False)[2][0]  # first principal direction
    axes = figure.subplots()
    draw_points(axes, Points(tt.tensor(np.stack([across, up], axis=1)), points.labels))
    axes.axvline(0, color=axes.xaxis.label.get_color(), lw=2)
    axes.set(xlabel="what the output unit reads", ylabel="beside it")


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={
            "single_layer_corner_accuracy": at_most(0.75),
            "hidden_layer_corner_accuracy": at_least(1.0),
            "hidden_layer_held_out_accuracy": at_least(0.99),
        },
        epochs=60,
        demo_epochs=40,
        batch_size=50,
        options=(
            Option("--hidden-units", 8, "units of the hidden layer"),
            Option("--starts", 6, "random starts for each width", demo=3),
        ),
    )
    sys.exit(milestone.run(experiment))

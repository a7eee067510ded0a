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
"""A machine that learns from its mistakes: the perceptron.

In 1957 Frank Rosenblatt described a machine that was not programmed to tell two kinds of things
apart, but learned it from examples. A year later it ran on an IBM 704, and by 1960 it stood at
Cornell as the Mark I: 400 photocells, and a potentiometer for each weight, turned by a motor. It
adds up its inputs times its weights and fires if the sum is positive. When it is wrong, its weights
move a little.

Here it learns twice. First as we would have it learn today: a linear layer, a sigmoid, and gradient
descent on the cross-entropy. Then by Rosenblatt's own rule, which needs no derivative. Both learn
two classes that a straight line separates. Then both meet two classes that no line separates, and
there the trouble of 1969 begins.

Sources: F. Rosenblatt, The Perceptron: A Perceiving and Recognizing Automaton, Cornell Aeronautical
Laboratory, report 85-460-1, 1957. A. B. J. Novikoff, On Convergence Proofs on Perceptrons, 1962.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

import tt_autograd as tt
import tt_nn as nn
from tt_tito import Lab, Milestone, at_least
from tt_tito.pictures import class_colours

POINTS, TRAINED_ON = 1000, 750  # the other 250 are held out
LEARNING_RATE = 0.5
NORMAL, OFFSET, MARGIN = np.array([0.8, 0.6]), 0.3, 0.1  # the line NORMAL . x = OFFSET, kept clear


# --- The data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Problem:
    """Points in the plane, (N, 2), and their classes, (N, 1); the last quarter is held out."""

    name: str
    points: tt.Tensor
    labels: tt.Tensor

    @property
    def seen(self) -> tuple[tt.Tensor, tt.Tensor]:
        """What is learned from."""
        return self.points[:TRAINED_ON], self.labels[:TRAINED_ON]

    @property
    def held_out(self) -> tuple[tt.Tensor, tt.Tensor]:
        """What is kept for the measurement at the end."""
        return self.points[TRAINED_ON:], self.labels[TRAINED_ON:]


def two_clouds(random: np.random.Generator) -> Problem:
    """Two clouds, one on each side of a line, with no point closer to it than the margin."""
    labels = random.integers(0, 2, POINTS)
    distance = OFFSET + (2 * labels - 1) * (MARGIN + random.gamma(1.5, 0.5, POINTS))
    along = random.normal(0.0, 0.9, POINTS)
    tangent = np.array([-NORMAL[1], NORMAL[0]])
    points = np.outer(distance, NORMAL) + np.outer(along, tangent)  # (POINTS, 2)
    return Problem("clouds", tt.tensor(points, dtype="float32"), as_column(labels))


def disc_in_ring(random: np.random.Generator) -> Problem:
    """A disc of one class inside a ring of the other: no line separates them."""
    labels = random.integers(0, 2, POINTS)
    disc, ring = np.sqrt(random.uniform(0, 1, POINTS)), random.uniform(1.5, 2.2, POINTS)
    radius, angle = np.where(labels == 1, disc, ring), random.uniform(0, 2 * math.pi, POINTS)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)  # (POINTS, 2)
    return Problem("ring", tt.tensor(points, dtype="float32"), as_column(labels))


def as_column(labels: np.ndarray) -> tt.Tensor:
    """Labels as floats in a column: (N,) -> (N, 1)."""
    return tt.tensor(labels, dtype="float32").unsqueeze(1)


# --- The model, and two ways to teach it --------------------------------------------------------


class Perceptron(nn.Module):
    """A weighted sum of its inputs, squashed to the probability of class 1."""

    def __init__(self, inputs: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, points: tt.Tensor) -> tt.Tensor:
        """(N, inputs) -> (N, 1)."""
        return self.sigmoid(self.linear(points))

    def line(self) -> tuple[float, float, float]:
        """The boundary w1 x1 + w2 x2 + b = 0 as (w1, w2, b)."""
        w1, w2 = self.linear.weight[0].tolist()
        return w1, w2, self.linear.bias.item()


@dataclass
class History:
    """What happened while it learned."""

    losses: list[float] = field(default_factory=list)  # after each epoch
    mistakes: list[int] = field(default_factory=list)  # in each epoch
    lines: list[tuple[float, float, float]] = field(default_factory=list)  # after each step


def learn_by_gradient(lab: Lab, model: Perceptron, problem: Problem) -> History:
    """Gradient descent on the cross-entropy, a batch at a time, written out."""
    history = History(lines=[model.line()])
    points, labels = problem.seen
    cross_entropy = nn.BCELoss()
    parameters = list(model.parameters())
    for _ in lab.progress(range(lab.epochs), f"{problem.name}: gradient descent"):
        order = tt.randperm(TRAINED_ON)
        for start in range(0, TRAINED_ON, lab.batch_size):
            batch = order[start : start + lab.batch_size]
            loss = cross_entropy(model(points[batch]), labels[batch])
            gradients = tt.grad(loss, parameters)
            with tt.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= LEARNING_RATE * gradient
            history.lines.append(model.line())
        with tt.no_grad():
            history.losses.append(cross_entropy(model(points), labels).item())
    return history


def learn_by_mistakes(lab: Lab, model: Perceptron, problem: Problem) -> History:
    """Rosenblatt's rule: when the unit is wrong, add or subtract the point it was wrong on.

    w += (y - fired) x and b += (y - fired), a point at a time, until an epoch has no mistake.
    """
    history = History()
    neuron = model.linear
    if lab.epochs:
        nn.init.zeros_(neuron.weight)
        nn.init.zeros_(neuron.bias)
    with tt.no_grad():
        for _ in lab.progress(range(lab.epochs), f"{problem.name}: Rosenblatt's rule"):
            mistakes = 0
            for point, label in zip(*problem.seen, strict=True):
                fired = neuron(point).item() > 0
                error = label.item() - fired  # -1, 0 or 1
                if error:
                    neuron.weight.copy_(neuron.weight + error * point)
                    neuron.bias.copy_(neuron.bias + error)
                    mistakes += 1
            history.mistakes.append(mistakes)
            if mistakes == 0:
                break
    return history


def accuracy(model: Perceptron, points: tt.Tensor, labels: tt.Tensor) -> float:
    """The share of points whose class is the one the model finds more likely."""
    with tt.no_grad():
        right = (model(points) > 0.5) == (labels > 0.5)
    return float(right.numpy().mean())


def novikoff_bound(model: Perceptron, points: tt.Tensor, labels: tt.Tensor) -> float:
    """The most mistakes that Rosenblatt's rule can ever make: (R / margin)^2.

    R is the length of the longest input, the margin that of any line that separates the classes
    (here the model's), both with the bias counted as one more input, always 1. Infinite if the
    model's line does not separate them.
    """
    inputs = np.concatenate([points.numpy(), np.ones((len(points), 1))], axis=1)  # (N, 3)
    sides = 2 * labels.numpy()[:, 0] - 1
    weights = np.array(model.line())
    margin = (sides * (inputs @ weights)).min() / np.linalg.norm(weights)
    longest = np.linalg.norm(inputs, axis=1).max()
    return float((longest / margin) ** 2) if margin > 0 else math.inf


# --- The experiment -----------------------------------------------------------------------------


def experiment(lab: Lab) -> None:
    """Teach the perceptron in both ways, on what it can learn and on what it cannot."""
    tt.manual_seed(lab.seed)
    with lab.timed("data"):
        random = np.random.default_rng(lab.seed)
        clouds, ring = two_clouds(random), disc_in_ring(random)

    perceptrons = {name: Perceptron() for name in ("modern", "rosenblatt", "lost", "restless")}
    modern, rosenblatt, lost, restless = perceptrons.values()
    together = nn.ModuleDict(perceptrons)
    if lab.mode == "test-only":
        return systems(lab, modern, clouds)
    if lab.mode == "pretrained":
        lab.load_weights(together)

    with lab.timed("train"):
        descent = learn_by_gradient(lab, modern, clouds)
        correction = learn_by_mistakes(lab, rosenblatt, clouds)
        stuck = learn_by_gradient(lab, lost, ring)
        endless = learn_by_mistakes(lab, restless, ring)
    lab.save_weights(together)

    with lab.timed("evaluate"):
        lab.metric("held_out_accuracy", accuracy(modern, *clouds.held_out))
        lab.metric("rosenblatt_held_out_accuracy", accuracy(rosenblatt, *clouds.held_out))
        lab.metric("ring_held_out_accuracy", accuracy(lost, *ring.held_out))
        lab.metric("rosenblatt_ring_held_out_accuracy", accuracy(restless, *ring.held_out))
        bound = novikoff_bound(rosenblatt, *clouds.seen)

    lab.heading("What a line separates")
    lab.note(
        f"Of the {POINTS:,} points of two clouds, {TRAINED_ON} are learned from. Accuracy is that "
        "on the others, which no choice was made by."
    )
    lab.picture(
        "boundary",
        lambda figure: draw_moving_line(figure, clouds, descent, rosenblatt),
        alt="Two clouds of points. A fan of faint lines shows the boundary turning and moving as "
        "it learns, until a bold line runs through the gap between the clouds. A dashed line, "
        "found by Rosenblatt's rule, runs through the same gap at a slightly different angle.",
        caption="The boundary of the sigmoid unit, fainter the earlier, and the one that "
        "Rosenblatt's rule ends with (dashed).",
        size=(5.6, 4.8),
    )
    if math.isfinite(bound) and correction.mistakes:
        lab.note(
            f"Rosenblatt's rule made {sum(correction.mistakes)} mistakes in "
            f"{len(correction.mistakes)} epochs. Novikoff proved in 1962 that it can never make "
            "more than (R / margin)^2, where R is the longest input and the margin that of any "
            f"line that separates the classes. With the line it found, that is {bound:,.0f}."
        )

    lab.heading("What no line separates")
    lab.note(
        "A disc inside a ring. The unit, the rule and the number of points are the same. Gradient "
        "descent ends undecided: the best it can say of any point is about one half. Rosenblatt's "
        "rule never ends: there is always one more mistake to correct."
    )
    lab.picture(
        "limit",
        lambda figure: draw_limit(figure, ring, lost, restless),
        alt="A disc of points of one class inside a ring of points of the other. The background, "
        "tinted by the probability that the unit gives, is almost the same everywhere. Of the two "
        "lines that were learned, neither has the disc on one side and the ring on the other.",
        caption="The same unit on a disc in a ring. The tint is its probability for the class of "
        "the disc; it hardly differs from one half anywhere.",
        size=(5.6, 4.8),
    )
    if lab.epochs:
        lab.picture(
            "learning",
            lambda figure: draw_learning(figure, (descent, stuck), (correction, endless)),
            alt="Left: the loss over epochs falls steeply for the clouds and stays flat near "
            "ln 2 for the ring. Right: the mistakes of Rosenblatt's rule in each epoch fall to "
            "zero for the clouds and stay in the hundreds for the ring.",
            caption="Left: the cross-entropy on the points learned from; guessing costs ln 2. "
            "Right: the mistakes that Rosenblatt's rule makes in each epoch.",
            size=(5.6, 3.2),
        )

    systems(lab, modern, clouds)


def systems(lab: Lab, model: Perceptron, problem: Problem) -> None:
    """What it costs."""
    points, labels = problem.points[: lab.batch_size], problem.labels[: lab.batch_size]
    lab.systems(
        model,
        points,
        step=training_step(model, points, labels),
        growth={
            "batch size": (step_of_batch, (64, 512, 4096, 32768)),
            "number of inputs": (step_of_inputs, (16, 128, 1024, 8192)),
        },
    )
    lab.note(
        "The Mark I had 400 inputs for one such unit, and each weight was a motor. In memory a "
        "weight is four bytes; what a training step costs for so few of them is mostly the fixed "
        "price of calling each op."
    )


def training_step(model: Perceptron, points: tt.Tensor, labels: tt.Tensor) -> Callable[[], object]:
    """One step of gradient descent up to the gradients, to be measured."""
    cross_entropy, parameters = nn.BCELoss(), list(model.parameters())
    return lambda: tt.grad(cross_entropy(model(points), labels), parameters)


def step_of_batch(size: int) -> Callable[[], object]:
    """A training step on a batch of that size."""
    return training_step(Perceptron(), tt.randn(size, 2), tt.ones(size, 1))


def step_of_inputs(size: int) -> Callable[[], object]:
    """A training step on 64 examples of that many inputs."""
    return training_step(Perceptron(size), tt.randn(64, size), tt.ones(64, 1))


# --- The pictures -------------------------------------------------------------------------------


def draw_points(axes: Axes, problem: Problem) -> None:
    """Scatter the points, the held-out ones with an edge."""
    points, labels = problem.points.numpy(), problem.labels.numpy()[:, 0] > 0.5
    for of_class, colour, marker in ((labels, "C0", "o"), (~labels, "C1", "s")):
        chosen = points[of_class]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=9, c=colour, marker=marker, alpha=0.75, lw=0)
    (left, low), (right, high) = points.min(0) - 0.3, points.max(0) + 0.3
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")


def draw_line(
    axes: Axes,
    line: tuple[float, float, float],
    color: ColorType,
    width: float,
    style: str = "-",
    alpha: float = 1.0,
    label: str | None = None,
) -> None:
    """Draw the boundary w1 x1 + w2 x2 + b = 0; a unit without weights has none."""
    w1, w2, bias = line
    square = w1 * w1 + w2 * w2
    if square > 0:
        x1, x2 = -bias * w1 / square, -bias * w2 / square  # the line's point nearest the origin
        along = (x1 - w2, x2 + w1)
        axes.axline((x1, x2), along, color=color, lw=width, ls=style, alpha=alpha, label=label)


def draw_moving_line(
    figure: Figure, problem: Problem, history: History, rosenblatt: Perceptron
) -> None:
    """The boundary after 0, 1, 2, 4, 8 ... steps, and Rosenblatt's."""
    axes = figure.subplots()
    draw_points(axes, problem)
    last = len(history.lines) - 1
    steps = [0, *(2**k for k in range(last.bit_length()) if 2**k < last)]
    for rank, step in enumerate(steps):
        strength = 0.15 + 0.5 * rank / len(steps)
        draw_line(axes, history.lines[step], "C4", 1.2, alpha=strength)
    ink = axes.xaxis.label.get_color()
    draw_line(axes, history.lines[last], ink, 2.4, label=f"after {last:,} steps")
    draw_line(axes, rosenblatt.line(), "C3", 2.0, "--", label="Rosenblatt's rule")
    figure.legend(loc="outside upper left", ncols=2)


def draw_limit(figure: Figure, problem: Problem, model: Perceptron, rosenblatt: Perceptron) -> None:
    """The disc in the ring over the unit's probabilities."""
    axes = figure.subplots()
    draw_points(axes, problem)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x1, x2 = np.meshgrid(np.linspace(left, right, 120), np.linspace(low, high, 120))
    with tt.no_grad():
        grid = tt.tensor(np.stack([x1.ravel(), x2.ravel()], axis=1), dtype="float32")
        probability = model(grid).numpy().reshape(x1.shape)  # (120, 120)
    shade = axes.pcolormesh(
        x1, x2, probability, cmap=class_colours(), vmin=0, vmax=1, zorder=0, rasterized=True
    )
    bar = figure.colorbar(shade, ax=axes, ticks=[0, 0.5, 1], shrink=0.8)
    bar.set_label("probability of the disc")
    bar.outline.set_visible(False)
    ink = axes.xaxis.label.get_color()
    draw_line(axes, model.line(), ink, 2.4, label="gradient descent")
    draw_line(axes, rosenblatt.line(), "C3", 2.0, "--", label="Rosenblatt's rule")
    figure.legend(loc="outside upper left", ncols=2)


def draw_learning(
    figure: Figure, descents: tuple[History, History], corrections: tuple[History, History]
) -> None:
    """Loss and mistakes over the epochs, where learning works and where it cannot."""
    left, right = figure.subplots(1, 2)
    left.axhline(math.log(2), color="C4", lw=1, ls=":")
    for descent, correction, name, colour in zip(
        descents, corrections, ("clouds", "ring"), ("C2", "C3"), strict=True
    ):
        epochs = range(1, len(descent.losses) + 1)
        left.plot(epochs, descent.losses, color=colour, label=name)
        epochs = range(1, len(correction.mistakes) + 1)
        right.plot(epochs, correction.mistakes, "o-", color=colour, ms=3, clip_on=False)
    left.set(title="Loss", xlabel="epoch", ylim=(0, 0.8))
    right.set(title="Mistakes", xlabel="epoch", ylim=(0, None))
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)


if __name__ == "__main__":
    milestone = Milestone(
        __file__,
        bar={
            "held_out_accuracy": at_least(0.95),
            "rosenblatt_held_out_accuracy": at_least(0.95),
        },
        epochs=40,
        demo_epochs=15,
        batch_size=50,
    )
    sys.exit(milestone.run(experiment))

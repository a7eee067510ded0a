# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exclusive or, 1969
#
# Marvin Minsky and Seymour Papert asked what a perceptron can compute, and proved that there are
# simple things it cannot. The simplest is exclusive or: yes if one of two inputs is on, no if both
# or neither are. Milestone 02 shows the crisis and the way out. This notebook asks for exclusive or
# of two handwritten bits: two real digits, a zero or a one each, side by side.
#
# What you need: `tt-autograd`, `tt-nn` and `tt-data`, and for the pictures matplotlib.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import Digits
from tt_tito.pictures import LIGHT, class_colours, draw_images

plt.style.use([LIGHT, {"figure.dpi": 110}])
tt.manual_seed(1969)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return plt.figure(figsize=(width, height), layout="constrained")


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say what it shows for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


# %% [markdown]
# ## Four points and no line
#
# Inputs and answers of exclusive or are two tensors with a row for each case:

# %%
corners = tt.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
answers = tt.tensor([0.0, 1.0, 1.0, 0.0])
tt.concat([corners, answers.unsqueeze(1)], dim=1)  # two inputs, and what is right

# %% [markdown]
# A single unit says yes where $w_1 x_1 + w_2 x_2 + b > 0$. The four cases ask for
#
# $$ b \le 0, \qquad w_2 + b > 0, \qquad w_1 + b > 0, \qquad w_1 + w_2 + b \le 0. $$
#
# Add the two in the middle: $w_1 + w_2 + 2b > 0$. Add the outer two: $w_1 + w_2 + 2b \le 0$. Both
# cannot hold, so every line gets at least one case wrong. Do not take it on trust: here are a
# hundred thousand random lines, and the best of them.

# %%
random = np.random.default_rng(0)
weights, biases = random.normal(size=(2, 100_000)), random.normal(size=100_000)
says = corners.numpy() @ weights + biases > 0  # (4, 100000)
right = (says == (answers.numpy()[:, None] > 0.5)).sum(axis=0)
print({int(count): int((right == count).sum()) for count in np.unique(right)})

# %% [markdown]
# ## What a unit learns of it
#
# Gradient descent has no luck either. It settles where it costs least: at one half everywhere,
# which is to say nothing. The loss is then $\ln 2 \approx 0.693$.


# %%
def learn(model: nn.Module, x: tt.Tensor, y: tt.Tensor, steps: int, rate: float) -> list[float]:
    """Gradient descent on the cross-entropy, all rows at once; returns the losses."""
    criterion, parameters = nn.BCEWithLogitsLoss(), list(model.parameters())
    losses = []
    for _ in range(steps):
        loss = criterion(model(x)[:, 0], y)
        gradients = tt.grad(loss, parameters)
        with tt.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
        losses.append(loss.item())
    return losses


line = nn.Linear(2, 1)
line_losses = learn(line, corners, answers, 500, 1.0)
print(f"loss {line_losses[-1]:.4f}")
tt.sigmoid(line(corners))

# %% [markdown]
# ## A layer in between
#
# Two units that each draw a line of their own, and a third that reads them, are enough to hold a
# solution: one line on each side of the middle. `tanh` bends their sums; without it, lines of lines
# would be lines again.

# %%
hidden = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
hidden_losses = learn(hidden, corners, answers, 500, 1.0)
print(f"loss {hidden_losses[-1]:.4f}")
hidden

# %%
axis = np.linspace(-0.5, 1.5, 101, dtype=np.float32)
plane = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)  # (101 * 101, 2)
figure = new_figure(6, 3.2)
for axes, model, title in zip(
    figure.subplots(1, 2, sharey=True), (line, hidden), ("One unit", "A hidden layer"), strict=True
):
    with tt.no_grad():
        surface = tt.sigmoid(model(tt.from_numpy(plane))).numpy().reshape(101, 101)
    axes.pcolormesh(axis, axis, surface, cmap=class_colours(), vmin=0, vmax=1)
    for (x1, x2), answer in zip(corners.numpy(), answers.numpy(), strict=True):
        axes.scatter(x1, x2, s=60, color="C0" if answer else "C1", marker="o" if answer else "s")
    axes.set(title=title, aspect="equal", xticks=[0, 1], yticks=[0, 1], xlabel="$x_1$")
    axes.grid(visible=False)
show(
    figure,
    "Two squares with the four corners. One unit: the same pale tint everywhere. A hidden layer: a "
    "blue band runs between the two corners where exactly one input is on.",
)

# %% [markdown]
# ## Two handwritten bits
#
# Now with real data. Take the zeros and ones of `Digits`, put two of them side by side, and ask
# whether they differ. There are 128 inputs instead of two, and no pixel says anything by itself: a
# one on the left speaks for yes as often as for no. To be fair, the digits that the test pairs are
# made of are in no pair that is learned from.

# %%
digits = Digits()
bits = np.flatnonzero(digits.targets.numpy() < 2)
pixels = digits.data.float().numpy()[bits].reshape(-1, 64) / 16  # (N, 1, 8, 8) -> (N, 64)
values = digits.targets.numpy()[bits]
cut = len(bits) * 2 // 3


def pairs(low: int, high: int, count: int) -> tuple[tt.Tensor, np.ndarray, np.ndarray]:
    """Random pairs of some digits, (count, 128), and the bits on the left and on the right."""
    left, right = random.integers(low, high, (2, count))
    x = np.concatenate([pixels[left], pixels[right]], axis=1)
    return tt.from_numpy(x), values[left], values[right]


seen, one, other = pairs(0, cut, 2000)
seen_differ = tt.tensor(one != other, dtype="float32")
unseen, one, other = pairs(cut, len(bits), 1000)
unseen_differ, unseen_case = tt.tensor(one != other, dtype="float32"), 2 * one + other

figure = new_figure(6, 2.1)
first = seen.numpy()[:6].reshape(6, 2, 8, 8)  # six pairs
draw_images(
    figure,
    [np.concatenate([left, right], axis=1) for left, right in first],
    ["differ" if each else "the same" for each in seen_differ.numpy()[:6]],
)
show(figure, "Six pairs of handwritten zeros and ones, each with the words differ or the same.")


# %%
def accuracy(model: nn.Module, x: tt.Tensor, y: tt.Tensor) -> float:
    """The share of pairs that a model is right about."""
    with tt.no_grad():
        right = (model(x)[:, 0] > 0) == (y > 0.5)
    return float(right.float().mean().item())


flat = nn.Linear(128, 1)
flat_losses = learn(flat, seen, seen_differ, 300, 0.05)  # larger steps diverge
deep = nn.Sequential(nn.Linear(128, 16), nn.Tanh(), nn.Linear(16, 1))
deep_losses = learn(deep, seen, seen_differ, 300, 0.5)
for name, model in (("one unit", flat), ("a hidden layer", deep)):
    print(f"{name:15} seen {accuracy(model, seen, seen_differ):6.1%}", end="")
    print(f"   unseen {accuracy(model, unseen, unseen_differ):6.1%}")

# %% [markdown]
# One unit does little better than a coin: what it knows of the left half it cannot hold against the
# right half, it can only add the two up. The hidden layer solves it, for digits that it has never
# seen.

# %%
figure = new_figure(6, 2.8)
axes = figure.subplots()
axes.axhline(np.log(2), color="C4", lw=1, ls=":")
axes.plot(flat_losses, color="C3", label="one unit")
axes.plot(deep_losses, color="C2", label="a hidden layer")
axes.set(title="Cross-entropy of the pairs learned from", xlabel="step", ylim=(0, 0.8))
axes.legend()
show(figure, "The loss of one unit stays near ln 2; that of the hidden layer falls towards zero.")

# %% [markdown]
# ## What the hidden units became
#
# Nobody told the hidden units what to do. Here is how much each answers to the four cases, on
# average over the unseen pairs, in the order of how much the output unit weighs it. Look at the
# first columns: such a unit has one sign for a single case and the other for the other three. It
# has drawn a line that fences off one corner of the square, now in 128 dimensions.

# %%
first_layer, bend, last_layer = deep[0], deep[1], deep[2]
assert isinstance(last_layer, nn.Linear)
with tt.no_grad():
    units = bend(first_layer(unseen))  # (1000, 16)
order = np.argsort(-np.abs(last_layer.weight.detach().numpy()[0]))
means = np.stack([units.numpy()[unseen_case == case].mean(axis=0)[order] for case in range(4)])
tt.from_numpy(means[:, :8])  # rows: 00, 01, 10, 11; columns: hidden units

# %%
figure = new_figure(6, 2.4)
axes = figure.subplots()
axes.imshow(means, cmap=class_colours(0.9), vmin=-1, vmax=1, aspect="auto")
axes.set(yticks=range(4), yticklabels=["00", "01", "10", "11"], xlabel="hidden unit", ylabel="case")
axes.set_title("What each hidden unit says, by case")
axes.grid(visible=False)
show(
    figure,
    "Four rows for the four cases and sixteen columns for the hidden units, from orange, -1, to "
    "blue, +1. In each of the first columns one row has another colour than the other three.",
)

# %% [markdown]
# ## Things to try
#
# - Give the hidden layer two units instead of sixteen, and several seeds. How often does it end
#   with a case wrong? Milestone 02 counts that.
# - Take the `nn.Tanh()` out. Why is a hidden layer without it no better than one unit?
# - Ask for *and* instead of *differ*. Which of the two models do you need?
# - Take three bits, and ask whether the number of ones is odd (parity, the example that Minsky and
#   Papert wrote most about). How many hidden units does it take?
#
# **A question.** One unit fails at exclusive or whatever its weights are. But if you hand it a
# third input, the product $x_1 x_2$, it succeeds at once. So is the limit in the unit, or in what
# it is shown? And who should make the products, for 128 pixels?

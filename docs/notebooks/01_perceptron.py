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
# # The perceptron, 1957
#
# Frank Rosenblatt's machine was not told how to tell two kinds of pictures apart. It was shown
# examples, and when it was wrong its weights moved a little. Milestone 01 does this with points in
# the plane. Here the pictures are real: digits that people wrote by hand, 8 by 8 pixels each,
# nearly as few as the 400 photocells of Rosenblatt's Mark I.
#
# What you need: `tt-autograd`, `tt-nn` and `tt-data`, and for the pictures matplotlib. Every
# figure below is computed when the notebook runs.

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
tt.manual_seed(1957)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return plt.figure(figsize=(width, height), layout="constrained")


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say what it shows for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


# %% [markdown]
# ## The data
#
# `Digits` ships inside `tt-data`: 1,797 images with values from 0 (blank) to 16 (ink). A tensor at
# the end of a cell shows what it is and its values; of several dimensions, the first matrix. Look
# at the large numbers: they draw a zero.

# %%
digits = Digits()
images = tt.tensor(digits.data, dtype="float32") / 16  # (1797, 1, 8, 8), from 0 to 1
labels = digits.targets.numpy()
16 * images[:1]

# %%
figure = new_figure(6, 2.3)
draw_images(figure, images.numpy()[:20, 0], columns=10)
show(figure, "The first twenty digits of the set, grey on white, two rows from 0 to 9.")

# %% [markdown]
# ## One unit
#
# A perceptron adds up its inputs times its weights and fires if the sum is positive:
#
# $$ \text{fires} \iff w \cdot x + b > 0 $$
#
# With 64 pixels there are 64 weights and a bias. The inputs for which the sum is 0 form a flat
# surface, in the plane a line, here a hyperplane in 64 dimensions. On one side of it the unit
# fires, on the other it does not. That is all it can ever do.

# %%
unit = nn.Linear(64, 1)
unit

# %% [markdown]
# ## Rosenblatt's rule
#
# Show one picture at a time. If the unit is right, do nothing. If it stays silent where it should
# fire, add the picture to the weights; if it fires where it should be silent, subtract it:
#
# $$ w \leftarrow w + (y - \hat y)\,x, \qquad b \leftarrow b + (y - \hat y). $$
#
# No derivative is needed. `nn.init` sets the weights to zero, `tt.no_grad()` says that nothing has
# to be recorded.


# %%
def pair(one: int, other: int) -> tuple[tt.Tensor, tt.Tensor]:
    """The images of two digits as rows of pixels, (N, 64), and 1 where it is the first, (N,)."""
    chosen = np.flatnonzero((labels == one) | (labels == other))
    pixels = images[chosen].reshape(-1, 64)  # (N, 1, 8, 8) -> (N, 64)
    return pixels, tt.tensor(labels[chosen] == one, dtype="float32")


def learn_by_mistakes(unit: nn.Linear, x: tt.Tensor, y: tt.Tensor, epochs: int) -> list[int]:
    """Rosenblatt's rule until an epoch has no mistake; returns the mistakes of each epoch."""
    nn.init.zeros_(unit.weight)
    nn.init.zeros_(unit.bias)
    mistakes = []
    with tt.no_grad():
        for _ in range(epochs):
            wrong = 0
            for pixels, fires in zip(x, y, strict=True):
                error = fires.item() - (unit(pixels).item() > 0)  # -1, 0 or 1
                if error:
                    unit.weight.copy_(unit.weight + error * pixels)
                    unit.bias.copy_(unit.bias + error)
                    wrong += 1
            mistakes.append(wrong)
            if not wrong:
                break
    return mistakes


x, y = pair(3, 8)
cut = len(x) * 3 // 4  # a quarter is held out
mistakes = learn_by_mistakes(unit, x[:cut], y[:cut], epochs=100)
print(f"{cut} images, mistakes in each epoch: {mistakes}")

# %% [markdown]
# The last epoch has no mistake: a flat surface divides the threes from the eights that it was
# shown. What about those that it was not shown?


# %%
def accuracy(unit: nn.Linear, x: tt.Tensor, y: tt.Tensor) -> float:
    """The share of images on the right side."""
    with tt.no_grad():
        fires = unit(x)[:, 0] > 0
    return (fires == (y > 0.5)).float().mean().item()


print(f"held out: {accuracy(unit, x[cut:], y[cut:]):.1%} of {len(x) - cut} images")
unit.weight.detach().reshape(8, 8)

# %% [markdown]
# ## What it looks at
#
# The 64 weights are a picture too. Blue says: ink here speaks for a three. Orange says: ink here
# speaks for an eight. Beside them is what one might have guessed, the mean three minus the mean
# eight. The rule finds much the same, for it has done nothing but add threes and subtract eights,
# and only the few that it got wrong.

# %%
threes, eights = (x.numpy()[y.numpy() == fires].reshape(-1, 8, 8) for fires in (1, 0))
figure = new_figure(4, 2)
draw_images(
    figure,
    [threes.mean(0) - eights.mean(0), unit.weight.detach().numpy().reshape(8, 8)],
    ["mean three - mean eight", "the weights"],
    columns=2,
    signed=True,
)
show(
    figure,
    "Two images of 8 by 8, alike: orange on the left side, where only an eight has ink, and blue "
    "further to the right.",
)

# %% [markdown]
# ## Which digits can one unit tell apart?
#
# If some flat surface divides two classes, the rule finds one. Novikoff proved in 1962 that it
# needs at most $(R / \gamma)^2$ corrections, where $R$ is the length of the longest input and
# $\gamma$ the distance of the nearest one to the dividing surface. If there is none, it never ends.
# Here it meets all 45 pairs of digits. To be quick, all corrections of an epoch are made in plain
# NumPy.


# %%
def epochs_needed(one: int, other: int, most: int = 200) -> int:
    """Epochs until no image is wrong; `most` if that does not happen."""
    x, y = (each.numpy() for each in pair(one, other))
    x = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)  # the bias is one more input
    signed = x * (2 * y - 1)[:, None]  # every row should come out positive
    weights = np.zeros(65, np.float32)
    for epoch in range(1, most):
        wrong = 0
        for row in signed:
            if row @ weights <= 0:
                weights += row
                wrong += 1
        if not wrong:
            return epoch
    return most


table = np.zeros((10, 10), int)
for one in range(10):
    for other in range(one):
        table[one, other] = epochs_needed(one, other)
told = table[np.tril_indices(10, -1)]
print(f"{(told < 200).sum()} of {len(told)} pairs are divided by a flat surface")

# %%
figure = new_figure(4.6, 4.2)
axes = figure.subplots()
axes.imshow(np.log1p(table), cmap="Blues", vmax=6)
for one, other in np.argwhere(table):
    text = f"{table[one, other]}" if table[one, other] < 200 else "never"
    axes.text(other, one, text, ha="center", va="center", fontsize=8)
axes.set(xticks=range(9), yticks=range(1, 10), xlim=(-0.5, 8.5), ylim=(9.5, 0.5))
axes.set(title="Epochs until no digit is wrong", xlabel="from", ylabel="told")
axes.grid(visible=False)
show(figure, "A triangle of numbers, one for each pair of digits: most pairs need a few epochs.")

# %% [markdown]
# ## The same unit, today
#
# Today a sigmoid turns the sum into a probability, $p = 1 / (1 + e^{-(w \cdot x + b)})$, and
# gradient descent lowers the cross-entropy $-\log p$ of the right answer. It moves the weights by
# every picture, not only by those it got wrong, and goes on when all are right: the margin widens.

# %%
modern = nn.Linear(64, 1)
criterion = nn.BCEWithLogitsLoss()  # the sigmoid is in the loss
losses, margins = [], []
for _ in range(1500):
    loss = criterion(modern(x[:cut])[:, 0], y[:cut])
    modern.zero_grad()
    loss.backward()
    with tt.no_grad():
        for parameter in modern.parameters():
            assert parameter.grad is not None  # backward has just set it
            parameter -= 1.0 * parameter.grad
        sides = (2 * y[:cut] - 1) * modern(x[:cut])[:, 0]
    losses.append(loss.item())
    margins.append((sides.min() / modern.weight.detach().norm()).item())
print(f"held out: {accuracy(modern, x[cut:], y[cut:]):.1%}")
loss  # it knows the op that made it

# %%
figure = new_figure(6, 2.8)
panels = figure.subplots(1, 2)
panels[0].plot(losses, color="C0")
panels[0].set(title="Cross-entropy", xlabel="step", ylim=(0, None))
panels[1].axhline(0, color="C4", lw=1)
panels[1].plot(margins, color="C2")
panels[1].set(title="Distance of the nearest image", xlabel="step")
show(
    figure,
    "Left: the loss falls towards zero. Right: the distance of the nearest image to the dividing "
    "surface grows from below zero, where it is on the wrong side, to above it.",
)

# %% [markdown]
# ## What one unit cannot do
#
# Ask another question of the same images: is the digit even? The even digits have no stroke in
# common, so their images do not lie on one side of anything.

# %%
x_all, even = images.reshape(-1, 64), tt.tensor(labels % 2 == 0, dtype="float32")
undecided = nn.Linear(64, 1)
for _ in range(300):
    loss = criterion(undecided(x_all)[:, 0], even)
    gradients = tt.grad(loss, list(undecided.parameters()))
    with tt.no_grad():
        for parameter, gradient in zip(undecided.parameters(), gradients, strict=True):
            parameter -= 1.0 * gradient
print(f"even or odd: {accuracy(undecided, x_all, even):.1%} of the images it learned from")

# %%
with tt.no_grad():
    sums = undecided(x_all)[:, 0].numpy()
figure = new_figure(6, 3)
axes = figure.subplots()
for digit in range(10):
    colour = class_colours(0.9)(1.0 if digit % 2 == 0 else 0.0)
    axes.boxplot(
        sums[labels == digit], positions=[digit], widths=0.6, showfliers=False,
        patch_artist=True, boxprops={"facecolor": colour}, medianprops={"color": "black"},
    )  # fmt: skip
axes.axhline(0, color="black", lw=1)
axes.set(title="The sum, digit by digit: above 0 it says even", xlabel="digit")
show(
    figure,
    "Boxes of the unit's sum for each digit. Even digits, in blue, lie mostly above zero and odd "
    "ones, in orange, mostly below, but several boxes reach across the line.",
)

# %% [markdown]
# ## Things to try
#
# - Change `pair(3, 8)` to two digits of your choice. Which pair has weights that you can read?
# - Let `learn_by_mistakes` begin from other weights than zero. Does it end at the same ones?
# - Multiply the images by 100. Which of the two ways to learn notices?
# - Swap the labels of five threes, so that no surface divides the classes. What does Rosenblatt's
#   rule do? What does gradient descent do?
#
# **A question.** Both ways find a surface that divides the images they were shown, and both make a
# few mistakes on those held out. Rosenblatt's rule stops at the first surface without a mistake;
# gradient descent goes on widening the margin. Which of them would you trust more with a digit that
# looks like no other, and how would you measure whether you are right?

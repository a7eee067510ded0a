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
# # Backpropagation, 1986
#
# Hidden layers solve what one layer cannot, but for seventeen years nobody could say what a hidden
# unit ought to do. Rumelhart, Hinton and Williams said it in four pages: nobody needs to say it.
# The chain rule carries the error back through every layer. Milestone 03 reads digits with it. This
# notebook takes the chain rule apart: first by hand, then by the tape of `tt-autograd`, then at
# work, and last where it fails.
#
# What you need: `tt-autograd`, `tt-nn`, `tt-optim` and `tt-data`, and for the pictures matplotlib.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
from tt_data import Compose, DataLoader, Digits, Normalize, ToFloat, random_split
from tt_optim import SGD
from tt_tito.pictures import LIGHT, draw_confusion, draw_images

plt.style.use([LIGHT, {"figure.dpi": 110}])
tt.manual_seed(1986)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return plt.figure(figsize=(width, height), layout="constrained")


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say what it shows for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


# %% [markdown]
# ## The chain rule by hand
#
# A network of two layers, with $\sigma$ the sigmoid:
#
# $$ h = \sigma(W_1 x), \qquad s = w_2 \cdot h, \qquad L = \frac{1}{2} (s - y)^2. $$
#
# How does the loss $L$ change with the first layer's weights? Go backwards, one factor a step. At
# every step there is the error so far, times how the step's output depends on its input:
#
# $$ \frac{\partial L}{\partial s} = s - y, \qquad
#    \frac{\partial L}{\partial h} = (s - y)\, w_2, \qquad
#    \frac{\partial L}{\partial (W_1 x)} = \frac{\partial L}{\partial h} \odot h \odot (1 - h),
#    \qquad \frac{\partial L}{\partial W_1} = \frac{\partial L}{\partial (W_1 x)}\, x^\top. $$
#
# Here it is for three inputs and two hidden units.

# %%
x, y = np.array([1.0, -2.0, 0.5]), 1.0
w1 = np.array([[0.5, -0.3, 0.8], [-0.6, 0.1, 0.4]])
w2 = np.array([1.5, -1.0])

h = 1 / (1 + np.exp(-w1 @ x))
s = w2 @ h
error = s - y
error_h = error * w2
error_sum = error_h * h * (1 - h)
by_hand = np.outer(error_sum, x)
tt.from_numpy(by_hand)

# %% [markdown]
# ## The same by the tape
#
# `tt-autograd` records every op while it runs. `backward` walks the record from its end, and each
# op knows one thing: how to turn the error of its output into the errors of its inputs.

# %%
W1 = tt.tensor(w1, requires_grad=True)
W2 = tt.tensor(w2, requires_grad=True)
loss = 0.5 * (W2 @ tt.sigmoid(W1 @ tt.tensor(x)) - y).square()
loss.backward()
assert W1.grad is not None
print("largest difference:", np.abs(W1.grad.numpy() - by_hand).max())
loss  # its grad_fn is the last op on the tape

# %% [markdown]
# A third way needs no calculus: move one weight a little and look at the loss. It is slow, two
# passes for each weight, and it is how one checks the other two.


# %%
def loss_at(weights: np.ndarray) -> float:
    """The loss with other weights in the first layer."""
    return float(0.5 * (w2 @ (1 / (1 + np.exp(-weights @ x))) - y) ** 2)


nudged = np.zeros_like(w1)
for place in np.ndindex(w1.shape):
    step = np.zeros_like(w1)
    step[place] = 1e-5
    nudged[place] = (loss_at(w1 + step) - loss_at(w1 - step)) / 2e-5
print("largest difference:", np.abs(nudged - by_hand).max())

# %% [markdown]
# ## Reading digits
#
# The same rule on 1,797 handwritten digits. `random_split` cuts them, `DataLoader` makes batches,
# and the model is three lines. It has ten scores at its end, one for each digit.

# %%
prepare = Compose([ToFloat(16), Normalize(0.305, 0.376)])  # mean and deviation of all pixels
seen, held_out = random_split(Digits(), [0.8, 0.2], tt.Generator(1986))
loader = DataLoader(seen, 32, shuffle=True, transform=prepare)
images, labels = next(iter(DataLoader(held_out, len(held_out), transform=prepare)))


def network(width: int) -> nn.Sequential:
    """One hidden layer between pixels and scores."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


model = network(32)
model.summary(images[:1])

# %% [markdown]
# The loop is the paper's: each step goes downhill on the gradient and keeps a share of the step
# before, its momentum.


# %%
def learn(model: nn.Module, epochs: int) -> list[float]:
    """Gradient descent with momentum; returns the held-out accuracy after each epoch."""
    criterion = nn.CrossEntropyLoss()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    accuracies = []
    for _ in range(epochs):
        for batch, targets in loader:
            optimizer.zero_grad()
            criterion(model(batch), targets).backward()
            optimizer.step()
        with tt.no_grad():
            accuracies.append((model(images).argmax(dim=1) == labels).float().mean().item())
    return accuracies


histories = {width: learn(model if width == 32 else network(width), 12) for width in (2, 4, 8, 32)}
for width, history in histories.items():
    print(f"{width:3} hidden units: {history[-1]:.1%} of the held-out digits")

# %%
figure = new_figure(5.6, 3)
axes = figure.subplots()
for width, history in histories.items():
    axes.plot(range(1, len(history) + 1), history, label=f"{width} hidden units")
axes.set(title="Held-out digits read right", xlabel="epoch", ylim=(0, 1))
axes.legend()
show(
    figure,
    "Four curves of held-out accuracy over the epochs: the more hidden units, the higher they end.",
)

# %% [markdown]
# With two units the network has to lay ten digits out in a plane. It reads far more of them than
# the tenth that guessing would give.

# %% [markdown]
# ## What comes back
#
# Where does the error of one image go? The gradient of the loss with respect to the *pixels* is the
# last thing that the chain rule gives. It says which pixel to darken (blue) or lighten (orange) to
# bring the network nearer to the right answer. Nothing in the loop above needed it, and it costs
# one word to ask for: `requires_grad`.

# %%
with tt.no_grad():
    answers = model(images).argmax(dim=1)
wrong = np.flatnonzero(answers.numpy() != labels.numpy())[:4]
shown = tt.tensor(images[wrong], requires_grad=True)
nn.CrossEntropyLoss()(model(shown), labels[wrong]).backward()
assert shown.grad is not None
downhill = -shown.grad.numpy()[:, 0]

titles = [f"{answers[i].item()}, not {labels[i].item()}" for i in wrong]
figure = new_figure(5, 1.7)
draw_images(figure, images.numpy()[wrong, 0], titles, columns=4)
show(figure, "Misread digits, each with what it was taken for and what it is.")

# %%
figure = new_figure(5, 1.4)
draw_images(figure, downhill, columns=4, signed=True)
show(
    figure,
    "For each of these digits the change of its pixels that lowers the loss fastest: blue where "
    "ink is missing, orange where there is too much.",
)

# %%
counts = np.zeros((10, 10), dtype=np.int64)
np.add.at(counts, (labels.numpy(), answers.numpy()), 1)
figure = new_figure(4.6, 4.4)
draw_confusion(figure, counts, Digits.classes)
show(figure, "What the held-out digits are against what they were taken for: most on the diagonal.")

# %% [markdown]
# ## Where the error gets lost
#
# If two layers are good, are ten better? Every sigmoid that the error passes multiplies it by
# $h(1 - h) \le \frac{1}{4}$. After ten layers little may be left for the first. Here is the size of
# the gradient in each layer, before anything is learned, for three kinds of units. The weights are
# drawn so that what goes *forward* keeps its size as well as it can.


# %%
def gradient_sizes(unit: type[nn.Module], gain: float, depth: int = 10) -> list[float]:
    """The norm of each layer's gradient, from the first layer to the last."""
    tt.manual_seed(0)
    layers = [nn.Linear(64, 64) for _ in range(depth)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=gain / 8)  # 8 is the square root of 64 inputs
    stack = nn.Sequential(nn.Flatten(), *(part for layer in layers for part in (layer, unit())))
    criterion, last = nn.CrossEntropyLoss(), nn.Linear(64, 10)
    criterion(last(stack(images)), labels).backward()
    return [layer.weight.grad.norm().item() for layer in layers if layer.weight.grad is not None]


figure = new_figure(5.6, 3)
axes = figure.subplots()
for name, unit, gain in (
    ("sigmoid", nn.Sigmoid, 1.0),
    ("tanh", nn.Tanh, 5 / 3),
    ("ReLU", nn.ReLU, 2**0.5),
):
    sizes = gradient_sizes(unit, gain)
    axes.semilogy(range(1, len(sizes) + 1), sizes, marker="o", label=name)
    print(f"{name:8} the first layer's gradient is {sizes[0] / sizes[-1]:.2g} of the last one's")
axes.set(title="Size of the gradient", xlabel="layer", xticks=range(1, 11))
axes.legend()
show(
    figure,
    "The size of the gradient by layer on a logarithmic scale. For the sigmoid it falls by many "
    "orders of magnitude from the last layer to the first; for tanh and ReLU it hardly changes.",
)

# %% [markdown]
# That is why deep networks had to wait again, until about 2010, for rectifiers and for first
# weights drawn with care (Glorot and Bengio, 2010; He and others, 2015).

# %% [markdown]
# ## Things to try
#
# - Set all first weights of `network` to zero and let it learn. Why do all hidden units stay alike?
# - Move the four misread images a small step along that change and read them again. How small a
#   step is enough, and can you see it?
# - Put `gain` at 4 for the sigmoid. Does that save the gradient? Look at what goes forward.
# - Give the optimizer no momentum. How many more epochs does it take?
#
# **A question.** Backpropagation needs the outputs of all layers until the error has passed them,
# so a network of 10 layers keeps 10 of them. Could you go without, by computing them again when
# they are needed? What would it cost for 10 layers, and what for 1,000? (`tt_autograd.checkpoint`
# does it.)

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
# # The convolutional network, 1998
#
# A hidden unit of 1986 looks at the whole image. What it learns about a stroke in one place it does
# not know one pixel further. Fukushima (1980) and LeCun (1989, 1998) gave all places the same few
# weights instead. Milestone 04 reads digits with it and learns CIFAR-10. This notebook builds a
# convolution from nothing, sees why it is worth it, and counts what it costs.
#
# What you need: `tt-autograd`, `tt-nn`, `tt-optim`, `tt-data` and `tt-profile`, and for the
# pictures matplotlib.

# %%
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from tt_data import Compose, DataLoader, Digits, Normalize, ToFloat, random_split
from tt_nn import functional as F
from tt_optim import AdamW, OneCycleLR, Trainer
from tt_profile import profile
from tt_tito.pictures import LIGHT, draw_images

plt.style.use([LIGHT, {"figure.dpi": 110}])
tt.manual_seed(1998)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return plt.figure(figsize=(width, height), layout="constrained")


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say what it shows for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


# %% [markdown]
# ## A small template, slid over the image
#
# A convolution lays a small template, here 3 by 3 weights $w$, on every place of the image $x$,
# multiplies and adds up:
#
# $$ z_{ij} = \sum_{a=0}^{2} \sum_{b=0}^{2} w_{ab}\, x_{i+a,\,j+b}. $$
#
# That is two loops. Where the image looks like the template, $z$ is large.


# %%
def convolve(image: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Lay a template on every place where it fits: (H, W), (h, w) -> (H - h + 1, W - w + 1)."""
    h, w = template.shape
    out = np.zeros((image.shape[0] - h + 1, image.shape[1] - w + 1), np.float32)
    for i, j in np.ndindex(out.shape):
        out[i, j] = (template * image[i : i + h, j : j + w]).sum()
    return out


digits = Digits()
image = digits.data[0, 0].float() / 16  # (8, 8), from 0 to 1
edge = tt.tensor([[1.0, 0.0, -1.0]] * 3)  # ink on the left of a place, none on its right
found = convolve(image.numpy(), edge.numpy())
tt.from_numpy(found)

# %% [markdown]
# `F.conv2d` does the same for many images, many templates and many channels at once:

# %%
also = F.conv2d(image[None, None], edge[None, None])[0, 0]
print("largest difference:", np.abs(also.numpy() - found).max())

templates = {
    "right edge": edge,
    "left edge": -edge,
    "lower edge": edge.T,
    "upper edge": -edge.T,
}
maps = [F.conv2d(image[None, None], each[None, None])[0, 0].numpy() for each in templates.values()]
figure = new_figure(6, 2.1)
draw_images(
    figure, [image.numpy(), *(np.maximum(each, 0) for each in maps)], ["a zero", *templates]
)
show(
    figure,
    "A handwritten zero, and where each of four templates is found in it: its right, left, lower "
    "and upper edges.",
)

# %% [markdown]
# ## What moves with the image
#
# Move the image by a pixel and what a template finds moves by a pixel: nothing has to be learned
# twice. The mathematicians' word is *equivariance*. `np.roll` moves, and we compare where the
# border plays no part.

# %%
blank_around = np.pad(image.numpy(), 3)  # so that what is moved stays in view
moved = np.roll(blank_around, (1, 2), axis=(0, 1))
then_found = convolve(moved, edge.numpy())
found_then = np.roll(convolve(blank_around, edge.numpy()), (1, 2), axis=(0, 1))
print("largest difference:", np.abs(then_found - found_then).max())

# %% [markdown]
# ## A network of them
#
# Nobody draws the templates: they are weights, and backpropagation finds them. `MaxPool2d` keeps
# the strongest of each 2 by 2 places and forgets which it was. Beside the convolutional network
# learns one with a hidden layer, of about as many weights.

# %%
prepare = Compose([ToFloat(16), Normalize(0, 0.376)])  # blank stays 0, as padding is
seen, held_out = random_split(digits, [0.8, 0.2], tt.Generator(1998))
images, labels = next(iter(DataLoader(held_out, len(held_out), transform=prepare)))

convolutional = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),  # (N, 1, 8, 8) -> (N, 16, 8, 8)
    nn.ReLU(),
    nn.MaxPool2d(2),  # -> (N, 16, 4, 4)
    nn.Conv2d(16, 32, 3, padding=1),  # -> (N, 32, 4, 4)
    nn.ReLU(),
    nn.MaxPool2d(2),  # -> (N, 32, 2, 2)
    nn.Flatten(),  # -> (N, 128)
    nn.Linear(128, 10),
)
connected = nn.Sequential(nn.Flatten(), nn.Linear(64, 81), nn.ReLU(), nn.Linear(81, 10))
connected

# %%
convolutional.summary(images[:1])


# %%
def hits(scores: tt.Tensor, targets: tt_tensor.Tensor) -> float:
    """The share of images whose digit has the highest score."""
    return float((scores.argmax(dim=1) == targets).float().mean().item())


def learn(model: nn.Module, epochs: int = 15) -> list[float]:
    """AdamW with one cycle of the learning rate; returns the held-out accuracy of each epoch."""
    loader = DataLoader(seen, 32, shuffle=True, transform=prepare)
    optimizer = AdamW(model.parameters(), 0.01, weight_decay=0.01)
    cycle = OneCycleLR(optimizer, 0.01, epochs=epochs, steps_per_epoch=len(loader))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    trainer = Trainer(model, optimizer, criterion, scheduler=cycle, metrics={"hits": hits})
    history = trainer.fit(loader, epochs=epochs, evaluation=[(images, labels)])
    return [record["val_hits"] for record in history]


networks = {"convolutions": convolutional, "hidden layer": connected}
curves = {name: learn(model) for name, model in networks.items()}
for name, curve in curves.items():
    print(f"{name}: {curve[-1]:.1%} of the held-out digits")

# %%
figure = new_figure(5.6, 2.8)
axes = figure.subplots()
for name, curve in curves.items():
    axes.plot(range(1, len(curve) + 1), [100 * (1 - each) for each in curve], label=name)
axes.set(title="Held-out digits misread, %", xlabel="epoch", ylim=(0, None))
axes.legend()
show(figure, "The share of misread digits falls to a few per cent for both networks.")

# %% [markdown]
# ## The same digits, somewhere else
#
# In their places the two read about equally well. Now every held-out digit is moved by up to two
# pixels. Neither network has ever seen that.


# %%
def shifted(down: int, right: int) -> tt.Tensor:
    """The held-out images moved by some pixels; what leaves is lost, what comes in is blank."""
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
    return tt.from_numpy(padded[:, :, 2 - down : 10 - down, 2 - right : 10 - right])


def read_right(model: nn.Module) -> tt.Tensor:
    """The share read right, in %, for shifts of -2 to 2 pixels, down (rows) and right: (5, 5)."""
    steps = range(-2, 3)
    with tt.no_grad():
        rows = [[100 * hits(model(shifted(d, r)), labels) for r in steps] for d in steps]
    return tt.tensor(rows).round()


tables = {name: read_right(model) for name, model in networks.items()}
tables["convolutions"]

# %%
figure = new_figure(6, 3.2)
for axes, (name, table) in zip(figure.subplots(1, 2, sharey=True), tables.items(), strict=True):
    axes.imshow(table.numpy(), cmap="Blues", vmin=0, vmax=160)
    for row, column in np.ndindex(5, 5):
        axes.text(column, row, f"{table[row, column].item():.0f}", ha="center", va="center")
    axes.set(title=name, xticks=range(5), xticklabels=range(-2, 3), xlabel="pixels right")
    axes.set(yticks=range(5), yticklabels=range(-2, 3))
    axes.grid(visible=False)
show(
    figure,
    "Two tables of five by five shifts with the per cent read right: highest in the middle, and "
    "falling outwards, much faster for the hidden layer than for the convolutions.",
)

# %% [markdown]
# ## What it looks for
#
# The sixteen templates that backpropagation found, and where the first held-out digit has them.

# %%
weights = next(convolutional.parameters()).detach().numpy()[:, 0]  # (16, 3, 3)
with tt.no_grad():
    activity = nn.Sequential(convolutional[0], convolutional[1])(images[:1]).numpy()[0]
figure = new_figure(6, 1.7)
draw_images(figure, weights, columns=8, signed=True)
show(
    figure,
    "Sixteen templates of three by three weights, blue where they want ink and orange where they "
    "want none.",
)

# %%
figure = new_figure(6, 1.7)
draw_images(figure, activity, columns=8)
show(figure, "Sixteen images of 8 by 8: where each of the templates is found in one digit.")

# %% [markdown]
# ## What it costs
#
# Few weights do not mean little work: the first layer's 160 weights are used at 64 places each.
# `profile` runs a pass forward and backward, counts what really ran, and times it. FLOPs divided by
# the 32 images, by the parameters and by two (a product and a sum) tell how often a weight is used.

# %%
profile(convolutional, images[:32])

# %%
profile(connected, images[:32])

# %% [markdown]
# ## Things to try
#
# - Replace `MaxPool2d` by `AvgPool2d`, or leave the second one out. What does it do to the table of
#   shifts?
# - Show the networks shifted digits while they learn: `tt_data.RandomTranslate` in `prepare` of the
#   loader. Does the hidden layer catch up?
# - Set all templates to the four edges above and let only the last layer learn
#   (`parameter.requires_grad_(False)`). How much is lost?
# - Look at the profile with batches of 1 and of 256. Which layers gain?
#
# **A question.** A convolution is a matrix product in which most entries are zero and the others
# are shared. You could write the network above with `nn.Linear` alone. What would be the same, what
# would not, and which of the two could learn to be the other?

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
# # The systems age, 2024
#
# A model that has learned is half of the work. The other half is to run it for people, who wait, on
# machines that cost. Milestone 06 takes the models of the earlier milestones, makes them smaller
# and faster, and measures every step. This notebook does it with a network that it trains itself in
# a few seconds: first measure, then change, then measure again.
#
# What you need: `tt-autograd`, `tt-nn`, `tt-optim`, `tt-data` and `tt-profile`, and for the
# pictures matplotlib. Times are those of the machine that ran the notebook; yours will differ.

# %%
from collections.abc import Callable
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from tt_data import Compose, DataLoader, Digits, Normalize, TinyShakespeare, ToFloat, random_split
from tt_nn.models import ModernGPT, ModernGPTConfig
from tt_optim import AdamW, OneCycleLR, Trainer
from tt_profile import compare, measure_machine, optimize, profile, scaling, time_it
from tt_profile.compression import DistillationLoss, prune_channels
from tt_profile.quantization import quantize
from tt_tito.pictures import LIGHT

plt.style.use([LIGHT, {"figure.dpi": 110}])
tt.manual_seed(2024)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return plt.figure(figsize=(width, height), layout="constrained")


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say what it shows for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


# %% [markdown]
# ## Something to optimize
#
# The digits' convolutional network of notebook 04, with twice the channels, so that there is
# something to take away.

# %%
prepare = Compose([ToFloat(16), Normalize(0, 0.376)])
seen, held_out = random_split(Digits(), [0.8, 0.2], tt.Generator(2024))
learned_from, _ = next(iter(DataLoader(seen, len(seen), transform=prepare)))
images, labels = next(iter(DataLoader(held_out, len(held_out), transform=prepare)))
loader = DataLoader(seen, 32, shuffle=True, transform=prepare)

network = nn.Sequential(
    *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(256, 10)),
)


def accuracy(model: nn.Module) -> float:
    """The share of the held-out digits that a model reads right."""
    with tt.no_grad():
        return float((model(images).argmax(dim=1) == labels).float().mean().item())


EPOCHS = 6
optimizer = AdamW(network.parameters(), 0.01, weight_decay=0.01)
cycle = OneCycleLR(optimizer, 0.01, epochs=EPOCHS, steps_per_epoch=len(loader))
trainer = Trainer(network, optimizer, nn.CrossEntropyLoss(label_smoothing=0.1), scheduler=cycle)
trainer.fit(loader, epochs=EPOCHS)
network.eval()
print(f"held out: {accuracy(network):.1%}")
network

# %% [markdown]
# ## Measure before you change
#
# A single measurement of time says little: the machine does other things too. `time_it` warms up,
# repeats and keeps every sample. `compare` times two calls in turn, round by round, and tells their
# ratio with its spread: if the range holds 1, neither is faster.

# %%
time_it(lambda: network(images[:64]))

# %%
compare(lambda: network(images[:64]), lambda: network(images[:32]))

# %% [markdown]
# Twice the images take less than twice the time where a part of the cost is that of calling each op
# at all. How does it go on? `scaling` runs several sizes and fits a power law.

# %%
grown = scaling(lambda size: lambda: network(images[:size]), [1, 4, 16, 64, 256])
grown

# %%
sizes = [row.size for row in grown.rows]
figure = new_figure(5.6, 3)
axes = figure.subplots()
axes.loglog(sizes, [1e6 * row.seconds / row.size for row in grown.rows], marker="o", color="C0")
axes.set(title="Microseconds for each image", xlabel="images in a batch", xticks=sizes)
axes.set_xticklabels([str(size) for size in sizes])
axes.minorticks_off()
show(
    figure, "The time for an image falls as batches grow, steeply at first and then hardly at all."
)

# %% [markdown]
# ## Where the time goes
#
# `profile` counts what every layer does, forward and backward, and times it. Set against what this
# machine can do at best, its *roofline*, the figures say whether a layer waits for the processor or
# for memory:
#
# $$ \text{FLOP/s} \le \min(\text{peak}, \text{bandwidth} \cdot \text{FLOPs per byte}). $$

# %%
report = profile(network, images[:64])
report

# %%
machine = measure_machine()
roofline = report.roofline(machine)
roofline

# %%
figure = new_figure(5.6, 3.6)
axes = figure.subplots()
intensities = np.geomspace(0.05, 100, 100)
axes.loglog(intensities, [machine.attainable(each) / 1e9 for each in intensities], color="black")
for direction, colour in (("forward", "C0"), ("backward", "C1")):
    points = [point for point in roofline.points if point.direction == direction]
    axes.scatter(
        [point.cost.intensity for point in points],
        [point.cost.flops_per_second / 1e9 for point in points],
        color=colour, label=direction, zorder=3,
    )  # fmt: skip
axes.set(title="Below the roof", xlabel="FLOPs for each byte", ylabel="GFLOP/s")
axes.legend(loc="lower right")
show(
    figure,
    "A roof that rises with the FLOPs for each byte and then is flat, and layers as points: the "
    "convolutions far to the right, activations and pooling low on the left.",
)

# %% [markdown]
# ## Smaller and faster, step by step
#
# Three trades, each a pass from a model to a model:
#
# 1. *Fewer channels.* Half of the channels of each layer go, those that add least; what stays takes
#    over as much of their work as it can. Matrices become smaller, so products take less time.
# 2. *Distillation* (Hinton and others, 2015). What is left learns from the whole network's scores,
#    which say more than the labels: not only that it is a three, but how much it looks like an
#    eight.
# 3. *Eight bits.* Weights become integers and a scale: $w \approx s \cdot q$, $q \in [-127, 127]$.
#    A quarter of the memory. Not faster here: floats are made of them before they are multiplied.
#
# `optimize` applies them one after the other and measures each against the one before, in turns.


# %%
def distil(student: nn.Module) -> nn.Module:
    """Let a smaller network learn from the scores of the whole one."""
    optimizer = AdamW(student.parameters(), 3e-3, weight_decay=0.01)
    criterion = DistillationLoss(temperature=4.0, alpha=0.9)
    student.train()
    for _ in range(4):
        for batch, targets in loader:
            with tt.no_grad():
                scores = network(batch)
            optimizer.zero_grad()
            criterion(student(batch), scores, targets).backward()
            optimizer.step()
    return student.eval()


result = optimize(
    network,
    {
        "half the channels": lambda model: prune_channels(model, learned_from[:256], amount=0.5),
        "distillation": distil,
        "int8 weights": quantize,
    },
    images,
    score=accuracy,
)
result

# %%
figure = new_figure(5.6, 3)
axes = figure.subplots()
for number, step in enumerate(result.steps):
    speed = 1.0 if step.original is None else step.original.speedup
    axes.scatter(step.memory_bytes / 1024, speed, s=70, color=f"C{number}", label=step.name)
axes.set(title="Size and speed", xlabel="KiB in memory", ylabel="times as fast", ylim=(0, None))
axes.set_xlim(0, None)
axes.legend(loc="upper right")
show(
    figure,
    "Four points: the original, large and at speed 1; with half the channels it is smaller and "
    "faster; with int8 weights smaller still.",
)

# %% [markdown]
# ## A transformer's other cost
#
# To write a character, a GPT needs the keys and values of all characters before it. They have not
# changed, so they can be kept: a *KV cache*. Time is saved, memory is paid. Here an untrained
# decoder writes on from a line of Shakespeare; what it writes is nonsense, but costs the same.

# %%
plays = TinyShakespeare(train=False)
writer = ModernGPT(ModernGPTConfig(len(plays.characters), 256, n_layer=2, n_head=4, n_embd=64))
writer.eval()
start = plays.encode(plays.text[:16]).unsqueeze(0)


def writing(count: int, *, cached: bool) -> Callable[[], tt_tensor.Tensor]:
    """Return what writes some characters, always the same."""
    return lambda: nn.generate(writer, start, count, use_cache=cached, generator=tt.Generator(0))


assert (writing(32, cached=True)() == writing(32, cached=False)()).all().item()
lengths = [30, 60, 120, 240]
times = {
    cached: scaling(partial(writing, cached=cached), lengths, repeats=3) for cached in (True, False)
}
times[False]

# %%
figure = new_figure(5.6, 3)
axes = figure.subplots()
for cached, name in ((False, "all computed again"), (True, "keys and values kept")):
    axes.plot(lengths, [row.seconds for row in times[cached].rows], marker="o", label=name)
axes.set(title="Seconds to write", xlabel="characters", ylim=(0, None))
axes.legend()
show(
    figure,
    "Without a cache the time bends upwards with the number of characters; with one it rises in a "
    "straight and much flatter line.",
)

# %% [markdown]
# How much memory does the cache take? For every position two vectors (key and value) in every
# block, four bytes for each number:

# %%
bytes_per_character = 2 * 2 * 64 * 4  # key and value, blocks, width, bytes
print(f"{bytes_per_character:,} bytes a character, {256 * bytes_per_character:,} for a full block")
compare(writing(64, cached=True), writing(64, cached=False), repeats=5)

# %% [markdown]
# ## Things to try
#
# - Put `quantize` first in the pipeline. Is what comes out the same?
# - `lambda model: quantize(model, "int4")`: how much smaller, and what does it cost in accuracy?
# - Remove three quarters of the channels. Does distillation bring the accuracy back?
# - `report.save_trace("trace.json")` and open it in https://ui.perfetto.dev. What runs between the
#   layers?
# - Time a single image instead of the whole held-out set in `optimize`. Which pass is still worth
#   it?
#
# **A question.** Half the channels means a quarter of the products in the middle layer. Was the
# model four times as fast? Look at the roofline and say where the rest of the time went, and what
# you would change next.

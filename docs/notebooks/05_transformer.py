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
# # The transformer, 2017
#
# A recurrent network reads a text letter by letter and has to carry all of it along. The
# transformer lets every position look at every other at once, and learn where to look. Milestone 05
# trains one on Shakespeare. This notebook writes the attention out in five lines, builds a small
# GPT from the layers of `tt-nn`, and trains it for about half a minute: long enough to see it find
# words.
#
# What you need: `tt-autograd`, `tt-nn`, `tt-optim` and `tt-data`, and for the pictures matplotlib.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

import tt_autograd as tt
import tt_nn as nn
import tt_tensor
from tt_data import DataLoader, RandomSampler, TinyShakespeare
from tt_nn import functional as F
from tt_optim import AdamW, OneCycleLR
from tt_tito.pictures import LIGHT, draw_attention

plt.style.use([LIGHT, {"figure.dpi": 110}])
tt.manual_seed(2017)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return plt.figure(figsize=(width, height), layout="constrained")


def show(figure: Figure, alt: str) -> None:
    """Show a figure, and say what it shows for who cannot see it."""
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)


# %% [markdown]
# ## The text
#
# All of Shakespeare's plays that Karpathy gathered, a million characters. A token is a character;
# there are 65. The task is always the same: given some characters, which comes next?

# %%
BLOCK = 64  # characters that the model sees at once
plays, unseen = TinyShakespeare(block_size=BLOCK), TinyShakespeare(train=False, block_size=BLOCK)
print(f"{len(plays.text):,} characters to learn from, {len(unseen.text):,} held out")
inputs, targets = plays[0]
print(repr(plays.decode(inputs)))
inputs

# %% [markdown]
# ## Attention in five lines
#
# Each position has a vector. It asks a question, its query $q$; every position offers a key $k$ and
# a value $v$. The better a key fits a query, the more of its value the position takes:
#
# $$ \text{attention}(Q, K, V) = \text{softmax}\left(\frac{Q K^\top}{\sqrt{d}}\right) V. $$
#
# The root keeps the scores from growing with the size $d$ of the vectors. The mask sets the scores
# of what comes later to minus infinity, so that no position sees what it is to predict. Here are
# the first eight characters with vectors that nobody has trained yet.

# %%
d, line = 16, inputs[:8]
vectors = tt.randn(len(plays.characters), d)[line.numpy()]  # (T, d)
query, key, value = (vectors @ tt.randn(d, d) / d**0.5 for _ in range(3))

scores = query @ key.T / d**0.5  # (T, T)
later = tt.triu(tt.ones(8, 8), 1) > 0
weights = F.softmax(scores.masked_fill(later, -math.inf), dim=-1)
taken = weights @ value  # (T, d)
weights

# %%
library = F.scaled_dot_product_attention(query, key, value, is_causal=True)
print("each row sums to", weights.sum(dim=-1).tolist())
print("largest difference to tt_nn's:", (library - taken).abs().max().item())

# %% [markdown]
# ## A small GPT
#
# A block looks around (attention), then thinks for itself (two linear layers), and adds what it
# found to what it had. Two blocks, with embeddings of the characters and of their positions below
# and a linear layer above, are a GPT.


# %%
class Block(nn.Module):
    """Attention and a network of two layers, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.before_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def split(self, x: tt.Tensor) -> tuple[tt.Tensor, tt.Tensor, tt.Tensor]:
        """Queries, keys and values of each head: (N, T, width) -> three of (N, heads, T, d)."""
        parts = self.query_key_value(self.before_attention(x)).chunk(3, dim=-1)
        n, t, width = x.shape
        shape = (n, t, self.heads, width // self.heads)
        query, key, value = (part.reshape(shape).transpose(1, 2) for part in parts)
        return query, key, value

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        """(N, T, width) -> (N, T, width)."""
        heads = F.scaled_dot_product_attention(*self.split(x), is_causal=True)  # (N, heads, T, d)
        x = x + self.out(heads.transpose(1, 2).flatten(2))  # -> (N, T, width)
        return x + self.mlp(self.before_mlp(x))


class SmallGPT(nn.Module):
    """Scores of the next character, at every position."""

    def __init__(self, vocabulary: int, width: int = 64, heads: int = 4, blocks: int = 2) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary, width)
        self.positions = nn.SinusoidalPositions(width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary)

    def forward(self, tokens: tt_tensor.Tensor) -> tt.Tensor:
        """(N, T) -> (N, T, vocabulary)."""
        x = self.positions(self.characters(tokens))
        return self.head(self.norm(self.blocks(x)))


model = SmallGPT(len(plays.characters))
model

# %% [markdown]
# Does it keep from looking ahead? Change the last character, and no earlier score may change.

# %%
text = inputs.unsqueeze(0)  # (1, T)
changed = text.clone()
changed[0, -1] = (changed[0, -1] + 1) % len(plays.characters)
with tt.no_grad():
    difference = np.abs(model(text).numpy() - model(changed).numpy()).max(axis=-1)[0]  # (T,)
print(f"before the last: {difference[:-1].max()}, at the last: {difference[-1]:.3f}")

# %% [markdown]
# ## How good is good?
#
# The loss is the cross-entropy in nats per character: the mean of $-\log$ of the probability that
# the model gave to what came next. To know what a number means, here are three that need no
# network. All characters alike; as often as they occur; as often as they follow the character
# before.

# %%
ids, unseen_ids = (each.encode(each.text).numpy() for each in (plays, unseen))
size = len(plays.characters)
followed = np.ones((size, size))  # counts start at one, so that none is zero
np.add.at(followed, (ids[:-1], ids[1:]), 1)
often = followed.sum(axis=0) / followed.sum()
after = followed / followed.sum(axis=1, keepdims=True)
simple = {
    "all alike": math.log(size),
    "how often": float(-np.log(often[unseen_ids[1:]]).mean()),
    "after the one before": float(-np.log(after[unseen_ids[:-1], unseen_ids[1:]]).mean()),
}
for name, entropy in simple.items():
    print(f"{name:22} {entropy:.3f} nats per character")

# %% [markdown]
# ## Learning
#
# First weights matter where time is short. Those that end a block, and the head, begin at zero: at
# first every block adds nothing and all characters are equally likely, so nothing has to be
# unlearned. `AdamW` takes the steps; their size rises for a few of them and then falls.

# %%
for name, parameter in model.named_parameters():
    if parameter.ndim == 2 and not name.startswith("characters"):
        ends = name.endswith(("out.weight", "mlp.2.weight", "head.weight"))
        nn.init.normal_(parameter, std=0.0 if ends else parameter.shape[1] ** -0.5)


# %%
def cross_entropy(tokens: tt_tensor.Tensor, following: tt_tensor.Tensor) -> tt.Tensor:
    """The mean loss over all positions of a batch: (N, T), (N, T) -> a number."""
    return F.cross_entropy(model(tokens).flatten(0, 1), following.flatten())


def held_out_loss(windows: int = 150) -> float:
    """The loss on the beginning of the held-out text, in windows side by side."""
    end = windows * BLOCK
    before = tt.from_numpy(unseen_ids[:end].reshape(-1, BLOCK))
    following = tt.from_numpy(unseen_ids[1 : end + 1].reshape(-1, BLOCK))
    with tt.no_grad():
        return cross_entropy(before, following).item()


STEPS, BATCH = 600, 24
sampler = RandomSampler(plays, replacement=True, num_samples=STEPS * BATCH)
loader = DataLoader(plays, BATCH, sampler=sampler)
optimizer = AdamW(model.parameters(), 6e-3, betas=(0.9, 0.99), weight_decay=0.1)
cycle = OneCycleLR(optimizer, 6e-3, total_steps=STEPS, pct_start=0.08, cycle_momentum=False)
losses, looks = [], []
for number, (batch, following) in enumerate(loader):
    if number % 100 == 0:
        looks.append((number, held_out_loss()))
    optimizer.zero_grad()
    loss = cross_entropy(batch, following)
    loss.backward()
    optimizer.step()
    cycle.step()
    losses.append(loss.item())
looks.append((STEPS, held_out_loss()))
print(f"held out: {looks[-1][1]:.3f} nats per character")

# %%
figure = new_figure(6, 3.4)
axes = figure.subplots()
axes.plot(losses, color="C0", lw=0.8, alpha=0.6, label="batches learned from")
axes.plot(*zip(*looks, strict=True), color="C1", marker="o", label="held out")
for name, entropy in simple.items():
    axes.axhline(entropy, color="C4", lw=1, ls=":")
    axes.text(STEPS, entropy, name, ha="right", va="bottom", fontsize=9)
axes.set(title="Nats per character", xlabel="step", ylim=(1.4, 4.6))
axes.legend(loc="upper center")
show(
    figure,
    "The loss falls from that of all characters alike, below that of their frequencies, and then "
    "below that of pairs of characters.",
)

# %% [markdown]
# ## Writing
#
# Draw the next character from what the model says, add it, ask again. The temperature $\tau$
# divides the scores before the softmax: below 1, what is likely gets likelier.


# %%
def write(start: str, count: int, temperature: float, seed: int = 0) -> str:
    """Go on with a text, character by character."""
    random, tokens = np.random.default_rng(seed), plays.encode(start).tolist()
    with tt.no_grad():
        for _ in range(count):
            scores = model(tt.tensor([tokens[-BLOCK:]]))[0, -1]
            chances = F.softmax(scores / temperature, dim=-1).numpy().astype(np.float64)
            tokens.append(int(random.choice(size, p=chances / chances.sum())))
    return plays.decode(tt.tensor(tokens))


for temperature in (0.2, 0.7, 1.2):
    print(f"--- temperature {temperature}\n{write('ROMEO:', 220, temperature)}\n")

# %% [markdown]
# ## Where it looks
#
# The weights of the first block's heads for one line: row by row, how much a character takes of
# each one before it. Some heads keep to the word, as if a blank were a wall; others reach further
# back.

# %%
words = "O Romeo, Romeo! wherefore"
with tt.no_grad():
    x = model.positions(model.characters(plays.encode(words).unsqueeze(0)))
    first_block = model.blocks[0]
    assert isinstance(first_block, Block)
    query, key, _ = first_block.split(x)
    maps = F.attention_weights(query, key, is_causal=True)[0]  # (heads, T, T)
figure = new_figure(6.4, 6.6)
draw_attention(figure, maps.numpy(), list(words))
show(
    figure,
    "Four triangles of weights, one for each head, with the characters of a line on both sides: "
    "darkest near the diagonal, in steps that begin where words do.",
)

# %% [markdown]
# ## Things to try
#
# - Leave out `self.positions`. How much does the loss rise, and what does the text lose?
# - Double `STEPS`, or the width. What is worth more for the same time?
# - Set the temperature to 0.01 and let it write a thousand characters. Why does it repeat itself?
# - Pass `is_causal=False` in `Block.forward`. Watch the loss of the batches, and then let it write.
#
# **A question.** To write the 65th character, `write` computes the keys and values of all the
# characters before it again, though they have not changed. What would you have to keep to avoid
# that, how many bytes is it for this model, and what happens when the text grows longer than
# `BLOCK`? (The next notebook measures it.)

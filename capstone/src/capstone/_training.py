"""Learning: epochs of AdamW, of which the best is kept."""

from __future__ import annotations

from dataclasses import dataclass

import tt_autograd as tt
import tt_nn as nn
from tt_data import DataLoader, TensorDataset
from tt_optim import AdamW, OneCycleLR

from ._digits import Images

BATCH = 64


@dataclass(frozen=True, slots=True)
class Epoch:
    """What happened in an epoch.

    Attributes:
        number: Its number, from 1.
        loss: The mean loss of its steps.
        accuracy: That of the model after it, on the validation images.
    """

    number: int
    loss: float
    accuracy: float


def accuracy(model: nn.Module, images: Images) -> float:
    """Return the share of images whose digit has the highest score.

    The model is judged in evaluation mode, without a tape, and goes back to the mode it was in.

    Args:
        model: The model.
        images: The images.

    Example:
        >>> import tt_nn as nn
        >>> from capstone import read_digits
        >>> 0 <= accuracy(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), read_digits().seen) <= 1
        True
    """
    training = model.training
    model.eval()
    try:
        with tt.no_grad():
            answers = model(images.inputs).argmax(dim=1)
    finally:
        model.train(training)
    return int((answers == images.labels).sum().item()) / len(images)


def train(
    model: nn.Module,
    seen: Images,
    validation: Images,
    *,
    epochs: int = 20,
    lr: float = 0.01,
    seed: int = 0,
) -> list[Epoch]:
    """Teach a model, and give it back the weights of the epoch that did best on validation.

    Each epoch goes over all images in a new order, in batches of `BATCH`. The optimizer is AdamW,
    its learning rate one cycle up to ``lr`` and down. Of equals the first epoch is the best.

    Args:
        model: The model, which learns in place.
        seen: What it learns from.
        validation: What its epochs are compared by.
        epochs: How many there are; with 0 the model stays as it is.
        lr: The highest learning rate.
        seed: The order of the images.

    Returns:
        What happened in each epoch.

    Example:
        >>> from capstone import make_model, read_digits
        >>> digits, model = read_digits(), make_model("mlp", seed=0)
        >>> history = train(model, digits.seen, digits.validation, epochs=2)
        >>> history[1].loss < history[0].loss
        True
        >>> accuracy(model, digits.validation) == max(epoch.accuracy for epoch in history)
        True
    """
    data = TensorDataset(seen.inputs, seen.labels)
    loader = DataLoader(data, BATCH, shuffle=True, generator=tt.Generator(seed))
    criterion, optimizer = nn.CrossEntropyLoss(), AdamW(model.parameters(), lr)
    scheduler = OneCycleLR(optimizer, lr, max(1, epochs * len(loader)))
    history: list[Epoch] = []
    best, kept = -1.0, {}
    for number in range(1, epochs + 1):
        total = 0.0
        model.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()
        history.append(Epoch(number, total / len(loader), accuracy(model, validation)))
        if history[-1].accuracy > best:
            best = history[-1].accuracy
            kept = {name: value.clone() for name, value in model.state_dict().items()}
    if kept:
        model.load_state_dict(kept)
    return history

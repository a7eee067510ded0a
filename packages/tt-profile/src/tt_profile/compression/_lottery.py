"""Lottery tickets: small networks that were in the large one from the start."""

from __future__ import annotations

from collections.abc import Callable

from tt_nn import Module

from ._masks import Masks, Scope, magnitude_masks


class LotteryTicket:
    """Remembers the values of a model, to go back to them with fewer weights.

    Args:
        model: The model as it is drawn; or after some training, which larger networks need
            ("late rewinding").

    Example:
        >>> import tt_nn as nn
        >>> model = nn.Linear(10, 10)
        >>> ticket = LotteryTicket(model)
        >>> # here the model is trained
        >>> masks = magnitude_masks(model, 0.8)
        >>> ticket.rewind(masks)
        >>> # here what is left is trained from where it began
        >>> round(masks.sparsity, 2)
        0.8

    References:
        Frankle and Carbin, "The lottery ticket hypothesis: finding sparse, trainable neural
        networks", 2018. Late rewinding: Frankle et al., "Linear mode connectivity and the lottery
        ticket hypothesis", 2019.
    """

    def __init__(self, model: Module) -> None:
        self._model = model
        self._state = {name: value.clone() for name, value in model.state_dict().items()}

    def rewind(self, masks: Masks | None = None) -> None:
        """Give the model back its values, bit for bit, but for what the masks make zero.

        Args:
            masks: The weights that stay, which are held from now on (`Masks.hold`).

        Raises:
            ValueError: The model does not have the shapes any more that it had.
        """
        self._model.load_state_dict(self._state)
        if masks is not None:
            masks.hold()


def find_ticket(
    model: Module,
    train: Callable[[Module], object],
    *,
    sparsity: float,
    rounds: int = 5,
    scope: Scope = "global",
) -> Masks:
    """Find a lottery ticket by training, pruning and rewinding several times.

    Each round prunes the same share of the weights that are left.

    Args:
        model: The model as it is drawn. In the end it has its first values again, under the masks.
        train: Trains the model it is given; called once in each round.
        sparsity: The share of weights that are zero in the end.
        rounds: How often the model is trained and pruned.
        scope: As in `magnitude_masks`.

    Returns:
        The masks, which are held: train the model once more to see what the ticket is worth.

    Raises:
        ValueError: ``sparsity`` is not from 0 to 1, or ``rounds`` is not positive.

    Example:
        >>> import tt_nn as nn
        >>> model = nn.Linear(10, 10)
        >>> find_ticket(model, lambda model: None, sparsity=0.9, rounds=2)
        Masks(1 parameters, 90.0% of their weights zero)

    References:
        Frankle and Carbin, 2018.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"find_ticket: expected sparsity from 0 to 1, got {sparsity!r}")
    if rounds < 1:
        raise ValueError(f"find_ticket: expected rounds of at least 1, got {rounds!r}")
    ticket = LotteryTicket(model)
    masks = None
    for number in range(1, rounds + 1):
        train(model)
        if masks is not None:
            masks.release()
        amount = 1 - (1 - sparsity) ** (number / rounds)
        masks = magnitude_masks(model, amount, scope=scope, previous=masks)
        ticket.rewind(masks)
    assert masks is not None  # as there is at least one round
    return masks

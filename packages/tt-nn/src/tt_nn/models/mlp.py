"""The multilayer perceptron."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from tt_nn._activations.layers import ReLU
from tt_nn._containers import Sequential
from tt_nn._linear import Linear
from tt_nn._module import Module


class MLP(Sequential):
    """Linear maps with an activation between them.

    Args:
        *sizes: Sizes of the input, of each hidden layer, and of the output.
        activation: Makes the module that stands between two linear maps.

    Shape:
        ``(..., sizes[0]) -> (..., sizes[-1])``

    Raises:
        ValueError: There are fewer than two sizes, or one is not a positive int.

    Example:
        >>> import tt_autograd as tt
        >>> from tt_nn.models import MLP
        >>> MLP(784, 128, 64, 10)(tt.ones(32, 784)).shape
        (32, 10)

    References:
        Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors",
        1986.
    """

    def __init__(self, *sizes: int, activation: Callable[[], Module] = ReLU) -> None:
        if len(sizes) < 2:
            raise ValueError(f"MLP: expected the sizes of at least input and output, got {sizes}")
        layers: list[Module] = []
        for before, after in pairwise(sizes):
            layers += [Linear(before, after), activation()]
        super().__init__(*layers[:-1])

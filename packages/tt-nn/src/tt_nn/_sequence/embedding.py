"""Embedding: rows of a table picked by integers; its op, its derivative, and its layer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import tt_autograd as tt
import tt_tensor
from tt_autograd import DTypeLike, Op, Tensor, defvjp, ops
from tt_nn import init
from tt_nn._apply import apply
from tt_nn._arguments import check_sizes
from tt_nn._module import Module
from tt_nn._parameter import Parameter

Array = NDArray[Any]
Value = Any  # an array, or a tensor when the derivative is itself to be differentiated


def _embedding(input: Any, weight: Array, padding_idx: int | None) -> Array:
    """Return the rows that integers name: (...), (rows, dim) -> (..., dim).

    ``padding_idx`` matters to the gradient only.

    Raises:
        ValueError: The weight is no matrix.
        TypeError: The input is no array of integers.
        IndexError: An index is negative, or too large; the message names it and its place.
    """
    if np.ndim(weight) != 2:
        raise ValueError("expected a weight of shape (num_embeddings, embedding_dim)")
    if not isinstance(input, np.ndarray) or input.dtype.kind not in "iu":
        raise TypeError("expected an input of integers")
    if not input.size or input.min() >= 0:
        with suppress(IndexError):  # worded below
            return np.asarray(weight.take(input, axis=0))  # (..., embedding_dim)
    places = np.argwhere((input < 0) | (input >= len(weight)))
    place = tuple(int(i) for i in places[0])
    raise IndexError(
        f"index {int(input[place])} at position {place} of the input is out of range for "
        f"{len(weight)} embeddings"
    )


def _embedding_weight(
    g: Value, input: Value, shape: tuple[int, ...], padding_idx: int | None
) -> Value:
    """Add each gradient to the row that its index picked: (..., dim) -> ``shape``.

    Arrays, or tensors if the gradient is itself to be differentiated. The row of ``padding_idx``
    gets nothing.
    """
    index: Any = getattr(input, "_array", input)
    if padding_idx is not None:
        g = g * (index != padding_idx).astype(g.dtype)[..., None]  # (..., 1)
    # (rows, embedding_dim), the place of each number in the table beside it
    columns = np.arange(shape[1])
    places = index.reshape(-1, 1).astype(np.intp) * shape[1] + columns  # int8 soon overflows
    flat = ops.SCATTER_ADD(
        np.zeros(shape[0] * shape[1], g.dtype), places.reshape(-1), g.reshape((-1,)), dim=0
    )
    return flat.reshape(shape)


EMBEDDING = Op("embedding", _embedding, ("input", "weight"))
defvjp(
    EMBEDDING,
    weight=lambda g, input, shape, padding_idx: _embedding_weight(g, input, shape, padding_idx),
)


def embedding(
    input: tt_tensor.Tensor, weight: tt_tensor.Tensor, padding_idx: int | None = None
) -> Tensor:
    """Return the rows of ``weight`` that the integers of ``input`` name.

    Args:
        input: Indices of rows.
        weight: One row for each index.
        padding_idx: A row that receives no gradient; negative counts from the end.

    Shape:
        ``(...), (num_embeddings, embedding_dim) -> (..., embedding_dim)``

    Raises:
        IndexError: An index is out of range; the message names it and its place.
        TypeError: The input is not of an integer dtype.
        ValueError: The weight is no matrix, or ``padding_idx`` is no row of it.

    Example:
        >>> import tt_autograd as tt
        >>> embedding(tt.tensor([1, 0]), tt.tensor([[0.0, 1.0], [2.0, 3.0]]))
        tensor([[2., 3.],
                [0., 1.]])
    """
    if padding_idx is not None:
        padding_idx = _padding_row("embedding", padding_idx, weight.shape[0])
    return apply(EMBEDDING, input, weight, padding_idx=padding_idx)


class Embedding(Module):
    """A table of learned vectors, one for each integer.

    The vectors start normal with standard deviation 1, as torch's do; the one of ``padding_idx``
    starts at zero and stays there.

    Args:
        num_embeddings: How many there are.
        embedding_dim: Their size.
        padding_idx: The index of padding, which receives no gradient; negative counts from the
            end.
        dtype: The dtype of the table, the default one unless given.

    Shape:
        ``(...)`` integers ``-> (..., embedding_dim)``

    Attributes:
        weight: ``(num_embeddings, embedding_dim)``.

    Raises:
        ValueError: A size is not a positive int, or ``padding_idx`` is none of the indices.

    Example:
        >>> import tt_autograd as tt
        >>> import tt_nn as nn
        >>> nn.Embedding(65, 128)(tt.tensor([[0, 1, 64]])).shape
        (1, 3, 128)
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> None:
        super().__init__()
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if padding_idx is not None:
            padding_idx = _padding_row("Embedding", padding_idx, num_embeddings)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(tt.empty(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls, embeddings: tt_tensor.Tensor, freeze: bool = True, padding_idx: int | None = None
    ) -> Self:
        """Make a layer of a table that is there.

        Args:
            embeddings: ``(num_embeddings, embedding_dim)``; copied.
            freeze: Whether the table is kept from being learned.
            padding_idx: The index of padding, whose row is left as it is.

        Example:
            >>> import tt_autograd as tt
            >>> import tt_nn as nn
            >>> nn.Embedding.from_pretrained(tt.eye(2))(tt.tensor(1))
            tensor([0., 1.])
        """
        if embeddings.ndim != 2:
            raise ValueError(
                "Embedding.from_pretrained: expected a table of shape (num_embeddings, "
                f"embedding_dim), got {embeddings.shape}"
            )
        rows, size = embeddings.shape
        made = cls(rows, size, padding_idx, embeddings.dtype)
        made.weight = Parameter(Tensor(embeddings), requires_grad=not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with tt.no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: tt_tensor.Tensor) -> Tensor:
        """Return the vector of each integer."""
        return apply(EMBEDDING, input, self.weight, padding_idx=self.padding_idx)

    def extra_repr(self) -> str:
        """Return the sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


def _padding_row(name: str, padding_idx: int, rows: int) -> int:
    if not -rows <= padding_idx < rows:
        raise ValueError(
            f"{name}: expected padding_idx to be one of {rows} rows, got {padding_idx}"
        )
    return padding_idx % rows

"""A model's example inputs, and the same for other batch sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

import tt_autograd as tt
import tt_tensor

from ._errors import ExportError
from ._trace import array_of, tensors_of

BatchDim = int | Sequence[int | None]


class Samples:
    """What a model is called with.

    Args:
        inputs: A tensor, or the model's positional arguments, of which the tensors are inputs of
            the graph.
        batch_dim: The dimension of the samples, of all tensors or of each in turn; None for a
            tensor that all samples share.

    Raises:
        ExportError: There is no tensor, or the tensors have no such dimension, or not as many
            samples.
    """

    def __init__(
        self, inputs: tt_tensor.Tensor | Sequence[object], batch_dim: BatchDim | None
    ) -> None:
        single = isinstance(inputs, tt_tensor.Tensor)
        self.arguments: tuple[object, ...] = (inputs,) if single else tuple(inputs)
        self.tensors = tensors_of(self.arguments)
        if not self.tensors:
            raise ExportError("inputs: expected a tensor among them, got none")
        self.dims = self._dims(batch_dim)

    @classmethod
    def of_graph(cls, inputs: tt_tensor.Tensor | Sequence[object], session: Any) -> Self:
        """Return the inputs of a session of onnxruntime, with the dimensions that it leaves open.

        Raises:
            ExportError: The session takes another number of inputs.
        """
        declared = session.get_inputs()
        tensors = cls(inputs, None).tensors
        if len(declared) != len(tensors):
            raise ExportError(
                f"inputs: expected {len(declared)} tensors, for the file's "
                f"{', '.join(each.name for each in declared)}; got {len(tensors)}"
            )
        shapes = [each.shape for each in declared]
        return cls(inputs, [s.index("batch") if "batch" in s else None for s in shapes])

    def _dims(self, batch_dim: BatchDim | None) -> tuple[int | None, ...]:
        count = len(self.tensors)
        if batch_dim is None:
            return (None,) * count
        dims = (batch_dim,) * count if isinstance(batch_dim, int) else tuple(batch_dim)
        if len(dims) != count:
            raise ExportError(
                f"batch_dim: expected an int, or one for each of the {count} tensors among the "
                f"inputs; got {batch_dim!r}"
            )
        sizes = {}
        for i, (tensor, dim) in enumerate(zip(self.tensors, dims, strict=True)):
            if dim is None:
                continue
            if not 0 <= dim < tensor.ndim:
                raise ExportError(
                    f"batch_dim: tensor {i} of the inputs, of shape {tensor.shape}, has no "
                    f"dimension {dim}; name that of the samples, or pass dynamic_batch=False"
                )
            sizes[i] = tensor.shape[dim]
        if len(set(sizes.values())) > 1 or 0 in sizes.values():
            raise ExportError(
                "inputs: expected the same number of samples, at least one, along "
                f"batch_dim={batch_dim!r} of all; got {[each.shape for each in self.tensors]}"
            )
        return dims

    @property
    def has_floats(self) -> bool:
        """Whether there are numbers among the tensors that have a sign."""
        return any(array_of(tensor).dtype.kind == "f" for tensor in self.tensors)

    def of_size(self, size: int, *, factor: float = 1.0) -> list[object]:
        """Return the arguments for another number of samples, which repeat those that there are.

        Args:
            size: How many.
            factor: What numbers are multiplied with, but for the infinities of masks. If it is not
                1, integers and bools are rolled and samples turned round, so that what is computed
                of them outside of ops shows.
        """
        other = factor != 1
        made = {}
        for tensor, dim in zip(self.tensors, self.dims, strict=True):
            array = array_of(tensor)
            if other and array.dtype.kind == "f":
                array = np.where(np.isinf(array), array, array * array.dtype.type(factor))
            elif other and array.ndim:
                array = np.roll(array, 1, axis=-1)
            if dim is not None:
                rows = np.arange(size) % array.shape[dim]
                array = np.take(array, rows[::-1] if other else rows, axis=dim)
            made[id(tensor)] = tt.from_numpy(np.array(array, order="C"))
        return [made.get(id(each), each) for each in self.arguments]

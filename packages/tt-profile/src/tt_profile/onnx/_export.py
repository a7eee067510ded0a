"""Export: from a model and example inputs to a file of ONNX."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

import numpy as np

import tt_tensor
from tt_nn import Module

from ._convert import Conversion
from ._errors import ExportError, extra
from ._run import difference, session
from ._samples import BatchDim, Samples
from ._sizes import FIRST, SECOND
from ._trace import Trace, tensors_of, trace

_OLDEST = 20  # the first with Gelu
_SHRUNK = 0.75  # what numbers are multiplied with to be others
_PROVED = (1, 5)  # batch sizes that the graph is run with, beside those that it was made from
_TOLERANCE = 1e-3  # of the largest result: rounding stays far below, a wrong graph far above


def export(
    model: Module,
    inputs: tt_tensor.Tensor | Sequence[object],
    path: str | Path,
    dynamic_batch: bool = True,
    *,
    batch_dim: BatchDim = 0,
    opset: int = _OLDEST,
) -> None:
    """Write a model as a file of ONNX, which onnxruntime and other programs run.

    The model runs on the inputs, and every op that runs becomes a node or a few: layers of your own
    are exported as ours are. It runs in evaluation whatever mode it is in, and is in that mode
    again afterwards: dropout does nothing, batch normalisation uses its running statistics.
    Weights have their names in the state dict; a shared one is stored once. All floats are float32.

    The model runs again on other values and on numbers of the other sign, and is refused if other
    ops run or other constants are met then; what shows for none of these values goes unseen. With
    ``dynamic_batch`` it runs with two batch sizes: sizes that differ between the two follow the
    batch, and a model whose other numbers do is refused. Then the graph is run by onnxruntime with
    two more batch sizes, and compared. All other sizes, such as the length of a sequence, are those
    of the inputs.

    Args:
        model: The model.
        inputs: An example: a tensor, or the model's positional arguments. The tensors among them
            become inputs of the graph, under the names that ``forward`` gives them; what else there
            is stays as it is.
        path: The file to write. It is complete or not there at all.
        dynamic_batch: Whether the file takes any number of samples, or only that of ``inputs``.
        batch_dim: The dimension of the samples: of all inputs, or of each tensor in turn (None for
            one that all samples share).
        opset: The version of ONNX's operators, from 20 on.

    Raises:
        ExportError: The model cannot be said as a graph. The message names the op, the layer, and
            what to do.
        ValueError: The opset is not supported.
        FileNotFoundError: There is no folder for the file.
        ImportError: onnx or onnxruntime is not installed: ``pip install "tt-profile[onnx]"``.

    Example:
        >>> import tempfile
        >>> import tt_autograd as tt, tt_nn as nn
        >>> from tt_profile.onnx import export
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Dropout(0.1), nn.Linear(8, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, tt.ones(1, 4), f"{folder}/model.onnx")
        >>> model.training
        True

    References:
        Open Neural Network Exchange, https://onnx.ai.
    """
    newest = extra("onnx").defs.onnx_opset_version()
    if not _OLDEST <= opset <= newest:
        raise ValueError(f"export: expected an opset from {_OLDEST} to {newest}, got {opset}")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise FileNotFoundError(f"export: there is no folder {str(target.parent)!r}; make it first")
    samples = Samples(inputs, batch_dim if dynamic_batch else None)
    sizes, others = (1, 1), [list(samples.arguments)]  # sizes that nothing follows
    if dynamic_batch:
        sizes, others = (FIRST, SECOND), [samples.of_size(size) for size in _PROVED]
    first = trace(model, samples.of_size(sizes[0]))
    second = trace(model, samples.of_size(sizes[1], factor=_SHRUNK))
    names = _input_names(model, samples)
    conversion = Conversion(model, first, second, names)
    if samples.has_floats:
        _compare_negated(model, first, samples.of_size(sizes[1], factor=-_SHRUNK), names)
    made = conversion.graph.model(
        conversion.inputs, conversion.outputs, opset, type(model).__name__
    ).SerializeToString()
    _prove(made, opset, model, others)
    _write(target, made)


def _compare_negated(
    model: Module, first: Trace, arguments: Sequence[object], names: Sequence[str]
) -> None:
    """Compare a trace with one for numbers of the other sign, which choices in Python look at.

    Raises:
        ExportError: Other ops run, or with other constants.
    """
    try:
        with np.errstate(all="ignore"):  # a logarithm, for one, is not defined for all of them
            negated = trace(model, arguments)
    except ExportError:
        raise
    except Exception:  # the model is right to refuse numbers that it is not made for
        return
    Conversion(model, first, negated, names)


def _input_names(model: Module, samples: Samples) -> list[str]:
    """Return a name for each tensor: that of the argument, as far as ``forward`` names it."""
    parameters = inspect.signature(model.forward).parameters.values()
    named = [each.name for each in parameters if each.kind is not each.VAR_POSITIONAL]
    place: dict[int, str] = {}
    for i, argument in enumerate(samples.arguments):
        place.setdefault(id(argument), named[i] if i < len(named) else f"input_{i}")
    return [place[id(tensor)] for tensor in tensors_of(samples.arguments)]


def _prove(made: bytes, opset: int, model: Module, cases: Sequence[Sequence[object]]) -> None:
    """Run the graph beside the model.

    Raises:
        ExportError: onnxruntime does not take the graph, or the two do not agree.
    """
    try:
        running = session(made)
    except Exception as error:  # it has a class of its own for each reason
        raise ExportError(
            f"export: onnxruntime {extra('onnxruntime').__version__} does not take the graph with "
            f"opset={opset}; try a lower one. It says: {error}"
        ) from error
    for arguments in cases:
        try:
            apart, scale = difference(running, model, arguments)
            if apart <= _TOLERANCE * max(1.0, scale):
                continue
            what = f"results of up to {scale:.3g} are up to {apart:.3g} apart"
        except ExportError as error:
            what = str(error)
        shapes = " and ".join(str(each.shape) for each in tensors_of(arguments))
        raise ExportError(
            f"export: for inputs of shape {shapes} the graph does not do what the model does: "
            f"{what}. Does the model compute by chance, or depend on its input or on the batch "
            "size by other means than ops?"
        )


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is complete or not there at all."""
    unfinished = path.with_name(f"{path.name}.{token_hex(4)}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise

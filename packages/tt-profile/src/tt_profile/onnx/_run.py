"""Running an exported model by onnxruntime, and comparing it with the model here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tt_tensor
from tt_nn import Module, get_num_threads

from ._errors import ExportError, extra
from ._graph import stored
from ._samples import Samples
from ._trace import array_of, evaluating, named_arrays, tensors_of

Array = NDArray[Any]


def session(model: str | bytes, threads: int | None = None) -> Any:
    """Return a session of onnxruntime for a file or the bytes of one."""
    runtime = extra("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only
    options.intra_op_num_threads = get_num_threads() if threads is None else threads
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feed(running: Any, arguments: Sequence[object]) -> dict[str, Array]:
    """Return a model's arguments as a session takes them."""
    arrays = map(array_of, tensors_of(arguments))
    inputs = zip(running.get_inputs(), arrays, strict=True)
    return {each.name: np.asarray(array, stored(array.dtype)) for each, array in inputs}


def run_here(model: Module, arguments: Sequence[object]) -> dict[str, Array]:
    """Return what the model returns in evaluation, by name."""
    with evaluating(model):
        return dict(named_arrays(model(*arguments)))


def difference(running: Any, model: Module, arguments: Sequence[object]) -> tuple[float, float]:
    """Return how far apart the results are at most, and how large the model's are.

    Raises:
        ExportError: They differ in names, number or shape.
    """
    expected = run_here(model, arguments)
    found = running.run(None, feed(running, arguments))
    names = [each.name for each in running.get_outputs()]
    if len(expected) != len(found):
        raise ExportError(f"the model returns {', '.join(expected)}, the graph {', '.join(names)}")
    apart, scale = 0.0, 0.0
    for (name, array), other in zip(expected.items(), found, strict=True):
        if array.shape != other.shape:
            raise ExportError(
                f"{name!r} has shape {array.shape} by the model and {other.shape} by the graph"
            )
        apart = max(apart, _apart(array, other))
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        scale = max(scale, float(np.abs(finite.astype(np.float64)).max(initial=0)))
    return apart, scale


def _apart(array: Array, other: Array) -> float:
    """Return the largest difference; equal infinities and NaNs do not differ, others do so."""
    a, b = array.astype(np.float64), np.asarray(other).astype(np.float64)
    with np.errstate(invalid="ignore"):
        distances = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    distances[np.isnan(distances)] = np.inf
    return float(distances.max(initial=0))


def check(
    path: str | Path,
    model: Module,
    inputs: tt_tensor.Tensor | Sequence[object],
    batch_sizes: Sequence[int] = (1, 2, 5),
) -> float:
    """Run an exported model by onnxruntime and return how far its results are from the model's.

    The model runs in evaluation, as it was exported.

    Args:
        path: What `export` has written.
        model: The model.
        inputs: What it was exported with, or other inputs of such shapes.
        batch_sizes: Numbers of samples to compare with as well, if the file takes any number; they
            repeat those of ``inputs``.

    Returns:
        The largest absolute difference of any number in any output.

    Raises:
        ExportError: The file takes other inputs or gives other outputs than the model.
        ImportError: onnxruntime is not installed.

    Example:
        >>> import tempfile
        >>> import tt_autograd as tt, tt_nn as nn
        >>> from tt_profile.onnx import check, export
        >>> model, images = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), tt.rand(4, 8, 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export(model, images, f"{folder}/model.onnx")
        ...     check(f"{folder}/model.onnx", model, images, batch_sizes=(1, 32)) < 1e-4
        True
    """
    running = session(str(path))
    samples = Samples.of_graph(inputs, running)
    cases: list[Sequence[object]] = [samples.arguments]
    if any(dim is not None for dim in samples.dims):
        cases += [samples.of_size(size) for size in batch_sizes]
    try:
        return max(difference(running, model, arguments)[0] for arguments in cases)
    except ExportError as error:
        raise ExportError(f"check: {error}") from None
